"""STARTTLS on the wire (RFC 3207; cases.md rows 68 to 80): the order, and what goes wrong."""

from __future__ import annotations

from typing import Any, cast

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.errors import (
    OutOfOrder,
    OutOfStep,
    ProtocolViolation,
    ReplyTimeout,
    SessionError,
    SessionLost,
    TlsFailed,
)
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.manner import Manner
from twisted_probe.smtp.tls import Handshake
from twisted_probe.testing import wire as testing
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import TlsReport
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source

from .hands import GOOD, POOR, Hands, encryption
from .wire import HELO, Wire, greeted, in_transaction, outcome_of, ready

READY = "220 2.0.0 Ready to start TLS"
EHLO = f"EHLO {HELO}"


def shaking(**options: Any) -> tuple[Wire, list[Any]]:
    """A session that is in its handshake, and what comes of it."""
    wire = ready("STARTTLS", "PIPELINING", **options)
    done = outcome_of(wire.session.starttls(cast(Handshake, Hands())))
    wire.client("STARTTLS")
    wire.server(READY)
    return wire, done


def encrypted(**options: Any) -> Wire:
    wire, _ = shaking(**options)
    wire.encrypts()
    wire.seconds_pass(0)
    return wire


# ---------------------------------------------------------------- the order


def test_the_reply_comes_when_the_handshake_is_done() -> None:
    wire, done = shaking()
    assert (done, wire.session.tls) == ([], None)
    wire.encrypts()
    assert done == []
    wire.seconds_pass(0)
    assert [reply.code for reply in done] == [220]
    assert done[0].stage is Stage.STARTTLS
    assert wire.session.tls == GOOD


def test_it_is_a_listener_of_handshakes() -> None:
    assert IHandshakeListener.providedBy(Wire().session)


def test_all_that_was_known_is_forgotten() -> None:
    """Row 74."""
    wire = encrypted()
    assert wire.session.keywords == {}
    assert not wire.session.pipelining
    done = outcome_of(wire.session.helo())
    wire.client(EHLO)
    wire.server("250-mx.example.net", "250 8BITMIME")
    assert wire.session.keywords == {"8BITMIME": ""}
    assert done[0].code == 250


def test_who_we_are_is_said_again() -> None:
    """Row 75."""
    wire = encrypted()
    with pytest.raises(OutOfOrder, match="MAIL is not allowed when greeted"):
        wire.session.mail("")


@pytest.mark.parametrize("wire", [Wire, greeted, in_transaction, encrypted])
def test_it_has_its_place(wire: Any) -> None:
    with pytest.raises(OutOfOrder):
        wire().session.starttls(cast(Handshake, Hands()))


def test_it_is_said_once() -> None:
    wire = encrypted()
    outcome_of(wire.session.helo())
    wire.client(EHLO)
    wire.server("250-mx.example.net", "250 STARTTLS")
    with pytest.raises(OutOfOrder, match="the session is encrypted already"):
        wire.session.starttls(cast(Handshake, Hands()))


def test_nothing_is_said_in_the_handshake() -> None:
    wire, _ = shaking()
    with pytest.raises(OutOfOrder, match="still awaited"):
        wire.session.helo()


def test_nothing_leaves_together_with_it() -> None:
    """Row 88."""
    from twisted_probe.smtp import commands

    wire = ready("PIPELINING")
    with pytest.raises(OutOfOrder, match="MAIL is not allowed when greeted"):
        wire.session.group([commands.STARTTLS, commands.mail(None)])


@pytest.mark.parametrize("line", ["454 4.7.0 TLS not available", "502 5.5.1 Not implemented"])
def test_a_no_leaves_the_session_as_it_was(line: str) -> None:
    wire = ready("STARTTLS", "PIPELINING")
    done = outcome_of(wire.session.starttls(cast(Handshake, Hands())))
    wire.client("STARTTLS")
    wire.server(line)
    assert str(done[0]) == line
    assert wire.transport.handshake is None
    assert wire.session.pipelining
    outcome_of(wire.session.mail(""))
    wire.client("MAIL FROM:<>")


@pytest.mark.parametrize("code", [200, 211, 214, 221, 222, 250, 251, 252, 253])
def test_another_yes_is_none(code: int) -> None:
    wire = ready("STARTTLS")
    done = outcome_of(wire.session.starttls(cast(Handshake, Hands())))
    wire.server(f"{code} Ok")
    (error,) = done
    assert isinstance(error, OutOfStep)
    assert wire.transport.handshake is None


# ---------------------------------------------------------------- what must not be believed


@pytest.mark.parametrize("injected", ["250 Ok\r\n", "250 O", "\r\n", "250-mx\r\n250 SIZE\r\n"])
def test_what_comes_behind_the_220_in_plaintext(injected: str) -> None:
    """Row 72: whole lines or parts of one."""
    wire = ready("STARTTLS")
    done = outcome_of(wire.session.starttls(cast(Handshake, Hands())))
    wire.feed(f"{READY}\r\n{injected}".encode())
    (error,) = done
    assert isinstance(error, ProtocolViolation)
    assert wire.transport.handshake is None
    assert wire.is_cut


@pytest.mark.parametrize("early", [b"250 Ok\r\n", b"2", b"220 mx.example.net\r\n"])
def test_what_waits_behind_the_handshake(early: bytes) -> None:
    """Row 79."""
    wire, done = shaking()
    wire.encrypts()
    wire.session.dataReceived(early)
    wire.seconds_pass(0)
    (error,) = done
    assert isinstance(error, OutOfStep)
    assert wire.is_cut
    assert not wire.timers


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (SSL.Error([("SSL routines", "", "wrong version number")]), "wrong version number"),
        (ConnectionLost(), "the connection was reset or broke"),
    ],
)
def test_a_handshake_that_fails(reason: Exception, words: str) -> None:
    """Row 70."""
    wire, done = shaking()
    wire.session.connectionLost(Failure(reason))
    (error,) = done
    assert isinstance(error, TlsFailed)
    assert (error.text, error.stage) == (f"the handshake failed: {words}", Stage.STARTTLS)


def test_a_handshake_that_never_ends() -> None:
    """Row 70."""
    wire, done = shaking()
    wire.seconds_pass(59)
    assert done == []
    wire.seconds_pass(1)
    (error,) = done
    assert isinstance(error, TlsFailed)
    assert error.text == "the handshake did not end in time"
    assert wire.is_cut


def test_a_session_that_is_over_before_its_handshake() -> None:
    wire, done = shaking()
    wire.session._deadline.session_due = wire.clock.seconds() + 1
    wire.session._deadline.watch()
    wire.seconds_pass(1)
    assert isinstance(done[0], ReplyTimeout)


def test_cancelling_cuts_the_connection() -> None:
    wire = ready("STARTTLS")
    starting = wire.session.starttls(cast(Handshake, Hands()))
    done = outcome_of(starting)
    wire.server(READY)
    starting.cancel()
    assert [type(error).__name__ for error in done] == ["CancelledError"]
    wire.seconds_pass(0)
    assert wire.is_cut
    assert not wire.timers


def test_a_handshake_that_ends_behind_the_session() -> None:
    wire, done = shaking()
    wire.session.abort()
    wire.encrypts()
    wire.seconds_pass(0)
    assert isinstance(done[0], TlsFailed | SessionLost)
    assert wire.session.tls is None


def test_a_session_that_is_lost_later_is_not_a_failed_handshake() -> None:
    """Row 78."""
    wire = encrypted()
    done = outcome_of(wire.session.helo())
    wire.session.connectionLost(Failure(SSL.Error([("SSL routines", "", "bad record mac")])))
    (error,) = done
    assert type(error) is SessionLost
    assert error.text == "bad record mac"


def test_the_end_behind_the_handshake_before_its_turn() -> None:
    wire, done = shaking()
    wire.encrypts()
    wire.closes()
    (error,) = done
    assert type(error) is SessionLost
    assert not wire.timers


# ---------------------------------------------------------------- conversations

ANN = parse_address("ann@example.net")
OFFERS = ("250-mx.example.net", "250 STARTTLS")


class Talk:
    """A conversation with an exchanger that offers STARTTLS, up to the reply to EHLO."""

    def __init__(
        self,
        *,
        finding: TlsReport = GOOD,
        is_required: bool = False,
        offers: tuple[str, ...] = OFFERS,
        **options: Any,
    ) -> None:
        reactor = MemoryReactorClock()
        wanted = encryption(finding, is_required=is_required)

        async def run() -> SessionReport:
            source = Source("198.51.100.1", helo=HELO)
            session = await ProbeFactory(source).connect(reactor, "192.0.2.25")
            return await converse(session, [ANN], None, encryption=wanted, **options)

        self.results = outcome_of(run())
        self.wire = testing.Wire.taking(reactor)
        self.wire.server("220 mx.example.net ESMTP")
        self.wire.client(EHLO)
        self.wire.server(*offers)

    def encrypts(self) -> None:
        self.wire.client("STARTTLS")
        self.wire.server(READY)
        self.wire.encrypts()
        self.wire.seconds_pass(0)

    def asks(self) -> None:
        """Nobody but the one recipient, and the leave."""
        self.wire.client("MAIL FROM:<>")
        self.wire.server("250 Ok")
        self.wire.client("RCPT TO:<ann@example.net>")
        self.wire.server("250 Ok")
        self.leaves()

    def leaves(self) -> None:
        self.wire.client("QUIT")
        self.wire.server("221 Bye")
        self.wire.seconds_pass(0)

    @property
    def report(self) -> SessionReport:
        (report,) = self.results
        assert isinstance(report, SessionReport)
        return report

    @property
    def failure(self) -> SessionError:
        assert self.report.failure is not None
        return self.report.failure


@pytest.mark.parametrize("finding", [GOOD, POOR])
def test_no_mailbox_is_judged_by_it(finding: TlsReport) -> None:
    """Rows 68 and 71."""
    talk = Talk(finding=finding)
    talk.encrypts()
    talk.wire.client(EHLO)
    talk.wire.server("250 mx.example.net")
    talk.asks()
    assert list(talk.report.answers) == [ANN]
    assert talk.report.tls == finding
    assert talk.report.manner == Manner()


def test_it_is_not_offered() -> None:
    """Row 73."""
    talk = Talk(offers=("250 mx.example.net",))
    talk.asks()
    assert (list(talk.report.answers), talk.report.tls) == ([ANN], None)


def test_it_is_refused() -> None:
    """Row 69: on with this connection."""
    talk = Talk()
    talk.wire.client("STARTTLS")
    talk.wire.server("454 4.7.0 TLS not available")
    talk.asks()
    assert list(talk.report.answers) == [ANN]
    assert talk.report.tls == TlsReport(problem="STARTTLS was answered 454 4.7.0 TLS not available")


def test_it_is_refused_for_good() -> None:
    talk = Talk()
    talk.wire.client("STARTTLS")
    talk.wire.server("421 4.7.0 Come back later")
    talk.leaves()
    assert talk.report.refusal is not None
    assert talk.report.unanswered == (ANN,)


def test_behind_the_handshake_nobody_wants_us() -> None:
    talk = Talk()
    talk.encrypts()
    talk.wire.client(EHLO)
    talk.wire.server("550 5.7.1 Go away")
    talk.wire.client(f"HELO {HELO}")
    talk.wire.server("550 5.7.1 Go away")
    talk.leaves()
    assert talk.report.refusal is not None
    assert talk.report.tls == GOOD


def test_a_failed_handshake_is_a_manner_to_leave() -> None:
    """Row 70: the next session does without."""
    talk = Talk()
    talk.wire.client("STARTTLS")
    talk.wire.server(READY)
    talk.wire.closes()
    assert isinstance(talk.failure, TlsFailed)
    assert talk.report.manner == Manner(starttls=False)
    again = Talk(manner=talk.report.manner)
    again.asks()
    assert list(again.report.answers) == [ANN]
    assert again.report.tls == TlsReport(problem="an earlier handshake with the exchanger failed")


@pytest.mark.parametrize("end", ["closes", "silence"])
def test_starttls_without_a_reply(end: str) -> None:
    """As a failed handshake, for the next session at once."""
    talk = Talk()
    talk.wire.client("STARTTLS")
    talk.wire.closes() if end == "closes" else talk.wire.seconds_pass(60)
    assert isinstance(talk.failure, SessionLost | ReplyTimeout)
    assert talk.report.manner == Manner(starttls=False)


@pytest.mark.parametrize("line", ["421 4.7.0 Bye", "no reply at all"])
def test_starttls_and_the_end(line: str) -> None:
    talk = Talk()
    talk.wire.client("STARTTLS")
    talk.wire.server(line)
    talk.wire.closes()
    assert talk.report.manner == Manner()


def test_a_session_lost_under_tls_goes_on_in_plaintext() -> None:
    """Row 78: where nobody was answered."""
    talk = Talk()
    talk.encrypts()
    talk.wire.client(EHLO)
    talk.wire.closes()
    assert type(talk.failure) is SessionLost
    assert talk.report.manner == Manner(starttls=False)


def test_a_session_lost_under_tls_behind_an_answer() -> None:
    """Row 78: what was answered is kept, and TLS with it."""
    bob = parse_address("bob@example.net")
    talk = Talk(control=bob)
    talk.encrypts()
    talk.wire.client(EHLO)
    talk.wire.server("250 mx.example.net")
    talk.wire.client("MAIL FROM:<>")
    talk.wire.server("250 Ok")
    talk.wire.client("RCPT TO:<ann@example.net>")
    talk.wire.server("250 Recipient ok")
    talk.wire.client("RCPT TO:<bob@example.net>")
    talk.wire.closes()
    assert list(talk.report.answers) == [ANN]
    assert talk.report.manner == Manner()


def test_a_group_that_is_cut_short_under_tls() -> None:
    """Row 78: somebody was answered, though it is not believed."""
    talk = Talk(control=parse_address("bob@example.net"))
    talk.encrypts()
    talk.wire.client(EHLO)
    talk.wire.server("250-mx.example.net", "250 PIPELINING")
    assert len(talk.wire.client_said()) == 2
    talk.wire.server("250 Ok", "250 Recipient ok")
    talk.wire.client("RCPT TO:<bob@example.net>")
    talk.wire.closes()
    assert talk.report.manner.starttls


# ---------------------------------------------------------------- where it is required


def test_required_and_good() -> None:
    talk = Talk(is_required=True)
    talk.encrypts()
    talk.wire.client(EHLO)
    talk.wire.server("250 mx.example.net")
    talk.asks()
    assert list(talk.report.answers) == [ANN]


@pytest.mark.parametrize(
    ("options", "dialogue", "words"),
    [
        ({"offers": ("250 mx.example.net",)}, [], "the exchanger offers no STARTTLS"),
        (
            {},
            [("STARTTLS", "454 4.7.0 TLS not available")],
            "STARTTLS was answered 454 4.7.0 TLS not available",
        ),
        ({"finding": POOR}, [], "it is self-signed"),
    ],
)
def test_required_and_not_to_be_had(
    options: dict[str, Any], dialogue: list[tuple[str, str]], words: str
) -> None:
    """Rows 69, 71 and 73: nobody is asked."""
    talk = Talk(is_required=True, **options)
    for said, answer in dialogue:
        talk.wire.client(said)
        talk.wire.server(answer)
    if "finding" in options:
        talk.encrypts()
    talk.leaves()
    assert isinstance(talk.failure, TlsFailed)
    assert talk.failure.text == f"TLS is required, and {words}"
    assert talk.report.answers == {}
    assert talk.report.manner == Manner()


def test_required_although_it_failed_before() -> None:
    talk = Talk(is_required=True, manner=Manner(starttls=False))
    talk.wire.client("STARTTLS")
    talk.wire.server(READY)
    talk.wire.closes()
    assert isinstance(talk.failure, TlsFailed)
