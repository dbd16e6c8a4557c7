"""Copies of the ledger, whole in themselves, taken while others write.

Knows SQLite's online backup, that a copy is there whole or not at all, and where copies were put;
not what is in them.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from twisted_probe.jobs.access import given
from twisted_probe.jobs.durable import PRIVATE, is_at, is_gone

#: In state/: the paths of the copies that were made, a JSON text a line.
_MADE = "backups"


class NoBackup(Exception):
    """There is no copy. The message says why; nothing was left behind."""


def back_up(ledger: str, target: str) -> int:
    """Copy the ledger in the file `ledger` to `target`, which must not be there; its size in
    bytes. A daemon may work on it meanwhile: the copy is the ledger of one moment.

    Raises NoBackup, also when the ledger is damaged.
    """
    if is_gone(ledger):
        # SQLite would remove what may lie beside it.
        words = "there is no ledger, or an empty one; start the daemon on it once"
        raise NoBackup(f"{ledger}: {words}")
    if os.path.lexists(target):
        raise NoBackup(f"{target}: it is there already, and nothing is overwritten")
    try:
        database = _opened(ledger)
    except sqlite3.Error as error:
        raise NoBackup(f"{ledger}: {error}") from error
    try:
        with closing(database):
            copy(database, target)
    except (OSError, sqlite3.Error) as error:
        raise NoBackup(f"{target}: {error}") from error
    return os.path.getsize(target)


def note(state: str, target: str) -> None:
    """Keep that a copy was put there, in the spool's directory `state`, for whoever has to find
    it again (`mailprobe forget`). Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(os.path.join(state, _MADE), flags, PRIVATE)
    try:
        owner = os.stat(state)
        given(file, owner.st_uid, owner.st_gid)
        os.write(file, json.dumps(os.path.abspath(target)).encode() + b"\n")
        os.fsync(file)
    finally:
        os.close(file)


def made(state: str) -> list[str]:
    """Where copies were put that are still there. Raises OSError."""
    try:
        with open(os.path.join(state, _MADE), encoding="ascii") as file:
            paths = [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
    return [path for path in dict.fromkeys(paths) if os.path.lexists(path)]


def recover(path: str) -> None:
    """Undo in a copy what a process had begun in it and was not spared to end; whoever only reads
    may not. What is no copy of a ledger is left as it is."""
    with suppress(sqlite3.Error), closing(_opened(path)) as database:
        database.execute("PRAGMA user_version").fetchone()


def _opened(path: str) -> sqlite3.Connection:
    """A database that is there; none is made."""
    uri = f"{Path(path).absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def unfinished(target: str) -> str:
    """What a copy is called until it is whole; one that is left of a process that was killed then
    is replaced by the next."""
    return f"{target}.part"


def copy(database: sqlite3.Connection, target: str) -> None:
    """Copy `database` to the file `target`, in the place of what is there; durable in the end.

    Raises OSError, also when another copy to it has begun meanwhile, or sqlite3.Error when the copy
    is not whole; there is none then.
    """
    hidden = unfinished(target)
    _remove(hidden)
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(hidden, flags, PRIVATE)
    try:
        with closing(sqlite3.connect(hidden, isolation_level=None)) as made:
            # In one step, and so of one moment: whoever writes meanwhile is not kept waiting.
            database.backup(made)
            # One file, without others beside it.
            made.execute("PRAGMA journal_mode = DELETE")
            problem: str = made.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(f"the ledger is damaged: {problem}")
        os.fsync(file)
        if not is_at(hidden, file):
            raise OSError(errno.ESTALE, "another copy took the place", hidden)
        os.rename(hidden, target)
    except BaseException:
        if is_at(hidden, file):
            _remove(hidden)
        raise
    finally:
        os.close(file)
    directory = os.open(os.path.dirname(os.path.abspath(target)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove(hidden: str) -> None:
    """Remove what there is of a copy, and what SQLite leaves beside it on a full disk."""
    for beside in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(hidden + beside)
