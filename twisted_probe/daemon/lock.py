"""One process for one spool, the daemon or a command without it, also where its lock is removed.

Knows flock: taken before twistd forks, it is the open file's and so passes to the daemon; a
POSIX lock (lockf) would end with the process that forked.
"""

from __future__ import annotations

import fcntl
import os

from twisted_probe.jobs.durable import is_at


class SpoolInUse(Exception):
    """A daemon works on this spool, or a command without one. Stop the daemon, let the command
    end, or name another spool."""


class Lock:
    """Holds `path` locked until `release`, or until the process is gone, however it goes.

    Raises SpoolInUse when somebody else holds it, with the process that wrote itself into it.
    """

    def __init__(self, path: str) -> None:
        # twistd changes the directory.
        self._path = os.path.abspath(path)
        self._file = _locked(path)

    def sign(self) -> None:
        """Write our process number into the file, for whoever finds it locked. To be called
        after twistd has forked."""
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def renew(self) -> bool:
        """Whether the file was taken away, or another was put in its place, which would have let
        somebody else in; what has its name now is locked and signed then.

        Raises SpoolInUse when somebody else was quicker, OSError when there is no such file to be
        had; nothing has changed then.
        """
        if is_at(self._path, self._file):
            return False
        file, old = _locked(self._path), self._file
        self._file = file
        self.sign()
        os.close(old)
        return True

    def release(self) -> None:
        """Let others in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _locked(path: str) -> int:
    """The file `path`, open and locked by us. Raises SpoolInUse, or OSError."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            signed = os.read(file, 32).decode("ascii", "replace").strip()
            os.close(file)
            holder = f"process {signed}" if signed.isdigit() else "another process"
            raise SpoolInUse(
                f"{path}: the spool is in use by {holder} "
                "(a daemon, or mailprobe forget or reclassify)"
            ) from None
        # Between the two it may have been taken away, and locks nothing.
        if is_at(path, file):
            # Whoever signed it before is gone.
            os.ftruncate(file, 0)
            return file
        os.close(file)
