"""The DNS out of a dictionary.

Knows the questions that a prober asks, and those that are asked about ourselves; not what the
answers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed

from twisted_probe.sandbox.zone import Names, Trouble, Zone
from twisted_probe.vocabulary.dns import MailExchanger, NameTrouble, NoSuchName

_Found = TypeVar("_Found")


class FakeNames:
    """Stands in for the DNS: `Prober(…, names=FakeNames({…}))`, or the `resolver` of
    `open_session`.

    `names` is name → records, each as in a zone file (`"MX 10 mx.example.net"`,
    `"A 192.0.2.25"`), or a `Trouble`: SERVFAIL errbacks with NameTrouble, SILENCE never answers.
    A name that is not there errbacks with NoSuchName. Everything else is answered at once.
    `asked` has the questions in order, as (name, type).

    Raises ZoneError for a record that cannot be read.
    """

    def __init__(self, names: Names) -> None:
        self._zone = Zone(names)
        self.asked: list[tuple[str, str]] = []

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        """The MX records."""
        return self._answer(domain, "MX", _mail_exchanger)

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        """The A (4) or AAAA (6) records."""
        return self._answer(name, "A" if family == 4 else "AAAA", _literal)

    def pointers(self, address: str) -> Deferred[Sequence[str]]:
        """The names that the PTR records of an address hold."""
        return self._answer(ip_address(address).reverse_pointer, "PTR", _name)

    def texts(self, name: str) -> Deferred[Sequence[str]]:
        """The TXT records."""
        return self._answer(name, "TXT", lambda *words: " ".join(words))

    def name_servers(self, zone: str) -> Deferred[Sequence[str]]:
        """The NS records; "" is the root."""
        return self._answer(zone, "NS", _name)

    def _answer(
        self, name: str, type_: str, made: Callable[..., _Found]
    ) -> Deferred[Sequence[_Found]]:
        self.asked.append((name, type_))
        found = self._zone.find(name, type_)
        if found.trouble is Trouble.SILENCE:
            return Deferred()
        if found.trouble is not None:
            return fail(NameTrouble(f"{name}: no usable answer from the DNS (SERVFAIL)"))
        if not found.exists:
            return fail(NoSuchName(name))
        return succeed([made(*record.words) for record in found.answers if record.type == type_])


def _name(word: str) -> str:
    return word.rstrip(".").lower()


def _literal(word: str) -> str:
    return str(ip_address(word))


def _mail_exchanger(preference: str, name: str) -> MailExchanger:
    return MailExchanger(int(preference), _name(name))
