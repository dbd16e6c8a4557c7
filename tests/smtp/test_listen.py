"""One more reply than was asked for, listened for before it comes; unasked it ends the session."""

from __future__ import annotations

import re

import pytest
from twisted.internet.defer import CancelledError

from twisted_probe.smtp import commands
from twisted_probe.smtp.errors import OutOfOrder, OutOfStep, ReplyTimeout, SessionLost
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.smtp.states import State, Verb, allows
from twisted_probe.vocabulary.reply import Stage

from .wire import HOST, IN_STATE, in_transaction, outcome_of, rcpt, ready

ANN = b"RCPT TO:<ann@example.net>"


def test_one_more_reply() -> None:
    wire = in_transaction()
    heard = outcome_of(wire.session.listen())
    wire.client()
    wire.server("250-2.0.0 and by the way", "250 2.0.0 hello")
    assert heard[0].text == "and by the way hello"
    assert (heard[0].host, heard[0].stage) == (HOST, Stage.OTHER)
    assert wire.session.state is State.TRANSACTION
    reply = outcome_of(wire.session.command(ANN))
    wire.client("RCPT TO:<ann@example.net>")
    wire.server("250 Ok")
    assert reply[0].code == 250


@pytest.mark.parametrize("in_one_packet", [True, False])
def test_the_second_reply_to_a_command(in_one_packet: bool) -> None:
    wire = in_transaction()
    told: list[int] = []
    wire.session.command(ANN).addCallback(lambda reply: told.append(reply.code))
    wire.session.listen().addCallback(lambda reply: told.append(reply.code))
    replies = [b"250 taken\r\n", b"550 or rather not\r\n"]
    wire.feed(*([b"".join(replies)] if in_one_packet else replies))
    assert told == [250, 550]
    assert not wire.is_cut


@pytest.mark.parametrize("listens", [True, False])
def test_only_who_listened_before_hears(listens: bool) -> None:
    """Row 32 of cases.md."""
    wire = in_transaction()
    heard = outcome_of(wire.session.listen()) if listens else []
    wire.server("250 unasked")
    assert wire.is_cut is not listens
    assert bool(heard) is listens


def test_only_one_more_is_heard() -> None:
    wire = in_transaction()
    heard = outcome_of(wire.session.listen())
    wire.server("250 one")
    wire.server("250 two")
    assert heard[0].text == "one"
    assert wire.is_cut


def test_two_more_in_one_packet() -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.command(ANN))
    heard = outcome_of(wire.session.listen())
    wire.server("250 asked", "250 heard", "250 too much")
    for results, text in ((reply, "asked"), (heard, "heard")):
        (error,) = results
        assert isinstance(error, OutOfStep)
        assert [each.text for each in error.replies] == [text]


@pytest.mark.parametrize("asks", [True, False])
def test_byte_by_byte(asks: bool) -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.command(ANN)) if asks else []
    heard = outcome_of(wire.session.listen())
    said = (b"250 asked\r\n" if asks else b"") + b"250-he\r\n250 ard\r\n"
    wire.feed(*(said[n : n + 1] for n in range(len(said))))
    assert len(reply) == asks
    assert heard[0].text == "he ard"


# --- Its place in the order --------------------------------------------------------------------


def test_behind_all_replies_of_a_pipelined_group() -> None:
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    heard = outcome_of(wire.session.listen())
    wire.server("250 ann", "250 bob")
    assert [reply.text for reply in replies[0]] == ["ann", "bob"]
    wire.server("250 heard")
    assert heard[0].text == "heard"


def test_behind_all_replies_of_a_group_that_goes_one_by_one() -> None:
    wire = in_transaction()
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    heard = outcome_of(wire.session.listen())
    wire.server("250 ann")
    wire.client("RCPT TO:<ann@example.net>", "RCPT TO:<bob@example.net>")
    wire.server("250 bob")
    assert len(replies[0]) == 2
    wire.server("250 heard")
    assert heard[0].text == "heard"


def test_what_comes_before_a_command_that_still_has_to_leave_is_not_it() -> None:
    wire = in_transaction()
    replies = outcome_of(wire.session.group([rcpt("ann"), rcpt("bob")]))
    heard = outcome_of(wire.session.listen())
    wire.server("250 ann", "250 and more")
    assert isinstance(replies[0], OutOfStep)
    assert isinstance(heard[0], OutOfStep)


def test_behind_a_group_whose_rest_was_not_sent() -> None:
    wire = ready(timeouts=Timeouts(command=10))
    replies = outcome_of(wire.session.group([commands.mail(None), rcpt("ann")]))
    heard = outcome_of(wire.session.listen())
    wire.server("550 no")
    assert [reply.code for reply in replies[0]] == [550]
    wire.seconds_pass(9)
    assert heard == []
    wire.seconds_pass(1)
    assert isinstance(heard[0], ReplyTimeout)


def test_while_listening_nothing_is_sent() -> None:
    wire = in_transaction()
    outcome_of(wire.session.listen())
    for say in (wire.session.rset, wire.session.listen):
        with pytest.raises(OutOfOrder):
            say()
    wire.client()


@pytest.mark.parametrize("state", State)
def test_where_the_table_allows_it(state: State) -> None:
    wire = IN_STATE[state]()
    if allows(state, Verb.LISTEN):
        heard = outcome_of(wire.session.listen())
        wire.server("250 so be it")
        assert heard[0].code == 250
        assert wire.session.state is state
    else:
        with pytest.raises(OutOfOrder, match=re.escape("(listen) is not allowed")):
            wire.session.listen()
    wire.client()


def test_a_goodbye_is_heard_too() -> None:
    wire = ready()
    heard = outcome_of(wire.session.listen())
    wire.server("421 4.3.2 shutting down")
    assert heard[0].code == 421
    assert wire.session.state is State.DISMISSED


# --- Its end -----------------------------------------------------------------------------------


def test_it_has_the_time_of_a_command() -> None:
    wire = ready(timeouts=Timeouts(command=10))
    heard = outcome_of(wire.session.listen())
    for _ in range(9):
        wire.seconds_pass(1)
        wire.feed(b"250-still here\r\n")
    assert heard == []
    wire.seconds_pass(1)
    assert isinstance(heard[0], ReplyTimeout)
    assert heard[0].stage is Stage.OTHER
    assert wire.timers == 0


def test_its_time_begins_with_the_last_reply_before_it() -> None:
    wire = in_transaction(timeouts=Timeouts(command=10))
    reply = outcome_of(wire.session.command(ANN))
    heard = outcome_of(wire.session.listen())
    wire.seconds_pass(9)
    wire.server("250 Ok")
    wire.seconds_pass(9)
    assert len(reply) == 1
    assert heard == []
    wire.seconds_pass(1)
    assert isinstance(heard[0], ReplyTimeout)


def test_afterwards_nothing_is_waited_for() -> None:
    wire = ready(timeouts=Timeouts(command=10))
    heard = outcome_of(wire.session.listen())
    wire.server("250 Ok")
    wire.seconds_pass(20)
    assert heard[0].code == 250
    assert not wire.is_cut


def test_the_connection_ends() -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.command(ANN))
    heard = outcome_of(wire.session.listen())
    wire.closes()
    assert isinstance(reply[0], SessionLost)
    assert isinstance(heard[0], SessionLost)
    assert (reply[0].stage, heard[0].stage) == (Stage.RCPT, Stage.OTHER)


def test_after_the_end() -> None:
    wire = ready()
    wire.closes()
    (error,) = outcome_of(wire.session.listen())
    assert isinstance(error, SessionLost)


def test_quit_while_listening() -> None:
    wire = ready()
    heard = outcome_of(wire.session.listen())
    farewell = outcome_of(wire.session.quit())
    wire.client()
    assert wire.is_cut
    assert isinstance(heard[0], SessionLost)
    wire.seconds_pass(0)
    assert farewell == [None]


def test_who_hears_the_reply_before_it_may_end_the_session() -> None:
    wire = in_transaction()
    wire.session.command(ANN).addCallback(lambda _: wire.session.abort())
    heard = outcome_of(wire.session.listen())
    wire.server("250 Ok", "250 and more")
    (error,) = heard
    assert isinstance(error, SessionLost)
    assert [reply.text for reply in error.replies] == ["and more"]


def test_the_command_before_it_is_cancelled() -> None:
    wire = in_transaction()
    reply = wire.session.command(ANN)
    results = outcome_of(reply)
    heard = outcome_of(wire.session.listen())
    reply.cancel()
    assert isinstance(results[0], CancelledError)
    assert isinstance(heard[0], SessionLost)
    assert wire.is_cut


@pytest.mark.parametrize("asks", [True, False])
def test_it_is_cancelled(asks: bool) -> None:
    wire = in_transaction()
    reply = outcome_of(wire.session.command(ANN)) if asks else []
    listening = wire.session.listen()
    heard = outcome_of(listening)
    listening.cancel()
    assert isinstance(heard[0], CancelledError)
    assert wire.is_cut
    assert [type(each) for each in reply] == [SessionLost] * asks
    wire.seconds_pass(0)
    assert wire.timers == 0
