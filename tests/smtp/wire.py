"""A session without a socket: what the server says, what the client said, and a clock."""
# mypy: allow-untyped-calls

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from twisted_probe.smtp import commands
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.smtp.states import State

HELO = "probe1.example.org"
HOST = "192.168.1.1"  #: where a StringTransport's peer is


class Wire:
    """A `ProbeProtocol` on a `StringTransport`; `options` are the protocol's."""

    def __init__(self, **options: Any) -> None:
        self.clock = _CountingClock()
        self.transport = _Transport()
        self.session = ProbeProtocol(clock=self.clock, helo=HELO, **options)
        self.transport.wire = self
        self.session.makeConnection(self.transport)
        self.greeted = outcome_of(self.session.greeted)

    def server(self, *lines: str | bytes) -> None:
        """The server says these lines, in one packet."""
        self.feed(b"".join((x if isinstance(x, bytes) else x.encode()) + b"\r\n" for x in lines))

    def feed(self, *packets: bytes) -> None:
        """The server sends these packets."""
        for packet in packets:
            self.session.dataReceived(packet)
        self.clock.advance(0)

    def client(self, *lines: str) -> None:
        """The client has said exactly these lines since it was last asked."""
        assert self.client_said() == list(lines)

    def client_said(self) -> list[str]:
        """What the client has said since it was last asked, line by line."""
        said: str = self.transport.value().decode()
        self.transport.clear()
        *lines, rest = said.split("\r\n")
        assert not rest
        return lines

    def seconds_pass(self, seconds: float) -> None:
        """Time passes; what this ends is told in the same moment."""
        self.clock.advance(seconds)
        self.clock.advance(0)

    def closes(self, reason: type[Exception] = ConnectionDone) -> None:
        """The server closes the connection."""
        if not self.transport.gone:
            self.transport.gone = True
            self.session.connectionLost(Failure(reason()))

    @property
    def is_cut(self) -> bool:
        """Whether this side has aborted."""
        return self.transport.aborted

    @property
    def timers(self) -> int:
        """The timers that are set now."""
        return len(self.clock.getDelayedCalls())


_FORBIDDEN = re.compile(rb"^\s*(?:DATA|BDAT|VRFY)", re.IGNORECASE | re.MULTILINE)


class _Transport(StringTransport):
    """A StringTransport that tells its protocol of the end, as a real one does."""

    wire: Wire
    gone = False
    aborted = False
    is_stuck = False  #: the peer reads nothing, so that an orderly end never comes

    def write(self, data: bytes) -> None:
        # Row 120 of cases.md, for every session of these tests.
        assert not _FORBIDDEN.search(data)
        super().write(data)

    def abortConnection(self) -> None:
        if not self.gone:
            self.aborted = True
            self._end()

    def loseConnection(self) -> None:
        self.disconnecting = True
        if not self.is_stuck:
            self._end()

    def _end(self) -> None:
        # A socket tells of its end in a later turn of the reactor, never from within the call.
        self.wire.clock.callLater(0, self.wire.closes)


class _CountingClock(Clock):
    """A clock that knows how many timers were ever set on it."""

    timers_set = 0

    def callLater(self, *args: Any, **kwargs: Any) -> Any:
        self.timers_set += 1
        return super().callLater(*args, **kwargs)


def outcome_of(awaitable: Awaitable[Any]) -> list[Any]:
    """A list that gets the result, or the exception that it ended with."""
    results: list[Any] = []
    deferred = awaitable if isinstance(awaitable, Deferred) else _started(awaitable)
    deferred.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results


def _started(awaitable: Awaitable[Any]) -> Deferred[Any]:
    async def run() -> Any:
        return await awaitable

    return Deferred.fromCoroutine(run())


def greeted(**options: Any) -> Wire:
    """A session that was greeted."""
    wire = Wire(**options)
    wire.server("220 mx.example.net ESMTP")
    assert wire.greeted == [wire.session]
    return wire


def ready(*keywords: str, **options: Any) -> Wire:
    """A session that has said EHLO to a server with these keywords."""
    wire = greeted(**options)
    done = outcome_of(wire.session.helo())
    wire.client(f"EHLO {HELO}")
    lines = ["mx.example.net", *keywords]
    wire.server(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")
    assert done[0].code == 250
    return wire


def in_transaction(*keywords: str, **options: Any) -> Wire:
    """A session whose MAIL was accepted."""
    wire = ready(*keywords, **options)
    done = outcome_of(wire.session.mail(""))
    wire.client("MAIL FROM:<>")
    wire.server("250 2.1.0 Ok")
    assert done[0].code == 250
    return wire


def dismissed(**options: Any) -> Wire:
    """A session whose greeting said no."""
    wire = Wire(**options)
    wire.server("554 mx.example.net No SMTP service here")
    return wire


def closed(**options: Any) -> Wire:
    """A session that has said QUIT and got its answer."""
    wire = greeted(**options)
    done = outcome_of(wire.session.command(b"QUIT"))
    wire.client("QUIT")
    wire.server("221 Bye")
    assert done[0].code == 221
    return wire


#: How a session gets into each state.
IN_STATE = {
    State.CONNECTED: Wire,
    State.GREETED: greeted,
    State.READY: ready,
    State.TRANSACTION: in_transaction,
    State.DISMISSED: dismissed,
    State.CLOSED: closed,
}


def rcpt(name: str) -> Command:
    """RCPT for a mailbox of example.net."""
    return commands.Command(f"RCPT TO:<{name}@example.net>".encode())
