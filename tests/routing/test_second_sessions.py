"""The second session of an attempt makes use of what the first has shown of the exchanger.

Rows are those of cases.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import evolve, frozen

from twisted_probe.routing.controls import Controls
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.habits import (
    AlwaysSays,
    LimitsErrors,
    LimitsRecipients,
    RefusesPipelining,
)
from twisted_probe.sandbox.temper import Habit, Temper, residents
from twisted_probe.sandbox.visit import Command, Visit
from twisted_probe.verdict.account import account_of
from twisted_probe.verdict.basis import judgement_of
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict

from .town_square import ONE, Town, town

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


# --- Exchangers that change their mind ---------------------------------------------------------

VAGUE = "550 Rejected"
LIVING = residents("ann ben carl dora")


@frozen
class TurnsOn:
    """From the `session` on, and behind `recipients` of it, says the same to everybody but the
    `exempt`."""

    says: str
    session: int = 1
    recipients: int = 0
    exempt: frozenset[str] = frozenset()

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        local = (command.path or "").partition("@")[0]
        is_turned = visit.number > self.session or (
            visit.number == self.session and visit.asked >= self.recipients
        )
        is_meant = command.verb == "RCPT" and is_turned and local not in self.exempt
        return Answer(self.says) if is_meant else answer


@contextmanager
def turning(habit: Habit, unknown: str = VAGUE, **options: Any) -> Iterator[tuple[Town, Any]]:
    """A town whose exchanger has that habit, and its record; one source, which alone is known."""
    mailboxes = LIVING | residents("postmaster")
    with town(A, sources=[ONE], **options) as t:
        temper = Temper(mailboxes=mailboxes, unknown=unknown, habits=(habit,))
        yield t, t.square.settle("192.0.2.1", temper)


def probed(t: Town, names: str) -> list[Outcome]:
    found: list[Outcome] = t.square.wait(
        t.prober.probe_many([f"{name}@a.example" for name in names.split()])
    )
    return found


VAGUE_WORDS = ["550 Rejected", "550", "550 Mailbox unavailable", "554 5.0.0 Not today"]


@pytest.mark.parametrize("words", VAGUE_WORDS)
def test_who_was_shut_out_since_the_last_job_makes_nobody_dead(words: str) -> None:
    with turning(TurnsOn(words, session=2), words) as (t, _):
        assert reasons(probed(t, "ann")) == (Reason.ACCEPTED,)
        found = probed(t, "ann ben carl")
        assert {each.verdict for each in found} == {Verdict.UNKNOWN}


@pytest.mark.parametrize("words", VAGUE_WORDS)
@pytest.mark.parametrize("recipients", [0, 1, 2])
def test_who_is_shut_out_within_a_job_makes_nobody_dead(words: str, recipients: int) -> None:
    limits = Limits(starts_per_second=1000.0, recipients_per_session=3)
    habit = TurnsOn(words, session=2, recipients=recipients)
    with turning(habit, words, limits=limits) as (t, record):
        found = probed(t, "ann ben carl dora")
        assert len(record.sessions) > 1
        assert Verdict.UNDELIVERABLE not in {each.verdict for each in found}


@pytest.mark.parametrize("words", VAGUE_WORDS)
@pytest.mark.parametrize(
    ("session", "recipients", "exempt"),
    [(1, 1, ""), (2, 0, ""), (2, 1, ""), (2, 0, "postmaster"), (2, 1, "postmaster")],
)
def test_a_second_control_that_is_as_vague_makes_nobody_dead(
    words: str, session: int, recipients: int, exempt: str
) -> None:
    """The exchanger has said plainly who is unknown, and says so no more."""
    plain = "550 5.1.1 User unknown"
    habit = TurnsOn(words, session, recipients, frozenset((exempt,)))
    controls = Controls(second_control=True)
    with turning(habit, plain, controls=controls) as (t, _):
        found = [*probed(t, "ann"), *probed(t, "ann ben carl"), *probed(t, "dora")]
        assert Verdict.UNDELIVERABLE not in {each.verdict for each in found}


def test_postmaster_who_is_exempt_from_a_block_makes_nobody_dead() -> None:
    habit = TurnsOn(VAGUE, exempt=frozenset(("postmaster",)))
    with turning(habit) as (t, record):
        assert set(reasons(probed(t, "ann ben"))) == {Reason.REJECTS_EVERYONE}
        assert "postmaster@a.example" not in str(record.sessions)
        assert set(reasons(probed(t, "postmaster ann"))) == {
            Reason.ACCEPTED,
            Reason.REJECTS_EVERYONE,
        }


def test_who_is_known_to_be_there_and_refused_speaks_for_all_that_are() -> None:
    words = "550 Mailbox unavailable"
    controls = Controls(known_good=("ben@a.example",))
    habit = TurnsOn(words, exempt=frozenset(("postmaster",)))
    with turning(habit, words, controls=controls) as (t, record):
        assert set(reasons(probed(t, "ann ben"))) == {Reason.REJECTS_EVERYONE}
        assert "postmaster@a.example" not in str(record.sessions)
        assert set(reasons(probed(t, "ann"))) == {Reason.REJECTS_EVERYONE}


def test_another_number_is_another_reason() -> None:
    mailboxes = residents("ann postmaster", ben="550 Refused (E17)")
    outcomes, _ = asked(Temper(mailboxes=mailboxes, unknown="550 Refused (E42)"), "ann", "ben")
    assert reasons(outcomes) == (Reason.ACCEPTED, Reason.POLICY)


def test_who_is_held_back_has_an_account_of_it() -> None:
    plain = "550 5.1.1 User unknown"
    controls = Controls(second_control=True)
    with turning(TurnsOn(plain, recipients=1), plain, controls=controls, evidence=True) as (t, _):
        _, ben = probed(t, "ann ben")
        assert (ben.reason, ben.final) == (Reason.POLICY, False)
        assert ben.hearing is not None
        basis = ben.hearing.bases["a.example", "ben"]
        account = account_of(basis)
        assert (account["rule"]["name"], account["reason"]) == ("no-such-mailbox", "policy")
        assert account["held_back"] == ben.text
        assert account["witness"] == {"recipient": "ann@a.example", "reply": plain}
        assert account["control"]["reply"] == plain
        assert judgement_of(basis).retry
        assert not t.prober.rule_hits


# --- Exchangers that do not come to the control -------------------------------------------------


def one_a_session(visit: Visit, command: Command, answer: Answer) -> Answer:
    """Ends the session at its second recipient."""
    is_second = command.verb == "RCPT" and visit.asked >= 1
    return Answer("421 4.7.0 One recipient a session", then=Then.CLOSE) if is_second else answer


REFUSES_RSET = AlwaysSays("RSET", "502 5.5.1 Not implemented")
HABITS: dict[str, tuple[Habit, ...]] = {
    "421 to the second recipient": (one_a_session,),
    "one a transaction, no RSET": (LimitsRecipients(1), REFUSES_RSET),
}


def to_the_end(t: Town, names: str, attempts: int = 4) -> list[Outcome]:
    """The outcomes once all are final, each asked again as long as it waits."""
    found = probed(t, names)
    for _ in range(attempts):
        for place, outcome in enumerate(found):
            if not outcome.final:
                again = t.prober.probe(outcome.address, retry=outcome.retry)
                found[place] = t.square.wait(again)
    return found


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)
@pytest.mark.parametrize("names", ["ann", "ann ben", "ann nobody ben"])
def test_the_control_gets_a_session_of_its_own(habits: tuple[Habit, ...], names: str) -> None:
    with town(A, sources=[ONE]) as t:
        temper = Temper(mailboxes=residents("ann ben"), habits=habits)
        record = t.square.settle("192.0.2.1", temper)
        found = {each.address.partition("@")[0]: each for each in to_the_end(t, names)}
        # With nobody behind her the first attempt brings the control as well.
        assert found["ann"].attempts <= len(found)
        for name, outcome in found.items():
            living = Reason.NO_SUCH_MAILBOX if name == "nobody" else Reason.ACCEPTED
            assert (outcome.reason, outcome.catch_all) == (living, False)
        said = [argument for session in record.sessions for _, argument in session.commands]
        controls = {each for each in said if each.startswith("TO:") and "nobody" not in each} - {
            f"TO:<{name}@a.example>" for name in found
        }
        assert len(controls) == 1


def test_where_a_session_has_one_recipient_the_control_has_the_next() -> None:
    limits = Limits(starts_per_second=1000.0, recipients_per_session=1)
    with town(A, sources=[ONE], limits=limits) as t:
        record = t.square.settle("192.0.2.1", Temper(mailboxes=LIVING))
        assert reasons(probed(t, "ann")) == (Reason.ACCEPTED,)
        assert [session.verbs.count("RCPT") for session in record.sessions] == [1, 1]
        assert reasons(probed(t, "nobody")) == (Reason.NO_SUCH_MAILBOX,)
        assert len(record.sessions) == 3


def test_one_that_takes_everybody_is_found_out_so_too() -> None:
    with town(A, sources=[ONE]) as t:
        t.square.settle("192.0.2.1", Temper(unknown=None, habits=(one_a_session,)))
        assert set(reasons(to_the_end(t, "ann ben"))) == {Reason.CATCH_ALL}


@pytest.mark.parametrize(
    ("temper", "sessions"),
    [
        # The control is answered, be it undecided; nobody's outcome depends on it; it is cut too.
        (Temper(mailboxes=LIVING, unknown="450 4.2.0 Greylisted"), 1),
        (Temper(mailboxes=residents("", ann="550 5.1.1 Unknown"), habits=(one_a_session,)), 1),
        (Temper(mailboxes=LIVING, habits=(TurnsOn("421 4.3.2 Bye", recipients=1),)), 2),
    ],
)
def test_it_gets_one_only_where_it_is_needed_and_once(temper: Temper, sessions: int) -> None:
    outcomes, said = asked(temper, "ann")
    assert len(said) == sessions
    assert Verdict.DELIVERABLE not in {outcome.verdict for outcome in outcomes}


@pytest.mark.parametrize("recipients", ["ann ben carl", "carl ann", "ann", "ann nobody"])
def test_a_plain_refusal_of_one_who_is_known_to_be_there_is_no_answer(recipients: str) -> None:
    """Nor are those beside it: the exchanger has begun to call everybody unknown."""
    plain = "550 5.1.1 User unknown"
    controls = Controls(known_good=("carl@a.example",))
    with turning(TurnsOn(plain), plain, controls=controls) as (t, _):
        outcomes = probed(t, recipients)
        assert set(reasons(outcomes)) == {Reason.POLICY}
        assert not any(outcome.final for outcome in outcomes)
        assert all(
            "carl@a.example, who is known to be there" in str(each.text) for each in outcomes
        )


def test_where_one_who_is_known_to_be_there_is_accepted_others_are_dead() -> None:
    controls = Controls(known_good=("ann@a.example",))
    with turning(TurnsOn("", recipients=99), "550 5.1.1 User unknown", controls=controls) as (t, _):
        assert reasons(probed(t, "nobody nemo")) == (Reason.NO_SUCH_MAILBOX,) * 2
