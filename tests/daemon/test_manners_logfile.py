"""The log file: bounded, rotated by itself or by others, and never the daemon's end."""

from __future__ import annotations

import io
import os
import stat
import syslog
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_probe.daemon.logfile import LOOK, PRIORITIES, LogFile, Stream, Syslog

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mailprobe.log"


@pytest.fixture
def log(path: Path, clock: Clock) -> Iterator[LogFile]:
    log = LogFile(str(path), limit=100, kept=3, clock=clock.seconds)
    yield log
    log.close()


def say(log: LogFile, *lines: str) -> None:
    log.write("info", lines)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


# ---------------------------------------------------------------- by itself


def test_lines(log: LogFile, path: Path) -> None:
    say(log, "one", "\ttwo")
    say(log, "žluť \udc80")

    assert path.read_text("utf-8") == "one\n\ttwo\nžluť \\udc80\n"


def test_it_is_private(log: LogFile, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_there_is_kept(path: Path) -> None:
    path.write_text("before\n")
    path.chmod(0o640)
    log = LogFile(str(path))
    say(log, "after")
    log.close()

    assert path.read_text() == "before\nafter\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@as_root
def test_it_is_the_users(path: Path) -> None:
    LogFile(str(path), user=4_123_456, group=4_123_457).close()
    assert (path.stat().st_uid, path.stat().st_gid) == (4_123_456, 4_123_457)

    # What was there is somebody's already.
    LogFile(str(path), user=4_123_458).close()
    assert path.stat().st_uid == 4_123_456


def test_it_never_grows_without_bound(log: LogFile, path: Path) -> None:
    path.chmod(0o640)
    for number in range(1000):
        say(log, f"line {number:4}")

    assert names(path) == ["mailprobe.log", *(f"mailprobe.log.{number}" for number in (1, 2, 3))]
    files = [path, *(path.with_name(f"mailprobe.log.{number}") for number in (1, 2, 3))]
    assert max(file.stat().st_size for file in files) <= 100
    lines = "".join(file.read_text() for file in reversed(files)).splitlines()
    assert lines == [f"line {number:4}" for number in range(1000 - len(lines), 1000)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}
    assert log.trouble is None


def test_it_goes_on_where_it_was(path: Path, clock: Clock) -> None:
    path.write_text("x" * 95 + "\n")
    log = LogFile(str(path), limit=100, kept=3, clock=clock.seconds)
    say(log, "after")
    log.close()

    assert path.read_text() == "after\n"
    assert len(path.with_name("mailprobe.log.1").read_text()) == 96


def test_one_line_that_is_longer_than_the_limit(log: LogFile, path: Path) -> None:
    for _ in range(3):
        say(log, "x" * 200)

    assert path.read_text() == "x" * 200 + "\n"


def test_a_directory_that_may_not_be_written(
    log: LogFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file goes on, the trouble is told, and it is not tried with every line."""
    tried = []

    def refused(old: str, new: str) -> None:
        tried.append(old)
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refused)
        for number in range(40):
            say(log, f"line {number:4}")
        assert log.trouble == "Permission denied"
        assert len(tried) < 10
    assert len(path.read_text().splitlines()) == 40
    assert names(path) == ["mailprobe.log"]

    # Once it may, it is.
    for number in range(40, 80):
        say(log, f"line {number:4}")
    assert log.trouble is None
    assert "mailprobe.log.1" in names(path)


def test_a_link_is_no_file_to_be_moved(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "real.log").touch()
    (tmp_path / "link.log").symlink_to(tmp_path / "real.log")
    log = LogFile(str(tmp_path / "link.log"), limit=100, kept=3, clock=clock.seconds)
    for number in range(15):
        say(log, f"line {number:4}")
    log.close()

    assert sorted(os.listdir(tmp_path)) == ["link.log", "real.log", "real.log.1"]
    assert (tmp_path / "link.log").read_text().splitlines()[-1] == "line   14"


def test_what_is_no_file_is_not_rotated(tmp_path: Path, clock: Clock) -> None:
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(str(tmp_path / "pipe"), limit=100, kept=3, clock=clock.seconds)
    for number in range(15):
        say(log, f"line {number:4}")

    assert os.listdir(tmp_path) == ["pipe"]
    assert len(os.read(reading, 4096).splitlines()) == 15
    log.close()
    os.close(reading)


# ---------------------------------------------------------------- by others


def test_it_is_renamed(log: LogFile, path: Path, clock: Clock) -> None:
    """logrotate need not tell us; it takes a second."""
    say(log, "one")
    path.rename(path.with_name("old"))
    say(log, "two")
    clock.advance(LOOK)
    say(log, "three")

    assert path.with_name("old").read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_it_is_replaced(log: LogFile, path: Path, clock: Clock) -> None:
    """logrotate's `create`."""
    say(log, "one")
    path.rename(path.with_name("old"))
    path.write_text("")
    path.chmod(0o644)
    clock.advance(LOOK)
    say(log, "two")

    assert path.read_text() == "two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_it_is_told(log: LogFile, path: Path) -> None:
    say(log, "one")
    path.rename(path.with_name("old"))
    log.reopen()
    say(log, "two")

    assert path.with_name("old").read_text() == "one\n"
    assert path.read_text() == "two\n"


def test_it_is_truncated(log: LogFile, path: Path) -> None:
    """logrotate's `copytruncate`: no hole, and no rotation of what is short."""
    say(log, "x" * 90)
    path.write_bytes(b"")
    say(log, "after", "that")

    assert path.read_text() == "after\nthat\n"
    assert names(path) == ["mailprobe.log"]


def test_it_cannot_be_opened_again(
    log: LogFile, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.open

    def refused(name: Any, *rest: Any, **more: Any) -> int:
        if name == str(path):
            raise PermissionError(13, "Permission denied")
        return really(name, *rest, **more)

    path.rename(path.with_name("old"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        clock.advance(LOOK)
        say(log, "one")
    clock.advance(LOOK)
    say(log, "two")

    assert path.with_name("old").read_text() == "one\n"
    assert path.read_text() == "two\n"


def test_twistd_changes_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = LogFile("mailprobe.log")
    monkeypatch.chdir("/")
    log.reopen()
    say(log, "one")
    log.close()

    assert (tmp_path / "mailprobe.log").read_text() == "one\n"


# ---------------------------------------------------------------- standard output, the journal


def test_a_stream() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    Stream(stream).write("info", ["žluť \udc80", "\ttwo"])

    assert not Stream(stream).keeps_time
    assert stream.buffer.getvalue().decode() == "žluť \\udc80\n\ttwo\n"


def test_a_stream_of_text() -> None:
    stream = io.StringIO()
    Stream(stream, {"JOURNAL_STREAM": "1:2"}).write("info", ["one"])

    assert stream.getvalue() == "one\n"


def test_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        sink = Stream(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        sink.write("warn", ["one", "\ttwo"])
        sink.write("critical", ["three"])

    assert sink.keeps_time
    assert (tmp_path / "journal").read_text() == "<4>one\n<4>\ttwo\n<2>three\n"


def test_standard_output_of_the_same_unit_is_not_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "redirected").open("w") as stream:
        assert not Stream(stream, {"JOURNAL_STREAM": "8:12345"}).keeps_time


# ---------------------------------------------------------------- syslog


def test_syslog(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[Any, ...]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *words: said.append(words))
    monkeypatch.setattr(syslog, "syslog", lambda *words: said.append(words))
    sink = Syslog("mailprobe")
    # Not before twistd has forked: each line names the process.
    assert said == []
    sink.write("error", ["one", "\ttwo"])
    sink.write("info", ["three"])

    assert said == [
        ("mailprobe", syslog.LOG_PID, syslog.LOG_DAEMON),
        (syslog.LOG_ERR, "one"),
        (syslog.LOG_ERR, "\ttwo"),
        (syslog.LOG_INFO, "three"),
    ]


def test_every_level_has_a_priority() -> None:
    assert list(PRIORITIES) == ["debug", "info", "warn", "error", "critical"]
    assert sorted(PRIORITIES.values(), reverse=True) == list(PRIORITIES.values())
