"""What lies in done/ and failed/ when its job is over, and how it is changed or taken away.

Knows which files belong to one list; not what is in them (`jobs.formats`), nor who wants them
changed (`jobs.forgetting`).
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from twisted_probe.jobs.durable import DurableFile, exists, hidden, remove
from twisted_probe.jobs.names import (
    DERIVED,
    ERROR,
    OBJECTS,
    OPTIONS,
    RESULTS,
    SUMMARY,
    is_job,
    printable,
)

_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: The files of a list, in the order in which they are taken away.
_TO_DISCARD = (OPTIONS, b"", SUMMARY, OBJECTS, RESULTS, ERROR)


class Archive:
    """The files of these directories, given as open descriptors."""

    def __init__(self, done: int, failed: int) -> None:
        self._done = done
        self._failed = failed
        self._places = {"done": done, "failed": failed}

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

    def files(self) -> list[tuple[str, bytes]]:
        """All plain files in done/ and failed/: the directory and the name of each."""
        return [
            (place, name)
            for place, directory in self._places.items()
            for name in sorted(map(os.fsencode, os.listdir(directory)))
            if not name.startswith(b".") and _is_plain(directory, name)
        ]

    def has(self, name: bytes) -> bool:
        """Whether a list of this name is there, or what came of it; what came of another list is
        none."""
        if not is_job(name):
            return False
        if any(exists(self._done, name + each) for each in (RESULTS, OBJECTS, SUMMARY)):
            return True
        # A list that failed may be called as results are: then our words to it are beside it.
        return exists(self._failed, name + ERROR) or (
            not name.endswith(DERIVED)
            and any(exists(directory, name) for directory in self._places.values())
        )

    def open(self, name: bytes, place: str = "done") -> BinaryIO | None:
        """A file in done/, or in failed/, to be read; None where there is none. Raises OSError
        where it is no plain file."""
        try:
            descriptor = os.open(name, _TO_READ, dir_fd=self._places[place])
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{place}/{printable(name)} is no plain file")
        return open(descriptor, "rb")

    def anew(self, name: bytes) -> DurableFile:
        """A file to be written in the place of one in done/, with its mode."""
        mode = os.stat(name, dir_fd=self._done, follow_symlinks=False).st_mode
        return DurableFile(self._done, name, stat.S_IMODE(mode) & 0o777)

    def discard(self, name: bytes) -> list[str]:
        """Take away all files of a list; which those were. Those by which `has` knows it go last:
        whoever is interrupted finds it again."""
        removed = []
        for place, directory in self._places.items():
            for derived in _TO_DISCARD:
                remove(directory, hidden(name + derived))
                if exists(directory, name + derived):
                    remove(directory, name + derived)
                    removed.append(f"{place}/{printable(name + derived)}")
            os.fsync(directory)
        return removed


def _is_plain(directory: int, name: bytes) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
