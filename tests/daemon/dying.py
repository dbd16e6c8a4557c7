"""twistd that kills itself: `dying.py POINT ARGUMENTS…` is twistd until it comes to POINT."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from twisted.scripts.twistd import run

from twisted_probe.jobs import database
from twisted_probe.jobs.durable import DurableFile
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.spool import Spool
from twisted_probe.jobs.writer import Writer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
    called = getattr(owner, name)

    def dies(*arguments: Any, **more: Any) -> Any:
        if when(*arguments):
            die()
        return called(*arguments, **more)

    setattr(owner, name, dies)


def behind(owner: Any, name: str) -> None:
    called = getattr(owner, name)

    def dies(*arguments: Any, **more: Any) -> None:
        called(*arguments, **more)
        die()

    setattr(owner, name, dies)


def within(owner: Any, name: str) -> None:
    """So many instructions of SQLite's machine behind this, in the midst of what comes next."""
    called = getattr(owner, name)

    def ticks(connection: sqlite3.Connection) -> None:
        called(connection)
        connection.set_progress_handler(die, 300)

    setattr(owner, name, ticks)


def is_results(file: DurableFile) -> bool:
    return b".results." in file._name


POINTS: dict[str, Callable[[], None]] = {
    "claimed, unknown to the ledger": lambda: before(Ledger, "add_job"),
    "known to the ledger, not read": lambda: before(Ledger, "begin_import"),
    "some of it read": lambda: behind(Ledger, "import_rows"),
    "read, not open": lambda: before(Ledger, "open_job"),
    "open, nobody asked": lambda: behind(Ledger, "open_job"),
    "answered, not committed": lambda: before(Ledger, "settle"),
    "told to come later, not committed": lambda: before(Ledger, "postpone"),
    "told to come later": lambda: behind(Ledger, "postpone"),
    "committed, nobody told": lambda: before(
        Writer, "_written", lambda _, results, __: None in results
    ),
    "settled, no results begun": lambda: before(Ledger, "begin_results"),
    "results written, not renamed": lambda: before(DurableFile, "commit", is_results),
    "results there, not noted": lambda: before(Ledger, "mark_finished"),
    "noted, the list not moved": lambda: before(Spool, "finish"),
    "moved, not noted": lambda: behind(Spool, "finish"),
}

#: Between the steps that an older ledger takes to be of the newest version.
UPGRADING: dict[str, Callable[[], None]] = {
    "no copy yet": lambda: before(database, "copy"),
    "copied": lambda: behind(database, "copy"),
    "able to shrink": lambda: behind(database, "_let_it_shrink"),
    "some versions on": lambda: within(database, "_let_it_shrink"),
    "of the newest version": lambda: behind(database, "migrate"),
}


if __name__ == "__main__":
    {**POINTS, **UPGRADING}[sys.argv.pop(1)]()
    run()
