"""What one server of the street is made of. Knows the shape only; each server has a module beside
this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..anchor import Command, Directory, File

ROOT, NOBODY = 0, 65534


@dataclass(frozen=True)
class Part:
    """One server: its users, its files, its command, and where it says what it did.

    `users` have a group of the same name and number each. `listeners` are the TCP endpoints that
    say that it is up, `log` is the file that it writes. `package` is Debian's.
    """

    package: str
    log: str
    argv: Sequence[str]
    listeners: Sequence[tuple[str, int]]
    users: Mapping[str, int] = field(default_factory=dict)
    directories: Sequence[Directory] = ()
    files: Sequence[File] = ()
    prepare: Sequence[Command] = ()
    logs_itself: bool = True

    @property
    def command(self) -> Command:
        """The server's own; what it says goes to the log, where it does not write it itself."""
        return command(self.argv, "" if self.logs_itself else self.log)


def directory(path: str, mode: int = 0o755, uid: int = ROOT, gid: int = ROOT) -> Directory:
    """A directory, root's where nothing else is said."""
    return Directory(path=path, mode=mode, uid=uid, gid=gid)


def file(path: str, *lines: str, mode: int = 0o644, uid: int = ROOT) -> File:
    """A file of these lines."""
    return File(path=path, text="".join(f"{line}\n" for line in lines), mode=mode, uid=uid, gid=uid)


def command(argv: Sequence[str], output: str = "") -> Command:
    """A command, and the file that takes what it says."""
    return Command(argv=argv, output=output)
