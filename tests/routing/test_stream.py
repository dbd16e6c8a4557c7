"""Outcomes one after the other, and eight sources at one exchanger over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater

from twisted_probe.routing.pauses import Crowded
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.routing.stream import TURN, Stream
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.temper import residents
from twisted_probe.testing.outcomes import outcome
from twisted_probe.testing.wire import results_of
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.source import Source

from .town_square import Book, Town, town

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


def test_a_failure_that_came_before_it_was_waited_for() -> None:
    """It is raised as it is, when its turn comes."""

    def ask(address: str) -> Deferred[Outcome]:
        return fail(LookupError(address)) if address == "b" else succeed(outcome(address))

    clock = Clock()

    stream = Stream(ask, "abc", clock, partial(deferLater, clock)).outcomes()
    (first,) = results_of(anext(stream))
    assert first.address == "a"
    (second,) = results_of(anext(stream))
    assert isinstance(second, LookupError)


CROWD = {f"c{n}.example": ["MX 10 mx.crowd.example"] for n in range(50)}
CROWDED = {**NAMES, **CROWD, "mx.crowd.example": ["A 192.0.2.1"]}
OTHERS = [f"ann@d{n}.example" for n in range(40)]
PROVIDER = [f"x{n}@c{n % 50}.example" for n in range(3000)]


def crowded(t: Town) -> None:
    t.square.settle("192.0.2.1", tempers.postfix(ANN, Tarpits(1.0)))
    for n in range(40):
        t.square.settle(f"192.0.2.{n + 10}", tempers.postfix(ANN))


def test_a_slow_provider_holds_up_nobody_behind_it() -> None:
    with town(CROWDED, limits=Limits()) as t:
        crowded(t)
        came: list[str] = []

        async def listen() -> None:
            async for outcome in t.prober.stream([*PROVIDER, *OTHERS]):
                came.append(outcome.address)
                if not set(OTHERS) - set(came):
                    return

        begun = t.square.seconds()
        t.square.wait(Deferred.fromCoroutine(listen()))
        assert t.square.seconds() - begun < 10.0
        assert len(came) < 500
        t.square.wait(t.prober.close())


def test_whoever_was_put_aside_is_asked_in_the_end() -> None:
    with town(CROWDED, limits=Limits()) as t:
        crowded(t)
        people = [*PROVIDER[:1500], *OTHERS]

        async def listen() -> list[Outcome]:
            return [each async for each in t.prober.stream(people)]

        came = t.square.wait(Deferred.fromCoroutine(listen()))
        assert sorted(each.address for each in came) == sorted(people)
        assert {each.reason for each in came} == {Reason.ACCEPTED, Reason.NO_SUCH_MAILBOX}


def test_so_many_are_put_aside_and_no_more() -> None:
    clock, taken = Clock(), []
    free: list[Deferred[Outcome]] = []
    came: list[Any] = []

    def addresses() -> Iterator[str]:
        for n in range(20):
            taken.append(n)
            yield f"{n}"

    def ask(address: str) -> Deferred[Outcome]:
        if clock.seconds() < 30.0:
            return fail(Crowded("too many", 30.0))
        free.append(Deferred())
        return free[-1]

    stream = Stream(ask, addresses(), clock, partial(deferLater, clock), window=2, ahead=7)

    async def listen() -> None:
        async for each in stream.outcomes():
            came.append(each)  # noqa: PERF401  one by one: how many have come is looked at

    listening = Deferred.fromCoroutine(listen())
    assert len(taken) == 7
    clock.advance(29.0)
    assert len(taken) == 7
    clock.advance(1.0)
    for number in range(20):
        assert len(free) == min(2, 20 - number)
        assert len(taken) <= 7 + 2 + len(came)
        free.pop(0).callback(outcome(f"{number}"))
    assert listening.called
    assert len(came) == 20
    assert not clock.getDelayedCalls()


def test_a_turn_of_the_reactor_is_bounded() -> None:
    clock, asked = Clock(), []

    def ask(address: str) -> Deferred[Outcome]:
        asked.append(address)
        return fail(Crowded("too many", 30.0))

    stream = Stream(ask, map(str, range(3 * TURN)), clock, partial(deferLater, clock))
    outcomes = stream.outcomes()

    async def first() -> Outcome:
        return await anext(outcomes)

    listening = Deferred.fromCoroutine(first())
    ended = results_of(listening)
    assert len(asked) == TURN
    clock.advance(0)
    assert len(asked) == 3 * TURN
    listening.cancel()
    assert isinstance(ended[0], CancelledError)
    assert not clock.getDelayedCalls()


def test_to_close_the_prober_ends_a_stream_that_waits_for_its_turn() -> None:
    """Also one of whom all are put aside."""
    with town(CROWDED, limits=Limits(), max_waiting=0) as t:
        crowded(t)
        stream = t.prober.stream(["ann@c1.example"])
        listening = results_of(anext(stream))
        assert listening == []
        t.square.wait(t.prober.close())
        assert isinstance(listening[0], CancelledError)


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
    assert house.record.most_open <= 3
    lasted = max(each.started for each in sessions) - min(each.started for each in sessions)
    assert len(sessions) <= lasted * 20.0 + 2


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_through_which_nobody_would_come(window: int) -> None:
    with town(NAMES) as t, pytest.raises(ValueError, match=f"window {window}"):
        t.prober.stream(["ann@d0.example"], window=window)
