"""Everything that must be right before twistd forks: the spool, its owner, the sources, the lock.

Knows which mistakes are told to the person who starts the daemon, while there is still somebody
to tell; no thread, database or listening socket is made here.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from twisted_probe.daemon.config import Config, ConfigError, check_sources
from twisted_probe.daemon.lock import Lock
from twisted_probe.jobs.spool import DIRECTORIES, Spool, SpoolError


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

    What was made is given to `user`, who must be able to work with what was there. Raises
    ConfigError, or SpoolInUse when another daemon has the spool.
    """
    check_sources(config.sources)
    spool = os.fspath(config.spool)
    before = {each for each in _paths(spool) if os.path.exists(each)}
    try:
        Spool(spool).close()
        lock = Lock(_lock_path(spool))
    except SpoolError as error:
        raise ConfigError(f"--spool: {error}") from None
    except OSError as error:
        raise ConfigError(
            f"--spool: the lock {_lock_path(spool)} cannot be had: {error.strerror}"
        ) from None
    try:
        if user is not None and user.is_another:
            _hand_over(spool, before, user)
    except BaseException:
        lock.release()
        raise
    return lock


def _lock_path(spool: str) -> str:
    return os.path.join(spool, "state", "lock")


def _paths(spool: str) -> list[str]:
    inside = [os.path.join(spool, name) for name in DIRECTORIES]
    return [spool, *inside, _lock_path(spool)]


def _hand_over(spool: str, before: set[str], user: User) -> None:
    """Give what we made to the user, and see that they can work with all that is there."""
    try:
        for path in _paths(spool):
            if path not in before:
                os.chown(
                    path,
                    -1 if user.uid is None else user.uid,
                    -1 if user.gid is None else user.gid,
                )
        with _acting_as(user):
            Spool(spool).close()
            with os.scandir(os.path.join(spool, "state")) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        os.close(os.open(entry.path, os.O_RDWR | os.O_CLOEXEC))
    except (SpoolError, OSError, KeyError) as error:
        raise ConfigError(
            f"--spool {spool}: it cannot be used by {_name_of(user)}, whom the daemon is to run "
            f"as; change its owner ({error})"
        ) from None


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
