"""Room on the disk: whether more work may be begun.

Knows how much is kept free for what is under way, and how a disk shows that it has room again;
not what is begun (`jobs.intake`, `jobs.ledger_work`).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress

from twisted.logger import Logger

from twisted_probe.jobs.durable import PRIVATE

#: Bytes that are kept free: the outcomes of all sessions that are open, several times over.
FREE = 64 << 20
#: Files that can still be made: two for each job whose results are being written, and others'.
FREE_FILES = 100
#: Bytes that must be written to be believed that a disk that refused some takes them again: quotas
#: are not to be seen otherwise.
TRIAL = 1 << 20
#: Seconds between two trials.
REST = 5.0

_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Room:
    """The room on the disk where `directory` lies. Used in one thread, but for `failed`."""

    log = Logger()

    def __init__(self, directory: str) -> None:
        self._trial = os.path.join(directory, ".trial.tmp")
        self._directory = directory
        self._has_failed = False
        self._rests_until = 0.0
        #: Why nothing is begun; empty while there is room.
        self.lack = ""

    def look(self, now: float) -> bool:
        """Whether there is room; what has changed is logged."""
        lack = self._lacks()
        if not lack and self._has_failed:
            if now < self._rests_until <= now + REST:
                return False
            self._rests_until = now + REST
            lack = self._try()
            self._has_failed = bool(lack)
        if lack and not self.lack:
            self.log.error(
                "{lack}: no list is taken and nobody is asked until there is room", lack=lack
            )
        elif self.lack and not lack:
            self.log.info("there is room on the disk again; lists are taken, recipients asked")
        self.lack = lack
        return not lack

    def failed(self, error: BaseException) -> None:
        """Something could not be written. Where the disk is to blame there is no room until a
        trial has shown some."""
        is_refused = isinstance(error, OSError) and error.errno in _REFUSED
        if is_refused or isinstance(error, sqlite3.OperationalError):
            self._has_failed = True

    def _lacks(self) -> str:
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            return f"the spool's disk: {error.strerror}"
        free = found.f_bavail * found.f_frsize
        if free < FREE:
            return f"the spool's disk has {free >> 20} MiB free, of {FREE >> 20} that are kept so"
        # Some file systems count no files; they say 0 of 0.
        if found.f_files and found.f_favail < FREE_FILES:
            return f"the spool's disk has room for {found.f_favail} more files (inodes)"
        return ""

    def _try(self) -> str:
        try:
            self._write()
        except OSError as error:
            return f"the spool's disk refuses what is written: {error.strerror}"
        finally:
            with suppress(OSError):
                os.unlink(self._trial)
        return ""

    def _write(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._trial, flags, PRIVATE)
        try:
            left = TRIAL
            while left:
                left -= os.write(descriptor, bytes(left))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
