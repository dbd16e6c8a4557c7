"""cases.md, chapter C: the life of a connection. One test for each row, which is in its name."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.internet import error as trouble
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_probe.smtp.errors import (
    ConnectTimeout,
    LocalExhaustion,
    NoRoute,
    Refused,
    ReplyTimeout,
    SessionError,
    SessionLost,
    SourceUnavailable,
)
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, MAX_OUTSTANDING
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.testing import results_of
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.source import Source

from .scene import (
    ASKED,
    FIN,
    GREETING,
    GROUPED,
    PARTING,
    RST,
    SOURCE,
    C,
    End,
    S,
    Step,
    Wait,
    play,
    welcome,
)
from .talk import ANN, BOB, CY, EHLO, MAIL, NO, OK, QUIT, to
from .wire import HOST, in_transaction, outcome_of, rcpt

ENDS = pytest.mark.parametrize("end", [FIN, RST], ids=["FIN", "RST"])


@ENDS
def test_row_40_no_greeting(end: End) -> None:
    scene = play(end)
    assert isinstance(scene.error, SessionLost)
    assert scene.reason is Reason.CONNECTION_LOST


@ENDS
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((S(GREETING),), id="after the banner"),
        pytest.param(welcome(), id="after EHLO"),
        pytest.param((*welcome(), C(MAIL), S(OK)), id="after MAIL"),
    ],
)
def test_row_41_before_anybody_was_asked(steps: tuple[Step, ...], end: End) -> None:
    scene = play(*steps, end)
    assert scene.reason is Reason.CONNECTION_LOST
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN,)


@ENDS
@pytest.mark.parametrize("keywords", [(), ("PIPELINING",)], ids=["one by one", "together"])
def test_row_42_instead_of_a_reply(keywords: tuple[str, ...], end: End) -> None:
    """Those of a group go back, for nobody knows which of its commands were lost."""
    scene = play(*welcome(*keywords), S(OK), S(NO), end, recipients=[ANN, BOB])
    assert scene.codes == ({} if keywords else {"ann": 550})
    assert scene.report.unanswered == ((ANN, BOB) if keywords else (BOB,))
    assert scene.reason is Reason.CONNECTION_LOST


def test_row_43_a_part_of_a_line() -> None:
    scene = play(*ASKED, b"250 2.1.5 Ok", FIN)
    assert scene.reason is Reason.CONNECTION_LOST
    assert scene.report.unanswered == (ANN,)


def test_row_44_a_part_of_a_reply() -> None:
    scene = play(*ASKED, S("250-2.1.5 Ok"), FIN)
    assert scene.reason is Reason.CONNECTION_LOST
    assert scene.report.unanswered == (ANN,)


def test_row_45_a_half_close_is_an_end() -> None:
    """Twisted closes as soon as the peer has: the protocol does not ask for half closes."""
    scene = play(*ASKED, FIN)
    assert scene.reason is Reason.CONNECTION_LOST
    assert not IHalfCloseableProtocol.providedBy(scene.wire.session)


@ENDS
def test_row_46_a_rejection_and_the_end(end: End) -> None:
    """Who was rejected keeps that; the rest is for a session that makes fewer errors."""
    scene = play(*ASKED, S(NO), end, recipients=[ANN, BOB])
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert scene.report.unanswered == (BOB,)
    assert scene.report.manner == Manner(error_limit=1, goodbye=False)


def test_row_47_421_in_the_middle_of_a_pipeline() -> None:
    """Judged otherwise: one of the commands before may have been lost."""
    scene = play(*GROUPED, S(OK, NO, "421 4.7.0 too much"), FIN, recipients=[ANN, BOB, CY])
    assert scene.report.answers == {}
    assert scene.report.unanswered == (ANN, BOB, CY)
    assert scene.reason is Reason.RATE_LIMITED
    assert scene.report.manner.error_limit == 1


def test_row_48_421_while_nothing_was_asked() -> None:
    """Between two transactions; nobody gets a verdict of it."""
    wire = in_transaction()
    wire.server("421 4.4.2 idle")
    (error,) = outcome_of(wire.session.rset())
    assert isinstance(error, SessionLost)
    assert error.code == 421


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param((S(GREETING), C(EHLO)), id="EHLO"),
        pytest.param((*welcome(), C(MAIL)), id="MAIL"),
        pytest.param(ASKED, id="RCPT"),
        pytest.param((*ASKED, S(NO), C(to("bob"))), id="the second RCPT"),
    ],
)
def test_row_49_never_answered(steps: tuple[Step, ...]) -> None:
    scene = play(*steps, Wait(59.9), Wait(0.1), recipients=[ANN, BOB])
    assert isinstance(scene.error, ReplyTimeout)
    assert scene.codes == ({"ann": 550} if len(steps) > len(ASKED) else {})
    assert scene.wire.is_cut


def test_row_50_the_server_never_reads() -> None:
    """What waits to be written is bounded; the end is an abort, for a close would wait too."""
    wire = in_transaction("PIPELINING", max_recipients=0)
    wire.transport.is_stuck = True
    replies = outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(500)]))
    assert sum(len(line) + 2 for line in wire.client_said()) <= MAX_OUTSTANDING
    wire.seconds_pass(60)
    assert isinstance(replies[0], ReplyTimeout)
    assert wire.is_cut


def test_row_51_quit_is_never_answered() -> None:
    scene = play(*ASKED, S(NO), C(QUIT), Wait(2))
    assert scene.reasons == {"ann": Reason.NO_SUCH_MAILBOX}
    assert scene.report.failure is None
    assert scene.wire.is_cut


def ends(reason: Exception) -> SessionError:
    """What an attempt that ends so is called."""
    reactor = MemoryReactorClock()
    results = results_of(ProbeFactory(SOURCE).connect(reactor, HOST))
    attempt: Any = reactor.tcpClients[0]
    attempt[2].clientConnectionFailed(None, Failure(reason))
    (error,) = results
    assert isinstance(error, SessionError)
    return error


def test_row_52_refused() -> None:
    error = ends(trouble.getConnectError((errno.ECONNREFUSED, "refused")))
    assert isinstance(error, Refused)
    assert error.reason is Reason.REFUSED


def test_row_53_no_answer_to_the_first_packet() -> None:
    reactor = MemoryReactorClock()
    results_of(ProbeFactory(SOURCE).connect(reactor, HOST))
    attempt: Any = reactor.tcpClients[0]
    assert attempt[3] == DEFAULT_TIMEOUTS.connect == 30
    error = ends(trouble.TimeoutError())
    assert isinstance(error, ConnectTimeout)
    assert error.reason is Reason.TIMEOUT


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_row_54_no_route(number: int) -> None:
    error = ends(trouble.getConnectError((number, "no")))
    assert isinstance(error, NoRoute)
    assert error.reason is Reason.NO_ROUTE


def test_row_55_the_source_is_not_here() -> None:
    """It is bound to the source or not at all."""
    error = ends(trouble.ConnectBindError(errno.EADDRNOTAVAIL, "no"))
    assert isinstance(error, SourceUnavailable)
    reactor = MemoryReactorClock()
    results_of(ProbeFactory(SOURCE).connect(reactor, HOST))
    attempt: Any = reactor.tcpClients[0]
    assert attempt[4] == (SOURCE.address, 0)


@pytest.mark.parametrize(
    "reason",
    [
        trouble.ConnectBindError(errno.EADDRINUSE, "no"),
        trouble.getConnectError((errno.EADDRNOTAVAIL, "no")),
    ],
)
def test_row_56_no_port_is_left(reason: Exception) -> None:
    """Ours, and no fault of the site's."""
    error = ends(reason)
    assert isinstance(error, LocalExhaustion)
    assert error.reason is Reason.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("source", "host"),
    [("198.51.100.1", "2001:db8::25"), ("2001:db8::1", "192.0.2.25")],
)
def test_row_57_the_other_family(source: str, host: str) -> None:
    reactor = MemoryReactorClock()
    (error,) = results_of(ProbeFactory(Source(source, helo="a.example.org")).connect(reactor, host))
    assert isinstance(error, SourceUnavailable)
    assert reactor.tcpClients == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_row_58_no_descriptor_is_left(number: int) -> None:
    """Twisted calls it a ConnectBindError; the source is not to blame."""
    assert isinstance(ends(trouble.ConnectBindError(number, "no")), LocalExhaustion)


def test_row_59_quit_is_reset() -> None:
    yes = S("250 2.1.5 Recipient ok")
    scene = play(*ASKED, yes, C(QUIT), RST)
    assert scene.codes == {"ann": 250}
    assert scene.report.failure is None
    assert scene.report.manner == UNKNOWN_MANNER
    assert play(*ASKED, yes, *PARTING).report == scene.report
