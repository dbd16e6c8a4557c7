"""cases.md, chapter D: EHLO and HELO. One test for each row, which is in its name."""

from __future__ import annotations

import pytest

from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

from .scene import FIN, GREETING, GROUPED, PARTING, C, S, play, welcome
from .talk import ANN, BOB, CY, EHLO, FEWER, MAIL, OK, RSET, to
from .wire import HELO

ACCEPTS = (C(MAIL), S(OK), C(to("ann")), S(OK), *PARTING)


@pytest.mark.parametrize("code", [500, 501, 502, 504, 550])
def test_row_60_ehlo_is_refused(code: int) -> None:
    said = (S(GREETING), C(EHLO), S(f"{code} what?"), C(f"HELO {HELO}"), S("250 mx"))
    scene = play(*said, *ACCEPTS)
    assert scene.codes == {"ann": 250}
    assert scene.report.manner.extended


@pytest.mark.parametrize(
    "end",
    [
        pytest.param((S("500 what?"), C(f"HELO {HELO}"), FIN), id="behind HELO"),
        pytest.param((S("500 what?", "421 bye"),), id="before HELO"),
    ],
)
def test_row_61_ehlo_is_refused_and_the_connection_closed(end: tuple[S, ...]) -> None:
    scene = play(S(GREETING), C(EHLO), *end)
    assert scene.reason is Reason.CONNECTION_LOST
    assert scene.report.manner == Manner(extended=False)
    assert scene.report.unanswered == (ANN,)
    helo_first = (S(GREETING), C(f"HELO {HELO}"), S("250 mx"), *ACCEPTS)
    assert play(*helo_first, manner=scene.report.manner).codes == {"ann": 250}


def test_row_62_ehlo_421() -> None:
    scene = play(S(GREETING), C(EHLO), S("421 4.3.2 not now"), *PARTING)
    assert scene.reason is Reason.TEMPORARY
    assert scene.report.manner.extended


def test_row_63_ehlo_and_helo_are_refused_by_a_list() -> None:
    no = S("550 5.7.1 198.51.100.1 is listed at zen.spamhaus.org")
    scene = play(S(GREETING), C(EHLO), no, C(f"HELO {HELO}"), no, *PARTING)
    assert scene.reason is Reason.BLOCKLISTED
    assert scene.report.refusal is not None
    assert scene.report.refusal.stage is Stage.EHLO


@pytest.mark.parametrize("code", [504, 450])
def test_row_64_our_name_is_refused(code: int) -> None:
    no = S(f"{code} 5.5.2 <{HELO}>: Helo command rejected: need fully-qualified hostname")
    scene = play(S(GREETING), C(EHLO), no, C(f"HELO {HELO}"), no, *PARTING)
    assert scene.reason is Reason.SENDER_REFUSED


def test_row_65_sixty_keywords() -> None:
    keywords = [f"x-{n} a b" for n in range(57)]
    scene = play(*welcome(*keywords, "auth=login plain", "pipelining"), C(MAIL, to("ann")), FIN)
    known = scene.wire.session.keywords
    assert len(known) == 59
    assert known["AUTH"] == "login plain"
    assert scene.wire.session.pipelining


@pytest.mark.parametrize(
    "no",
    ["502 what?", "500 unrecognised", "554 too many nonmail commands", "503 RSET not here"],
)
def test_row_66_rset_is_refused(no: str) -> None:
    scene = play(
        *GROUPED,
        C(MAIL, to("ann"), to("bob"), to("cy")),
        S(OK, OK, FEWER, FEWER),
        C(RSET, MAIL, to("bob")),
        S(no, "503 nested", OK),
        *PARTING,
        recipients=[ANN, BOB, CY],
    )
    assert scene.codes == {"ann": 250}
    assert scene.report.unanswered == (BOB, CY)
    assert (scene.report.refusal, scene.report.failure) == (None, None)


def test_row_67_no_parameters() -> None:
    scene = play(*welcome("SIZE 1000", "8BITMIME", "SMTPUTF8"), *ACCEPTS)
    assert scene.codes == {"ann": 250}
