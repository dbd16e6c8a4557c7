"""A batch that takes several sessions: its answers are not kept until the last."""

from __future__ import annotations

import pytest

from twisted_probe.routing.attempt import AWAITED
from twisted_probe.routing.pauses import Held
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Outcome, Reason

from .town_square import town

NAMES = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
#: Four recipients and the control a session, and a session every 100 seconds.
LIMITS = Limits(errors_per_session=5, starts_per_second=0.01, first_sessions=1)
PEOPLE = [f"nobody{number}@a.example" for number in range(8)]


def test_answers_are_not_kept_waiting() -> None:
    """What is known is told, and kept, while the others wait for a session to come."""
    with town(NAMES, limits=LIMITS) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(residents("ann")))
        begun = t.square.seconds()
        with pytest.raises(Held) as held:
            t.square.wait(t.prober.ask(PEOPLE))
        assert t.square.seconds() - begun == AWAITED
        told = [each and each.reason for each in held.value.outcomes]
        assert told == [Reason.NO_SUCH_MAILBOX] * 4 + [None] * 4
        rest = t.square.wait(t.prober.ask(PEOPLE[4:]))
        assert {each.reason for each in rest} == {Reason.NO_SUCH_MAILBOX}
        asked = [what for session in record.sessions for verb, what in session.commands]
        assert len([each for each in asked if "nobody" in each]) == len(PEOPLE)


def test_nor_while_the_others_are_asked() -> None:
    """Sessions that follow each other at once, and take their time."""
    limits = Limits(errors_per_session=5, starts_per_second=10.0, first_sessions=1)
    with town(NAMES, limits=limits) as t:
        t.square.settle("192.0.2.1", tempers.postfix(residents("ann"), Tarpits(AWAITED / 5)))
        told: list[int] = []
        left = PEOPLE
        while left:
            begun = t.square.seconds()
            outcomes: list[Outcome | None]
            try:
                outcomes = [*t.square.wait(t.prober.ask(left))]
            except Held as held:
                outcomes = [*held.outcomes]
            answered = [each for each in outcomes if each is not None]
            assert {each.reason for each in answered} == {Reason.NO_SUCH_MAILBOX}
            assert t.square.seconds() - begun < 5 * AWAITED
            told.append(len(answered))
            left = left[len(answered) :]
        assert told == [4, 4]


def test_whoever_listens_to_the_end_hears_all() -> None:
    with town(NAMES, limits=LIMITS) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(residents("ann")))
        outcomes = t.square.wait(t.prober.probe_many(PEOPLE))
        assert {each.reason for each in outcomes} == {Reason.NO_SUCH_MAILBOX}
        assert len(record.sessions) == 2
