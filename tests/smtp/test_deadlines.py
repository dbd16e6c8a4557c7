"""Deadlines: absolute ones, that no byte from the peer can move. Rows are those of cases.md."""

from __future__ import annotations

import pytest

from twisted_probe.smtp import commands
from twisted_probe.smtp.errors import ReplyTimeout, SessionError
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

from .wire import HOST, Wire, in_transaction, outcome_of, rcpt, ready


def timed_out(results: list[object]) -> SessionError:
    """The timeout that a Deferred ended with."""
    (error,) = results
    assert isinstance(error, ReplyTimeout)
    assert error.reason is Reason.TIMEOUT
    assert error.host == HOST
    return error


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (b"EHLO probe1.example.org", Stage.EHLO),
        (b"MAIL FROM:<>", Stage.MAIL),
        (b"RSET", Stage.OTHER),
    ],
)
def test_a_command_that_is_never_answered(line: bytes, stage: Stage) -> None:
    """Row 49."""
    wire = ready()
    reply = outcome_of(wire.session.command(line))
    wire.seconds_pass(59.9)
    assert reply == []
    wire.seconds_pass(0.1)
    error = timed_out(reply)
    assert error.stage is stage
    assert str(error) == f"{HOST}: no reply in time"
    assert wire.is_cut
    assert wire.timers == 0


@pytest.mark.parametrize(
    "drip",
    [
        pytest.param(b"2", id="row 16: a byte now and then"),
        pytest.param(b"220-still here\r\n", id="row 17: a line now and then"),
    ],
)
def test_a_greeting_that_drips(drip: bytes) -> None:
    wire = Wire()
    for _ in range(59):
        wire.seconds_pass(1)
        wire.feed(drip)
        drip = b"2" if len(drip) == 1 else drip
        assert wire.greeted == []
    wire.seconds_pass(1)
    timed_out(wire.greeted)


@pytest.mark.parametrize("drip", [b"x", b"\r\n250-"])
def test_a_reply_that_drips(drip: bytes) -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.feed(b"250-")
    for _ in range(59):
        wire.seconds_pass(1)
        wire.feed(drip)
    assert reply == []
    wire.seconds_pass(1)
    timed_out(reply)


def test_each_reply_of_a_pipeline_has_its_own_deadline() -> None:
    """Row 83: the answered stay answered."""
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob"), rcpt("cy")]))
    wire.seconds_pass(50)
    wire.server("250 Ok")
    wire.seconds_pass(50)
    wire.server("550 no")
    wire.seconds_pass(59.9)
    assert replies == []
    wire.seconds_pass(0.1)
    error = timed_out(replies)
    assert [reply.code for reply in error.replies] == [250, 550]
    assert error.stage is Stage.RCPT


def test_each_command_has_its_own_deadline() -> None:
    wire = in_transaction()
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    wire.seconds_pass(59)
    wire.server("250 Ok")
    wire.seconds_pass(59)
    wire.server("250 Ok")
    assert [reply.code for reply in replies[0]] == [250, 250]


def test_between_commands_only_the_session_has_a_deadline() -> None:
    wire = ready(timeouts=Timeouts(command=10, session=100))
    wire.seconds_pass(99)
    reply = outcome_of(wire.session.mail(""))
    wire.server("250 Ok")
    assert reply[0].code == 250
    wire.seconds_pass(1)
    assert wire.is_cut
    (error,) = outcome_of(wire.session.rcpt("ann@example.net"))
    assert str(timed_out([error])) == f"{HOST}: the session's time is over"


# --- The session's deadline --------------------------------------------------------------------


def test_a_session_that_is_slow_in_everything() -> None:
    wire = ready(timeouts=Timeouts(command=60, session=100))
    reply = outcome_of(wire.session.mail(""))
    wire.seconds_pass(55)
    wire.server("250 Ok")
    assert reply[0].code == 250
    reply = outcome_of(wire.session.rset())
    wire.seconds_pass(44.9)
    assert reply == []
    wire.seconds_pass(0.1)
    assert "session's time" in str(timed_out(reply))


def test_it_grows_with_the_recipients() -> None:
    """Row 114: a tarpit that delays each reply is waited out."""
    wire = in_transaction("PIPELINING", timeouts=Timeouts(command=60, session=10, recipient=2))
    replies = outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(20)]))
    for _ in range(20):
        wire.seconds_pass(2)
        wire.server("250 Ok")
    assert len(replies[0]) == 20
    wire.seconds_pass(9.9)
    assert not wire.is_cut
    wire.seconds_pass(0.1)
    assert wire.is_cut


def test_it_grows_with_those_that_were_sent() -> None:
    wire = in_transaction(timeouts=Timeouts(command=60, session=10, recipient=2))
    replies = outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(20)]))
    wire.seconds_pass(12)
    assert "session's time" in str(timed_out(replies))


def test_the_greeting_counts() -> None:
    wire = Wire(timeouts=Timeouts(greeting=60, session=30))
    wire.seconds_pass(30)
    assert "session's time" in str(timed_out(wire.greeted))


# --- QUIT --------------------------------------------------------------------------------------


def test_quit_is_awaited_two_seconds() -> None:
    """Row 51."""
    wire = in_transaction()
    farewell = outcome_of(wire.session.quit())
    wire.client("QUIT")
    wire.seconds_pass(1.9)
    assert not wire.is_cut
    wire.seconds_pass(0.1)
    assert wire.is_cut
    assert farewell == [None]
    assert wire.timers == 0


def test_quit_is_answered_and_the_connection_stays() -> None:
    """Rows 50 and 76: an orderly end may never come."""
    wire = ready()
    wire.transport.is_stuck = True
    farewell = outcome_of(wire.session.quit())
    wire.seconds_pass(1)
    wire.server("221 Bye")
    assert farewell == []
    wire.seconds_pass(0.9)
    assert not wire.is_cut
    wire.seconds_pass(0.1)
    assert wire.is_cut
    assert farewell[0].code == 221


def test_quit_drips() -> None:
    wire = ready()
    farewell = outcome_of(wire.session.quit())
    for _ in range(4):
        wire.feed(b"221-bye\r\n")
        wire.seconds_pass(0.5)
    assert farewell == [None]
    assert wire.is_cut


# --- The one timer -----------------------------------------------------------------------------


def test_a_session_has_one_timer() -> None:
    wire = Wire()
    assert wire.timers == 1
    wire.server("220 mx.example.net")
    assert wire.timers == 1
    outcome_of(wire.session.helo())
    assert wire.timers == 1
    wire.server("250 mx.example.net")
    assert wire.timers == 1
    wire.closes()
    assert wire.timers == 0


def test_a_command_costs_no_timer() -> None:
    wire = in_transaction("PIPELINING", max_recipients=0)
    before = wire.clock.timers_set
    for n in range(100):
        replies = outcome_of(wire.session.group([rcpt(f"u{n}"), commands.RSET]))
        wire.clock.advance(0.1)
        wire.server("250 Ok", "250 Ok")
        assert len(replies[0]) == 2
        outcome_of(wire.session.mail(""))
        wire.server("250 Ok")
    assert wire.clock.timers_set == before
    assert wire.timers == 1


def test_a_timer_that_rings_too_early_is_set_again() -> None:
    wire = ready()
    before = wire.clock.timers_set
    for _ in range(10):
        reply = outcome_of(wire.session.rset())
        wire.seconds_pass(30)
        wire.server("250 Ok")
        assert reply[0].code == 250
    assert wire.clock.timers_set - before <= 10
    assert not wire.is_cut


# --- The numbers -------------------------------------------------------------------------------


def test_what_is_waited_unless_told_otherwise() -> None:
    assert Timeouts() == DEFAULT_TIMEOUTS
    assert (DEFAULT_TIMEOUTS.connect, DEFAULT_TIMEOUTS.greeting) == (30, 60)
    assert (DEFAULT_TIMEOUTS.command, DEFAULT_TIMEOUTS.quit) == (60, 2)
    assert (DEFAULT_TIMEOUTS.session, DEFAULT_TIMEOUTS.recipient) == (600, 2)


def test_one_number_for_every_step() -> None:
    flat = Timeouts.flat(7.5)
    assert (flat.connect, flat.greeting, flat.command) == (7.5, 7.5, 7.5)
    assert (flat.quit, flat.session) == (DEFAULT_TIMEOUTS.quit, DEFAULT_TIMEOUTS.session)


def test_the_minimums_of_the_standard() -> None:
    standard = Timeouts.rfc()
    assert min(standard.connect, standard.greeting, standard.command) == 300
    assert standard.session > standard.command
