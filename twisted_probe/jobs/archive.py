"""What lies in done/ and failed/ when its job is over, and how it is changed or taken away.

Knows which files belong to one list; not what is in them (`jobs.formats`), nor who wants them
changed (`jobs.forgetting`).
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from twisted_probe.jobs.durable import DurableFile, exists, remove
from twisted_probe.jobs.names import DERIVED, OBJECTS, RESULTS, SUMMARY, is_job, printable

_PIECE = 1 << 20
_GZIP = b"\x1f\x8b"
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Archive:
    """The files of these directories, given as open descriptors."""

    def __init__(self, done: int, failed: int) -> None:
        self._done = done
        self._failed = failed

    def lists(self) -> list[bytes]:
        """The names of the lists in done/, of which the results at least are there."""
        found = set(map(os.fsencode, os.listdir(self._done)))
        names = {
            name.removesuffix(results)
            for results in (RESULTS, OBJECTS)
            for name in found
            if name.endswith(results)
        }
        # A list may be called as results are.
        taken = {name for name in names if name + RESULTS in names or name + OBJECTS in names}
        return sorted(names - taken)

    def failed(self) -> list[bytes]:
        """The names of all that is in failed/ but our words to it."""
        return sorted(
            name
            for name in map(os.fsencode, os.listdir(self._failed))
            if not name.endswith(DERIVED) and not name.startswith(b".")
        )

    def has(self, name: bytes) -> bool:
        """Whether a list of this name is there, or what came of it; what came of another list is
        none."""
        if not is_job(name):
            return False
        is_done = any(exists(self._done, name + each) for each in (RESULTS, OBJECTS, SUMMARY))
        return is_done or (exists(self._failed, name) and not name.endswith(DERIVED))

    def open(self, name: bytes) -> BinaryIO | None:
        """A file in done/, to be read; None where there is none. Raises OSError where it is no
        plain file."""
        try:
            descriptor = os.open(name, _TO_READ, dir_fd=self._done)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"done/{printable(name)} is no plain file")
        return open(descriptor, "rb")

    def may_name(self, name: bytes, local: str) -> bool:
        """Whether a file in failed/ has this local part in it, as text in UTF-8 or UTF-16, or
        nobody can tell."""
        try:
            descriptor = os.open(name, _TO_READ, dir_fd=self._failed)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        words = [local.lower().encode(each) for each in ("utf-8", "utf-16-le", "utf-16-be")]
        overlap = max(map(len, words))
        with open(descriptor, "rb") as file:
            rest = b""
            while piece := file.read(_PIECE):
                text = (rest + piece).lower()
                if text.startswith(_GZIP) or any(word in text for word in words):
                    return True
                rest = text[-overlap:]
        return False

    def anew(self, name: bytes) -> DurableFile:
        """A file to be written in the place of one in done/, with its mode."""
        mode = os.stat(name, dir_fd=self._done, follow_symlinks=False).st_mode
        return DurableFile(self._done, name, stat.S_IMODE(mode) & 0o777)

    def discard(self, name: bytes) -> list[str]:
        """Take away all files of a list; which those were."""
        removed = []
        for title, directory in (("done", self._done), ("failed", self._failed)):
            for derived in (b"", *DERIVED):
                if exists(directory, name + derived):
                    remove(directory, name + derived)
                    removed.append(f"{title}/{printable(name + derived)}")
            os.fsync(directory)
        return removed
