"""Many calls to the ledger in one transaction.

Knows that a commit costs a write to the disk whatever is in it, and which calls wait for one;
not what they do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_probe.jobs.database import transaction
from twisted_probe.routing.turns import Turns

#: Calls a function with arguments in the ledger's one thread; the Deferred has what it returns.
#: In the daemon: `partial(deferToThreadPool, reactor, ThreadPool(1, 1))`.
Run = Callable[..., Deferred[Any]]

_Item = TypeVar("_Item")

#: Calls in one transaction, half of which bring a session's outcomes: some 60 ms together, so that
#: whoever reads the ledger waits no longer, and a page that is written gets many of them.
MOST = 400

_Call = Callable[..., Any]


@define(eq=False)
class _Entry:
    """A call, with the arguments of all who make it together, and what tells each how it went."""

    call: _Call
    arguments: list[tuple[Any, ...]] = Factory(list)
    made: list[Deferred[Any]] = Factory(list)


@define(eq=False)
class _Batch:
    """What goes into one transaction: so many calls, where those that are gathered count too."""

    size: int = 0
    entries: list[_Entry] = Factory(list)
    gathered: dict[_Call, _Entry] = Factory(dict)

    def entry(self, call: _Call, is_gathered: bool) -> _Entry:
        """Where somebody who makes this call joins."""
        entry = self.gathered.get(call) if is_gathered else None
        if entry is None:
            self.entries.append(entry := _Entry(call))
            if is_gathered:
                self.gathered[call] = entry
        self.size += 1
        return entry


class Writer:
    """Makes calls that write to `database` through `run`: those that come before the thread has
    begun with them are committed together, in their order, at the place of the first, and who made
    them are told in as many turns of `clock` as what they do then needs. `undone` is called, in
    the ledger's thread, when what calls have done was not committed."""

    def __init__(
        self,
        database: sqlite3.Connection,
        run: Run,
        clock: IReactorTime,
        undone: Callable[[], object],
    ) -> None:
        self._database = database
        self._run = run
        self._turns = Turns(clock)
        self._undone = undone
        self._joining = Lock()
        self._open: _Batch | None = None

    def __call__(self, call: _Call, *arguments: Any) -> Deferred[Any]:
        """Make this call in the ledger's thread. Fires with what it returns once that is
        committed; errbacks with what it raises, or with what keeps it from being committed."""
        return self._join(call, arguments)

    def gather(
        self, call: Callable[[Sequence[_Item]], None], items: Sequence[_Item]
    ) -> Deferred[None]:
        """The same, of a call that takes a list: it is made once with the items of all who come
        before the commit, so that what lies together is written together. When that fails each
        is made by itself, and fails alone."""
        return self._join(call, (items,), is_gathered=True)

    def alone(self, call: _Call, *arguments: Any) -> Deferred[Any]:
        """Make this call in the ledger's thread, in its own transaction: for what has more to
        undo than the database's."""
        return self._run(call, *arguments)

    def _join(
        self, call: _Call, arguments: tuple[Any, ...], is_gathered: bool = False
    ) -> Deferred[Any]:
        made: Deferred[Any] = Deferred()
        with self._joining:
            batch = self._open
            if is_new := batch is None or batch.size >= MOST:
                batch = self._open = _Batch()
            entry = batch.entry(call, is_gathered)
            entry.arguments.append(arguments)
            entry.made.append(made)
        if is_new:
            self._run(self._write, batch).addBoth(self._written, batch)
        return made

    # -- in the ledger's thread

    def _write(self, batch: _Batch) -> list[Any]:
        with self._joining:
            if self._open is batch:
                self._open = None
        try:
            with transaction(self._database):
                return [result for entry in batch.entries for result in self._results(entry)]
        except BaseException:
            self._undone()
            raise

    def _results(self, entry: _Entry) -> list[Any]:
        """What each of an entry is told: what its call returned, or a Failure of what it raised,
        which undoes nothing of the others."""
        if len(entry.made) > 1:
            items = [item for (each,) in entry.arguments for item in each]
            if not isinstance(self._result(entry.call, items), Failure):
                return [None] * len(entry.made)
        return [self._result(entry.call, *arguments) for arguments in entry.arguments]

    def _result(self, call: _Call, *arguments: Any) -> Any:
        try:
            with transaction(self._database):
                return call(*arguments)
        except Exception:
            if not self._database.in_transaction:
                raise  # SQLite gave the whole transaction up: a full disk, for one
            return Failure()

    # -- in the reactor's

    def _written(self, results: list[Any] | Failure, batch: _Batch) -> None:
        made = [made for entry in batch.entries for made in entry.made]
        told = [results] * len(made) if isinstance(results, Failure) else results
        # Each goes on with its session at once, which may take some milliseconds.
        self._turns.take(
            partial(each.callback, result) for each, result in zip(made, told, strict=True)
        )
