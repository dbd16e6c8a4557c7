"""The directories of a spool: made, seen to be ours and writable, and opened.

Knows their names and whose they have to be; not what lies in them (`jobs.spool`) nor which modes
they have (`jobs.access`).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from twisted.logger import Logger

from twisted_probe.jobs.access import (
    Access,
    given,
    group_name,
    is_member,
    mended,
    shown,
    user_name,
    why,
)
from twisted_probe.jobs.durable import PRIVATE, remove

DIRECTORIES = ("tmp", "new", "active", "done", "failed", "state")

#: What a directory has while its owner is not set yet.
_ENTERED_BY_US = 0o700
#: Of directories above the spool: what mkdir gives by itself. The spool below is closed.
_ABOVE = 0o755

_TO_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class SpoolError(Exception):
    """The spool cannot be used. The message says which directory and why; make it writable for
    the user that the service runs as, or name another with --spool."""


class FullSpool(SpoolError):
    """The disk takes nothing of the spool's now; it may later."""


#: What a disk says of itself, and not of who asks.
_OF_THE_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))


def refused(words: str, error: OSError) -> SpoolError:
    """What to raise, with these words, when a file or directory could not be made."""
    kind = FullSpool if error.errno in _OF_THE_DISK else SpoolError
    return kind(words)


def make(path: str, access: Access, user: int = -1, group: int = -1) -> None:
    """Make what is missing of the spool at `path`, for that user and group (-1: as it comes).

    A group in `access` goes before. What is there is left as it is. Raises SpoolError.
    """
    group = group if access.group is None else access.group
    _make(path, access.spool, user, group)
    for name in DIRECTORIES:
        _make(os.path.join(path, name), access.directory(name), user, group)


def opened(path: str, access: Access, log: Logger) -> list[int]:
    """Descriptors of the `DIRECTORIES`, all of them made, with their modes, and writable.

    Modes that are not what they should be are mended, and logged. Raises SpoolError, with nothing
    left open, when a directory cannot be made, mended, entered or written, or when files cannot
    be moved between them.
    """
    if access.group is not None and not is_member(access.group):
        group, user = group_name(access.group), user_name(os.geteuid())
        raise SpoolError(
            f"the spool {path}: its group is to be {group}, and {user} is not in it; "
            f"gpasswd --add {user} {group}"
        )
    make(path, access)
    found: list[int] = []
    try:
        _mend_whole(path, access, log)
        for name in DIRECTORIES:
            found.append(  # noqa: PERF401 - what is open already has to be known
                _checked(os.path.join(path, name), access.directory(name), access, log)
            )
        if len({os.fstat(directory).st_dev for directory in found}) > 1:
            raise SpoolError(f"the spool {path}: its directories are on several file systems")
    except BaseException:
        for directory in found:
            os.close(directory)
        raise
    return found


def part_of_spool(spool: str, path: str) -> str | None:
    """Which of the spool's directories `path` is, or lies in, however it is spelled ("" is where we
    are); None when it is none of them."""
    own = {_identity(os.path.join(spool, name)): name for name in DIRECTORIES}
    place = Path(os.path.realpath(path))
    for each in (place, *place.parents):
        identity = _identity(each)
        if identity is not None and identity in own:
            return own[identity]
    return None


def _identity(path: str | Path) -> tuple[int, int] | None:
    """The device and the inode of what is there; None of what cannot be looked at, of which whoever
    uses it says why."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _make(path: str, mode: int, user: int, group: int) -> None:
    if os.path.isdir(path):
        return
    try:
        _make_above(path)
        os.mkdir(path, _ENTERED_BY_US)
        directory = os.open(path, _TO_OPEN | os.O_NOFOLLOW)
        try:
            given(directory, user, group)
            # Last: a change of the group takes the setgid bit away.
            os.fchmod(directory, mode)
        finally:
            os.close(directory)
    except OSError as error:
        words = f"the spool {path}: it cannot be made: {why(error, mode)}"
        raise refused(words, error) from error


def _make_above(path: str) -> None:
    above = os.path.dirname(path)
    if not os.path.exists(above):
        _make_above(above)
        os.mkdir(above)
        os.chmod(above, _ABOVE)


def _mend_whole(path: str, access: Access, log: Logger) -> None:
    """See to SPOOL itself. It may be root's, where nobody else can write: then its directories
    alone are ours, as Postfix has it with its queue."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise SpoolError(f"the spool {path}: {error.strerror}") from error
    is_roots = status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if os.geteuid() == 0 or not is_roots:
        directory = _open(path, os.O_DIRECTORY)
        _mend(directory, path, access.spool, access, log)
        os.close(directory)


def _checked(path: str, mode: int, access: Access, log: Logger) -> int:
    """An open descriptor of the directory `path`, after something was written in it."""
    directory = _open(path, os.O_DIRECTORY | os.O_NOFOLLOW)
    _mend(directory, path, mode, access, log)
    try:
        # In tmp/ and new/ others may have written: the name must be one that nobody guesses.
        name = b".writable.%s" % secrets.token_hex(8).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, PRIVATE, dir_fd=directory))
        remove(directory, name)
    except OSError as error:
        os.close(directory)
        words = f"the spool {path}: it is not writable: {error.strerror}"
        raise refused(words, error) from error
    return directory


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except OSError as error:
        raise SpoolError(f"the spool {path}: {error.strerror}") from error


def _mend(directory: int, path: str, mode: int, access: Access, log: Logger) -> None:
    """See that a directory is ours, and has its mode and group. Closes it where it is not."""
    wanted = shown(mode, access.group)
    try:
        owner = os.fstat(directory).st_uid
        if os.geteuid() not in (0, owner):
            raise PermissionError(f"it belongs to {user_name(owner)}")
        was = mended(directory, mode, access.group)
    except PermissionError as error:
        os.close(directory)
        user = user_name(os.geteuid())
        raise SpoolError(
            f"the spool {path}: {error}; it has to belong to {user} and to be {wanted}"
        ) from None
    if was is not None:
        log.warn("{path} was {was}, and is {now} now", path=path, was=was, now=wanted)
