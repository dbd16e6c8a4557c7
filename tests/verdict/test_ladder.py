"""The steps between attempts, and when they end."""

from __future__ import annotations

import pytest

from twisted_probe.verdict.hints import LONGEST_HINT
from twisted_probe.verdict.ladder import Ladder, delay
from twisted_probe.vocabulary.outcome import Reason


@pytest.mark.parametrize("reason", [Reason.GREYLISTED, Reason.UNCONFIRMED])
def test_greylisting_climbs_its_own_steps(reason: Reason) -> None:
    steps = [delay(reason, attempt) for attempt in range(1, 6)]
    assert steps == [300.0, 900.0, 1800.0, 3600.0, None]


@pytest.mark.parametrize("reason", [Reason.TEMPORARY, Reason.TIMEOUT, Reason.BLOCKLISTED])
def test_other_trouble_waits_longer(reason: Reason) -> None:
    steps = [delay(reason, attempt) for attempt in range(1, 6)]
    assert steps == [300.0, 900.0, 3600.0, 14400.0, None]


@pytest.mark.parametrize("reason", [Reason.ACCEPTED, Reason.NO_SUCH_MAILBOX, Reason.CATCH_ALL])
def test_an_answer_has_no_ladder(reason: Reason) -> None:
    assert delay(reason, 1) is None
    assert delay(reason, 1, 600.0) is None


def test_a_longer_hint_wins() -> None:
    assert delay(Reason.GREYLISTED, 1, 600.0) == 600.0


def test_a_shorter_hint_does_not() -> None:
    assert delay(Reason.GREYLISTED, 2, 600.0) == 900.0
    assert delay(Reason.GREYLISTED, 2, -1.0) == 900.0


def test_a_hint_is_bounded_and_makes_no_ladder_longer() -> None:
    assert delay(Reason.GREYLISTED, 1, 1e9) == LONGEST_HINT
    assert delay(Reason.GREYLISTED, 5, 600.0) is None


def test_the_steps_can_be_chosen() -> None:
    assert Ladder(greylist=(1.0,)).delay(Reason.GREYLISTED, 1) == 1.0


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="attempt 0"):
        delay(Reason.GREYLISTED, 0)
