"""Heaps of work are done a piece of them in each turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.one_turn import one_turn
from twisted_probe.routing.turns import SLICE, Turns
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.zone import Names

from .town_square import town


class Room:
    """Turns, and calls that take their time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def call(self, word: str, seconds: float = 0.0) -> Callable[[], None]:
        def work() -> None:
            self.done.append(word)
            self.clock.rightNow += seconds

        return work

    def wait(self, word: str, seconds: float = 0.0) -> None:
        self.turns.next().addCallback(lambda _: self.call(word, seconds)())

    def turn(self) -> str:
        """What was done in the next turn."""
        before = len(self.done)
        one_turn(self.clock)
        return "".join(self.done[before:])


@pytest.fixture
def room() -> Room:
    return Room()


def test_short_ones_are_done_at_once(room: Room) -> None:
    room.turns.take(map(room.call, "abc"))
    assert room.done == ["a", "b", "c"]
    assert room.clock.getDelayedCalls() == []


def test_long_ones_are_done_in_turns(room: Room) -> None:
    room.turns.take(partial(room.call, seconds=SLICE / 2)(word) for word in "abcde")
    assert room.done == ["a", "b"]
    assert [room.turn(), room.turn(), room.turn()] == ["cd", "e", ""]
    assert room.clock.getDelayedCalls() == []


def test_the_last_of_a_turn_leaves_nothing_behind(room: Room) -> None:
    room.turns.take([room.call("a", 10 * SLICE)])
    assert room.clock.getDelayedCalls() == []
    room.turns.take([room.call("b")])
    assert room.done == ["a", "b"]


def test_nobody_is_overtaken(room: Room) -> None:
    room.turns.take([room.call("a", SLICE), room.call("b", SLICE)])
    room.turns.take([room.call("c", SLICE)])
    room.wait("d", SLICE)
    room.turns.take([room.call("e", SLICE)])
    assert room.done == ["a"]
    assert [room.turn() for _ in range(4)] == ["b", "c", "d", "e"]


def test_who_is_one_of_many_waits_for_the_next_turn(room: Room) -> None:
    for word in "abc":
        room.wait(word, SLICE / 2)
    assert room.done == []
    assert [room.turn(), room.turn(), room.turn()] == ["ab", "c", ""]
    assert room.clock.getDelayedCalls() == []


def test_what_a_call_brings_waits_behind_the_others(room: Room) -> None:
    room.turns.next().addCallback(lambda _: room.turns.take([room.call("c")]))
    room.wait("b", SLICE)
    assert [room.turn(), room.turn()] == ["b", "c"]


def test_who_is_cancelled_has_it_at_once_and_once(room: Room) -> None:
    waiting = room.turns.next().addCallback(lambda _: room.call("a")())
    room.wait("b")
    waiting.cancel()
    assert room.done == ["a"]
    assert room.turn() == "b"
    waiting.cancel()
    assert room.done == ["a", "b"]


def test_a_clock_that_goes_back_loses_nothing(room: Room) -> None:
    room.turns.take([room.call("a", -100.0), room.call("b", 50.0), room.call("c", SLICE)])
    assert room.done == ["a", "b", "c"]


def test_one_that_fails_keeps_nobody_waiting(room: Room, expect_errors: Any) -> None:
    def fail() -> None:
        raise ValueError

    room.turns.take([fail, room.call("a", SLICE), fail, room.call("b")])
    assert room.done == ["a"]
    assert room.turn() == "b"
    room.turns.take([room.call("c")])
    assert room.done == ["a", "b", "c"]
    expect_errors(2)


def test_sessions_that_end_together_are_looked_at_in_turns() -> None:
    names: Names = {f"{n}.example": [f"MX 10 mx{n}.example"] for n in range(4)}
    hosts: Names = {f"mx{n}.example": [f"A 192.0.2.{n + 1}"] for n in range(4)}
    heard: list[int] = []
    asking = []
    with town({**names, **hosts}) as t:

        def hear(_: object, number: int) -> None:
            heard.append(number)
            t.square.rightNow += SLICE

        for n in range(4):
            t.square.settle(f"192.0.2.{n + 1}", tempers.postfix(residents("ann")))
            asking.append(t.prober.probe(f"ann@{n}.example").addBoth(hear, n))
        turns = t.prober._tools.turns
        while len(turns._waiting) < 4:
            one_turn(t.square)
            t.square.rightNow = t.square.calls[0].getTime()
        assert heard == []
        assert t.prober.sites.active == 4
        # Whoever goes away waits for no turn.
        asking[2].cancel()
        assert heard == [2]
        one_turn(t.square)
        assert heard == [2, 0]
        one_turn(t.square)
        one_turn(t.square)
        assert heard == [2, 0, 1, 3]
        assert t.prober.sites.active == 0
