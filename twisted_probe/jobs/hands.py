"""Several jobs worked on at once.

Knows which jobs are in hand and how many may be; not what is done with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from twisted_probe.jobs.ledger import Job

#: What is done with one job.
Work = Coroutine[Deferred[Any], Any, object]


class Hands:
    """At most `number` jobs are in hand, none of them twice."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._full: dict[int, Deferred[object]] = {}
        self._next: deque[tuple[Job, Callable[[Job], Work]]] = deque()

    def __contains__(self, job: int) -> bool:
        """Whether the job of this number is in hand."""
        return job in self._full

    def take(self, jobs: Iterable[Job], work: Callable[[Job], Work]) -> None:
        """Begin to `work` on these, the first of them first, whenever a hand is free; those of an
        earlier call that were not begun are forgotten. `work` must not raise."""
        self._next = deque((job, work) for job in jobs if job.id not in self._full)
        self._fill()

    def done(self) -> Deferred[list[object]]:
        """Begin with nothing more. Fires when nothing is in hand any more, if nothing is taken
        meanwhile."""
        self._next.clear()
        return gatherResults(self._full.values())

    def _fill(self) -> None:
        while self._next and len(self._full) < self._number:
            job, work = self._next.popleft()
            self._full[job.id] = done = Deferred.fromCoroutine(work(job))
            done.addBoth(self._let_go, job.id)

    def _let_go(self, result: object, job: int) -> object:
        del self._full[job]
        self._fill()
        return result
