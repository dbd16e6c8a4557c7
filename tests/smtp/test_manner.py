"""What a session shows of an exchanger, and what is not believed when commands were lost.

Rows are those of cases.md.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from twisted_probe.smtp.conversation import converse
from twisted_probe.smtp.errors import Ourselves, SessionLost
from twisted_probe.smtp.limits import MAX_RESETS
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

from .talk import (
    ANN,
    BOB,
    BYE,
    CONTROL,
    CY,
    DAN,
    EHLO,
    FEWER,
    MAIL,
    NO,
    OK,
    PROBE,
    QUIT,
    RSET,
    SENDER_OK,
    Talk,
    codes,
    person,
    to,
)
from .wire import HELO, Wire, greeted, outcome_of

# --- Fewer replies than commands ---------------------------------------------------------------

NAMES_ANN = "550 5.1.1 <ann@example.net>: no such user"


def loses_one(*answers: str) -> Talk:
    """A group of three recipients, of which one was lost on the way to the exchanger."""
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.client(MAIL, to("ann"), to("bob"), to("cy"))
    talk.server(OK, *answers)
    return talk


@pytest.mark.parametrize(
    "seconds_and_end",
    [(60, ""), (6, "421 4.4.2 timeout, closing"), (6, "close")],
    ids=["silence", "421", "close"],
)
def test_nobody_knows_which_command_was_lost(seconds_and_end: tuple[int, str]) -> None:
    """Row 82, judged otherwise: those who were answered may be others than they seem, named or
    not."""
    seconds, end = seconds_and_end
    talk = loses_one(NAMES_ANN, OK)
    talk.seconds_pass(seconds)
    if end == "close":
        talk.closes()
    elif end:
        talk.server(end)
        talk.server(BYE)
    report = talk.report
    assert report.answers == {}
    assert report.unanswered == (ANN, BOB, CY)
    assert report.manner in (Manner(pipelining=False), Manner(error_limit=1))


def test_an_exchanger_that_is_slow_with_all_has_lost_nothing() -> None:
    talk = loses_one()
    talk.seconds_pass(40)
    talk.server(NO)
    talk.seconds_pass(40)
    talk.server(OK)
    talk.seconds_pass(40)
    talk.server(NO)
    assert codes(talk.says_goodbye()) == {"ann": 550, "bob": 250, "cy": 550}
    assert talk.report.manner.pipelining


def test_a_name_that_only_looks_alike_is_none() -> None:
    talk = loses_one("550 <joann@example.net> or <ann@example.net.au>: no", OK)
    talk.seconds_pass(60)
    assert talk.report.answers == {}


# --- What was learned --------------------------------------------------------------------------


def learned(talk: Talk) -> Manner:
    """The manner that the conversation's report advises."""
    return talk.report.manner


def test_a_421_behind_rejections_is_a_limit_of_errors() -> None:
    """Row 115."""
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.server(OK, NO, NO, "421 4.7.0 too many errors")
    talk.server(BYE)
    assert learned(talk) == Manner(error_limit=2)
    assert talk.report.answers == {}


@pytest.mark.parametrize(("rejections", "limit"), [(1, 1), (2, 1), (3, 2)])
def test_a_close_upon_a_rejection_is_one_too(rejections: int, limit: int) -> None:
    """Row 46."""
    talk = Talk("PIPELINING", ANN, BOB, CY, DAN)
    talk.server(OK, *[NO] * rejections)
    talk.closes()
    # Below one there is no limit, and the order is to be shown before the next rejection.
    assert learned(talk) == Manner(error_limit=limit, goodbye=limit > 1)


def test_a_close_without_a_rejection_is_about_groups() -> None:
    talk = Talk("PIPELINING", ANN, BOB)
    talk.server(OK, OK)
    talk.closes()
    assert learned(talk) == Manner(pipelining=False)
    assert talk.report.answers == {}


def test_a_close_where_nothing_was_grouped_teaches_nothing() -> None:
    talk = Talk("", ANN, BOB)
    talk.goes((MAIL, SENDER_OK), (to("ann"), OK))
    talk.closes()
    assert learned(talk) == UNKNOWN_MANNER


@pytest.mark.parametrize("rejections", [1, 4])
def test_sudden_delays_behind_rejections(rejections: int) -> None:
    """Postfix sleeps before each reply from its soft limit on, before that to QUIT too."""
    people = [person(f"u{n}") for n in range(rejections + 3)]
    talk = Talk("PIPELINING", *people)
    talk.server(OK, *[NO] * rejections)
    for _ in range(3):
        talk.seconds_pass(1)
        talk.server(OK)
    talk.server(BYE)
    assert learned(talk) == Manner(error_limit=max(1, rejections - 1))


@pytest.mark.parametrize(
    ("before", "waits"),
    [
        pytest.param(0.0, [1, 1], id="too few"),
        pytest.param(0.0, [1, 0.1, 1, 1], id="not in a row"),
        pytest.param(0.5, [1, 1, 1], id="slow before"),
    ],
)
def test_delays_that_are_not_sudden(before: float, waits: list[float]) -> None:
    talk = Talk("", *(person(f"u{n}") for n in range(1 + len(waits))))
    talk.goes((MAIL, OK))
    for wait, answer in zip([before, *waits], [NO, *[OK] * len(waits)], strict=True):
        talk.client_said()
        talk.seconds_pass(wait)
        talk.server(answer)
    talk.says_goodbye()
    assert learned(talk) == UNKNOWN_MANNER


def test_delays_from_the_first_on_are_no_punishment() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY)
    talk.server(OK)
    for _ in range(3):
        talk.seconds_pass(1)
        talk.server(OK)
    talk.server(BYE)
    assert learned(talk) == UNKNOWN_MANNER


def test_what_was_known_before_stays_known() -> None:
    before = Manner(error_limit=2, recipients_per_transaction=7, pipelining=False)
    talk = Talk("PIPELINING", ANN, BOB, CY, manner=before)
    talk.goes((MAIL, OK), (to("ann"), NO), (to("bob"), OK))
    talk.goes((to("cy"), "421 too many errors"))
    talk.says_goodbye()
    assert learned(talk) == evolve(before, error_limit=1)


def test_a_limit_of_errors_that_was_known() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY, manner=Manner(error_limit=2))
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, NO, NO)
    assert talk.says_goodbye().unanswered == (CY,)


def test_one_error_is_for_a_recipient_and_not_for_the_control() -> None:
    talk = Talk("PIPELINING", ANN, BOB, control=CONTROL, manner=Manner(error_limit=1))
    talk.client(MAIL, to("ann"))
    talk.server(OK, OK)
    talk.client(to("bob"))
    talk.server(NO)
    assert codes(talk.says_goodbye()) == {"ann": 250, "bob": 550}


def test_a_ceiling_that_was_known() -> None:
    talk = Talk("PIPELINING", ANN, BOB, CY, manner=Manner(recipients_per_transaction=2))
    talk.client(MAIL, to("ann"), to("bob"))
    talk.server(OK, OK, OK)
    talk.client(RSET, MAIL, to("cy"))
    talk.server(OK, OK, OK)
    assert talk.says_goodbye().unanswered == ()


def test_one_that_counts_those_whom_it_refuses() -> None:
    """It is asked for as many as it takes, and each time one too many."""
    talk = Talk("PIPELINING", ANN, BOB, CY, manner=Manner(recipients_per_transaction=1))
    talk.client(MAIL, to("ann"))
    talk.server(OK, NO)
    talk.client(to("bob"))
    talk.server(FEWER)
    talk.client(RSET, MAIL, to("bob"))
    talk.server(OK, OK, OK)
    talk.client(RSET, MAIL, to("cy"))
    talk.server(OK, OK, NO)
    assert codes(talk.says_goodbye()) == {"ann": 550, "bob": 250, "cy": 550}


def test_rsets_have_an_end() -> None:
    """Exim refuses the twelfth."""
    people = [person(f"u{n}") for n in range(20)]
    talk = Talk("PIPELINING", *people, manner=Manner(recipients_per_transaction=1))
    resets = 0
    while (said := talk.client_said()) != [QUIT]:
        resets += said[0] == RSET
        talk.server(*[OK] * len(said))
    talk.server(BYE)
    assert resets == MAX_RESETS
    assert talk.report.unanswered == tuple(people[MAX_RESETS + 1 :])
    assert (talk.report.refusal, talk.report.failure) == (None, None)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(["554 5.5.0 Error: SMTP protocol synchronization error"], id="to MAIL"),
        pytest.param([OK, "503 5.5.0 Improper use of SMTP command pipelining"], id="to RCPT"),
        pytest.param([OK, "554 SMTP synchronization error"], id="554 to RCPT"),
        pytest.param([OK, "250OK"], id="garbage"),
        pytest.param([OK, OK, OK], id="one too many"),
    ],
)
def test_an_exchanger_that_breaks_in_groups(answers: list[str]) -> None:
    """Row 82."""
    talk = Talk("PIPELINING", ANN)
    talk.server(*answers)
    talk.server(BYE)
    assert learned(talk) == Manner(pipelining=False)
    assert talk.report.answers == {}


def test_ehlo_is_refused_and_the_connection_closed() -> None:
    """Row 61."""
    wire = greeted()
    reports = outcome_of(converse(wire.session, [ANN], PROBE))
    wire.server("500 what?")
    wire.closes()
    (report,) = reports
    assert report.manner == Manner(extended=False)
    assert isinstance(report.failure, SessionLost)
    assert report.unanswered == (ANN,)


def test_helo_first() -> None:
    """Row 61."""
    wire = greeted()
    reports = outcome_of(converse(wire.session, [], PROBE, manner=Manner(extended=False)))
    wire.client(f"HELO {HELO}")
    wire.server("250 mx.example.net")
    wire.client(QUIT)
    wire.server(BYE)
    assert reports[0].manner == Manner(extended=False)


def test_it_answers_ehlo_with_our_own_name() -> None:
    """Row 19."""
    wire = greeted()
    reports = outcome_of(converse(wire.session, [ANN], PROBE))
    wire.client(EHLO)
    wire.server(f"250-{HELO} at your service", "250 PIPELINING")
    wire.client(QUIT)
    wire.server(BYE)
    (report,) = reports
    assert isinstance(report.failure, Ourselves)
    assert report.failure.stage is Stage.EHLO


@pytest.mark.parametrize("name", [HELO, HELO.upper() + "."])
def test_it_greets_with_our_own_name(name: str) -> None:
    """Row 19."""
    wire = Wire()
    wire.server(f"220 {name} ESMTP")
    reports = outcome_of(converse(wire.session, [ANN], PROBE))
    wire.client(QUIT)
    wire.server(BYE)
    (report,) = reports
    assert isinstance(report.failure, Ourselves)
    assert report.failure.reason is Reason.FORBIDDEN_EXCHANGER
    assert report.failure.stage is Stage.GREETING
    assert report.unanswered == (ANN,)
