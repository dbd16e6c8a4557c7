"""One daemon for one spool, through forks, until the last of its processes is gone."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from twisted_probe.daemon.lock import Lock, SpoolInUse


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def in_use(path: Path, process: int | None = None) -> str:
    """The words of whoever finds it locked by that process, if it has signed."""
    holder = "another process" if process is None else f"process {process}"
    return f"{path}: the spool is in use by {holder} (a daemon, or mailprobe forget or reclassify)"


def words_of_a_second_lock(path: Path) -> str:
    with pytest.raises(SpoolInUse) as caught:
        Lock(str(path))
    return str(caught.value)


def test_a_second_lock_in_the_same_process(path: Path) -> None:
    lock = Lock(str(path))
    lock.sign()
    words = in_use(path, os.getpid())
    assert words_of_a_second_lock(path) == words
    lock.release()
    Lock(str(path)).release()


def test_releasing_twice(path: Path) -> None:
    lock = Lock(str(path))
    lock.release()
    lock.release()


def test_the_lock_is_private(path: Path) -> None:
    Lock(str(path)).release()
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_that_did_not_sign_yet_is_not_taken_for_the_one_before(path: Path) -> None:
    before = Lock(str(path))
    before.sign()
    before.release()
    lock = Lock(str(path))
    assert words_of_a_second_lock(path) == in_use(path)
    lock.release()


def test_a_lock_file_with_rubbish_in_it(path: Path) -> None:
    lock = Lock(str(path))
    path.write_bytes(b"\x1b[2J\xff 12")
    assert words_of_a_second_lock(path) == in_use(path)
    lock.release()


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    path.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        Lock(str(path))
    assert elsewhere.read_text() == "precious"


# ---------------------------------------------------------------- one that is taken away


def test_one_that_is_in_its_place_is_not_renewed(path: Path) -> None:
    lock = Lock(str(path))
    assert not lock.renew()
    lock.release()


@pytest.mark.parametrize("is_replaced", [False, True], ids=["gone", "replaced"])
def test_one_that_was_taken_away_is_renewed(
    path: Path, is_replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    lock = Lock(path.name)
    # As twistd does.
    monkeypatch.chdir("/")
    path.unlink()
    if is_replaced:
        path.touch()
    assert lock.renew()
    words = in_use(path, os.getpid())
    assert words_of_a_second_lock(path) == words
    assert not lock.renew()
    lock.release()
    Lock(str(path)).release()


def test_one_that_somebody_else_has_by_now(path: Path) -> None:
    lock = Lock(str(path))
    path.unlink()
    other = Lock(str(path))
    other.sign()
    words = in_use(path, os.getpid())
    with pytest.raises(SpoolInUse) as caught:
        lock.renew()
    assert str(caught.value) == words
    other.release()
    assert lock.renew()
    lock.release()


def test_one_that_cannot_be_had_again(path: Path) -> None:
    lock = Lock(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        lock.renew()
    path.rmdir()
    assert lock.renew()
    lock.release()


def test_one_that_is_taken_away_while_it_is_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no name any more keeps nobody out."""
    really = fcntl.flock
    left = [path]

    def flock(file: int, operation: int) -> None:
        if left:
            left.pop().unlink()
        really(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(str(path))
    assert words_of_a_second_lock(path).startswith(f"{path}: the spool is in use by ")
    lock.release()


# ---------------------------------------------------------------- other processes


HOLDER = """
import sys
from twisted_probe.daemon.lock import Lock
lock = Lock(sys.argv[1])
lock.sign()
print("locked", flush=True)
sys.stdin.read()
"""

#: Locks, forks, and lets the parent go, as twistd does.
FORKING_HOLDER = """
import os, sys
from twisted_probe.daemon.lock import Lock
lock = Lock(sys.argv[1])
if os.fork():
    os._exit(0)
lock.sign()
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def test_row_162_another_process_is_refused_until_the_first_is_gone(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        words = in_use(path, holder.pid)
        assert words_of_a_second_lock(path) == words
        holder.kill()
    Lock(str(path)).release()


def test_the_lock_passes_to_the_process_that_was_forked(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING_HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        child = int(parent.stdout.readline())
        assert parent.wait() == 0
        assert child != parent.pid
        words = in_use(path, child)
        assert words_of_a_second_lock(path) == words
        # Its input ends, and so does the child; its output ends with it.
        parent.stdin.close()
        assert parent.stdout.read() == ""
    Lock(str(path)).release()
