"""Files that are there whole or not at all, whatever happens to the machine.

Knows the order of write, fsync, rename and fsync of the directory, and that a name never leads out
of its directory, whoever chose it; not what is written.
"""

from __future__ import annotations

import errno
import io
import os
from contextlib import suppress
from types import TracebackType
from typing import BinaryIO, TextIO

#: Only the service reads what it wrote, unless it is told otherwise (design section 4).
PRIVATE = 0o600


class DurableFile:
    """A file in `directory` (an open descriptor) that gets its `name` by `commit` alone.

    What is written goes to a hidden file beside it; a file that has the name already is replaced
    at once and as a whole. Leaving the `with` block, or `close`, without a commit removes the
    hidden file. What is written is `text`, or else `bytes`. Text is UTF-8; what UTF-8 cannot say is
    escaped with a backslash.
    """

    def __init__(self, directory: int, name: bytes, mode: int = PRIVATE) -> None:
        self._directory = directory
        self._name = _checked(name)
        self._hidden = hidden(name)
        remove(directory, self._hidden)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._hidden, flags, mode, dir_fd=directory)
        self._open = True
        os.fchmod(descriptor, mode)
        self.bytes: BinaryIO = io.BufferedWriter(io.FileIO(descriptor, "w"))
        self.text: TextIO = io.TextIOWrapper(self.bytes, "utf-8", "backslashreplace", newline="")

    def commit(self) -> None:
        """Make the file durable under its name. Raises OSError where what was written is not there
        any more, or another has its place."""
        self.text.flush()
        os.fsync(self.text.fileno())
        written = os.fstat(self.text.fileno())
        self.text.close()
        there = os.stat(self._hidden, dir_fd=self._directory, follow_symlinks=False)
        if not os.path.samestat(written, there):
            raise OSError(errno.ESTALE, "another file took the place", os.fsdecode(self._hidden))
        rename(self._directory, self._hidden, self._directory, self._name)
        self._open = False
        os.fsync(self._directory)

    def close(self) -> None:
        """Give up what was not committed."""
        if self._open:
            self._open = False
            # A full disk refuses the buffered rest once more; it is thrown away anyhow.
            with suppress(OSError):
                self.text.close()
            remove(self._directory, self._hidden)

    def __enter__(self) -> DurableFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def hidden(name: bytes) -> bytes:
    """What a file is called until it is whole; one that is left of a process that ended then is
    replaced when it is written again."""
    return b".%s.tmp" % name


def is_gone(path: str | os.PathLike[str]) -> bool:
    """Whether nothing is at `path`, or a file with nothing in it. What cannot be looked at is not
    gone: whoever opens it says why that cannot be."""
    try:
        return not os.lstat(path).st_size
    except FileNotFoundError:
        return True
    except OSError:
        return False


def is_at(path: str, file: int) -> bool:
    """Whether what is at `path` is this open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def exists(directory: int, name: bytes) -> bool:
    """Whether anything has this name in `directory`, be it a link that leads nowhere."""
    if not _is_name(name):
        return False
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        # Nothing has a name that is too long for one.
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
    return True


def rename(source: int, name: bytes, target: int, new_name: bytes) -> None:
    """rename(2) between two open directories; not durable before both are synced. Raises
    ValueError for what is no name of a file in them."""
    os.rename(_checked(name), _checked(new_name), src_dir_fd=source, dst_dir_fd=target)


def remove(directory: int, name: bytes) -> None:
    """Remove a file if it is there. Raises ValueError for what is no name of a file in
    `directory`."""
    with suppress(FileNotFoundError):
        os.unlink(_checked(name), dir_fd=directory)


def _is_name(name: bytes) -> bool:
    """Whether it names something in a directory: an absolute path would make the directory that it
    is given with count for nothing, `..` would leave it."""
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name


def _checked(name: bytes) -> bytes:
    if not _is_name(name):
        raise ValueError(f"{name!r} is no name of a file in a directory")
    return name
