"""What is taken for a complaint about our pace, and what is not."""

from __future__ import annotations

import pytest

from twisted_probe.routing.signs import complaint_of
from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import Refused, SessionLost
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.finding import Finding
from twisted_probe.vocabulary.reply import Reply, Stage

ANN = Address("ann", "a.example", "ann@a.example")
TOO_MANY = "4.7.0 mx.a.example Error: too many errors"


def read(reply: Reply, recipient: Address | None) -> Finding:
    return classify(reply.stage, reply, Context(recipient="" if recipient is None else "x@y"))


def said(code: int, text: str, stage: Stage = Stage.RCPT) -> Reply:
    return Reply(code, (text.encode(),), host="192.0.2.1", stage=stage)


@pytest.mark.parametrize(
    ("code", "text", "hint"),
    [
        (450, "4.7.1 Too many connections from you", None),
        (421, "4.3.2 Service shutting down", None),
        (451, "4.7.500 Server busy", None),
        (451, "try again in 300 seconds, you send too much", 300.0),
    ],
)
def test_a_complaint(code: int, text: str, hint: float | None) -> None:
    no = said(code, text)
    for report in (
        SessionReport(answers={ANN: no}),
        SessionReport(answers={}, refusal=no, errors=3),
        SessionReport(answers={}, witnesses={ANN: no}),
    ):
        complaint = complaint_of(report, read, has_borne=False)
        assert complaint is not None
        assert complaint.hint == hint


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (450, "4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"),
        (454, "4.7.1 <ann@a.example>: Relay access denied"),
        (451, "4.7.1 Greylisting in action, please come back later"),
        (550, "5.1.1 no such user"),
        (250, "ok"),
    ],
)
def test_no_complaint(code: int, text: str) -> None:
    report = SessionReport(answers={ANN: said(code, text)})
    assert complaint_of(report, read, has_borne=True) is None


def test_too_many_errors_are_about_the_session() -> None:
    end = said(421, TOO_MANY)
    lost = SessionLost(f"the exchanger closes the session: {end}", code=421, stage=Stage.RCPT)
    for errors in (0, 1):
        refused = SessionReport(answers={}, refusal=end, errors=errors)
        failed = SessionReport(answers={}, failure=lost, errors=errors)
        for report in (refused, failed):
            complaint = complaint_of(report, read, has_borne=False)
            assert (complaint is None) is bool(errors)


@pytest.mark.parametrize("has_borne", [False, True])
def test_a_closed_door_complains_only_of_our_number(has_borne: bool) -> None:
    no = said(554, "no service", Stage.GREETING)
    greeted = SessionReport(answers={}, refusal=no)
    closed = SessionReport(answers={}, failure=Refused("refused", host="192.0.2.1"))
    for report in (greeted, closed):
        complaint = complaint_of(report, read, has_borne=has_borne)
        assert (complaint is not None) is has_borne
