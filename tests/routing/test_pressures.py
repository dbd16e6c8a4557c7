"""What a site and an exchanger's address have borne outlives the prober; and what a session needs
is at hand when its turn has come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent, globalLogPublisher

from twisted_probe.routing.limits import Limits
from twisted_probe.routing.memory import Learned, MemoryInRam, Pressure
from twisted_probe.routing.sites import Sites
from twisted_probe.routing.tempo import MAX_REST
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import LimitsSessions, Tarpits
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

from .town_square import START, Town, town

HOST = "192.0.2.1"
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": [f"A {HOST}"]}
B = {"b.example": ["MX 10 mx.b.example"], "mx.b.example": [f"A {HOST}"]}
ANN = residents("ann")
#: Ten rejected recipients in a minute, behind a burst of twenty.
SLOW = Limits(rejections=20, rejections_per_second=1 / 6, errors_per_session=5)


def recall(t: Town) -> None:
    t.square.wait(Deferred.fromCoroutine(t.prober.recall_benches()))


@pytest.mark.parametrize("names", [A, B], ids=["the same site", "another at its address"])
def test_the_rejections_that_it_has_borne(names: dict[str, list[str]]) -> None:
    """Three processes together reject as many as one may."""
    memory, moments = MemoryInRam(), []
    start = START
    for number, zone in enumerate([A, names, names]):
        with town(zone, limits=SLOW, memory=memory, control=False) as t:
            record = t.square.settle(HOST, tempers.postfix(ANN))
            t.square.advance(start - START)
            recall(t)
            domain = "a.example" if zone is A else "b.example"
            asking = [f"eve{each}of{number}@{domain}" for each in range(16)]
            for outcome in t.square.wait(t.prober.probe_many(asking)):
                assert outcome.reason is Reason.NO_SUCH_MAILBOX
            start = t.square.seconds()
            moments += [
                exchange.at for _, exchange in record.asked() if (exchange.reply or "")[:3] == "550"
            ]
    assert len(moments) == 48
    for number, at in enumerate(moments, 1):
        assert number <= 20 + (at - moments[0]) / 6 + 1e-6


def test_that_it_rests_at_this_address() -> None:
    memory = MemoryInRam()
    with town(A, memory=memory) as t:
        t.square.settle(HOST, tempers.rate_limiting())
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.RATE_LIMITED
    with town(B, memory=memory) as t:
        record = t.square.settle(HOST, tempers.postfix(ANN))
        recall(t)
        assert t.square.wait(t.prober.probe("ann@b.example")).reason is Reason.ACCEPTED
        assert record.sessions[0].started == START + 60.0


def test_what_an_open_session_may_bear_is_kept_when_it_begins() -> None:
    """A process that is killed tells nothing at the end."""
    memory = MemoryInRam()
    with town(A, limits=SLOW, memory=memory) as t:
        t.square.settle(HOST, tempers.postfix(ANN))
        t.square.latency = 1.0
        asking = t.prober.probe("eve@a.example")
        t.square.advance(0.5)
        assert t.square.dials
        kept = t.square.wait(memory.pressures(t.square.seconds()))
        assert {(each.kind, each.whose, each.spent) for each in kept} == {
            ("address", HOST, 5.0),
            ("site", "mx.a.example", 5.0),
        }
        t.square.wait(asking)
        kept = t.square.wait(memory.pressures(t.square.seconds()))
        assert all(each.spent < 2.0 for each in kept)


def test_no_rest_is_longer_than_any_can_be() -> None:
    clock = Clock()
    sites = Sites(clock)
    sites.recall(Pressure("address", HOST, 0.0, 0.0, 9e9, 9e9))
    sites.recall(Pressure("address", "192.0.2.3", 0.0, 9e9, 9e9 + 2.0, 9e9 + 2.0))
    third = sites.slot("mx.c.example", "192.0.2.3")
    sites.recall(Pressure("address", "192.0.2.2", 9e9, 0.0, 0.0, 9e9))
    slots = sites.slot("mx.a.example", HOST)
    others = sites.slot("mx.b.example", "192.0.2.2", rejections=5)
    assert not others.called
    clock.advance(1.0)
    assert others.called
    assert not third.called
    clock.advance(1.0)
    assert third.called
    clock.advance(MAX_REST - 3)
    assert not slots.called
    clock.advance(1)
    assert slots.called


class Full(MemoryInRam):
    def keep_pressures(self, pressures: object) -> Deferred[None]:
        return fail(OSError("disk full"))


def test_that_it_is_not_kept_keeps_nobody_from_his_answer() -> None:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    with town(A, limits=SLOW, memory=Full(), control=False) as t:
        t.square.settle(HOST, tempers.postfix(ANN))
        asking = [f"eve{each}@a.example" for each in range(16)]
        outcomes = t.square.wait(t.prober.probe_many(asking))
        assert {each.reason for each in outcomes} == {Reason.NO_SUCH_MAILBOX}
    globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]
    assert {each["why"] for each in events if each["log_level"].name == "warn"} == {"disk full"}


class Distant(MemoryInRam):
    """What has not been asked for before takes its time."""

    clock: Clock

    def __init__(self) -> None:
        super().__init__()
        self.near: set[str] = set()

    def learned(self, address: str) -> Deferred[Learned | None]:
        if address in self.near:
            return super().learned(address)
        self.near.add(address)
        return deferLater(self.clock, 0.7, lambda: None)


def test_nothing_comes_between_a_turn_and_its_session() -> None:
    """Or two turns that were half a second apart would be two sessions at once."""
    memory = Distant()
    limits = Limits(starts_per_second=2.0, first_sessions=4, recipients_per_session=2)
    with town(A, limits=limits, memory=memory, control=False) as t:
        memory.clock = t.square
        house = tempers.postfix(ANN, Tarpits(1.0, Stage.RCPT), LimitsSessions(4))
        record = t.square.settle(HOST, house)
        people = [f"eve{each}@a.example" for each in range(16)]
        t.square.wait(t.prober.probe_many(people))
        starts = [each.started for each in record.sessions]
        assert len(starts) >= 8
        assert all(after - before >= 0.5 for before, after in pairwise(starts))
