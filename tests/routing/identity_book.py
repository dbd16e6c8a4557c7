"""`IdentityNames` out of a zone in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed

from twisted_probe.routing.names import MailExchanger, NameTrouble, NoSuchName
from twisted_probe.sandbox.zone import Names, Trouble, Zone

_Found = TypeVar("_Found")


class IdentityBook:
    """Answers at once; `asked` has the questions, as (name, type).

    A name with `Trouble.SERVFAIL` errbacks with NameTrouble, one with `Trouble.SILENCE` is never
    answered.
    """

    def __init__(self, names: Names) -> None:
        self._zone = Zone(names)
        self.asked: list[tuple[str, str]] = []

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        return self._answer(domain, "MX", lambda n, name: MailExchanger(int(n), name.rstrip(".")))

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        return self._answer(
            name, "A" if family == 4 else "AAAA", lambda word: str(ip_address(word))
        )

    def pointers(self, address: str) -> Deferred[Sequence[str]]:
        return self._answer(ip_address(address).reverse_pointer, "PTR", str)

    def texts(self, name: str) -> Deferred[Sequence[str]]:
        return self._answer(name, "TXT", lambda *words: " ".join(words))

    def name_servers(self, zone: str) -> Deferred[Sequence[str]]:
        return self._answer(zone, "NS", str)

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
