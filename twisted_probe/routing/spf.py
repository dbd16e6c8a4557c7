"""SPF (RFC 7208): whether a reverse-path's domain lets an address send for it.

Knows the records' grammar, the evaluation and its limits; not what an operator should do about
the result (`daemon.identity_checks`).

An evaluator of our own: the library there is, pyspf, asks the DNS by blocking calls to py3dns or
dnspython and so around our resolvers, and has had no release since 2020. This one is all of
check_host() but the explanation (`exp=`), which is for receivers. Every mechanism that asks the
DNS is counted, so that no record, however it is made, costs more than some hundred questions.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeVar
from urllib.parse import quote

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred

from twisted_probe.routing.names import IdentityNames, NameTrouble, NoSuchName

#: Terms that ask the DNS, in all records together (RFC 7208 section 4.6.4).
MAX_TERMS = 10
#: Names of one `mx`, and of one address' PTR records (same place).
MAX_NAMES = 10
#: Questions that may be answered with nothing (same place).
MAX_VOID = 2
#: Octets of a name that macros make; labels are cut from the left (section 7.3).
MAX_TARGET = 253


class SpfResult(str, Enum):
    """The results of RFC 7208 section 2.6."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"
    PERMERROR = "permerror"
    TEMPERROR = "temperror"


@frozen
class Spf:
    """A result, and `why` in words: the term that decided, or what is wrong with the record."""

    result: SpfResult
    why: str


class _Wrong(Exception):
    """A record that cannot be evaluated: permerror."""


_QUALIFIERS = {
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}

# --- The grammar of section 12 -------------------------------------------------------------------

_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)=(.*)")
_DIRECTIVE = re.compile(r"([-+~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(.*)", re.IGNORECASE)
_EXPAND = r"%\{([slodipvhcrt])([0-9]*)(r?)([.+,/_=-]*)\}"
_MACRO = re.compile(rf"{_EXPAND}|%([%_-])", re.IGNORECASE)
_MACRO_STRING = re.compile(rf"(?:{_EXPAND}|%[%_-]|[!-$&-~])*", re.IGNORECASE)
_TOP_LABEL = re.compile(r"(?=.*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_ENDS_IN_MACRO = re.compile(rf".*(?:{_EXPAND}|%[%_-])", re.IGNORECASE)
_PREFIX = r"0|[1-9][0-9]{0,2}"
_DUAL = re.compile(rf"(.*?)(?:/({_PREFIX}))?(?://({_PREFIX}))?")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[ -\-/-~]{1,63}\.)*[ -\-/-~]{1,63}")
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
#: Letters of macros that only an explanation may have.
_FOR_EXPLANATIONS = "crt"


@frozen
class _Term:
    """One mechanism: `target` is a domain-spec, "" for the domain itself."""

    text: str
    kind: str
    result: SpfResult
    target: str = ""
    network: IPv4Network | IPv6Network | None = None
    prefixes: tuple[int, int] = (32, 128)


@frozen
class _Record:
    terms: tuple[_Term, ...]
    redirect: str | None


def _parse(record: str) -> _Record:
    """The terms of a record; the first word is its version. Raises _Wrong."""
    terms: list[_Term] = []
    modifiers: dict[str, str] = {}
    for word in filter(None, record.split(" ")[1:]):
        modifier = _MODIFIER.fullmatch(word)
        if modifier is None:
            terms.append(_parse_directive(word))
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name in ("redirect", "exp"):
            if name in modifiers:
                raise _Wrong(f"it has two {name}=")
            _check_domain_spec(word, value)
        elif not _MACRO_STRING.fullmatch(value):
            raise _Wrong(f"{word!r} has a broken macro")
        modifiers[name] = value
    return _Record(tuple(terms), modifiers.get("redirect"))


def _parse_directive(word: str) -> _Term:
    match = _DIRECTIVE.fullmatch(word)
    if match is None or (match[3] and match[3][0] not in ":/"):
        raise _Wrong(f"{word!r} is no term of SPF")
    kind, rest = match[2].lower(), match[3]
    term = _Term(word, kind, _QUALIFIERS[match[1] or "+"])
    if kind in ("ip4", "ip6"):
        return evolve(term, network=_network(word, kind, rest))
    if kind in ("a", "mx"):
        dual = _DUAL.fullmatch(rest)
        assert dual is not None
        rest = dual[1]
        prefixes = int(dual[2] or 32), int(dual[3] or 128)
        if prefixes[0] > 32 or prefixes[1] > 128:
            raise _Wrong(f"{word!r} has an impossible prefix")
        term = evolve(term, prefixes=prefixes)
    if kind == "all" and rest:
        raise _Wrong(f"{word!r}: 'all' takes nothing behind it")
    if rest[:1] == ":":
        _check_domain_spec(word, rest[1:])
        return evolve(term, target=rest[1:])
    if rest or kind in ("include", "exists"):
        raise _Wrong(f"{word!r} names no domain")
    return term


def _network(word: str, kind: str, rest: str) -> IPv4Network | IPv6Network:
    address, slash, prefix = rest.removeprefix(":").partition("/")
    version = IPv4Address if kind == "ip4" else IPv6Address
    try:
        if rest[:1] != ":" or (slash and not re.fullmatch(_PREFIX, prefix)) or "%" in address:
            raise AddressValueError(word)
        return ip_network(f"{version(address)}{slash}{prefix}", strict=False)
    except ValueError:
        raise _Wrong(f"{word!r} is no network") from None


def _check_domain_spec(word: str, text: str) -> None:
    if not _MACRO_STRING.fullmatch(text):
        raise _Wrong(f"{word!r} has a broken macro")
    for macro in _MACRO.finditer(text):
        if macro[1] and (macro[1].lower() in _FOR_EXPLANATIONS or set(macro[2]) == {"0"}):
            raise _Wrong(f"{word!r} has a macro that may not stand there")
    if not _ENDS_IN_MACRO.fullmatch(text):
        before, _, label = text.removesuffix(".").rpartition(".")
        if not before or not _TOP_LABEL.fullmatch(label):
            raise _Wrong(f"{word!r} names no domain")


# --- The evaluation of sections 4 and 5 --------------------------------------------------------

_Found = TypeVar("_Found")


async def check_host(names: IdentityNames, address: str, *, reverse_path: str, helo: str) -> Spf:
    """Evaluate SPF for mail with `reverse_path` (without angle brackets, "" for the null one)
    from `address`, which says `helo`. Gives a result whatever the DNS does."""
    # Section 2.4: the null reverse-path stands for the postmaster of the HELO name.
    local, _, domain = (reverse_path or f"postmaster@{helo}").rpartition("@")
    check = _Check(names, ip_address(address), local, domain, helo)
    try:
        return await check.domain(domain)
    except _Wrong as wrong:
        return Spf(SpfResult.PERMERROR, str(wrong))
    except NameTrouble as trouble:
        return Spf(SpfResult.TEMPERROR, str(trouble))


@define
class _Check:
    """One evaluation: what was asked, and how much of the limits is used."""

    names: IdentityNames
    ip: IPv4Address | IPv6Address
    local: str
    sender_domain: str
    helo: str
    terms: int = field(default=0, init=False)
    void: int = field(default=0, init=False)

    async def domain(self, domain: str) -> Spf:
        """check_host() for one domain. Raises _Wrong and NameTrouble."""
        text = await self._record_of(domain)
        if text is None:
            return Spf(SpfResult.NONE, f"{domain} has no SPF record")
        try:
            record = _parse(text)
        except _Wrong as wrong:
            raise _Wrong(f"the record of {domain}: {wrong}") from None
        for term in record.terms:
            if await _MATCHERS[term.kind](self, term, domain):
                return Spf(term.result, f"'{term.text}' of {domain}")
        if record.redirect is None:
            return Spf(SpfResult.NEUTRAL, f"no term of {domain} covers it")
        self._count()
        return await self._elsewhere(domain, record.redirect, "redirects to")

    async def _record_of(self, domain: str) -> str | None:
        if not _is_name(domain) or "." not in domain:
            return None
        try:
            texts = await self.names.texts(domain)
        except NoSuchName:
            return None
        records = [text for text in texts if text.split(" ")[0].lower() == "v=spf1"]
        if len(records) > 1:
            raise _Wrong(f"{domain} has {len(records)} SPF records; it may have one")
        return records[0] if records else None

    async def _elsewhere(self, domain: str, spec: str, how: str) -> Spf:
        """What the record of another domain says, which has to be there."""
        target = await self._target(spec, domain)
        spf = await self.domain(target)
        if spf.result is SpfResult.NONE:
            raise _Wrong(f"the record of {domain} {how} {target}, which has none")
        return spf

    # --- Mechanisms ----------------------------------------------------------------------------

    async def all(self, term: _Term, domain: str) -> bool:
        return True

    async def include(self, term: _Term, domain: str) -> bool:
        self._count()
        return (await self._elsewhere(domain, term.target, "includes")).result is SpfResult.PASS

    async def network(self, term: _Term, domain: str) -> bool:
        assert term.network is not None
        return term.network.version == self.ip.version and self.ip in term.network

    async def a(self, term: _Term, domain: str) -> bool:
        self._count()
        found = await self._ask(self._addresses, await self._target(term.target, domain))
        return self._covers(found, term)

    async def mx(self, term: _Term, domain: str) -> bool:
        self._count()
        target = await self._target(term.target, domain)
        found = await self._ask(self.names.mail_exchangers, target)
        if len(found) > MAX_NAMES:
            raise _Wrong(f"'{term.text}' of {domain} has more than {MAX_NAMES} MX records")
        for record in sorted(found):
            if self._covers(await self._addresses_of(record.name), term):
                return True
        return False

    async def ptr(self, term: _Term, domain: str) -> bool:
        self._count()
        target = await self._target(term.target, domain)
        return any(_is_below(name, target) for name in await self._own_names())

    async def exists(self, term: _Term, domain: str) -> bool:
        self._count()
        target = await self._target(term.target, domain)
        # An A record, whatever the family of the address (section 5.7).
        return bool(await self._ask(lambda name: self.names.addresses(name, 4), target))

    def _covers(self, addresses: Sequence[str], term: _Term) -> bool:
        prefix = term.prefixes[self.ip.version == 6]
        return any(self.ip in ip_network(f"{each}/{prefix}", strict=False) for each in addresses)

    # --- Questions -----------------------------------------------------------------------------

    def _count(self) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise _Wrong(f"its records ask the DNS more than {MAX_TERMS} times")

    def _addresses(self, name: str) -> Deferred[Sequence[str]]:
        return self.names.addresses(name, self.ip.version)

    async def _ask(
        self, asking: Callable[[str], Awaitable[Sequence[_Found]]], name: str
    ) -> Sequence[_Found]:
        """The answer to a term's question; too many without any are an error."""
        if not _is_name(name):
            return ()
        try:
            found = await asking(name)
        except NoSuchName:
            found = ()
        if not found:
            self.void += 1
            if self.void > MAX_VOID:
                raise _Wrong(f"its records ask for more than {MAX_VOID} names without an answer")
        return found

    async def _addresses_of(self, name: str) -> Sequence[str]:
        """The addresses of a host that an answer has named."""
        if not _is_name(name):
            return ()
        try:
            return await self._addresses(name)
        except NoSuchName:
            return ()

    async def _own_names(self) -> list[str]:
        """The names of the address that lead back to it. Section 5.5: errors are no answers."""
        try:
            found = await self._ask(self.names.pointers, str(self.ip))
        except NameTrouble:
            return []
        confirmed = []
        for name in sorted(found)[:MAX_NAMES]:
            try:
                if str(self.ip) in await self._addresses_of(name):
                    confirmed.append(name)
            except NameTrouble:
                continue
        return confirmed

    # --- Macros (section 7) --------------------------------------------------------------------

    async def _target(self, spec: str, domain: str) -> str:
        """The name that a domain-spec stands for; the domain itself where there is none."""
        made, end = [], 0
        for macro in _MACRO.finditer(spec):
            made += [spec[end : macro.start()], await self._expanded(macro, domain)]
            end = macro.end()
        name = "".join([*made, spec[end:]]).removesuffix(".") if spec else domain
        while len(name) > MAX_TARGET and "." in name:
            name = name.partition(".")[2]
        return name.lower()

    async def _expanded(self, macro: re.Match[str], domain: str) -> str:
        letter, digits, reverse, delimiters, escape = macro.groups()
        if escape:
            return _ESCAPES[escape]
        value = await self._value(letter.lower(), domain)
        parts = re.split(f"[{re.escape(delimiters or '.')}]", value)
        if reverse:
            parts.reverse()
        # No name has a thousand labels.
        kept = int(digits.lstrip("0")[:3]) if digits else 0
        text = ".".join(parts[-kept:])
        return quote(text, safe="") if letter.isupper() else text

    async def _value(self, letter: str, domain: str) -> str:
        if letter == "p":
            names = await self._own_names()
            names.sort(key=lambda name: (name != domain, not _is_below(name, domain)))
            return names[0] if names else "unknown"
        values = {
            "s": f"{self.local}@{self.sender_domain}",
            "l": self.local,
            "o": self.sender_domain,
            "d": domain,
            "i": _dotted(self.ip),
            "v": "in-addr" if self.ip.version == 4 else "ip6",
            "h": self.helo,
        }
        return values[letter]


_MATCHERS: dict[str, Callable[[_Check, _Term, str], Awaitable[bool]]] = {
    "all": _Check.all,
    "include": _Check.include,
    "ip4": _Check.network,
    "ip6": _Check.network,
    "a": _Check.a,
    "mx": _Check.mx,
    "ptr": _Check.ptr,
    "exists": _Check.exists,
}


def _is_name(name: str) -> bool:
    """Whether the DNS can be asked for it."""
    return _NAME.fullmatch(name) is not None


def _is_below(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _dotted(ip: IPv4Address | IPv6Address) -> str:
    return str(ip) if ip.version == 4 else ".".join(ip.exploded.replace(":", ""))
