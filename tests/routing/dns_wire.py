"""Name servers without a network: functions from a question to an answer, on a clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.python.failure import Failure

from twisted_probe.routing.names import DnsNames

SERVERS = ("192.0.2.53", "2001:db8::53")


@frozen
class Asked:
    """One question as it went over the wire."""

    server: str
    name: str
    kind: int
    id: int
    at: float


#: The datagrams that a server sends for a question, in order.
Script = Callable[[dns.Message], Sequence[bytes]]


class Wire(Clock):
    """A reactor at whose other end are name servers: address → script. At an address without one
    nobody is, and an exception is what the network says of it. `asked` has the questions."""

    def __init__(self, servers: dict[str, Script | Exception]) -> None:
        super().__init__()
        self.servers = servers
        self.asked: list[Asked] = []
        self.open = 0

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> _Port:
        assert port == 0
        self.open += 1
        return _Port(self, protocol, interface)

    def wait(self, awaited: Deferred[Any]) -> Any:
        """The result, however long it takes."""
        results: list[Any] = []
        awaited.addBoth(results.append)
        while not results:
            assert self.getDelayedCalls(), "nothing will ever come of it"
            self.advance(min(call.getTime() for call in self.getDelayedCalls()) - self.seconds())
        assert self.open == 0
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    @property
    def order(self) -> list[str]:
        """The servers that were asked, in order."""
        return [asked.server for asked in self.asked]


class _Port:
    """A connected socket."""

    def __init__(self, wire: Wire, protocol: Any, interface: str) -> None:
        self._wire = wire
        self._protocol = protocol
        self._interface = interface
        self._is_open = True

    def connect(self, host: str, port: int) -> None:
        assert (":" in host) is (self._interface == "::")
        self._server = host
        script = self._wire.servers.get(host)
        if isinstance(script, Exception):
            raise script

    def write(self, data: bytes) -> None:
        question = dns.Message()
        question.fromStr(data)
        (query,) = question.queries
        asked = Asked(
            self._server, query.name.name.decode(), query.type, question.id, self._wire.seconds()
        )
        self._wire.asked.append(asked)
        script = self._wire.servers.get(self._server)
        if script is None:
            for _ in range(2):
                self._wire.callLater(0, self._protocol.connectionRefused)
            return
        assert not isinstance(script, Exception)
        for datagram in script(question):
            self._wire.callLater(0, self._arrive, datagram)

    def _arrive(self, datagram: bytes) -> None:
        # What came together is handed over, although the first of it was enough.
        self._protocol.datagramReceived(datagram, (self._server, 53))

    def stopListening(self) -> None:
        assert self._is_open
        self._is_open = False
        self._wire.open -= 1


def silent(question: dns.Message) -> Sequence[bytes]:
    """A server that is there and says nothing."""
    return ()


def saying(
    *answers: dns.RRHeader, code: int = dns.OK, authority: Sequence[dns.RRHeader] = ()
) -> Script:
    """A server that says the same to everybody."""
    return lambda question: [written(question, answers, code, authority)]


def written(
    question: dns.Message,
    answers: Sequence[dns.RRHeader] = (),
    code: int = dns.OK,
    authority: Sequence[dns.RRHeader] = (),
) -> bytes:
    """An answer to a question."""
    message = dns.Message(question.id, answer=1, rCode=code, maxSize=0)
    message.queries = question.queries
    message.answers = list(answers)
    message.authority = list(authority)
    return bytes(message.toStr())


def record(name: str, payload: Any, ttl: int = 300) -> dns.RRHeader:
    """A record in an answer; its type is the payload's."""
    return dns.RRHeader(name.encode(), payload.TYPE, dns.IN, ttl, payload)


def start_of_authority(ttl: int = 300, minimum: int = 300) -> dns.RRHeader:
    """What comes with a "no"."""
    return record("example", dns.Record_SOA("ns.example", "host.example", 1, 2, 3, 4, minimum), ttl)


def names_on(wire: Wire, servers: Sequence[str] = SERVERS[:1]) -> DnsNames:
    """What asks over a wire."""
    return DnsNames(wire, [(server, 53) for server in servers], random.Random(5))
