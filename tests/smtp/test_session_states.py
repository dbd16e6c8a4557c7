"""The legal order of a session: the table, the picture that it makes, and the wire that obeys."""

from __future__ import annotations

import itertools
import re

import pytest

from twisted_probe.smtp import commands
from twisted_probe.smtp.errors import OutOfOrder
from twisted_probe.smtp.states import CLOSING, GROUPABLE, TABLE, State, Verb, after, allows

from .wire import HELO, IN_STATE, outcome_of

LINES = {
    Verb.EHLO: f"EHLO {HELO}",
    Verb.HELO: f"HELO {HELO}",
    Verb.MAIL: "MAIL FROM:<>",
    Verb.RCPT: "RCPT TO:<ann@example.net>",
    Verb.RSET: "RSET",
    Verb.NOOP: "NOOP",
    Verb.QUIT: "QUIT",
    Verb.OTHER: "HELP",
}
SAID = [(state, verb) for state in State for verb in LINES]
ALLOWED = [pair for pair in SAID if allows(*pair)]
NOT_ALLOWED = [pair for pair in SAID if not allows(*pair)]


# --- The picture -------------------------------------------------------------------------------


def reachable() -> set[State]:
    """Every state that some replies lead to."""
    found = [State.CONNECTED]
    for state in found:
        for (said_in, verb), code in itertools.product(TABLE, (250, 550, CLOSING)):
            after_it = after(state, verb, code)
            if said_in is state and after_it not in found:
                found.append(after_it)
    return set(found)


def test_every_state_is_reached() -> None:
    assert reachable() == set(State)


@pytest.mark.parametrize(("state", "verb"), TABLE)
def test_every_pair_of_the_table_comes_about(state: State, verb: Verb) -> None:
    assert state in reachable()
    assert after(state, verb, 250) is TABLE[state, verb]


def test_the_end_is_the_end() -> None:
    assert not any(allows(State.CLOSED, verb) for verb in Verb)
    assert [verb for verb in Verb if allows(State.DISMISSED, verb)] == [Verb.QUIT]


def test_only_a_new_connection_is_greeted() -> None:
    assert [state for state in State if allows(state, Verb.GREETING)] == [State.CONNECTED]


def test_every_state_can_be_left() -> None:
    for state in State:
        may_quit = state not in (State.CONNECTED, State.CLOSED)
        assert allows(state, Verb.QUIT) is may_quit


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", Verb)
def test_421_dismisses_from_everywhere(state: State, verb: Verb) -> None:
    assert after(state, verb, CLOSING) is State.DISMISSED


@pytest.mark.parametrize("verb", [verb for verb in LINES if verb is not Verb.QUIT])
@pytest.mark.parametrize("code", [354, 450, 550])
def test_a_refusal_changes_nothing(verb: Verb, code: int) -> None:
    assert all(after(state, verb, code) is state for state in State)


@pytest.mark.parametrize("code", [220, 354, 450, 554])
def test_after_quit_nothing_is_said(code: int) -> None:
    assert after(State.READY, Verb.QUIT, code) is State.CLOSED


@pytest.mark.parametrize("code", [354, 450, 554, 521])
def test_a_greeting_that_says_no_dismisses(code: int) -> None:
    assert after(State.CONNECTED, Verb.GREETING, code) is State.DISMISSED


def test_what_may_be_followed_in_a_group() -> None:
    """RFC 2920 section 3.1, and none of what ends a session or changes what the peer offers."""
    assert {Verb.MAIL, Verb.RCPT, Verb.RSET} == GROUPABLE


# --- The wire obeys ----------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "verb"), NOT_ALLOWED)
def test_what_is_out_of_order_raises_and_is_not_sent(state: State, verb: Verb) -> None:
    wire = IN_STATE[state]()
    with pytest.raises(OutOfOrder, match=re.escape(f"{verb.value} is not allowed")):
        wire.session.command(LINES[verb].encode())
    wire.client()
    assert wire.session.state is state


@pytest.mark.parametrize(("state", "verb"), ALLOWED)
@pytest.mark.parametrize("code", [250, 354, 450, 550, CLOSING])
def test_a_raw_command_drives_the_same_table(state: State, verb: Verb, code: int) -> None:
    wire = IN_STATE[state]()
    assert wire.session.state is state
    reply = outcome_of(wire.session.command(LINES[verb].encode()))
    wire.client(LINES[verb])
    wire.server(f"{code} so be it")
    assert reply[0].code == code
    assert reply[0].stage is commands.Command(LINES[verb].encode()).stage
    assert wire.session.state is after(state, verb, code)


@pytest.mark.parametrize(
    ("state", "say"),
    [
        (State.CONNECTED, "helo"),
        (State.DISMISSED, "helo"),
        (State.CLOSED, "helo"),
        (State.GREETED, "mail"),
        (State.TRANSACTION, "mail"),
        (State.GREETED, "rcpt"),
        (State.READY, "rcpt"),
        (State.CONNECTED, "rset"),
        (State.DISMISSED, "rset"),
    ],
)
def test_the_methods_raise_at_once_too(state: State, say: str) -> None:
    wire = IN_STATE[state]()
    arguments = {"mail": ["ann@example.org"], "rcpt": ["ann@example.net"]}.get(say, [])
    with pytest.raises(OutOfOrder):
        getattr(wire.session, say)(*arguments)
    wire.client()


@pytest.mark.parametrize("extended", [True, False])
def test_neither_ehlo_nor_helo_before_the_greeting(extended: bool) -> None:
    wire = IN_STATE[State.CONNECTED]()
    with pytest.raises(OutOfOrder):
        wire.session.helo(extended=extended)
    wire.client()


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (State.READY, ["QUIT", "RSET"]),
        (State.READY, ["RCPT TO:<ann@example.net>", "MAIL FROM:<>"]),
        (State.READY, ["MAIL FROM:<>", "MAIL FROM:<>"]),
        (State.READY, ["MAIL FROM:<>", "RSET", "RCPT TO:<ann@example.net>"]),
        (State.TRANSACTION, ["RSET", "RCPT TO:<ann@example.net>"]),
        (State.TRANSACTION, [f"EHLO {HELO}", "RCPT TO:<ann@example.net>"]),
        (State.DISMISSED, ["QUIT", "QUIT"]),
        (State.READY, []),
    ],
)
def test_a_group_is_checked_as_a_whole(state: State, lines: list[str]) -> None:
    wire = IN_STATE[state]()
    with pytest.raises(OutOfOrder):
        wire.session.group([commands.Command(line.encode()) for line in lines])
    wire.client()
    assert wire.session.state is state


def test_one_group_at_a_time() -> None:
    wire = IN_STATE[State.READY]()
    first = outcome_of(wire.session.rset())
    with pytest.raises(OutOfOrder, match="still awaited"):
        wire.session.rset()
    wire.client("RSET")
    wire.server("250 Ok")
    assert first[0].code == 250
