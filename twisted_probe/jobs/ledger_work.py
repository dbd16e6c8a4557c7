"""The ledger as the engine's work.

Knows how `routing.work.Work` maps to the ledger and that the ledger has a thread of its own; not
who asks the recipients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.room import Room
from twisted_probe.jobs.writer import Writer
from twisted_probe.routing.work import Task, Work
from twisted_probe.vocabulary.outcome import Outcome

#: Looks at the ledger for one `take`, where all that are found are answered by what is known: a
#: second, after which the engine may stop.
MAX_LOOKS = 20


class LedgerWork:
    """A `Work` over `ledger`, whose methods are called through `write` at the times of `clock`.

    `rule_hits` counts outcomes by the rule that decided (`Prober.rule_hits`); with those that are
    kept it is emptied into the ledger. Where the disk has no `room` nobody is handed out: what
    they say could not be kept, and they would be asked again and again.
    """

    def __init__(
        self,
        ledger: Ledger,
        write: Writer,
        clock: IReactorTime,
        room: Room,
        rule_hits: Counter[str] | None = None,
    ) -> None:
        self._ledger = ledger
        self._write = write
        self._clock = clock
        self._room = room
        self._rule_hits: Counter[str] = Counter() if rule_hits is None else rule_hits

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        """Hand out at most `limit` recipients that are due, fairly between the open jobs. Who was
        asked lately is answered instead, a piece at a time, so that others have their turn."""
        return Deferred.fromCoroutine(self._take(limit))

    async def _take(self, limit: int) -> Sequence[Task]:
        tasks: Sequence[Task] = ()
        for _ in range(MAX_LOOKS):
            tasks, answered = await self._write.alone(self._look, limit, self._clock.seconds())
            if tasks or not answered:
                break
        return tasks

    def _look(self, limit: int, now: float) -> tuple[Sequence[Task], int]:
        """Who is handed out, and how many were answered instead."""
        if not self._room.look(now):
            return (), 0
        return self._ledger.take(limit, now), self._ledger.answered

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        """Keep final outcomes; one that comes late, or twice, changes nothing.

        Errbacks with ValueError, keeping none, when one is not final.
        """
        self._keep_hits()
        return self._kept(self._write.gather(self._ledger.settle, _reports(settled)))

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        """Keep outcomes that are not final, until their `next_attempt_at`.

        Errbacks with ValueError, keeping none, when one is final or has no such time.
        """
        self._keep_hits()
        return self._kept(self._write.gather(self._ledger.postpone, _reports(waiting)))

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        """Take these back as they were; not to be asked for `delay` seconds."""
        tokens = [task.token for task in tasks]
        until = self._clock.seconds() + delay if delay else 0.0
        giving = self._kept(self._write(self._ledger.give_back, tokens, until))
        return giving.addErrback(lambda _: self._write.alone(self._ledger.let_go, tokens, until))

    def _kept(self, writing: Deferred[None]) -> Deferred[None]:
        def failed(failure: Failure) -> Failure:
            if failure.value is not None:
                self._room.failed(failure.value)
            return failure

        return writing.addErrback(failed)

    def _keep_hits(self) -> None:
        """Write them together with what comes next."""
        hits = self._rule_hits.copy()

        def not_kept(_: Failure) -> None:
            # What comes next fails too, and tells of the disk.
            self._rule_hits.update(hits)

        if hits:
            self._rule_hits.clear()
            self._write.gather(self._ledger.add_hits, list(hits.items())).addErrback(not_kept)


def _reports(pairs: Sequence[tuple[Task, Outcome]]) -> list[tuple[int, int, Outcome]]:
    return [(*task.token, outcome) for task, outcome in pairs]


if TYPE_CHECKING:

    def _is_work(work: LedgerWork) -> Work:
        return work
