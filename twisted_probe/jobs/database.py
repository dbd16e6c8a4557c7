"""The SQLite file under the ledger: how it is opened, and what a transaction is.

Knows durability, versions, and damage from the machine's own trouble; not what the tables mean
(`jobs.ledger`), nor what is done about damage (`jobs.rescue`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from twisted_probe.jobs.access import mended
from twisted_probe.jobs.backup import copy
from twisted_probe.jobs.durable import PRIVATE, is_gone
from twisted_probe.jobs.schema import (
    NewerSchema,
    OlderSchema,
    StrangeSchema,
    check,
    check_current,
    check_shape,
    migrate,
    newest,
)

#: KiB of pages that SQLite may keep in memory (2 MiB by itself): the inner pages of the keys of
#: ten million recipients, and a third of what the whole daemon may hold.
CACHE_KIB = 65536
#: Pages of 4 KiB in the write-ahead log before they are brought into the file (1000 by itself). The
#: ends of the buckets are written by every commit, and into the file once in four then: a third of
#: the time by the clock.
CHECKPOINT_PAGES = 4000


#: `PRAGMA auto_vacuum` of a database that shrinks when it is told to.
_INCREMENTAL = 2

#: Where the version stands in the header of every SQLite file, and what the file begins with.
_VERSION_AT, _MAGIC = 60, b"SQLite format 3\0"
#: Where the header says by which format it may be written, and the last format there is (WAL).
_WRITTEN_BY_AT, _LAST_FORMAT = 18, 2

#: What SQLite calls damage that it takes for a statement's fault. All else of that type is the
#: machine's trouble, or ours: a full disk, no permission, another's lock, a read that fails.
_DAMAGE_IN_WORDS = ("unsupported file format", "Could not decode to UTF-8")


#: Texts as they are: a damaged one must not keep the others from being read.
_TEXT = partial(str, encoding="utf-8", errors="surrogateescape")


class LedgerError(Exception):
    """The ledger cannot be used. The message says which file and why; it was left as it is."""


class NewerLedger(LedgerError):
    """The ledger belongs to a newer version of this program. Run that one, or go on with the copy
    that it made of the older ledger before it changed anything (docs/running.rst)."""


class DamagedLedger(LedgerError):
    """The ledger is no database any more, or not a whole one, or not the one it was."""


class _Damage(Exception):
    """What was found; the message says it."""


def opened(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """The database at `path`, private to us, whole and of the newest version. One of an older
    version is kept beside it, as it was.

    Raises LedgerError.
    """
    with _telling(path):
        _make_private(path)
        _check_not_emptied(path)
        written_by = _written_by(path)
        # Opened in one thread, used in another; never in two at a time (`jobs.ledger`).
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        database.text_factory = _TEXT
        try:
            _prepare(database, os.fspath(path), written_by)
        except BaseException:
            database.close()
            raise
    return database


def opened_to_read(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """The database at `path` as it is, for reading only; whoever writes to it is not disturbed.

    Raises LedgerError, also when it is not there or of an older version.
    """
    with _telling(path):
        _check_not_emptied(path)
        uri = Path(path).absolute().as_uri()
        database = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None)
        database.text_factory = _TEXT
        try:
            check_current(_version(database))
        except BaseException:
            database.close()
            raise
    return database


def refuse_newer(path: str | os.PathLike[str]) -> None:
    """Look at the file alone whether a newer version has written it, as far as its header says;
    no database is opened. Raises NewerLedger, or OSError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            header = file.read(_VERSION_AT + 4)
    except FileNotFoundError:
        return
    if header.startswith(_MAGIC):
        try:
            check(int.from_bytes(header[_VERSION_AT:], "big", signed=True))
        except NewerSchema as error:
            raise NewerLedger(f"the ledger {os.fspath(path)}: {error}") from None
        except StrangeSchema:
            return  # damage, of which whoever opens it makes a new one


@contextmanager
def _telling(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever keeps the block from opening the database is a LedgerError, which names it."""
    words = f"the ledger {os.fspath(path)}"
    try:
        yield
    except NewerSchema as error:
        raise NewerLedger(f"{words}: {error}") from error
    except (OSError, sqlite3.Error, OlderSchema, StrangeSchema, _Damage) as error:
        kind = DamagedLedger if is_damage(error) else LedgerError
        raise kind(f"{words}: {error}") from error


def is_damage(error: Exception) -> bool:
    """Whether the file is to blame for what was raised, and not the machine, or us."""
    if isinstance(error, sqlite3.OperationalError):
        return str(error).startswith(_DAMAGE_IN_WORDS)
    # What is malformed, or no database, has this very type and none of its subclasses.
    return type(error) is sqlite3.DatabaseError or isinstance(error, _Damage | StrangeSchema)


def _version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def _make_private(path: str | os.PathLike[str]) -> None:
    """Make the file where there is none, with its mode, which SQLite gives to the files beside
    it too."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        mended(file, PRIVATE)
    finally:
        os.close(file)


def _check_not_emptied(path: str | os.PathLike[str]) -> None:
    """Raises _Damage for an empty database that has a log beside it, which SQLite would remove: it
    had content when it got one."""
    if os.path.lexists(f"{os.fspath(path)}-wal") and is_gone(path):
        raise _Damage("it is empty, and what was written to it last lies beside it")


def _written_by(path: str | os.PathLike[str]) -> int:
    """The format by which the header says that a database is to be written; 0 of an empty one.

    To be asked before it is opened: POSIX takes all locks of a process on a file away when any
    descriptor of it is closed, SQLite's too, and another process would take itself for the last one
    then, and remove the write-ahead log under us.
    """
    with open(path, "rb") as file:
        header = file.read(_WRITTEN_BY_AT + 1)
    return header[_WRITTEN_BY_AT] if len(header) > _WRITTEN_BY_AT else 0


def _look_through(database: sqlite3.Connection, written_by: int) -> int:
    """The version of a database that is whole. Raises _Damage, StrangeSchema, NewerSchema, or
    sqlite3.Error."""
    try:
        problem: str = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        version = _version(database)
        check(version)
        check_shape(database, version)
    except (IndexError, TypeError, UnicodeError) as error:
        # SQLite has told Python what is no text, or nothing at all.
        raise _Damage(f"it is damaged: {type(error).__name__}") from error
    if problem != "ok":
        raise _Damage(f"it is damaged: {problem}")
    # SQLite would only read it, and say so when it is to be written.
    if written_by > _LAST_FORMAT:
        raise _Damage(f"it is damaged: it is written by format {written_by}")
    return version


def _prepare(database: sqlite3.Connection, path: str, written_by: int) -> None:
    version = _look_through(database, written_by)
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    # What is erased is overwritten.
    database.execute("PRAGMA secure_delete = ON")
    if 0 < version < newest():
        copy(database, f"{path}.version-{version}")
    _let_it_shrink(database)
    migrate(database)
    # What calls that share a commit would be undone by is a few MB, and half of all that was
    # written when it went to files. Not before: the pragmas above may write the database anew.
    database.execute("PRAGMA temp_store = MEMORY")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")


def _let_it_shrink(database: sqlite3.Connection) -> None:
    """Have free pages given back piece by piece (`jobs.purging`): one that was made otherwise is
    written anew once, as a whole or not at all."""
    if database.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
        database.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        database.execute("VACUUM")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing of what the block does; durable when the block has ended, or when the block
    round it has."""
    inner = database.in_transaction
    database.execute("SAVEPOINT step" if inner else "BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("RELEASE step" if inner else "COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors (a full disk, for one).
        if database.in_transaction:
            database.execute("ROLLBACK TO step" if inner else "ROLLBACK")
            if inner:
                database.execute("RELEASE step")
        raise
