"""In step: each reply to its command, and no reply that nobody asked for.

One reply too many, taken for the next one, would shift every verdict behind it by one recipient.
Rows are those of cases.md.
"""

from __future__ import annotations

import pytest

from twisted_probe.smtp import commands
from twisted_probe.smtp.errors import OutOfStep, ProtocolViolation, SessionLost
from twisted_probe.smtp.states import State
from twisted_probe.vocabulary.reply import Stage

from .wire import HOST, in_transaction, outcome_of, rcpt, ready

SURPLUS = [
    pytest.param(b"550 no\r\n", id="a reply"),
    pytest.param(b"550 no\r\n550 no\r\n", id="two replies"),
    pytest.param(b"550 no", id="a part of a line"),
    pytest.param(b"5", id="one byte"),
    pytest.param(b"550-no\r\n", id="a part of a reply"),
    pytest.param(b"550-no\r\n550", id="a part of a reply and of a line"),
]
GARBAGE = [
    pytest.param(b"\r\n", id="an empty line"),
    pytest.param(b"garbage\r\n", id="garbage"),
]


@pytest.mark.parametrize("more", SURPLUS + GARBAGE)
def test_more_than_the_reply_in_one_packet(more: bytes) -> None:
    """Rows 32 and 33: RCPT must not adopt the second reply to MAIL."""
    wire = ready()
    replies = outcome_of(wire.session.group([commands.mail(None), rcpt("ann")]))
    wire.client("MAIL FROM:<>")
    wire.feed(b"250 Ok\r\n" + more)
    wire.client()
    (error,) = replies
    assert isinstance(error, ProtocolViolation)
    assert [reply.code for reply in error.replies] == [250]
    assert (error.stage, error.host) == (Stage.RCPT, HOST)
    assert wire.is_cut
    assert wire.session.state is State.CLOSED


@pytest.mark.parametrize("more", SURPLUS)
def test_more_than_the_last_reply(more: bytes) -> None:
    """What came in the same packet is not believed either: the last may be the one too many."""
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    wire.feed(b"250 Ok\r\n250 Ok\r\n" + more)
    (error,) = replies
    assert isinstance(error, OutOfStep)
    assert error.stage is Stage.OTHER
    assert wire.is_cut


@pytest.mark.parametrize("more", SURPLUS)
def test_more_while_nothing_was_asked(more: bytes) -> None:
    """Row 32: there is nobody to tell, until somebody asks."""
    wire = in_transaction()
    wire.feed(more)
    assert wire.is_cut
    assert wire.session.state is State.CLOSED
    (error,) = outcome_of(wire.session.rcpt("ann@example.net"))
    assert isinstance(error, OutOfStep)
    assert (error.stage, error.host, error.replies) == (Stage.RCPT, HOST, ())
    wire.client()


def test_a_part_of_the_next_reply_is_no_trouble_while_it_is_awaited() -> None:
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    wire.feed(b"250 Ok\r\n550-n", b"o\r\n550", b" no\r\n")
    assert [reply.code for reply in replies[0]] == [250, 550]


def test_the_next_command_leaves_after_the_whole_packet() -> None:
    wire = in_transaction("PIPELINING", max_recipients=0)
    outcome_of(wire.session.group([rcpt(f"{n:060}") for n in range(80)]))
    sent = len(wire.client_said())
    wire.feed(b"250 Ok\r\n" * sent + b"250 Ok\r\n")
    wire.client()
    assert wire.is_cut


def test_garbage_where_a_reply_is_due() -> None:
    """Row 27; what was answered before stays."""
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    wire.server("550 no", "250OK")
    (error,) = replies
    assert isinstance(error, ProtocolViolation)
    assert not isinstance(error, OutOfStep)
    assert [reply.code for reply in error.replies] == [550]
    assert error.stage is Stage.RCPT
    assert "'250OK'" in str(error)
    assert wire.is_cut


def test_one_carriage_return_ends_a_line_and_two_do_not() -> None:
    """Row 21."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.feed(b"250\r\r\n")
    assert isinstance(reply[0], ProtocolViolation)


def test_the_code_changes_inside_a_reply() -> None:
    """Rows 28 and 29."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.server("250-first", "550 last")
    assert isinstance(reply[0], ProtocolViolation)
    assert reply[0].replies == ()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_behind_the_last_reply(garbage: bytes) -> None:
    """It is no reply, so none was one too many."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.feed(b"550 no\r\n" + garbage)
    (error,) = reply
    assert isinstance(error, ProtocolViolation)
    assert not isinstance(error, OutOfStep)
    assert [reply.code for reply in error.replies] == [550]


def test_nothing_is_looked_at_after_the_first_trouble() -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.server("garbage", "250 Ok", "more garbage")
    wire.feed(b"250 Ok\r\n")
    (error,) = reply
    assert "'garbage'" in str(error)
    assert wire.session.state is State.CLOSED


# --- 421 may come at any time ------------------------------------------------------------------


def test_421_while_nothing_was_asked() -> None:
    """Row 48."""
    wire = ready()
    wire.server("421 4.4.2 idle for too long")
    assert wire.is_cut
    (error,) = outcome_of(wire.session.mail(""))
    assert isinstance(error, SessionLost)
    assert error.stage is Stage.MAIL
    assert (error.code, error.text) == (
        421,
        "the exchanger closes the session: 421 4.4.2 idle for too long",
    )
    wire.client()


@pytest.mark.parametrize("line", ["220 again", "354 go on", "451 4.4.2 idle", "554 5.7.0 bye"])
def test_no_other_code_may(line: str) -> None:
    wire = ready()
    wire.server(line)
    assert wire.is_cut
    (error,) = outcome_of(wire.session.mail(""))
    assert isinstance(error, OutOfStep)


def test_421_behind_the_last_reply() -> None:
    """Row 46 in the polite form: the answer before it stands."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("nobody@example.net"))
    wire.server("550 5.1.1 no such user", "421 4.7.0 too many errors")
    (error,) = reply
    assert isinstance(error, SessionLost)
    assert [reply.code for reply in error.replies] == [550]
    assert "too many errors" in str(error)
    assert wire.is_cut


def test_nobody_is_told_of_an_idle_end_and_nothing_is_left() -> None:
    wire = ready()
    wire.server("421 bye")
    assert wire.timers == 0
    assert outcome_of(wire.session.quit()) == [None]
    wire.client()
