"""Who we are to others: whether a source's address, names and reverse-path agree in the DNS.

Knows what exchangers look up about a client, and the words for what is wrong with it; who reads
the records is `routing.names`, what SPF says of them `routing.spf`.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.daemon.checkup.together import together
from twisted_probe.daemon.config import ConfigError, check_sources
from twisted_probe.routing.exchangers import NoExchanger, find_route
from twisted_probe.routing.names import IdentityNames, NameTrouble, NoSuchName
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.spf import SpfResult, check_host
from twisted_probe.vocabulary.address import parse_reverse_path
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.source import Source

BINDABLE = "bindable"
REVERSE_DNS = "reverse DNS"
HELO = "HELO"
SPF = "SPF"
TAKES_MAIL = "takes mail"

#: PTR records looked at; nobody who means well has more.
MAX_POINTERS = 10

#: Kinds of addresses that a NAT replaces on the way out.
_HIDDEN = ("private", "carrier-grade NAT", "unique local")

_LOOK_AT_RESOLVERS = "see what is said of the resolvers, and ask again later"


def subject_of(source: Source) -> str:
    """How lines name a source."""
    return f"source {source.address}"


def subject_of_path(reverse_path: str) -> str:
    """How lines name the reverse-path."""
    return f"reverse-path {parse_reverse_path(reverse_path) or '<>'}"


def bindable(source: Source) -> Line:
    """Whether the kernel lets us send from it."""
    subject = subject_of(source)
    try:
        check_sources([source])
    except ConfigError as error:
        found, _, advice = str(error).removeprefix(f"--{subject}: ").partition("; ")
        return Line(subject, BINDABLE, Status.BAD, found, advice or None)
    return Line(subject, BINDABLE, Status.OK, "an address of this machine")


async def dns_lines(names: IdentityNames, source: Source, reverse_path: str) -> list[Line]:
    """Reverse DNS, HELO and SPF of one source."""
    checks = (reverse_dns(names, source), helo(names, source), spf(names, source, reverse_path))
    with together(checks) as going_on:
        lines = [await line for line in going_on]
    if Networks().why_forbidden(source.address) in _HIDDEN:
        lines = [_behind_nat(line) for line in lines]
    return lines


def _behind_nat(line: Line) -> Line:
    """What the DNS says of a private address matters to nobody outside."""
    if line.status is not Status.BAD:
        return line
    return evolve(
        line,
        status=Status.NOTE,
        found=f"{line.found}; but it is a private address, and exchangers see another one",
        advice="look at the same for the address that your NAT puts in its place",
    )


async def reverse_dns(names: IdentityNames, source: Source) -> Line:
    """Whether the address has a name that leads back to it."""
    subject, address = subject_of(source), source.address
    try:
        pointers = await _pointers(names, source)
        found = {name: await _addresses(names, name, source) for name in pointers[:MAX_POINTERS]}
    except NameTrouble as trouble:
        return Line(subject, REVERSE_DNS, Status.BAD, str(trouble), _LOOK_AT_RESOLVERS)
    confirmed = [name for name, addresses in found.items() if address in addresses]
    if not pointers:
        return Line(
            subject,
            REVERSE_DNS,
            Status.BAD,
            f"{address} has no PTR",
            f"ask your provider to set it to {source.helo}",
        )
    if not confirmed:
        name, addresses = next(iter(found.items()))
        return Line(
            subject,
            REVERSE_DNS,
            Status.BAD,
            f"{address} is called {name}, which {_leads_to(addresses, source)}",
            f"set the {_kind(source)} record of {name} to {address}, or ask your provider to set "
            f"the PTR to {source.helo}",
        )
    if len(pointers) > 1:
        return Line(
            subject,
            REVERSE_DNS,
            Status.NOTE,
            f"{address} has {len(pointers)} names: {', '.join(pointers[:MAX_POINTERS])}",
            "some exchangers look at one of them only; ask your provider to leave one",
        )
    return Line(
        subject, REVERSE_DNS, Status.OK, f"{address} is called {confirmed[0]}, which leads back"
    )


async def helo(names: IdentityNames, source: Source) -> Line:
    """Whether the name that we say is the name of the address."""
    subject, address, name = subject_of(source), source.address, source.helo.lower()
    try:
        addresses = await _addresses(names, name, source)
        pointers = await _pointers(names, source)
    except NameTrouble as trouble:
        return Line(subject, HELO, Status.BAD, str(trouble), _LOOK_AT_RESOLVERS)
    other = f", or say --source {address}={pointers[0]}" if pointers else ""
    if address not in addresses:
        return Line(
            subject,
            HELO,
            Status.BAD,
            f"{name} {_leads_to(addresses, source)}",
            f"set its {_kind(source)} record to {address}{other}",
        )
    if pointers and name not in pointers:
        return Line(
            subject,
            HELO,
            Status.BAD,
            f"we say {name}, and the address is called {pointers[0]}",
            f"ask your provider to set the PTR to {name}{other}",
        )
    return Line(subject, HELO, Status.OK, f"{name} leads to {address}")


def _kind(source: Source) -> str:
    return "A" if source.family == 4 else "AAAA"


def _leads_to(addresses: Sequence[str], source: Source) -> str:
    if not addresses:
        return f"has no {_kind(source)} record"
    return f"leads to {', '.join(addresses[:3])}" + (" …" if len(addresses) > 3 else "")


async def _pointers(names: IdentityNames, source: Source) -> Sequence[str]:
    try:
        return await names.pointers(source.address)
    except NoSuchName:
        return ()


async def _addresses(names: IdentityNames, name: str, source: Source) -> Sequence[str]:
    try:
        return await names.addresses(name, source.family)
    except NoSuchName:
        return ()


async def spf(names: IdentityNames, source: Source, reverse_path: str) -> Line:
    """Whether the reverse-path's domain lets the source send for it."""
    address = parse_reverse_path(reverse_path)
    domain = source.helo if address is None else address.domain
    result = await check_host(
        names,
        source.address,
        reverse_path="" if address is None else f"{address.local}@{address.domain}",
        helo=source.helo,
    )
    term = f"ip{source.family}:{source.address}"
    if address is None:
        publish = f'publish a TXT record of {domain}: "v=spf1 a -all"'
    else:
        publish = (
            f"publish a TXT record of {domain} that names all who send for it, such as "
            f'"v=spf1 mx {term} ~all"'
        )
    status, advice = {
        SpfResult.PASS: (Status.OK, None),
        SpfResult.NONE: (Status.NOTE, publish),
        SpfResult.NEUTRAL: (Status.NOTE, f"put {term} into the record of {domain}"),
        SpfResult.SOFTFAIL: (Status.BAD, f"put {term} into the record of {domain}"),
        SpfResult.FAIL: (Status.BAD, f"put {term} into the record of {domain}"),
        SpfResult.PERMERROR: (Status.BAD, "mend the record; exchangers may take it for a fail"),
        SpfResult.TEMPERROR: (Status.BAD, _LOOK_AT_RESOLVERS),
    }[result.result]
    return Line(subject_of(source), SPF, status, f"{result.result.value}: {result.why}", advice)


async def takes_mail(names: IdentityNames, reverse_path: str, networks: Networks) -> Line:
    """Whether somebody can answer to the reverse-path."""
    address, subject = parse_reverse_path(reverse_path), subject_of_path(reverse_path)
    if address is None:
        return Line(
            subject,
            TAKES_MAIL,
            Status.NOTE,
            "it is the null one: nobody can answer you, and some exchangers refuse it here",
            "set an address of yours that receives mail",
        )
    try:
        route = await find_route(names, address.domain, (4, 6), lambda _: None, lambda _: None)
    except NoExchanger as nobody:
        advice = _LOOK_AT_RESOLVERS if nobody.reason is Reason.DNS_ERROR else _NOT_SERVED
        found = f"{address.domain}: {str(nobody).removeprefix(f'{address.domain}: ')}"
        return Line(subject, TAKES_MAIL, Status.BAD, found, advice)
    kinds = [networks.why_forbidden(exchanger.address) for exchanger in route.exchangers]
    if all(kinds):
        return Line(
            subject,
            TAKES_MAIL,
            Status.BAD,
            f"its exchangers have no public address ({', '.join(sorted({str(k) for k in kinds}))})",
            "give the domain an exchanger that others can reach",
        )
    hosts = dict.fromkeys(exchanger.name for exchanger in route.exchangers)
    return Line(subject, TAKES_MAIL, Status.OK, f"{address.domain} is served by {', '.join(hosts)}")


_NOT_SERVED = (
    "set a reverse-path that receives mail, or give its domain an MX record; exchangers refuse "
    "senders who cannot be answered"
)
