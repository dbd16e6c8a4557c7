"""The second session of an attempt makes use of what the first has shown of the exchanger.

Rows are those of cases.md.
"""

from __future__ import annotations

from attrs import evolve

from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.habits import LimitsErrors, RefusesPipelining
from twisted_probe.sandbox.temper import Habit, Temper, residents
from twisted_probe.sandbox.visit import Command, Visit
from twisted_probe.vocabulary.outcome import Outcome, Reason

from .town_square import town

A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
HERE = residents("ann ben carl")
BOTH = (Reason.ACCEPTED, Reason.NO_SUCH_MAILBOX)


def asked(temper: Temper, *names: str) -> tuple[list[Outcome], list[list[str]]]:
    """The outcomes, and what each session at such an exchanger has said."""
    with town(A) as t:
        record = t.square.settle("192.0.2.1", temper)
        wanted = t.prober.probe_many([f"{name}@a.example" for name in names])
        outcomes = t.square.wait(wanted)
        return outcomes, [session.verbs for session in record.sessions]


def reasons(outcomes: list[Outcome]) -> tuple[Reason, ...]:
    return tuple(outcome.reason for outcome in outcomes)


def test_one_that_offers_pipelining_and_breaks_is_asked_without() -> None:
    """Row 82."""
    temper = Temper(mailboxes=HERE, habits=(RefusesPipelining(),))
    outcomes, (_, second) = asked(temper, "ann", "nobody")
    assert reasons(outcomes) == BOTH
    assert second == ["EHLO", "MAIL", "RCPT", "RCPT", "RCPT", "QUIT"]


def loses(number: int) -> Habit:
    """Loses this RCPT of a session, where it came early."""

    def habit(visit: Visit, command: Command, answer: Answer) -> Answer:
        heard = visit.memory[visit.number] = visit.memory.get(visit.number, 0) + (
            command.verb == "RCPT"
        )
        return Answer("") if command.early and heard == number else answer

    return habit


def test_one_that_loses_a_command_fools_nobody() -> None:
    """Row 82: ann would have got the answer of the one behind her."""
    temper = Temper(mailboxes=HERE, unknown="550 5.1.1 Unknown", habits=(loses(1),))
    outcomes, (_, second) = asked(temper, "ann", "nobody")
    assert reasons(outcomes) == BOTH
    assert second[-3:] == ["RCPT", "RCPT", "QUIT"]


def test_one_that_breaks_either_way_is_not_asked_for_ever() -> None:
    temper = Temper(mailboxes=HERE, habits=(_drops_at_rcpt,))
    outcomes, sessions = asked(temper, "ann", "nobody")
    assert reasons(outcomes) == (Reason.CONNECTION_LOST,) * 2
    assert len(sessions) == 2


def _drops_at_rcpt(visit: Visit, command: Command, answer: Answer) -> Answer:
    return Answer("", then=Then.CLOSE) if command.verb == "RCPT" else answer


def test_one_that_hangs_up_on_ehlo_hears_helo() -> None:
    """Row 61."""
    temper = Temper(ehlo=Answer("500 what?", then=Then.CLOSE), keywords=(), mailboxes=HERE)
    outcomes, (_, second) = asked(temper, "ann", "nobody")
    assert reasons(outcomes) == BOTH
    assert second[:2] == ["HELO", "MAIL"]


def test_a_limit_of_errors_is_not_met_twice() -> None:
    """Row 115."""
    temper = Temper(mailboxes=HERE, habits=(LimitsErrors(soft=99, hard=3),))
    outcomes, sessions = asked(temper, *(f"u{n}" for n in range(12)))
    assert set(reasons(outcomes)) == {Reason.NO_SUCH_MAILBOX}
    assert {verbs.count("RCPT") for verbs in sessions[1:]} == {3, 1}  # the control makes 13


def test_one_that_hangs_up_upon_a_rejection() -> None:
    """Row 46. The group that it cuts short is asked again, and no other comes to that end."""
    temper = Temper(mailboxes=HERE, habits=(_drops_behind_a_no,))
    outcomes, sessions = asked(temper, "ann", "nobody", "ben")
    assert reasons(outcomes) == (*BOTH, Reason.ACCEPTED)
    assert len(sessions) == 4


def _drops_behind_a_no(visit: Visit, command: Command, answer: Answer) -> Answer:
    is_no = command.verb == "RCPT" and answer.is_error
    return evolve(answer, then=Then.CLOSE) if is_no else answer
