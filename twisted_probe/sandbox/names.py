"""A name server: speaks a zone over UDP and TCP, with authority.

Knows the messages of the DNS; what the answers are is `zone`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress
from twisted.names import dns
from twisted.names.server import DNSServerFactory

from twisted_probe.sandbox.guests import Guests
from twisted_probe.sandbox.zone import Found, Names, ResourceRecord, Trouble, Zone

#: Seconds that an answer may be cached; a sandbox does not last.
TTL = 60

#: Bytes of a UDP answer without EDNS (RFC 1035 section 2.3.4); what is longer comes by TCP.
MAX_DATAGRAM = 512


@frozen
class Question:
    """One question that was asked: the name as it came, the type, and by which transport."""

    name: str
    type: str
    tcp: bool


class NameServer(DNSServerFactory):
    """A name server of the whole tree of names, of which it holds those in `names`.

    NXDOMAIN and empty answers come with a start of authority and the AA bit; names are equal
    whatever their case. It is the factory of its TCP sessions; `datagrams()` is the protocol for
    UDP. `questions` has what was asked, in order.

    Raises ZoneError for a record that cannot be read.
    """

    noisy = False

    def __init__(self, names: Names, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.zone = Zone(names)
        self.questions: list[Question] = []
        self.guests = Guests()
        self._reactor = reactor

    def datagrams(self) -> dns.DNSDatagramProtocol:
        """The protocol for a UDP port."""
        protocol = dns.DNSDatagramProtocol(self, self._reactor)
        protocol.noisy = False
        return protocol

    def buildProtocol(self, addr: IAddress | None) -> dns.DNSProtocol:
        """A TCP session."""
        return dns.DNSProtocol(self, self._reactor)

    def connectionMade(self, protocol: dns.DNSProtocol) -> None:
        """A TCP session begins."""
        self.guests.arrive(protocol)

    def connectionLost(self, protocol: dns.DNSProtocol) -> None:
        """It ends."""
        self.guests.leave(protocol)

    def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> None:
        """Answer the first question of the message; `address` is None for TCP."""
        query = message.queries[0]
        name = query.name.name.decode("ascii", "backslashreplace")
        type_ = dns.QUERY_TYPES.get(query.type) or dns.EXT_QUERIES.get(query.type, "")
        type_ = "ANY" if query.type == dns.ALL_RECORDS else type_
        self.questions.append(Question(name, type_, tcp=address is None))
        found = self.zone.find(name, type_)
        if found.trouble is Trouble.SILENCE:
            return
        response = _response(message, found)
        if address is None:
            protocol.writeMessage(response)
            return
        if len(response.toStr()) > MAX_DATAGRAM:
            response = _response(message, Found())
            response.authority = []
            response.trunc = 1
        protocol.writeMessage(response, address)


def _response(message: dns.Message, found: Found) -> dns.Message:
    code = dns.OK if found.exists else dns.ENAME
    if found.trouble is not None:
        code = dns.ESERVER
    response = dns.Message(
        message.id,
        answer=1,
        opCode=message.opCode,
        recDes=message.recDes,
        auth=found.trouble is None,
        rCode=code,
        maxSize=0,
    )
    response.queries = message.queries
    response.answers = [_header(record.owner, _payload(record)) for record in found.answers]
    if not found.answers and found.trouble is None:
        response.authority = [_header("", _start_of_authority())]
    return response


def _header(owner: str, payload: Any) -> dns.RRHeader:
    return dns.RRHeader(owner.encode("ascii"), payload.TYPE, dns.IN, TTL, payload, auth=True)


def _payload(record: ResourceRecord) -> Any:
    return _PAYLOADS[record.type](*record.words)


def _mx(preference: str, name: str) -> Any:
    # The root, of a null MX, is a name without labels.
    return dns.Record_MX(int(preference), name.rstrip("."))


def _txt(*words: str) -> Any:
    # RFC 1035 section 3.3: one string has at most 255 octets.
    text = " ".join(words).encode("ascii")
    return dns.Record_TXT(*(text[start : start + 255] for start in range(0, len(text), 255)))


def _start_of_authority() -> Any:
    # RFC 2308: the last number is how long a "no" may be kept.
    return dns.Record_SOA("names.invalid", "hostmaster.invalid", 1, 3600, 600, 86400, TTL)


_PAYLOADS: dict[str, Callable[..., Any]] = {
    "MX": _mx,
    "A": dns.Record_A,
    "AAAA": dns.Record_AAAA,
    "CNAME": dns.Record_CNAME,
    "NS": dns.Record_NS,
    "PTR": dns.Record_PTR,
    "TXT": _txt,
}
