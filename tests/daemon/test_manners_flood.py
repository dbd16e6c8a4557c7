"""The same is said once a minute, and how often it was held back."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from twisted_probe.daemon.flood import (
    MAX_OF_KIND,
    MAX_WINDOWS,
    WINDOW,
    Example,
    Gate,
    HeldBack,
    Kind,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(clock.seconds)


def example(message: str = "it rains") -> Example:
    return Example("warn", "weather", message)


def passes(gate: Gate, name: str, about: object = None, message: str = "it rains") -> bool:
    return gate.passes(Kind(name, about), lambda: example(message))


def test_the_first_stands_for_all(gate: Gate, clock: Clock) -> None:
    assert passes(gate, "rain", message="the first")
    for _ in range(9):
        assert not passes(gate, "rain", message="another")
    assert gate.over() == []
    clock.advance(WINDOW)

    assert gate.over() == [HeldBack(example("the first"), 9, WINDOW)]
    assert gate.over() == []
    assert passes(gate, "rain")


def test_nothing_is_said_of_what_was_not_held_back(gate: Gate, clock: Clock) -> None:
    assert passes(gate, "rain")
    clock.advance(WINDOW)

    assert gate.over() == []


def test_what_comes_each_minute_passes(gate: Gate, clock: Clock) -> None:
    for _ in range(5):
        assert passes(gate, "rain")
        clock.advance(59.99)
        assert gate.over() == []


def test_kinds_do_not_hide_one_another(gate: Gate) -> None:
    assert passes(gate, "rain")
    assert passes(gate, "snow")
    assert passes(gate, "snow", "Rome")
    assert passes(gate, "snow", "Oslo")
    assert not passes(gate, "snow", "Oslo")


def test_many_of_a_kind(gate: Gate, clock: Clock) -> None:
    """Each site has its line, a thousand sites have not."""
    said = [passes(gate, "rain", number, f"in {number}") for number in range(1000)]
    clock.advance(WINDOW)

    assert said == [True] * MAX_OF_KIND + [False] * (1000 - MAX_OF_KIND)
    assert gate.over() == [HeldBack(example("in 0"), 1000 - MAX_OF_KIND, WINDOW)]


def test_the_end(gate: Gate, clock: Clock) -> None:
    passes(gate, "rain")
    passes(gate, "rain")
    clock.advance(3)

    assert gate.over(everything=True) == [HeldBack(example(), 1, 3.0)]


def test_kinds_without_number_are_held_in_bounds(gate: Gate) -> None:
    """The oldest is let go of, and what it held back is told."""
    passes(gate, "oldest", message="the oldest")
    passes(gate, "oldest")
    for number in range(MAX_WINDOWS):
        assert passes(gate, f"rain {number}")

    assert [each.example.message for each in gate.over()] == ["the oldest"]
    assert passes(gate, "oldest")


def test_a_clock_of_our_own(gate: Gate, clock: Clock) -> None:
    """It never runs backwards, whatever is done to the machine's."""
    passes(gate, "rain")
    clock.advance(WINDOW - 0.1)
    passes(gate, "rain")
    assert gate.over() == []
    clock.advance(0.2)
    assert [each.count for each in gate.over()] == [1]
