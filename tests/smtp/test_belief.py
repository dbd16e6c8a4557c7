"""Whom a reply names, and what that is worth."""

from __future__ import annotations

import pytest

from twisted_probe.smtp.belief import Names
from twisted_probe.smtp.errors import OutOfStep
from twisted_probe.vocabulary.address import Address, parse_address
from twisted_probe.vocabulary.reply import Reply

from .talk import ANN, BOB, CONTROL, MAIL, NO, OK, PROBE, TO_CONTROL, Talk, codes, to

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
