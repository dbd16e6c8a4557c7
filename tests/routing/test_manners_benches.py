"""The operator is told which source was refused where, and in which words."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from twisted.internet import error
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from twisted_probe.routing.benches import UNPLUMBED
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

from .town_square import ONE, THREE, TWO, town

ANN = residents("ann")
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    yield events
    globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.EHLO, Stage.MAIL, Stage.RCPT])
def test_benches_and_pauses(stage: Stage, events: list[LogEvent]) -> None:
    with town(A, sources=[ONE, TWO, THREE]) as t:
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address, TWO.address, stage=stage))
        replies = [t.square.wait(t.prober.probe("ann@a.example")) for _ in range(3)]

    said = [f"{reply.code} {reply.text}" for reply in replies[:2]]
    lines = [formatEvent(event) for event in events if event["log_level"].name == "warn"]
    assert lines == [
        f"mx.a.example has refused {ONE.address}, which leaves it alone for 24 h: {said[0]}",
        f"mx.a.example has refused {TWO.address}, which leaves it alone for 24 h: {said[1]}",
        "mx.a.example is paused: it is left alone by all sources",
    ]
    assert {event["site"] for event in events if "site" in event} == {"mx.a.example"}


def warnings(events: list[LogEvent]) -> list[str]:
    return [str(formatEvent(event)) for event in events if event["log_level"].name == "warn"]


def test_a_refusal_that_many_hear_is_told_once(events: list[LogEvent]) -> None:
    few = Limits(starts_per_second=1000.0, first_sessions=4, recipients_per_session=5)
    with town(A, sources=[ONE, TWO], limits=few) as t:
        t.square.latency = 0.1
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address, TWO.address))
        outcomes = t.square.wait(t.prober.probe_many([f"u{n}@a.example" for n in range(20)]))
        assert {each.source for each in outcomes} == {ONE.address, TWO.address}
        assert len(t.square.dials) > 2

    told = [" ".join(line.split()[:4]) for line in warnings(events)]
    assert sorted(told) == [
        f"mx.a.example has refused {ONE.address},",
        f"mx.a.example has refused {TWO.address},",
        "mx.a.example is paused: it",
    ]


def test_a_source_that_cannot_be_bound_is_told_of_once_a_suspension(
    events: list[LogEvent], expect_errors: Callable[[int], object]
) -> None:
    expect_errors(1)
    names = {f"{n}.example": [f"A 192.0.2.{n}"] for n in range(1, 6)}
    unplumbed = error.ConnectBindError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    with town(names, sources=[ONE]) as t:
        t.square.houses.update({f"192.0.2.{n}": unplumbed for n in range(1, 6)})
        for times in (1, 2):
            asking = t.prober.probe_many([f"ann@{n}.example" for n in range(1, 6)])
            reasons = {each.reason for each in t.square.wait(asking)}
            assert reasons == {Reason.SOURCE_UNAVAILABLE}
            assert len(warnings(events)) == times
            assert t.prober.sources.is_suspended(ONE, t.square.seconds())
            t.square.advance(UNPLUMBED)
        assert len(t.square.dials) > 2

    assert f"{ONE.address} cannot be sent from, and is left alone for 60 s" in warnings(events)[0]


def test_nothing_is_said_where_nothing_was_refused(events: list[LogEvent]) -> None:
    with town(A, sources=[ONE, TWO]) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.wait(t.prober.probe("nobody@a.example"))

    assert [event for event in events if event["log_level"].name != "info"] == []


def test_attempts_that_share_a_session_say_it_once(events: list[LogEvent]) -> None:
    tenants = {f"d{n}.example": ["MX 10 mx.a.example"] for n in range(30)}
    with town({**tenants, **A}, sources=[ONE, TWO]) as t:
        t.square.latency = 0.1
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address, TWO.address))
        t.square.wait(t.prober.probe_many([f"ann@{domain}" for domain in tenants]))

    lines = [formatEvent(event) for event in events if event["log_level"].name == "warn"]
    assert [line.partition(",")[0] for line in lines] == [
        f"mx.a.example has refused {ONE.address}",
        f"mx.a.example has refused {TWO.address}",
        "mx.a.example is paused: it is left alone by all sources",
    ]
