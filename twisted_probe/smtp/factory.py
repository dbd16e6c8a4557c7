"""One connection attempt from a chosen source: `ProbeFactory`.

Knows how an attempt can end before the greeting, and what each end is called; not whom to
connect to (`routing`).
"""

from __future__ import annotations

import errno
from ipaddress import ip_address
from math import isfinite
from typing import Any

from attrs import asdict
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectBindError, ConnectError
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.interfaces import IAddress, IConnector, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from twisted_probe.smtp.connector import dial
from twisted_probe.smtp.errors import (
    ConnectTimeout,
    LocalExhaustion,
    Misuse,
    NoRoute,
    Refused,
    SessionError,
    SessionLost,
    SourceUnavailable,
)
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, MAX_RECIPIENTS, Timeouts
from twisted_probe.smtp.protocol import ProbeProtocol, Transcript
from twisted_probe.vocabulary.exchanger import SMTP_PORT
from twisted_probe.vocabulary.source import Source

_NO_ROUTE = frozenset(
    (
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        # A local firewall's REJECT.
        errno.EACCES,
        errno.EPERM,
        # A loopback source, and an exchanger that is elsewhere.
        errno.EINVAL,
    )
)
#: What a machine says that has no file descriptor or memory left for another socket.
EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN))

#: What may be no time at all.
_MAY_BE_ZERO = ("quit", "recipient")


def _check_seconds(name: str, seconds: Any) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not isfinite(seconds) or seconds < 0:
        raise ValueError(f"timeout {name} = {seconds!r}: it is no number of seconds to wait")
    if seconds == 0 and name not in _MAY_BE_ZERO:
        raise ValueError(f"timeout {name} = 0: nothing would ever be answered")


class ProbeFactory(ClientFactory):
    """A factory for one attempt to talk to one exchanger from `source`.

    `timeout` is one number of seconds for connecting and for every step, or a `Timeouts`;
    `max_recipients` the number of RCPT commands allowed (0: no limit); `transcript` is called
    with each line of the dialogue, as `ProbeProtocol` has it. Raises ValueError, naming it, for a
    timeout that is no time to wait and a number of recipients that is none.
    """

    noisy = False

    def __init__(
        self,
        source: Source,
        timeout: float | Timeouts = DEFAULT_TIMEOUTS,
        max_recipients: int = MAX_RECIPIENTS,
        transcript: Transcript | None = None,
    ) -> None:
        self.source = source
        self.timeouts = timeout if isinstance(timeout, Timeouts) else Timeouts.flat(timeout)
        for name, seconds in asdict(self.timeouts).items():
            _check_seconds(name, seconds)
        if type(max_recipients) is not int or max_recipients < 0:
            raise ValueError(f"max_recipients {max_recipients!r}: it is no whole number from 0 on")
        self.max_recipients = max_recipients
        self.transcript = transcript
        self._clock: IReactorTime | None = None
        self._attempt: Deferred[ProbeProtocol] | None = None
        self._session: ProbeProtocol | None = None
        self._connector: IConnector | None = None
        self._host = ""

    def connect(
        self,
        reactor: IReactorTCP,
        host: str,
        port: int = SMTP_PORT,
    ) -> Deferred[ProbeProtocol]:
        """Connect to the literal address `host` and read the greeting.

        Fires with a `ProbeProtocol` whose `greeting` was read, whatever it says. Errbacks with
        ConnectTimeout, Refused, NoRoute, SourceUnavailable (the source is not on this machine, is
        of the other family, or its fixed port is taken; no other is tried), LocalExhaustion, or,
        when the connection stood, SessionLost, ReplyTimeout or ProtocolViolation. Cancelling
        aborts. A second call raises Misuse, since one factory is one attempt; a host that is no
        literal, or a port that is none, ValueError.
        """
        if type(port) is not int or not 0 < port < 65536:
            raise ValueError(f"port {port!r}: it is no whole number between 1 and 65535")
        if self._host:
            raise Misuse("a ProbeFactory makes one attempt; make another one for the next")
        self._clock = IReactorTime(reactor)
        self._host = host
        attempt = self._attempt = Deferred(self._cancelled)
        if ip_address(host).version != self.source.family:
            # Twisted would raise TypeError out of connectTCP for a v6 source and a v4 host.
            return fail(
                SourceUnavailable(
                    f"the source {self.source.address} is of the other address family", host=host
                )
            )
        self._connector = dial(
            reactor, host, port, self, source=self.source, timeout=self.timeouts.connect
        )
        return attempt

    def closed(self) -> Deferred[None]:
        """Fires once the connection that the attempt came to has ended; at once when it came to
        none. Cancelling ends the waiting only."""
        return succeed(None) if self._session is None else self._session.closed()

    def buildProtocol(self, addr: IAddress | None) -> ProbeProtocol:
        """The session of this attempt."""
        assert self._clock is not None
        session = ProbeProtocol(
            clock=self._clock,
            helo=self.source.helo,
            timeouts=self.timeouts,
            max_recipients=self.max_recipients,
            transcript=self.transcript,
            closes_last=self.source.port != 0,
        )
        session.factory = self
        self._session = session
        session.greeted.addCallbacks(self._greeted, self._failed)
        return session

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """The attempt ended before a connection stood."""
        trouble = reason.value
        self._failed(self._error(trouble) if isinstance(trouble, ConnectError) else reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """The connection has ended; one that never became a session left from elsewhere."""
        if self._session is None:
            words = f"source {self.source.address}: the kernel would send from another address"
            self._failed(Failure(SourceUnavailable(words, host=self._host)))
        # What has ended is not held in a circle: it is gone without the garbage collector.
        self._session = self._connector = None

    def _error(self, trouble: ConnectError) -> SessionError:
        number = trouble.osError
        words = str(trouble).rstrip(".")
        kind: type[SessionError]
        if isinstance(trouble, ConnectTimedOut) or number == errno.ETIMEDOUT:
            kind, words = ConnectTimeout, f"no connection within {self.timeouts.connect:g} s"
        elif number in EXHAUSTED:
            kind = LocalExhaustion
        elif isinstance(trouble, ConnectBindError):
            kind, words = self._unbindable(number), f"{self._who}: {words}"
        elif number in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            # The address was bound; what connect() lacked is a port.
            kind = LocalExhaustion
            if self.source.port:
                kind = SourceUnavailable
                words = f"{self._who}: it has a session with this exchanger, or had one just now"
        elif number in _NO_ROUTE:
            kind = NoRoute
        elif number == errno.ECONNREFUSED:
            kind = Refused
        else:
            kind = SessionLost
        return kind(words, host=self._host)

    @property
    def _who(self) -> str:
        port = f" port {self.source.port}" if self.source.port else ""
        return f"source {self.source.address}{port}"

    def _unbindable(self, number: int | None) -> type[SessionError]:
        if number == errno.EADDRINUSE and not self.source.port:
            return LocalExhaustion
        return SourceUnavailable

    def _greeted(self, session: ProbeProtocol) -> None:
        assert self._attempt is not None
        self._attempt.callback(session)

    def _failed(self, failure: Failure | SessionError) -> None:
        if self._attempt is not None:
            self._attempt.errback(failure)

    def _cancelled(self, attempt: Deferred[ProbeProtocol]) -> None:
        # Whoever cancels hears CancelledError from the attempt itself, not what it leads to.
        self._attempt = None
        if self._session is not None:
            self._session.greeted.cancel()
        else:
            assert self._connector is not None
            self._connector.stopConnecting()
