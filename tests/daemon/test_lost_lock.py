"""The lock of a daemon that works is taken away: nobody else comes in, or it ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.logger import formatEvent

from tests.daemon.processes import TWISTD, run, running
from tests.daemon.running import Ahead, answered, config_for, drop, reactor, town_of, until, up
from tests.daemon.test_daemon_service import Words, lone_config
from twisted_probe.daemon.lock import Lock, SpoolInUse
from twisted_probe.daemon.preparation import prepare
from twisted_probe.daemon.service import EXIT_BROKEN, EXIT_IN_USE, ProbeService
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.reply import Stage

ME = ("--source=127.0.0.21=probe1.example.org", "--reverse-path=probe@example.org")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def lock(spool: Path) -> Path:
    return spool / "state" / "lock"


def signed(lock: Path) -> str:
    """Who has signed it; nobody where it is gone."""
    return lock.read_text() if lock.exists() else ""


def taken_away(lock: Path) -> Path:
    lock.unlink()
    return lock


async def test_it_has_another(spool: Path, lock: Path) -> None:
    quick = House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann")))
    async with up(town_of(quick)) as town:
        config = config_for(town, spool)
        service = ProbeService(reactor, config, prepare(config))
        service.startService()
        await until(lambda: signed(lock), "the first lock")
        for name in ("first.txt", "second.txt"):
            taken_away(lock)
            await until(lambda: signed(lock) == f"{os.getpid()}\n", "another lock")
            with pytest.raises(SpoolInUse, match="the spool is in use"):
                prepare(config)
            drop(spool, name, ["ann@quick.example"])
            await answered(spool, name)
        await service.stopService()
    prepare(config).release()


async def test_somebody_else_has_it(
    spool: Path, lock: Path, expect_errors: Callable[[int], None]
) -> None:
    expect_errors(1)
    exits: list[int] = []
    config = lone_config(spool)
    held = prepare(config)
    taken_away(lock)
    other = prepare(config)
    service = ProbeService(reactor, config, held, exit_process=exits.append)
    with Words() as words:
        service.startService()
        await until(lambda: exits, "the end")
        other.release()
        await service.stopService()
    assert exits == [EXIT_IN_USE]
    assert [formatEvent(event) for event in words.events] == [
        f"mailprobe ends at once: its lock was taken away; {lock}: the spool is in use by "
        "another process (a daemon, or mailprobe forget or reclassify)"
    ]


async def test_there_cannot_be_another(
    spool: Path, lock: Path, expect_errors: Callable[[int], None]
) -> None:
    expect_errors(1)
    clock = Ahead()
    config = lone_config(spool)
    held = prepare(config)
    taken_away(lock)
    os.symlink("elsewhere", lock)
    service = ProbeService(clock, config, held)
    with Words() as words:
        service.startService()
        await until(lambda: clock.stopped, "the reactor's end")
        await service.stopService()
    assert [trigger[-1] for trigger in clock.triggers] == [EXIT_BROKEN]
    assert [formatEvent(event) for event in words.events] == [
        f"mailprobe cannot go on: the spool {spool}: it cannot be locked: Too many levels of "
        "symbolic links"
    ]


async def test_the_spool_is_lost_before_the_daemon_works(
    spool: Path, expect_errors: Callable[[int], None]
) -> None:
    """It breaks where it is looked at and where it is opened, and is ended once."""
    expect_errors(2)
    clock = Ahead()
    config = lone_config(spool)
    held = prepare(config)
    (spool / "state" / "ledger.sqlite").mkdir()
    (spool / "state" / "lock").unlink()
    (spool / "state" / "lock").mkdir()
    service = ProbeService(clock, config, held)
    service.startService()
    await until(lambda: clock.stopped, "the reactor's end")
    await service.stopService()
    assert clock.stopped == 1
    assert [trigger[-1] for trigger in clock.triggers] == [EXIT_BROKEN]


# ---------------------------------------------------------------- with the real twistd


async def test_a_second_daemon_is_refused_all_the_same(
    spool: Path, lock: Path, tmp_path: Path
) -> None:
    command = (TWISTD, "--pidfile=", "-n", "mailprobe", f"--spool={spool}", *ME)
    async with running(*command, directory=tmp_path) as daemon:
        await until(lambda: "works on" in daemon.out, "the daemon's work")
        taken_away(lock)
        await until(lambda: "its lock was taken away; it has another" in daemon.out, "another")
        second = await run(*command, directory=tmp_path)
        daemon.signal(signal.SIGTERM)
        ended = await daemon.end()
    assert second.code == EXIT_IN_USE
    assert f"the spool is in use by process {daemon.pid} " in second.err
    assert ended.code == -signal.SIGTERM


@pytest.mark.parametrize("is_stopping", [False, True], ids=["at work", "stopping"])
async def test_who_was_not_quick_enough_ends_without_another_word(
    is_stopping: bool, spool: Path, lock: Path, tmp_path: Path
) -> None:
    """Though a session is open, and would get 25 seconds to end."""
    slow = tempers.postfix(residents("ann"), Tarpits(30.0, Stage.RCPT))
    async with up(town_of(House("mx.slow.example", "127.0.1.1", slow))) as town:
        record = town.exchangers["mx.slow.example"].record
        async with running(
            *(TWISTD, "--pidfile=", "-n", "mailprobe", f"--spool={spool}"),
            *("--source=127.0.0.21=probe1.example.org", f"--reverse-path={town.reverse_path}"),
            *(f"--resolver={town.resolver}", f"--port={town.port}"),
            f"--allow-network={town.networks[0]}",
            directory=tmp_path,
        ) as daemon:
            await until(lambda: "works on" in daemon.out, "the daemon's work")
            drop(spool, "list.txt", ["ann@slow.example"])
            await until(record.asked, "the first question")
            if is_stopping:
                daemon.signal(signal.SIGTERM)
                await until(lambda: "is stopping" in daemon.out, "the beginning of its end")
            other = Lock(str(taken_away(lock)))
            other.sign()
            ended = await daemon.end()
            other.release()
        await until(lambda: record.open == 0, "the end of the session")
    assert ended.code == EXIT_IN_USE
    why = f"the spool is in use by process {os.getpid()} "
    assert f"ends at once: its lock was taken away; {lock}: {why}" in ended.out
    assert ("is stopping" in ended.out) == is_stopping
    assert "has stopped" not in ended.out
    assert "QUIT" not in record.sessions[0].verbs
    assert "Traceback" not in ended.out
