"""Whom a reply names, and what that is worth."""

from __future__ import annotations

import pytest

from twisted_probe.smtp.belief import Names
from twisted_probe.smtp.conversation import converse
from twisted_probe.smtp.errors import OutOfStep, SessionLost
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.address import Address, parse_address
from twisted_probe.vocabulary.reply import Reply

from .talk import (
    ANN,
    BOB,
    CONTROL,
    CY,
    DAN,
    EHLO,
    MAIL,
    NO,
    OK,
    PROBE,
    QUIT,
    RSET,
    SENDER_OK,
    TO_CONTROL,
    Talk,
    codes,
    to,
)
from .wire import greeted, outcome_of

ANN_IS_UNKNOWN = "550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown"
BOB_IS_FINE = "250 2.1.5 <bob@example.net> Ok"


def names(*asked: Address, reverse_path: Address = PROBE) -> Names:
    of_session = Names(reverse_path)
    of_session.asks(asked)
    of_session.asks(asked[:1])  # once more, in the next transaction
    return of_session


def reply(text: str, code: int = 550) -> Reply:
    return Reply(code, (text.encode(),))


@pytest.mark.parametrize(
    "text", ["<ann@example.net>", "ANN@Example.net.", "for ann@example.net: no", "ann@example.net"]
)
def test_who_is_named(text: str) -> None:
    assert names(ANN, BOB).vouches(reply(text), ANN)
    assert not names(ANN, BOB).contradicts(reply(text), ANN)
    assert names(ANN, BOB).contradicts(reply(text), BOB)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "<joann@example.net>",
        "<ann@example.net.au>",
        "joann@example.net, mann@example.net",
        "postmaster@example.net",
    ],
)
def test_nobody_is_named(text: str) -> None:
    assert not names(ANN, BOB).vouches(reply(text), ANN)
    assert not names(ANN, BOB).contradicts(reply(text), BOB)


@pytest.mark.parametrize(
    "text",
    [
        "<ann@example.net>; the last was <bob@example.net>",
        "<ann@example.net>; the last was 'bob@example.net'",
    ],
)
def test_two_are_named(text: str) -> None:
    """It may be either's."""
    both = names(ANN, BOB)
    assert not both.vouches(reply(text), ANN)
    assert not both.vouches(reply(text), BOB)
    assert not both.contradicts(reply(text), ANN)
    assert names(ANN).vouches(reply(text), ANN)


@pytest.mark.parametrize("code", [251, 551])
def test_the_path_of_one_who_has_moved_is_another(code: int) -> None:
    """RFC 5321 section 3.4."""
    moved = reply("please try <bob@example.net>", code)
    assert not names(ANN, BOB).contradicts(moved, ANN)
    assert not names(ANN, BOB).vouches(moved, BOB)


def test_two_that_differ_in_the_case() -> None:
    upper = parse_address("ANN@example.net")
    both = names(ANN, upper)
    assert not both.vouches(reply("<ann@example.net>"), ANN)
    assert not both.vouches(reply("<ANN@example.net>"), upper)
    assert not both.contradicts(reply("<ann@example.net>"), upper)


def test_our_own_address_vouches_for_nobody() -> None:
    text = reply("<ann@example.net> ok", 250)
    assert names(ANN).vouches(text, ANN)
    assert not names(ANN, reverse_path=ANN).vouches(text, ANN)
    assert not names(ANN, BOB, reverse_path=ANN).contradicts(text, BOB)
    assert Names(None).contradicts(text, ANN) is False


# --- A reply that names another ----------------------------------------------------------------


def test_an_answer_about_another_is_out_of_step() -> None:
    """Both are in one group, and each gets the other's answer."""
    talk = Talk("PIPELINING", ANN, BOB)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, BOB_IS_FINE, ANN_IS_UNKNOWN)
    report = talk.says_goodbye()
    assert report.answers == {}
    assert report.unanswered == (ANN, BOB)
    assert isinstance(report.failure, OutOfStep)
    assert not report.manner.pipelining


def test_one_by_one_it_is_the_one_before() -> None:
    """Who was answered before goes back too, for he may have got another one's answer."""
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, OK), (to("ann"), NO), (to("bob"), ANN_IS_UNKNOWN))
    report = talk.says_goodbye()
    assert report.answers == {}
    assert isinstance(report.failure, OutOfStep)
    assert report.failure.text.startswith("out of step, bob@example.net was answered 550 5.1.1")


def test_an_answer_about_the_control() -> None:
    talk = Talk("", ANN, BOB, control=CONTROL)
    talk.goes((MAIL, OK), (to("ann"), ANN_IS_UNKNOWN), (to("bob"), NO))
    talk.goes((TO_CONTROL, "250 2.1.5 <bob@example.net> Ok"))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 550}
    assert report.unanswered == (BOB,)


def test_another_order_is_seen_where_somebody_is_named() -> None:
    """docs/wire.rst: one name in the wrong place is enough, and none cannot be."""
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, OK, NO, ANN_IS_UNKNOWN)
    report = talk.says_goodbye()
    assert report.answers == {}
    assert not report.manner.pipelining


# --- Too few replies ----------------------------------------------------------------------------

LAST_WAS = {name: f"550 5.1.1 unknown; the last was {name}@example.net" for name in ("ann", "bob")}


@pytest.mark.parametrize("end", ["", "421 4.4.2 timeout", "250-", "no reply"])
def test_one_that_says_who_was_before(end: str) -> None:
    """MAIL was lost: each gets the answer of the next, which names the one before."""
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, LAST_WAS["ann"], LAST_WAS["bob"])
    talk.feed(end.encode() + b"\r\n" if end else b"")
    talk.closes()
    assert talk.report.answers == {}
    assert talk.report.unanswered == (ANN, BOB, CY)


def test_one_that_says_who_was_before_and_then_another() -> None:
    """The name that is not Cy's comes before the end is seen."""
    talk = Talk("PIPELINING", ANN, BOB, CY, DAN)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"), to("dan"))
    talk.server(OK, LAST_WAS["ann"], LAST_WAS["bob"], LAST_WAS["bob"])
    talk.closes()
    assert talk.report.answers == {}
    assert isinstance(talk.report.failure, OutOfStep)


# --- No goodbye --------------------------------------------------------------------------------

NEVER = Manner(goodbye=False)
NAME = ("250-mx.example.net", "250 8BITMIME")


def test_a_reply_that_was_said_twice_and_a_421() -> None:
    """The second yes is Ann's once more, Bob's no was taken for Cy's, and QUIT is answered in
    the place of Cy."""
    talk = Talk("", ANN, BOB, CY)
    talk.goes((MAIL, SENDER_OK), (to("ann"), OK), (to("bob"), OK), (to("cy"), NO))
    talk.goes((QUIT, "421 4.7.0 too many errors"))
    assert codes(talk.report) == {"ann": 250}
    assert talk.report.unanswered == (BOB, CY)
    assert isinstance(talk.report.failure, SessionLost)
    assert talk.report.manner == Manner(goodbye=False, error_limit=1)


def test_who_is_named_needs_no_goodbye() -> None:
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, OK), (to("ann"), OK), (to("bob"), BOB_IS_FINE))
    talk.closes()
    assert codes(talk.report) == {"bob": 250}
    assert talk.report.unanswered == (ANN,)


def test_it_says_its_name_once_more() -> None:
    """Behind the recipients and behind the control; then QUIT may be answered as it likes."""
    talk = Talk("PIPELINING", ANN, BOB, control=CONTROL, manner=NEVER)
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, OK, OK)
    talk.client(EHLO)
    talk.server("250-mx.example.net", "250 PIPELINING")
    talk.client(MAIL, TO_CONTROL)
    talk.server(OK, NO)
    talk.client(EHLO)
    talk.server("250-mx.example.net", "250 PIPELINING")
    talk.goes((QUIT, "250 ok"))
    assert codes(talk.report) == {"ann": 250, "bob": 250, "x7k2m9": 550}
    assert talk.report.failure is None


def test_who_was_answered_before_stays_so() -> None:
    talk = Talk("8BITMIME", ANN, control=CONTROL, manner=NEVER)
    talk.goes((MAIL, OK), (to("ann"), OK))
    talk.client(EHLO)
    talk.server(*NAME)
    talk.goes((MAIL, OK), (TO_CONTROL, OK), (EHLO, "550 no such user"))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert isinstance(report.failure, OutOfStep)


@pytest.mark.parametrize("answer", ["502 once is enough", "421 4.3.2 bye"])
def test_it_does_not_say_its_name_again(answer: str) -> None:
    """No proof, and nobody is asked any more."""
    talk = Talk("8BITMIME", ANN, control=CONTROL, manner=NEVER)
    talk.goes((MAIL, OK), (to("ann"), OK), (EHLO, answer))
    talk.client(QUIT)
    talk.closes()
    assert talk.report.answers == {}


@pytest.mark.parametrize("answer", ["250 2.1.5 Ok", "550 no such user"])
def test_what_is_not_its_name(answer: str) -> None:
    talk = Talk("8BITMIME", ANN, manner=NEVER)
    talk.goes((MAIL, SENDER_OK), (to("ann"), NO), (EHLO, answer))
    report = talk.says_goodbye()
    assert isinstance(report.failure, OutOfStep)
    assert report.answers == {}


def test_its_name_alone_is_not_what_ehlo_is_answered() -> None:
    """MAIL was answered twice, and "250 mx.example.net" is the yes to Bob."""
    talk = Talk("PIPELINING", ANN, BOB, manner=Manner(goodbye=False, pipelining=False))
    talk.goes((MAIL, SENDER_OK), (to("ann"), SENDER_OK), (to("bob"), NO))
    talk.goes((EHLO, "250 mx.example.net"))
    report = talk.says_goodbye()
    assert report.answers == {}
    assert isinstance(report.failure, OutOfStep)


@pytest.mark.parametrize("end", ["421 4.7.0 bye", ""])
def test_ehlo_was_answered_twice(end: str) -> None:
    """In one line, as MAIL might be; Ann's yes is MAIL's, and Bob's no is hers."""
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, "250 mx.example.net"), (to("ann"), SENDER_OK), (to("bob"), NO))
    talk.client(QUIT)
    talk.feed(f"{end}\r\n".encode() if end else b"")
    talk.closes()
    assert talk.report.answers == {}
    assert talk.report.unanswered == (ANN, BOB)


def test_where_one_rejection_may_be_the_end() -> None:
    """One that would hang up upon it may take EHLO but once, as Postfix under stress does."""
    talk = Talk("PIPELINING", ANN, BOB, manner=Manner(goodbye=False, error_limit=1))
    talk.client(MAIL, to("ann"))
    talk.server(OK, OK)
    talk.client(EHLO)
    talk.server("250-mx.example.net", "250 PIPELINING")
    report = talk.says_goodbye()
    assert (codes(report), report.unanswered) == ({"ann": 250}, (BOB,))


def test_who_is_named_needs_no_proof() -> None:
    talk = Talk("", ANN, BOB, manner=Manner(goodbye=False))
    named = "250 2.1.5 <{0}@example.net> Ok"
    talk.goes((MAIL, SENDER_OK), (to("ann"), named.format("ann")), (to("bob"), named.format("bob")))
    assert codes(talk.says_goodbye()) == {"ann": 250, "bob": 250}


def test_no_witness_where_one_rejection_is_the_end() -> None:
    manner = Manner(goodbye=False, error_limit=1)
    talk = Talk("", ANN, BOB, manner=manner, witnesses=lambda answers: [BOB])
    talk.goes((MAIL, SENDER_OK), (to("ann"), f"550 5.1.1 <{ANN.text}>: unknown"))
    report = talk.says_goodbye()
    assert (codes(report), report.witnesses) == ({"ann": 550}, {})


@pytest.mark.parametrize("answer", ["502 no", "451 4.3.0 no", "550 no"])
def test_reset_is_not_said_again(answer: str) -> None:
    """Row 66."""
    talk = Talk("", ANN, BOB, manner=Manner(recipients_per_transaction=1))
    talk.goes((MAIL, SENDER_OK), (to("ann"), OK), (RSET, answer))
    manner = talk.says_goodbye().manner
    assert not manner.reset
    again = Talk("", ANN, BOB, control=CONTROL, manner=manner)
    again.goes((MAIL, SENDER_OK), (to("ann"), OK), (EHLO, "250 mx.example.net"))
    again.goes((MAIL, SENDER_OK), (to("bob"), OK), (EHLO, "250 mx.example.net"))
    again.goes((MAIL, SENDER_OK), (TO_CONTROL, NO))
    assert codes(again.says_goodbye()) == {"ann": 250, "bob": 250, CONTROL.local: 550}


def test_neither_reset_nor_ehlo() -> None:
    """Then one recipient of a session it is."""
    manner = Manner(recipients_per_transaction=1, reset=False)
    talk = Talk("", ANN, BOB, control=CONTROL, manner=manner)
    talk.goes((MAIL, SENDER_OK), (to("ann"), OK), (EHLO, "503 5.5.1 you have said that"))
    report = talk.says_goodbye()
    assert codes(report) == {"ann": 250}
    assert report.unanswered == (BOB,)
    assert (report.refusal, report.failure) == (None, None)


def test_a_close_upon_ehlo() -> None:
    """Where no TLS is at stake, HELO is worth a try."""
    wire = greeted()
    reports = outcome_of(converse(wire.session, [ANN], PROBE))
    wire.client(EHLO)
    wire.closes()
    assert reports[0].manner == Manner(extended=False)
