"""The spool: the directories where job files are dropped, worked on and left.

Knows when a file is complete, whose it is and where it goes; not what it holds (`jobs.formats`).
All names are bytes, and every step goes through directories opened once: a name leads nowhere
else. Nothing here waits; times are the caller's `now`.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import signal
import stat
from collections.abc import Collection
from itertools import chain, count
from typing import BinaryIO

from attrs import frozen
from twisted.logger import Logger

from twisted_probe.jobs.access import PRIVATE_ACCESS, Access, group_name, user_name
from twisted_probe.jobs.archive import Archive
from twisted_probe.jobs.companions import Companions
from twisted_probe.jobs.directories import DIRECTORIES, SpoolError, opened
from twisted_probe.jobs.durable import DurableFile, exists, remove, rename
from twisted_probe.jobs.names import (
    DERIVED,
    ERROR,
    OPTIONS,
    fitted,
    is_job,
    is_options,
    numbered,
    printable,
)
from twisted_probe.jobs.room import Room

__all__ = ["DIRECTORIES", "SETTLE", "MissingJob", "Spool", "SpoolError", "StrangeFile"]

#: Seconds that a file must stay as it is where the kernel does not say whether somebody has it
#: open for writing (another user's file, NFS): some copies pause that long between two writes.
SETTLE = 5.0

#: Seconds that a file that we may not read stays in new/: time for whoever dropped it to mend that.
UNREADABLE = 600.0

#: Seconds that options wait in new/ for their list.
OPTIONS_PATIENCE = 600.0

#: Bytes of a job file that are read at once.
READ_AHEAD = 1 << 18

_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def ledger_path(spool: str) -> str:
    """Where the ledger of a spool lies."""
    return os.path.join(spool, "state", "ledger.sqlite")


class MissingJob(Exception):
    """A job's file is not where it was left."""


class StrangeFile(OSError):
    """What has a file's name is no plain file: somebody took the file away, and put that there. Put
    it aside, and drop the list again."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}; put it aside, and drop the list again"


class _UnusableOptions(Exception):
    """What is called NAME.job.toml is nothing that can be read. The message says why."""


@frozen
class _Sight:
    """How a file looked, and since when it looks so."""

    inode: int
    size: int
    changed_ns: int
    since: float

    def same(self, other: _Sight | None) -> bool:
        return other is not None and (self.inode, self.size, self.changed_ns) == (
            other.inode,
            other.size,
            other.changed_ns,
        )


class Spool:
    """The spool at `path`, made where there is none, with the modes and the group of `access`.

    `settle` is how many seconds a file must stay unchanged where leases are not to be had.

    Raises SpoolError when a directory cannot be made, mended, entered or written, or when files
    cannot be moved between them.
    """

    log = Logger()

    def __init__(
        self,
        path: str | os.PathLike[str],
        settle: float = SETTLE,
        access: Access = PRIVATE_ACCESS,
    ) -> None:
        self.path = os.path.abspath(path)
        self.access = access
        self._settle = settle
        self._seen: dict[bytes, _Sight] = {}
        self._reported: set[bytes] = set()
        self._opened = opened(self.path, access, self.log)
        tmp, self._new, self._active, self._done, self._failed, _ = self._opened
        self._companions = Companions(tmp, self._new, self._active, self._failed)
        self.room = Room(os.path.dirname(self.ledger_path))
        #: What lies in done/ and failed/.
        self.archive = Archive(self._done, self._failed)

    def check_in_place(self) -> None:
        """Raises SpoolError when one of the directories is not there any more, or another in its
        place: what is dropped there would never be seen."""
        for name, directory in zip(DIRECTORIES, self._opened, strict=True):
            path = os.path.join(self.path, name)
            try:
                is_it = os.path.samestat(os.stat(path), os.fstat(directory))
            except OSError:
                is_it = False
            if not is_it:
                raise SpoolError(f"the spool {path}: it is not what it was at the start")

    def close(self) -> None:
        """Let go of the directories."""
        while self._opened:
            os.close(self._opened.pop())

    @property
    def ledger_path(self) -> str:
        """Where the ledger lies."""
        return ledger_path(self.path)

    def traces(self) -> str:
        """What shows that there were jobs here, in words; empty where nothing does."""
        found = [("active", name) for name in self.active()] or self.archive.files()
        return "".join(f"{place}/ has {printable(name)}" for place, name in found[:1])

    # -- from new/ to active/

    def new(self) -> list[bytes]:
        """The names of the lists in new/, complete or not."""
        names = map(os.fsencode, os.listdir(self._new))
        return sorted(name for name in names if is_job(name) and not is_options(name))

    def scan(self, now: float) -> list[bytes]:
        """Claim the complete files of new/; returns their names in active/.

        A file is complete when nobody has it open for writing and it looks as it did at the
        last scan. What is no plain file of its own goes to failed/; a directory, and what cannot
        be read or moved, stays and is reported once. Options wait for their list and come with
        it; after ten minutes without it they go to failed/.
        """
        for options in self._companions.mend():
            self._move_to_failed(self._active, options, "its list is gone from active/")
        names = [name for name in map(os.fsencode, os.listdir(self._new)) if is_job(name)]
        self._seen = {name: sight for name in names if (sight := self._seen.get(name)) is not None}
        self._reported.intersection_update(names)
        claimed = []
        for name in sorted(names):
            try:
                taken = self._look_at(name, now)
            except FileNotFoundError:
                continue  # somebody took it back
            except OSError as error:
                self._report(name, error.strerror or str(error))
                continue
            if taken is not None:
                self._reported.discard(name)
                claimed.append(taken)
        if claimed:
            os.fsync(self._active)
            os.fsync(self._new)
        return claimed

    def _look_at(self, name: bytes, now: float) -> bytes | None:
        if is_options(name):
            self._look_at_options(name, now)
            return None
        status = os.stat(name, dir_fd=self._new, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._report(name, "it is a directory; drop the files in it instead")
            return None
        if (kind := _strange(status)) is not None:
            self._move_to_failed(self._new, name, f"it is {kind}; a job is a plain file")
            return None
        sight = _Sight(status.st_ino, status.st_size, status.st_mtime_ns, now)
        before = self._seen.get(name)
        if before is None or not sight.same(before) or now < before.since:
            self._seen[name] = sight
            return None
        settled = now - before.since >= self._settle
        if status.st_nlink > 1:
            # A delivery by link and unlink has two names for a moment.
            if settled:
                words = f"it has {status.st_nlink} names (hard links); a job has one"
                self._move_to_failed(self._new, name, words)
            return None
        try:
            descriptor = os.open(name, _TO_READ, dir_fd=self._new)
        except PermissionError:
            self._cannot_read(name, status, now - before.since)
            return None
        try:
            found = os.fstat(descriptor)
            if (found.st_ino, found.st_dev) != (status.st_ino, status.st_dev):
                return None
            written = _is_written(descriptor)
            if written or (written is None and not settled):
                return None
            # The lease, if there is one, is held until the file is out of new/.
            os.fsync(descriptor)
            return self._claim(name) if self._has_options_ready(name, now) else None
        finally:
            os.close(descriptor)

    def _cannot_read(self, name: bytes, status: os.stat_result, waited: float) -> None:
        """Say what its owner has to do, and wait for it: some programs that copy set the mode of
        a file last. Who did not hear of it is told in failed/."""
        why = self._why_unreadable(status)
        if waited < UNREADABLE:
            self._report(name, why)
        else:
            self._move_to_failed(self._new, name, f"{why}; drop it again then")

    def _why_unreadable(self, status: os.stat_result) -> str:
        owner, us = user_name(status.st_uid), user_name(os.geteuid())
        why = f"it is {owner}'s, and the service's user {us} may not read it: "
        group = self.access.group
        if group is None:
            why += "without a spool group, only that user drops files"
        elif status.st_gid != group:
            why += f"it needs chgrp {group_name(group)} and chmod g+r"
        else:
            why += "it needs chmod g+r"
        return why

    def _claim(self, name: bytes) -> bytes:
        target = self._free(fitted(name))
        has_options = exists(self._new, name + OPTIONS)
        if has_options:
            self._companions.claim(name, target)
        rename(self._new, name, self._active, target)
        if has_options:
            os.fsync(self._active)
            os.fsync(self._new)
            self._companions.claimed()
        return target

    def _look_at_options(self, name: bytes, now: float) -> None:
        status = os.stat(name, dir_fd=self._new, follow_symlinks=False)
        waited = now - self._sighted(name, status, now).since
        if waited >= OPTIONS_PATIENCE and not self._companions.is_awaited(name):
            lists_name = printable(name.removesuffix(OPTIONS))
            words = (
                f"no list {lists_name} has come within {OPTIONS_PATIENCE / 60:g} minutes; drop "
                "the options once more, and then the list"
            )
            self._move_to_failed(self._new, name, words)

    def _has_options_ready(self, name: bytes, now: float) -> bool:
        """Whether the list `name` has no options, or options that are complete.

        A list whose options are nothing to be read goes to failed/ with them: it is never asked
        about in another way than was wanted.
        """
        options = name + OPTIONS
        try:
            return not exists(self._new, options) or self._is_ready(options, now)
        except _UnusableOptions as problem:
            self._move_to_failed(self._new, name, f"{printable(options)}: {problem}")
        except OSError as error:
            self._report(options, error.strerror or str(error))
        return False

    def _is_ready(self, options: bytes, now: float) -> bool:
        status = os.stat(options, dir_fd=self._new, follow_symlinks=False)
        sight = self._sighted(options, status, now)
        if (kind := _strange(status)) is not None:
            raise _UnusableOptions(f"it is {kind}; options are a plain file of their own")
        settled = now - sight.since >= self._settle
        if status.st_nlink > 1 and settled:
            words = f"it has {status.st_nlink} names (hard links); options have one"
            raise _UnusableOptions(words)
        try:
            descriptor = os.open(options, _TO_READ, dir_fd=self._new)
        except PermissionError:
            why = self._why_unreadable(status)
            if now - sight.since >= UNREADABLE:
                raise _UnusableOptions(f"{why}; drop both again then") from None
            self._report(options, why)
            return False
        try:
            written = _is_written(descriptor)
        finally:
            os.close(descriptor)
        whole = settled if written is None else not written
        return whole and status.st_nlink == 1 and sight.since < now

    def _sighted(self, name: bytes, status: os.stat_result, now: float) -> _Sight:
        """How this file looks, since when."""
        sight = _Sight(status.st_ino, status.st_size, status.st_mtime_ns, now)
        before = self._seen.get(name)
        if before is not None and sight.same(before) and now >= before.since:
            return before
        self._seen[name] = sight
        return sight

    def _report(self, name: bytes, why: str) -> None:
        if name not in self._reported:
            self._reported.add(name)
            self.log.warn("{name} stays in new/: {why}", name=printable(name), why=why)

    # -- in active/

    def active(self) -> list[bytes]:
        """The names of the jobs in active/."""
        names = map(os.fsencode, os.listdir(self._active))
        return sorted(name for name in names if not name.startswith(b".") and not is_options(name))

    def options(self, name: bytes, limit: int) -> bytes | None:
        """The options of a job, at most `limit` bytes of them; None when it came without. Raises
        StrangeFile, or OSError when they cannot be read."""
        try:
            with self.open_active(name + OPTIONS) as file:
                return file.read(limit)
        except MissingJob:
            return None

    def open_active(self, name: bytes) -> BinaryIO:
        """A job file, to be read. Raises MissingJob when there is none, StrangeFile when it is no
        plain file, OSError when it cannot be read."""
        return _open_in(self._active, name)

    def open_done(self, name: bytes) -> BinaryIO:
        """The same of a job in done/."""
        return _open_in(self._done, name)

    # -- from active/ to done/ or failed/

    def name_in_done(self, name: bytes, promised: Collection[bytes] = ()) -> bytes:
        """What the job that is `name` in active/ can be called in done/, where other jobs were
        `promised` names."""
        return self._free(fitted(name), name, promised)

    def result(self, done_name: bytes, derived: bytes) -> DurableFile:
        """A file to be written beside `done_name` in done/."""
        return DurableFile(self._done, done_name + derived, self.access.results)

    def is_answered(self, name: bytes, derived: bytes) -> bool:
        """Whether the results of the job that is `name` in active/ are in done/, and only its
        file is not: names are free in done/ when a file is claimed."""
        return exists(self._done, name + derived) and not exists(self._done, name)

    def finish(self, name: bytes, done_name: bytes) -> None:
        """Move a job's file to done/; nothing happens where that was done before.

        Raises FileExistsError when another file took the name meanwhile, and MissingJob when the
        job's file is in neither place.
        """
        there = exists(self._done, done_name)
        if exists(self._active, name):
            if there:
                raise FileExistsError(errno.EEXIST, "taken in done/", printable(done_name))
            self._companions.follow(self._active, name, self._done, done_name)
            rename(self._active, name, self._done, done_name)
        elif not there:
            raise MissingJob(printable(name))
        os.fsync(self._done)
        os.fsync(self._active)

    def fail(self, name: bytes, message: str) -> bytes:
        """Move a job's file to failed/, with `message` in NAME.error.txt; returns NAME."""
        return self._move_to_failed(self._active, name, message)

    def is_failed(self, name: bytes) -> bool:
        """Whether a file of this name is in failed/."""
        return exists(self._failed, name)

    def _move_to_failed(self, source: int, name: bytes, message: str) -> bytes:
        target = fitted(name)
        if source == self._new:
            target = self._free(target)
        elif exists(self._failed, name):
            target = self._free(target, own=name)
        # The words come first: a file that stands without them would be a riddle.
        with DurableFile(self._failed, target + ERROR, self.access.results) as words:
            words.text.write(f"{message}\n")
            words.commit()
        try:
            rename(source, name, self._failed, target)
        except OSError:
            remove(self._failed, target + ERROR)
            raise
        self._companions.follow(source, name, self._failed, target)
        os.fsync(self._failed)
        os.fsync(source)
        self.log.warn("{name} is in failed/: {why}", name=printable(target), why=message)
        return target

    # -- names

    def _free(
        self, name: bytes, own: bytes | None = None, promised: Collection[bytes] = ()
    ) -> bytes:
        """`name`, or what it becomes where that is taken in active/, done/ or failed/."""
        candidates = chain((name,), (numbered(name, number) for number in count(2)))
        return next(
            candidate for candidate in candidates if self._is_free(candidate, own, promised)
        )

    def _is_free(self, name: bytes, own: bytes | None, promised: Collection[bytes]) -> bool:
        """Whether neither `name` nor what is derived of it is there, nor will be derived of
        another job; `own` is the name in active/ of the job that asks."""

        ours = () if own is None else (own, own + OPTIONS)

        def is_a_job(candidate: bytes) -> bool:
            return candidate in promised or (
                candidate not in ours and exists(self._active, candidate)
            )

        for candidate in (name, *(name + derived for derived in DERIVED)):
            if is_a_job(candidate):
                return False
            if exists(self._done, candidate) or exists(self._failed, candidate):
                return False
        return not any(
            name.endswith(derived) and is_a_job(name.removesuffix(derived)) for derived in DERIVED
        )


def _open_in(directory: int, name: bytes) -> BinaryIO:
    try:
        _check_plain(os.stat(name, dir_fd=directory, follow_symlinks=False), name)
        descriptor = os.open(name, _TO_READ, dir_fd=directory)
    except FileNotFoundError:
        raise MissingJob(printable(name)) from None
    try:
        _check_plain(os.fstat(descriptor), name)
    except StrangeFile:
        os.close(descriptor)
        raise
    return io.BufferedReader(io.FileIO(descriptor), READ_AHEAD)


def _check_plain(status: os.stat_result, name: bytes) -> None:
    if (kind := _strange(status)) is not None:
        raise StrangeFile(errno.EINVAL, f"it is {kind}, and was a plain file", printable(name))


def _strange(status: os.stat_result) -> str | None:
    """What it is that is no plain file; None of one."""
    kind = stat.S_IFMT(status.st_mode)
    return None if kind == stat.S_IFREG else _KINDS.get(kind, "something else")


def _is_written(descriptor: int) -> bool | None:
    """Whether anybody has this file open for writing; None where the kernel does not say.

    A read lease is granted only while nobody has. It is held until the descriptor is closed: who
    opens the file meanwhile waits that long. The signal that tells of such an opening is made one
    that is ignored; by itself it would be SIGIO, which kills.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    except AttributeError:  # not Linux
        return None
    return False
