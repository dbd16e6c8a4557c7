"""Each quirk in a dialogue."""

from __future__ import annotations

import pytest

from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.habits import AlwaysSays, DropsAfter
from twisted_probe.sandbox.quirks import (
    FOREVER,
    EndsLinesWith,
    FallsSilent,
    InPieces,
    LosesEarly,
    Mirrors,
    SaysMore,
    TurnsAfter,
)
from twisted_probe.sandbox.temper import Habit, Temper, residents

from .dialogue import Dialogue

ANN = residents("ann")
RCPT_ANN = "RCPT TO:<ann@example.net>"
RCPT_NOBODY = "RCPT TO:<nobody@example.net>"


def dialogue_with(*habits: Habit, **words: str) -> Dialogue:
    return Dialogue(Temper(**{"mailboxes": ANN, "habits": habits, **words}))  # type: ignore[arg-type]


def test_silence_from_a_verb_on() -> None:
    dialogue = dialogue_with(FallsSilent("MAIL"))
    dialogue.ask("EHLO p.example")
    assert dialogue.ask("MAIL FROM:<>", RCPT_ANN, "QUIT") == []
    assert dialogue.seconds_pass(FOREVER - 1).exchanger_said() == []
    assert dialogue_with(FallsSilent("")).exchanger_said() == []


def test_a_greeting_in_the_name_of_the_client() -> None:
    mirrors = Mirrors((("127.0.0.21", "probe1.example.org"),))
    assert dialogue_with(mirrors).exchanger_said() == ["220 probe1.example.org ESMTP"]
    other = Dialogue(Temper(habits=(mirrors,)), client="127.0.0.22")
    assert other.exchanger_said() == ["220 mx.example.net ESMTP Postfix"]


def test_pieces() -> None:
    dialogue = dialogue_with(InPieces(6, 0.5), greeting="220 one\n220 two")
    heard = [dialogue.exchanger_sent()]
    heard += [dialogue.seconds_pass(0.5).exchanger_sent() for _ in range(4)]
    assert heard == [b"220-on", b"e\r\n220", b" 220 t", b"wo\r\n", b""]


def test_silence_in_pieces_stays_silence() -> None:
    dialogue = dialogue_with(AlwaysSays("NOOP", ""), InPieces())
    while dialogue.exchanger_sent():
        dialogue.seconds_pass(0)
    assert dialogue.client_says("NOOP").seconds_pass(0).exchanger_sent() == b""


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_ends_of_lines(end: bytes) -> None:
    dialogue = dialogue_with(EndsLinesWith(end), greeting="220 one\ntwo")
    assert dialogue.exchanger_sent() == b"220-one" + end + b"220 two" + end


def test_more_than_was_asked_for() -> None:
    dialogue = dialogue_with(SaysMore("RCPT", (b"250 2.1.5 Ok\r\n", 1.0, b"more\r\n"), code=550))
    dialogue.open_transaction()
    assert dialogue.ask(RCPT_ANN) == ["250 2.1.5 Ok"]
    said = dialogue.ask(RCPT_NOBODY)
    assert [line[:3] for line in said] == ["550", "250"]
    assert dialogue.seconds_pass(1).exchanger_said() == ["more"]


def test_a_change_of_mind_is_by_session() -> None:
    temper = Temper(mailboxes=ANN, habits=(TurnsAfter(1, "550 Rejected"),))
    dialogue = Dialogue(temper).open_transaction()
    assert dialogue.ask(RCPT_ANN, RCPT_ANN) == ["250 2.1.5 Ok", "550 Rejected"]
    assert Dialogue(dialogue.exchanger).open_transaction().ask(RCPT_ANN) == ["250 2.1.5 Ok"]


def test_what_did_not_wait_is_lost() -> None:
    dialogue = dialogue_with(LosesEarly())
    dialogue.ask("EHLO p.example")
    assert dialogue.ask("MAIL FROM:<>", RCPT_ANN, RCPT_NOBODY) == ["250 2.1.0 Ok"]
    assert dialogue.ask(RCPT_ANN) == ["250 2.1.5 Ok"]


def test_one_that_did_not_wait_is_lost() -> None:
    dialogue = dialogue_with(LosesEarly(0))
    dialogue.ask("EHLO p.example")
    said = dialogue.ask("MAIL FROM:<>", RCPT_ANN, RCPT_NOBODY)
    assert [line[:3] for line in said] == ["250", "550"]
    patient = dialogue_with(LosesEarly(0)).open_transaction()
    assert patient.ask(RCPT_ANN) == ["250 2.1.5 Ok"]


def test_a_last_word() -> None:
    dialogue = dialogue_with(DropsAfter(2, says="421 4.3.2 {host} closing"))
    dialogue.open_transaction()
    assert dialogue.ask(RCPT_ANN, RCPT_ANN) == ["421 4.3.2 mx.example.net closing"]
    assert dialogue.closed


def test_a_deaf_exchanger_hears_nothing_more() -> None:
    dialogue = Dialogue(Temper(greeting=Answer("220 hello", then=Then.DEAF)))
    assert dialogue.exchanger_said() == ["220 hello"]
    assert dialogue.transport.producerState == "paused"
    assert dialogue.ask("EHLO p.example") == []
    assert not dialogue.closed
    assert not dialogue.aborted
