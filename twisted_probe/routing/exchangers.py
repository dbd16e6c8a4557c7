"""Whom to ask: the exchangers of a domain, best first (RFC 5321 section 5.1).

Knows MX records, null MX and implicit MX, and what it means for an address when there are none;
not which addresses may be dialled (`routing.networks`), nor when (`routing.sites`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableSequence
from ipaddress import ip_address
from typing import Any

from attrs import define, field, frozen

from twisted_probe.routing.names import MailExchanger, Names, NameTrouble, NoSocket, NoSuchName
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.outcome import Reason, Verdict

#: Addresses tried for one recipient at a time; Postfix smtp_mx_address_limit.
MAX_ADDRESSES = 5
#: MX records looked at, the best ones, and addresses of each; Postfix keeps 100 resource records.
MAX_RECORDS = 20
_FAMILIES = frozenset((4, 6))


class NoExchanger(Exception):
    """The domain has nobody to ask; `reason` says why, and the message more of it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def is_final(self) -> bool:
        """Whether that has settled the matter."""
        return (
            self.reason is Reason.FORBIDDEN_EXCHANGER
            or self.reason.verdict is Verdict.UNDELIVERABLE
        )


@frozen
class Route:
    """The addresses to try, in order, and the site that politeness counts them under.

    `hosts` are the names of all exchangers among the preferences looked at, those too that could
    not be looked up, or have no address that we may and can dial: who speaks for the domain.
    """

    site: str
    exchangers: tuple[Exchanger, ...]
    hosts: frozenset[str]


Shuffle = Callable[[MutableSequence[Any]], None]
#: What kind of address it is that must not be dialled; None for all others.
WhyForbidden = Callable[[str], str | None]


async def find_route(
    names: Names,
    domain: str,
    families: Collection[int],
    shuffle: Shuffle,
    why_forbidden: WhyForbidden,
) -> Route:
    """Look up the exchangers of `domain` (A-labels, or an address literal in brackets).

    The route has at most five addresses, of the `families` that sources have and not forbidden.
    Equal preferences, and the addresses of one host and family, are put in the order that
    `shuffle` makes, once.

    Raises NoExchanger: no_such_domain (NXDOMAIN, or neither MX nor address), no_mail (null MX),
    dns_error (trouble; never taken for "no MX"), forbidden_exchanger (no address that may be
    dialled), source_unavailable (addresses, but none of a family that we have). Raises NoSocket
    when it could not be asked, for want of a socket of our own.
    """
    if domain.startswith("["):
        exchanger = Exchanger(domain, domain[1:-1].removeprefix("IPv6:"))
        if exchanger.family not in families:
            raise _unreachable(domain, families)
        why = why_forbidden(exchanger.address)
        if why is not None:
            raise _forbidden([f"{domain} ({why})"])
        return Route(domain, (exchanger,), frozenset((domain,)))
    try:
        records = list(await names.mail_exchangers(domain))
    except NoSuchName:
        raise NoExchanger(Reason.NO_SUCH_DOMAIN, "the domain does not exist") from None
    except NoSocket:
        raise
    except NameTrouble as trouble:
        raise NoExchanger(Reason.DNS_ERROR, str(trouble)) from None
    targets = _targets(records, shuffle)
    if records and not targets:
        if all(not record.name for record in records):
            raise NoExchanger(Reason.NO_MAIL, "the domain takes no mail (null MX)")
        raise NoExchanger(Reason.NO_SUCH_DOMAIN, "no MX record of the domain names a host")
    found = await _look_up(
        names, targets or [MailExchanger(0, domain)], families, shuffle, why_forbidden
    )
    if found.exchangers:
        site = ",".join(sorted({target.name for target in targets} or {domain}))
        return Route(site, tuple(found.exchangers[:MAX_ADDRESSES]), frozenset(found.hosts))
    if found.trouble is not None:
        raise NoExchanger(Reason.DNS_ERROR, str(found.trouble))
    if found.forbidden:
        raise _forbidden(found.forbidden)
    if found.hosts:
        raise _unreachable(domain, families)
    words = "no exchanger of the domain has an address" if targets else "neither MX nor address"
    raise NoExchanger(Reason.NO_SUCH_DOMAIN, words)


def _forbidden(addresses: list[str]) -> NoExchanger:
    return NoExchanger(
        Reason.FORBIDDEN_EXCHANGER, f"never dialled: {'; '.join(addresses[:MAX_ADDRESSES])}"
    )


def _unreachable(domain: str, families: Collection[int]) -> NoExchanger:
    words = "none of the sources that it may be asked from is there any more"
    if families:
        (missing,) = _FAMILIES - {*families}
        words = (
            f"{domain} is reached over IPv{missing}, and no source that may go has such an address"
        )
    return NoExchanger(Reason.SOURCE_UNAVAILABLE, words)


def _targets(records: list[MailExchanger], shuffle: Shuffle) -> list[MailExchanger]:
    """The records that name a host, by preference. RFC 7505 section 3: a null MX beside others
    is ignored; RFC 5321 section 5.1: a target must be a name, so a literal is ignored too."""
    targets = list({record for record in records if _is_host_name(record.name)})
    # The same ones are kept every time, however they are shuffled: they are the site's name.
    targets = sorted(targets)[:MAX_RECORDS]
    shuffle(targets)
    targets.sort(key=lambda record: record.preference)
    return targets


def _is_host_name(name: str) -> bool:
    if not name or not all(c.isascii() and (c.isalnum() or c in "-._") for c in name):
        return False
    try:
        ip_address(name)
    except ValueError:
        return True
    return False


@define
class _Found:
    """What the names of the targets lead to, best first.

    `forbidden` are the addresses never dialled and why, `trouble` is the last one met, of
    `troubled` targets. A target that could not be looked up, that no source can reach, or that
    is forbidden is among the `hosts` and may be the best, so that a backup never passes for it.
    """

    why_forbidden: WhyForbidden
    exchangers: list[Exchanger] = field(factory=list)
    forbidden: list[str] = field(factory=list)
    hosts: set[str] = field(factory=set)
    trouble: NameTrouble | None = None
    troubled: int = 0
    best: int | None = None

    @property
    def is_enough(self) -> bool:
        """Whether there are as many as are tried. One that could not be looked up counts: else a
        domain could make us wait for all of its names."""
        return len(self.exchangers) + self.troubled >= MAX_ADDRESSES

    def note(
        self, target: MailExchanger, addresses: list[str], trouble: NameTrouble | None
    ) -> None:
        """Keep what a target has led to."""
        known = {exchanger.address for exchanger in self.exchangers}
        fresh = [address for address in addresses if address not in known]
        if addresses and not fresh and trouble is None:
            return  # one that is there already, by another name
        if trouble is not None:
            self.trouble = trouble
            self.troubled += 1
        self.hosts.add(target.name)
        self.best = target.preference if self.best is None else self.best
        for address in fresh:
            why = self.why_forbidden(address)
            if why is None:
                is_best = target.preference == self.best
                exchanger = Exchanger(target.name, address, target.preference, is_best)
                self.exchangers.append(exchanger)
            else:
                self.forbidden.append(f"{target.name} at {address} ({why})")


async def _look_up(
    names: Names,
    targets: list[MailExchanger],
    families: Collection[int],
    shuffle: Shuffle,
    why_forbidden: WhyForbidden,
) -> _Found:
    """The addresses of the targets, best first, until there are enough.

    A target without any address does not count: the next preference is the best one then.
    """
    found = _Found(why_forbidden)
    for target in targets:
        try:
            addresses, trouble = await _addresses(names, target.name, families, shuffle)
            others: list[str] = []
            if not addresses and trouble is None:
                rest = _FAMILIES - {*families}
                others, trouble = await _addresses(names, target.name, rest, shuffle)
        except NoSuchName:
            continue
        if addresses or others or trouble is not None:
            found.note(target, addresses, trouble)
        if found.is_enough:
            break
    return found


async def _addresses(
    names: Names, name: str, families: Collection[int], shuffle: Shuffle
) -> tuple[list[str], NameTrouble | None]:
    """The addresses of these families that `name` has, and the trouble with one of them."""
    addresses: list[str] = []
    trouble: NameTrouble | None = None
    for family in sorted(families):
        try:
            found = list((await names.addresses(name, family))[:MAX_RECORDS])
        except NoSocket:
            raise
        except NameTrouble as error:
            trouble = error
        else:
            # What is kept does not come in turn, as it does from most resolvers.
            shuffle(found)
            addresses += found
    return addresses, trouble
