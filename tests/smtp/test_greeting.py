"""The greeting, and who we are: server says … client says …. Rows are those of cases.md."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionLost

from twisted_probe.smtp.errors import (
    OutOfOrder,
    OutOfStep,
    ProtocolViolation,
    ReplyTimeout,
    SessionLost,
)
from twisted_probe.smtp.states import State
from twisted_probe.vocabulary.reply import Stage

from .wire import HELO, HOST, Wire, greeted, outcome_of, ready

# --- Greeted -----------------------------------------------------------------------------------


def test_a_greeting_of_many_lines_with_a_pause() -> None:
    """Row 1: who talks before the last line is punished."""
    wire = Wire()
    wire.server("220-mx.example.net ESMTP")
    wire.seconds_pass(6)
    assert wire.greeted == []
    wire.client()
    wire.server("220 go ahead")
    assert wire.greeted == [wire.session]
    assert wire.session.greeting is not None
    assert wire.session.greeting.lines == (b"mx.example.net ESMTP", b"go ahead")
    assert wire.session.greeting.stage is Stage.GREETING
    assert wire.session.greeting.host == wire.session.host == HOST
    assert wire.session.state is State.GREETED
    wire.client()


def test_a_late_greeting() -> None:
    """Row 2."""
    wire = Wire()
    wire.seconds_pass(59.9)
    wire.server("220 mx.example.net")
    assert wire.greeted == [wire.session]


def test_no_greeting() -> None:
    """Row 3."""
    wire = Wire()
    wire.seconds_pass(60)
    (error,) = wire.greeted
    assert isinstance(error, ReplyTimeout)
    assert (error.stage, error.host, error.replies) == (Stage.GREETING, HOST, ())
    assert wire.is_cut
    wire.client()


@pytest.mark.parametrize(
    "greeting",
    [
        "554 mx.example.net No SMTP service here",  # row 4
        "554 5.7.1 listed at dnsbl.example",  # row 5
        "521 mx.example.net does not accept mail",  # row 6
        "421 4.3.2 shutting down",  # row 7
        "450 4.7.0 too many connections",  # row 8
        "354 what",
    ],
)
def test_a_greeting_that_says_no(greeting: str) -> None:
    """It fires all the same: what the greeting means is not the wire's to say."""
    wire = Wire()
    wire.server(greeting)
    assert wire.greeted == [wire.session]
    assert wire.session.greeting is not None
    assert wire.session.greeting.code == int(greeting[:3])
    assert wire.session.state is State.DISMISSED
    with pytest.raises(OutOfOrder):
        wire.session.helo()
    with pytest.raises(OutOfOrder):
        wire.session.command(b"NOOP")
    wire.client()
    farewell = outcome_of(wire.session.quit())
    wire.client("QUIT")
    wire.server("221 Bye")
    assert farewell[0].code == 221
    assert not wire.is_cut


@pytest.mark.parametrize(
    "banner",
    [
        pytest.param("SSH-2.0-OpenSSH_9.2p1 Debian-2", id="SSH"),
        pytest.param("HTTP/1.1 400 Bad Request", id="HTTP"),
        pytest.param("+OK POP3 ready", id="POP3"),
        pytest.param("* OK IMAP4rev1", id="IMAP"),
        pytest.param("", id="nothing"),
    ],
)
def test_another_protocol_answers(banner: str) -> None:
    """Row 9: its body may well have a line that looks like a yes."""
    wire = Wire()
    wire.server(banner, "", "250 ok", "220 ok")
    (error,) = wire.greeted
    assert isinstance(error, ProtocolViolation)
    assert error.stage is Stage.GREETING
    assert wire.session.greeting is None
    assert wire.is_cut


def test_control_bytes_in_a_greeting() -> None:
    """Rows 10 and 11."""
    wire = Wire()
    wire.server(b"220 mx\x00 \x1b[31m \xff\xfe \xe2\x80\xae ESMTP")
    assert wire.greeted == [wire.session]
    assert str(wire.session.greeting).isprintable()
    assert "\\x00 \\x1b[31m" in str(wire.session.greeting)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(b"250 ok\r\n", id="a reply"),
        pytest.param(b"220-", id="a part of a line"),
        pytest.param(b"220-more\r\n", id="a part of a reply"),
        pytest.param(b"\r\n", id="an empty line"),
    ],
)
def test_more_than_a_greeting(more: bytes) -> None:
    """Row 18."""
    wire = Wire()
    wire.feed(b"220 mx.example.net\r\n" + more)
    (error,) = wire.greeted
    assert isinstance(error, ProtocolViolation)
    assert error.stage is Stage.GREETING
    assert wire.is_cut
    wire.client()


def test_the_exchanger_greets_and_takes_leave_in_one_packet() -> None:
    wire = Wire()
    wire.server("220 mx.example.net", "421 4.3.2 shutting down")
    (error,) = wire.greeted
    assert isinstance(error, SessionLost)
    assert "421 4.3.2 shutting down" in str(error)


def test_more_behind_the_greeting_in_a_later_packet() -> None:
    wire = greeted()
    wire.server("250 ok")
    assert wire.is_cut
    (error,) = outcome_of(wire.session.helo())
    assert isinstance(error, OutOfStep)
    assert error.stage is Stage.EHLO
    wire.client()


@pytest.mark.parametrize("said", [b"", b"220", b"220-mx.example.net\r\n", b"220 mx.example.net"])
def test_the_connection_ends_before_the_greeting_did(said: bytes) -> None:
    """Rows 40, 43 and 44."""
    wire = Wire()
    wire.feed(said)
    wire.closes(ConnectionLost)
    (error,) = wire.greeted
    assert isinstance(error, SessionLost)
    assert error.stage is Stage.GREETING
    assert wire.timers == 0


# --- EHLO and HELO -----------------------------------------------------------------------------


def test_ehlo() -> None:
    wire = greeted()
    reply = outcome_of(wire.session.helo())
    wire.client(f"EHLO {HELO}")
    wire.server("250-mx.example.net", "250-PIPELINING", "250-size 1000", "250 AUTH=LOGIN")
    assert reply[0].code == 250
    assert reply[0].stage is Stage.EHLO
    assert reply[0].host == HOST
    assert wire.session.state is State.READY
    assert wire.session.keywords == {"PIPELINING": "", "SIZE": "1000", "AUTH": "LOGIN"}
    assert wire.session.pipelining


@pytest.mark.parametrize("code", [500, 501, 502, 504, 550, 450, 354])
def test_ehlo_is_refused_and_helo_is_not(code: int) -> None:
    """Row 60."""
    wire = greeted()
    reply = outcome_of(wire.session.helo())
    wire.client(f"EHLO {HELO}")
    wire.server(f"{code} what?")
    assert reply == []
    wire.client(f"HELO {HELO}")
    wire.server("250 mx.example.net")
    assert reply[0].code == 250
    assert wire.session.state is State.READY
    assert not wire.session.pipelining


def test_both_are_refused() -> None:
    """Row 63: the reply to HELO is the one that counts."""
    wire = greeted()
    reply = outcome_of(wire.session.helo())
    wire.server("502 what?")
    wire.server("550 5.7.1 listed at dnsbl.example")
    wire.client(f"EHLO {HELO}", f"HELO {HELO}")
    assert reply[0].code == 550
    assert wire.session.state is State.GREETED


def test_ehlo_is_answered_421() -> None:
    """Row 62: no HELO."""
    wire = greeted()
    reply = outcome_of(wire.session.helo())
    wire.server("421 4.3.2 later")
    wire.client(f"EHLO {HELO}")
    assert reply[0].code == 421
    assert wire.session.state is State.DISMISSED


def test_helo_only() -> None:
    wire = greeted()
    reply = outcome_of(wire.session.helo(extended=False))
    wire.client(f"HELO {HELO}")
    wire.server("502 what?")
    assert reply[0].code == 502
    wire.client()


def test_what_looks_like_keywords_behind_helo_is_none() -> None:
    wire = greeted()
    outcome_of(wire.session.helo(extended=False))
    wire.server("250-mx.example.net", "250 PIPELINING")
    assert wire.session.keywords == {}


@pytest.mark.parametrize("again", ["EHLO", "HELO"])
def test_a_second_greeting_of_ours_forgets_the_keywords(again: str) -> None:
    wire = ready("PIPELINING", "SIZE 1000")
    outcome_of(wire.session.command(f"{again} {HELO}".encode()))
    wire.server("250 mx.example.net")
    assert wire.session.keywords == {}
    assert wire.session.state is State.READY


def test_a_refused_ehlo_forgets_the_keywords() -> None:
    wire = ready("PIPELINING")
    outcome_of(wire.session.command(f"EHLO {HELO}".encode()))
    wire.server("550 no more")
    assert not wire.session.pipelining


def test_ehlo_is_refused_and_the_connection_closed() -> None:
    """Row 61."""
    wire = greeted()
    reply = outcome_of(wire.session.helo())
    wire.server("500 what?")
    wire.closes()
    (error,) = reply
    assert isinstance(error, SessionLost)
    assert error.stage is Stage.EHLO
    assert [reply.code for reply in error.replies] == [500]
