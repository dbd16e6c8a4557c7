"""Questions to the DNS, and which of its answers can be trusted.

Knows which messages mean an answer, "there is no such name", or trouble; not how a question is
put (`routing.resolver`), nor what the answers mean for mail (`routing.exchangers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.names import dns

from twisted_probe.routing.resolver import NoAnswer, Resolver
from twisted_probe.vocabulary.dns import MailExchanger as MailExchanger
from twisted_probe.vocabulary.dns import NameTrouble as NameTrouble
from twisted_probe.vocabulary.dns import NoSuchName as NoSuchName
from twisted_probe.vocabulary.escaping import decoded, escaped

#: CNAMEs followed by ourselves where a server leaves the chain unfinished.
MAX_CNAMES = 8
#: Characters kept of one TXT record: all that a message of the DNS can hold.
MAX_TXT = 65535
DNS_PORT = 53

_TROUBLES = {
    dns.EFORMAT: "FORMERR",
    dns.ESERVER: "SERVFAIL",
    dns.ENOTIMP: "NOTIMP",
    dns.EREFUSED: "REFUSED",
}


class Names(Protocol):
    """What routing asks of the DNS. Names go in and come out in ASCII, without a final dot."""

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        """The MX records; empty when the name has none. Errbacks with NoSuchName, NameTrouble."""
        ...

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        """The A (4) or AAAA (6) records; empty when the name has none. Errbacks likewise."""
        ...


class IdentityNames(Names, Protocol):
    """What asking about ourselves takes beside that. The prober never does."""

    def pointers(self, address: str) -> Deferred[Sequence[str]]:
        """The names that the PTR records of a literal address hold. Errbacks likewise."""
        ...

    def texts(self, name: str) -> Deferred[Sequence[str]]:
        """The TXT records, the strings of each joined, safe to print. Errbacks likewise."""
        ...

    def name_servers(self, zone: str) -> Deferred[Sequence[str]]:
        """The NS records; "" is the root. Errbacks likewise."""
        ...


class DnsNames:
    """`IdentityNames` over twisted.names and the servers given as (address, port).

    twisted.names cannot ask over IPv6; such a server raises ValueError.
    """

    def __init__(self, reactor: Any, servers: Sequence[tuple[str, int]]) -> None:
        for address, _port in servers:
            if not isinstance(ip_address(address), IPv4Address):
                raise ValueError(f"resolver {address}: only IPv4 resolvers can be asked")
        self._resolver = Resolver(reactor, servers)

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        """See `Names`."""
        return Deferred.fromCoroutine(self._mail_exchangers(domain))

    async def _mail_exchangers(self, domain: str) -> Sequence[MailExchanger]:
        return [
            MailExchanger(record.preference, _plain(record.name))
            for record in await self._records(domain, dns.MX)
        ]

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        """See `Names`."""
        return Deferred.fromCoroutine(self._addresses(name, family))

    async def _addresses(self, name: str, family: int) -> Sequence[str]:
        kind = dns.A if family == 4 else dns.AAAA
        return [str(ip_address(record.address)) for record in await self._records(name, kind)]

    def pointers(self, address: str) -> Deferred[Sequence[str]]:
        """See `IdentityNames`."""
        return Deferred.fromCoroutine(self._hosts(ip_address(address).reverse_pointer, dns.PTR))

    def name_servers(self, zone: str) -> Deferred[Sequence[str]]:
        """See `IdentityNames`."""
        return Deferred.fromCoroutine(self._hosts(zone, dns.NS))

    async def _hosts(self, name: str, kind: int) -> Sequence[str]:
        return [_plain(record.name) for record in await self._records(name, kind)]

    def texts(self, name: str) -> Deferred[Sequence[str]]:
        """See `IdentityNames`."""
        return Deferred.fromCoroutine(self._texts(name))

    async def _texts(self, name: str) -> Sequence[str]:
        return [
            decoded(b"".join(record.data), MAX_TXT) for record in await self._records(name, dns.TXT)
        ]

    async def _records(self, name: str, kind: int) -> list[Any]:
        name = name.lower()
        for _ in range(MAX_CNAMES):
            answers = await self._ask(name, kind)
            chain = {
                _plain(answer.name): _plain(answer.payload.name)
                for answer in answers
                if answer.type == dns.CNAME
            }
            end = _end_of(chain, name)
            # Records of other names may be in the message; nobody asked for them.
            found = [
                answer.payload
                for answer in answers
                if answer.type == kind and _plain(answer.name) == end
            ]
            if found or end == name:
                return found
            name = end
        raise NameTrouble(f"{name}: more than {MAX_CNAMES} CNAMEs")

    async def _ask(self, name: str, kind: int) -> list[Any]:
        try:
            message = await self._resolver.ask(dns.Query(name.encode("ascii"), kind, dns.IN))
        except CancelledError:
            raise
        except NoAnswer as error:
            raise _trouble(name, "no answer in time") from error
        except Exception as error:
            # Whatever twisted.names, the network or a broken packet can raise is trouble: it
            # never says that a domain is not there.
            raise _trouble(name, type(error).__name__) from error
        if message.rCode == dns.ENAME:
            raise NoSuchName(name)
        if message.rCode != dns.OK:
            raise _trouble(name, _TROUBLES.get(message.rCode, f"code {message.rCode}"))
        return list(message.answers)


def _trouble(name: str, words: str) -> NameTrouble:
    return NameTrouble(f"{name}: no usable answer from the DNS ({words})")


def _end_of(chain: dict[str, str], name: str) -> str:
    """Where the CNAMEs of one answer lead from `name`; a loop is trouble."""
    seen = {name}
    while name in chain:
        name = chain[name]
        if name in seen:
            raise NameTrouble(f"{name}: a loop of CNAMEs")
        seen.add(name)
    return name


def _plain(name: Any) -> str:
    # A stranger's bytes: what is no letter of a name gets a form that is safe to print, and that
    # no name can have.
    return escaped(bytes(name.name).decode("ascii", "backslashreplace")).rstrip(".").lower()


def parse_resolver(text: str) -> tuple[str, int]:
    """Read `ADDRESS` or `ADDRESS:PORT`. Raises ValueError, naming the text."""
    address, separator, port = text.partition(":")
    try:
        if not isinstance(ip_address(text if text.count(":") > 1 else address), IPv4Address):
            raise ValueError("only IPv4 resolvers can be asked")
        number = int(port) if separator else DNS_PORT
        if not 0 < number < 65536:
            raise ValueError("the port is not between 1 and 65535")
    except ValueError as error:
        raise ValueError(f"resolver {text!r}: {error}") from None
    return address, number


_RESOLV_CONF = Path("/etc/resolv.conf")


def system_resolvers(path: Path = _RESOLV_CONF) -> list[tuple[str, int]]:
    """The IPv4 name servers that this machine uses; the local host when none is named."""
    return [(address, DNS_PORT) for address in _named(path) if _is_ipv4(address)] or [
        ("127.0.0.1", DNS_PORT)
    ]


def passed_over_resolvers(path: Path = _RESOLV_CONF) -> list[str]:
    """The name servers that this machine names and that `system_resolvers` cannot ask."""
    return [address for address in _named(path) if not _is_ipv4(address)]


def _named(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return [
        escaped(parts[1])
        for parts in map(str.split, lines)
        if parts[:1] == ["nameserver"] and parts[1:]
    ]


def _is_ipv4(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv4Address)
    except ValueError:
        return False
