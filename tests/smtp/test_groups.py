"""Groups of commands, with and without PIPELINING (RFC 2920). Rows are those of cases.md."""

from __future__ import annotations

import pytest

from twisted_probe.smtp import commands, protocol
from twisted_probe.smtp.commands import RSET, Command
from twisted_probe.smtp.errors import SessionLost, TooManyRecipients
from twisted_probe.smtp.limits import MAX_OUTSTANDING
from twisted_probe.smtp.states import State, Verb, after
from twisted_probe.vocabulary.reply import Stage

from .wire import HELO, greeted, in_transaction, outcome_of, rcpt, ready

MAIL = commands.mail(None)
ANN, BOB, CY = "RCPT TO:<ann@example.net>", "RCPT TO:<bob@example.net>", "RCPT TO:<cy@example.net>"
THREE = [rcpt("ann"), rcpt("bob"), rcpt("cy")]


def codes(replies: list[object]) -> list[int]:
    """The codes of the replies that a group's Deferred fired with."""
    (group,) = replies
    assert isinstance(group, tuple)
    return [reply.code for reply in group]


def test_without_pipelining_one_by_one() -> None:
    """Row 81."""
    wire = ready("8BITMIME")
    replies = outcome_of(wire.session.group([MAIL, *THREE]))
    wire.client("MAIL FROM:<>")
    wire.server("250 Ok")
    wire.client(ANN)
    wire.server("250 Ok")
    wire.client(BOB)
    wire.server("550 no")
    wire.client(CY)
    assert replies == []
    wire.server("250 Ok")
    assert codes(replies) == [250, 250, 550, 250]


def test_with_pipelining_together() -> None:
    """Row 31: each reply goes to its command, in order."""
    wire = ready("PIPELINING")
    replies = outcome_of(wire.session.group([MAIL, *THREE]))
    wire.client("MAIL FROM:<>", ANN, BOB, CY)
    wire.server("250 Ok", "250 Ok", "550-no", "550 such user", "250 Ok")
    assert codes(replies) == [250, 250, 550, 250]
    assert [reply.stage for reply in replies[0]] == [Stage.MAIL, *[Stage.RCPT] * 3]


def test_a_transaction_ends_and_another_begins_in_one_group() -> None:
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), RSET, MAIL, rcpt("bob")]))
    wire.client(ANN, "RSET", "MAIL FROM:<>", BOB)
    wire.server("250 Ok", "250 Ok", "250 Ok", "250 Ok")
    assert codes(replies) == [250] * 4
    assert wire.session.state is State.TRANSACTION
    assert wire.session.recipients_asked == 2


@pytest.mark.parametrize("last", [f"EHLO {HELO}", "NOOP", "HELP"])
def test_what_may_only_end_a_packet(last: str) -> None:
    """Row 88: the commands behind it leave after its reply."""
    wire = in_transaction("PIPELINING")
    group = [rcpt("ann"), Command(last.encode()), RSET, MAIL]
    replies = outcome_of(wire.session.group(group))
    wire.client(ANN, last)
    wire.server("250 Ok")
    wire.client()
    wire.server("250-Ok", "250 PIPELINING")
    wire.client("RSET", "MAIL FROM:<>")
    wire.server("250 Ok", "250 Ok")
    assert codes(replies) == [250] * 4


def test_quit_ends_a_packet_and_the_session() -> None:
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt("ann"), commands.QUIT]))
    wire.client(ANN, "QUIT")
    wire.server("250 Ok", "221 Bye")
    assert codes(replies) == [250, 221]
    assert wire.session.state is State.CLOSED


def test_pipelining_counts_from_the_reply_that_offers_it() -> None:
    wire = greeted()
    outcome_of(wire.session.group([commands.ehlo(HELO), MAIL, rcpt("ann")]))
    wire.client(f"EHLO {HELO}")
    wire.server("250-mx.example.net", "250 PIPELINING")
    wire.client("MAIL FROM:<>", ANN)


def test_a_refused_ehlo_stops_a_group() -> None:
    wire = greeted()
    replies = outcome_of(wire.session.group([commands.ehlo(HELO), MAIL, rcpt("ann")]))
    wire.server("550 no")
    wire.client(f"EHLO {HELO}")
    assert codes(replies) == [550]


# --- Refusals ----------------------------------------------------------------------------------


def test_a_refused_mail_stops_what_has_not_been_sent() -> None:
    wire = ready()
    replies = outcome_of(wire.session.group([MAIL, *THREE]))
    wire.client("MAIL FROM:<>")
    wire.server("550 no")
    wire.client()
    assert codes(replies) == [550]
    assert wire.session.recipients_asked == 0


@pytest.mark.parametrize("answer", ["503 need MAIL first", "550 5.1.1 no such user"])
def test_a_refused_mail_and_its_recipients_that_were_sent(answer: str) -> None:
    """Rows 84 and 85."""
    wire = ready("PIPELINING")
    replies = outcome_of(wire.session.group([MAIL, *THREE]))
    wire.server("550 no", answer)
    assert replies == []
    wire.server(answer, answer)
    assert codes(replies) == [550, *[int(answer[:3])] * 3]
    assert wire.session.state is State.READY


def test_a_refused_mail_stops_the_rest_of_a_long_group() -> None:
    wire = ready("PIPELINING", max_recipients=0)
    replies = outcome_of(wire.session.group([MAIL, *[rcpt("x" * 60)] * 100]))
    sent = len(wire.client_said())
    assert sent < 101
    wire.server("550 no", *["503 no"] * (sent - 1))
    wire.client()
    assert codes(replies) == [550, *[503] * (sent - 1)]


def test_a_refused_rset_stops_the_next_mail() -> None:
    """Row 66."""
    wire = in_transaction()
    replies = outcome_of(wire.session.group([RSET, MAIL, rcpt("ann")]))
    wire.client("RSET")
    wire.server("554 too many of these")
    wire.client()
    assert codes(replies) == [554]
    assert wire.session.state is State.TRANSACTION


def test_421_in_the_middle_of_a_group() -> None:
    """Row 47: one by one, nothing else is sent."""
    wire = in_transaction()
    replies = outcome_of(wire.session.group(THREE))
    wire.server("250 Ok")
    wire.server("421 too many errors")
    wire.client(ANN, BOB)
    assert codes(replies) == [250, 421]
    assert wire.session.state is State.DISMISSED


def test_421_in_the_middle_of_a_pipeline() -> None:
    """Row 47: those who were answered keep their answers."""
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group(THREE))
    wire.server("550 no", "421 too many errors")
    assert replies == []
    wire.closes()
    (error,) = replies
    assert isinstance(error, SessionLost)
    assert [reply.code for reply in error.replies] == [550, 421]
    assert error.stage is Stage.RCPT


# --- The window --------------------------------------------------------------------------------


def octets(lines: list[str]) -> int:
    return sum(len(line) + 2 for line in lines)


def test_what_is_on_its_way_is_bounded() -> None:
    """Row 87: neither side may wait for the other's full buffer."""
    wire = ready("PIPELINING", max_recipients=0)
    group = [MAIL, *(rcpt(f"{n:060}") for n in range(200))]
    replies = outcome_of(wire.session.group(group))
    awaited = wire.client_said()
    said = list(awaited)
    while not replies:
        assert MAX_OUTSTANDING - 100 < octets(awaited) <= MAX_OUTSTANDING or len(said) == 201
        answered = min(7, len(awaited))
        wire.server(*["250 Ok"] * answered)
        more = wire.client_said()
        said += more
        awaited = awaited[answered:] + more
    assert said == [command.line.decode() for command in group]
    assert codes(replies) == [250] * 201


def test_rejections_on_the_way_stop_nothing() -> None:
    wire = ready("PIPELINING", max_recipients=0)
    group = [MAIL, *(rcpt(f"{n:060}") for n in range(100))]
    replies = outcome_of(wire.session.group(group))
    answers = iter(["250 Ok", *["550 no"] * 100])
    while not replies:
        for _ in wire.client_said():
            wire.server(next(answers))
    assert codes(replies) == [250, *[550] * 100]


def test_a_command_that_just_fits() -> None:
    wire = in_transaction("PIPELINING", max_recipients=0)
    line = b"RCPT TO:<%s@example.net>"
    exact = Command(line % (b"x" * (512 - 2 - len(line) + 2)))
    assert len(exact.line) + 2 == MAX_OUTSTANDING // 8
    outcome_of(wire.session.group([exact] * 9))
    assert len(wire.client_said()) == 8
    wire.server("250 Ok")
    assert len(wire.client_said()) == 1


def test_replies_one_by_one_to_a_pipeline() -> None:
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group(THREE))
    wire.client(ANN, BOB, CY)
    for answer in ("250 Ok", "550 no", "250 Ok"):
        assert replies == []
        wire.server(answer)
        wire.client()
    assert codes(replies) == [250, 550, 250]


@pytest.mark.parametrize("keywords", [["PIPELINING"], []])
def test_a_group_ends_where_there_is_no_room_left(keywords: list[str]) -> None:
    wire = in_transaction(*keywords)
    replies = outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(9)], rejections=2))
    answers = iter(["250 Ok", "550 no", "250 Ok", "450 no"])
    while not replies:
        said = wire.client_said()
        assert 1 <= len(said) <= 2
        wire.server(*(next(answers) for _ in said))
    assert codes(replies) == [250, 550, 250, 450]
    assert outcome_of(wire.session.group([RSET])) == []


# --- How many recipients -----------------------------------------------------------------------


@pytest.mark.parametrize("keywords", [["PIPELINING"], []])
def test_a_group_with_one_recipient_too_many_is_not_sent(keywords: list[str]) -> None:
    wire = in_transaction(*keywords, max_recipients=2)
    with pytest.raises(TooManyRecipients):
        wire.session.group(THREE)
    wire.client()
    replies = outcome_of(wire.session.group(THREE[:2]))
    wire.server("250 Ok", *(["250 Ok"] if keywords else []))
    if not keywords:
        wire.server("250 Ok")
    assert codes(replies) == [250, 250]


def test_only_what_was_sent_counts() -> None:
    wire = in_transaction(max_recipients=4)
    outcome_of(wire.session.group(THREE))
    assert wire.session.recipients_asked == 1
    wire.server("421 go away")
    assert wire.session.recipients_asked == 1


def test_the_work_grows_with_the_group_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[State] = []

    def counted(state: State, verb: Verb, code: int) -> State:
        looked_up.append(state)
        return after(state, verb, code)

    monkeypatch.setattr(protocol, "after", counted)
    wire = in_transaction("PIPELINING")
    replies = outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(100)]))
    for _ in range(100):
        wire.server("250 Ok")
    assert codes(replies) == [250] * 100
    assert len(looked_up) < 500


# --- Re-entrance -------------------------------------------------------------------------------


def test_the_next_group_may_be_given_from_the_callback_of_the_last() -> None:
    wire = in_transaction("PIPELINING")
    second: list[object] = []

    def next_group(_: object) -> None:
        wire.session.group([RSET, MAIL]).addCallback(second.append)

    wire.session.group(THREE).addCallback(next_group)
    wire.client(ANN, BOB, CY)
    wire.server("250 Ok", "250 Ok", "250 Ok")
    wire.client("RSET", "MAIL FROM:<>")
    wire.server("250 Ok", "250 Ok")
    assert codes(second) == [250, 250]
