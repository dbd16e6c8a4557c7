"""What a retry waits for, and from where it comes, over restarts of the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from tests.daemon.running import (
    Ahead,
    answered,
    config_for,
    daemon_of,
    drop,
    progress_until,
    reactor,
    said,
    town_of,
    up,
)
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Greylists
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.verdict.ladder import Ladder

HOUR = 3600.0
ASKS_FOR_SIX_HOURS = Greylists(0.001, "450 4.2.0 Greylisted, please try again in 21600 seconds")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


async def test_a_longer_wish_of_the_exchanger_wins_also_after_a_restart(spool: Path) -> None:
    house = House(
        "mx.patient.example", "127.0.1.1", tempers.postfix(residents("ann"), ASKS_FOR_SIX_HOURS)
    )
    async with up(town_of(house)) as town:
        config = config_for(town, spool, ladder=Ladder(greylist=(60.0,)))
        record = town.exchangers["mx.patient.example"].record
        async with daemon_of(config) as service:
            drop(spool, "list.txt", ["ann@patient.example"])
            began = reactor.seconds()
            await progress_until(service, lambda job: job.waiting == 1, "one who waits")
            (job,) = await service.progress()
            assert job.earliest is not None
            assert 6 * HOUR <= job.earliest - began < 6 * HOUR + 60
        async with daemon_of(config, Ahead(6 * HOUR - 120)) as service:
            await progress_until(service, lambda job: job.waiting == 1, "one who still waits")
            (later,) = await service.progress()
            assert later.earliest == job.earliest
        assert len(record.sessions) == 1
        async with daemon_of(config, Ahead(6 * HOUR + 60)):
            (row,) = await answered(spool, "list.txt")
    assert said(row) == ("deliverable", "accepted")
    assert row["probe_attempts"] == "2"


async def test_a_source_that_is_not_in_the_configuration_any_more(spool: Path) -> None:
    """The new one is a stranger to who greylists, and is greylisted itself first."""
    library = tempers.greylisting(residents("ann"), delay=0.001)
    async with up(town_of(House("mx.library.example", "127.0.1.1", library))) as town:
        gone, stays = town.sources[:2]
        config = config_for(town, spool, ladder=Ladder(greylist=(HOUR, HOUR)), sources=(gone,))
        record = town.exchangers["mx.library.example"].record
        async with daemon_of(config) as service:
            drop(spool, "list.txt", ["ann@library.example"])
            await progress_until(service, lambda job: job.waiting == 1, "one who waits")
        config = evolve(config, sources=(stays,))
        async with daemon_of(config, Ahead(HOUR + 1)) as service:
            await progress_until(
                service,
                lambda job: job.waiting == 1 and len(record.sessions) == 2,
                "one who waits again",
            )
        async with daemon_of(config, Ahead(2 * HOUR + 2)):
            (row,) = await answered(spool, "list.txt")
    assert [session.client for session in record.sessions] == [
        gone.address,
        stays.address,
        stays.address,
    ]
    assert said(row) == ("deliverable", "accepted")
    assert (row["probe_source"], row["probe_helo"]) == (stays.address, stays.helo)
    assert row["probe_attempts"] == "3"
    words = f" (the source of the attempts before, {gone.address}, is gone)"
    assert row["probe_text"].endswith(words)
