"""An exchanger's manners: order, form, time, and the record of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from twisted.internet.task import Clock

from twisted_probe.sandbox.answers import Answer, Then, wire
from twisted_probe.sandbox.exchanger import MAX_WAITING, ExchangerFactory
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.record import SessionRecord, most_at_once
from twisted_probe.sandbox.temper import Temper, residents

from .dialogue import Dialogue

ORDINARY = Temper(
    mailboxes=residents("ann postmaster", full="452 4.2.2 <{recipient}>: Mailbox is full")
)


def test_an_ordinary_session() -> None:
    dialogue = Dialogue(ORDINARY)
    assert dialogue.exchanger_said() == ["220 mx.example.net ESMTP Postfix"]
    assert dialogue.ask("EHLO probe1.example.org") == [
        "250-mx.example.net",
        "250-PIPELINING",
        "250-SIZE 10240000",
        "250-ENHANCEDSTATUSCODES",
        "250 8BITMIME",
    ]
    assert dialogue.ask("MAIL FROM:<probe@example.org>") == ["250 2.1.0 Ok"]
    assert dialogue.ask("RCPT TO:<ann@example.net>") == ["250 2.1.5 Ok"]
    assert dialogue.ask("RCPT TO:<nobody@example.net>") == [
        "550 5.1.1 <nobody@example.net>: Recipient address rejected: "
        "User unknown in virtual mailbox table"
    ]
    assert dialogue.ask("RCPT TO:<full@example.net>") == [
        "452 4.2.2 <full@example.net>: Mailbox is full"
    ]
    assert dialogue.ask("RSET") == ["250 2.0.0 Ok"]
    assert dialogue.ask("NOOP") == ["250 2.0.0 Ok"]
    assert not dialogue.closed
    assert dialogue.ask("QUIT") == ["221 2.0.0 Bye"]
    assert dialogue.closed


def test_pipelined_commands_are_answered_in_order() -> None:
    dialogue = Dialogue(ORDINARY)
    dialogue.ask("EHLO probe1.example.org")
    said = dialogue.ask(
        "MAIL FROM:<probe@example.org>",
        "RCPT TO:<ann@example.net>",
        "RCPT TO:<nobody@example.net>",
        "RCPT TO:<postmaster@example.net>",
        "QUIT",
    )
    assert [line[:3] for line in said] == ["250", "250", "550", "250", "221"]
    assert dialogue.session.pipelined


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_segments_do_not_matter(size: int) -> None:
    dialogue = Dialogue(ORDINARY)
    dialogue.exchanger_said()
    data = b"EHLO p.example.org\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.net>\nQUIT\r\n"
    for start in range(0, len(data), size):
        dialogue.client_sends(data[start : start + size])
    assert [line[:3] for line in dialogue.exchanger_said()[-3:]] == ["250", "250", "221"]


HELO = "HELO p.example"
MAIL = "MAIL FROM:<>"


@pytest.mark.parametrize(
    ("commands", "answer"),
    [
        ([MAIL], "503 5.5.1 Error: send HELO/EHLO first"),
        (["EHLO"], "501 5.5.4 Syntax: EHLO hostname"),
        (["HELO \x01"], "501 5.5.4 Syntax: HELO hostname"),
        ([HELO, "MAIL FROM: a@b"], "501 5.5.4 Syntax: MAIL FROM:<address>"),
        ([HELO, "MAIL FROM:<> FOO=1"], "555 5.5.4 Unsupported option"),
        ([HELO, "MAIL FROM:<> SMTPUTF8"], "555 5.5.4 Unsupported option"),
        ([HELO, "MAIL FROM:<> BODY=8BITMIME SIZE=9"], "250 2.1.0 Ok"),
        ([HELO, "mail from: <>"], "250 2.1.0 Ok"),
        ([HELO, MAIL, MAIL], "503 5.5.1 Error: nested MAIL command"),
        ([HELO, MAIL, HELO, MAIL], "250 2.1.0 Ok"),
        ([HELO, "RCPT TO:<ann@b>"], "503 5.5.1 Error: need MAIL command"),
        ([HELO, MAIL, "RSET", "RCPT TO:<ann@b>"], "503 5.5.1 Error: need MAIL command"),
        ([HELO, MAIL, "RCPT TO:<>"], "501 5.5.4 Syntax: RCPT TO:<address>"),
        ([HELO, MAIL, "RCPT TO:<ann@b> X=1"], "555 5.5.4 Unsupported option"),
        ([HELO, MAIL, 'RCPT TO:<"a\\nn"@b>'], "250 2.1.5 Ok"),
        ([HELO, MAIL, "RCPT TO:<ANN@b>"], "250 2.1.5 Ok"),
        ([""], "502 5.5.2 Error: command not recognized"),
    ],
)
def test_order_and_form(commands: list[str], answer: str) -> None:
    assert Dialogue(ORDINARY).ask(*commands)[-1] == answer


@pytest.mark.parametrize("verb", ["DATA", "BDAT 5 LAST", "VRFY ann", "EXPN staff", "HELP", ""])
def test_what_a_prober_must_not_say_is_refused_and_counted(verb: str) -> None:
    dialogue = Dialogue(ORDINARY).open_transaction()
    dialogue.ask("RCPT TO:<ann@example.net>", "RSET", "NOOP", "HELO p.example")
    assert dialogue.exchanger.record.forbidden == 0
    assert dialogue.ask(verb) == ["502 5.5.2 Error: command not recognized"]
    assert dialogue.exchanger.record.forbidden == 1


def test_a_greeting_that_says_no_leaves_only_quit() -> None:
    dialogue = Dialogue(Temper(greeting="554 {host} No SMTP service here"))
    assert dialogue.exchanger_said() == ["554 mx.example.net No SMTP service here"]
    assert dialogue.ask("EHLO p.example") == ["503 5.5.1 Error: no service here, only QUIT"]
    assert dialogue.ask("QUIT") == ["221 2.0.0 Bye"]


def test_421_closes() -> None:
    dialogue = Dialogue(Temper(mail="421 4.3.2 {host} shutting down"))
    said = dialogue.ask("EHLO p.example", "MAIL FROM:<>", "RCPT TO:<ann@example.net>")
    assert said[-1] == "421 4.3.2 mx.example.net shutting down"
    assert dialogue.closed


def test_without_enhanced_codes_none_is_said() -> None:
    dialogue = Dialogue(Temper(keywords=(), mail="250 OK"))
    assert dialogue.ask("RSET", "FOO", "QUIT")[1:] == [
        "250 Ok",
        "502 Error: command not recognized",
        "221 Bye",
    ]


def test_other_domains_are_denied() -> None:
    temper = Temper(mailboxes=residents("ann"), domains=frozenset({"example.net"}))
    dialogue = Dialogue(temper).open_transaction()
    assert dialogue.ask("RCPT TO:<ann@EXAMPLE.net>") == ["250 2.1.5 Ok"]
    assert dialogue.ask("RCPT TO:<ann@example.com>") == [
        "554 5.7.1 <ann@example.com>: Relay access denied"
    ]


def test_multi_line_replies_and_braces() -> None:
    assert wire("550 5.1.1 no\n5.1.1 {never}") == b"550-5.1.1 no\r\n550 5.1.1 {never}\r\n"
    dialogue = Dialogue(Temper(greeting="220 {host}\nfor {client} {only} {HERE}"))
    assert dialogue.exchanger_said() == ["220-mx.example.net", "220 for 127.0.0.21 {only} {HERE}"]


def test_other_bytes_come_back_as_they_came() -> None:
    dialogue = Dialogue(ORDINARY).open_transaction()
    dialogue.client_sends(b"RCPT TO:<\xff\xe9@example.net>\r\n")
    assert b" <\xff\xe9@example.net>: " in dialogue.exchanger_sent()


def test_raw_bytes_and_silences() -> None:
    temper = Temper(mail=Answer("250 Ok", raw=(b"250", 2, b" o", 3, b"k\n")))
    dialogue = Dialogue(temper)
    dialogue.ask("HELO p.example")
    dialogue.client_says("MAIL FROM:<>", "RCPT TO:<ann@example.net>")
    assert dialogue.exchanger_sent() == b"250"
    assert dialogue.seconds_pass(2).exchanger_sent() == b" o"
    assert dialogue.seconds_pass(3).exchanger_sent().startswith(b"k\n550 ")


def test_an_endless_answer_ends_with_the_connection() -> None:
    flood: Iterable[bytes | float] = itertools.cycle((b"250-more\r\n", 1.0))
    dialogue = Dialogue(Temper(ehlo=Answer(raw=flood)))
    dialogue.ask("EHLO p.example")
    for _ in range(3):
        assert dialogue.seconds_pass(1).exchanger_said() == ["250-more"]
    dialogue.client_leaves()
    assert dialogue.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("then", "closed", "aborted"),
    [(Then.STAY, False, False), (Then.CLOSE, True, False), (Then.ABORT, False, True)],
)
def test_what_happens_after_an_answer(then: Then, closed: bool, aborted: bool) -> None:
    dialogue = Dialogue(Temper(mail=Answer("250 2.1.0 Ok", delay=1, then=then)))
    dialogue.client_says("EHLO p.example", "MAIL FROM:<>")
    assert not dialogue.closed
    dialogue.seconds_pass(1)
    assert dialogue.exchanger_said()[-1] == "250 2.1.0 Ok"
    assert (dialogue.closed, dialogue.aborted) == (closed, aborted)


def test_after_the_end_nothing_is_heard() -> None:
    dialogue = Dialogue(Temper(mail=Answer(then=Then.CLOSE)))
    dialogue.ask("EHLO p.example", "MAIL FROM:<>", "RCPT TO:<ann@example.net>", "QUIT")
    assert dialogue.ask("QUIT") == []
    assert dialogue.session.verbs == ["EHLO", "MAIL"]


def test_no_timer_outlives_the_connection() -> None:
    dialogue = Dialogue(Temper(habits=(Tarpits(60),)))
    dialogue.client_says("EHLO p.example", "MAIL FROM:<>")
    assert len(dialogue.clock.getDelayedCalls()) == 1
    dialogue.client_leaves()
    assert dialogue.clock.getDelayedCalls() == []
    assert dialogue.session.replies == []


def test_input_has_bounds() -> None:
    long_line = Dialogue(ORDINARY)
    long_line.client_sends(b"A" * 5000)
    assert long_line.aborted
    impatient = Dialogue(Temper(habits=(Tarpits(60),)))
    impatient.client_sends(b"NOOP\r\n" * (MAX_WAITING + 1))
    assert impatient.aborted
    impatient.seconds_pass(60)
    assert impatient.exchanger_said() == []


def test_the_record_of_a_session() -> None:
    clock = Clock()
    clock.advance(1000)
    dialogue = Dialogue(ExchangerFactory(clock, ORDINARY), "127.0.0.22", 40123)
    dialogue.client_says("helo probe2.example.org")
    dialogue.seconds_pass(2).client_says("mail from:<probe@example.org>")
    dialogue.client_says("RCPT TO:<nobody@example.net>")
    dialogue.seconds_pass(1).client_leaves()

    session = dialogue.session
    assert (session.client, session.port, session.helo) == (
        "127.0.0.22",
        40123,
        "probe2.example.org",
    )
    assert (session.started, session.ended) == (1000, 1003)
    assert session.greeting == "220 mx.example.net ESMTP Postfix"
    assert session.commands == [
        ("HELO", "probe2.example.org"),
        ("MAIL", "from:<probe@example.org>"),
        ("RCPT", "TO:<nobody@example.net>"),
    ]
    assert [exchange.at for exchange in session.exchanges] == [1000, 1002, 1002]
    assert [exchange.code for exchange in session.exchanges] == [250, 250, 550]
    assert session.errors == 1
    assert not session.pipelined


def test_how_many_were_open_together() -> None:
    spans = [(1.0, 3.0), (2.0, 3.0), (3.0, 9.0), (8.0, None)]
    sessions = [SessionRecord("127.0.0.21", 1, start, end) for start, end in spans]
    assert [most_at_once(sessions[:n]) for n in range(5)] == [0, 1, 2, 2, 2]
    assert most_at_once([*sessions, SessionRecord("127.0.0.22", 1, 8.5, None)]) == 3


def test_the_record_of_an_exchanger() -> None:
    exchanger = ExchangerFactory(Clock(), ORDINARY)
    first = Dialogue(exchanger, "127.0.0.21").open_transaction()
    second = Dialogue(exchanger, "127.0.0.22").open_transaction()
    second.ask("RCPT TO:<ann@example.net>")
    first.client_leaves()
    third = Dialogue(exchanger, "127.0.0.21")

    record = exchanger.record
    assert record.clients == {"127.0.0.21": 2, "127.0.0.22": 1}
    assert (record.open, record.most_open) == (2, 2)
    assert record.helo_names == {
        "127.0.0.21": {"probe1.example.org"},
        "127.0.0.22": {"probe1.example.org"},
    }
    assert [(client, exchange.argument) for client, exchange in record.asked()] == [
        ("127.0.0.22", "TO:<ann@example.net>")
    ]
    assert len(exchanger.guests) == 2
    second.client_leaves()
    third.client_leaves()
    assert len(exchanger.guests) == 0


@pytest.mark.parametrize(
    ("pieces", "early"),
    [
        ([b"NOOP\r\n", b"NOOP\r\n"], [False, False]),
        ([b"NOOP\r\nNOOP\r\n"], [False, True]),
        ([b"NO", b"OP\r\n", b"NOOP\r\n"], [False, False]),
        ([b"NOOP\r\nNO", b"OP\r\n", b"NOOP\r\n"], [False, True, False]),
        ([b"NOOP\r\nNO", b"OP\r\nNOOP\r\n"], [False, True, True]),
    ],
)
def test_what_came_too_early(pieces: list[bytes], early: list[bool]) -> None:
    dialogue = Dialogue(ORDINARY)
    for piece in pieces:
        dialogue.client_sends(piece)
    assert [exchange.early for exchange in dialogue.session.exchanges] == early


def test_who_talks_before_the_greeting_is_too_early() -> None:
    dialogue = Dialogue(Temper(greeting=Answer("220 {host}", delay=6)))
    dialogue.client_says("EHLO p.example")
    assert dialogue.exchanger_said() == []
    assert dialogue.session.pipelined
    assert dialogue.seconds_pass(6).exchanger_said()[0] == "220 mx.example.net"


def test_sending_everybody_away() -> None:
    exchanger = ExchangerFactory(Clock(), ORDINARY)
    assert exchanger.send_away().called
    dialogues = [Dialogue(exchanger), Dialogue(exchanger)]
    gone = exchanger.send_away()
    for dialogue in dialogues:
        assert dialogue.aborted
        assert not gone.called
        dialogue.client_leaves()
    assert gone.called
