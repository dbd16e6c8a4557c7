"""cases.md, chapter E: STARTTLS. One test for each row, which is in its name.

The handshakes find what they are told here (`hands`); real ones are in test_tls.py, over sockets
in test_tls_loopback.py, and through the routing in tests/routing/test_encrypted_routes.py.
"""

from __future__ import annotations

import pytest

from twisted_probe.smtp.errors import (
    OutOfStep,
    ProtocolViolation,
    ReplyTimeout,
    SessionLost,
    TlsFailed,
)
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.vocabulary.outcome import Reason, TlsReport

from .hands import GOOD, POOR, encryption
from .scene import FIN, PARTING, RST, SHAKE, C, S, Scene, Shake, Step, Wait, play, welcome
from .talk import ANN, BOB, EHLO, MAIL, NO, OK, PROBE, QUIT, SENDER_OK, person, to

READY = S("220 2.0.0 Ready to start TLS")
OFFERED = (*welcome("STARTTLS"), C("STARTTLS"))
ENCRYPTED = (*OFFERED, READY, SHAKE, C(EHLO), S("250 mx.example.net"))
ASKS: tuple[Step, ...] = (C(MAIL), S(SENDER_OK), C(to("ann")), S(OK), *PARTING)
NOT_NOW = "454 4.7.0 TLS not available due to local problem"
WANTS_TLS = "530 5.7.0 Must issue a STARTTLS command first"

WISHED = encryption()
REQUIRED = encryption(is_required=True)
BROKEN = Manner(starttls=False)


def problem(scene: Scene) -> str | None:
    """What is said to be wrong with the encryption."""
    assert scene.report.tls is not None
    return scene.report.tls.problem


@pytest.mark.parametrize("wanted", [WISHED, REQUIRED], ids=["opportunistic", "required"])
def test_row_68_a_good_certificate(wanted: object) -> None:
    scene = play(*ENCRYPTED, *ASKS, encryption=wanted)
    assert scene.reasons == {"ann": Reason.ACCEPTED}
    assert scene.report.tls == GOOD


@pytest.mark.parametrize("line", [NOT_NOW, "502 5.5.1 no such command", "501 5.5.4 what?"])
def test_row_69_offered_and_refused(line: str) -> None:
    """On with this connection; the server still knows who we are."""
    scene = play(*OFFERED, S(line), *ASKS, encryption=WISHED)
    assert scene.reasons == {"ann": Reason.ACCEPTED}
    assert problem(scene) == f"STARTTLS was answered {line}"
    assert scene.report.manner == UNKNOWN_MANNER


def test_row_69_offered_and_refused_where_it_is_required() -> None:
    scene = play(*OFFERED, S(NOT_NOW), *PARTING, encryption=REQUIRED)
    assert scene.error.text == f"TLS is required, and STARTTLS was answered {NOT_NOW}"
    assert scene.reason is Reason.TLS_FAILED
    assert scene.report.unanswered == (ANN,)


@pytest.mark.parametrize(
    ("steps", "kind", "words"),
    [
        ((READY, FIN), TlsFailed, "the handshake failed: the exchanger closed the connection"),
        ((READY, RST), TlsFailed, "the handshake failed: the connection was reset or broke"),
        ((READY, Wait(60)), TlsFailed, "the handshake did not end in time"),
        ((FIN,), SessionLost, "the exchanger closed the connection"),
        ((Wait(60),), ReplyTimeout, "no reply in time"),
    ],
    ids=["closes", "resets", "is silent", "closes without a reply", "is silent at once"],
)
def test_row_70_no_handshake(steps: tuple[Step, ...], kind: type[Exception], words: str) -> None:
    """The next session does without, and says why."""
    scene = play(*OFFERED, *steps, encryption=WISHED)
    assert type(scene.error) is kind
    assert (scene.error.text, problem(scene)) == (words, words)
    assert scene.report.manner == BROKEN
    again = play(*welcome("STARTTLS"), *ASKS, encryption=encryption(failed=words), manner=BROKEN)
    assert again.reasons == {"ann": Reason.ACCEPTED}
    assert problem(again) == words


def test_row_70_no_handshake_in_days_before() -> None:
    scene = play(*welcome("STARTTLS"), *ASKS, encryption=WISHED, manner=BROKEN)
    assert scene.reasons == {"ann": Reason.ACCEPTED}
    assert problem(scene) == "an earlier handshake with the exchanger failed"


def test_row_70_no_handshake_where_it_is_required() -> None:
    """Never without, whatever was learned."""
    for manner in (UNKNOWN_MANNER, BROKEN):
        scene = play(*OFFERED, READY, FIN, encryption=REQUIRED, manner=manner)
        assert scene.reason is Reason.TLS_FAILED
        assert scene.report.manner == manner


def test_row_71_a_certificate_that_does_not_verify() -> None:
    scene = play(*ENCRYPTED, *ASKS, encryption=encryption(POOR))
    assert scene.reasons == {"ann": Reason.ACCEPTED}
    assert scene.report.tls == POOR


def test_row_71_a_certificate_that_does_not_verify_where_it_must() -> None:
    scene = play(*OFFERED, READY, SHAKE, *PARTING, encryption=encryption(POOR, is_required=True))
    assert scene.error.text == "TLS is required, and it is self-signed"
    assert scene.report.tls == POOR
    assert scene.report.unanswered == (ANN,)


@pytest.mark.parametrize(
    "injected",
    [b"250 2.1.5 Ok\r\n", b"250 2.1", b"\r", b"\n", b"\x16\x03\x03", b"220-\r\n220 \r\n"],
)
@pytest.mark.parametrize("wanted", [WISHED, REQUIRED], ids=["opportunistic", "required"])
def test_row_72_plaintext_behind_the_220(injected: bytes, wanted: object) -> None:
    """No handshake is begun, and no plaintext tried instead: somebody is in between."""
    scene = play(*OFFERED, b"220 Go ahead\r\n" + injected, encryption=wanted)
    assert isinstance(scene.error, ProtocolViolation)
    assert scene.wire.transport.handshake is None
    assert scene.report.manner == UNKNOWN_MANNER
    assert scene.report.answers == {}


@pytest.mark.parametrize("injected", ["250 2.1.5 Ok", "250-2.1.5"])
def test_row_72_plaintext_before_the_220(injected: str) -> None:
    """A reply of its own, in the same packet: the second one is too many."""
    scene = play(*OFFERED, S(injected, "220 Go ahead"), encryption=WISHED)
    assert isinstance(scene.error, ProtocolViolation)
    assert scene.wire.transport.handshake is None


def test_row_73_nobody_offers_it() -> None:
    scene = play(*welcome(), *ASKS, encryption=WISHED)
    assert scene.reasons == {"ann": Reason.ACCEPTED}
    assert scene.report.tls is None


def test_row_73_nobody_offers_it_where_it_is_required() -> None:
    scene = play(*welcome(), *PARTING, encryption=REQUIRED)
    assert scene.error.text == "TLS is required, and the exchanger offers no STARTTLS"
    assert scene.reason is Reason.TLS_FAILED


def test_row_74_what_was_offered_before_is_forgotten() -> None:
    """PIPELINING and SMTPUTF8 of the plaintext are nobody's word."""
    scene = play(
        *welcome("PIPELINING", "SMTPUTF8", "STARTTLS"),
        *(C("STARTTLS"), READY, SHAKE, C(EHLO), S("250-mx.example.net", "250 8BITMIME")),
        *ASKS,
        encryption=WISHED,
        recipients=[ANN, person("josé")],
    )
    assert scene.codes == {"ann": 250}
    assert scene.report.without_smtputf8 == (person("josé"),)


def test_row_74_what_is_offered_only_within() -> None:
    scene = play(
        *OFFERED,
        *(READY, SHAKE, C(EHLO), S("250-mx.example.net", "250-SMTPUTF8", "250 PIPELINING")),
        *(C(f"{MAIL} SMTPUTF8", to("josé")), S(OK, OK), *PARTING),
        encryption=WISHED,
        recipients=[person("josé")],
    )
    assert scene.codes == {"josé": 250}


def test_row_75_who_we_are_is_said_again() -> None:
    """And HELO, where EHLO is not known any more."""
    scene = play(
        *OFFERED,
        *(READY, SHAKE, C(EHLO), S("502 5.5.1 what?"), C(f"HELO {EHLO[5:]}"), S("250 hi")),
        *ASKS,
        encryption=WISHED,
    )
    assert scene.reasons == {"ann": Reason.ACCEPTED}


@pytest.mark.parametrize("stays", [False, True], ids=["reads", "reads nothing"])
def test_row_76_no_close_notify(stays: bool) -> None:
    """`play` looks that nothing is left."""
    steps = (*ENCRYPTED, *ASKS[:4], C(QUIT))
    scene = play(*steps, Wait(2) if stays else S("221 2.0.0 Bye"), encryption=WISHED)
    assert scene.reasons == {"ann": Reason.ACCEPTED}
    assert scene.wire.is_cut is stays


def test_row_77_tls_is_demanded() -> None:
    """Where it is to be had, it is had before anybody demands it."""
    scene = play(*ENCRYPTED, *ASKS, encryption=WISHED)
    assert scene.reasons == {"ann": Reason.ACCEPTED}


@pytest.mark.parametrize(
    "line",
    [WANTS_TLS, "530 Must issue a STARTTLS command first.", "530 5.7.10 TLS required"],
)
def test_row_77_tls_is_demanded_in_mode_never(line: str) -> None:
    """About us and our policy, and never about a mailbox."""
    scene = play(*welcome("STARTTLS"), C(MAIL), S(line), *PARTING)
    assert scene.report.unanswered == (ANN,)
    assert scene.reason is Reason.POLICY
    assert scene.report.manner == UNKNOWN_MANNER


def test_row_77_tls_is_demanded_of_a_broken_one() -> None:
    """What failed in days before is tried again; what failed just now is not."""
    steps = (*welcome("STARTTLS"), C(MAIL), S(WANTS_TLS), *PARTING)
    scene = play(*steps, encryption=WISHED, manner=BROKEN)
    assert scene.report.manner == UNKNOWN_MANNER
    scene = play(*steps, encryption=encryption(failed="it failed"), manner=BROKEN)
    assert scene.report.manner == BROKEN
    assert scene.reason is Reason.POLICY


@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
def test_row_78_lost_before_anybody_was_answered(end: Step) -> None:
    for steps in (
        (C(EHLO),),
        (C(EHLO), S("250 mx"), C(MAIL)),
        (C(EHLO), S("250 mx"), C(MAIL), S(OK)),
    ):
        scene = play(*OFFERED, READY, SHAKE, *steps, end, encryption=WISHED)
        assert type(scene.error) is SessionLost
        assert scene.report.manner == BROKEN
        assert scene.report.tls == GOOD


def test_row_78_stalled_as_soon_as_tls_stands() -> None:
    scene = play(*OFFERED, READY, SHAKE, C(EHLO), Wait(60), encryption=WISHED)
    assert isinstance(scene.error, ReplyTimeout)
    assert scene.report.manner == BROKEN


def test_row_78_a_reply_that_is_late_would_be_late_without_tls() -> None:
    scene = play(*ENCRYPTED, C(MAIL), Wait(60), encryption=WISHED)
    assert isinstance(scene.error, ReplyTimeout)
    assert scene.report.manner == UNKNOWN_MANNER


@pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])
def test_row_78_lost_behind_an_answer(end: Step) -> None:
    """Who was answered keeps it, and the others are asked with TLS again."""
    steps = (*ENCRYPTED, C(MAIL), S(OK), C(to("ann")), S(NO), C(to("bob")), end)
    scene = play(*steps, recipients=[ANN, BOB], encryption=WISHED)
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert scene.report.unanswered == (BOB,)
    assert scene.report.manner.starttls


def test_row_78_lost_where_it_is_required() -> None:
    scene = play(*OFFERED, READY, SHAKE, C(EHLO), FIN, encryption=REQUIRED)
    assert scene.report.manner == UNKNOWN_MANNER


def test_row_79_a_reply_before_the_first_command() -> None:
    """What waits behind the handshake was said by nobody who heard us."""
    reply = b"250-mx.example.net\r\n250 PIPELINING\r\n"
    for early in (b"220 mx.example.net ESMTP\r\n", reply, b"2"):
        scene = play(*OFFERED, READY, Shake(early), encryption=WISHED)
        assert isinstance(scene.error, OutOfStep), early
        assert scene.report.answers == {}
        assert scene.report.manner == UNKNOWN_MANNER


def test_row_80_what_somebody_else_demands_is_no_affair_of_a_mailbox() -> None:
    """MTA-STS and DANE want what `required` does: the report says how far it is from it."""
    wrong = TlsReport(
        "TLSv1.2",
        "AES256-SHA",
        verified=False,
        problem="it expired on 2001-02-03; it is for www.example.com, not for mx.example.net",
    )
    scene = play(
        *ENCRYPTED,
        *(C(f"MAIL FROM:<{PROBE.text}>"), S(OK), C(to("ann")), S(NO), *PARTING),
        encryption=encryption(wrong),
    )
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert scene.report.tls == wrong
