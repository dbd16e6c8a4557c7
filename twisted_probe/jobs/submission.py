"""Dropping a list into a spool from outside, whole or not at all, with or without a daemon.

Knows tmp/ and new/ and the order of the steps; not the rest of the spool (`jobs.spool`), and no
Twisted: the command that uses it has to answer at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable
from itertools import chain, count
from typing import BinaryIO

from twisted_probe.jobs.durable import exists, remove, rename
from twisted_probe.jobs.formats import UnreadableJob, format_of
from twisted_probe.jobs.names import DERIVED, fitted, is_job, numbered, printable

_PRIVATE = 0o600
#: In a spool for a group (its directories hand their group on), the daemon's user reads with it.
_FOR_THE_GROUP = 0o640
#: Bytes copied at once.
_CHUNK = 1 << 20

#: renameat2(2): fail where the new name is taken.
_RENAME_NOREPLACE = 1
_NOT_HERE = (errno.ENOSYS, errno.EINVAL)


class NotSubmitted(Exception):
    """A list is not in the spool, nor any part of it. The message says why."""


def submit(spool: str, name: bytes, content: BinaryIO) -> None:
    """Put `content` into SPOOL/new as `name`; durable when it returns.

    Raises NotSubmitted: for a name that no daemon would take, or that is taken; for a spool that
    is none, is not ours to write or is full; for content that cannot be read.
    """
    shown = printable(name)
    _check(name)
    opened: list[int] = []
    try:
        for directory in ("tmp", "new"):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            opened.append(_opened(os.path.join(spool, directory), flags, spool))
        tmp, new = opened
        if exists(new, name):
            raise FileExistsError
        _copy(tmp, new, name, content)
    except FileExistsError:
        raise NotSubmitted(
            f"{shown}: a list of this name is in {spool}/new already; give it another --name, or "
            "wait until the daemon has taken that one"
        ) from None
    except OSError as error:
        raise NotSubmitted(f"{shown}: {error.strerror or error}") from None
    finally:
        for each in opened:
            os.close(each)


def place_of(spool: str, name: bytes) -> str:
    """Where the results of a list of this name will lie, as far as can be seen now: with a number
    where the name is taken. Raises NotSubmitted for a name that no daemon would take."""
    _check(name)
    wanted = fitted(name)
    candidates = chain((wanted,), (numbered(wanted, number) for number in count(2)))
    free = next(candidate for candidate in candidates if _is_free(spool, candidate))
    return os.path.join(spool, "done", printable(free + format_of(name).results))


def _is_free(spool: str, name: bytes) -> bool:
    taken = [(b"active", name), (b"done", name), (b"failed", name)]
    taken += [(b"done", name + derived) for derived in DERIVED]
    return not any(os.path.lexists(os.path.join(os.fsencode(spool), *each)) for each in taken)


def _check(name: bytes) -> None:
    shown = printable(name)
    if not name or b"/" in name or b"\0" in name:
        raise NotSubmitted(f"'{shown}' is not the name of a file")
    if not is_job(name):
        raise NotSubmitted(
            f"{shown}: a name that begins with a full stop, or ends with .tmp, .part or ~, is "
            "never taken; give it another --name"
        )
    try:
        format_of(name)
    except UnreadableJob as error:
        raise NotSubmitted(str(error)) from None


def _opened(path: str, flags: int, spool: str) -> int:
    try:
        return os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise NotSubmitted(
            f"{spool} is no spool: there is no {path}; a daemon makes it on its first start"
        ) from None
    except OSError as error:
        raise NotSubmitted(f"{path}: {error.strerror}") from None


def _copy(tmp: int, new: int, name: bytes, content: BinaryIO) -> None:
    """Write beside, sync, and rename into new/; nothing is left behind of what fails."""
    hidden = b".submit-%d-%s.part" % (os.getpid(), os.urandom(8).hex().encode())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(hidden, flags, _PRIVATE, dir_fd=tmp)
    try:
        with open(descriptor, "wb") as file:
            is_shared = os.fstat(tmp).st_mode & stat.S_ISGID
            os.fchmod(descriptor, _FOR_THE_GROUP if is_shared else _PRIVATE)
            shutil.copyfileobj(content, file, _CHUNK)
            file.flush()
            os.fsync(descriptor)
        rename_to_new_name(tmp, hidden, new, name)
    except BaseException:
        remove(tmp, hidden)
        raise
    os.fsync(new)
    os.fsync(tmp)


def rename_to_new_name(source: int, name: bytes, target: int, new_name: bytes) -> None:
    """rename(2) between two open directories that replaces nothing.

    Raises FileExistsError where the new name is taken. In one step where the kernel and the file
    system can; else a file that comes between two steps is lost.
    """
    renameat2 = _renameat2()
    if renameat2 is not None:
        number = renameat2(source, name, target, new_name)
        if not number:
            return
        if number not in _NOT_HERE:
            raise OSError(number, os.strerror(number), printable(new_name))
    if exists(target, new_name):
        raise FileExistsError(errno.EEXIST, "taken", printable(new_name))
    rename(source, name, target, new_name)


def _renameat2() -> Callable[[int, bytes, int, bytes], int] | None:
    """renameat2(2) that replaces nothing, giving its errno or 0; None where there is none."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return None

    def call(source: int, name: bytes, target: int, new_name: bytes) -> int:
        failed = function(source, name, target, new_name, _RENAME_NOREPLACE)
        return ctypes.get_errno() if failed else 0

    return call
