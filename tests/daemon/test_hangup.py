"""SIGHUP at any moment of the start: it is heard, and ends nothing."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

from tests.daemon.processes import processes_with, run, running
from tests.daemon.running import until
from twisted_probe.daemon.hangup import Hangup
from twisted_probe.tap import Options, makeService

RINGING = str(Path(__file__).with_name("ringing.py"))
ME = ("--source=127.0.0.21=probe1.example.org", "--reverse-path=probe@example.org")


@pytest.fixture
def no_handler() -> Iterator[None]:
    """SIGHUP kills, as in any process; pytest may have its own way."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    left = signal.signal(signal.SIGHUP, before)
    assert left is signal.SIG_DFL


@pytest.fixture
def hangup(no_handler: None) -> Iterator[Hangup]:
    hangup = Hangup()
    yield hangup
    hangup.release()


def ring() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def test_one_that_comes_before_anybody_listens_is_remembered(hangup: Hangup) -> None:
    heard: list[int] = []
    hangup.catch()
    ring()
    ring()
    hangup.tell(lambda: heard.append(1))
    assert heard == [1]
    ring()
    assert heard == [1, 1]


def test_nothing_is_told_of_none(hangup: Hangup) -> None:
    heard: list[int] = []
    hangup.catch()
    hangup.tell(lambda: heard.append(1))
    assert heard == []


def test_what_sighup_was_before_it_is_again() -> None:
    def before(number: int, frame: object) -> None:
        pass

    original = signal.signal(signal.SIGHUP, before)
    try:
        hangup = Hangup()
        hangup.catch()
        hangup.catch()
        assert signal.getsignal(signal.SIGHUP) is not before
        hangup.release()
        hangup.release()
        assert signal.getsignal(signal.SIGHUP) is before
    finally:
        signal.signal(signal.SIGHUP, original)


def test_until_there_is_a_log_sigusr1_ends_nothing(hangup: Hangup) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        hangup.catch()
        os.kill(os.getpid(), signal.SIGUSR1)
        hangup.leave_the_log()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        hangup.release()
        signal.signal(signal.SIGUSR1, signal.default_int_handler)
        hangup.catch()
        hangup.leave_the_log()
        hangup.release()
        assert signal.getsignal(signal.SIGUSR1) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_elsewhere_than_in_the_main_thread_nothing_is_caught() -> None:
    before = signal.getsignal(signal.SIGHUP)
    hangup = Hangup()
    for step in (hangup.catch, hangup.release):
        thread = Thread(target=step)
        thread.start()
        thread.join()
    assert signal.getsignal(signal.SIGHUP) is before


# ---------------------------------------------------------------- who catches it


async def test_between_make_service_and_the_start(
    tmp_path: Path, no_handler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options()
    options.parseOptions(["--spool", str(tmp_path), *ME])  # type: ignore[no-untyped-call]
    service: Any = makeService(options)
    readings: list[int] = []
    monkeypatch.setattr(service, "reload", lambda: readings.append(1))
    ring()
    service.startService()
    await until(lambda: readings, "the reading")
    await service.stopService()
    assert readings == [1]


def test_twistd_has_it_caught_when_it_knows_what_to_run(no_handler: None) -> None:
    makers: Any = getPlugins(IServiceMaker)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    (maker,) = [maker for maker in makers if maker.tapname == "mailprobe"]
    hangup = maker.options().hangup
    ring()
    heard: list[int] = []
    hangup.tell(lambda: heard.append(1))
    hangup.release()
    assert heard == [1]


# ---------------------------------------------------------------- with the real twistd


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("import", "twisted_probe.tap"),
        ("import", "twisted_probe.routing.engine"),
        ("open", "/state/lock"),
        ("open", "ledger.sqlite"),
    ],
)
async def test_a_daemon_that_is_just_starting(event: str, words: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    command = (sys.executable, RINGING, event, words, "--pidfile=", "-n")
    async with running(
        *(*command, "mailprobe", f"--spool={spool}", *ME), directory=tmp_path
    ) as daemon:
        await until(
            lambda: "nothing has changed" in daemon.out or daemon.is_over,
            f"the reading; it says {daemon.out}",
        )
        daemon.signal(signal.SIGTERM)
        ended = await daemon.end()
    assert ended.code == -signal.SIGTERM
    assert ended.out.count("was read again") == 1
    assert "Traceback" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("event", "words"), [("import", "twisted_probe.routing.engine"), ("open", "/state/lock")]
)
async def test_what_was_heard_before_twistd_forked(event: str, words: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    started = await run(
        *(sys.executable, RINGING, event, words, "--pidfile="),
        *("mailprobe", f"--spool={spool}", *ME),
        directory=tmp_path,
    )
    assert (started.code, started.out, started.err) == (0, "", "")
    (pid,) = processes_with(str(spool))
    try:
        log = tmp_path / "twistd.log"
        await until(lambda: "nothing has changed" in log.read_text(), "the reading")
    finally:
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not processes_with(str(spool)), "the end")
