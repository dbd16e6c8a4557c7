"""Everything that must be right before twistd forks: the spool, its owner, the sources, the lock.

Knows which mistakes are told to the person who starts the daemon, while there is still somebody
to tell; no thread, database or listening socket is made here.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from attrs import frozen

from twisted_probe.daemon.config import Config, ConfigError, check_sources, read_group
from twisted_probe.daemon.lock import Lock
from twisted_probe.daemon.settings import SOURCE
from twisted_probe.jobs.access import PRIVATE_ACCESS, Access, given, mended
from twisted_probe.jobs.database import NewerLedger, refuse_newer
from twisted_probe.jobs.directories import FullSpool, make, refused
from twisted_probe.jobs.durable import PRIVATE
from twisted_probe.jobs.spool import Spool, SpoolError


@frozen
class User:
    """Whom the daemon will run as (`twistd -u`, `-g`); None leaves it as it is."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_another(self) -> bool:
        """Whether that is somebody else than now."""
        return self.uid not in (None, os.geteuid()) or self.gid not in (None, os.getegid())


def prepare(config: Config, user: User | None = None) -> Lock:
    """Check and make what the daemon needs, and take the spool's lock.

    What is made is given to `user`, who must be able to work with what was there. Raises
    ConfigError, SpoolInUse when another process has the spool, or FullSpool.
    """
    check_sources(config.sources, config.named(SOURCE))
    access = access_of(config)
    named, spool = config.named("spool"), os.fspath(config.spool)
    other = user if user is not None and user.is_another else None
    try:
        _make_for(other or User(), config, access)
    except FullSpool:
        raise
    except SpoolError as error:
        raise ConfigError(f"{named}: {error}") from None
    try:
        with _acting_as(other) if other is not None else nullcontext():
            opened = Spool(spool, access=access)
            opened.close()
            _check_state(spool)
            refuse_newer(opened.ledger_path)
    except NewerLedger as error:
        raise ConfigError(str(error)) from None
    except FullSpool:
        raise
    except (SpoolError, OSError, KeyError) as error:
        if other is None:
            raise ConfigError(f"{named}: {error}") from None
        raise ConfigError(
            f"{named} {spool}: it cannot be used by {_name_of(other)}, whom the daemon is to run "
            f"as; change its owner ({error})"
        ) from None
    try:
        return Lock(_lock_path(spool))
    except OSError as error:
        raise _no_lock(named, spool, error) from None


def access_of(config: Config) -> Access:
    """The spool's modes and group. Raises ConfigError when there is no such group."""
    if config.spool_group is None:
        return PRIVATE_ACCESS
    return Access(read_group(config.spool_group, config.named("spool_group")))


def _lock_path(spool: str) -> str:
    return os.path.join(spool, "state", "lock")


def _no_lock(named: str, spool: str, error: OSError) -> ConfigError | FullSpool:
    words = f"{named}: the lock {_lock_path(spool)} cannot be had: {error.strerror}"
    why = refused(words, error)
    return why if isinstance(why, FullSpool) else ConfigError(words)


def _make_for(user: User, config: Config, access: Access) -> None:
    """Make what is missing, and give it to the user; what is there stays as it is."""
    named, spool = config.named("spool"), os.fspath(config.spool)
    uid = -1 if user.uid is None else user.uid
    gid = -1 if user.gid is None else user.gid
    make(spool, access, uid, gid)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        lock = os.open(_lock_path(spool), flags, PRIVATE)
    except FileExistsError:
        return
    except OSError as error:
        raise _no_lock(named, spool, error) from None
    try:
        given(lock, uid, gid)
        os.fchmod(lock, PRIVATE)
    except OSError as error:
        raise _no_lock(named, spool, error) from None
    finally:
        os.close(lock)


def _check_state(spool: str) -> None:
    """See that every file in state/ can be written, and by nobody else."""
    with os.scandir(os.path.join(spool, "state")) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                file = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    mended(file, PRIVATE)
                except PermissionError as error:
                    raise SpoolError(f"{entry.path}: {error}") from None
                finally:
                    os.close(file)


@contextmanager
def _acting_as(user: User) -> Iterator[None]:
    """Be the user for a moment, as twistd will be for good: what groups, parent directories and
    mounts allow is for the kernel to say."""
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        if user.uid is not None:
            account = pwd.getpwuid(user.uid)
            os.initgroups(account.pw_name, account.pw_gid if user.gid is None else user.gid)
            os.setegid(account.pw_gid if user.gid is None else user.gid)
            os.seteuid(user.uid)
        elif user.gid is not None:
            os.setegid(user.gid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def _name_of(user: User) -> str:
    if user.uid is None:
        return f"group {user.gid}"
    try:
        return pwd.getpwuid(user.uid).pw_name
    except KeyError:
        return f"user {user.uid}"
