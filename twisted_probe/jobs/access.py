"""Who may do what in the spool: the modes of its directories and files, and the group they have.

Knows the table of design section 4 and how it is put into effect, whatever the umask; not what
the directories are for (`jobs.spool`).
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat

from attrs import frozen

#: The service alone, or with a spool group: its users write into tmp/ and new/, each their own
#: files only (sticky), in the group's name (setgid); they read done/ and failed/; they pass
#: through SPOOL, and through state/ to the control socket. active/ is nobody else's.
_PRIVATE = 0o700
_SHARED = {
    "tmp": 0o3770,
    "new": 0o3770,
    "active": _PRIVATE,
    "done": 0o2750,
    "failed": 0o2750,
    "state": 0o710,
}
_SHARED_SPOOL = 0o750


@frozen
class Access:
    """The modes of a spool that is the service's alone, or also that of the users in `group`."""

    group: int | None = None

    @property
    def spool(self) -> int:
        """The mode of SPOOL itself."""
        return _PRIVATE if self.group is None else _SHARED_SPOOL

    def directory(self, name: str) -> int:
        """The mode of the directory of that name in it."""
        return _PRIVATE if self.group is None else _SHARED[name]

    @property
    def results(self) -> int:
        """The mode of what the service writes into done/ and failed/."""
        return 0o600 if self.group is None else 0o640

    @property
    def socket(self) -> int:
        """The mode of the control socket; give it the group too."""
        return 0o600 if self.group is None else 0o660


PRIVATE_ACCESS = Access()


def access_at(path: str) -> Access:
    """The access of a spool that is there, as its directories show it."""
    status = os.stat(os.path.join(path, "done"))
    is_shared = stat.S_IMODE(status.st_mode) == _SHARED["done"]
    return Access(status.st_gid) if is_shared else PRIVATE_ACCESS


def group_number(text: str) -> int:
    """The group of that name or number. Raises KeyError when there is no such group.

    A number need not be known to this machine: containers have such groups.
    """
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        if text.isascii() and text.isdigit() and int(text) < 2**32 - 1:
            return int(text)
        raise


def group_name(group: int) -> str:
    """A group's name, or its number where it has none."""
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def user_name(user: int) -> str:
    """A user's name, or their number where they have none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def is_member(group: int) -> bool:
    """Whether we may act in the group's name."""
    return os.geteuid() == 0 or group in (os.getegid(), *os.getgroups())


def given(descriptor: int, user: int = -1, group: int = -1) -> None:
    """Give what is open there to that user and group (-1: as it is), where it is not theirs.

    A service that is shut in may not call chown(2) at all, not even to change nothing.
    """
    status = os.fstat(descriptor)
    if user not in (-1, status.st_uid) or group not in (-1, status.st_gid):
        os.fchown(descriptor, user, group)


def mended(descriptor: int, mode: int, group: int | None = None) -> str | None:
    """Give what is open there this mode, and this group unless it is None.

    Returns what it was, in words, when that was something else. Raises PermissionError with words
    when the kernel does not let us.
    """
    before = os.fstat(descriptor)
    if _is_so(before, mode, group):
        return None
    was = _words(before)
    try:
        # In this order: a change of the group takes the setgid bit away.
        given(descriptor, group=-1 if group is None else group)
        os.fchmod(descriptor, mode)
    except OSError as error:
        raise PermissionError(f"it is {was}, which cannot be changed: {why(error, mode)}") from None
    # The kernel drops a setgid bit without a word, and so do some file systems with all of it.
    if not _is_so(os.fstat(descriptor), mode, group):
        raise PermissionError(f"it is {_words(os.fstat(descriptor))}, whatever it is changed to")
    return was


def why(error: OSError, mode: int) -> str:
    """Why `mode` could not be set."""
    words = error.strerror or str(error)
    if error.errno == errno.EPERM and mode & stat.S_ISGID:
        words += " (under systemd it takes RestrictSUIDSGID=no)"
    return words


def shown(mode: int, group: int | None = None) -> str:
    """A mode as chmod takes it, and whose."""
    return f"{mode:04o}" + ("" if group is None else f" of group {group_name(group)}")


def _is_so(status: os.stat_result, mode: int, group: int | None) -> bool:
    return stat.S_IMODE(status.st_mode) == mode and group in (None, status.st_gid)


def _words(status: os.stat_result) -> str:
    return shown(stat.S_IMODE(status.st_mode), status.st_gid)
