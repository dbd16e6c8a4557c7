"""A real shortage of file descriptors: ours, and neither the source's, the sites' nor the DNS's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from tests.daemon.processes import run
from tests.daemon.running import reactor
from twisted_probe.routing.sites import BREATH, Limits, Sites, Slot
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town

BREATHLESS = str(Path(__file__).with_name("breathless.py"))
#: The reactor has five, and Python three.
FILES = 20
DOMAINS = 10
#: A reactor that has nothing to wait for turns more than that in a second.
MAX_TURNS = 10_000


@pytest.mark.deadline(60)
async def test_all_are_answered_when_sessions_have_ended(tmp_path: Path) -> None:
    slow = tempers.postfix(residents("ann"), Tarpits(0.05))
    town = Town(
        [House(f"mx{n}.example", f"127.0.5.{n + 1}", slow) for n in range(DOMAINS)],
        {f"d{n}.example": [f"MX 10 mx{n}.example"] for n in range(DOMAINS)},
        sample="",
    )
    await town.start(reactor)
    try:
        ended = await run(
            *(sys.executable, "-W", "error", BREATHLESS),
            *(town.resolver, str(town.port), str(DOMAINS), str(FILES)),
            directory=tmp_path,
        )
    finally:
        await town.stop()
    assert (ended.code, ended.err) == (0, "")
    said = json.loads(ended.out)
    assert said["outcomes"] == {"ann accepted": DOMAINS, "eve no_such_mailbox": DOMAINS}
    assert said["attempts"] == 1
    assert said["alarm"] is None
    assert said["benched"] == []
    assert said["turns"] < MAX_TURNS


def test_there_are_as_many_at_once_as_had_a_socket() -> None:
    clock = Clock()
    sites = Sites(clock, Limits(sessions=9, starts_per_second=1000.0))
    slots: list[Slot] = []
    for number in range(12):
        sites.slot(f"site{number}", f"192.0.2.{number}").addCallback(slots.append)
    assert len(slots) == 9
    for slot in slots[6:9]:  # all of them at once
        sites.exhausted()
        slot.release()
    assert (sites.active, len(slots)) == (6, 9)
    slots[0].release()
    assert (sites.active, len(slots)) == (6, 10)
    clock.advance(BREATH)
    slots[1].release()
    assert (sites.active, len(slots)) == (7, 12)


def test_there_is_always_one() -> None:
    clock = Clock()
    sites = Sites(clock, Limits(starts_per_second=1000.0))
    slots: list[Slot] = []
    sites.slot("a", "192.0.2.1").addCallback(slots.append)
    sites.exhausted()
    slots[0].release()
    sites.slot("b", "192.0.2.2").addCallback(slots.append)
    assert len(slots) == 2
