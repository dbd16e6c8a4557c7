"""How fast one site may be asked: slow at first, halved, and faster by steps."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from twisted_probe.routing.limits import Limits
from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.tempo import LEAST, MAX_REST, TEMPO_LIFE, Tempo
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import LimitsSessions, Tarpits
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.wishes import Wishes

from .town_square import ONE, START, TWO, town

NEW = Tempo(1.0, 0.0)
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}


def after(tempo: Tempo, calm: int, most: float = 8.0) -> list[float]:
    grown = []
    for _ in range(calm):
        tempo = tempo.brisker(0.0, most)
        grown.append(tempo.sessions)
    return grown


def test_slow_start() -> None:
    assert after(NEW, 9) == [2, 3, 4, 5, 6, 7, 8, 8, 8]


def test_a_complaint_halves_and_growth_is_slow_behind_it() -> None:
    tempo = Tempo(8.0, 0.0).calmer(100.0, 60.0)
    assert (tempo.sessions, tempo.rests_until, tempo.complaints) == (4.0, 160.0, 1)
    assert after(tempo, 2) == [4.25, pytest.approx(4.485, abs=0.001)]


def test_complaints_in_a_row_double_the_rest() -> None:
    tempo, rests = NEW, []
    for now in range(0, 80_000, 10_000):
        tempo = tempo.calmer(float(now), 60.0)
        rests.append(tempo.rests_until - now)
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert tempo.sessions == LEAST
    assert tempo.brisker(0.0, 8.0).calmer(0.0, 60.0).complaints == 1


def test_a_hint_is_heeded_within_reason() -> None:
    assert NEW.calmer(0.0, 60.0, 300.0).rests_until == 300.0
    assert NEW.calmer(0.0, 60.0, 1e9).rests_until == MAX_REST
    assert NEW.calmer(0.0, 60.0, 5.0).rests_until == 60.0


def test_a_clock_that_was_set_back_makes_no_longer_rest() -> None:
    kept = NEW.calmer(100_000.0, 60.0, 300.0)
    assert kept.fresh(100_100.0, 1.0) is kept
    assert kept.fresh(50_000.0, 1.0).rests_until == 50_000.0 + MAX_REST


@pytest.mark.parametrize(
    ("sessions", "at_once", "starts"),
    [(LEAST, 1, 0.0625), (1.0, 1, 0.5), (2.5, 2, 1.25), (4.0, 4, 2.0), (9.0, 4, 2.0)],
)
def test_what_it_allows(sessions: float, at_once: int, starts: float) -> None:
    tempo = Tempo(sessions, 0.0)
    assert (tempo.at_once(4), tempo.starts(4, 2.0)) == (at_once, starts)


def test_it_is_believed_for_a_week() -> None:
    tempo = Tempo(8.0, 1000.0)
    assert tempo.fresh(1000.0 + TEMPO_LIFE, 1.0) is tempo
    assert tempo.fresh(1001.0 + TEMPO_LIFE, 1.0).sessions == 1.0


def test_what_was_learned_outlives_the_prober() -> None:
    memory = MemoryInRam()
    busy = tempers.rate_limiting()
    with town(A, memory=memory) as t:
        t.square.settle("192.0.2.1", busy)
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.RATE_LIMITED
    with town(A, memory=memory) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(residents("ann")))
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.ACCEPTED
        assert record.sessions[0].started == START + 60.0


class Slow(MemoryInRam):
    """Tells what it knows of tempos when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.telling: list[Deferred[Tempo | None]] = []

    def tempo(self, site: str) -> Deferred[Tempo | None]:
        self.telling.append(Deferred())
        return self.telling[-1]


def test_what_is_told_late_undoes_no_complaint() -> None:
    """Two sessions begin at a site that nobody knows yet; one of them hears of it first."""
    memory = Slow()
    with town(A, memory=memory) as t:
        record = t.square.settle("192.0.2.1", tempers.rate_limiting())
        asking = [
            t.prober.probe("ann@a.example", wishes=Wishes(sources=[source.address]))
            for source in (ONE, TWO)
        ]
        t.square.turn()
        first, second = memory.telling
        first.callback(None)
        assert t.square.wait(asking[0]).reason is Reason.RATE_LIMITED
        second.callback(None)
        t.square.wait(asking[1])
        assert [each.started for each in record.sessions] == [START, START + 60.0]
        tempo = t.square.wait(MemoryInRam.tempo(memory, "mx.a.example"))
        assert tempo is not None
        assert tempo.complaints == 2


def test_a_site_that_bears_two_gets_two() -> None:
    names = {f"{n}.example": ["MX 10 mx.a.example"] for n in range(60)}
    house = tempers.postfix(residents("ann"), LimitsSessions(2))
    with town({**names, "mx.a.example": ["A 192.0.2.1"]}) as t:
        t.square.latency = 0.5
        record = t.square.settle("192.0.2.1", house)
        for n in range(60):
            outcome = t.square.wait(t.prober.probe(f"ann@{n}.example"))
            assert outcome.reason is Reason.ACCEPTED
        assert len(record.sessions) == 60


def test_a_calm_session_that_was_open_before_the_complaint_changes_nothing() -> None:
    """What was borne then was borne when the site was asked more."""
    names = {f"{n}.example": ["MX 10 mx.a.example"] for n in range(4)}
    limits = Limits(first_sessions=4, starts_per_second=1000.0, recipients_per_session=2)
    memory = MemoryInRam()
    with town({**names, "mx.a.example": ["A 192.0.2.1"]}, limits=limits, memory=memory) as t:
        house = tempers.postfix(residents("ann"), Tarpits(3.0), LimitsSessions(3))
        t.square.settle("192.0.2.1", house)
        asking = [t.prober.probe(f"ann@{n}.example") for n in range(4)]
        assert t.square.wait(asking[3]).reason is Reason.RATE_LIMITED
        tempo = t.square.wait(memory.tempo("mx.a.example"))
        assert tempo is not None
        assert (tempo.sessions, tempo.complaints) == (2.0, 1)
        for each in asking[:3]:
            assert t.square.wait(each).reason is Reason.ACCEPTED
        assert t.square.wait(memory.tempo("mx.a.example")) == tempo
