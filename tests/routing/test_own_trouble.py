"""Whose trouble it is: benches and their canaries, the watchdog, and witnesses."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from twisted_probe.routing.benches import BENCH, MAX_IN_VAIN, SEVERAL, UNPLUMBED, key_of
from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.names import NoSocket
from twisted_probe.routing.pauses import HOLD, Held
from twisted_probe.routing.sources import Sources
from twisted_probe.routing.watchdog import CANARY, DRAW, DRAWN, MAX_RUN, PATIENCE, Trouble, Watchdog
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.zone import Names
from twisted_probe.sandbox.zone import Trouble as BadTrouble
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import Wishes

from .town_square import (
    ONE,
    REVERSE_PATH,
    SIX,
    START,
    THREE,
    TWO,
    Book,
    Square,
    Town,
    prober_in,
    town,
)

ANY = frozenset((4, 6))
ANN = residents("ann ben postmaster")
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
NUMBER = MAX_RUN + 20
MANY = {
    **{f"{n}.example": [f"MX 10 mx{n}.example"] for n in range(NUMBER)},
    **{f"mx{n}.example": [f"A 192.0.2.{n + 1}"] for n in range(NUMBER)},
}


@pytest.fixture
def critical() -> Iterator[list[LogEvent]]:
    """Alarms; an error in the log is one of the test's own otherwise."""
    events: list[LogEvent] = []

    def keep(event: LogEvent) -> None:
        if event["log_level"].name == "critical":
            events.append(event)

    globalLogPublisher.addObserver(keep)  # type: ignore[arg-type]
    yield events
    globalLogPublisher.removeObserver(keep)  # type: ignore[arg-type]


# --- Benches ----------------------------------------------------------------------------------


def test_one_canary_goes_first() -> None:
    sources = Sources([ONE])
    sources.bench(ONE, "a", 0.0)
    assert sources.choose("a", ANY, BENCH) is ONE
    sources.begin(ONE, "a")
    assert sources.choose("a", ANY, BENCH) is None
    assert not sources.may_go(ONE, "a", BENCH)
    assert sources.choose("b", ANY, BENCH) is ONE
    sources.end(ONE, "a", went_well=False)
    assert sources.may_go(ONE, "a", BENCH)  # it did not come that far
    sources.begin(ONE, "a")
    sources.bench(ONE, "a", BENCH)
    sources.end(ONE, "a", went_well=False)
    assert not sources.may_go(ONE, "a", BENCH + 1)
    sources.begin(ONE, "a")
    sources.end(ONE, "a", went_well=True)
    assert sources.may_go(ONE, "a", BENCH + 1)


def test_a_bench_ends_though_nobody_is_met() -> None:
    sources = Sources([ONE])
    sources.bench(ONE, "a", 0.0)
    for _ in range(MAX_IN_VAIN):
        sources.begin(ONE, "a")
        assert not sources.may_go(ONE, "a", BENCH)
        sources.end(ONE, "a", went_well=False)
    sources.begin(ONE, "a")
    assert sources.may_go(ONE, "a", BENCH)
    sources.bench(ONE, "a", BENCH)
    assert not sources.may_go(ONE, "a", BENCH + 1)


def test_who_went_before_the_refusal_is_no_canary() -> None:
    sources = Sources([ONE])
    sources.begin(ONE, "a")
    sources.bench(ONE, "a", 0.0)
    sources.end(ONE, "a", went_well=True)
    assert not sources.may_go(ONE, "a", 1.0)


def test_a_site_that_was_dead_has_everybody_asked_when_it_is_back() -> None:
    names = {f"{n}.example": ["MX 10 mx.a.example"] for n in range(10)}
    with town({**names, **A}, sources=[ONE]) as t:
        t.prober.sources.bench(ONE, "mx.a.example", t.square.seconds() - BENCH)
        reasons = [
            t.square.wait(t.prober.probe(f"ann@{n}.example")).reason for n in range(MAX_IN_VAIN)
        ]
        assert set(reasons) == {Reason.TIMEOUT}
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcomes = t.square.wait(t.prober.probe_many([f"ann@{n}.example" for n in range(10)]))
        assert {each.reason for each in outcomes} == {Reason.ACCEPTED}


def test_a_whole_64_is_benched() -> None:
    neighbour = Source("2001:db8:1::2", helo="probe7.example.org")
    stranger = Source("2001:db8:2::1", helo="probe8.example.org")
    sources = Sources([SIX, neighbour, stranger])
    sources.bench(SIX, "a", 0.0)
    assert [sources.choose("a", ANY, 1.0) for _ in range(2)] == [stranger, stranger]
    assert not sources.is_paused("a", 1.0)  # one refusal
    assert sources.benched(1.0) == [("2001:db8:1::/64", "a", BENCH)]


def test_a_benched_64_outlives_the_prober() -> None:
    names = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["AAAA 2001:db8:25::1"]}
    neighbour = Source("2001:db8:1::2", helo="probe7.example.org")
    memory = MemoryInRam()
    with town(names, sources=[SIX], memory=memory) as t:
        t.square.settle("2001:db8:25::1", tempers.blocking(ANN, SIX.address))
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.BLOCKLISTED
    with town(names, sources=[neighbour], memory=memory) as t:
        record = t.square.settle("2001:db8:25::1", tempers.postfix(ANN))
        t.square.wait(Deferred.fromCoroutine(t.prober.recall_benches()))
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.BLOCKLISTED
        assert not record.sessions


def test_refused_by_several_sites_is_refused_by_all() -> None:
    sources = Sources([ONE, TWO])
    for number in range(SEVERAL):
        assert sources.may_go(ONE, "elsewhere", 1.0)
        sources.bench(ONE, f"site{number}", 0.0)
    assert not sources.may_go(ONE, "elsewhere", 1.0)
    assert sources.choose("elsewhere", ANY, 1.0) is TWO


def test_what_cannot_be_sent_from_is_left_alone() -> None:
    sources = Sources([ONE, TWO])
    sources.suspend(ONE, 0.0)
    assert [sources.choose("a", ANY, 1.0) for _ in range(3)] == [TWO, TWO, TWO]
    assert sources.may_go(ONE, "a", UNPLUMBED)


def test_that_one_cannot_be_sent_from_says_nothing_of_its_network() -> None:
    near = Source("2001:db8:1::5", helo="probe5.example.org")
    assert near.ip != SIX.ip
    assert key_of(near) == key_of(SIX)
    sources = Sources([near, SIX])
    sources.suspend(near, 0.0)
    assert [sources.choose("a", ANY, 1.0) for _ in range(3)] == [SIX, SIX, SIX]
    assert sources.is_suspended(near, 1.0)
    assert not sources.is_suspended(SIX, 1.0)
    assert sources.benched(1.0) == []


def held_by(t: Town, address: str) -> Held:
    with pytest.raises(Held) as held:
        t.square.wait(t.prober.ask([address]))
    assert held.value.outcomes == [None]
    return held.value


def test_row_55_another_goes_in_its_place_and_no_attempt_is_counted() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.unplumbed.add(ONE.address)
        assert held_by(t, "ann@a.example").delay == 1.0
        (outcome,) = t.square.wait(t.prober.ask(["ann@a.example"]))
        assert (outcome.reason, outcome.attempts) == (Reason.ACCEPTED, 1)
        assert t.square.sources == [ONE.address, TWO.address]
        assert t.prober.alarm is None


def test_that_none_can_be_sent_from_is_our_own_trouble(
    critical: list[LogEvent], expect_errors: Any
) -> None:
    """Those who can come again do, and others hear what there is to say."""
    expect_errors(1)
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.unplumbed.update((ONE.address, TWO.address))
        for _ in range(2):
            assert held_by(t, "ann@a.example").delay == 1.0
        assert t.prober.alarm is not None
        assert [event["log_format"] for event in critical] == [t.prober.alarm]
        assert "cannot be sent from" in str(held_by(t, "ann@a.example"))
        assert t.prober.unplumbed == [ONE.address, TWO.address]
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.SOURCE_UNAVAILABLE
        t.square.advance(UNPLUMBED)
        for _ in range(2):
            held_by(t, "ann@a.example")
        assert len(critical) == 1
        assert not record.sessions
        t.square.unplumbed.clear()
        t.square.advance(UNPLUMBED)
        (outcome,) = t.square.wait(t.prober.ask(["ann@a.example"]))
        assert (outcome.reason, outcome.attempts) == (Reason.ACCEPTED, 1)
        assert t.prober.alarm is None


def test_sessions_that_began_before_say_nothing_of_what_is_plumbed(
    critical: list[LogEvent], expect_errors: Any
) -> None:
    expect_errors(1)
    names = {"b.example": ["A 192.0.2.2"]}
    with town({**A, **names}, sources=[ONE]) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.settle("192.0.2.2", tempers.postfix(ANN))
        t.square.latency = 0.5
        before = t.prober.ask(["ann@a.example"])
        t.square.advance(1.0)
        assert t.square.open == 1
        t.square.unplumbed.add(ONE.address)
        held_by(t, "ann@b.example")
        assert t.prober.alarm is not None
        (outcome,) = t.square.wait(before)
        assert outcome.reason is Reason.ACCEPTED
        assert t.prober.alarm is not None
        held_by(t, "ann@b.example")
        assert len(critical) == 1


def test_that_the_only_one_it_may_come_from_is_gone_costs_no_attempt() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.unplumbed.add(ONE.address)
        wishes = Wishes(sources=frozenset([ONE.address]))
        for delay in (1.0, HOLD, HOLD):
            with pytest.raises(Held) as held:
                t.square.wait(t.prober.ask(["ann@a.example"], wishes=wishes))
            assert held.value.delay == delay
        assert t.prober.alarm is None
        assert t.prober.unplumbed == [ONE.address]
        t.square.unplumbed.clear()
        t.square.advance(UNPLUMBED)
        (outcome,) = t.square.wait(t.prober.ask(["ann@a.example"], wishes=wishes))
        assert (outcome.reason, outcome.attempts) == (Reason.ACCEPTED, 1)
        assert t.prober.unplumbed == []


def test_weights_and_loads() -> None:
    heavy = Source("198.51.100.9", helo="probe9.example.org", weight=3)
    sources = Sources([ONE, heavy])
    turns = [sources.choose("a", ANY, 0.0) for _ in range(40)]
    assert turns.count(heavy) == 30
    for _ in range(3):
        sources.begin(heavy, "a")
    assert sources.choose("a", ANY, 0.0) is ONE
    sources.begin(ONE, "a")
    sources.end(heavy, "a", went_well=True)
    assert sources.choose("a", ANY, 0.0) is heavy


def test_a_ceiling_is_kept() -> None:
    one = Source("198.51.100.1", helo="probe1.example.org", ceiling=2)
    names = {f"{n}.example": [f"MX 10 mx{n}.example"] for n in range(6)}
    hosts = {f"mx{n}.example": [f"A 192.0.2.{n + 1}"] for n in range(6)}
    with town({**names, **hosts}, sources=[one]) as t:
        t.square.latency = 0.1
        for n in range(6):
            t.square.settle(f"192.0.2.{n + 1}", tempers.postfix(ANN))
        asking = t.prober.probe_many([f"ann@{n}.example" for n in range(6)])
        most = 0
        while not asking.called:
            t.square.step()
            most = max(most, t.square.open)
        assert most == 2
        assert {each.reason for each in t.square.wait(asking)} == {Reason.ACCEPTED}


def crowd(t: Town, number: int, latency: float) -> list[str]:
    """People at as many sites, whose sessions take their time."""
    t.square.latency = latency
    for n in range(number):
        t.square.settle(f"192.0.2.{n + 1}", tempers.postfix(ANN))
    return [f"ann@{n}.example" for n in range(number)]


@pytest.mark.parametrize("weight", [1, 1000])
def test_whoever_has_a_ceiling_keeps_nobody_waiting(weight: int) -> None:
    small = Source("198.51.100.1", helo="probe1.example.org", ceiling=1, weight=weight)
    with town(MANY, sources=[small, TWO]) as t:
        asking = t.prober.probe_many(crowd(t, 40, 1.0))
        t.square.advance(0.5)
        assert Counter(t.square.sources) == {small.address: 1, TWO.address: 39}
        assert {each.reason for each in t.square.wait(asking)} == {Reason.ACCEPTED}


def test_whoever_must_come_from_one_with_a_ceiling_lets_others_pass() -> None:
    """At a site where a retry waits for its own source, others do not."""
    small = Source("198.51.100.1", helo="probe1.example.org", ceiling=1)
    with town(MANY, sources=[small, TWO]) as t:
        people = crowd(t, 5, 1.0)
        retries = [Retry(small.address, None, REVERSE_PATH, None, 1, START) for _ in people]
        bound = t.prober.probe_many(people, retries)
        t.square.advance(0.5)
        assert t.square.sources == [small.address]
        free = t.prober.probe_many([f"ben{each[3:]}" for each in people])
        t.square.advance(0.5)
        assert Counter(t.square.sources) == {small.address: 1, TWO.address: 5}
        for each in (bound, free):
            assert {one.reason for one in t.square.wait(each)} == {Reason.ACCEPTED}
        assert Counter(t.square.sources) == {small.address: 5, TWO.address: 5}


# --- The watchdog -----------------------------------------------------------------------------


def nothing(what: Trouble) -> None:
    """Nothing has worked before."""


def test_a_run_of_failures_is_our_own(critical: list[LogEvent], expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    clock = Clock()
    dog = Watchdog(clock, nothing, random.Random(1))
    for number in range(MAX_RUN - 1):
        dog.failed(Trouble.CONNECT, f"site{number}")
        dog.failed(Trouble.CONNECT, "site0")
    assert dog.alarm is None
    assert dog.may_not_begin("a") is None
    dog.failed(Trouble.CONNECT, "one more")
    dog.failed(Trouble.CONNECT, "and one more")
    assert dog.alarm is not None
    assert len(critical) == 1
    assert comes_at_once(dog, "a") == DRAW
    clock.advance(DRAW)
    assert dog.may_not_begin("a") is None  # the canary
    clock.advance(CANARY - 1)
    assert dog.may_not_begin("a") is not None
    clock.advance(1)
    assert comes_at_once(dog, "a") == DRAW
    clock.advance(DRAW)
    assert dog.may_not_begin("a") is None
    dog.worked(Trouble.DNS)
    assert dog.alarm is not None
    dog.worked(Trouble.CONNECT)
    assert dog.alarm is None
    assert dog.held() is None


def test_one_that_works_ends_the_run() -> None:
    clock = Clock()
    dog = Watchdog(clock, nothing, random.Random(1))
    for number in range(10 * MAX_RUN):
        dog.failed(Trouble.DNS, f"d{number}.example")
        if number % (MAX_RUN - 1) == 0:
            dog.worked(Trouble.DNS)
    assert dog.alarm is None


def alarmed() -> tuple[Clock, Watchdog]:
    """A watchdog that nothing has worked for."""
    clock = Clock()
    dog = Watchdog(clock, nothing, random.Random(1))
    for number in range(MAX_RUN):
        dog.failed(Trouble.CONNECT, f"site{number}")
    return clock, dog


def test_canaries_go_by_lot(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    clock, dog = alarmed()
    waiting = [dog.held() for _ in range(100)]
    delays = [held.delay for held in waiting if held is not None]
    assert len(delays) == 100
    assert all(CANARY <= delay <= HOLD for delay in delays)
    assert min(delays) < 2 * CANARY
    assert max(delays) > HOLD - CANARY
    drawn = Counter[str]()
    for _ in range(200):
        for domain in "abcdefgh":
            assert comes_at_once(dog, domain) == DRAW
        clock.advance(DRAW)
        going = [domain for domain in "abcdefgh" * 2 if dog.may_not_begin(domain) is None]
        assert len(going) == DRAWN
        drawn.update(going)
        clock.advance(CANARY)
    assert min(drawn.values()) > 50
    assert max(drawn.values()) < 100
    assert len(drawn) == 8
    dog.worked(Trouble.CONNECT)
    assert dog.may_not_begin("a") is None


def test_one_that_was_drawn_and_does_not_come(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    clock, dog = alarmed()
    assert comes_at_once(dog, "a") == DRAW
    clock.advance(DRAW)
    assert dog.may_not_begin("b") is not None
    clock.advance(CANARY)
    assert comes_at_once(dog, "b") == DRAW
    clock.advance(DRAW)
    assert dog.may_not_begin("b") is None


def test_how_long_nobody_could_begin(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    clock, dog = alarmed()
    comes_at_once(dog, "a")
    clock.advance(PATIENCE - 1)
    assert not dog.has_lasted()
    clock.advance(1)
    assert dog.has_lasted()
    dog.worked(Trouble.CONNECT)
    assert not dog.has_lasted()


def comes_at_once(dog: Watchdog, domain: str) -> float:
    """Seconds until somebody who comes while names are drawn is to come again."""
    held = dog.may_not_begin(domain)
    assert held is not None
    return held.delay


PEOPLE = [f"ann@{n}.example" for n in range(NUMBER)]


def test_no_verdict_while_port_25_is_closed(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(MANY) as t:
        asking = t.prober.ask(PEOPLE)
        with pytest.raises(Held) as held:
            t.square.wait(asking)
        assert t.prober.alarm is not None
        answered = [each for each in held.value.outcomes if each is not None]
        assert len(answered) == MAX_RUN - 1
        assert {each.final for each in answered} == {False}
        # Somebody answers again: the canary gets through, and then the others.
        for n in range(NUMBER):
            t.square.settle(f"192.0.2.{n + 1}", tempers.postfix(ANN))
        assert t.square.wait(t.prober.probe("ann@3.example")).reason is Reason.ACCEPTED
        assert t.prober.alarm is None
        assert t.square.wait(t.prober.probe("ann@4.example")).reason is Reason.ACCEPTED


class Breathless(Book):
    """Names that this machine cannot ask for; those of one type, or of all."""

    types: tuple[str, ...] = ()

    def _answer(self, name: str, type_: str, of_words: Any) -> Deferred[Any]:
        if type_ in self.types:
            return fail(NoSocket("no socket left"))
        return super()._answer(name, type_, of_words)


@pytest.mark.parametrize("type_", ["MX", "A"])
def test_that_no_socket_is_left_says_nothing_of_the_dns(type_: str) -> None:
    number = 2 * MAX_RUN
    names = {f"{n}.example": [f"MX 10 mx{n}.example"] for n in range(number)}
    hosts = {f"mx{n}.example": [f"A 192.0.2.{n + 1}"] for n in range(number)}
    square, book = Square(), Breathless({**names, **hosts})
    prober = prober_in(square, book)
    for n in range(number):
        square.settle(f"192.0.2.{n + 1}", tempers.postfix(ANN))
    people = [f"ann@{n}.example" for n in range(number)]
    book.types = (type_,)
    with pytest.raises(Held, match="no socket left") as held:
        square.wait(prober.ask(people))
    assert [*held.value.outcomes] == [None] * number
    assert held.value.delay == HOLD
    assert prober.alarm is None
    book.types = ()
    outcomes = square.wait(prober.ask(people))
    assert {each.reason for each in outcomes} == {Reason.ACCEPTED}


def test_the_end_of_our_trouble_is_waited_for(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(MANY) as t:
        asking = t.prober.probe_many(PEOPLE)
        while t.prober.alarm is None:
            t.square.step()
        for n in range(NUMBER):
            t.square.settle(f"192.0.2.{n + 1}", tempers.postfix(ANN))
        begun = t.square.seconds()
        outcomes = t.square.wait(asking)
        reasons = [each.reason for each in outcomes]
        assert reasons.count(Reason.ACCEPTED) == NUMBER - MAX_RUN + 1
        assert reasons.count(Reason.TIMEOUT) == MAX_RUN - 1
        assert t.square.seconds() - begun < 2 * HOLD


@pytest.mark.parametrize("names", [MANY, {}], ids=["connect", "dns"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["many", "stream"])
def test_trouble_that_never_ends_is_told(
    names: dict[str, list[str]], is_stream: bool, expect_errors: object
) -> None:
    expect_errors(1)  # type: ignore[operator]
    dead: Names = {f"{n}.example": BadTrouble.SERVFAIL for n in range(NUMBER)}
    with town(names or dead) as t:
        begun = t.square.seconds()

        async def listen() -> list[Outcome]:
            return [each async for each in t.prober.stream(PEOPLE, window=NUMBER)]

        asking = Deferred.fromCoroutine(listen()) if is_stream else t.prober.probe_many(PEOPLE)
        outcomes = t.square.wait(asking)
        assert sorted(each.address for each in outcomes) == sorted(PEOPLE)
        assert {each.reason for each in outcomes} == {Reason.TIMEOUT if names else Reason.DNS_ERROR}
        assert not any(each.final for each in outcomes)
        assert t.square.seconds() - begun < PATIENCE + 3 * HOLD


@pytest.mark.parametrize("ends", ["cancel", "close"])
def test_whoever_waits_for_the_end_of_trouble_can_leave(ends: str, expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(MANY) as t:
        asking = t.prober.probe_many(PEOPLE)
        while t.prober.alarm is None:
            t.square.step()
        if ends == "cancel":
            asking.cancel()
        else:
            t.prober.close()
        with pytest.raises(CancelledError):
            t.square.wait(asking)


# --- Witnesses --------------------------------------------------------------------------------

VAGUE = Temper(mailboxes=ANN, unknown="550 Rejected")


def test_the_postmaster_vouches_where_all_are_dead() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", evolve(VAGUE, unknown="550 Mailbox unavailable"))
        outcomes = t.square.wait(t.prober.probe_many(["x@a.example", "y@a.example"]))
        assert {each.reason for each in outcomes} == {Reason.NO_SUCH_MAILBOX}
        assert [each.argument for _, each in record.asked("RCPT")][-1:] == [
            "TO:<postmaster@a.example>"
        ]
        assert len(record.sessions) == 1


def test_nobody_vouches_where_everybody_is_refused() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.vague())
        outcomes = t.square.wait(t.prober.probe_many(["ann@a.example", "y@a.example"]))
        assert {each.reason for each in outcomes} == {Reason.REJECTS_EVERYONE}


def test_who_was_accepted_is_asked_behind_a_refusal() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", VAGUE)
        ann, x = t.square.wait(t.prober.probe_many(["ann@a.example", "x@a.example"]))
        assert (ann.reason, x.reason) == (Reason.ACCEPTED, Reason.NO_SUCH_MAILBOX)
        assert [each.argument for _, each in record.asked("RCPT")][-1] == "TO:<ann@a.example>"


def test_a_silent_block_makes_nobody_dead() -> None:
    """Who was accepted four hours ago does not vouch for a refusal."""
    with town(A, sources=[THREE]) as t:
        t.square.settle("192.0.2.1", VAGUE)
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.ACCEPTED
        t.square.settle("192.0.2.1", tempers.vague())
        t.square.advance(4 * 3600.0)
        people = ["ben@a.example", *(f"x{n}@a.example" for n in range(30))]
        outcomes = t.square.wait(t.prober.probe_many(people))
        assert {each.reason for each in outcomes} == {Reason.REJECTS_EVERYONE}
