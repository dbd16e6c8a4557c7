"""What a question wants otherwise than its prober does."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from twisted_probe.routing.engine import Engine
from twisted_probe.routing.pauses import Held, Pauses
from twisted_probe.routing.sites import Limits
from twisted_probe.routing.sources import Sources
from twisted_probe.routing.work import Task
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

from .town_square import ONE, REVERSE_PATH, SIX, THREE, TWO, town

ANN = residents("ann ben carl")
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
SITE = "mx.a.example"
V4 = frozenset((4,))


def mails(record: Any) -> list[str]:
    return [exchange.argument for _, exchange in record.asked("MAIL")]


def rcpts(record: Any) -> list[str]:
    return [exchange.argument for _, exchange in record.asked("RCPT")]


# ---------------------------------------------------------------- sources that are wished for


@pytest.mark.parametrize(
    "wish",
    ["198.51.100.2", "probe2.example.org", "PROBE2.example.ORG"],
    ids=["address", "HELO name", "in capitals"],
)
def test_only_the_sources_wished_for(wish: str) -> None:
    sources = Sources([ONE, TWO, THREE])
    wishes = Wishes(sources=[wish])
    assert [sources.choose(SITE, V4, 0.0, wishes=wishes) for _ in range(3)] == [TWO] * 3
    # Those that were passed over keep their turn.
    assert [sources.choose(SITE, V4, 0.0) for _ in range(3)] == [ONE, THREE, TWO]


def test_an_address_may_be_spelt_in_another_way() -> None:
    assert Wishes(sources=["2001:DB8:1:0::1"]).allow(SIX)


def test_the_families_of_those_wished_for() -> None:
    sources = Sources([ONE, SIX])
    assert sources.families_for(Wishes(sources=[SIX.address])) == {6}
    assert sources.families_for(Wishes(sources=["192.0.2.99"])) == frozenset()
    assert sources.families_for(NO_WISHES) == sources.families == {4, 6}


def test_a_site_that_refused_all_those_wished_for() -> None:
    sources = Sources([ONE, TWO, THREE])
    wishes = Wishes(sources=[ONE.helo])
    sources.bench(ONE, SITE, 0.0)
    assert sources.choose(SITE, V4, 1.0, wishes=wishes) is None
    assert sources.is_paused(SITE, 1.0, wishes)
    assert not sources.is_paused(SITE, 1.0)
    assert not sources.is_paused(SITE, 1.0, Wishes(sources=["192.0.2.99"]))


def test_no_session_leaves_from_a_source_outside_of_the_wish() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        wishes = Wishes(sources=[TWO.address])
        for _ in range(3):
            outcome = t.square.wait(t.prober.probe("ann@a.example", wishes=wishes))
            assert (outcome.reason, outcome.source) == (Reason.ACCEPTED, TWO.address)
        assert set(t.square.sources) == {TWO.address}


def test_a_wish_that_nobody_fulfils_waits() -> None:
    """The source may come back; nothing is sent from another one."""
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        wishes = Wishes(sources=["198.51.100.99"])
        outcome = t.square.wait(t.prober.probe("ann@a.example", wishes=wishes))
        assert (outcome.reason, outcome.final) == (Reason.SOURCE_UNAVAILABLE, False)
        assert t.square.dials == []


def test_a_source_wished_for_that_is_paused_is_waited_for() -> None:
    pauses = Pauses()
    pauses.sources.add(TWO.address)
    with town(A, pauses=pauses) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        with pytest.raises(Held, match=f"the source {TWO.address} is paused"):
            t.square.wait(t.prober.ask(["ann@a.example"], wishes=Wishes(sources=[TWO.address])))
        wishes = Wishes(sources=[TWO.address, ONE.address])
        assert t.square.wait(t.prober.probe("ann@a.example", wishes=wishes)).source == ONE.address
        assert t.square.sources == [ONE.address]


def test_a_retry_stays_within_the_wish() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.greylisting(ANN, delay=100.0))
        first = t.square.wait(t.prober.probe("ann@a.example", wishes=Wishes(sources=[ONE.helo])))
        assert (first.reason, first.source) == (Reason.GREYLISTED, ONE.address)
        wishes = Wishes(sources=[TWO.helo])
        second = t.square.wait(t.prober.probe("ann@a.example", first.retry, wishes))
        assert second.source == TWO.address


# ---------------------------------------------------------------- the other wishes


def test_a_reverse_path_that_is_wished_for() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.greylisting(ANN, delay=100.0))
        wishes = Wishes(reverse_path="survey@example.org")
        first = t.square.wait(t.prober.probe("ann@a.example", wishes=wishes))
        # The triplet of the attempt before comes first, whatever is wished for.
        t.square.wait(t.prober.probe("ann@a.example", first.retry))
        t.square.wait(t.prober.probe("ben@a.example", wishes=Wishes(reverse_path="")))
        t.square.wait(t.prober.probe("carl@a.example"))
        assert mails(record) == [
            "FROM:<survey@example.org>",
            "FROM:<survey@example.org>",
            "FROM:<>",
            f"FROM:<{REVERSE_PATH}>",
        ]


@pytest.mark.parametrize(("usual", "wished"), [(True, False), (False, True)])
def test_a_control_or_none(usual: bool, wished: bool) -> None:
    with town(A, control=usual) as t:
        record = t.square.settle("192.0.2.1", tempers.catch_all())
        outcome = t.square.wait(t.prober.probe("ann@a.example", wishes=Wishes(control=wished)))
        assert outcome.reason is (Reason.CATCH_ALL if wished else Reason.ACCEPTED)
        assert len(rcpts(record)) == 1 + wished
        t.square.wait(t.prober.probe("ben@a.example", wishes=Wishes(control=None)))


def test_recipients_of_different_wishes_share_no_session() -> None:
    """The engine asks for them apart, a batch for each wish."""
    asked: list[tuple[list[str], Wishes]] = []

    class Oracle(_Oracle):
        def ask(self, addresses: Any, retries: Any, wishes: Wishes) -> Any:
            asked.append(([address.text for address in addresses], wishes))
            return _answered(addresses)

    one, two = Wishes(reverse_path="one@example.org"), Wishes(control=False)
    clock, desk = Clock(), _Desk([(1, one), (2, two), (3, one), (4, NO_WISHES)])
    prober: Any = Oracle()
    engine = Engine(clock, prober, desk)
    engine.start()
    engine.stop(0.0)
    clock.advance(0)
    assert asked == [
        (["u1@a.example", "u3@a.example"], one),
        (["u2@a.example"], two),
        (["u4@a.example"], NO_WISHES),
    ]
    assert len(desk.settled) == 4


def test_the_size_of_a_batch() -> None:
    sizes: list[int] = []

    class Oracle(_Oracle):
        def ask(self, addresses: Any, retries: Any, wishes: Wishes) -> Any:
            sizes.append(len(addresses))
            return _answered(addresses)

    clock, desk = Clock(), _Desk([(number, NO_WISHES) for number in range(7)])
    prober: Any = Oracle()
    engine = Engine(clock, prober, desk, batch=3)
    engine.start()
    engine.stop(0.0)
    clock.advance(0)
    assert sizes == [3, 3, 1]


class _Oracle:
    """A prober whose sessions end by themselves."""

    def recall(self, wholes: Any) -> None:
        pass


def _answered(addresses: Any) -> Any:
    return succeed(
        [Outcome(address=each.text, reason=Reason.ACCEPTED, checked_at=0.0) for each in addresses]
    )


class _Desk:
    """A work that hands its tasks out once."""

    def __init__(self, wanted: list[tuple[int, Wishes]]) -> None:
        self.due = [
            Task(parse_address(f"u{number}@a.example"), (1, number), None, wishes)
            for number, wishes in wanted
        ]
        self.settled: list[Task] = []

    def take(self, limit: int) -> Any:
        due, self.due = self.due, []
        return succeed(due)

    def report(self, settled: Any) -> Any:
        self.settled += [task for task, _ in settled]
        return succeed(None)

    retry_at = report

    def give_back(self, tasks: Any, delay: float = 0.0) -> Any:
        return succeed(None)


# ---------------------------------------------------------------- limits of one session


def test_the_errors_of_a_session() -> None:
    with town(A, limits=Limits(starts_per_second=1000.0, errors_per_session=3)) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        people = [f"u{number}@a.example" for number in range(5)]
        outcomes = t.square.wait(t.prober.probe_many(people))
        assert {outcome.reason for outcome in outcomes} == {Reason.NO_SUCH_MAILBOX}
        # Two recipients and the control, and then as many as are left.
        assert [session.errors for session in record.sessions] == [3, 3]


def test_the_recipients_of_a_session() -> None:
    with town(A, limits=Limits(starts_per_second=1000.0, recipients_per_session=2)) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcomes = t.square.wait(
            t.prober.probe_many([f"{name}@a.example" for name in ("ann", "ben", "carl")])
        )
        assert {outcome.reason for outcome in outcomes} == {Reason.ACCEPTED}
        assert max(session.verbs.count("RCPT") for session in record.sessions) == 2


def test_more_recipients_a_session_than_usual() -> None:
    with town(A, limits=Limits(starts_per_second=1000.0, recipients_per_session=300)) as t:
        people = [f"u{number}" for number in range(250)]
        record = t.square.settle("192.0.2.1", tempers.postfix(residents(" ".join(people))))
        t.square.wait(t.prober.probe_many([f"{name}@a.example" for name in people]))
        assert [session.verbs.count("RCPT") for session in record.sessions] == [251]
