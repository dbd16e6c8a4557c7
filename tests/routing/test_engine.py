"""The engine between a work and a prober, both of them fakes, on a clock."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from unittest import mock

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater

from twisted_probe.routing import engine
from twisted_probe.routing.engine import BATCH, IDLE, WINDOW, Engine
from twisted_probe.routing.work import Task, Work
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry

RETRY = Retry("192.0.2.1", "probe.example.org", "probe@example.org", "k", 1, 0.0)


def task(number: int, domain: str = "a.example", retry: Retry | None = None) -> Task:
    local = f"u{number}"
    return Task(Address(local, domain, f"{local}@{domain}"), (1, number), retry)


def tasks(number: int, **more: Any) -> list[Task]:
    return [task(each, **more) for each in range(number)]


def outcome(address: Address, final: bool = True) -> Outcome:
    reason = Reason.ACCEPTED if final else Reason.GREYLISTED
    return Outcome(address=address.text, reason=reason, final=final, checked_at=0.0)


@define
class Desk:
    """A work: what is due, and what came back by which way."""

    due: list[Task] = field(factory=list)
    limits: list[int] = field(factory=list)
    settled: list[Task] = field(factory=list)
    waiting: list[Task] = field(factory=list)
    given_back: list[Task] = field(factory=list)
    calls: list[str] = field(factory=list)
    #: How each method answers, by its name; at once where nothing is said.
    answers: dict[str, Callable[[], Deferred[Any]]] = field(factory=dict)

    def _answer(self, name: str, result: Any = None) -> Deferred[Any]:
        self.calls.append(name)
        answer = self.answers.get(name, lambda: succeed(None))()
        return answer.addCallback(lambda _: result() if callable(result) else result)

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        self.limits.append(limit)

        def taken() -> list[Task]:
            took, self.due = self.due[:limit], self.due[limit:]
            return took

        return self._answer("take", taken)

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        return self._answer("report", lambda: self.settled.extend(t for t, _ in settled))

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        return self._answer("retry_at", lambda: self.waiting.extend(t for t, _ in waiting))

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        return self._answer("give_back", lambda: self.given_back.extend(tasks))


def is_a_work(desk: Desk) -> Work:
    return desk


@define
class Oracle:
    """A prober: each batch waits until the test answers it, or is answered by `how` at once."""

    how: Callable[[Sequence[Address]], Any] | None = None
    batches: list[list[Address]] = field(factory=list)
    retries: list[list[Retry | None]] = field(factory=list)
    asking: list[Deferred[list[Outcome]]] = field(factory=list)
    recalled: list[Deferred[list[Outcome]]] = field(factory=list)

    def ask(
        self, addresses: Sequence[Address], retries: Sequence[Retry | None], wishes: Any = None
    ) -> Deferred[list[Outcome]]:
        self.batches.append(list(addresses))
        self.retries.append(list(retries))
        if self.how is not None:
            answer: Deferred[list[Outcome]] = self.how(addresses)
            return answer
        self.asking.append(Deferred())
        return self.asking[-1]

    def recall(self, wholes: Iterable[Deferred[list[Outcome]]]) -> None:
        self.recalled.extend(wholes)

    def answer(self, number: int, final: bool = True) -> None:
        self.asking[number].callback([outcome(each, final) for each in self.batches[number]])


class Room:
    """An engine with its desk and its oracle."""

    def __init__(self, due: Sequence[Task] = (), **options: Any) -> None:
        self.clock = Clock()
        self.desk = Desk(due=list(due))
        self.oracle = Oracle()
        prober: Any = self.oracle
        self.engine = Engine(self.clock, prober, self.desk, **options)

    def stop(self, grace: float = 10.0) -> list[float]:
        """Stop; the list gets the moment when it has."""
        stopped: list[float] = []
        self.engine.stop(grace).addCallback(lambda _: stopped.append(self.clock.seconds()))
        return stopped

    def ended(self) -> None:
        """The engine stops at once, and nothing is left."""
        stopped = self.stop(0.0)
        self.clock.advance(0.0)
        assert stopped
        assert not self.clock.getDelayedCalls()
        assert self.engine.in_hand == 0


def numbers(of: Sequence[Task]) -> list[int]:
    return [each.token[1] for each in of]


def now(addresses: Sequence[Address]) -> Deferred[list[Outcome]]:
    return succeed([outcome(each) for each in addresses])


# --- Taking -----------------------------------------------------------------------------------


def test_defaults() -> None:
    assert (WINDOW, IDLE) == (5000, 1.0)


def test_nothing_is_taken_before_the_start() -> None:
    room = Room(tasks(3))
    room.engine.wake()
    assert not room.desk.calls
    assert room.engine.in_hand == 0


def test_an_empty_work_is_looked_at_now_and_then() -> None:
    room = Room(window=7)
    room.engine.start()
    assert room.desk.limits == [7]
    room.clock.advance(IDLE - 0.01)
    assert len(room.desk.limits) == 1
    room.clock.advance(0.01)
    room.clock.pump([IDLE] * 3)
    assert room.desk.limits == [7] * 5
    room.ended()


def test_wake_looks_at_once() -> None:
    room = Room()
    room.engine.start()
    room.desk.due = tasks(1)
    room.clock.advance(0.25)
    room.engine.wake()
    assert room.engine.in_hand == 1
    room.clock.advance(IDLE - 0.01)
    assert len(room.desk.limits) == 2  # the pause begins anew
    room.clock.advance(0.01)
    assert len(room.desk.limits) == 3
    room.ended()


def test_nobody_takes_twice_at_the_same_time() -> None:
    room = Room(tasks(2))
    taking: Deferred[None] = Deferred()
    room.desk.answers["take"] = lambda: taking
    room.engine.start()
    room.engine.wake()
    room.clock.pump([IDLE] * 3)
    assert room.desk.calls == ["take"]
    taking.callback(None)
    assert room.engine.in_hand == 2
    del room.desk.answers["take"]
    room.clock.advance(IDLE)
    assert room.desk.calls == ["take"] * 2
    room.ended()


def test_no_more_in_hand_than_the_window() -> None:
    room = Room(tasks(25), window=10)
    room.engine.start()
    assert room.engine.in_hand == 10
    room.clock.pump([IDLE] * 3)
    assert room.desk.limits == [10]
    room.oracle.answer(0)
    assert room.engine.in_hand == 0
    room.clock.advance(IDLE)
    assert (room.desk.limits, room.engine.in_hand) == ([10, 10], 10)
    room.desk.due.insert(0, task(99, "b.example"))
    room.oracle.answer(1)
    room.clock.advance(IDLE)
    assert sorted(map(len, room.oracle.batches)) == [1, 5, 10, 10]
    room.ended()


def test_what_is_taken_as_one_is_asked_in_batches() -> None:
    due = [
        task(1),
        task(2, "b.example"),
        task(3),
        task(4, retry=RETRY),
        task(5, "b.example"),
        *[task(100 + number, "c.example") for number in range(2 * BATCH + 1)],
    ]
    room = Room(due)
    room.engine.start()
    room.clock.advance(0)
    batches = [(batch[0].domain, len(batch)) for batch in room.oracle.batches]
    assert batches == [
        ("a.example", 2),
        ("b.example", 2),
        ("a.example", 1),
        ("c.example", BATCH),
        ("c.example", BATCH),
        ("c.example", 1),
    ]
    assert room.oracle.retries[0] == [None, None]
    assert room.oracle.retries[2] == [RETRY]
    room.ended()


# --- Giving account ---------------------------------------------------------------------------


def test_no_turn_of_the_reactor_begins_with_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TURN", 2)
    room = Room(tasks(10), batch=2)
    room.engine.start()
    room.engine.wake()
    assert len(room.oracle.batches) == 2
    room.clock.advance(0)
    assert len(room.oracle.batches) == 5


def test_stop_between_two_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TURN", 2)
    room = Room(tasks(10), batch=2)
    room.engine.start()
    stopped = room.stop()
    room.clock.advance(0)
    assert numbers(room.desk.given_back) == [4, 5, 6, 7, 8, 9]
    room.oracle.answer(0)
    room.oracle.answer(1)
    assert stopped
    assert numbers(room.desk.settled) == [0, 1, 2, 3]
    assert not room.clock.getDelayedCalls()


def test_final_outcomes_are_reported_and_others_wait() -> None:
    room = Room(tasks(4))
    room.engine.start()
    mixed = [
        outcome(each, final=number % 2 == 0) for number, each in enumerate(room.oracle.batches[0])
    ]
    room.oracle.asking[0].callback(mixed)
    assert numbers(room.desk.settled) == [0, 2]
    assert numbers(room.desk.waiting) == [1, 3]
    assert not room.desk.given_back
    assert room.desk.calls == ["take", "report", "retry_at"]
    room.ended()


@pytest.mark.parametrize(("final", "call"), [(True, "report"), (False, "retry_at")])
def test_nobody_is_told_of_nothing(final: bool, call: str) -> None:
    room = Room(tasks(2))
    room.engine.start()
    room.oracle.answer(0, final)
    assert room.desk.calls == ["take", call]
    room.ended()


def test_what_is_not_committed_is_in_hand() -> None:
    room = Room(tasks(2))
    committing: Deferred[None] = Deferred()
    room.desk.answers["report"] = lambda: committing
    room.engine.start()
    room.oracle.answer(0)
    assert room.engine.in_hand == 2
    committing.callback(None)
    assert room.engine.in_hand == 0
    room.ended()


def test_a_work_and_a_prober_that_never_make_anybody_wait() -> None:
    room = Room(tasks(30), window=10)
    room.oracle.how = now
    room.engine.start()
    room.clock.pump([IDLE] * 5)
    assert numbers(room.desk.settled) == list(range(30))
    room.ended()


# --- What fails -------------------------------------------------------------------------------


def broken() -> Deferred[Any]:
    return fail(OSError("disk full"))


def raising() -> Deferred[Any]:
    raise OSError("disk full")


@pytest.mark.parametrize("way", [broken, raising])
def test_a_work_that_cannot_be_asked(way: Any, expect_errors: Any) -> None:
    expect_errors(3)
    room = Room(tasks(2))
    room.desk.answers["take"] = way
    room.engine.start()
    room.clock.pump([IDLE] * 2)
    assert room.desk.calls == ["take"] * 3
    del room.desk.answers["take"]
    room.clock.advance(IDLE)
    assert room.engine.in_hand == 2
    room.ended()


def test_a_batch_that_fails_is_given_back(expect_errors: Any) -> None:
    expect_errors(1)
    room = Room([*tasks(2), task(7, "b.example")])
    room.engine.start()
    room.oracle.asking[0].errback(ZeroDivisionError())
    assert numbers(room.desk.given_back) == [0, 1]
    assert room.engine.in_hand == 1
    room.ended()


def test_too_few_outcomes_are_none(expect_errors: Any) -> None:
    expect_errors(1)
    room = Room(tasks(2))
    room.engine.start()
    room.oracle.asking[0].callback([outcome(room.oracle.batches[0][0])])
    assert numbers(room.desk.given_back) == [0, 1]
    assert not room.desk.settled
    room.ended()


def test_a_prober_that_is_closed_is_not_asked_in_a_hurry(expect_errors: Any) -> None:
    expect_errors(6)

    def closed(addresses: Any) -> Any:
        raise RuntimeError("the prober is closed")

    room = Room(tasks(30), window=5)
    room.oracle.how = closed
    room.engine.start()
    room.clock.pump([IDLE] * 5)
    assert len(room.oracle.batches) == 6
    assert numbers(room.desk.given_back) == list(range(30))
    room.ended()


def test_a_prober_that_somebody_closes_gives_back_without_a_word() -> None:
    room = Room(tasks(2))
    room.engine.start()
    room.oracle.asking[0].cancel()
    assert numbers(room.desk.given_back) == [0, 1]
    room.ended()


@pytest.mark.parametrize("way", [broken, raising])
@pytest.mark.parametrize(
    ("call", "given_back", "kept"), [("report", [0, 2], [1]), ("retry_at", [1], [0, 2])]
)
def test_outcomes_that_cannot_be_kept(
    way: Any, call: str, given_back: list[int], kept: list[int], expect_errors: Any
) -> None:
    """Each comes back by one way only."""
    expect_errors(1)
    room = Room(tasks(3))
    room.desk.answers[call] = way
    room.engine.start()
    room.oracle.asking[0].callback(
        [outcome(each, final=each.local != "u1") for each in room.oracle.batches[0]]
    )
    assert numbers(room.desk.given_back) == given_back
    assert numbers([*room.desk.settled, *room.desk.waiting]) == kept
    room.ended()


def test_what_cannot_even_be_given_back_is_said(expect_errors: Any) -> None:
    expect_errors(2)
    room = Room(tasks(3))
    room.desk.answers.update(report=broken, give_back=raising)
    room.engine.start()
    room.oracle.answer(0)
    assert room.engine.in_hand == 0
    room.ended()


# --- The end ----------------------------------------------------------------------------------


def test_stop_before_the_start() -> None:
    room = Room(tasks(2))
    assert room.stop() == [0.0]
    room.ended()


def test_stop_begins_no_more_sessions() -> None:
    room = Room(tasks(2))
    room.engine.start()
    stopped = room.stop()
    assert room.oracle.recalled == room.oracle.asking
    room.oracle.answer(0)
    assert stopped


def test_stop_waits_for_those_in_hand() -> None:
    room = Room([task(1), task(2, "b.example")])
    room.engine.start()
    stopped = room.stop(10.0)
    room.engine.wake()
    room.clock.advance(3)
    room.oracle.answer(0)
    assert not stopped
    room.clock.advance(3)
    room.oracle.answer(1)
    assert stopped == [6.0]
    assert numbers(room.desk.settled) == [1, 2]
    assert room.desk.calls.count("take") == 1
    assert not room.clock.getDelayedCalls()


def test_stop_cuts_those_who_take_too_long() -> None:
    room = Room([task(1), task(2, "b.example")])
    room.engine.start()
    stopped = room.stop(10.0)
    room.oracle.answer(0)
    room.clock.advance(10)
    assert stopped == [10.0]
    assert numbers(room.desk.settled) == [1]
    assert numbers(room.desk.given_back) == [2]
    assert not room.clock.getDelayedCalls()


def test_stop_waits_for_the_commit() -> None:
    room = Room(tasks(1))
    committing: Deferred[None] = Deferred()
    room.desk.answers["report"] = lambda: committing
    room.engine.start()
    room.oracle.answer(0)
    stopped = room.stop(1.0)
    room.clock.advance(5)
    assert not stopped
    committing.callback(None)
    assert stopped == [5.0]
    assert numbers(room.desk.settled) == [0]
    assert not room.desk.given_back


def test_what_is_taken_while_stopping_is_given_back_unasked() -> None:
    room = Room(tasks(2))
    taking: Deferred[None] = Deferred()
    room.desk.answers["take"] = lambda: taking
    room.engine.start()
    stopped = room.stop()
    assert not stopped
    taking.callback(None)
    assert stopped == [0.0]
    assert numbers(room.desk.given_back) == [0, 1]
    assert not room.oracle.batches
    assert not room.clock.getDelayedCalls()


def test_stop_while_the_work_fails(expect_errors: Any) -> None:
    expect_errors(1)
    room = Room(tasks(2))
    taking: Deferred[None] = Deferred()
    room.desk.answers["take"] = lambda: taking
    room.engine.start()
    stopped = room.stop()
    taking.errback(OSError("disk full"))
    assert stopped == [0.0]
    assert not room.clock.getDelayedCalls()


def test_stop_twice_and_start_again() -> None:
    room = Room(tasks(1))
    room.engine.start()
    first, second = room.stop(5.0), room.stop(1.0)
    room.clock.advance(1.0)
    assert (first, second) == ([1.0], [1.0])
    assert not room.clock.getDelayedCalls()
    room.desk.due = tasks(1)
    room.engine.start()
    assert room.engine.in_hand == 1
    room.ended()


# --- Nothing is lost --------------------------------------------------------------------------


class Chance:
    """A work and a prober that do at random whatever they may; each task is counted."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        prober: Any = self
        self.engine = Engine(self.clock, prober, self, window=self.rng.randint(1, 40), idle=0.5)
        self.due = [
            task(number, f"{self.rng.choice('abc')}.example", self.rng.choice((None, RETRY)))
            for number in range(self.rng.randint(0, 60))
        ]
        self.all = Counter(numbers(self.due))
        self.out: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        self.is_broken = True

    def _later(self, result: Callable[[], Any], troubles: bool = True) -> Deferred[Any]:
        """At once, in a while, or not at all."""
        if troubles and self.is_broken and self.rng.random() < 0.15:
            return fail(OSError("disk full"))
        if self.rng.random() < 0.4:
            return succeed(result())
        return deferLater(self.clock, self.rng.random(), result)

    def _back(self, of: Sequence[Task]) -> None:
        for each in of:
            assert self.out[each.token[1]] == 1, "it came back twice"
            del self.out[each.token[1]]

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        def taken() -> list[Task]:
            took, self.due = self.due[:limit], self.due[limit:]
            for each in took:
                assert self.out[each.token[1]] == 0, "it was handed out twice"
            self.out.update(numbers(took))
            return took

        assert 0 < limit <= 40
        return self._later(taken)

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        def keep() -> None:
            self._back([each for each, _ in settled])
            self.done.update(each.token[1] for each, _ in settled)

        assert settled
        assert all(said.final for _, said in settled)
        return self._later(keep)

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        def keep() -> None:
            self._back([each for each, _ in waiting])
            self.due += [each for each, _ in waiting]

        assert waiting
        assert not any(said.final for _, said in waiting)
        return self._later(keep)

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        def keep() -> None:
            self._back(tasks)
            self.due += tasks

        assert tasks
        return self._later(keep, troubles=False)

    def recall(self, wholes: Iterable[Deferred[list[Outcome]]]) -> None:
        """Those who are asked are asked to the end."""

    def ask(
        self, addresses: Sequence[Address], retries: Any, wishes: Any = None
    ) -> Deferred[list[Outcome]]:
        def answers() -> list[Outcome]:
            return [outcome(each, final=self.rng.random() < 0.7) for each in addresses]

        assert len({each.domain for each in addresses}) == 1
        kind = self.rng.random()
        if self.is_broken and kind < 0.1:
            raise RuntimeError("closed")
        if self.is_broken and kind < 0.2:
            return fail(CancelledError())
        if self.is_broken and kind < 0.3:
            return Deferred()
        return self._later(answers)

    def run(self, steps: int) -> None:
        self.engine.start()
        for _ in range(steps):
            self.clock.advance(self.rng.choice((0.0, 0.1, 0.5)))
            if self.rng.random() < 0.1:
                self.engine.wake()
            self.check()
        stopped: list[None] = []
        self.engine.stop(self.rng.choice((0.0, 1.0))).addCallback(stopped.append)
        for _ in range(20):
            self.clock.advance(0.5)
        assert stopped, "it never stops"
        self.check()
        assert not self.out, "it was lost"
        assert self.engine.in_hand == 0
        assert not self.clock.getDelayedCalls()

    def check(self) -> None:
        assert self.engine.in_hand >= 0
        everybody = self.done + self.out + Counter(numbers(self.due))
        assert everybody == self.all


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60))
def test_nothing_is_lost_and_nothing_comes_back_twice(seed: int, steps: int) -> None:
    with mock.patch.object(engine, "_log"):
        Chance(seed).run(steps)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_in_the_end_everybody_is_answered(seed: int) -> None:
    chance = Chance(seed)
    chance.is_broken = False
    chance.engine.start()
    for _ in range(1000):
        if chance.done == chance.all:
            break
        chance.clock.advance(0.5)
    chance.run(0)
    assert chance.done == chance.all
