"""Parties: recipients of several domains in one session, each with its own control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from twisted_probe.smtp.conversation import Party, converse
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.reply import Reply

from .talk import ANN, BOB, BYE, CONTROL, EHLO, MAIL, NO, OK, PROBE, QUIT, RSET, TO_CONTROL, to
from .wire import Wire, greeted, outcome_of

EVE = Address("eve", "b.example", "eve@b.example")
ODD = Address("odd", "b.example", "odd@b.example")
TO_EVE, TO_ODD = "RCPT TO:<eve@b.example>", "RCPT TO:<odd@b.example>"


def begun(*, apart: bool, max_errors: int = 9) -> tuple[Wire, list[Any]]:
    wire = greeted()
    others = [Party([EVE], ODD)]
    reports = outcome_of(
        converse(
            wire.session,
            [ANN],
            PROBE,
            control=CONTROL,
            others=others,
            apart=apart,
            max_errors=max_errors,
        )
    )
    wire.client(EHLO)
    wire.server("250-mx.example.net", "250 8BITMIME")
    for line, answer in ((MAIL, OK), (to("ann"), OK), (TO_CONTROL, NO)):
        wire.client(line)
        wire.server(answer)
    return wire, reports


@pytest.mark.parametrize("apart", [False, True])
def test_one_behind_the_other(apart: bool) -> None:
    wire, reports = begun(apart=apart)
    between = ((RSET, OK), (MAIL, OK)) if apart else ()
    for line, answer in (*between, (TO_EVE, OK), (TO_ODD, NO), (QUIT, BYE)):
        wire.client(line)
        wire.server(answer)
    (report,) = reports
    assert {each.text: reply.code for each, reply in report.answers.items()} == {
        ANN.text: 250,
        CONTROL.text: 550,
        EVE.text: 250,
        ODD.text: 550,
    }
    assert report.unanswered == ()


def test_those_behind_go_back_where_the_errors_are_used_up() -> None:
    wire, reports = begun(apart=False, max_errors=1)
    wire.client(QUIT)
    wire.server(BYE)
    (report,) = reports
    assert report.unanswered == (EVE,)
    assert (report.refusal, report.failure, report.errors) == (None, None, 1)


def test_each_party_has_its_witnesses_and_hears_of_nobody_else() -> None:
    """The error that a witness may cost beyond the limit is no other party's."""
    asked: list[list[Address]] = []

    def again(whom: Address) -> Any:
        def name(answers: Mapping[Address, Reply]) -> Sequence[Address]:
            asked.append(list(answers))
            return [whom]

        return name

    wire = greeted()
    reports = outcome_of(
        converse(
            wire.session,
            [ANN, BOB],
            PROBE,
            witnesses=again(ANN),
            others=[Party([EVE, ODD], None, again(EVE))],
            max_errors=2,
        )
    )
    wire.client(EHLO)
    wire.server("250-mx.example.net", "250 8BITMIME")
    for line, answer in (
        *((MAIL, OK), (to("ann"), OK), (to("bob"), NO), (to("ann"), OK)),
        *((TO_EVE, OK), (TO_ODD, NO), (TO_EVE, NO)),
        (QUIT, BYE),
    ):
        wire.client(line)
        wire.server(answer)
    (report,) = reports
    assert asked == [[ANN, BOB], [EVE, ODD]]
    assert {each.text: reply.code for each, reply in report.witnesses.items()} == {
        ANN.text: 250,
        EVE.text: 550,
    }
    assert (report.unanswered, report.errors) == ((), 3)


def test_what_a_witness_costs_is_nobody_elses_to_spend() -> None:
    wire = greeted()
    reports = outcome_of(
        converse(
            wire.session,
            [ANN],
            PROBE,
            witnesses=lambda answers: [BOB],
            others=[Party([EVE])],
            max_errors=1,
        )
    )
    wire.client(EHLO)
    wire.server("250-mx.example.net", "250 8BITMIME")
    for line, answer in ((MAIL, OK), (to("ann"), NO), (to("bob"), OK), (QUIT, BYE)):
        wire.client(line)
        wire.server(answer)
    (report,) = reports
    assert (report.unanswered, report.errors) == ((EVE,), 1)
