"""Row 163, with the real twistd: a wall clock that is set by hours, in both directions, neither
loses nor hastens a retry, and ends no session; while the daemon runs and while it does not."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from twisted.internet.task import deferLater

from tests.daemon.processes import Process, processes_with, running
from tests.daemon.running import answered, drop, reactor, said, town_of, until, up
from tests.daemon.test_daemon_process import holder, words
from twisted_probe.jobs.ledger import Ledger, LedgerError
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.reply import Stage

HOUR = 3600.0
JUMPS = (-3 * HOUR, 3 * HOUR)
#: Seconds on the ladder: one that ends within the test, and one that does not.
SHORT, LONG = 2.0, HOUR
JUMPING = str(Path(__file__).with_name("jumping.py"))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def no_daemon_is_left(spool: Path) -> Iterator[None]:
    yield
    assert processes_with(str(spool)) == []


class Machine:
    """A machine whose clock can be set, with a daemon for a town on it."""

    def __init__(self, directory: Path, spool: Path, town: Town, wait: float) -> None:
        self._directory = directory
        self._clock = directory / "clock"
        self._settings = directory / "mailprobe.toml"
        self._spool = spool
        self._town = town
        self._settings.write_text(f"[retry]\ngreylist = [{wait}]\n")
        self.set_clock(0.0)

    def set_clock(self, wrong_by: float) -> None:
        new = self._clock.with_name("new-clock")
        new.write_text(str(wrong_by))
        new.rename(self._clock)

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Process]:
        command = [sys.executable, JUMPING, str(self._clock), "--pidfile=", "-n"]
        command += [*words(self._spool, self._town), "--config", str(self._settings)]
        async with running(*command, directory=self._directory) as daemon:
            await until(lambda: holder(self._spool) == daemon.pid, "the daemon's start")
            yield daemon
            daemon.signal(signal.SIGTERM)
            ended = await daemon.end()
            assert "Traceback" not in ended.out + ended.err

    async def one_waits(self) -> float:
        """When it is due, as soon as it is known."""

        def due() -> float | None:
            try:
                ledger = Ledger(self._spool / "state" / "ledger.sqlite", read_only=True)
            except LedgerError:
                return None  # it is being made
            try:
                found = (ledger.last_due(job.id) for job in ledger.latest(10))
                return next((due for due in found if due is not None), None)
            finally:
                ledger.close()

        found = await until(due, "one who waits")
        assert found is not None
        return found


def library() -> House:
    return House(
        "mx.library.example", "127.0.1.1", tempers.greylisting(residents("ann"), delay=0.001)
    )


def quick() -> House:
    return House("mx.quick.example", "127.0.1.2", tempers.postfix(residents("ann ben")))


@pytest.mark.parametrize("jump", JUMPS)
async def test_row_163_a_retry_is_not_lost(spool: Path, tmp_path: Path, jump: float) -> None:
    async with up(town_of(library())) as town:
        machine = Machine(tmp_path, spool, town, SHORT)
        async with machine.daemon() as daemon:
            drop(spool, "list.txt", ["ann@library.example"])
            await machine.one_waits()
            machine.set_clock(jump)
            (row,) = await answered(spool, "list.txt")
            assert "the machine's clock was set" in daemon.out
    assert said(row) == ("deliverable", "accepted")
    assert row["probe_attempts"] == "2"
    first, second = town.exchangers["mx.library.example"].record.sessions
    assert second.started - first.started >= SHORT


@pytest.mark.parametrize("jump", JUMPS)
async def test_row_163_a_retry_is_not_hastened_and_the_daemon_goes_on(
    spool: Path, tmp_path: Path, jump: float
) -> None:
    async with up(town_of(library(), quick())) as town:
        machine = Machine(tmp_path, spool, town, LONG)
        async with machine.daemon():
            drop(spool, "list.txt", ["ann@library.example"])
            due = await machine.one_waits()
            machine.set_clock(jump)
            drop(spool, "second.txt", ["ann@quick.example"])
            await answered(spool, "second.txt")

        # The next daemon's time is the machine's new one, and so is what it waits for.
        async with machine.daemon() as daemon:
            drop(spool, "third.txt", ["ben@quick.example"])
            await answered(spool, "third.txt")
            assert "clock was set by" in daemon.out
            assert await machine.one_waits() == pytest.approx(due + jump, abs=1.0)
    assert len(town.exchangers["mx.library.example"].record.sessions) == 1


@pytest.mark.parametrize("jump", JUMPS)
async def test_row_163_no_session_ends_by_it(spool: Path, tmp_path: Path, jump: float) -> None:
    slow = tempers.postfix(residents("ann"), Tarpits(2.0, Stage.MAIL))
    async with up(town_of(House("mx.slow.example", "127.0.1.1", slow))) as town:
        machine = Machine(tmp_path, spool, town, LONG)
        async with machine.daemon():
            drop(spool, "list.txt", ["ann@slow.example"])
            record = town.exchangers["mx.slow.example"].record
            await until(lambda: record.sessions, "the session")
            machine.set_clock(jump)
            await deferLater(reactor, 0.1)
            (row,) = await answered(spool, "list.txt")
    assert said(row) == ("deliverable", "accepted")
    assert row["probe_attempts"] == "1"
