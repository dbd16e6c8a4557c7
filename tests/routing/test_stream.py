"""Outcomes one after the other, and eight sources at one exchanger over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred

from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.source import Source

from .town_square import Book, town

reactor: Any = global_reactor

ANN = residents("ann")
SLOW = {"slow.example": ["MX 10 mx.slow.example"], "mx.slow.example": ["A 192.0.2.2"]}
NAMES = {
    **{f"d{n}.example": [f"MX 10 mx{n}.example"] for n in range(40)},
    **{f"mx{n}.example": [f"A 192.0.2.{n + 10}"] for n in range(40)},
    **SLOW,
}


def test_a_stream_holds_a_window_and_waits_for_nobody() -> None:
    taken: list[str] = []

    def addresses() -> Iterator[str]:
        for name in ("slow", *(f"d{n}" for n in range(40))):
            taken.append(name)
            yield f"ann@{name}.example"

    with town(NAMES) as t:
        t.square.settle("192.0.2.2", tempers.postfix(ANN, Tarpits(30.0)))
        for n in range(40):
            t.square.settle(f"192.0.2.{n + 10}", tempers.postfix(ANN))
        came: list[Outcome] = []

        async def listen() -> None:
            async for outcome in t.prober.stream(addresses(), window=5):
                came.append(outcome)
                assert len(taken) - len(came) <= 5

        t.square.wait(Deferred.fromCoroutine(listen()))
        assert {each.reason for each in came} == {Reason.ACCEPTED}
        assert len(came) == 41
        assert came[-1].address == "ann@slow.example"


def test_to_leave_a_stream_cuts_its_sessions() -> None:
    with town(NAMES) as t:
        t.square.settle("192.0.2.2", tempers.postfix(ANN, Tarpits(30.0)))
        t.square.settle("192.0.2.10", tempers.postfix(ANN))

        async def leave() -> Outcome:
            stream: Any = t.prober.stream(["ann@slow.example", "ann@d0.example"])
            outcome: Outcome = await anext(stream)
            await stream.aclose()
            return outcome

        assert t.square.wait(Deferred.fromCoroutine(leave())).address == "ann@d0.example"


@pytest.mark.deadline(60)
async def test_eight_sources_are_one_neighbour() -> None:
    """The exchanger itself counts."""
    house = ExchangerFactory(reactor, tempers.postfix(ANN, Tarpits(0.02)), "mx.a.example")
    port = reactor.listenTCP(0, house, interface="127.0.0.1")
    names: dict[str, Any] = {f"d{n}.example": ["MX 10 mx.a.example"] for n in range(120)}
    limits = Limits(per_site=3, starts_per_second=20.0, recipients_per_session=4)
    prober = Prober(
        reactor,
        sources=[Source(f"127.0.0.{n}", helo=f"probe{n}.example.org") for n in range(11, 19)],
        reverse_path="probe@example.org",
        names=Book({**names, "mx.a.example": ["A 127.0.0.1"]}),
        port=port.getHost().port,
        allow_networks=["127.0.0.0/8"],
        limits=limits,
    )
    try:
        outcomes = await prober.probe_many([f"ann@{name}" for name in names])
    finally:
        await prober.close()
        await port.stopListening()
        await house.guests.send_away()
    assert {each.reason for each in outcomes} == {Reason.ACCEPTED}
    sessions = house.record.sessions
    assert len({each.client for each in sessions}) == 8
    for one in sessions:
        beside = [each for each in sessions if each.started <= one.started <= (each.ended or 1e12)]
        assert len(beside) <= 3
    lasted = max(each.started for each in sessions) - min(each.started for each in sessions)
    assert len(sessions) <= lasted * 20.0 + 2
