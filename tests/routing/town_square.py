"""A town without a network: exchangers, names and time in memory, and a prober among them.

`Square` is the reactor: connections are pipes between protocols, and a test that waits for an
outcome lets as much time pass as that takes.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from twisted_probe.routing.names import MailExchanger, NameTrouble, NoSuchName
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.temper import Temper
from twisted_probe.sandbox.zone import Found, Names, Trouble, Zone
from twisted_probe.vocabulary.source import Source

Result = TypeVar("Result")

#: A moment to begin at: 2027-01-15T08:00:00Z.
START = 1_800_000_000.0

#: Where exchangers live here. Nobody dials it without being allowed to.
NETWORKS = ("192.0.2.0/24", "2001:db8:25::/48")

ONE = Source("198.51.100.1", helo="probe1.example.org")
TWO = Source("198.51.100.2", helo="probe2.example.org")
THREE = Source("198.51.100.3", helo="probe3.example.org")
SIX = Source("2001:db8:1::1", helo="probe6.example.org")

REVERSE_PATH = "probe@example.org"

#: What becomes of a connection attempt where nobody lives.
REFUSED = error.ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

#: What becomes of one from an address that this machine has not.
UNPLUMBED = error.ConnectBindError(errno.EADDRNOTAVAIL, "Cannot assign requested address")


@frozen
class Dial:
    """One connection attempt: whom, at which port, from which address."""

    host: str
    port: int
    source: str


class Square(Clock):
    """A reactor whose network is in memory.

    `houses` says who lives at an address: an exchanger, or an error that connecting ends with;
    at any other address nobody ever answers, and nobody is reached from an `unplumbed` source.
    `dials` has the connection attempts, `open` is the number of connections. Whatever goes over the
    network takes `latency` seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.advance(START)
        self.houses: dict[str, ExchangerFactory | Exception] = {}
        self.unplumbed: set[str] = set()
        self.dials: list[Dial] = []
        self.open = 0
        self.latency = 0.0

    def settle(self, address: str, temper: Temper, name: str = "mx.example.net") -> Any:
        """Put up an exchanger; returns its record."""
        house = self.houses[address] = ExchangerFactory(self, temper, name)
        return house.record

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] = ("", 0),
    ) -> _Connector:
        self.dials.append(Dial(host, port, bindAddress[0]))
        return _Connector(self, host, factory, timeout, bindAddress[0])

    def wait(self, awaited: Deferred[Result]) -> Result:
        """Let time pass until `awaited` fires; its result."""
        results: list[Any] = []
        awaited.addBoth(results.append)
        while not results:
            assert self.getDelayedCalls(), "nothing will ever come of it"
            self.step()
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: Result = results[0]
        return result

    def step(self) -> None:
        """Let time pass until the next thing happens."""
        due = min(call.getTime() for call in self.getDelayedCalls())
        self.advance(max(0.0, due - self.seconds()))

    def turn(self) -> None:
        """Let everything happen that needs no time."""
        while any(call.getTime() <= self.seconds() for call in self.getDelayedCalls()):
            self.advance(0)

    @property
    def dialled(self) -> list[str]:
        """The hosts that were dialled, in order."""
        return [dial.host for dial in self.dials]

    @property
    def sources(self) -> list[str]:
        """The addresses that the attempts left from, in order."""
        return [dial.source for dial in self.dials]


class _Connector:
    """One attempt, which is decided in a later turn of the reactor."""

    def __init__(
        self, square: Square, host: str, factory: Any, timeout: float, source: str
    ) -> None:
        self._square = square
        self._host = host
        self._factory = factory
        self._source = source
        house = square.houses.get(host)
        if source in square.unplumbed:
            self._call = square.callLater(0, self._fail, UNPLUMBED)
        elif isinstance(house, ExchangerFactory):
            self._call = square.callLater(square.latency, self._connect, house)
        elif house is None:
            self._call = square.callLater(timeout, self._fail, error.TimeoutError())
        else:
            self._call = square.callLater(square.latency, self._fail, house)

    def stopConnecting(self) -> None:
        self._call.cancel()
        self._fail(error.UserError())

    def _fail(self, why: Exception) -> None:
        self._factory.clientConnectionFailed(self, Failure(why))

    def _connect(self, house: ExchangerFactory) -> None:
        here = IPv4Address("TCP", self._source, 40000 + len(self._square.dials))
        there = IPv4Address("TCP", self._host, 25)
        client = self._factory.buildProtocol(there)
        server: Any = house.buildProtocol(here)
        ends = _End(self._square, client, here, there), _End(self._square, server, there, here)
        ends[0].other, ends[1].other = ends[1], ends[0]
        self._square.open += 1
        client.makeConnection(ends[0])
        server.makeConnection(ends[1])


class _End:
    """One end of a connection: the transport of its protocol, which may begin TLS."""

    other: _End

    def __init__(self, square: Square, protocol: Any, host: IPv4Address, peer: IPv4Address) -> None:
        self._square = square
        self._protocol = protocol
        self._host = host
        self._peer = peer
        self._is_open = True
        self._reads = True
        self._encrypted: TLSMemoryBIOProtocol | None = None
        self.disconnecting = False

    def getHost(self) -> IPv4Address:
        return self._host

    def getPeer(self) -> IPv4Address:
        return self._peer

    def write(self, data: bytes) -> None:
        if self._encrypted is not None:
            self._encrypted.write(data)
        else:
            self.send(data)

    def send(self, data: bytes) -> None:
        """Octets as they are."""
        if not self.disconnecting:
            self._square.callLater(self._square.latency, self.other._receive, data)

    def startTLS(self, maker: Any) -> None:
        is_client = IOpenSSLClientConnectionCreator.providedBy(maker)
        factory = TLSMemoryBIOFactory(maker, is_client, Factory(), self._square)
        self._encrypted = TLSMemoryBIOProtocol(factory, self._protocol, False)
        self._protocol, transport = self._encrypted, _Plain(self)
        self._encrypted.makeConnection(transport)

    def pauseProducing(self) -> None:
        self._reads = False

    def loseConnection(self) -> None:
        if self._encrypted is not None:
            self._encrypted.loseConnection()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection as it is."""
        self.disconnecting = True
        self._square.callLater(0, self._part, error.ConnectionDone(), error.ConnectionDone())

    def abortConnection(self) -> None:
        self.disconnecting = True
        self._square.callLater(0, self._part, error.ConnectionAborted(), error.ConnectionLost())

    def _receive(self, data: bytes) -> None:
        if self._is_open and self._reads:
            self._protocol.dataReceived(data)

    def _part(self, ours: Exception, theirs: Exception) -> None:
        if self._is_open:
            self._square.open -= 1
            self._end(ours)
            self.other._end(theirs)

    def _end(self, reason: Exception) -> None:
        self._is_open = False
        self._protocol.connectionLost(Failure(reason))


class _Plain:
    """What an end's TLS has for a transport."""

    def __init__(self, end: _End) -> None:
        self._end = end
        self.loseConnection, self.abortConnection = end.close, end.abortConnection
        self.write = end.send

    def writeSequence(self, pieces: Sequence[bytes]) -> None:
        self._end.send(b"".join(pieces))


class Book:
    """`Names` out of a zone in memory; `asked` has the questions.

    A name with `Trouble.SILENCE` is never answered: the test says when, with `answers`.
    """

    def __init__(self, names: Names) -> None:
        self._zone = Zone(names)
        self.asked: list[tuple[str, str]] = []
        self.silent: list[Deferred[Any]] = []

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        def of_words(preference: str, name: str) -> MailExchanger:
            return MailExchanger(int(preference), name.rstrip("."))

        return self._answer(domain, "MX", of_words)

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        return self._answer(name, "A" if family == 4 else "AAAA", str)

    def _answer(self, name: str, type_: str, of_words: Any) -> Deferred[Any]:
        self.asked.append((name, type_))
        found: Found = self._zone.find(name, type_)
        if found.trouble is Trouble.SILENCE:
            self.silent.append(Deferred())
            return self.silent[-1]
        if found.trouble is not None:
            return fail(NameTrouble(f"{name}: no usable answer"))
        if not found.exists:
            return fail(NoSuchName(name))
        return succeed([of_words(*r.words) for r in found.answers if r.type == type_])


@frozen
class Town:
    """A square, its names and a prober in it."""

    square: Square
    book: Book
    prober: Prober
    memory: Any = field(default=None)


def unshuffled(*names: Any) -> None:
    """A shuffle that leaves equals as they were."""


def prober_in(square: Square, book: Book, **options: Any) -> Prober:
    """A prober in the town; the sources are one and two, the pace is not held back."""
    settings: dict[str, Any] = {
        "sources": [ONE, TWO],
        "reverse_path": REVERSE_PATH,
        "names": book,
        "allow_networks": NETWORKS,
        "limits": Limits(starts_per_second=1000.0, first_sessions=4),
        "rng": random.Random(25),
        **options,
    }
    return Prober(square, **settings)


@contextmanager
def town(names: Names, **options: Any) -> Iterator[Town]:
    """A town with these names; nothing may be left when it ends."""
    square, book = Square(), Book(names)
    yield Town(square, book, prober_in(square, book, **options), options.get("memory"))
    square.advance(square.latency)  # what is on its way arrives at nobody
    square.turn()
    assert not square.getDelayedCalls(), "left behind"
    assert square.open == 0, "connections are left open"
