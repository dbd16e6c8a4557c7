"""The hourly round through the ledger that drops what is too old.

Knows what comes after what, and that others have their turn between two pieces; not what a piece
is (`jobs.purging`). Files in done/ and failed/ are the users', and stay.
"""

from __future__ import annotations

import sqlite3

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.purging import KEPT
from twisted_probe.jobs.writer import Run

#: Seconds between two rounds.
ROUND = 3600.0


class Purger:
    """Purges `ledger`, which is used through `run`, once an hour: what is older than `keep`
    seconds, which may be set anew at any time."""

    log = Logger()

    def __init__(self, ledger: Ledger, run: Run, clock: IReactorTime, keep: float = KEPT) -> None:
        self.keep = keep
        self._ledger = ledger
        self._run = run
        self._clock = clock
        self._stopping = False
        self._rounds = LoopingCall(self.purge)
        self._rounds.clock = clock
        self._ended: Deferred[LoopingCall] | None = None

    def start(self) -> None:
        """Begin, with a round at once."""
        self._ended = self._rounds.start(ROUND)

    async def stop(self) -> None:
        """Begin nothing more; returns when the piece in hand is done, which is soon."""
        self._stopping = True
        if self._ended is not None:
            self._rounds.stop()
            await self._ended

    def purge(self) -> Deferred[None]:
        """One round; what keeps it from its end is logged, and the next one goes on."""
        return Deferred.fromCoroutine(self._purge()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(OSError, sqlite3.OperationalError):
            # The disk: what is dropped needs room in the WAL first.
            self.log.error(
                "what is old could not be purged: {cause}; tried again in an hour",
                cause=failure.getErrorMessage(),
            )
        else:
            self.log.failure("what is old could not be purged; tried again", failure)

    async def _purge(self) -> None:
        now = self._clock.seconds()
        before = now - self.keep
        # As at the start: what was learned of domains and exchangers, and benches that are over.
        await self._run(self._ledger.benches, now)
        for drop in (
            self._ledger.purge_jobs,
            self._ledger.purge_hearings,
            self._ledger.purge_verdicts,
        ):
            while not self._stopping and await self._run(drop, before):
                pass
        while not self._stopping and await self._run(self._ledger.reclaim):
            pass
        # Until then all of it is in the file, and in the log beside it.
        await self._run(self._ledger.scrub, 0.0)
