"""cases.md, chapter F: pipelining. One test for each row, which is in its name."""

from __future__ import annotations

import pytest

from twisted_probe.smtp import commands
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.limits import MAX_OUTSTANDING
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.vocabulary.outcome import Reason

from .scene import FIN, GROUPED, PARTING, C, S, Wait, play, welcome
from .talk import ANN, BOB, CONTROL, CY, MAIL, NO, OK, QUIT, TO_CONTROL, to
from .wire import outcome_of, rcpt, ready


def test_row_81_not_offered() -> None:
    steps = (C(MAIL), S(OK), C(to("ann")), S(OK), C(to("bob")), S(NO), *PARTING)
    assert play(*welcome(), *steps, recipients=[ANN, BOB]).codes == {"ann": 250, "bob": 550}


def test_row_82_offered_and_broken() -> None:
    """Judged otherwise: who was answered may be another than he seems (`smtp.belief`), named or
    not. All go back."""
    together = (*GROUPED, C(MAIL, to("ann"), to("bob"), to("cy")))
    three = [ANN, BOB, CY]
    lost = play(*together, S(OK, OK, NO), Wait(60), recipients=three)
    assert lost.reason is Reason.TIMEOUT
    assert lost.report.answers == {}
    assert lost.report.unanswered == tuple(three)
    assert lost.report.manner == Manner(pipelining=False)
    named = S(OK, "250 2.1.5 <ann@example.net> ok", NO)
    assert play(*together, named, Wait(60), recipients=three).codes == {}
    dropped = play(*together, S(OK, OK), FIN, recipients=three)
    assert dropped.report.answers == {}
    assert dropped.report.manner == Manner(pipelining=False)
    again = (C(MAIL), S(OK), C(to("ann")), S(OK), *PARTING)
    assert play(*GROUPED, *again, manner=lost.report.manner).codes == {"ann": 250}


def test_row_83_some_are_not_answered() -> None:
    """One by one, the answered are who they seem."""
    steps = (C(MAIL), S(OK), C(to("ann")), S(NO), C(to("bob")), Wait(60))
    scene = play(*welcome(), *steps, recipients=[ANN, BOB, CY])
    assert scene.codes == {"ann": 550}
    assert scene.report.unanswered == (BOB, CY)
    assert scene.report.manner == UNKNOWN_MANNER


def test_row_84_mail_is_refused() -> None:
    no = "503 5.5.1 need MAIL"
    scene = play(*GROUPED, S("550 5.7.1 sender rejected", no, no), *_leave(), recipients=[ANN, BOB])
    assert scene.report.answers == {}
    assert scene.reason is Reason.SENDER_REFUSED


def test_row_85_mail_is_refused_and_the_recipients_too() -> None:
    scene = play(*GROUPED, S("550 5.7.1 sender rejected", NO, NO), *_leave(), recipients=[ANN, BOB])
    assert scene.report.answers == {}
    assert scene.reason is Reason.SENDER_REFUSED


def _leave() -> tuple[C | S, ...]:
    return C(MAIL, to("ann"), to("bob"), QUIT), S("221 bye")


def test_row_86_mail_is_greylisted() -> None:
    scene = play(*welcome(), C(MAIL), S("451 4.7.1 Greylisted, please try again later"), *PARTING)
    assert scene.reason is Reason.GREYLISTED
    assert scene.report.unanswered == (ANN,)


def test_row_87_more_than_a_window() -> None:
    wire = ready("PIPELINING", max_recipients=0)
    group = [commands.mail(None), *(rcpt(f"{n:060}") for n in range(500))]
    replies = outcome_of(wire.session.group(group))
    said = sum(len(line) + 2 for line in wire.client_said())
    assert MAX_OUTSTANDING - 100 < said <= MAX_OUTSTANDING
    wire.closes()
    assert len(replies) == 1


@pytest.mark.parametrize("line", ["EHLO a.example.org", "STARTTLS", "NOOP", "HELP"])
def test_row_88_what_must_be_last_in_a_group(line: str) -> None:
    wire = ready("PIPELINING")
    replies = outcome_of(wire.session.group([Command(line.encode()), commands.RSET]))
    wire.client(line)
    wire.server("500 what?")
    wire.client("RSET")
    wire.server(OK)
    assert len(replies[0]) == 2


def test_row_89_the_control_is_last() -> None:
    steps = (C(MAIL, to("ann")), S(OK, OK), C(TO_CONTROL), S("450 4.2.0 later"), *PARTING)
    scene = play(*GROUPED, *steps, control=CONTROL)
    assert scene.codes == {"ann": 250, CONTROL.local: 450}
