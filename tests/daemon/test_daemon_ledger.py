"""What the ledger is for a daemon: the memory of the one before it, and whole at every start."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.running import Ahead, answered, config_for, daemon_of, drop, said, town_of, up
from twisted_probe.jobs.access import PRIVATE_ACCESS
from twisted_probe.jobs.backup import back_up
from twisted_probe.jobs.directories import make
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.record import Record
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.verdict.ladder import Ladder

FOLK = residents("ann ben")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def quick() -> House:
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(FOLK))


def recipients(record: Record) -> list[str]:
    return [re.findall(r"<(.*)>", exchange.argument)[0] for _, exchange in record.asked()]


async def test_a_control_is_remembered(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        for name, address in (("one", "ann@quick.example"), ("two", "ben@quick.example")):
            async with daemon_of(config):
                drop(spool, name, [address])
                (row,) = await answered(spool, name)
                assert (said(row), row["probe_catch_all"]) == (("deliverable", "accepted"), "false")
        first, control, second = recipients(town.exchangers["mx.quick.example"].record)
    assert (first, second) == ("ann@quick.example", "ben@quick.example")
    assert control not in (first, second)


async def test_a_block_is_remembered(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        addresses = [source.address for source in town.sources]
    blocking = tempers.blocking(FOLK, *addresses)
    async with up(town_of(House("mx.wall.example", "127.0.1.1", blocking))) as town:
        config = config_for(town, spool)
        record = town.exchangers["mx.wall.example"].record
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, "list", ["ann@wall.example"])
            refused = await asker.status_when(
                lambda status: any(one["refused_by"] for one in status["sources"])
            )
            await asker.job_when("list", lambda job: job["waiting"] or job["finished_at"])
        sessions = len(record.sessions)
        async with daemon_of(config), asking(spool) as asker:
            again = await asker.status()
        assert len(record.sessions) <= sessions + 1

    def blocks(status: dict[str, Any]) -> set[tuple[str, str, str]]:
        return {
            (source["address"], one["site"], one["until"])
            for source in status["sources"]
            for one in source["refused_by"]
        }

    assert blocks(refused)
    assert blocks(refused) <= blocks(again)


async def test_row_165_a_damaged_ledger_is_kept_and_every_line_answered(
    spool: Path, expect_errors: Any
) -> None:
    expect_errors(1)
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        async with daemon_of(config):
            drop(spool, "done", ["ann@quick.example"])
            await answered(spool, "done")
        path = spool / "state" / "ledger.sqlite"
        data = path.read_bytes()
        path.write_bytes(data[:4096] + bytes(len(data) - 8192) + data[-4096:])
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, "list", ["ann@quick.example", "eve@quick.example"])
            rows = await answered(spool, "list")
            (alarm,) = (await asker.status())["alarms"]
    assert [said(row)[1] for row in rows] == ["accepted", "no_such_mailbox"]
    (kept,) = path.parent.glob("ledger.sqlite.damaged-*")
    assert kept.name in alarm


async def test_a_backup_under_a_running_daemon(spool: Path, tmp_path: Path) -> None:
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, "list", ["ann@quick.example"])
            await answered(spool, "list")
            copy = str(tmp_path / "copy")
            await asker.within(back_up, str(spool / "state" / "ledger.sqlite"), copy)
            assert (await asker.status())["alarms"] == []
    ledger = Ledger(copy)
    assert [job.title for job in ledger.latest(5)] == ["list"]
    ledger.close()


async def test_a_backup_in_the_middle_of_a_job_goes_on_elsewhere(
    spool: Path, tmp_path: Path
) -> None:
    """What was settled then stays so and is not asked again; each line is answered once."""
    grey = House("mx.grey.example", "127.0.1.2", tempers.greylisting(FOLK, 0.2))
    lines = ["ann@quick.example", "ann@grey.example", "eve@quick.example", "ann@quick.example"]
    lines += ["no address", "ben@grey.example"]
    elsewhere = tmp_path / "elsewhere"
    async with up(town_of(quick(), grey)) as town:
        ladder = Ladder(greylist=(60.0,), temporary=(60.0,))
        async with daemon_of(config_for(town, spool, ladder=ladder)), asking(spool) as asker:
            drop(spool, "list", lines)
            await asker.job_when("list", lambda job: job["settled"] == job["waiting"] == 2)
            copy = str(tmp_path / "copy")
            await asker.within(back_up, str(spool / "state" / "ledger.sqlite"), copy)
            drop(spool, "later", ["ben@quick.example"])
            await answered(spool, "later")
        asked_before = len(town.exchangers["mx.quick.example"].record.sessions)
        make(str(elsewhere), PRIVATE_ACCESS)
        shutil.copy(spool / "active" / "list", elsewhere / "active" / "list")
        shutil.copy(copy, elsewhere / "state" / "ledger.sqlite")
        # The waits of then are still to be waited out.
        clock = Ahead(60.0)
        async with daemon_of(config_for(town, elsewhere), clock):
            rows = await answered(elsewhere, "list")
        assert len(town.exchangers["mx.quick.example"].record.sessions) == asked_before
    assert [row["probe_line"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["probe_address"] for row in rows] == lines
    assert [said(row)[1] for row in rows] == [
        *("accepted", "accepted", "no_such_mailbox", "accepted", "invalid_address", "accepted")
    ]
