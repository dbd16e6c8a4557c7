"""A session without a socket: what the server says, what the client said, and a clock.

Knows the transport and the time of one `ProbeProtocol`; the test is the exchanger.
"""
# mypy: allow-untyped-calls
# Neither LineReceiver nor StringTransport has annotations.

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.vocabulary.exchanger import SMTP_PORT

#: Who is at both ends, unless the test says otherwise.
HELO = "probe1.example.org"
HOST = "192.0.2.25"

_FORBIDDEN = re.compile(rb"^\s*(?:DATA|BDAT|VRFY)", re.IGNORECASE | re.MULTILINE)

_Wire = TypeVar("_Wire", bound="Wire")


class Wire:
    """One session whose exchanger is the test::

        wire = Wire()
        wire.server("220 mx.example.net ESMTP")
        reply = wire.session.helo()
        wire.client("EHLO probe1.example.org")
        wire.server("250-mx.example.net", "250 PIPELINING")

    `session` is a `ProbeProtocol`; one is made, with the `options` of that class, where none is
    given. `clock` is its clock and moves by `seconds_pass` alone. `host` is the exchanger's
    address.
    """

    def __init__(
        self,
        session: ProbeProtocol | None = None,
        *,
        clock: Clock | None = None,
        host: str = HOST,
        **options: Any,
    ) -> None:
        self.clock = Clock() if clock is None else clock
        self.transport = WireTransport(self, host)
        self.source: str | None = None
        if session is None:
            session = ProbeProtocol(clock=self.clock, **{"helo": HELO, **options})
        self.session = session
        session.makeConnection(self.transport)

    @classmethod
    def taking(cls: type[_Wire], reactor: MemoryReactorClock, number: int = -1) -> _Wire:
        """Let a connection attempt come about that was made with Twisted's `MemoryReactorClock`:
        the last one, or that of this `number`. `source` is the address that it left from::

            reactor = MemoryReactorClock()
            connecting = ProbeFactory(source).connect(reactor, "192.0.2.25")
            wire = Wire.taking(reactor)
            wire.server("220 mx.example.net ESMTP")  # `connecting` fires
        """
        attempt: Any = reactor.tcpClients[number]
        host, port, factory, _, bind_address = attempt
        wire = cls(factory.buildProtocol(_address(host, port)), clock=reactor, host=host)
        wire.source = bind_address[0] if bind_address else None
        return wire

    def server(self, *lines: str | bytes) -> None:
        """The server says these lines, in one packet."""
        self.feed(b"".join((x if isinstance(x, bytes) else x.encode()) + b"\r\n" for x in lines))

    def feed(self, *packets: bytes) -> None:
        """The server sends these packets, with line ends or without."""
        for packet in packets:
            self.session.dataReceived(packet)
        self.clock.advance(0)

    def client(self, *lines: str) -> None:
        """The client has said exactly these lines since it was last asked, or AssertionError."""
        said = self.client_said()
        if said != list(lines):
            raise AssertionError(f"the client said {said}, not {list(lines)}")

    def client_said(self) -> list[str]:
        """What the client has said since it was last asked, line by line."""
        said: str = self.transport.value().decode()
        self.transport.clear()
        *lines, rest = said.split("\r\n")
        if rest:
            raise AssertionError(f"the client's last line has no end: {rest!r}")
        return lines

    def seconds_pass(self, seconds: float) -> None:
        """Time passes; what this ends is told in the same moment."""
        self.clock.advance(seconds)
        self.clock.advance(0)

    def encrypts(self) -> None:
        """The server makes the handshake that the client has asked for; nothing is encrypted."""
        if self.transport.handshake is None:
            raise AssertionError("the client has not asked for a handshake")
        self.session.handshakeCompleted()

    def closes(self, reason: type[Exception] = ConnectionDone) -> None:
        """The server closes the connection."""
        if not self.transport.gone:
            self.transport.gone = True
            self.session.connectionLost(Failure(reason()))

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return not self.transport.gone

    @property
    def is_cut(self) -> bool:
        """Whether this side has aborted."""
        return self.transport.aborted

    @property
    def timers(self) -> int:
        """The timers that are set now."""
        return len(self.clock.getDelayedCalls())


class WireTransport(StringTransport):
    """A StringTransport that tells its protocol of the end, as a real one does.

    DATA, BDAT and VRFY, which no prober says, raise AssertionError. With `is_stuck` the peer
    reads nothing, so that an orderly end never comes.
    """

    def __init__(self, wire: Wire, host: str) -> None:
        super().__init__(peerAddress=_address(host, SMTP_PORT))
        self.wire = wire
        self.gone = False
        self.aborted = False
        self.is_stuck = False
        self.handshake: object = None

    def startTLS(self, handshake: object, normal: bool = True) -> None:
        """The client wants a handshake; `Wire.encrypts` says when it is done."""
        self.handshake = handshake

    def write(self, data: bytes) -> None:
        """The client says something."""
        if _FORBIDDEN.search(data):
            raise AssertionError(f"never to be said: {data!r}")
        super().write(data)

    def abortConnection(self) -> None:
        """Cut it."""
        if not self.gone:
            self.aborted = True
            self._end()

    def loseConnection(self) -> None:
        """End it once all is written."""
        self.disconnecting = True
        if not self.is_stuck:
            self._end()

    def _end(self) -> None:
        # A socket tells of its end in a later turn of the reactor, never from within the call.
        self.wire.clock.callLater(0, self.wire.closes)


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def results_of(awaitable: Awaitable[Any]) -> list[Any]:
    """A list that gets the result, or the exception that it ended with, when there is one."""
    results: list[Any] = []
    deferred = awaitable if isinstance(awaitable, Deferred) else _started(awaitable)
    deferred.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results


def _started(awaitable: Awaitable[Any]) -> Deferred[Any]:
    async def run() -> Any:
        return await awaitable

    return Deferred.fromCoroutine(run())
