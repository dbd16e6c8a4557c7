"""Each habit in a dialogue, and the ready-made tempers."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import (
    AlwaysSays,
    Blocks,
    DropsAfter,
    Greylists,
    LimitsErrors,
    LimitsRecipients,
    LimitsSessions,
    RefusesPipelining,
    Tarpits,
)
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.visit import Command, Visit
from twisted_probe.vocabulary.reply import Stage

from .dialogue import Dialogue

ANN = residents("ann")
RCPT_ANN = "RCPT TO:<ann@example.net>"
RCPT_NOBODY = "RCPT TO:<nobody@example.net>"


def test_a_blocked_client_is_refused_and_no_other() -> None:
    exchanger = ExchangerFactory(Clock(), tempers.blocking(ANN, "127.0.0.22"))
    listed = Dialogue(exchanger, "127.0.0.22").open_transaction()
    assert listed.ask(RCPT_ANN) == [
        "554 5.7.1 Service unavailable; Client host [127.0.0.22] blocked using zen.spamhaus.org; "
        "https://www.spamhaus.org/query/ip/127.0.0.22"
    ]
    other = Dialogue(exchanger, "127.0.0.21").open_transaction()
    assert other.ask(RCPT_ANN) == ["250 2.1.5 Ok"]


@pytest.mark.parametrize(
    ("stage", "codes"),
    [
        (Stage.GREETING, ["550", "503", "503", "503"]),
        (Stage.EHLO, ["220", "550", "503", "503"]),
        (Stage.MAIL, ["220", "250", "550", "503"]),
        (Stage.RCPT, ["220", "250", "250", "550"]),
    ],
)
def test_a_block_stands_at_its_stage(stage: Stage, codes: list[str]) -> None:
    blocks = Blocks(frozenset({"127.0.0.21"}), stage, "550 5.7.1 [{client}] is listed")
    dialogue = Dialogue(Temper(keywords=("ENHANCEDSTATUSCODES",), ehlo="250 hi", habits=(blocks,)))
    said = dialogue.ask("EHLO p.example", "MAIL FROM:<>", "RCPT TO:<x@example.net>")
    assert [line[:3] for line in said] == codes


def test_greylisting_is_by_client_sender_and_recipient() -> None:
    temper = Temper(mailboxes=ANN, habits=(Greylists(2.0),))
    clock = Clock()
    exchanger = ExchangerFactory(clock, temper)

    def answer(client: str, sender: str, rcpt: str) -> str:
        dialogue = Dialogue(exchanger, client).open_transaction(sender)
        code = dialogue.ask(rcpt)[0][:9]
        dialogue.client_leaves()
        return code

    ours = ("127.0.0.21", "probe@example.org", RCPT_ANN)
    assert answer(*ours) == "450 4.2.0"
    assert answer("127.0.0.21", "probe@example.org", RCPT_NOBODY) == "450 4.2.0"
    clock.advance(1.9)
    assert answer(*ours) == "450 4.2.0"
    clock.advance(0.1)
    assert answer(*ours) == "250 2.1.5"
    assert answer("127.0.0.21", "probe@example.org", RCPT_NOBODY) == "550 5.1.1"
    assert answer("127.0.0.22", "probe@example.org", RCPT_ANN) == "450 4.2.0"
    assert answer("127.0.0.21", "other@example.org", RCPT_ANN) == "450 4.2.0"


def test_two_exchangers_of_one_temper_do_not_share_a_memory() -> None:
    temper = Temper(mailboxes=ANN, habits=(Greylists(0.0),))
    assert Greylists(0.0) == Greylists(0.0)
    for _ in range(2):
        dialogue = Dialogue(temper).open_transaction()
        dialogue.ask(RCPT_ANN)
        assert len(dialogue.exchanger.memory) == 1


def test_greylisting_does_not_remember_what_is_out_of_order() -> None:
    dialogue = Dialogue(Temper(habits=(Greylists(1.0),)))
    assert dialogue.ask(RCPT_ANN)[-1].startswith("503 ")
    assert dialogue.exchanger.memory == {}


def test_a_ceiling_of_recipients_is_by_transaction() -> None:
    dialogue = Dialogue(Temper(mailboxes=ANN, habits=(LimitsRecipients(2),)))
    dialogue.open_transaction()
    said = dialogue.ask(RCPT_NOBODY, RCPT_ANN, RCPT_ANN, RCPT_ANN, RCPT_NOBODY)
    assert [line[:9] for line in said] == [
        "550 5.1.1",
        "250 2.1.5",
        "250 2.1.5",
        "452 4.5.3",
        "452 4.5.3",
    ]
    assert dialogue.ask("RSET", "MAIL FROM:<>", RCPT_ANN)[-1] == "250 2.1.5 Ok"


def test_error_limits_like_postfix() -> None:
    dialogue = Dialogue(Temper(mailboxes=ANN, habits=(LimitsErrors(),)))
    dialogue.open_transaction()
    assert len(dialogue.ask(*[RCPT_NOBODY] * 10)) == 10
    assert dialogue.ask(RCPT_ANN) == []
    assert dialogue.seconds_pass(1).exchanger_said() == ["250 2.1.5 Ok"]
    dialogue.client_says(*[RCPT_NOBODY] * 11)
    for _ in range(10):
        assert dialogue.exchanger_said() == []
        assert dialogue.seconds_pass(1).exchanger_said()[0].startswith("550 ")
    assert dialogue.exchanger_said() == []
    assert dialogue.seconds_pass(1).exchanger_said() == [
        "421 4.7.0 mx.example.net Error: too many errors"
    ]
    assert dialogue.closed


def test_a_ceiling_of_sessions() -> None:
    exchanger = ExchangerFactory(Clock(), Temper(habits=(LimitsSessions(1),)))
    first, second = Dialogue(exchanger), Dialogue(exchanger)
    assert second.exchanger_said()[0].startswith("421 4.7.0 mx.example.net Error: too many conn")
    assert second.closed
    second.client_leaves()
    first.client_leaves()
    assert Dialogue(exchanger).exchanger_said()[0].startswith("220 ")


def test_a_tarpit_keeps_the_order() -> None:
    dialogue = Dialogue(Temper(mailboxes=ANN, habits=(Tarpits(3, Stage.RCPT),)))
    dialogue.open_transaction()
    dialogue.client_says(RCPT_ANN, RCPT_NOBODY, "NOOP")
    assert dialogue.exchanger_said() == []
    assert dialogue.seconds_pass(3).exchanger_said() == ["250 2.1.5 Ok"]
    assert [line[:3] for line in dialogue.seconds_pass(3).exchanger_said()] == ["550", "250"]


@pytest.mark.parametrize("then", [Then.CLOSE, Then.ABORT])
def test_dropping_after_some_commands(then: Then) -> None:
    dialogue = Dialogue(Temper(habits=(DropsAfter(2, then),)))
    assert len(dialogue.ask("HELO p.example", "MAIL FROM:<>")) == 3
    assert (dialogue.closed, dialogue.aborted) == (False, False)
    assert dialogue.ask(RCPT_ANN) == []
    assert (dialogue.closed, dialogue.aborted) == (then is Then.CLOSE, then is Then.ABORT)
    assert dialogue.session.exchanges[-1].reply is None


def test_who_does_not_wait_is_sent_away() -> None:
    patient = Dialogue(Temper(mailboxes=ANN, habits=(RefusesPipelining(),)))
    for command in ("HELO p.example", "MAIL FROM:<>", RCPT_ANN):
        patient.client_says(command)
    assert patient.exchanger_said()[-1] == "250 2.1.5 Ok"
    hasty = Dialogue(Temper(mailboxes=ANN, habits=(RefusesPipelining(),)))
    said = hasty.ask("HELO p.example", "MAIL FROM:<>", RCPT_ANN)
    assert said[-1] == "500 5.5.1 Invalid command: Pipelining not supported"
    assert hasty.closed


def test_always_the_same_to_a_verb() -> None:
    dialogue = Dialogue(Temper(habits=(AlwaysSays("RSET", "554 Too many nonmail commands"),)))
    dialogue.open_transaction()
    assert dialogue.ask("RSET") == ["554 Too many nonmail commands"]
    assert dialogue.ask("MAIL FROM:<>") == ["503 5.5.1 Error: nested MAIL command"]


def test_a_habit_may_be_any_function() -> None:
    def shy(visit: Visit, command: Command, answer: Answer) -> Answer:
        if visit.number == 1 and command.stage is Stage.RCPT:
            return Answer("450 4.3.2 Service currently unavailable")
        return answer

    exchanger = ExchangerFactory(Clock(), Temper(mailboxes=ANN, habits=(shy,)))
    assert Dialogue(exchanger).open_transaction().ask(RCPT_ANN)[0].startswith("450 4.3.2")
    assert Dialogue(exchanger).open_transaction().ask(RCPT_ANN) == ["250 2.1.5 Ok"]


@pytest.mark.parametrize(
    ("temper", "said"),
    [
        (tempers.postfix(residents("ann", full=tempers.FULL)), ["220", "250", "250", "550"]),
        (tempers.exim(ANN), ["220", "250", "250", "550"]),
        (tempers.old(ANN), ["220", "500", "503", "503"]),
        (tempers.catch_all(), ["220", "250", "250", "250"]),
        (tempers.greylisting({}), ["220", "250", "250", "450"]),
        (tempers.small_transactions({}, 0), ["220", "250", "250", "452"]),
        (tempers.relay_denying(), ["220", "250", "250", "554"]),
        (tempers.sender_refusing(), ["220", "250", "550", "503"]),
        (tempers.vague(), ["220", "250", "250", "550"]),
        (tempers.turning_away(), ["554", "503", "503", "503"]),
        (tempers.rate_limiting(), ["421"]),
        (tempers.troubled(), ["220", "250", "250", "451"]),
        (tempers.dropping(), ["220", "250", "250"]),
        (tempers.not_smtp(), ["SSH"]),
    ],
)
def test_ready_made_tempers(temper: Temper, said: list[str]) -> None:
    dialogue = Dialogue(temper)
    for command in ("EHLO p.example", "MAIL FROM:<p@example.org>", "RCPT TO:<no@example.net>"):
        dialogue.client_says(command)
    finals = [line[:3] for line in dialogue.exchanger_said() if line[3:4] != "-" or "SSH" in line]
    assert finals == said


def test_without_ehlo_there_is_helo() -> None:
    dialogue = Dialogue(tempers.old(ANN))
    for command in ("EHLO p.example", "HELO p.example", "MAIL FROM:<p@example.org>", RCPT_ANN):
        dialogue.client_says(command)
    assert dialogue.exchanger_said()[1:] == [
        "500 Command unrecognized",
        "250 mx.example.net Hello p.example, pleased to meet you",
        "250 <p@example.org>... Sender ok",
        "250 <ann@example.net>... Recipient ok",
    ]
