"""cases.md, chapter G: the outcomes of MAIL and RCPT. Each row is in a test's name.

What one session tells; what becomes of it with a control, other exchangers and retries is
`verdict`'s and `routing`'s.
"""

from __future__ import annotations

import pytest

from twisted_probe.smtp.errors import ForbiddenCommand, OutOfStep
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Reason

from .scene import ASKED, FIN, GROUPED, PARTING, C, S, Wait, play, welcome
from .talk import ANN, BOB, CONTROL, CY, FEWER, MAIL, NO, OK, PROBE, QUIT, RSET, TO_CONTROL, to
from .wire import in_transaction


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param("250 2.1.5 Ok", Reason.ACCEPTED, id="test_row_90_"),
        pytest.param("251 2.1.5 will forward", Reason.ACCEPTED, id="test_row_91_"),
        pytest.param("252 2.1.5 cannot verify", Reason.UNCONFIRMED, id="test_row_92_"),
        pytest.param("450 4.2.1 mailbox busy", Reason.TEMPORARY, id="test_row_93_"),
        pytest.param("450 4.2.0 Greylisted, see help", Reason.GREYLISTED, id="test_row_94_"),
        pytest.param("451 4.7.1 Greylisting in action", Reason.GREYLISTED, id="test_row_94_a"),
        pytest.param("451 4.3.0 local error", Reason.TEMPORARY, id="test_row_95_"),
        pytest.param("452 4.2.2 mailbox full", Reason.MAILBOX_FULL, id="test_row_96_"),
        pytest.param("552 5.2.2 over quota", Reason.MAILBOX_FULL, id="test_row_96_a"),
        pytest.param("550 5.1.1 user unknown", Reason.NO_SUCH_MAILBOX, id="test_row_99_"),
        pytest.param(
            "550 5.7.1 blocked using zen.spamhaus.org", Reason.BLOCKLISTED, id="test_row_101_"
        ),
        pytest.param(
            "550 5.1.1 rejected, 198.51.100.1 is listed at zen.spamhaus.org",
            Reason.BLOCKLISTED,
            id="test_row_102_",
        ),
        pytest.param("550 5.7.23 SPF failed", Reason.SENDER_REFUSED, id="test_row_103_"),
        pytest.param("550 5.7.1 DMARC policy", Reason.SENDER_REFUSED, id="test_row_103_a"),
        pytest.param("550 5.2.1 mailbox disabled", Reason.MAILBOX_DISABLED, id="test_row_104_"),
        pytest.param(
            "551 User not local; please try <ann@example.org>",
            Reason.NO_SUCH_MAILBOX,
            id="test_row_105_",
        ),
        pytest.param("553 5.1.3 bad syntax", Reason.INVALID_ADDRESS, id="test_row_106_"),
        pytest.param("501 5.1.3 bad syntax", Reason.INVALID_ADDRESS, id="test_row_106_a"),
        pytest.param("554 5.7.1 relay access denied", Reason.TEMPORARY, id="test_row_107_"),
        pytest.param("556 5.1.10 no mail here", Reason.NO_MAIL, id="test_row_108_"),
        pytest.param("521 5.3.2 not here", Reason.TEMPORARY, id="test_row_108_a"),
        pytest.param("250 2.1.5 user unknown", Reason.ACCEPTED, id="test_row_109_"),
        pytest.param(
            "530 5.7.0 authentication required", Reason.SENDER_REFUSED, id="test_row_111_"
        ),
        pytest.param("450 4.7.1 too many connections", Reason.RATE_LIMITED, id="test_row_116_"),
    ],
)
def test_one_reply(reply: str, reason: Reason) -> None:
    scene = play(*ASKED, S(reply), *PARTING)
    assert scene.reasons == {"ann": reason}
    assert scene.report.unanswered == ()


@pytest.mark.parametrize("no", [FEWER, "552 too many recipients", "451 4.5.3 too many"])
def test_row_97_too_many_recipients(no: str) -> None:
    scene = play(
        *GROUPED,
        C(MAIL, to("ann"), to("bob"), to("cy")),
        S(OK, OK, no, no),
        C(RSET, MAIL, to("bob")),
        S(OK, OK, NO),
        C(to("cy")),
        S(OK),
        *PARTING,
        recipients=[ANN, BOB, CY],
    )
    assert scene.codes == {"ann": 250, "bob": 550, "cy": 250}
    assert scene.report.manner == Manner(recipients_per_transaction=1)


def test_row_98_421() -> None:
    scene = play(*ASKED, S("421 4.3.0 closing"), *PARTING, recipients=[ANN, BOB])
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN, BOB)
    assert scene.reason is Reason.TEMPORARY


def test_row_100_a_vague_no() -> None:
    """Never dead by itself; the control, which has the same reply, is kept for the judge."""
    no = S("550 Rejected")
    scene = play(*ASKED, no, C(TO_CONTROL), no, *PARTING, control=CONTROL)
    assert set(scene.reasons.values()) == {Reason.POLICY}
    assert scene.report.answers[CONTROL].text == scene.report.answers[ANN].text


def test_row_110_503_behind_a_good_mail() -> None:
    scene = play(*ASKED, S("503 5.5.1 need MAIL"), *PARTING)
    assert isinstance(scene.error, OutOfStep)
    assert scene.reason is Reason.PROTOCOL_ERROR
    together = play(*GROUPED, S(OK, "503 5.5.1 need MAIL"), C(MAIL, to("ann"), QUIT), S("221 bye"))
    assert together.report.manner == Manner(pipelining=False)


def test_row_112_a_catch_all() -> None:
    """The control is answered in the same session, and stands in the report."""
    scene = play(*ASKED, S(OK), C(TO_CONTROL), S(OK), *PARTING, control=CONTROL)
    assert scene.codes == {"ann": 250, CONTROL.local: 250}


def test_row_113_who_accepts_all_and_bounces_later() -> None:
    """On the wire it is a catch-all; who is known for it, `verdict` knows."""
    scene = play(*ASKED, S("250 2.1.5 Ok"), C(TO_CONTROL), S(OK), *PARTING, control=CONTROL)
    assert scene.reasons[CONTROL.local] is Reason.ACCEPTED


def test_row_114_a_tarpit() -> None:
    """It is waited out: the session's time grows with those who were asked."""
    people = [parse_address(f"u{n}@example.net") for n in range(60)]
    steps: list[C | S | Wait] = []
    for each in people:
        steps += [C(f"RCPT TO:<{each.text}>"), Wait(11.5), S(OK)]
    scene = play(*welcome(), C(MAIL), S(OK), *steps, *PARTING, recipients=people)
    assert DEFAULT_TIMEOUTS.session < 60 * 11.5
    assert len(scene.codes) == 60


def test_row_115_a_limit_of_errors() -> None:
    """Those of a group that was cut short are asked once more, and the next session ends before
    the exchanger does."""
    scene = play(
        *GROUPED, S(OK, NO, NO, "421 4.7.0 too many errors"), FIN, recipients=[ANN, BOB, CY]
    )
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN, BOB, CY)
    assert scene.report.manner == Manner(error_limit=2)
    steps = (C(MAIL, to("ann"), to("bob")), S(OK, NO, NO), *PARTING)
    people = [ANN, BOB, CY]
    again = play(*GROUPED, *steps, recipients=people, manner=scene.report.manner)
    assert again.codes == {"ann": 550, "bob": 550}


def test_row_117_the_null_sender() -> None:
    """The configured reverse-path is what is said; a no to it is about us."""
    no = S("550 5.7.1 null sender refused")
    scene = play(*welcome(), C(f"MAIL FROM:<{PROBE.text}>"), no, *PARTING)
    assert scene.reason is Reason.SENDER_REFUSED


def test_row_118_a_list_at_mail() -> None:
    no = S("554 5.7.1 198.51.100.1 is listed at zen.spamhaus.org")
    assert play(*welcome(), C(MAIL), no, *PARTING).reason is Reason.BLOCKLISTED


@pytest.mark.parametrize("line", [b"VRFY ann", b"vrfy ann", b" VRFY"])
def test_row_119_vrfy(line: bytes) -> None:
    wire = in_transaction()
    with pytest.raises(ForbiddenCommand):
        wire.session.command(line)
    wire.client()


@pytest.mark.parametrize("line", [b"DATA", b"data", b"BDAT 0 LAST", b"DATA "])
def test_row_120_data(line: bytes) -> None:
    """The transport of every test of these counts them as well."""
    wire = in_transaction()
    with pytest.raises(ForbiddenCommand):
        wire.session.command(line)
    wire.client()
