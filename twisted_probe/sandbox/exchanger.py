"""An exchanger on the wire: bytes in, answers out, in order and at their time.

Knows the transport and the clock; what is answered is `visit`'s and the temper's affair.
Commands that come in one piece are answered one by one, whether PIPELINING was offered or not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Any, cast

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IPushProducer,
    IReactorTime,
    ITLSTransport,
)
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_probe.sandbox.answers import Answer, Then, answer_of, wire
from twisted_probe.sandbox.certificates import Certificate
from twisted_probe.sandbox.guests import Guests
from twisted_probe.sandbox.record import Exchange, Record, SessionRecord
from twisted_probe.sandbox.temper import Temper
from twisted_probe.sandbox.visit import CONNECTION, Command, Visit

#: Commands held while an answer is due, per session. A prober's largest group is far smaller.
MAX_WAITING = 10_000


class ExchangerProtocol(LineReceiver):
    """One session of an exchanger."""

    # Bare LF ends a line too; what is said is what came before the CR.
    delimiter = b"\n"
    # Bytes; Postfix reads 2048 of a line (line_length_limit).
    MAX_LENGTH = 2048

    def __init__(self, exchanger: ExchangerFactory) -> None:
        self._exchanger = exchanger
        self._waiting: deque[tuple[Command, Exchange]] = deque()
        self._steps: Iterator[bytes | float] | None = None
        self._pause: IDelayedCall | None = None
        self._over = False
        # Whether the next line came in one piece with the line before it.
        self._follows = False

    @property
    def _line(self) -> ITLSTransport:
        return cast(ITLSTransport, self.transport)

    def connectionMade(self) -> None:
        """Greet."""
        peer = self._line.getPeer()
        exchanger = self._exchanger
        exchanger.guests.arrive(self)
        self._session = SessionRecord(peer.host, peer.port, exchanger.clock.seconds())
        exchanger.record.opened(self._session)
        self._visit = Visit(
            exchanger.temper,
            exchanger.name,
            peer.host,
            peer.port,
            exchanger.clock.seconds,
            exchanger.memory,
            number=len(exchanger.record.sessions),
            company=exchanger.record.open,
        )
        self._answer(CONNECTION, None)

    def dataReceived(self, data: bytes) -> None:
        """Take lines, and note which came in one piece."""
        LineReceiver.dataReceived(self, data)
        if b"\n" in data:
            self._follows = not data.endswith(b"\n")

    def lineReceived(self, line: bytes) -> None:
        """Note the command, and answer it when its turn comes."""
        if self._over:
            return
        command = Command.parse(line, early=self._follows or self._busy)
        self._follows = True
        exchange = Exchange(
            command.verb, command.argument, self._exchanger.clock.seconds(), command.early
        )
        self._session.exchanges.append(exchange)
        self._waiting.append((command, exchange))
        if len(self._waiting) > MAX_WAITING:
            self._end(Then.ABORT)
        self._go_on()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Nobody reads that much of a line."""
        self._end(Then.ABORT)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget what was still to be said."""
        self._over = True
        self._waiting.clear()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._exchanger.record.closed(self._session, self._exchanger.clock.seconds())
        self._exchanger.guests.leave(self)

    @property
    def _busy(self) -> bool:
        return self._steps is not None

    def _go_on(self) -> None:
        while self._waiting and not self._busy and not self._over:
            self._answer(*self._waiting.popleft())

    def _answer(self, command: Command, exchange: Exchange | None) -> None:
        answer = self._visit.answer(command)
        said = answer.said(self._visit.places(command))
        self._steps = self._play(answer, said, exchange)
        self._advance()

    def _play(
        self, answer: Answer, said: str, exchange: Exchange | None
    ) -> Iterator[bytes | float]:
        """The steps of an answer, the record of it, and what happens after it."""
        yield from answer.steps(said)
        if exchange is None:
            self._session.greeting = said
        else:
            exchange.reply = said or None
        self._session.helo = self._visit.helo
        if answer.ending is Then.SHAKE:
            self._shake_hands()
        elif answer.ending is not Then.STAY:
            self._end(answer.ending)

    def _advance(self) -> None:
        """Take steps until one is a pause or none is left."""
        for step in self._steps or ():
            if self._over:
                break
            if isinstance(step, bytes):
                self._line.write(step)
            else:
                self._pause = self._exchanger.clock.callLater(step, self._resume)
                return
        self._steps = None

    def _resume(self) -> None:
        self._pause = None
        self._advance()
        self._go_on()

    def _shake_hands(self) -> None:
        """Under TLS from here on; what came before it is not looked at."""
        temper = self._exchanger.temper
        assert temper.tls is not None
        self._waiting.clear()
        self.clearLineBuffer()  # type: ignore[no-untyped-call]
        self._follows = False
        self._line.startTLS(_Showing(temper.tls, self._exchanger.name))
        if temper.unasked is not None:
            self._line.write(wire(answer_of(temper.unasked).said({"host": self._exchanger.name})))

    def _end(self, then: Then) -> None:
        self._over = True
        self._waiting.clear()
        if then is Then.ABORT:
            self._line.abortConnection()
        elif then is Then.DEAF:
            cast(IPushProducer, self._line).pauseProducing()
        else:
            self._line.loseConnection()


@implementer(IOpenSSLServerConnectionCreator)
@frozen
class _Showing:
    """What Twisted wants of an end that shows a certificate."""

    _certificate: Certificate
    _host: str

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._certificate.context(self._host), None)


class ExchangerFactory(ServerFactory):
    """One exchanger: its name, its temper, and the record of what happened at it.

    `clock` is the reactor. `memory` is what its habits remember over sessions, `guests` who is
    there. Listening on a port is the caller's affair.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, temper: Temper, name: str = "mx.example.net") -> None:
        self.clock = clock
        self.temper = temper
        self.name = name
        self.record = Record()
        self.memory: dict[Hashable, Any] = {}
        self.guests = Guests()

    def buildProtocol(self, addr: IAddress | None) -> ExchangerProtocol:
        """A session for this visitor."""
        protocol = ExchangerProtocol(self)
        protocol.factory = self
        return protocol

    def send_away(self) -> Deferred[None]:
        """Abort all sessions; fires when the last one is lost."""
        return self.guests.send_away()
