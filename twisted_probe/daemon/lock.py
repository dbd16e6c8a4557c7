"""One daemon for one spool.

Knows flock: taken before twistd forks, it is the open file's and so passes to the daemon; a
POSIX lock (lockf) would end with the process that forked.
"""

from __future__ import annotations

import fcntl
import os


class SpoolInUse(Exception):
    """Another daemon works on this spool. Stop it, or name another spool."""


class Lock:
    """Holds `path` locked until `release`, or until the process is gone, however it goes.

    Raises SpoolInUse when somebody else holds it, with the process that wrote itself into it.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            raise SpoolInUse(
                f"{path}: another daemon works on this spool"
                + (f" (process {holder})" if holder.isdigit() else "")
            ) from None
        # Whoever signed it before is gone.
        os.ftruncate(self._file, 0)

    def sign(self) -> None:
        """Write our process number into the file, for whoever finds it locked. To be called
        after twistd has forked."""
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let others in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
