"""One scene: a whole session as an exchanger may play it, from dialling to the report.

Everything between the socket and the verdict takes part: `ProbeFactory` on a reactor in memory,
`converse`, `classify` and `judge`. The steps are what the server says and does, and what the
client must have said by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock

from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.errors import SessionError
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.testing import results_of
from twisted_probe.testing.wire import HELO, HOST, Wire
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.judge import Circumstances, judge
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.finding import Finding
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply
from twisted_probe.vocabulary.source import Source

from .talk import ANN, BYE, EHLO, MAIL, OK, PROBE, QUIT, to

SOURCE = Source("198.51.100.1", helo=HELO)


@frozen(init=False)
class S:
    """The server says these lines, in one packet."""

    lines: tuple[str | bytes, ...]

    def __init__(self, *lines: str | bytes) -> None:
        self.__attrs_init__(lines)


@frozen(init=False)
class C:
    """The client has said exactly these lines since the last look."""

    lines: tuple[str, ...]

    def __init__(self, *lines: str) -> None:
        self.__attrs_init__(lines)


@frozen
class Wait:
    """Seconds pass."""

    seconds: float


@frozen
class End:
    """The server ends the connection: in order, or with a reset."""

    is_reset: bool = False


FIN, RST = End(), End(is_reset=True)


@frozen
class Shake:
    """The server makes the handshake that the client has asked for, and says something before
    it was asked anything."""

    early: bytes = b""


SHAKE = Shake()
#: What a step may be; octets are sent as they are.
Step = S | C | Wait | End | Shake | bytes

GREETING = "220 mx.example.net ESMTP"
PARTING: tuple[Step, ...] = (C(QUIT), S(BYE))


def welcome(*keywords: str) -> tuple[Step, ...]:
    """Up to the reply to EHLO, with these keywords."""
    lines = ["mx.example.net", *keywords]
    return (
        S(GREETING),
        C(EHLO),
        S(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"),
    )


#: Up to the RCPT of one recipient, asked one by one, or together with MAIL.
ASKED: tuple[Step, ...] = (*welcome(), C(MAIL), S(OK), C(to("ann")))
GROUPED: tuple[Step, ...] = welcome("PIPELINING")


@frozen
class Scene:
    """How it went: the report, or the error that it ended with before there was a session."""

    result: SessionReport | SessionError
    wire: Wire

    @property
    def report(self) -> SessionReport:
        """The report of a session that there was."""
        assert isinstance(self.result, SessionReport), self.result
        return self.result

    @property
    def error(self) -> SessionError:
        """The trouble, before there was a session or on the way."""
        error = self.result.failure if isinstance(self.result, SessionReport) else self.result
        assert error is not None
        return error

    @property
    def codes(self) -> dict[str, int]:
        """What was answered to whom."""
        return {recipient.local: reply.code for recipient, reply in self.report.answers.items()}

    @property
    def reasons(self) -> dict[str, Reason]:
        """What it means for whom, as far as one session can tell."""
        return {
            recipient.local: judge(found(reply), reply, Circumstances(control_wanted=False)).reason
            for recipient, reply in self.report.answers.items()
        }

    @property
    def reason(self) -> Reason:
        """What it means for all who were not answered."""
        if isinstance(self.result, SessionReport) and self.result.refusal is not None:
            refusal = self.result.refusal
            return judge(found(refusal), refusal).reason
        return self.error.reason


def found(reply: Reply) -> Finding:
    """What the reply says."""
    context = Context(SOURCE.address, SOURCE.helo, PROBE.text, ANN.text)
    return classify(reply.stage, reply, context)


def play(
    *steps: Step,
    recipients: Sequence[Address] = (ANN,),
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    **wishes: Any,
) -> Scene:
    """Play the scene to its end. Nothing may be left of it in the reactor."""
    reactor = MemoryReactorClock()

    async def run() -> SessionReport:
        session = await ProbeFactory(SOURCE, timeouts).connect(reactor, HOST)
        return await converse(session, recipients, PROBE, **wishes)

    results = results_of(run())
    wire = Wire.taking(reactor)
    for step in steps:
        if isinstance(step, S):
            wire.server(*step.lines)
        elif isinstance(step, C):
            wire.client(*step.lines)
        elif isinstance(step, Wait):
            wire.seconds_pass(step.seconds)
        elif isinstance(step, End):
            wire.closes(ConnectionLost) if step.is_reset else wire.closes()
        elif isinstance(step, Shake):
            wire.encrypts()
            if step.early:
                wire.session.dataReceived(step.early)
            wire.seconds_pass(0)
        else:
            wire.feed(step)
    assert results, f"it goes on; the client said {wire.client_said()}"
    wire.seconds_pass(0)
    assert not reactor.getDelayedCalls()
    assert not wire.is_open
    (result,) = results
    if not isinstance(result, SessionReport | SessionError):
        raise result
    return Scene(result, wire)
