"""The conversation: many recipients, one session, read top to bottom. Rows are those of cases.md.

The server's side is said line by line, so that what is believed of it can be seen at a glance.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from twisted_probe.smtp.conversation import SessionReport, converse, room_of
from twisted_probe.smtp.errors import (
    OutOfStep,
    ProtocolViolation,
    ReplyTimeout,
    SessionLost,
)
from twisted_probe.smtp.limits import MAX_ERRORS, MAX_RECIPIENTS
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.reply import Stage

from .talk import (
    ANN,
    BOB,
    BYE,
    CONTROL,
    CY,
    DAN,
    EHLO,
    FEWER,
    JOSE,
    MAIL,
    MAIL_UTF8,
    NO,
    OK,
    PROBE,
    QUIT,
    RSET,
    SENDER_OK,
    TO_CONTROL,
    ZOE,
    Talk,
    codes,
    person,
    to,
)
from .wire import HELO, HOST, Wire, dismissed, greeted, outcome_of

# --- As it should be ---------------------------------------------------------------------------


def test_one_transaction_and_the_control_last() -> None:
    """Row 89."""
    talk = Talk("PIPELINING", ANN, BOB, CY, control=CONTROL)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, OK, NO, "450 4.2.1 busy")
    talk.client(TO_CONTROL)
    talk.server(NO)
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250, "bob": 550, "cy": 450, "x7k2m9": 550}
    assert report == SessionReport(answers=report.answers, errors=3)
    assert report.answers[BOB].stage is Stage.RCPT
    assert report.answers[BOB].host == HOST
    assert not talk.is_cut


def test_the_same_without_pipelining() -> None:
    """Row 81."""
    talk = Talk("8BITMIME", ANN, BOB, control=CONTROL)
    talk.goes((MAIL, OK), (to("ann"), OK), (to("bob"), NO), (TO_CONTROL, NO))
    assert codes(talk.says_goodbye()) == {"ann": 250, "bob": 550, "x7k2m9": 550}


def test_a_control_among_the_recipients_is_asked_once() -> None:
    """Where earlier sessions ended before it."""
    talk = Talk("PIPELINING", CONTROL, control=CONTROL)
    talk.client(MAIL, TO_CONTROL)
    talk.server(OK, NO)
    assert codes(talk.says_goodbye()) == {"x7k2m9": 550}


def test_without_a_control() -> None:
    talk = Talk("PIPELINING", ANN)
    talk.client(MAIL, to("ann"))
    talk.server(OK, "252 2.0.0 will try")
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 252}
    assert report.errors == 0


def test_nobody_to_ask() -> None:
    talk = Talk("PIPELINING", control=CONTROL)
    assert talk.says_goodbye() == SessionReport(answers={})


def test_helo_where_ehlo_is_refused() -> None:
    """Row 60."""
    wire = greeted()
    reports = outcome_of(converse(wire.session, [ANN], None))
    wire.client(EHLO)
    wire.server("502 what?")
    wire.client(f"HELO {HELO}")
    wire.server("250 mx.example.net")
    wire.client("MAIL FROM:<>")
    wire.server(OK)
    wire.client(to("ann"))
    wire.server(OK)
    wire.client(QUIT)
    wire.server(BYE)
    assert codes(reports[0]) == {"ann": 250}


# --- The error budget --------------------------------------------------------------------------


def test_it_stops_before_the_exchanger_begins_to_punish() -> None:
    """Row 115: eight rejections and one for the control; the rest go back in order."""
    people = [person(f"u{n}") for n in range(12)]
    talk = Talk("PIPELINING", *people, control=CONTROL)
    talk.client(MAIL, *(to(f"u{n}") for n in range(8)))
    talk.server(OK, *[NO] * 8)
    talk.client(TO_CONTROL)
    talk.server(NO)
    report = talk.says_goodbye()
    assert report.errors == MAX_ERRORS == 9
    assert report.unanswered == tuple(people[8:])
    assert (report.refusal, report.failure) == (None, None)


def test_without_a_control_all_nine() -> None:
    people = [person(f"u{n}") for n in range(10)]
    talk = Talk("PIPELINING", *people)
    talk.client(MAIL, *(to(f"u{n}") for n in range(9)))
    talk.server(OK, *[NO] * 9)
    assert talk.says_goodbye().unanswered == (people[9],)


def test_the_accepted_cost_nothing() -> None:
    people = [person(f"u{n}") for n in range(7)]
    talk = Talk("PIPELINING", *people, control=CONTROL, max_errors=4)
    talk.client(MAIL, to("u0"), to("u1"), to("u2"))
    talk.server(OK, OK, NO, OK)
    talk.client(to("u3"), to("u4"))
    talk.server(OK, NO)
    talk.client(to("u5"))
    talk.server(OK)
    talk.client(to("u6"))
    talk.server(NO)
    talk.client(TO_CONTROL)
    talk.server(NO)
    report = talk.says_goodbye()
    assert report.unanswered == ()
    assert report.errors == 4


def test_whoever_is_accepted_makes_room_for_the_next() -> None:
    """Before the others of the group are answered, and never so that too many could be refused."""
    people = [person(f"u{n}") for n in range(12)]
    talk = Talk("PIPELINING", *people, control=CONTROL, max_errors=5)
    talk.client(MAIL, *(to(f"u{n}") for n in range(4)))
    talk.server(OK)
    talk.client()
    for n in range(4, 8):
        talk.server(OK)
        talk.client(to(f"u{n}"))
    talk.server(NO, OK, NO)
    talk.client(to("u8"))
    talk.server(OK, NO)
    talk.client(to("u9"))
    talk.server(OK)
    talk.client(to("u10"))
    talk.server(NO)
    talk.client(TO_CONTROL)
    talk.server(NO)
    report = talk.says_goodbye()
    assert [recipient for recipient, reply in report.answers.items() if reply.code == 550] == [
        people[4],
        people[6],
        people[8],
        people[10],
        CONTROL,
    ]
    assert report.unanswered == (people[11],)


@pytest.mark.parametrize(
    ("keywords", "refusal", "then"),
    [
        ("PIPELINING", "503 5.5.1 need MAIL", [QUIT]),
        ("8BITMIME", "503 5.5.1 need MAIL", [QUIT]),
        ("PIPELINING", FEWER, [RSET, MAIL, to("b")]),
        ("8BITMIME", FEWER, [RSET]),
    ],
)
def test_nobody_is_asked_behind_a_refusal_of_all(
    keywords: str, refusal: str, then: list[str]
) -> None:
    """Rows 97 and 110."""
    talk = Talk(keywords, *(person(name) for name in "abcdef"), max_errors=3)
    said = talk.client_said()
    while to("b") not in said:
        talk.server(*[OK] * len(said))
        said = talk.client_said()
    talk.server(*(refusal if line == to("b") else OK for line in said))
    assert talk.client_said() == then


def test_temporary_refusals_count_too() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY, max_errors=2)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, "450 4.2.0 greylisted", "450 4.2.0 greylisted")
    assert talk.says_goodbye().unanswered == (CY,)


# --- The ceiling of a session ------------------------------------------------------------------


def test_a_session_has_room_for_the_control() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY, DAN, control=CONTROL, max_recipients=3)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, OK, OK)
    talk.client(TO_CONTROL)
    talk.server(NO)
    report = talk.says_goodbye()
    assert report.unanswered == (CY, DAN)
    assert (report.refusal, report.failure) == (None, None)


def test_a_hundred_recipients_and_a_control() -> None:
    people = [person(f"u{n}") for n in range(MAX_RECIPIENTS)]
    talk = Talk("PIPELINING", *people, control=CONTROL)
    while (said := talk.client_said()) != [QUIT]:
        assert said
        talk.server(*[OK] * len(said))
    talk.server(BYE)
    assert len(talk.report.answers) == MAX_RECIPIENTS
    assert CONTROL in talk.report.answers
    assert talk.report.unanswered == (people[-1],)


# --- Witnesses ----------------------------------------------------------------------------------


def again(*witnesses: Address) -> Any:
    """Names the same whatever the answers were."""
    return lambda answers: list(witnesses)


def test_witnesses_are_asked_last_and_answer_apart() -> None:
    told: list[dict[str, int]] = []

    def name(answers: Any) -> list[Address]:
        told.append({each.local: reply.code for each, reply in answers.items()})
        return [ANN]

    talk = Talk("PIPELINING", ANN, BOB, control=CONTROL, witnesses=name)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, OK, NO)
    talk.client(TO_CONTROL)
    talk.server(NO)
    talk.client(to("ann"))
    talk.server("550 Rejected")
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250, "bob": 550, "x7k2m9": 550}
    assert told == [codes(report)]
    assert {who.local: reply.code for who, reply in report.witnesses.items()} == {"ann": 550}
    assert (report.unanswered, report.errors) == ((), 3)


def test_a_witness_may_be_one_error_too_many() -> None:
    talk = Talk("", ANN, BOB, max_errors=1, witnesses=again(ANN))
    talk.goes((MAIL, OK), (to("ann"), NO), (to("ann"), OK))
    report = talk.says_goodbye()
    assert report.unanswered == (BOB,)
    assert len(report.witnesses) == 1


def test_nobody_answered_nobody_is_heard() -> None:
    talk = Talk("", ANN, witnesses=again(ANN))
    talk.goes((MAIL, OK), (to("ann"), "421 4.3.0 bye"))
    assert talk.says_goodbye().witnesses == {}
    talk = Talk("", ANN, BOB, witnesses=again(ANN))
    talk.goes((MAIL, OK), (to("ann"), OK), (to("bob"), "421 4.3.0 bye"))
    assert talk.says_goodbye().witnesses == {}


def test_the_connection_is_lost_at_a_witness() -> None:
    talk = Talk("", ANN, witnesses=again(ANN))
    talk.goes((MAIL, SENDER_OK), (to("ann"), OK))
    talk.client(to("ann"))
    talk.closes()
    assert codes(talk.report) == {"ann": 250}
    assert talk.report.witnesses == {}
    assert isinstance(talk.report.failure, SessionLost)


def test_a_session_has_room_for_a_witness() -> None:
    many = [person(f"u{n}") for n in range(10)]
    talk = Talk("PIPELINING", *many, max_errors=99, max_recipients=10, witnesses=again(ANN))
    talk.client(MAIL, *(to(f"u{n}") for n in range(9)))
    talk.server(OK, *[NO] * 9)
    talk.client(to("ann"))
    talk.server(OK)
    assert talk.says_goodbye().unanswered == (many[9],)
    talk = Talk("", ANN, BOB, max_recipients=1, witnesses=again(ANN))
    talk.goes((MAIL, OK), (to("ann"), OK))
    assert talk.says_goodbye().unanswered == (BOB,)


# --- The ceiling of a transaction --------------------------------------------------------------


def test_too_many_recipients_is_no_verdict() -> None:
    """Row 97: a new transaction at once, and the ceiling is remembered."""
    talk = Talk("PIPELINING", ANN, BOB, CY, DAN, control=CONTROL)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"), to("dan"))
    talk.server(OK, OK, NO, FEWER, FEWER)
    talk.client(RSET, MAIL, to("cy"), to("dan"))
    talk.server(OK, OK, OK, OK)
    talk.client(RSET, MAIL, TO_CONTROL)
    talk.server(OK, OK, NO)
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250, "bob": 550, "cy": 250, "dan": 250, "x7k2m9": 550}
    assert report.recipients_per_transaction == 2
    assert report.unanswered == ()
    assert report.errors == 4


def test_one_recipient_a_transaction() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, OK, FEWER, FEWER)
    talk.client(RSET, MAIL, to("bob"))
    talk.server(OK, OK, OK)
    talk.client(RSET, MAIL, to("cy"))
    talk.server(OK, OK, OK)
    report = talk.says_goodbye()
    assert len(report.answers) == 3
    assert report.recipients_per_transaction == 1


def test_the_open_transaction_is_filled_up_first() -> None:
    """Few errors are left to make, so the windows are smaller than a transaction may be."""
    talk = Talk("PIPELINING", *(person(name) for name in "abcdefghij"), max_errors=4)
    talk.client(MAIL, to("a"), to("b"), to("c"), to("d"))
    talk.server(OK, OK, OK, OK, FEWER)
    talk.client(RSET, MAIL, to("d"), to("e"), to("f"))
    talk.server(OK, OK, NO, OK, OK)
    talk.client(to("g"))
    talk.server(OK)
    talk.client(RSET, MAIL, to("h"), to("i"))
    talk.server(OK, OK, OK, OK)
    talk.client(to("j"))
    talk.server(OK)
    report = talk.says_goodbye()
    assert list(codes(report)) == list("abcdefghij")
    assert report.recipients_per_transaction == 3


def test_too_many_recipients_for_the_first_is_an_answer() -> None:
    talk = Talk("PIPELINING", ANN)
    talk.client(MAIL, to("ann"))
    talk.server(OK, FEWER)
    assert codes(talk.says_goodbye()) == {"ann": 452}


@pytest.mark.parametrize("keywords", ["PIPELINING", "8BITMIME"])
def test_one_that_takes_nobody_is_asked_no_more(keywords: str) -> None:
    """Two of two were too many: it is a no to all, and no ceiling."""
    talk = Talk(keywords, ANN, BOB, CY, control=CONTROL)
    while (said := talk.client_said()) != [QUIT]:
        talk.server(*(OK if line == MAIL else FEWER for line in said))
    talk.server(BYE)
    report = talk.report
    asked = [ANN, BOB, CY] if keywords == "PIPELINING" else [ANN, BOB]
    assert [*report.answers] == asked
    assert report.refusal is not None
    assert report.refusal.code == 452
    assert report.recipients_per_transaction is None


def test_one_who_is_too_many_does_not_stand_in_the_way() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, FEWER, OK, NO)
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 452, "bob": 250, "cy": 550}
    assert report.refusal is None


def test_too_many_for_the_session() -> None:
    """The first of another transaction is not taken: another session will do."""
    talk = Talk("", ANN, BOB, CY, manner=Manner(recipients_per_transaction=1))
    talk.goes((MAIL, OK), (to("ann"), OK), (RSET, OK), (MAIL, SENDER_OK), (to("bob"), FEWER))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert report.unanswered == (BOB, CY)
    assert (report.refusal, report.failure) == (None, None)
    assert report.recipients_per_transaction == 1


@pytest.mark.parametrize("keywords", ["PIPELINING", ""])
def test_rset_is_refused(keywords: str) -> None:
    """Row 66: the exchanger has refused nobody, whatever else it says; another session will do."""
    talk = Talk(keywords, ANN, BOB)
    if keywords:
        talk.client(MAIL, to("ann"), to("bob"))
        talk.server(OK, OK, FEWER)
        talk.client(RSET, MAIL, to("bob"))
        talk.server("554 too many nonmail commands", "503 nested MAIL", OK)
    else:
        talk.goes((MAIL, OK), (to("ann"), OK), (to("bob"), FEWER), (RSET, "502 no"))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert report.unanswered == (BOB,)
    assert (report.refusal, report.failure) == (None, None)


def test_rset_is_answered_421() -> None:
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, OK), (to("ann"), OK), (to("bob"), FEWER), (RSET, "421 4.7.0 bye"))
    report = talk.says_goodbye()
    assert report.refusal is not None
    assert report.refusal.code == 421
    assert report.unanswered == (BOB,)


def test_the_second_mail_is_refused() -> None:
    talk = Talk("PIPELINING", ANN, BOB)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, OK, FEWER)
    talk.client(RSET, MAIL, to("bob"))
    talk.server(OK, "451 4.7.1 slow down", "503 need MAIL")
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert report.refusal is not None
    assert report.refusal.stage is Stage.MAIL
    assert report.unanswered == (BOB,)


# --- A no for all ------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["503 5.5.1 need MAIL", "550 5.1.1 no such user", "250 Ok"])
def test_mail_is_refused_and_the_replies_to_rcpt_say_nothing(answer: str) -> None:
    """Rows 84 and 85."""
    talk = Talk("PIPELINING", ANN, BOB, control=CONTROL)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server("550 5.7.1 sender refused", answer, answer)
    report = talk.says_goodbye()
    assert report.answers == {}
    assert report.unanswered == (ANN, BOB)
    assert str(report.refusal) == "550 5.7.1 sender refused"
    assert report.failure is None


@pytest.mark.parametrize("code", [451, 550, 354])
def test_mail_is_refused_before_anything_else_was_sent(code: int) -> None:
    """Rows 39 and 86."""
    talk = Talk("", ANN)
    talk.goes((MAIL, f"{code} no"))
    report = talk.says_goodbye()
    assert report.refusal is not None
    assert (report.refusal.code, report.refusal.stage) == (code, Stage.MAIL)
    assert report.unanswered == (ANN,)
    assert report.errors == 1


@pytest.mark.parametrize("greeting", ["554 no", "521 no", "421 later", "354 what"])
def test_the_greeting_says_no(greeting: str) -> None:
    """Rows 4 to 8: no command but QUIT."""
    wire = Wire()
    wire.server(greeting)
    reports = outcome_of(converse(wire.session, [ANN, JOSE], PROBE, control=CONTROL))
    wire.client(QUIT)
    wire.server(BYE)
    (report,) = reports
    assert report.refusal.stage is Stage.GREETING
    assert report.unanswered == (ANN, JOSE)
    assert report.without_smtputf8 == ()


def test_ehlo_and_helo_are_refused() -> None:
    """Row 63."""
    wire = greeted()
    reports = outcome_of(converse(wire.session, [ANN, JOSE], PROBE))
    wire.server("550 listed")
    wire.server("550 5.7.1 listed at dnsbl.example")
    wire.client(EHLO, f"HELO {HELO}", QUIT)
    wire.server(BYE)
    (report,) = reports
    assert str(report.refusal) == "550 5.7.1 listed at dnsbl.example"
    assert report.refusal.stage is Stage.EHLO
    assert report.unanswered == (ANN, JOSE)


# --- An end on the way -------------------------------------------------------------------------


def test_421_on_the_way() -> None:
    """Row 47, one by one: nothing is sent behind it but QUIT."""
    talk = Talk("", ANN, BOB, CY, control=CONTROL)
    talk.goes((MAIL, OK), (to("ann"), NO), (to("bob"), "421 4.7.0 too many errors"))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 550}
    assert str(report.refusal) == "421 4.7.0 too many errors"
    assert report.failure is None
    assert report.unanswered == (BOB, CY)


def test_421_in_a_pipeline() -> None:
    """Row 47, judged otherwise: a command may have been lost before it, and nobody knows which."""
    talk = Talk("PIPELINING", ANN, BOB, CY, control=CONTROL)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, NO, "421 4.7.0 too many errors")
    talk.closes()
    report = talk.report
    assert report.answers == {}
    assert report.refusal is not None
    assert report.refusal.code == 421
    assert isinstance(report.failure, SessionLost)
    assert report.unanswered == (ANN, BOB, CY)
    talk.client()


def test_421_behind_the_last_answer() -> None:
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, OK))
    talk.client(to("ann"))
    talk.server(NO, "421 4.7.0 too many errors")
    report = talk.report
    assert codes(report) == {"ann": 550}
    assert isinstance(report.failure, SessionLost)
    assert report.unanswered == (BOB,)


def test_421_to_the_control() -> None:
    talk = Talk("PIPELINING", ANN, control=CONTROL)
    talk.client(MAIL, to("ann"))
    talk.server(OK, OK)
    talk.goes((TO_CONTROL, "421 4.7.0 bye"))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert report.refusal is not None
    assert report.unanswered == ()


def test_the_connection_is_lost_on_the_way() -> None:
    """Rows 42 and 46; in a group, nobody knows whose replies were those that came."""
    talk = Talk("PIPELINING", ANN, BOB, CY, control=CONTROL)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, OK, NO)
    talk.feed(b"250 2.1.5 O")
    talk.closes()
    report = talk.report
    assert report.answers == {}
    assert isinstance(report.failure, SessionLost)
    assert report.failure.stage is Stage.RCPT
    assert report.unanswered == (ANN, BOB, CY)
    assert report.refusal is None
    assert report.errors == 1


def test_the_connection_is_lost_behind_a_refused_mail() -> None:
    talk = Talk("PIPELINING", ANN, BOB)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server("550 no", "550 5.1.1 no such user")
    talk.closes()
    assert talk.report.answers == {}
    assert talk.report.refusal is not None
    assert talk.report.unanswered == (ANN, BOB)


def test_some_are_never_answered() -> None:
    """Row 83: one by one, the first who was not answered is the last that was asked."""
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, SENDER_OK), (to("ann"), OK))
    talk.seconds_pass(60)
    report = talk.report
    assert codes(report) == {"ann": 250}
    assert isinstance(report.failure, ReplyTimeout)
    assert report.unanswered == (BOB,)
    assert report.manner == UNKNOWN_MANNER


def test_ehlo_is_never_answered() -> None:
    wire = greeted()
    reports = outcome_of(converse(wire.session, [ANN], PROBE))
    wire.seconds_pass(60)
    (report,) = reports
    assert isinstance(report.failure, ReplyTimeout)
    assert report.failure.stage is Stage.EHLO
    assert report.unanswered == (ANN,)


@pytest.mark.parametrize("greet", [greeted, dismissed])
def test_the_session_ended_before_the_conversation_began(greet: Any) -> None:
    wire = greet()
    wire.closes()
    (report,) = outcome_of(converse(wire.session, [ANN], PROBE))
    assert report.unanswered == (ANN,)
    assert (report.failure is None) is (report.refusal is not None)
    wire.client()


def test_garbage_on_the_way() -> None:
    """Row 27: what was answered before it stays, where it was asked one by one."""
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(OK, NO, "250OK")
    assert talk.report.answers == {}
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, OK), (to("ann"), NO), (to("bob"), "250OK"))
    report = talk.report
    assert codes(report) == {"ann": 550}
    assert isinstance(report.failure, ProtocolViolation)
    assert report.unanswered == (BOB,)


# --- Out of step: nothing is believed ----------------------------------------------------------


def out_of_step(report: SessionReport, *unanswered: Address) -> None:
    assert report.answers == {}
    assert isinstance(report.failure, OutOfStep)
    assert report.failure.host == HOST
    assert report.failure.stage is not Stage.CONNECT
    assert report.unanswered == unanswered


@pytest.mark.parametrize("keywords", ["PIPELINING", ""])
@pytest.mark.parametrize("answer", ["503 5.5.1 need MAIL", "354 go on"])
def test_an_answer_that_cannot_be_one(keywords: str, answer: str) -> None:
    """Rows 39 and 110: MAIL was accepted, or its answer was not its own."""
    talk = Talk(keywords, ANN, BOB)
    if keywords:
        talk.client(MAIL, to("ann"), to("bob"))
        talk.server(OK, NO, answer)
    else:
        talk.goes((MAIL, OK), (to("ann"), NO), (to("bob"), answer))
    report = talk.says_goodbye()
    out_of_step(report, ANN, BOB)
    assert report.failure is not None
    assert report.failure.stage is Stage.RCPT
    assert answer[:3] in str(report.failure)


def test_an_answer_that_cannot_be_one_and_the_end() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.server(OK, NO, "503 need MAIL")
    talk.closes()
    out_of_step(talk.report, ANN, BOB, CY)


@pytest.mark.parametrize("farewell", ["250 2.1.5 Ok", "550 5.1.1 no such user", "354 go on"])
def test_quit_gets_the_answer_of_somebody_else(farewell: str) -> None:
    """Row 34: MAIL was answered twice, and everybody after it got another one's answer."""
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, OK), (to("ann"), OK), (to("bob"), NO))
    talk.goes((QUIT, farewell))
    out_of_step(talk.report, ANN, BOB)
    assert "QUIT was answered" in str(talk.report.failure)


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "554 5.7.1 no", "501 5.1.3 no"])
def test_rset_gets_the_answer_of_somebody_else(answer: str) -> None:
    """Row 34: what could be said to a recipient says nothing of RSET."""
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(OK, OK, FEWER)
    talk.client(MAIL, to("ann"), to("bob"), RSET, MAIL, to("bob"))
    talk.server(answer, OK, OK)
    talk.server(BYE)
    out_of_step(talk.report, ANN, BOB)
    assert "RSET was answered" in str(talk.report.failure)


def test_who_is_named_keeps_the_answer() -> None:
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(OK, "550 5.1.1 <ANN@example.net>... User unknown", OK, "250 and another")
    report = talk.report
    assert codes(report) == {"ann": 550}
    assert isinstance(report.failure, OutOfStep)
    assert report.unanswered == (BOB,)


def test_a_second_answer_to_ehlo() -> None:
    """It comes when MAIL has left, and would be a yes to it."""
    talk = Talk("8BITMIME", ANN)
    talk.client(MAIL)
    talk.server("250-mx.example.net", "250 8BITMIME")
    out_of_step(talk.report, ANN)


@pytest.mark.parametrize("code", [251, 252])
def test_what_can_only_be_said_to_a_recipient_says_nothing_of_mail(code: int) -> None:
    talk = Talk("", ANN)
    talk.goes((MAIL, f"{code} fine"))
    out_of_step(talk.report, ANN)


def test_quit_gets_two_answers() -> None:
    talk = Talk("", ANN)
    talk.goes((MAIL, OK), (to("ann"), OK))
    talk.server(NO, BYE)
    out_of_step(talk.report, ANN)


def test_one_answer_too_many_in_a_pipeline() -> None:
    """Row 32: which of the four were the three cannot be told."""
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(OK, OK, OK, NO)
    out_of_step(talk.report, ANN, BOB)
    assert talk.is_cut


@pytest.mark.parametrize("farewell", ["221 Bye", "421 4.3.2 too late"])
def test_a_farewell_that_is_one(farewell: str) -> None:
    talk = Talk("PIPELINING", ANN)
    talk.server(SENDER_OK, OK)
    talk.server(farewell)
    assert codes(talk.report) == {"ann": 250}
    assert talk.report.failure is None


def test_no_farewell() -> None:
    """Row 51: answers that were said once stand without it."""
    talk = Talk("PIPELINING", ANN)
    talk.server(SENDER_OK, OK)
    talk.client(MAIL, to("ann"), QUIT)
    talk.seconds_pass(2)
    assert codes(talk.report) == {"ann": 250}
    assert talk.report.failure is None
    assert talk.is_cut


# --- SMTPUTF8 ----------------------------------------------------------------------------------


def test_those_who_need_smtputf8_have_a_transaction_of_their_own() -> None:
    """Rows 67 and 125."""
    talk = Talk("PIPELINING SMTPUTF8", JOSE, ANN, control=CONTROL)
    talk.client(MAIL, to("ann"))
    talk.server(OK, OK)
    talk.client(RSET, MAIL_UTF8, to("josé"))
    talk.server(OK, OK, NO)
    talk.client(TO_CONTROL)
    talk.server(NO)
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250, "josé": 550, "x7k2m9": 550}
    assert report.without_smtputf8 == ()


def test_only_those_who_need_smtputf8() -> None:
    talk = Talk("SMTPUTF8", JOSE, control=CONTROL)
    talk.goes((MAIL_UTF8, OK), (to("josé"), OK), (TO_CONTROL, NO))
    assert codes(talk.says_goodbye()) == {"josé": 250, "x7k2m9": 550}


def test_their_transaction_is_not_opened_anew() -> None:
    talk = Talk("PIPELINING SMTPUTF8", JOSE, ZOE, ANN, max_errors=1)
    talk.client(MAIL, to("ann"))
    talk.server(OK, OK)
    talk.client(RSET, MAIL_UTF8, to("josé"))
    talk.server(OK, OK, OK)
    talk.goes((to("zoë"), OK))
    assert len(talk.says_goodbye().answers) == 3


def test_smtputf8_is_not_offered() -> None:
    """Row 125."""
    talk = Talk("PIPELINING", JOSE, ANN)
    talk.client(MAIL, to("ann"))
    talk.server(OK, OK)
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert report.without_smtputf8 == (JOSE,)
    assert report.unanswered == ()


# --- Cancelled ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [[], [OK], [OK, OK, NO]])
def test_cancelling_aborts(answers: list[str]) -> None:
    """In a group, and while QUIT is awaited."""
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(*answers)
    talk.running.cancel()
    assert isinstance(talk.reports[0], CancelledError)
    assert talk.is_cut
    talk.seconds_pass(0)
    assert talk.timers == 0


def test_cancelling_before_ehlo_was_answered() -> None:
    wire = greeted()
    running = Deferred.fromCoroutine(converse(wire.session, [ANN], PROBE))
    reports = outcome_of(running)
    running.cancel()
    assert isinstance(reports[0], CancelledError)
    assert wire.is_cut


def test_a_fault_of_ours_leaves_no_connection_behind() -> None:
    wire = greeted()
    nonsense: Any = ["ann@example.net"]
    reports = outcome_of(Deferred.fromCoroutine(converse(wire.session, nonsense, PROBE)))
    wire.server("250 mx.example.net")
    assert isinstance(reports[0], AttributeError)
    assert wire.is_cut


@pytest.mark.parametrize("code", [211, 214, 220, 221])
@pytest.mark.parametrize("answers", [[], ["250 ok"]], ids=["MAIL", "RCPT"])
def test_a_yes_to_something_else_is_none(code: int, answers: list[str]) -> None:
    """The greeting's, the help's and the goodbye's codes show that the replies are out of step."""
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(*answers, f"{code} fine")
    report = talk.reports[0]
    assert isinstance(report.failure, OutOfStep)
    assert report.answers == {}
    assert report.unanswered == (ANN, BOB)
    assert talk.is_cut


@pytest.mark.parametrize(("most", "room"), [(0, 98), (100, 98), (10, 8), (9, 8), (2, 1), (1, 1)])
def test_room_besides_the_control_and_a_witness(most: int, room: int) -> None:
    assert room_of(most) == room
