"""How it goes, in figures: a line a minute in the log while there is work, a status for systemd.

Knows what is counted, how it is said and how often; not where the log or the status is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from twisted_probe.daemon.notify import Notifier
from twisted_probe.jobs.ledger import Progress

_log = Logger()

#: Seconds between two statuses: systemd has to write each down.
STATUS = 10.0
#: Statuses between two lines in the log: one a minute.
STATUSES_PER_LINE = 6
#: Seconds that a look at the ledger may take to be worth a status; it has to count those who
#: wait, and ten million of them take a second.
CHEAP = 0.2


@frozen(kw_only=True)
class Figures:
    """What there is at one moment. `settled` counts recipients since the start, the others those
    that are asked now, that wait for another attempt, and that were never asked."""

    jobs: int = 0
    settled: int = 0
    in_hand: int = 0
    waiting: int = 0
    pending: int = 0

    @classmethod
    def of(cls, jobs: Sequence[Progress], settled: int, in_hand: int) -> Figures:
        """What the ledger says of its jobs, and what was counted besides."""
        return cls(
            jobs=len(jobs),
            settled=settled,
            in_hand=in_hand,
            waiting=sum(each.waiting for each in jobs),
            pending=sum(each.pending for each in jobs),
        )

    def status(self) -> str:
        """One line."""
        since = f"{self.settled} settled since the start"
        if not self.jobs:
            return f"no jobs; {since}"
        jobs = f"{self.jobs} job" if self.jobs == 1 else f"{self.jobs} jobs"
        return (
            f"{jobs}: {self.in_hand} in hand, {self.waiting} waiting, {self.pending} to be asked; "
            f"{since}"
        )


class Teller:
    """Tells the figures that `look` finds to `notifier`, every ten seconds, and to the log, every
    minute in which something was settled or is to be asked. Where a look takes long, there is one
    a minute. One that fails is logged; the next comes.

    `also` is called every ten seconds, without arguments.
    """

    def __init__(
        self,
        clock: Any,
        look: Callable[[], Awaitable[Figures]],
        notifier: Notifier,
        also: Callable[[], object] = lambda: None,
    ) -> None:
        self._clock = clock
        self._look = look
        self._notifier = notifier
        self._also = also
        self._settled = 0
        self._since = 0.0
        self._rounds = 0
        self._cost = 0.0
        self._loop = LoopingCall(self._round)
        self._loop.clock = clock
        self._ended: Deferred[Any] = succeed(None)

    def start(self) -> None:
        """Begin; the first round comes in ten seconds."""
        self._since = self._clock.seconds()
        self._ended = self._loop.start(STATUS, now=False)

    def stop(self) -> Deferred[Any]:
        """Fires when the last round has ended."""
        if self._loop.running:
            self._loop.stop()
        return self._ended

    def _round(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._tell())

    async def _tell(self) -> None:
        self._also()
        self._rounds += 1
        is_line_due = self._rounds % STATUSES_PER_LINE == 0
        if not is_line_due and (not self._notifier.is_told or self._cost > CHEAP):
            return
        begun = self._clock.seconds()
        try:
            figures = await self._look()
        except Exception:
            _log.failure("the figures could not be had")
            return
        self._cost = self._clock.seconds() - begun
        self._notifier.status(figures.status())
        if is_line_due:
            self._say(figures)

    def _say(self, figures: Figures) -> None:
        now = self._clock.seconds()
        settled, seconds = figures.settled - self._settled, now - self._since
        self._settled, self._since = figures.settled, now
        if settled or figures.in_hand or figures.pending:
            _log.info(
                "{settled} settled within {seconds:.0f} s ({rate:.1f}/s), {in_hand} in hand, "
                "{waiting} waiting, {pending} to be asked",
                settled=settled,
                seconds=seconds,
                rate=settled / max(seconds, 1.0),
                in_hand=figures.in_hand,
                waiting=figures.waiting,
                pending=figures.pending,
                jobs=figures.jobs,
            )
