"""cases.md, chapter A: the greeting. One test for each row, which is in its name."""

from __future__ import annotations

import pytest

from twisted_probe.smtp.errors import Ourselves, ProtocolViolation, ReplyTimeout
from twisted_probe.smtp.limits import MAX_LINE, MAX_REPLY_LINES
from twisted_probe.vocabulary.outcome import Reason

from .scene import GREETING, PARTING, C, S, Scene, Wait, play, welcome
from .talk import ANN, EHLO, MAIL, OK, to
from .wire import HELO

ACCEPTS = (C(MAIL), S(OK), C(to("ann")), S(OK), *PARTING)


def turned_away(greeting: str) -> Scene:
    """The greeting says no: nothing is said but QUIT, and nobody is answered."""
    scene = play(S(greeting), *PARTING)
    assert scene.report.refusal is not None
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN,)
    return scene


def test_row_1_lines_with_a_pause() -> None:
    scene = play(
        S("220-mx.example.net ESMTP"), Wait(6), C(), S(GREETING), C(EHLO), S("250 hi"), *ACCEPTS
    )
    assert scene.codes == {"ann": 250}


def test_row_2_late() -> None:
    scene = play(Wait(59), C(), *welcome(), *ACCEPTS)
    assert scene.codes == {"ann": 250}


def test_row_3_never() -> None:
    scene = play(Wait(60), C())
    assert isinstance(scene.error, ReplyTimeout)
    assert scene.reason is Reason.TIMEOUT


def test_row_4_554() -> None:
    assert turned_away("554 mx.example.net").reason is Reason.REFUSED


@pytest.mark.parametrize("code", [554, 550])
def test_row_5_listed(code: int) -> None:
    greeting = f"{code} 198.51.100.1 listed at zen.spamhaus.org"
    assert turned_away(greeting).reason is Reason.BLOCKLISTED


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("mx.example.net does not accept mail", Reason.REFUSED),
        ("your address is listed at zen.spamhaus.org", Reason.BLOCKLISTED),
        ("5.3.2 no service at the moment", Reason.TEMPORARY),
    ],
)
def test_row_6_521(words: str, reason: Reason) -> None:
    assert turned_away(f"521 {words}").reason is reason


def test_row_7_421() -> None:
    assert turned_away("421 mx.example.net closing").reason is Reason.TEMPORARY


@pytest.mark.parametrize("code", [421, 450])
def test_row_8_too_many_connections(code: int) -> None:
    scene = turned_away(f"{code} 4.7.0 too many connections from your host")
    assert scene.reason is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    "said", ["SSH-2.0-OpenSSH_9.2p1", "HTTP/1.1 400 Bad Request\r\n\r\n250 ok"]
)
def test_row_9_another_protocol(said: str) -> None:
    scene = play(S(said), C())
    assert scene.reason is Reason.PROTOCOL_ERROR
    assert scene.wire.is_cut


@pytest.mark.parametrize("number", [10, 11])
def test_row_10_and_row_11_control_octets(number: int) -> None:
    """Rows 10 and 11: escaped wherever they come out."""
    said = {10: b"\x00\x07", 11: b"\xff\xfe\x1b[2J"}[number]
    scene = play(*welcome(), C(MAIL), S(OK), C(to("ann")), S(b"250 " + said + b"!"), *PARTING)
    assert scene.codes == {"ann": 250}
    assert str(scene.report.answers[ANN]).isprintable()


def test_row_12_no_newline() -> None:
    scene = play(b"220 " + b"x" * 65536)
    assert isinstance(scene.error, ProtocolViolation)
    assert scene.wire.is_cut


def test_row_13_no_newline_and_no_end() -> None:
    scene = play(*[b"x" * 512] * (MAX_LINE // 512 + 1))
    assert isinstance(scene.error, ProtocolViolation)
    assert scene.wire.is_cut


def test_row_14_no_last_line() -> None:
    scene = play(*[S("220-more")] * (MAX_REPLY_LINES + 1))
    assert isinstance(scene.error, ProtocolViolation)
    assert scene.wire.is_cut


def test_row_15_tiny_lines_in_one_segment() -> None:
    """See test_wire_limits.py for the work that it is."""
    scene = play(b"220-x\n" * 10_000)
    assert isinstance(scene.error, ProtocolViolation)
    assert scene.wire.is_cut


def test_row_16_an_octet_now_and_then() -> None:
    scene = play(*(b"2", Wait(6)) * 10)
    assert scene.reason is Reason.TIMEOUT


def test_row_17_a_line_now_and_then() -> None:
    scene = play(*(S("220-still here"), Wait(6)) * 10)
    assert scene.reason is Reason.TIMEOUT


@pytest.mark.parametrize("more", [b"250 ok\r\n", b"2", b"220-\r\n", b"\r\n"])
def test_row_18_more_than_the_greeting(more: bytes) -> None:
    scene = play(GREETING.encode() + b"\r\n" + more, C())
    assert scene.reason is Reason.PROTOCOL_ERROR


def test_row_19_our_own_name() -> None:
    scene = play(S(f"220 {HELO} ESMTP"), *PARTING)
    assert isinstance(scene.error, Ourselves)
    assert scene.reason is Reason.FORBIDDEN_EXCHANGER
    assert scene.report.unanswered == (ANN,)
