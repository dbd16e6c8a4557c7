"""Several jobs worked on at once.

Knows which jobs are in hand and how many may be; not what is done with them.
"""

from __future__ import annotations

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

    def __contains__(self, job: int) -> bool:
        """Whether the job of this number is in hand."""
        return job in self._full

    def take(self, jobs: Iterable[Job], work: Callable[[Job], Work]) -> None:
        """Begin to `work` on these, the first of them first, while a hand is free. `work` must not
        raise."""
        for job in jobs:
            if len(self._full) == self._number:
                return
            if job.id not in self._full:
                self._full[job.id] = done = Deferred.fromCoroutine(work(job))
                done.addBoth(self._let_go, job.id)

    def done(self) -> Deferred[list[object]]:
        """Fires when nothing is in hand any more, if nothing is taken meanwhile."""
        return gatherResults(self._full.values())

    def _let_go(self, result: object, job: int) -> object:
        del self._full[job]
        return result
