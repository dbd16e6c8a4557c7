"""Many calls to the ledger in one transaction.

Knows that a commit costs a write to the disk whatever is in it, and which calls wait for one;
not what they do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twisted_probe.jobs.database import transaction

#: Calls a function with arguments in the ledger's one thread; the Deferred has what it returns.
#: In the daemon: `partial(deferToThreadPool, reactor, ThreadPool(1, 1))`.
Run = Callable[..., Deferred[Any]]

#: Calls in one transaction: a session's outcomes each, and some 60 ms together, so that whoever
#: reads the ledger waits no longer, and a page that is written gets many of them.
MOST = 200

_Call = Callable[[], Any]
_Batch = list[tuple[_Call, Deferred[Any]]]


def together(
    database: sqlite3.Connection, calls: Sequence[_Call], undone: Callable[[], object]
) -> list[Any]:
    """Make these calls in one transaction; what each returns, or a Failure of what it raised,
    which undoes nothing of the others. Raises what keeps all from being committed; `undone` is
    told then."""
    results: list[Any] = []
    try:
        with transaction(database):
            for call in calls:
                try:
                    with transaction(database):
                        results.append(call())
                except Exception:
                    if not database.in_transaction:
                        raise  # SQLite gave the whole transaction up: a full disk, for one
                    results.append(Failure())
    except BaseException:
        undone()
        raise
    return results


class Writer:
    """Makes calls that write to `database` through `run`: those that come before the thread has
    begun with them are committed together, in their order, at the place of the first. `undone` is
    called, in the same thread, when what calls have done was not committed."""

    def __init__(
        self, database: sqlite3.Connection, run: Run, undone: Callable[[], object]
    ) -> None:
        self._database = database
        self._run = run
        self._undone = undone
        self._joining = Lock()
        self._open: _Batch | None = None

    def __call__(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Make this call in the ledger's thread. Fires with what it returns once that is
        committed; errbacks with what it raises, or with what keeps it from being committed."""
        made: Deferred[Any] = Deferred()
        with self._joining:
            batch = self._open
            if is_new := batch is None or len(batch) >= MOST:
                batch = self._open = []
            batch.append((partial(call, *arguments), made))
        if is_new:
            self._run(self._write, batch).addBoth(self._written, batch)
        return made

    def alone(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Make this call in the ledger's thread, in its own transaction: for what has more to
        undo than the database's."""
        return self._run(call, *arguments)

    def _write(self, batch: _Batch) -> list[Any]:
        with self._joining:
            if self._open is batch:
                self._open = None
        return together(self._database, [call for call, _ in batch], self._undone)

    def _written(self, results: list[Any] | Failure, batch: _Batch) -> None:
        for number, (_, made) in enumerate(batch):
            made.callback(results if isinstance(results, Failure) else results[number])
