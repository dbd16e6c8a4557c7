"""Questions to the DNS, and which of its answers can be trusted.

Knows the questions that are asked, and CNAMEs that lead from one to the next; not which server is
asked (`routing.resolver`), nor what the answers mean for mail (`routing.exchangers`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any, Protocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.names import dns

from twisted_probe.routing.answer import Answer, NoAnswer, read_answer
from twisted_probe.routing.cache import Cache, Key
from twisted_probe.routing.name_servers import NameServer
from twisted_probe.routing.resolver import Resolver, trouble
from twisted_probe.vocabulary.dns import MailExchanger as MailExchanger
from twisted_probe.vocabulary.dns import NameTrouble as NameTrouble
from twisted_probe.vocabulary.dns import NoSocket as NoSocket
from twisted_probe.vocabulary.dns import NoSuchName as NoSuchName

#: CNAMEs followed from the name that was asked about; a longer chain is a loop, or as good as one.
MAX_CNAMES = 16


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
    """`IdentityNames` over the name `servers` given, v4 or v6.

    Answers are shared and kept (`routing.cache`); `rng` numbers the questions, unguessably by
    default. Raises ValueError for a server without a literal address.
    """

    def __init__(
        self, reactor: Any, servers: Iterable[NameServer], rng: random.Random | None = None
    ) -> None:
        servers = tuple(servers)
        for address, _port in servers:
            ip_address(address)
        self._resolver = Resolver(reactor, servers, random.SystemRandom() if rng is None else rng)
        self._cache = Cache(reactor, self._look_up)

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        """See `Names`."""
        return self._records(domain, dns.MX)

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        """See `Names`."""
        return self._records(name, dns.A if family == 4 else dns.AAAA)

    def pointers(self, address: str) -> Deferred[Sequence[str]]:
        """See `IdentityNames`."""
        return self._records(ip_address(address).reverse_pointer, dns.PTR)

    def texts(self, name: str) -> Deferred[Sequence[str]]:
        """See `IdentityNames`."""
        return self._records(name, dns.TXT)

    def name_servers(self, zone: str) -> Deferred[Sequence[str]]:
        """See `IdentityNames`."""
        return self._records(zone, dns.NS)

    def _records(self, name: str, kind: int) -> Deferred[Sequence[Any]]:
        return self._cache.ask(Key(name.lower(), kind)).addCallback(_records_of, name)

    async def _look_up(self, key: Key) -> Answer:
        name, kind = key
        ttl, aliases = float("inf"), 0
        while True:
            message = await self._resolver.ask(name, kind)
            try:
                answer = read_answer(message, name, kind)
            except NoAnswer as error:
                raise trouble(name, str(error)) from None
            ttl = min(ttl, answer.ttl)
            aliases += answer.aliases
            if aliases > MAX_CNAMES:
                raise trouble(key.name, f"more than {MAX_CNAMES} CNAMEs")
            if answer.alias_of is None:
                return evolve(answer, ttl=ttl)
            name = answer.alias_of


def _records_of(answer: Answer, name: str) -> Sequence[Any]:
    if not answer.exists:
        raise NoSuchName(name)
    return list(answer.records)
