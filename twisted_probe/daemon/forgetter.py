"""Forgetting while the daemon works: one request at a time, a piece at a time.

Knows that others have their turn between two pieces, and that the daemon may stop; not what is
forgotten how (`jobs.forgetting`).
"""

from __future__ import annotations

from twisted.logger import Logger

from twisted_probe.jobs.forgetting import Forgetting, Forgotten
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.spool import Spool
from twisted_probe.jobs.writer import Run

_log = Logger()

_THROUGH = object()


class NotNow(Exception):
    """Nothing is forgotten now, or not all of it was. The message says why; say it again then."""


class Forgetter:
    """Forgets in `spool` and `ledger`, which are used through `run`."""

    def __init__(self, spool: Spool, ledger: Ledger, run: Run) -> None:
        self._spool = spool
        self._ledger = ledger
        self._run = run
        self._is_at_work = False
        self._stopping = False

    def stop(self) -> None:
        """End what is being forgotten after the piece in hand; whoever asked says it again."""
        self._stopping = True

    async def forget(self, what: str) -> Forgotten:
        """Forget an address or a job. Raises NothingToForget, or NotNow."""
        if self._is_at_work:
            raise NotNow("something else is being forgotten")
        self._is_at_work = True
        try:
            forgetting = await self._run(Forgetting, self._spool, self._ledger, what)
            steps = forgetting.steps()
            try:
                while await self._run(next, steps, _THROUGH) is not _THROUGH:
                    if self._stopping:
                        raise NotNow("the daemon stops; not all is forgotten")
            finally:
                await self._run(steps.close)
        finally:
            self._is_at_work = False
        found: Forgotten = forgetting.found
        # Not what: the log would remember it.
        _log.info(
            "something is forgotten: erased from {jobs} jobs, {files} files",
            jobs=len(found.jobs),
            files=len(found.files),
            left=len(found.left),
        )
        return found
