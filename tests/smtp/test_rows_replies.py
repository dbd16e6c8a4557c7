"""cases.md, chapter B: the grammar of replies. One test for each row, which is in its name."""

from __future__ import annotations

import pytest

from twisted_probe.smtp.errors import OutOfStep
from twisted_probe.vocabulary.outcome import Reason

from .scene import ASKED, GREETING, GROUPED, PARTING, C, S, Scene, Wait, play, welcome
from .talk import ANN, BOB, BYE, EHLO, MAIL, NO, OK, QUIT, to

#: Lines that are none.
NOT_A_REPLY = {
    22: ["000 x", "999 x", "150 x", "260 x"],
    23: ["25 x", "2x0 x", "+25 x", " 25 x", "2_5 x", "2500 x"],
    24: ["\uff12\uff15\uff10 x"],
    25: [""],
    27: ["250OK", "250\tOK"],
}


def answered(*steps: S | bytes) -> Scene:
    """Ann's RCPT is answered so, and the session goes to its end."""
    return play(*ASKED, *steps, *PARTING)


def no_answer(scene: Scene) -> None:
    """Nobody got a verdict, and the peer is to blame."""
    assert scene.reason is Reason.PROTOCOL_ERROR
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN,)
    assert scene.wire.is_cut


def test_row_20_bare_lf() -> None:
    said = (b"220 mx\n", C(EHLO), b"250 mx\n", C(MAIL), b"250 ok\n", C(to("ann")), b"550 no\n")
    assert play(*said, C(QUIT), b"221 bye\n").codes == {"ann": 550}


def test_row_21_bare_cr() -> None:
    assert play(b"220 mx\r", Wait(60), C()).reason is Reason.TIMEOUT
    no_answer(play(*ASKED, S("250\r")))


@pytest.mark.parametrize("line", NOT_A_REPLY[22])
def test_row_22_codes_that_are_none(line: str) -> None:
    no_answer(play(*ASKED, S(line)))


@pytest.mark.parametrize("line", NOT_A_REPLY[23])
def test_row_23_numbers_that_are_no_code(line: str) -> None:
    no_answer(play(*ASKED, S(line)))


@pytest.mark.parametrize("line", NOT_A_REPLY[24])
def test_row_24_full_width_digits(line: str) -> None:
    no_answer(play(*ASKED, S(line)))


@pytest.mark.parametrize("line", NOT_A_REPLY[25])
def test_row_25_an_empty_line(line: str) -> None:
    no_answer(play(*ASKED, S(line)))


@pytest.mark.parametrize("line", ["250", "250 "])
def test_row_26_no_text(line: str) -> None:
    assert answered(S(line)).reasons == {"ann": Reason.ACCEPTED}


@pytest.mark.parametrize("line", NOT_A_REPLY[27])
def test_row_27_nothing_between_code_and_text(line: str) -> None:
    no_answer(play(*ASKED, S(line)))


def test_row_28_a_yes_becomes_a_no() -> None:
    no_answer(play(*ASKED, S("250-well", "550 no")))


def test_row_29_a_no_becomes_a_yes() -> None:
    no_answer(play(*ASKED, S("550-no", "250 well")))


def test_row_30_octet_by_octet() -> None:
    said = b"550-5.1.1 no\r\n550 5.1.1 such user\r\n"
    assert answered(*(said[n : n + 1] for n in range(len(said)))).codes == {"ann": 550}


def test_row_31_several_replies_in_one_segment() -> None:
    scene = play(
        *GROUPED,
        C(MAIL, to("ann"), to("bob")),
        S(OK, NO, OK),
        *PARTING,
        recipients=[ANN, BOB],
    )
    assert scene.codes == {"ann": 550, "bob": 250}


def test_row_32_a_reply_that_nobody_asked_for() -> None:
    """Who was answered before goes back too: a late second reply to MAIL looks the same."""
    scene = play(*ASKED, S(OK, OK))
    no_answer(scene)
    assert isinstance(scene.error, OutOfStep)
    assert play(S(GREETING), C(EHLO), S("250 mx", "250 mx"), C()).reason is Reason.PROTOCOL_ERROR


def test_row_33_two_replies_to_mail_in_one_segment() -> None:
    no_answer(play(*welcome(), C(MAIL), S(OK, NO), C()))


@pytest.mark.parametrize("farewell", [OK, NO])
def test_row_34_a_second_reply_to_mail_that_is_late(farewell: str) -> None:
    """RCPT adopts it, and QUIT gets the reply to RCPT."""
    scene = play(*ASKED, S(OK), C(QUIT), S(farewell), S(BYE))
    assert isinstance(scene.error, OutOfStep)
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN,)


def test_row_35_a_long_line() -> None:
    scene = answered(S("550 5.1.1 user unknown " + "x" * 5000))
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert len(scene.report.answers[ANN].text) <= 2048


def test_row_36_a_hundred_lines() -> None:
    scene = answered(S(*["550-5.1.1 user unknown"] * 99, "550 5.1.1 user unknown"))
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert scene.report.answers[ANN].text.startswith("user unknown user unknown")


def test_row_37_an_enhanced_code_of_another_class() -> None:
    reply = answered(S("550 2.1.5 no such user")).report.answers[ANN]
    assert (reply.code, reply.enhanced) == (550, None)


def test_row_38_text_that_is_not_ascii() -> None:
    scene = answered(S("550 5.1.1 unbekannter Empfänger".encode("latin-1")))
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert "\ufffd" in scene.report.answers[ANN].text


def test_row_39_go_on() -> None:
    assert play(*ASKED, S("354 go on"), *PARTING).reason is Reason.PROTOCOL_ERROR
    scene = play(*welcome(), C(MAIL), S("354 go on"), *PARTING)
    assert scene.reason is Reason.PROTOCOL_ERROR
