"""Small disks of a test's own, which nobody else sees and which are gone with the process:
mounting them needs root on Linux."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

from tests.lacking import end_without

# linux/sched.h, sys/mount.h
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18
_BALLAST, _CROWD = ".ballast", ".many"


def require_mounts() -> None:
    """End the test here where no disk can be had."""
    if sys.platform.startswith("linux") and _may_mount():
        return
    end_without("small disk", "mounting one needs root on Linux")


def _may_mount() -> bool:
    pid = os.fork()
    if not pid:
        with suppress(OSError):
            _leave()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def mount_small(directory: Path, size: int, files: int) -> None:
    """Give this process, and no other, a disk of so many bytes and files in `directory`."""
    _leave()
    options = f"size={size},nr_inodes={files}".encode()
    _call("mount", b"small", os.fsencode(directory), b"tmpfs", 0, options)


def _leave() -> None:
    """See no mounts of others from here on, nor they ours."""
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def _call(name: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def fill(directory: Path, left: int = 0) -> None:
    """Take all bytes but so many."""
    with (directory / _BALLAST).open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass
    with (directory / _BALLAST).open("r+b") as file:
        # In whole pages, of which the disk is made.
        size = file.seek(0, os.SEEK_END)
        file.truncate(max(0, size - left))


def crowd(directory: Path, left: int = 0) -> None:
    """Take the room for all files but so many."""
    many = directory / _CROWD
    many.mkdir()
    made = 0
    with suppress(OSError):
        for made in range(100_000):
            (many / str(made)).touch()
    for number in range(made - left, made):
        (many / str(number)).unlink()


def clear(directory: Path) -> None:
    """Give all of that back."""
    (directory / _BALLAST).unlink(missing_ok=True)
    many = directory / _CROWD
    if many.exists():
        for each in many.iterdir():
            each.unlink()
        many.rmdir()
