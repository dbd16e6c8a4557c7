"""How a session ends: lost, cut, cancelled, or with a goodbye. Rows are those of cases.md."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone, ConnectionLost

from twisted_probe.smtp import commands
from twisted_probe.smtp.errors import OutOfOrder, SessionLost
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.smtp.states import State
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

from .wire import HELO, HOST, IN_STATE, Wire, greeted, in_transaction, outcome_of, rcpt, ready

# --- Lost --------------------------------------------------------------------------------------

WORDS: dict[type[Exception], str] = {
    ConnectionDone: "the exchanger closed the connection",
    ConnectionLost: "the connection was reset or broke",
}


@pytest.mark.parametrize("reason", WORDS)
@pytest.mark.parametrize(
    ("state", "line", "stage"),
    [
        (State.GREETED, f"EHLO {HELO}", Stage.EHLO),
        (State.GREETED, f"HELO {HELO}", Stage.EHLO),
        (State.READY, "MAIL FROM:<>", Stage.MAIL),
        (State.TRANSACTION, "RCPT TO:<ann@example.net>", Stage.RCPT),
        (State.TRANSACTION, "RSET", Stage.OTHER),
    ],
)
@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"250", id="row 43: a code"),
        pytest.param(b"250 2.1.5 Ok", id="row 43: a line without its end"),
        pytest.param(b"250 2.1.5 Ok\r", id="row 43: a line with half an end"),
        pytest.param(b"250-2.1.5 Ok\r\n", id="row 44: a reply without its last line"),
    ],
)
def test_the_connection_ends_before_the_reply_does(
    state: State, line: str, stage: Stage, said: bytes, reason: type[Exception]
) -> None:
    """Rows 41, 42 and 45: never a verdict."""
    wire = IN_STATE[state]()
    reply = outcome_of(wire.session.command(line.encode()))
    wire.feed(said)
    assert reply == []
    wire.closes(reason)
    (error,) = reply
    assert isinstance(error, SessionLost)
    assert error.reason is Reason.CONNECTION_LOST
    assert (error.stage, error.host, error.replies) == (stage, HOST, ())
    assert (error.code, error.text) == (None, WORDS[reason])
    assert wire.session.state is State.CLOSED
    assert wire.timers == 0
    assert not wire.is_cut


@pytest.mark.parametrize("keywords", [["PIPELINING"], []])
def test_those_who_were_answered_keep_their_answers(keywords: list[str]) -> None:
    """Rows 42 and 46."""
    wire = ready(*keywords)
    group = [commands.mail(None), rcpt("ann"), rcpt("bob"), rcpt("cy")]
    replies = outcome_of(wire.session.group(group))
    for answer in ("250 Ok", "550 5.1.1 no such user", "250 Ok"):
        wire.server(answer)
    wire.feed(b"250-O")
    wire.closes()
    (error,) = replies
    assert [reply.code for reply in error.replies] == [250, 550, 250]
    assert error.stage is Stage.RCPT
    assert str(error) == f"{HOST}: the exchanger closed the connection"


def test_the_stage_is_that_of_the_first_who_was_not_answered() -> None:
    wire = ready("PIPELINING")
    replies = outcome_of(wire.session.group([commands.mail(None), rcpt("ann")]))
    wire.closes()
    assert replies[0].stage is Stage.MAIL


def test_lost_while_nothing_was_asked() -> None:
    wire = ready()
    wire.closes()
    (error,) = outcome_of(wire.session.mail(""))
    assert isinstance(error, SessionLost)
    assert error.stage is Stage.MAIL
    (error,) = outcome_of(wire.session.helo())
    assert error.stage is Stage.EHLO


def test_an_ended_session_takes_no_empty_group_either() -> None:
    wire = ready()
    wire.closes()
    with pytest.raises(OutOfOrder):
        wire.session.group([])


def test_what_comes_after_the_end_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = in_transaction()
    lines: list[bytes] = []
    monkeypatch.setattr(wire.session, "lineReceived", lines.append)
    wire.session.abort()
    wire.feed(b"250 Ok\r\n" * 3)
    assert lines == []


# --- Cancelled ---------------------------------------------------------------------------------


def test_the_greeting_is_cancelled() -> None:
    wire = Wire()
    wire.session.greeted.cancel()
    assert isinstance(wire.greeted[0], CancelledError)
    assert wire.is_cut
    wire.seconds_pass(0)
    assert wire.timers == 0


@pytest.mark.parametrize("extended", [True, False])
def test_ehlo_is_cancelled(extended: bool) -> None:
    wire = greeted()
    reply = wire.session.helo(extended=extended)
    results = outcome_of(reply)
    reply.cancel()
    assert isinstance(results[0], CancelledError)
    assert wire.is_cut


def test_the_fall_back_is_cancelled() -> None:
    wire = greeted()
    reply = wire.session.helo()
    results = outcome_of(reply)
    wire.server("502 what?")
    wire.client(f"EHLO {HELO}", f"HELO {HELO}")
    reply.cancel()
    assert isinstance(results[0], CancelledError)
    assert wire.is_cut


def test_a_group_is_cancelled() -> None:
    wire = in_transaction("PIPELINING")
    replies = wire.session.group([rcpt("ann"), rcpt("bob")])
    results = outcome_of(replies)
    wire.server("250 Ok")
    replies.cancel()
    assert isinstance(results[0], CancelledError)
    assert wire.is_cut
    assert wire.session.state is State.CLOSED
    wire.seconds_pass(0)
    assert wire.timers == 0
    (error,) = outcome_of(wire.session.rset())
    assert "cancelled by this side" in str(error)


@pytest.mark.parametrize("answer", [[], ["221 Bye"]])
def test_quit_is_cancelled(answer: list[str]) -> None:
    """Before the reply, and while an orderly end does not come."""
    wire = ready()
    wire.transport.is_stuck = True
    farewell = wire.session.quit()
    results = outcome_of(farewell)
    wire.server(*answer)
    farewell.cancel()
    assert isinstance(results[0], CancelledError)
    assert wire.is_cut
    wire.seconds_pass(0)
    assert wire.timers == 0
    assert outcome_of(wire.session.quit()) == [None]


# --- Cut by this side --------------------------------------------------------------------------


def test_abort_before_the_greeting() -> None:
    wire = Wire()
    wire.session.abort()
    (error,) = wire.greeted
    assert isinstance(error, SessionLost)
    assert error.stage is Stage.GREETING
    assert wire.is_cut


def test_abort_while_a_reply_is_awaited() -> None:
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    wire.server("250 Ok")
    wire.session.abort()
    (error,) = replies
    assert isinstance(error, SessionLost)
    assert "aborted by this side" in str(error)
    assert [reply.code for reply in error.replies] == [250]
    assert wire.is_cut


def test_abort_while_nothing_is_awaited_and_again() -> None:
    wire = ready()
    wire.session.abort()
    wire.session.abort()
    assert wire.is_cut
    wire.seconds_pass(0)
    wire.session.abort()
    assert wire.timers == 0


def test_abort_before_there_is_a_connection() -> None:
    session = ProbeProtocol(clock=Wire().clock, helo=HELO)
    results = outcome_of(session.greeted)
    session.abort()
    assert isinstance(results[0], SessionLost)


# --- Goodbye -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.GREETED, State.READY, State.TRANSACTION, State.DISMISSED])
def test_quit(state: State) -> None:
    wire = IN_STATE[state]()
    farewell = outcome_of(wire.session.quit())
    wire.client("QUIT")
    assert farewell == []
    wire.server("221 2.0.0 Bye")
    assert farewell[0].code == 221
    assert wire.session.state is State.CLOSED
    assert not wire.is_cut
    assert wire.timers == 0


def test_the_peer_resets_our_quit() -> None:
    """Row 59."""
    wire = ready()
    farewell = outcome_of(wire.session.quit())
    wire.closes(ConnectionLost)
    assert farewell == [None]


@pytest.mark.parametrize("code", [250, 421, 500])
def test_another_reply_to_quit_is_handed_over(code: int) -> None:
    """Row 34: whoever asked can tell that he was out of step."""
    wire = in_transaction()
    farewell = outcome_of(wire.session.quit())
    wire.server(f"{code} what?")
    assert farewell[0].code == code


def test_more_than_the_reply_to_quit() -> None:
    wire = in_transaction()
    farewell = outcome_of(wire.session.quit())
    wire.server("550 no", "221 Bye")
    assert farewell[0].code == 550
    assert wire.is_cut


def test_more_behind_the_goodbye_while_the_connection_stays() -> None:
    wire = ready()
    wire.transport.is_stuck = True
    farewell = outcome_of(wire.session.quit())
    wire.server("221 Bye")
    wire.server("221 Bye")
    assert farewell[0].code == 221
    assert wire.is_cut


@pytest.mark.parametrize("state", [State.CONNECTED, State.CLOSED])
def test_where_quit_has_no_place_the_connection_is_cut(state: State) -> None:
    wire = IN_STATE[state]()
    farewell = outcome_of(wire.session.quit())
    wire.client()
    assert wire.is_cut
    wire.seconds_pass(0)
    assert farewell == [None]


def test_quit_while_a_reply_is_awaited() -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.client("RCPT TO:<ann@example.net>")
    farewell = outcome_of(wire.session.quit())
    wire.client()
    assert isinstance(reply[0], SessionLost)
    assert wire.is_cut
    wire.seconds_pass(0)
    assert farewell == [None]


def test_quit_twice() -> None:
    wire = ready()
    first, second = outcome_of(wire.session.quit()), outcome_of(wire.session.quit())
    wire.client("QUIT")
    assert wire.is_cut
    wire.seconds_pass(0)
    assert (first, second) == ([None], [None])


def test_quit_after_the_end() -> None:
    wire = ready()
    wire.closes()
    assert outcome_of(wire.session.quit()) == [None]
    assert outcome_of(wire.session.quit()) == [None]
    wire.client()


def test_after_quit_the_session_is_over() -> None:
    wire = ready()
    outcome_of(wire.session.quit())
    wire.server("221 Bye")
    (error,) = outcome_of(wire.session.mail(""))
    assert isinstance(error, SessionLost)
    assert error.text == "the session has ended with QUIT; open another one"


@pytest.mark.parametrize("is_over", [True, False])
def test_the_end_can_be_waited_for(is_over: bool) -> None:
    wire = ready()
    if is_over:
        wire.closes()
    told, given_up = wire.session.closed(), wire.session.closed()
    if not is_over:
        given_up.cancel()
        assert isinstance(outcome_of(given_up)[0], CancelledError)
        assert not told.called
        wire.closes()
    assert outcome_of(told) == [None]
