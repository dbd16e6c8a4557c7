"""The daemon's log: what is written, how often, and where twistd's options want it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]
from zope.interface.verify import verifyObject

from twisted_probe.daemon.flood import WINDOW
from twisted_probe.daemon.logfile import LogFile, Stream, Syslog
from twisted_probe.daemon.logs import DaemonLog, open_log


class Written:
    """A sink that keeps the lines, and can be full."""

    keeps_time = True
    trouble: str | None = None

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.levels: list[str] = []
        self.is_full = False

    def write(self, level: str, lines: Sequence[str]) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.lines += lines
        self.levels.append(level)


@pytest.fixture
def sink() -> Written:
    return Written()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def observer(sink: Written, clock: Clock) -> DaemonLog:
    return DaemonLog(sink, clock=clock.seconds)


@pytest.fixture
def log(observer: DaemonLog) -> Logger:
    return Logger("twisted_probe.daemon.service", observer=observer)


def test_it_observes(observer: DaemonLog) -> None:
    assert verifyObject(ILogObserver, observer)


def test_lines(log: Logger, sink: Written) -> None:
    log.info("{job} is done", job="list.txt", lines=3)
    log.warn("it rains")

    assert sink.lines == [
        "daemon.service: list.txt is done lines=3",
        "daemon.service: it rains",
    ]
    assert sink.levels == ["info", "warn"]


def test_json(sink: Written) -> None:
    Logger("x", observer=DaemonLog(sink, "json")).info("{job} is done", job="list.txt")

    (line,) = sink.lines
    assert json.loads(line)["job"] == "list.txt"


def test_addresses_are_masked_unless_they_are_wanted(sink: Written) -> None:
    for log_addresses in (False, True):
        observer = DaemonLog(sink, log_addresses=log_addresses)
        Logger("x", observer=observer).info("{who}", who="ann@example.net", other="ben@example.net")

    assert sink.lines == [
        "x: ***@example.net other=***@example.net",
        "x: ann@example.net other=ben@example.net",
    ]


def test_details_and_empty_events_are_left_out(log: Logger, sink: Written) -> None:
    log.debug("it may rain")
    log.info("")

    assert sink.lines == []


# ---------------------------------------------------------------- how often


def test_a_flood(log: Logger, observer: DaemonLog, sink: Written, clock: Clock) -> None:
    for number in range(1000):
        log.warn("{n} outcomes could not be kept", n=number)
    log.info("something else")
    clock.advance(WINDOW)
    log.info("a minute later")

    assert sink.lines == [
        "daemon.service: 0 outcomes could not be kept",
        "daemon.service: something else",
        "daemon.service: 999 more like this within 59 s: 0 outcomes could not be kept",
        "daemon.service: a minute later",
    ]
    assert sink.levels == ["warn", "info", "warn", "info"]


def test_a_flood_of_failures(log: Logger, observer: DaemonLog, sink: Written, clock: Clock) -> None:
    """Each kind of failure has its traceback, once."""

    def fail(error: type[Exception]) -> None:
        try:
            raise error("eve@example.net")
        except error:
            log.failure("a batch failed")

    for _ in range(100):
        fail(ValueError)
        fail(KeyError)
    clock.advance(WINDOW)
    observer.flush()

    starts = [line for line in sink.lines if not line.startswith("\t")]
    assert starts == [
        'daemon.service: a batch failed error="ValueError: ***@example.net"',
        'daemon.service: a batch failed error="KeyError: ***@example.net\'"',
        "daemon.service: 99 more like this within 59 s: a batch failed",
        "daemon.service: 99 more like this within 59 s: a batch failed",
    ]
    assert sum(line == "\tTraceback (most recent call last):" for line in sink.lines) == 2
    assert "eve" not in "".join(sink.lines)


def test_each_site_and_each_job_has_its_line(log: Logger, sink: Written) -> None:
    for _ in range(2):
        for site in ("a.example", "b.example"):
            log.warn("{site} is paused", site=site)
        for job in ("one", "two"):
            log.info("{job} is taken", job=job)

    assert len(sink.lines) == 4


def test_the_end_tells_what_was_held_back(
    log: Logger, observer: DaemonLog, sink: Written, clock: Clock
) -> None:
    for _ in range(3):
        log.warn("it rains")
    clock.advance(2)
    observer.flush(everything=True)

    assert sink.lines[-1] == "daemon.service: 2 more like this within 2 s: it rains"


def test_more_in_json(sink: Written, clock: Clock) -> None:
    observer = DaemonLog(sink, "json", clock=clock.seconds)
    log = Logger("twisted_probe.x", observer=observer)
    for _ in range(3):
        log.warn("it rains")
    observer.flush(everything=True)

    found = json.loads(sink.lines[-1])
    assert found["kind"] == "{more} more like this"
    assert found["more"] == 2
    assert found["namespace"] == "x"
    assert found["level"] == "warn"


# ---------------------------------------------------------------- trouble


def test_a_full_disk(log: Logger, sink: Written) -> None:
    log.info("one")
    sink.is_full = True
    log.info("two")
    log.info("three")
    sink.is_full = False
    log.info("four")
    log.info("five")

    assert sink.lines == [
        "daemon.service: one",
        "daemon.logs: 2 events before this one could not be written",
        "daemon.service: four",
        "daemon.service: five",
    ]


def test_a_log_that_cannot_be_rotated(log: Logger, sink: Written) -> None:
    sink.trouble = "Permission denied"
    log.info("one")
    log.info("two")

    assert sink.lines == [
        "daemon.service: one",
        "daemon.logs: the log cannot be rotated: Permission denied",
        "daemon.service: two",
    ]


def test_a_stream_that_was_closed() -> None:
    stream = io.StringIO()
    stream.close()
    Logger("x", observer=DaemonLog(Stream(stream))).info("one")


def test_many_threads(observer: DaemonLog, sink: Written) -> None:
    """The spool and the ledger log from a thread of their own."""

    def speak(name: int) -> None:
        log = Logger(f"thread {name}", observer=observer)
        for number in range(200):
            log.info("line {job}", job=number)

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    observer.flush(everything=True)

    assert sum(": line " in line for line in sink.lines if "more like" not in line) == 4 * 100


# ---------------------------------------------------------------- where twistd wants it


def sink_for(*words: str, environment: dict[str, str] | None = None, **more: Any) -> Any:
    twistd: Any = ServerOptions()
    twistd.parseOptions([*words])
    found = open_log(
        twistd, log_format="text", log_addresses=False, environment=environment, **more
    )
    return None if found is None else found.sink


@pytest.mark.parametrize("words", [("-n",), ("-n", "--logfile=-")])
def test_standard_output(words: tuple[str, ...]) -> None:
    assert isinstance(sink_for(*words), Stream)


def test_standard_output_while_debugging() -> None:
    """The option itself would change all of Twisted's failures."""
    twistd: Any = ServerOptions()
    twistd["debug"] = 1
    found = open_log(twistd, log_format="text", log_addresses=False)
    assert found is not None
    assert isinstance(found.sink, Stream)


def test_a_file(tmp_path: Path) -> None:
    sink = sink_for("--logfile", str(tmp_path / "mailprobe.log"))
    assert isinstance(sink, LogFile)
    assert sink.path == str(tmp_path / "mailprobe.log")
    sink.close()


def test_twistds_own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = sink_for()
    assert sink.path == str(tmp_path / "twistd.log")
    sink.close()


def test_syslog() -> None:
    assert isinstance(sink_for("--syslog", "--prefix=mailprobe"), Syslog)


def test_an_observer_of_the_operators_own() -> None:
    assert sink_for("-n", "--logger=twisted.logger.textFileLogObserver") is None


def test_a_daemon_that_would_log_to_nowhere() -> None:
    """twistd says so itself."""
    assert sink_for("--logfile=-") is None


def test_not_under_twistd() -> None:
    def opened(twistd: dict[str, Any] | None, logfile: str | None = None) -> DaemonLog | None:
        return open_log(twistd, log_format="text", log_addresses=False, logfile=logfile)

    # The options of `twist`.
    assert opened({"logFile": sys.stdout}) is None
    assert opened(None) is None
    found = opened(None, "-")
    assert found is not None
    assert isinstance(found.sink, Stream)


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sink_for("--logfile", str(tmp_path / "no" / "such" / "directory.log"))


REOPENING = """
import os, signal, sys
from twisted.internet import reactor
from twisted.logger import Logger
from twisted_probe.daemon.logfile import LogFile
from twisted_probe.daemon.logs import DaemonLog

path = sys.argv[1]
daemon_log = DaemonLog(LogFile(path))
daemon_log.reopen_on_signal(reactor)
log = Logger("x", observer=daemon_log)

def begin():
    log.info("one")
    os.rename(path, path + ".old")
    os.kill(os.getpid(), signal.SIGUSR1)
    reactor.callLater(0.2, end)

def end():
    log.info("two")
    reactor.stop()

reactor.callWhenRunning(begin)
reactor.run()
"""


def test_sigusr1(tmp_path: Path) -> None:
    """As logrotate's postrotate has it for twistd."""
    path = tmp_path / "log"
    subprocess.run([sys.executable, "-c", REOPENING, path], check=True, timeout=60)

    assert path.with_name("log.old").read_text().endswith("x: one\n")
    assert path.read_text().endswith("x: two\n")


def test_no_signal_without_a_file(observer: DaemonLog) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    observer.reopen_on_signal(None)
    observer.reopen()

    assert signal.getsignal(signal.SIGUSR1) is before
