"""The operator is told which source was refused where, and in which words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
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
