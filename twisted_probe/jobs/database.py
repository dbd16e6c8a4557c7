"""The SQLite file under the ledger: how it is opened, and what a transaction is.

Knows durability and versions; not what the tables mean (`jobs.ledger`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted_probe.jobs.access import mended
from twisted_probe.jobs.durable import PRIVATE
from twisted_probe.jobs.schema import NewerSchema, OlderSchema, check_version, migrate

#: KiB of pages that SQLite may keep in memory (2 MiB by itself): the inner pages of the keys of
#: ten million recipients, and a third of what the whole daemon may hold.
CACHE_KIB = 65536


class LedgerError(Exception):
    """The ledger cannot be used. The message says which file and why; it was left as it is. A
    newer one needs the newer program; a damaged one is to be moved aside with its -wal and -shm,
    and the files in active/ are then read and asked again."""


def opened(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """The database at `path`, private to us, whole and of the newest version.

    Raises LedgerError.
    """
    try:
        _make_private(path)
        # Opened in one thread, used in another; never in two at a time (`jobs.ledger`).
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(database)
        except BaseException:
            database.close()
            raise
    except (OSError, sqlite3.Error, NewerSchema) as error:
        raise LedgerError(f"the ledger {os.fspath(path)}: {error}") from error
    return database


def opened_to_read(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """The database at `path` as it is, for reading only; whoever writes to it is not disturbed.

    Raises LedgerError.
    """
    try:
        uri = Path(path).absolute().as_uri()
        database = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None)
        try:
            check_version(database)
        except BaseException:
            database.close()
            raise
    except (OSError, sqlite3.Error, NewerSchema, OlderSchema) as error:
        raise LedgerError(f"the ledger {os.fspath(path)}: {error}") from error
    return database


def _make_private(path: str | os.PathLike[str]) -> None:
    """Make the file where there is none, with its mode, which SQLite gives to the files beside
    it too."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        mended(file, PRIVATE)
    finally:
        os.close(file)


def _prepare(database: sqlite3.Connection) -> None:
    problem: str = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {problem}")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    migrate(database)
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA journal_mode = WAL")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing of what the block does; durable when the block has ended."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors (a full disk, for one).
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
