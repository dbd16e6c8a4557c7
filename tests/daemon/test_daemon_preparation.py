"""What is made, checked and handed over before twistd forks; and what is not begun yet."""

from __future__ import annotations

import os
import pwd
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from twisted_probe.daemon.config import Config, ConfigError
from twisted_probe.daemon.lock import SpoolInUse
from twisted_probe.daemon.preparation import User, prepare
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.spool import DIRECTORIES
from twisted_probe.vocabulary.source import Source

NOBODY = pwd.getpwnam("nobody")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can enter."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def spool(place: Path) -> Path:
    return place / "spool"


def config_of(spool: Path, address: str = "127.0.0.21") -> Config:
    return Config(
        spool=spool,
        sources=(Source(address, helo="probe1.example.org"),),
        reverse_path="probe@example.org",
        resolvers=(("127.0.0.1", 53),),
    )


def refusal(spool: Path, user: User | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        prepare(config_of(spool), user)
    return str(caught.value)


def owners(spool: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in (spool, *spool.glob("**/*"))}


def open_files() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


# ---------------------------------------------------------------- what is made, and what is not


def test_the_spool_is_made(spool: Path) -> None:
    prepare(config_of(spool)).release()
    assert {path.name for path in spool.iterdir()} == set(DIRECTORIES)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc")
def test_nothing_but_the_lock_is_held_and_no_thread_database_or_port_begun(spool: Path) -> None:
    threads, files = threading.enumerate(), open_files()
    lock = prepare(config_of(spool))
    assert threading.enumerate() == threads
    assert open_files() - files == {str(spool / "state" / "lock")}
    lock.release()
    assert open_files() == files
    assert [path.name for path in (spool / "state").iterdir()] == ["lock"]


def test_preparing_again_is_no_trouble(spool: Path) -> None:
    prepare(config_of(spool)).release()
    prepare(config_of(spool)).release()


# ---------------------------------------------------------------- what is refused


def test_a_source_of_another_machine_is_refused_before_anything_is_made(spool: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--source 192\.0\.2\.1: "):
        prepare(config_of(spool, "192.0.2.1"))
    assert not spool.exists()


def test_a_second_daemon_is_refused(spool: Path) -> None:
    lock = prepare(config_of(spool))
    lock.sign()
    with pytest.raises(SpoolInUse) as caught:
        prepare(config_of(spool))
    assert str(caught.value) == (
        f"{spool}/state/lock: the spool is in use by process {os.getpid()} "
        "(a daemon, or mailprobe forget or reclassify)"
    )
    lock.release()


def test_a_lock_that_cannot_be_opened(spool: Path) -> None:
    prepare(config_of(spool)).release()
    (spool / "state" / "lock").unlink()
    (spool / "state" / "lock").mkdir()
    assert refusal(spool) == (f"--spool: the lock {spool}/state/lock cannot be had: Is a directory")


# ---------------------------------------------------------------- twistd -u and -g


@as_root
def test_what_was_made_is_the_users(spool: Path) -> None:
    prepare(config_of(spool), User(NOBODY.pw_uid, NOBODY.pw_gid)).release()
    assert owners(spool) == {(NOBODY.pw_uid, NOBODY.pw_gid)}


@as_root
def test_nobody_is_become_for_good(spool: Path) -> None:
    before = os.geteuid(), os.getegid(), os.getgroups()
    prepare(config_of(spool), User(NOBODY.pw_uid)).release()
    (spool / "new").chmod(0)
    refusal(spool, User(NOBODY.pw_uid))
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@as_root
def test_a_user_without_a_group(spool: Path) -> None:
    prepare(config_of(spool), User(NOBODY.pw_uid)).release()
    assert owners(spool) == {(NOBODY.pw_uid, os.getegid())}


@as_root
def test_a_group_without_a_user(spool: Path) -> None:
    prepare(config_of(spool), User(gid=NOBODY.pw_gid)).release()
    assert owners(spool) == {(0, NOBODY.pw_gid)}


@as_root
def test_what_was_there_keeps_its_owner(spool: Path) -> None:
    spool.mkdir(mode=0o711)
    prepare(config_of(spool), User(NOBODY.pw_uid, NOBODY.pw_gid)).release()
    assert spool.stat().st_uid == 0
    assert (spool / "new").stat().st_uid == NOBODY.pw_uid
    # That was enough: it is there for the second time as for the first.
    prepare(config_of(spool), User(NOBODY.pw_uid, NOBODY.pw_gid)).release()


@as_root
def test_a_directory_that_the_user_cannot_write(spool: Path) -> None:
    prepare(config_of(spool)).release()
    spool.chmod(0o711)
    words = refusal(spool, User(NOBODY.pw_uid, NOBODY.pw_gid))
    assert words.startswith(
        f"--spool {spool}: it cannot be used by nobody, whom the daemon is to run as; change its "
        "owner (the spool "
    )
    # Nothing is held after a refusal.
    prepare(config_of(spool)).release()


@as_root
def test_a_ledger_that_the_user_cannot_write(spool: Path) -> None:
    user = User(NOBODY.pw_uid, NOBODY.pw_gid)
    prepare(config_of(spool), user).release()
    (spool / "state" / "ledger.sqlite").touch(mode=0o600)
    assert refusal(spool, user) == (
        f"--spool {spool}: it cannot be used by nobody, whom the daemon is to run as; change its "
        f"owner ([Errno 13] Permission denied: '{spool}/state/ledger.sqlite')"
    )


@as_root
def test_a_place_that_the_user_cannot_enter(place: Path) -> None:
    (place / "closed").mkdir(mode=0o700)
    words = refusal(place / "closed" / "spool", User(NOBODY.pw_uid, NOBODY.pw_gid))
    assert "cannot be used by nobody" in words
    assert "Permission denied" in words


@as_root
def test_what_the_users_own_group_may_write_is_not_enough(spool: Path) -> None:
    """Who else is in that group is not known; `spool_group` says it."""
    prepare(config_of(spool)).release()
    for path in (spool, *spool.iterdir()):
        os.chown(path, 0, NOBODY.pw_gid)
        path.chmod(0o770)
    words = refusal(spool, User(NOBODY.pw_uid))
    assert words.endswith("it belongs to root; it has to belong to nobody and to be 0700)")


@as_root
def test_a_user_who_is_not_there(spool: Path) -> None:
    assert "cannot be used by user 54321" in refusal(spool, User(54321))


@pytest.mark.parametrize("user", [None, User(), User(os.geteuid(), os.getegid())])
def test_whoever_starts_it_may_run_it(spool: Path, user: User | None) -> None:
    prepare(config_of(spool), user).release()
    assert owners(spool) == {(os.geteuid(), os.getegid())}


# ---------------------------------------------------------------- a newer version's ledger


def test_a_newer_ledger_is_refused_before_anything_is_begun(spool: Path) -> None:
    prepare(config_of(spool)).release()
    path = spool / "state" / "ledger.sqlite"
    Ledger(path).close()
    prepare(config_of(spool)).release()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    assert refusal(spool).startswith(f"the ledger {path}: its schema is version 99, this program")
