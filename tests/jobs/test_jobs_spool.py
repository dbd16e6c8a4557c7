"""Which files are taken from new/, when, under which name; and where they end."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import Logger

from twisted_probe.jobs import names
from twisted_probe.jobs import spool as spool_module
from twisted_probe.jobs.names import ERROR, RESULTS
from twisted_probe.jobs.spool import MissingJob, Spool, SpoolError

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def spool(path: Path, events: list[dict[str, Any]]) -> Iterator[Spool]:
    spool = Spool(path)
    spool.log = Logger("test", observer=events.append)  # type: ignore[arg-type]
    yield spool
    spool.close()


@pytest.fixture
def without_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, command: int, argument: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fcntl, "fcntl", refused)


def scans(spool: Spool, *times: float) -> list[bytes]:
    """All that is claimed by scans at these seconds."""
    return [name for moment in times for name in spool.scan(NOW + moment)]


class TestMaking:
    def test_directories(self, spool: Spool, path: Path) -> None:
        made = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.iterdir()}

        assert made == dict.fromkeys(("tmp", "new", "active", "done", "failed", "state"), 0o700)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert [list(directory.iterdir()) for directory in path.iterdir()] == [[]] * 6

    def test_whatever_the_umask(self, path: Path) -> None:
        before = os.umask(0o777)
        try:
            Spool(path).close()
        finally:
            os.umask(before)

        assert stat.S_IMODE((path / "new").stat().st_mode) == 0o700

    def test_a_file_in_the_way(self, path: Path) -> None:
        path.mkdir()
        (path / "done").touch()

        with pytest.raises(SpoolError, match="done: it cannot be made: File exists"):
            Spool(path)

    def test_a_link_in_the_way(self, path: Path, tmp_path: Path) -> None:
        path.mkdir()
        (path / "done").symlink_to(tmp_path)

        with pytest.raises(SpoolError, match=r"the spool .*/done: "):
            Spool(path)

    def test_not_writable(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        really = os.open

        def read_only(name: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_CREAT:
                raise OSError(30, "Read-only file system")
            return really(name, flags, *rest, **more)

        monkeypatch.setattr(os, "open", read_only)
        before = len(os.listdir("/proc/self/fd"))

        with pytest.raises(SpoolError, match="tmp: it is not writable: Read-only file system"):
            Spool(path)

        assert len(os.listdir("/proc/self/fd")) == before

    def test_several_file_systems(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        really = os.fstat
        devices = count()

        def elsewhere(descriptor: int) -> os.stat_result:
            values = list(really(descriptor))
            values[stat.ST_DEV] = next(devices)
            return os.stat_result(values)

        monkeypatch.setattr(os, "fstat", elsewhere)

        with pytest.raises(SpoolError, match="on several file systems"):
            Spool(path)


class TestComplete:
    def test_the_second_scan_takes_it(self, spool: Spool, path: Path) -> None:
        (path / "new" / "list").write_text("a@b.example\n")

        assert scans(spool, 0) == []
        assert scans(spool, 0.1) == [b"list"]
        assert (path / "active" / "list").read_text() == "a@b.example\n"
        assert scans(spool, 1, 2) == []

    def test_row_151_not_while_it_grows(self, spool: Spool, path: Path) -> None:
        file = path / "new" / "list"
        for size in range(1, 4):
            file.write_text("x" * size)
            assert scans(spool, size) == []
        os.utime(file, ns=(0, 0))
        assert scans(spool, 4) == []

        assert scans(spool, 5) == [b"list"]

    def test_not_when_it_is_another_file(self, spool: Spool, path: Path) -> None:
        file = path / "new" / "list"
        file.write_text("x")
        os.utime(file, ns=(0, 0))
        spool.scan(NOW)
        other = path / "tmp" / "list"
        other.write_text("y")
        os.utime(other, ns=(0, 0))
        other.rename(file)

        assert scans(spool, 100) == []
        assert scans(spool, 101) == [b"list"]

    @pytest.mark.parametrize("mode", ["w", "a", "r+"])
    def test_row_151_not_while_it_is_open_for_writing(
        self, spool: Spool, path: Path, mode: str
    ) -> None:
        file = path / "new" / "list"
        file.write_text("a@b.example\nhalf")
        with file.open(mode) as half:
            assert scans(spool, *range(1000)) == []
            half.write("x")

        assert scans(spool, 1000, 1001) == [b"list"]

    def test_not_while_another_process_writes(self, spool: Spool, path: Path) -> None:
        program = "import sys; f = open(sys.argv[1], 'w'); print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-I", "-c", program, path / "new" / "list"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdin is not None
            writer.stdout.readline()
            assert scans(spool, *range(100)) == []
            writer.stdin.close()
            writer.wait()

            assert scans(spool, 100, 101) == [b"list"]

    def test_somebody_reads(self, spool: Spool, path: Path) -> None:
        (path / "new" / "list").write_text("x")
        with (path / "new" / "list").open():
            assert scans(spool, 0, 1) == [b"list"]

    @pytest.mark.usefixtures("without_leases")
    def test_without_leases_it_must_have_settled(self, spool: Spool, path: Path) -> None:
        (path / "new" / "list").write_text("x")
        assert scans(spool, 0, 1, 4.9) == []
        (path / "new" / "list").write_text("xy")
        assert scans(spool, 5, 9.9) == []

        assert scans(spool, 10) == [b"list"]

    @pytest.mark.usefixtures("without_leases")
    def test_a_clock_set_back_does_not_hold_it_up(self, spool: Spool, path: Path) -> None:
        (path / "new" / "list").write_text("x")

        assert scans(spool, 10_000, 0, 1) == []
        assert scans(spool, 5) == [b"list"]

    def test_the_lease_is_gone_afterwards(self, spool: Spool, path: Path) -> None:
        (path / "new" / "list").write_text("x")
        scans(spool, 0, 1)

        descriptor = os.open(path / "active" / "list", os.O_WRONLY | os.O_NONBLOCK)
        os.close(descriptor)

    def test_a_break_of_the_lease_kills_nobody(self, path: Path) -> None:
        # What opens the file for writing during the lease gets EWOULDBLOCK, we get the signal.
        program = """
import fcntl, os, sys
from twisted_probe.jobs.spool import _is_written
fd = os.open(sys.argv[1], os.O_RDONLY)
assert _is_written(fd) is False
try:
    os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
except BlockingIOError:
    print("alive")
"""
        file = path.with_name("list")
        file.touch()

        done = subprocess.run(
            [sys.executable, "-c", program, file], capture_output=True, check=False, text=True
        )

        assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")

    @pytest.mark.parametrize(
        "name", [".hidden", "list.tmp", "list.PART", "list.part", "list~", "list.csv~", ".a.csv"]
    )
    def test_row_151_names_of_what_is_no_job(self, spool: Spool, path: Path, name: str) -> None:
        (path / "new" / name).write_text("x")

        assert scans(spool, *range(10)) == []
        assert os.listdir(path / "new") == [name]

    def test_empty(self, spool: Spool, path: Path) -> None:
        (path / "new" / "list").touch()

        assert scans(spool, 0, 1) == [b"list"]

    def test_row_152_taken_back(
        self, spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (path / "new" / "one").write_text("x")
        (path / "new" / "two").write_text("x")
        spool.scan(NOW)
        really = os.rename

        def too_late(name: Any, *rest: Any, **more: Any) -> None:
            if name == b"one":
                os.unlink(path / "new" / "one")
            really(name, *rest, **more)

        monkeypatch.setattr(os, "rename", too_late)

        assert scans(spool, 1) == [b"two"]

    def test_trouble_with_one_is_told_once_and_stops_no_other(
        self,
        spool: Spool,
        path: Path,
        events: list[dict[str, Any]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name in ("one", "two"):
            (path / "new" / name).write_text("x")
        really = os.open

        def denied(name: Any, *rest: Any, **more: Any) -> int:
            if name == b"one":
                raise OSError(5, "Input/output error")
            return really(name, *rest, **more)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", denied)
            assert scans(spool, *range(10)) == [b"two"]

        assert [(event["name"], event["why"]) for event in events] == [
            ("one", "Input/output error")
        ]
        assert scans(spool, 10) == [b"one"]


class TestNoPlainFile:
    def failed(self, path: Path) -> dict[str, str]:
        directory = path / "failed"
        return {
            entry.name: entry.read_text()
            for entry in directory.iterdir()
            if entry.name.endswith(".error.txt")
        }

    def test_row_153_a_symbolic_link_is_moved_and_not_followed(
        self, spool: Spool, path: Path, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text("a@b.example\n")
        (path / "new" / "list").symlink_to(secret)

        assert scans(spool, 0, 1) == []

        assert (path / "failed" / "list").is_symlink()
        assert self.failed(path) == {
            "list.error.txt": "it is a symbolic link; a job is a plain file\n"
        }
        assert secret.read_text() == "a@b.example\n"

    def test_row_153_a_pipe_a_socket(
        self, spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        os.mkfifo(path / "new" / "pipe")
        monkeypatch.chdir(path / "new")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")

        assert scans(spool, 0, 1) == []

        assert self.failed(path) == {
            "pipe.error.txt": "it is a named pipe; a job is a plain file\n",
            "socket.error.txt": "it is a socket; a job is a plain file\n",
        }
        assert os.listdir(path / "new") == []

    def test_row_153_hard_links(self, spool: Spool, path: Path, tmp_path: Path) -> None:
        (tmp_path / "other").write_text("x")
        os.link(tmp_path / "other", path / "new" / "list")

        assert scans(spool, 0, 1) == []
        assert self.failed(path) == {}
        assert scans(spool, 6) == []

        assert self.failed(path) == {
            "list.error.txt": "it has 2 names (hard links); a job has one\n"
        }

    def test_row_153_a_delivery_by_link_and_unlink(self, spool: Spool, path: Path) -> None:
        (path / "tmp" / "list").write_text("x")
        os.link(path / "tmp" / "list", path / "new" / "list")
        assert scans(spool, 0, 1) == []
        os.unlink(path / "tmp" / "list")

        assert scans(spool, 2) == [b"list"]

    def test_row_153_a_directory_stays_and_is_told_once(
        self, spool: Spool, path: Path, events: list[dict[str, Any]]
    ) -> None:
        (path / "new" / "lists").mkdir()

        assert scans(spool, *range(10)) == []

        assert (path / "new" / "lists").is_dir()
        assert [event["name"] for event in events] == ["lists"]


class TestNames:
    @pytest.mark.parametrize(
        "name", [b"-rf", b"a\nb.csv", b"\xff\xfe.txt", b"..list", b"%s%d", b"a b'c\"d", b"~"]
    )
    def test_row_160_any_bytes(self, spool: Spool, path: Path, name: bytes) -> None:
        with open(os.fsencode(path / "new") + b"/" + name, "wb"):
            pass
        claimed = scans(spool, 0, 1)

        if names.is_job(name):
            assert claimed == spool.active() == [name]
            spool.finish(name, spool.name_in_done(name))
            assert os.listdir(os.fsencode(path / "done")) == [name]
        else:
            assert claimed == []

    def test_row_156_a_taken_name(self, spool: Spool, path: Path) -> None:
        for directory in ("active", "done", "failed"):
            for number in range(3):
                (path / "new" / "list.csv").write_text(directory)
                (claimed,) = scans(spool, 2 * number, 2 * number + 1)
                if directory == "done":
                    spool.finish(claimed, claimed)
                elif directory == "failed":
                    spool.fail(claimed, "words")

        assert sorted(os.listdir(path / "active")) == ["list.csv", "list.csv~2", "list.csv~3"]
        assert sorted(os.listdir(path / "done")) == ["list.csv~4", "list.csv~5", "list.csv~6"]
        assert "list.csv~9.error.txt" in os.listdir(path / "failed")

    @pytest.mark.parametrize("directory", ["active", "done", "failed"])
    @pytest.mark.parametrize(
        "derived", [".results.csv", ".results.jsonl", ".summary.json", ".error.txt"]
    )
    def test_a_name_that_another_needs(
        self, spool: Spool, path: Path, derived: str, directory: str
    ) -> None:
        (path / directory / f"list{derived}").touch()
        (path / "active" / "other").touch()
        (path / "new" / "list").touch()
        (path / "new" / f"other{derived}").touch()

        assert scans(spool, 0, 1) == [b"list~2", f"other{derived}~2".encode()]

    def test_promised_names(self, spool: Spool, path: Path) -> None:
        (path / "active" / "list~2").touch()
        (path / "done" / "list").touch()
        (path / "active" / "list").touch()

        assert spool.name_in_done(b"list~2") == b"list~2"
        assert spool.name_in_done(b"list") == b"list~3"
        assert spool.name_in_done(b"list~2", {b"list~2"}) == b"list~3"
        assert spool.name_in_done(b"list", {b"list~3", b"list~4"}) == b"list~5"

    @pytest.mark.parametrize("suffix", ["", ".csv", "." + "x" * 200])
    def test_row_160_the_longest_name(self, spool: Spool, path: Path, suffix: str) -> None:
        for number in range(12):
            (path / "new" / ("n" * (255 - len(suffix)) + suffix)).touch()
            (name,) = scans(spool, 2 * number, 2 * number + 1)
            assert names.suffix(name) == suffix.encode()
            with spool.result(name, RESULTS) as results:
                results.commit()
            if number % 2:
                spool.finish(name, name)
            else:
                spool.fail(name, "words")

    def test_printable(self) -> None:
        assert names.printable(b"a\n\xff\xe2\x80\xae\xc3\xbc") == r"a\x0a\xff\u202eü"


class TestLeaving:
    def test_fail(self, spool: Spool, path: Path) -> None:
        (path / "active" / "list").write_text("x")

        assert spool.fail(b"list", "line 3: …") == b"list"

        assert (path / "failed" / "list").read_text() == "x"
        words = path / "failed" / "list.error.txt"
        assert words.read_text("utf-8") == "line 3: …\n"
        assert stat.S_IMODE(words.stat().st_mode) == 0o600
        assert spool.is_failed(b"list")
        assert spool.active() == []

    def test_fail_after_a_crash_between_words_and_file(self, spool: Spool, path: Path) -> None:
        (path / "active" / "list").write_text("x")
        (path / "failed" / "list.error.txt").write_text("half")
        (path / "failed" / ".list.error.txt.tmp").write_text("less")

        assert spool.fail(b"list", "whole") == b"list"

        assert sorted(os.listdir(path / "failed")) == ["list", "list.error.txt"]
        assert (path / "failed" / "list.error.txt").read_text() == "whole\n"

    def test_fail_where_somebody_put_a_file_of_that_name(self, spool: Spool, path: Path) -> None:
        (path / "active" / "list").write_text("x")
        (path / "failed" / "list").write_text("theirs")

        assert spool.fail(b"list", "words") == b"list~2"
        assert (path / "failed" / "list").read_text() == "theirs"

    def test_finish_again(self, spool: Spool, path: Path) -> None:
        (path / "active" / "list").write_text("x")

        spool.finish(b"list", b"list~2")
        spool.finish(b"list", b"list~2")

        assert os.listdir(path / "done") == ["list~2"]

    def test_finish_replaces_nothing(self, spool: Spool, path: Path) -> None:
        (path / "active" / "list").write_text("x")
        (path / "done" / "list").write_text("theirs")

        with pytest.raises(FileExistsError):
            spool.finish(b"list", b"list")

        assert (path / "done" / "list").read_text() == "theirs"

    def test_what_is_not_there(self, spool: Spool) -> None:
        with pytest.raises(MissingJob):
            spool.finish(b"list", b"list")
        with pytest.raises(MissingJob):
            spool.open_active(b"list")
        assert not spool.is_failed(b"list")

    def test_only_plain_files_are_opened(self, spool: Spool, path: Path, tmp_path: Path) -> None:
        (path / "active" / "link").symlink_to(tmp_path)
        os.mkfifo(path / "active" / "pipe")
        (path / "active" / "directory").mkdir()
        before = len(os.listdir("/proc/self/fd"))

        for name in (b"link", b"pipe", b"directory"):
            with pytest.raises(OSError, match=name.decode()):
                spool.open_active(name)

        assert len(os.listdir("/proc/self/fd")) == before


class TestDurableFile:
    def test_not_there_before_the_commit(self, spool: Spool, path: Path) -> None:
        (path / "done" / "list.error.txt").write_text("before")
        (path / "done" / ".list.error.txt.tmp").symlink_to(path / "new" / "elsewhere")

        with spool.result(b"list", ERROR) as file:
            file.text.write("after \ud800\n")
            assert (path / "done" / "list.error.txt").read_text() == "before"
            file.commit()

        assert (path / "done" / "list.error.txt").read_text() == "after \\ud800\n"
        assert os.listdir(path / "done") == ["list.error.txt"]
        assert os.listdir(path / "new") == []

    def test_given_up(self, spool: Spool, path: Path) -> None:
        with spool.result(b"list", ERROR) as file:
            file.text.write("x" * 100_000)

        assert os.listdir(path / "done") == []

    def test_on_a_full_disk(
        self, spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with spool.result(b"list", ERROR) as file:
            file.text.write("x")
            monkeypatch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space"):
                file.commit()

        assert os.listdir(path / "done") == []


def test_the_kernel_has_leases_here(tmp_path: Path) -> None:
    """Else the tests above would prove less than they seem to."""
    with (tmp_path / "file").open("x") as file:
        assert fcntl.fcntl(file, fcntl.F_GETLEASE) == fcntl.F_UNLCK
        with (tmp_path / "file").open() as reading:
            assert spool_module._is_written(reading.fileno()) is True
    with (tmp_path / "file").open() as reading:
        assert spool_module._is_written(reading.fileno()) is False
