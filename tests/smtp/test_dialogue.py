"""MAIL, RCPT, RSET and the rest, one command at a time. Rows are those of cases.md."""

from __future__ import annotations

import sys

import pytest

from twisted_probe.smtp.errors import ForbiddenCommand, TooManyRecipients, UnsafeCommand
from twisted_probe.smtp.limits import MAX_RECIPIENTS
from twisted_probe.smtp.states import State
from twisted_probe.vocabulary.address import AddressError, parse_address
from twisted_probe.vocabulary.reply import Stage

from .wire import HOST, Wire, in_transaction, outcome_of, ready


def test_a_whole_dialogue() -> None:
    wire = ready()
    session = wire.session
    states = [session.state]

    reply = outcome_of(session.mail("probe@example.org"))
    wire.client("MAIL FROM:<probe@example.org>")
    wire.server("250 2.1.0 Ok")
    assert str(reply[0]) == "250 2.1.0 Ok"
    assert reply[0].stage is Stage.MAIL
    states.append(session.state)

    reply = outcome_of(session.rcpt("ann@example.net"))
    wire.client("RCPT TO:<ann@example.net>")
    wire.server("250 2.1.5 Ok")
    assert reply[0].code == 250

    reply = outcome_of(session.rcpt("nobody@example.net"))
    wire.client("RCPT TO:<nobody@example.net>")
    wire.server("550-5.1.1 <nobody@example.net>:", "550 5.1.1 User unknown")
    assert reply[0].enhanced == "5.1.1"
    assert reply[0].text == "<nobody@example.net>: User unknown"
    assert (reply[0].stage, reply[0].host) == (Stage.RCPT, HOST)

    reply = outcome_of(session.rset())
    wire.client("RSET")
    wire.server("250 2.0.0 Ok")
    assert reply[0].stage is Stage.OTHER
    states.append(session.state)

    reply = outcome_of(session.command(b"NOOP"))
    wire.client("NOOP")
    wire.server("250 Ok")
    assert reply[0].text == "Ok"

    farewell = outcome_of(session.quit())
    wire.client("QUIT")
    wire.server("221 2.0.0 Bye")
    assert farewell[0].code == 221
    assert [*states, session.state] == [
        State.READY,
        State.TRANSACTION,
        State.READY,
        State.CLOSED,
    ]
    assert not wire.is_cut
    assert wire.timers == 0


@pytest.mark.parametrize("null", ["", "<>", None])
def test_the_null_reverse_path(null: str | None) -> None:
    """Row 117."""
    wire = ready()
    outcome_of(wire.session.mail(null))
    wire.client("MAIL FROM:<>")


def test_addresses_as_values() -> None:
    wire = ready()
    outcome_of(wire.session.mail(parse_address('"a b"@example.org')))
    wire.client('MAIL FROM:<"a b"@example.org>')
    wire.server("250 Ok")
    outcome_of(wire.session.rcpt(parse_address("ann@EXAMPLE.net")))
    wire.client("RCPT TO:<ann@example.net>")


def test_no_parameters_but_smtputf8() -> None:
    """Row 67."""
    wire = ready("SIZE 1000", "8BITMIME", "SMTPUTF8")
    outcome_of(wire.session.mail("", smtputf8=True))
    wire.client("MAIL FROM:<> SMTPUTF8")
    wire.server("250 Ok")
    outcome_of(wire.session.rcpt("josé@example.net"))
    wire.client("RCPT TO:<josé@example.net>")


@pytest.mark.parametrize("address", ["ann", "ann@example.net\r\nDATA", "<ann@example.net>", ""])
def test_a_recipient_that_is_none(address: str) -> None:
    wire = in_transaction()
    with pytest.raises(AddressError):
        wire.session.rcpt(address)
    wire.client()


def test_a_reverse_path_that_is_none() -> None:
    wire = ready()
    with pytest.raises(AddressError):
        wire.session.mail("probe")
    wire.client()


@pytest.mark.parametrize("line", [b"DATA", b"data", b"BDAT 4 LAST", b"vrfy ann", b" Data"])
def test_what_is_never_sent(line: bytes) -> None:
    """Row 120."""
    wire = in_transaction()
    with pytest.raises(ForbiddenCommand):
        wire.session.command(line)
    wire.client()


@pytest.mark.parametrize("line", [b"NOOP\r\nDATA", b"NOOP\n", b"\x00", b""])
def test_what_is_unsafe(line: bytes) -> None:
    wire = in_transaction()
    with pytest.raises(UnsafeCommand):
        wire.session.command(line)
    wire.client()


def test_misuse_leaves_the_session_as_it_was() -> None:
    wire = in_transaction()
    with pytest.raises(ForbiddenCommand):
        wire.session.command(b"DATA")
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.server("250 Ok")
    assert reply[0].code == 250


def test_a_refused_mail_opens_nothing() -> None:
    wire = ready()
    reply = outcome_of(wire.session.mail("probe@example.org"))
    wire.server("550 5.7.1 go away")
    assert reply[0].code == 550
    assert wire.session.state is State.READY


def test_bare_line_feeds() -> None:
    """Row 20."""
    wire = ready()
    reply = outcome_of(wire.session.mail(""))
    wire.feed(b"250-2.1.0 Ok\n250 2.1.0 go on\n")
    assert reply[0].lines == (b"2.1.0 Ok", b"2.1.0 go on")


def test_byte_by_byte() -> None:
    """Row 30."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    said = b"550-5.1.1 no such\r\n550 5.1.1 user\r\n"
    wire.feed(*(said[n : n + 1] for n in range(len(said) - 1)))
    assert reply == []
    wire.feed(b"\n")
    assert reply[0].text == "no such user"


# --- How many recipients -----------------------------------------------------------------------


def ask(wire: Wire, number: int) -> None:
    for n in range(number):
        reply = outcome_of(wire.session.rcpt(f"user{n}@example.net"))
        wire.server("250 Ok")
        assert reply[0].code == 250


def test_the_hundred_and_first() -> None:
    wire = in_transaction()
    ask(wire, MAX_RECIPIENTS)
    wire.client_said()
    with pytest.raises(TooManyRecipients) as caught:
        wire.session.rcpt("ann@example.net")
    assert (caught.value.host, caught.value.limit) == (HOST, 100)
    assert str(caught.value) == f"{HOST}: 100 recipients were asked in this session, the limit"
    wire.client()
    assert wire.session.recipients_asked == 100
    assert wire.session.recipients_left == 0


def test_a_new_transaction_does_not_start_anew() -> None:
    wire = in_transaction(max_recipients=2)
    ask(wire, 2)
    outcome_of(wire.session.rset())
    wire.server("250 Ok")
    outcome_of(wire.session.mail(""))
    wire.server("250 Ok")
    with pytest.raises(TooManyRecipients):
        wire.session.command(b"rcpt to:<ann@example.net>")


def test_no_limit() -> None:
    wire = in_transaction(max_recipients=0)
    ask(wire, MAX_RECIPIENTS + 5)
    assert wire.session.recipients_asked == 105
    assert wire.session.recipients_left == sys.maxsize
