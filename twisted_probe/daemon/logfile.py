"""Where log lines go: a file that never grows without bound, standard output, or syslog.

Knows rotation, and what each of them keeps by itself; not what a line says (`daemon.loglines`).
"""

from __future__ import annotations

import os
import stat
import syslog
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted_probe.jobs.access import given
from twisted_probe.jobs.durable import PRIVATE

#: Bytes after which the file is moved aside, and how many such files are kept: 100 MB in all.
#: twistd's own log is moved aside at 1 MB and every old one is kept.
LIMIT = 10_000_000
KEPT = 9
#: Seconds between two looks at whether somebody else has moved the file.
LOOK = 1.0

#: Levels as syslog and the journal number them.
PRIORITIES = {
    "debug": syslog.LOG_DEBUG,
    "info": syslog.LOG_INFO,
    "warn": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
    "critical": syslog.LOG_CRIT,
}


class Sink(Protocol):
    """Takes the lines of one event at a time. Raises OSError when it cannot."""

    @property
    def keeps_time(self) -> bool:
        """Whether it notes time and level by itself, so that lines need not say them."""
        ...

    def write(self, level: str, lines: Sequence[str]) -> None:
        """Write the lines, at once."""
        ...


class LogFile:
    """Appends to the file at `path`; made with mode 0600 where there is none.

    Rotated in either of two ways. By itself: at `limit` bytes it becomes `path.1`, which becomes
    `path.2`, up to `kept` of them, so that it is bounded though nobody has set anything up. Or by
    others: when the name leads to another file, or to none, or on `reopen`, a new one is opened;
    logrotate may rename it and needs to send nothing. A file that is copied and truncated is
    appended to at its new end.

    Where a new file cannot be opened (a directory that the daemon's user may not write), the old
    one goes on.
    """

    keeps_time = False

    def __init__(
        self,
        path: str,
        *,
        user: int = -1,
        group: int = -1,
        limit: int = LIMIT,
        kept: int = KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # twistd changes the directory later. What a link leads to is rotated, not the link.
        self.path = os.path.realpath(path) if os.path.isfile(path) else os.path.abspath(path)
        self._limit = limit
        self._kept = kept
        self._clock = clock
        self._file, is_new = self._open(PRIVATE)
        if is_new:
            given(self._file, user, group)
        self._size = os.fstat(self._file).st_size
        self._looked = clock()
        #: Why it could not be rotated, the last time that it had to be.
        self.trouble: str | None = None

    def write(self, level: str, lines: Sequence[str]) -> None:
        """Append the lines."""
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        if self._clock() - self._looked >= LOOK:
            self._looked = self._clock()
            if not self._is_there():
                self.reopen()
        if self._size + len(data) > self._limit:
            self._rotate(len(data))
        self._size += len(data)
        while data:
            data = data[os.write(self._file, data) :]

    def reopen(self) -> None:
        """Go on in the file that has the name now, or in a new one."""
        mode = os.fstat(self._file).st_mode & 0o777
        with suppress(OSError):
            file, _ = self._open(mode)
            os.close(self._file)
            self._file = file
        self._size = os.fstat(self._file).st_size

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _open(self, mode: int) -> tuple[int, bool]:
        """The file, and whether it was made, with `mode` whatever the umask."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            return os.open(self.path, flags), False
        os.fchmod(file, mode)
        return file, True

    def _is_there(self) -> bool:
        try:
            there = os.stat(self.path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._file))

    def _rotate(self, needed: int) -> None:
        """Make room, if it is needed: somebody may have truncated the file."""
        status = os.fstat(self._file)
        self._size = status.st_size
        if self._size + needed <= self._limit or not stat.S_ISREG(status.st_mode):
            return
        try:
            for number in range(self._kept - 1, 0, -1):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            os.replace(self.path, f"{self.path}.1")
            self.trouble = None
        except OSError as error:
            self.trouble = error.strerror
        self.reopen()
        # Not to be tried again with every line where it does not work.
        self._size = min(self._size, self._limit // 2)


class Stream:
    """Writes to a stream, as standard output; `environment` tells whether that is the journal,
    which is told each line's level (sd-daemon(3)) and keeps the time itself."""

    def __init__(self, stream: Any, environment: Mapping[str, str] | None = None) -> None:
        self._stream = stream
        self.keeps_time = _is_journal(stream, environment or {})

    def write(self, level: str, lines: Sequence[str]) -> None:
        """Write the lines."""
        mark = f"<{PRIORITIES[level]}>" if self.keeps_time else ""
        text = "".join(f"{mark}{line}\n" for line in lines)
        # Whatever the locale says: the log is UTF-8.
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None:
            self._stream.write(text)
        else:
            buffer.write(text.encode("utf-8", "backslashreplace"))
        self._stream.flush()


class Syslog:
    """Writes to syslog, under the name that twistd was told (`--prefix`)."""

    keeps_time = True

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._is_open = False

    def write(self, level: str, lines: Sequence[str]) -> None:
        """Send each line."""
        if not self._is_open:
            # Not before twistd has forked: each line names the process.
            syslog.openlog(self._prefix, syslog.LOG_PID, syslog.LOG_DAEMON)
            self._is_open = True
        for line in lines:
            syslog.syslog(PRIORITIES[level], line)


def _is_journal(stream: Any, environment: Mapping[str, str]) -> bool:
    try:
        status = os.fstat(stream.fileno())
    except (OSError, AttributeError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
