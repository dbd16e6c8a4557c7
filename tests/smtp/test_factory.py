"""One attempt from a chosen source, on a reactor in memory. Rows are those of cases.md."""
# mypy: allow-untyped-calls

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.internet import error as trouble
from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from twisted_probe.smtp.errors import (
    ConnectTimeout,
    LocalExhaustion,
    Misuse,
    NoRoute,
    ProtocolViolation,
    Refused,
    ReplyTimeout,
    SessionError,
    SessionLost,
    SourceUnavailable,
)
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source

from .wire import outcome_of

EXCHANGER, EXCHANGER6 = "192.0.2.25", "2001:db8::25"
SOURCE = Source("198.51.100.1", helo="probe1.example.org")
SOURCE6 = Source("2001:db8::1", helo="probe6.example.org")
FIXED = Source("198.51.100.1", helo="probe1.example.org", port=2525)


class Dial:
    """One attempt, and what a reactor can make of it."""

    def __init__(self, source: Source = SOURCE, host: str = EXCHANGER, **options: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.transport = StringTransport()
        self.factory = ProbeFactory(source, **options)
        self.attempt = self.factory.connect(self.reactor, host)
        self.results = outcome_of(self.attempt)

    @property
    def bind_address(self) -> Any:
        """The local address that the reactor was told to take."""
        return self.reactor.tcpClients[0][4]

    def fails(self, reason: Exception) -> Any:
        """The reactor gives up; what the attempt makes of it."""
        connector = self.reactor.connectors[0]
        self.factory.clientConnectionFailed(connector, Failure(reason))
        (result,) = self.results
        return result

    def stands(self) -> None:
        """The connection stands."""
        self.session = self.factory.buildProtocol(None)
        self.session.makeConnection(self.transport)

    def server(self, *lines: bytes) -> None:
        """The server says these lines."""
        self.session.dataReceived(b"".join(line + b"\r\n" for line in lines))


# --- How it dials ------------------------------------------------------------------------------


def test_it_leaves_from_the_source() -> None:
    dial = Dial()
    host, port, factory, timeout, _ = dial.reactor.tcpClients[0]
    assert (host, port) == (EXCHANGER, 25)
    assert factory is dial.factory
    assert timeout == DEFAULT_TIMEOUTS.connect
    assert dial.bind_address == ("198.51.100.1", 0)
    assert dial.results == []


def test_a_source_with_a_port_of_its_own() -> None:
    assert Dial(FIXED).bind_address == ("198.51.100.1", 2525)


def test_from_an_ipv6_source() -> None:
    assert Dial(SOURCE6, EXCHANGER6).bind_address == ("2001:db8::1", 0)


def test_another_port() -> None:
    reactor = MemoryReactorClock()
    outcome_of(ProbeFactory(SOURCE).connect(reactor, EXCHANGER, 2525))
    assert reactor.tcpClients[0][1] == 2525


def test_one_number_of_seconds_for_every_step() -> None:
    dial = Dial(timeout=5)
    assert dial.reactor.tcpClients[0][3] == 5
    dial.stands()
    dial.reactor.advance(5)
    assert isinstance(dial.results[0], ReplyTimeout)


def test_timeouts_as_a_value() -> None:
    dial = Dial(timeout=Timeouts(connect=1, greeting=2, command=3))
    assert dial.reactor.tcpClients[0][3] == 1
    dial.stands()
    dial.reactor.advance(1.75)
    dial.server(b"220 mx.example.net")
    (session,) = dial.results
    reply = outcome_of(session.helo())
    dial.reactor.advance(2.75)
    assert reply == []
    dial.reactor.advance(0.25)
    assert isinstance(reply[0], ReplyTimeout)


@pytest.mark.parametrize(("source", "host"), [(SOURCE, EXCHANGER6), (SOURCE6, EXCHANGER)])
def test_a_source_of_the_other_family(source: Source, host: str) -> None:
    """Row 57: nothing is dialled, and no other source taken."""
    dial = Dial(source, host)
    (error,) = dial.results
    assert isinstance(error, SourceUnavailable)
    assert (error.host, error.stage) == (host, Stage.CONNECT)
    assert source.address in str(error)
    assert dial.reactor.tcpClients == []


@pytest.mark.parametrize("host", ["mx.example.net", "localhost", "", "192.0.2.25:25", "1"])
def test_only_literals_are_dialled(host: str) -> None:
    reactor = MemoryReactorClock()
    with pytest.raises(ValueError, match="does not appear to be"):
        ProbeFactory(SOURCE).connect(reactor, host)
    assert reactor.tcpClients == []


def test_one_factory_is_one_attempt() -> None:
    dial = Dial()
    with pytest.raises(Misuse):
        dial.factory.connect(dial.reactor, EXCHANGER)
    assert len(dial.reactor.tcpClients) == 1


def test_a_failed_attempt_is_the_only_one() -> None:
    dial = Dial()
    dial.fails(trouble.ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
    dial.reactor.advance(3600)
    assert len(dial.reactor.tcpClients) == 1


# --- How dialling can end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "kind", "outcome"),
    [
        pytest.param(trouble.TimeoutError(), ConnectTimeout, Reason.TIMEOUT, id="row 53"),
        pytest.param(
            trouble.TCPTimedOutError(errno.ETIMEDOUT, "Connection timed out"),
            ConnectTimeout,
            Reason.TIMEOUT,
            id="row 53: the kernel was faster",
        ),
        pytest.param(
            trouble.ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            Refused,
            Reason.REFUSED,
            id="row 52",
        ),
        *(
            pytest.param(
                trouble.getConnectError((number, "no")), NoRoute, Reason.NO_ROUTE, id=f"row 54: {n}"
            )
            for n, number in {
                "ENETUNREACH": errno.ENETUNREACH,
                "EHOSTUNREACH": errno.EHOSTUNREACH,
                "ENETDOWN": errno.ENETDOWN,
                "EHOSTDOWN": errno.EHOSTDOWN,
                "EPERM, a firewall": errno.EPERM,
                "EACCES, a firewall": errno.EACCES,
                "EINVAL, a loopback source": errno.EINVAL,
            }.items()
        ),
        pytest.param(
            trouble.ConnectBindError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
            SourceUnavailable,
            Reason.SOURCE_UNAVAILABLE,
            id="row 55",
        ),
        pytest.param(
            trouble.ConnectBindError(errno.EACCES, "Permission denied"),
            SourceUnavailable,
            Reason.SOURCE_UNAVAILABLE,
            id="row 55: the source may not be bound",
        ),
        pytest.param(
            trouble.ConnectBindError(errno.EADDRINUSE, "Address already in use"),
            LocalExhaustion,
            Reason.INTERNAL_ERROR,
            id="row 56: at bind",
        ),
        pytest.param(
            trouble.getConnectError((errno.EADDRNOTAVAIL, "Cannot assign requested address")),
            LocalExhaustion,
            Reason.INTERNAL_ERROR,
            id="row 56: at connect",
        ),
        pytest.param(
            trouble.getConnectError((errno.EADDRINUSE, "Address already in use")),
            LocalExhaustion,
            Reason.INTERNAL_ERROR,
            id="row 56: at connect, other systems",
        ),
        pytest.param(
            trouble.ConnectBindError(errno.EMFILE, "Too many open files"),
            LocalExhaustion,
            Reason.INTERNAL_ERROR,
            id="row 58: at socket",
        ),
        pytest.param(
            trouble.getConnectError((errno.ENOBUFS, "No buffer space available")),
            LocalExhaustion,
            Reason.INTERNAL_ERROR,
            id="row 58: at connect",
        ),
        pytest.param(
            trouble.getConnectError((errno.ECONNRESET, "Connection reset by peer")),
            SessionLost,
            Reason.CONNECTION_LOST,
            id="row 40",
        ),
        pytest.param(trouble.UserError(), SessionLost, Reason.CONNECTION_LOST, id="disconnected"),
    ],
)
def test_what_an_end_is_called(
    reason: Exception, kind: type[SessionError], outcome: Reason
) -> None:
    error = Dial().fails(reason)
    assert type(error) is kind
    assert error.reason is outcome
    assert (error.host, error.stage, error.replies) == (EXCHANGER, Stage.CONNECT, ())
    assert str(error).startswith(f"{EXCHANGER}: ")
    assert not str(error).endswith(".")


@pytest.mark.parametrize(
    "reason",
    [
        trouble.ConnectBindError(errno.EADDRINUSE, "Address already in use"),
        trouble.getConnectError((errno.EADDRNOTAVAIL, "Cannot assign requested address")),
        trouble.getConnectError((errno.EADDRINUSE, "Address already in use")),
    ],
    ids=["by another program", "by another session", "by another session, other systems"],
)
def test_a_fixed_port_that_is_taken_is_the_sources_trouble(reason: Exception) -> None:
    error = Dial(FIXED).fails(reason)
    assert type(error) is SourceUnavailable
    assert error.text.startswith("source 198.51.100.1 port 2525: ")


def test_only_a_fixed_port_leaves_the_end_to_the_exchanger() -> None:
    for source, closes_last in ((SOURCE, False), (FIXED, True)):
        dial = Dial(source)
        dial.stands()
        dial.server(b"220 mx.example.net")
        outcome_of(dial.session.quit())
        dial.server(b"221 Bye")
        assert dial.transport.disconnecting is not closes_last
        dial.session.connectionLost(Failure(trouble.ConnectionDone()))


def test_trouble_of_the_source_names_it() -> None:
    error = Dial().fails(trouble.ConnectBindError(errno.EADDRNOTAVAIL, "Cannot assign"))
    assert "source 198.51.100.1" in str(error)


def test_a_timeout_says_how_long_it_was() -> None:
    error = Dial(timeout=7.5).fails(trouble.TimeoutError())
    assert str(error) == f"{EXCHANGER}: no connection within 7.5 s"


def test_what_is_no_connection_error_comes_as_it_is() -> None:
    """Whoever waits hears of it; it would else be logged somewhere, and the wait never end."""
    assert isinstance(Dial().fails(TypeError("what?")), TypeError)


# --- When the connection stands ----------------------------------------------------------------


def test_it_fires_when_the_greeting_was_read() -> None:
    dial = Dial(max_recipients=7)
    dial.stands()
    assert dial.results == []
    dial.server(b"220-mx.example.net")
    assert dial.results == []
    dial.server(b"220 ESMTP")
    (session,) = dial.results
    assert session.greeting.code == 220
    assert session.factory is dial.factory
    assert session.recipients_left == 7
    outcome_of(session.helo())
    assert session.transport.value() == b"EHLO probe1.example.org\r\n"


def test_it_fires_with_a_greeting_that_says_no_too() -> None:
    dial = Dial()
    dial.stands()
    dial.server(b"554 no")
    assert dial.results[0].greeting.code == 554


def test_no_greeting() -> None:
    dial = Dial()
    dial.stands()
    dial.reactor.advance(60)
    assert isinstance(dial.results[0], ReplyTimeout)
    assert dial.transport.disconnected


def test_no_smtp() -> None:
    dial = Dial()
    dial.stands()
    dial.server(b"SSH-2.0-OpenSSH_9.2")
    assert isinstance(dial.results[0], ProtocolViolation)


def test_the_connection_ends_without_a_greeting() -> None:
    """Row 40."""
    dial = Dial()
    dial.stands()
    dial.session.connectionLost(Failure(trouble.ConnectionLost()))
    (error,) = dial.results
    assert isinstance(error, SessionLost)
    assert error.stage is Stage.GREETING


# --- Cancelled ---------------------------------------------------------------------------------


def test_cancelling_stops_dialling() -> None:
    dial = Dial()
    dial.attempt.cancel()
    assert isinstance(dial.results[0], CancelledError)
    connector = dial.reactor.connectors[0]
    assert connector.stoppedConnecting
    dial.factory.clientConnectionFailed(connector, Failure(trouble.UserError()))
    assert len(dial.results) == 1


def test_cancelling_while_the_greeting_is_awaited() -> None:
    dial = Dial()
    dial.stands()
    dial.attempt.cancel()
    assert isinstance(dial.results[0], CancelledError)
    assert dial.transport.disconnected
    assert dial.reactor.getDelayedCalls() == []


def test_cancelling_after_the_greeting_changes_nothing() -> None:
    dial = Dial()
    dial.stands()
    dial.server(b"220 mx.example.net")
    dial.attempt.cancel()
    assert not dial.transport.disconnected
    assert len(dial.results) == 1


@pytest.mark.parametrize("stands", [True, False])
def test_the_end_of_what_it_came_to(stands: bool) -> None:
    dial = Dial()
    if stands:
        dial.stands()
    ended = outcome_of(dial.factory.closed())
    assert ended == ([] if stands else [None])
    if stands:
        dial.session.connectionLost()
        assert ended == [None]
        assert isinstance(dial.results[0], SessionLost)


# --- What cannot be meant ----------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-1, 0, float("nan"), float("inf"), "30", None, True])
def test_a_timeout_that_is_none(seconds: Any) -> None:
    with pytest.raises(ValueError, match="timeout connect = "):
        ProbeFactory(SOURCE, timeout=seconds)
    with pytest.raises(ValueError, match="timeout greeting = "):
        ProbeFactory(SOURCE, timeout=Timeouts(greeting=seconds))


def test_timeouts_that_may_be_nothing() -> None:
    assert ProbeFactory(SOURCE, timeout=Timeouts(quit=0, recipient=0)).timeouts.quit == 0


@pytest.mark.parametrize("number", [-1, 1.5, "100", None, True])
def test_a_number_of_recipients_that_is_none(number: Any) -> None:
    with pytest.raises(ValueError, match=f"max_recipients {number!r}: it is no whole number"):
        ProbeFactory(SOURCE, max_recipients=number)


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999, 25.0, "25", None])
def test_a_port_that_is_none(port: Any) -> None:
    factory = ProbeFactory(SOURCE)
    with pytest.raises(ValueError, match=f"port {port!r}: it is no whole number"):
        factory.connect(MemoryReactorClock(), "192.0.2.25", port)
    # Nothing was begun.
    factory.connect(MemoryReactorClock(), "192.0.2.25", 25)
