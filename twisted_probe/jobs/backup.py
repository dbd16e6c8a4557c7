"""Copies of the ledger, whole in themselves, taken while others write.

Knows SQLite's online backup, that a copy is there whole or not at all, that one process makes it,
and where copies were put; not what is in them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from attrs import frozen

from twisted_probe.jobs.access import given
from twisted_probe.jobs.directories import part_of_spool
from twisted_probe.jobs.durable import PRIVATE, is_at, is_gone

#: In state/: the paths of the copies that were begun and made, a JSON text a line.
_MADE = "backups"

#: What the name of a copy ends with until it is whole.
_PART = ".part"

#: What a file of SQLite's begins with, once its first page is written.
_MAGIC = b"SQLite format 3\0"

#: How a copy that is not whole is opened, whatever may lie there.
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

#: Seconds that others may keep a ledger locked; only the rewriting of an old one takes that long.
PATIENCE = 60.0

#: What SQLite says of a step for which it found the ledger locked (SQLITE_BUSY, SQLITE_LOCKED).
_LOCKED = (5, 6)


class NoBackup(Exception):
    """There is no copy. The message says why; nothing was left behind."""


@frozen
class Backup:
    """A copy that was made: its size in bytes, and whether it `replaced` what was left of one that
    was killed."""

    size: int
    replaced: bool


def _unnoted(_path: str) -> None:
    """Nobody has to find it again."""


def back_up(ledger: str, target: str, noted: Callable[[str], None] = _unnoted) -> Backup:
    """Copy the ledger in the file `ledger` to `target`, which must not be there. A daemon may work
    on it meanwhile: the copy is the ledger of one moment. `noted` is called with the path of each
    file of ours before there is anything in it, and must not raise.

    Raises NoBackup, also when the ledger is damaged, when others keep it locked for `PATIENCE`
    seconds, or when somebody else makes the same copy.
    """
    if target.endswith(_PART):
        # It would be taken for one that is not whole yet, and removed.
        raise NoBackup(f"{target}: {_PART} is how one ends that is not whole; name another file")
    if is_gone(ledger):
        # SQLite would remove what may lie beside it.
        words = "there is no ledger, or an empty one; start the daemon on it once"
        raise NoBackup(f"{ledger}: {words}")
    try:
        database = _opened(ledger)
    except sqlite3.Error as error:
        raise NoBackup(f"{ledger}: {error}") from error
    try:
        with closing(database):
            replaced = copy(database, target, is_new=True, noted=noted)
    except FileExistsError as error:
        words = "it is there already, and nothing is overwritten"
        raise NoBackup(f"{target}: {words}") from error
    except BlockingIOError as error:
        raise NoBackup(f"{target}: another backup to it is at work") from error
    except (OSError, sqlite3.Error) as error:
        raise NoBackup(f"{target}: {error}") from error
    return Backup(os.path.getsize(target), replaced)


def refuse_in_spool(spool: str, target: str) -> None:
    """Raises NoBackup for a `target` in the spool's own directories, where the daemon would take it
    for a list, or SQLite for a part of the ledger."""
    name = part_of_spool(spool, os.path.dirname(target))
    if name is not None:
        words = f"it would lie in the spool's own {name}/; name a file somewhere else"
        raise NoBackup(f"{target}: {words}")


def note(state: str, target: str) -> None:
    """Keep that a copy is put there, or what is not one yet, in the spool's directory `state`, for
    whoever has to find it again (`mailprobe forget`). Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(os.path.join(state, _MADE), flags, PRIVATE)
    # In a line of its own, whatever a full disk has made of the one before.
    line = f"\n{json.dumps(os.path.abspath(target))}\n".encode()
    try:
        owner = os.stat(state)
        given(file, owner.st_uid, owner.st_gid)
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)


def made(state: str) -> list[str]:
    """Where copies were put that are still there, and what there is of such as have not come to
    their end (`is_unfinished`). Raises OSError."""
    try:
        with open(os.path.join(state, _MADE), "rb") as file:
            paths = [_path(line) for line in file]
    except FileNotFoundError:
        return []
    return [path for path in dict.fromkeys(paths) if path and _is_there(path)]


def _path(line: bytes) -> str:
    """What was noted in a line: nothing where that did not come to its end, for then nothing was
    written there either."""
    with suppress(ValueError):
        path = json.loads(line)
        if isinstance(path, str) and os.path.isabs(path):
            return path
    return ""


def _is_there(path: str) -> bool:
    """Whether something is there, or it cannot be seen whether."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


def recover(path: str) -> None:
    """Undo in a copy what a process had begun in it and was not spared to end; whoever only reads
    may not. What is no copy of a ledger is left as it is."""
    with suppress(sqlite3.Error), closing(_opened(path)) as database:
        database.execute("PRAGMA user_version").fetchone()


def _opened(path: str) -> sqlite3.Connection:
    """A database that is there; none is made."""
    uri = f"{Path(path).absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=PATIENCE)


def unfinished(target: str) -> str:
    """What a copy is called until it is whole; one that is left of a process that was killed then
    is replaced by the next."""
    return target + _PART


def is_unfinished(path: str) -> bool:
    """Whether what is called so is not whole."""
    return path.endswith(_PART)


def remove_unfinished(hidden: str) -> bool:
    """Remove what is left of a copy that was killed; whether it was there, and was no file of
    somebody else's. Raises OSError: BlockingIOError when somebody is at work on it."""
    try:
        file = os.open(hidden, _FLAGS)
    except FileNotFoundError:
        return False
    try:
        _lock(file, hidden)
        if not _is_ours(file) or not is_at(hidden, file):
            return False
        _remove(hidden)
    finally:
        os.close(file)
    return True


def _is_ours(file: int) -> bool:
    """Whether it may be what is left of a copy."""
    return os.pread(file, len(_MAGIC), 0) in (b"", bytes(len(_MAGIC)), _MAGIC)


def copy(
    database: sqlite3.Connection,
    target: str,
    *,
    is_new: bool = False,
    noted: Callable[[str], None] = _unnoted,
) -> bool:
    """Copy `database` to the file `target`, in the place of what is there, unless it has to be
    `is_new`; durable in the end. Whether it replaced what was left of one that was killed. For
    `noted` see `back_up`.

    Raises OSError or sqlite3.Error when there is no whole copy; nothing is left of it then. Of the
    former, BlockingIOError when somebody else makes the same, and FileExistsError.
    """
    hidden = unfinished(target)
    file, replaced = _begun(hidden)
    try:
        # Whoever made the same until now had it locked until the copy was there.
        if is_new and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        noted(hidden)
        with closing(_opened_alone(hidden)) as made:
            made.execute("PRAGMA locking_mode = EXCLUSIVE")
            # In one step, and so of one moment: whoever writes meanwhile is not kept waiting.
            database.backup(made, progress=_refuse_locked)
            # One file, without others beside it.
            made.execute("PRAGMA journal_mode = DELETE")
            problem: str = made.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(f"the ledger is damaged: {problem}")
        os.fsync(file)
        if not is_at(hidden, file):
            raise OSError(errno.ESTALE, "another copy took the place", hidden)
        noted(target)
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
    return replaced


def _begun(hidden: str) -> tuple[int, bool]:
    """A new file, open and locked (flock) until it is closed, and whether one with something in it
    was there. Raises OSError, BlockingIOError when somebody else has it locked."""
    replaced = False
    while True:
        file, is_ours = _open(hidden)
        try:
            _lock(file, hidden)
            # Between the two somebody may have locked and removed it.
            if is_at(hidden, file):
                if is_ours:
                    return file, replaced
                if not _is_ours(file):
                    raise OSError(errno.EINVAL, "what is there is no copy of a ledger", hidden)
                replaced = replaced or os.fstat(file).st_size > 0
                # Not written anew: others may have it open, or under another name.
                _remove(hidden)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(file: int, hidden: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(errno.EAGAIN, "another copy to it is at work", hidden) from None


def _open(hidden: str) -> tuple[int, bool]:
    """The file, and whether it was made here and now."""
    while True:
        with suppress(FileExistsError):
            return os.open(hidden, _FLAGS | os.O_CREAT | os.O_EXCL, PRIVATE), True
        with suppress(FileNotFoundError):
            return os.open(hidden, _FLAGS), False


def _opened_alone(hidden: str) -> sqlite3.Connection:
    """The database in a file that we have locked. SQLite is not to lock it too: over NFS our flock
    is a lock of the kind that it uses, and would keep it out."""
    uri = f"{Path(hidden).absolute().as_uri()}?vfs=unix-none"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _refuse_locked(status: int, _remaining: int, _total: int) -> None:
    """Python would try it again for ever, each time for the patience of the connection."""
    if status in _LOCKED:
        raise sqlite3.OperationalError("others keep the ledger locked; try again later")


def _remove(hidden: str) -> None:
    """Remove what there is of a copy, and what SQLite leaves beside it on a full disk."""
    # The copy itself last: whoever has it locked is alone with the others until then.
    for beside in ("-wal", "-shm", "-journal", ""):
        with suppress(FileNotFoundError):
            os.unlink(hidden + beside)
