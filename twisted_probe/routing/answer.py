"""What an answer of the DNS says of the name that was asked about, pure.

Knows records, CNAMEs, and how long both may be kept; not what they mean for mail
(`routing.exchangers`).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from attrs import frozen
from twisted.names import dns

from twisted_probe.vocabulary.dns import MailExchanger
from twisted_probe.vocabulary.escaping import decoded, escaped

#: Records kept of one answer, an MX's best ones; Postfix keeps as many.
MAX_RECORDS = 100
#: Characters kept of one TXT record: all that a message of the DNS can hold.
MAX_TXT = 65535
#: RFC 2181 section 8: a TTL with the highest bit set is none.
_MAX_INT32 = 2**31 - 1
#: Seconds; longer than anything may be kept.
_FOR_EVER = float("inf")


@frozen
class Answer:
    """The records found, and the seconds for which that is so.

    `exists` is false for a name that is not there at all (NXDOMAIN). `alias_of` is a name that has
    to be asked about instead, the end of `aliases` CNAMEs that the server has left unfinished.
    """

    records: tuple[Any, ...] = ()
    ttl: float = _FOR_EVER
    exists: bool = True
    alias_of: str | None = None
    aliases: int = 0


class NoAnswer(Exception):
    """A message that says neither what the name has nor that it has nothing."""


def read_answer(message: dns.Message, name: str, kind: int) -> Answer:
    """What `message`, whose code is OK or NXDOMAIN, says of the records of `kind` that `name` has.

    MX records become MailExchanger; A and AAAA, PTR and NS, and TXT become text. Raises NoAnswer
    for a referral to other servers, for records of other names only, and for CNAMEs that go round.
    """
    known: list[Any] = [each for each in message.answers if each.cls == dns.IN]
    aliases = {_plain(each.name): each for each in known if each.type == dns.CNAME}
    ttl, followed, end = _FOR_EVER, set[str](), name
    while end in aliases:
        if end in followed:
            raise NoAnswer("a loop of CNAMEs")
        followed.add(end)
        ttl = min(ttl, _ttl(aliases[end]))
        end = _plain(aliases[end].payload.name)
    # Records of other names may be in the message; nobody asked for them.
    found = [each for each in known if each.type == kind and _plain(each.name) == end]
    if found:
        ttl = min(ttl, *map(_ttl, found))
        records = [_READ[kind](each.payload) for each in found]
        if kind == dns.MX:
            records.sort()
        return Answer(tuple(records[:MAX_RECORDS]), ttl, aliases=len(followed))
    if followed and message.rCode == dns.OK:
        # Perhaps the server has said all that there is; it costs one question to be sure.
        return Answer((), ttl, alias_of=end, aliases=len(followed))
    authority: dict[int, Any] = {each.type: each for each in message.authority}
    start = authority.get(dns.SOA)
    if message.rCode == dns.OK and start is None and (dns.NS in authority or message.answers):
        # RFC 2308 section 2.2: whoever refers to others, or speaks of something else, has not
        # said that there is nothing.
        raise NoAnswer("it says nothing of the name")
    # RFC 2308 section 5; without a start of authority it should not be kept at all.
    negative = 0 if start is None else min(_ttl(start), start.payload.minimum)
    exists = message.rCode != dns.ENAME
    return Answer((), min(ttl, negative), exists, aliases=len(followed))


def _ttl(header: dns.RRHeader) -> int:
    ttl = int(header.ttl)
    return ttl if ttl <= _MAX_INT32 else 0


def _plain(name: Any) -> str:
    # A stranger's bytes: what is no letter of a name gets a form that is safe to print, and that
    # no name can have.
    return escaped(bytes(name.name).decode("ascii", "backslashreplace")).rstrip(".").lower()


def _literal(payload: Any) -> str:
    return str(ip_address(payload.address))


def _host(payload: Any) -> str:
    return _plain(payload.name)


def _text(payload: Any) -> str:
    return decoded(b"".join(payload.data), MAX_TXT)


_READ: dict[int, Callable[[Any], Any]] = {
    dns.A: _literal,
    dns.AAAA: _literal,
    dns.MX: lambda payload: MailExchanger(payload.preference, _plain(payload.name)),
    dns.NS: _host,
    dns.PTR: _host,
    dns.TXT: _text,
}
