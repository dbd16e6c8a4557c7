"""A whole family of addresses that there is no route to."""

from __future__ import annotations

import errno

import pytest
from twisted.internet import error

from twisted_probe.routing.families import Families
from twisted_probe.routing.pauses import HOLD, Held
from twisted_probe.routing.watchdog import CANARY, MAX_RUN, PATIENCE
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import Wishes

from .town_square import ONE, SIX, Town, town

ANN = tempers.postfix(residents("ann"))
NO_ROUTE = error.ConnectError(errno.ENETUNREACH, "Network is unreachable")
NUMBER = MAX_RUN + 20

#: Sites that are reached over IPv6 alone, one over both, and one over IPv4.
NAMES = {
    **{f"{n}.six.example": [f"MX 10 mx{n}.six.example"] for n in range(NUMBER)},
    **{f"mx{n}.six.example": [f"AAAA 2001:db8:25::{n + 1:x}"] for n in range(NUMBER)},
    "both.example": ["MX 10 mx.both.example"],
    "mx.both.example": ["A 192.0.2.1", "AAAA 2001:db8:25::b07"],
    "four.example": ["MX 10 mx.four.example"],
    "mx.four.example": ["A 192.0.2.2"],
}


def people(number: int) -> list[str]:
    return [f"ann@{n}.six.example" for n in range(number)]


def lose_six(t: Town) -> list[Outcome]:
    """Find out that there is no way over IPv6; what was said of those who were asked before that
    was clear."""
    t.square.settle("192.0.2.1", ANN)
    t.square.settle("192.0.2.2", ANN)
    for n in range(NUMBER):
        t.square.houses[f"2001:db8:25::{n + 1:x}"] = NO_ROUTE
    t.square.houses["2001:db8:25::b07"] = NO_ROUTE
    with pytest.raises(Held) as held:
        t.square.wait(t.prober.ask(people(NUMBER)))
    assert held.value.delay == HOLD
    return [each for each in held.value.outcomes if each is not None]


def accepted(t: Town, address: str) -> str | None:
    outcome = t.square.wait(t.prober.probe(address))
    assert outcome.reason is Reason.ACCEPTED
    return outcome.source


def test_a_run_of_sites_without_a_route(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    families = Families()
    for number in range(MAX_RUN - 1):
        families.failed(6, f"site{number}")
        families.failed(6, "site0")
        families.failed(4, f"site{number}")
        families.worked(4)
    assert not families.lost
    for number in range(MAX_RUN):
        families.failed(6, f"another{number}")
    assert families.lost == {6}
    assert families.held([4, 6]) is None
    assert families.held([6]) is not None
    assert not families.closed(1000.0)  # a canary is due
    families.begin(6, 1000.0)
    assert families.closed(1000.0 + CANARY - 1) == {6}
    assert not families.closed(1000.0 + CANARY)
    families.worked(6)
    assert not families.lost


def test_those_of_a_lost_family_wait_and_the_others_go_on(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=[ONE, SIX]) as t:
        answered = lose_six(t)
        assert {(each.reason, each.final) for each in answered} == {(Reason.NO_ROUTE, False)}
        assert len(answered) == MAX_RUN - 1
        assert t.prober.alarm is None
        (words,) = t.prober.lost_families
        assert "IPv6" in words
        dials = len(t.square.dials)
        for _ in range(6):
            assert accepted(t, "ann@both.example") == ONE.address
            assert accepted(t, "ann@four.example") == ONE.address
        assert SIX.address not in t.square.sources[dials:]
        # One now and then tries whether there is a way again; it is not counted either.
        for _ in range(3):
            t.square.advance(CANARY)
            before = len(t.square.dials)
            asking = [t.prober.ask([one]) for one in people(5)]
            for one in asking:
                with pytest.raises(Held):
                    t.square.wait(one)
            assert t.square.sources[before:] == [SIX.address]


def test_the_canary_that_gets_through_ends_it(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=[ONE, SIX]) as t:
        lose_six(t)
        for n in range(NUMBER):
            t.square.settle(f"2001:db8:25::{n + 1:x}", ANN)
        with pytest.raises(Held):
            t.square.wait(t.prober.ask(["ann@3.six.example"]))
        t.square.advance(CANARY)
        assert accepted(t, "ann@3.six.example") == SIX.address
        assert t.prober.lost_families == []
        outcomes = t.square.wait(t.prober.probe_many(people(NUMBER)))
        assert {each.reason for each in outcomes} == {Reason.ACCEPTED}


def test_a_retry_goes_over_the_other_family(expect_errors: object) -> None:
    """An attempt that ended for want of a route is not bound to the family that has none."""
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=[SIX, ONE]) as t:
        t.square.houses["2001:db8:25::b07"] = NO_ROUTE
        before = t.square.wait(t.prober.probe("ann@both.example"))
        assert before.reason is Reason.NO_ROUTE
        assert before.retry is not None
        assert before.retry.source == SIX.address
        lose_six(t)
        outcome = t.square.wait(t.prober.probe("ann@both.example", before.retry))
        assert (outcome.reason, outcome.source) == (Reason.ACCEPTED, ONE.address)


def test_a_job_that_wants_only_the_lost_family_waits(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=[ONE, SIX]) as t:
        lose_six(t)
        wishes = Wishes(sources=frozenset((SIX.address,)))
        with pytest.raises(Held):
            t.square.wait(t.prober.ask(["ann@both.example"], None, wishes))


def test_no_family_at_all_is_an_alarm(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=[SIX]) as t:
        lose_six(t)
        assert t.prober.alarm is not None
        assert t.prober.lost_families == [t.prober.alarm]


def test_the_way_is_waited_for(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=[ONE, SIX]) as t:
        lose_six(t)
        asking = t.prober.probe_many(people(NUMBER))
        t.square.advance(2 * CANARY)
        assert not asking.called
        for n in range(NUMBER):
            t.square.settle(f"2001:db8:25::{n + 1:x}", ANN)
        assert {each.reason for each in t.square.wait(asking)} == {Reason.ACCEPTED}


@pytest.mark.parametrize("sources", [[ONE, SIX], [SIX]], ids=["both", "six"])
def test_a_way_that_never_opens_is_told(sources: list[Source], expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES, sources=sources) as t:
        lose_six(t)
        begun = t.square.seconds()
        outcomes = t.square.wait(t.prober.probe_many(people(NUMBER)))
        assert {(each.reason, each.final) for each in outcomes} == {(Reason.NO_ROUTE, False)}
        assert t.square.seconds() - begun < PATIENCE + 3 * HOLD
