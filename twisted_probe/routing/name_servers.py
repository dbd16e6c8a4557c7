"""Which name servers are asked: how they are written, and which ones this machine names.

Knows texts; how a server is asked is `routing.resolver`'s affair.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path

#: An address, v4 or v6, and a port.
NameServer = tuple[str, int]

DNS_PORT = 53

_RESOLV_CONF = Path("/etc/resolv.conf")
_BRACKETED = re.compile(r"\[(?P<address>[^\]]*:[^\]]*)\](?P<port>:.*)?")
_PLAIN = re.compile(r"(?P<address>[^:]*)(?P<port>:[^:]*)?")


def parse_resolver(text: str) -> NameServer:
    """Read `ADDRESS`, `ADDRESS:PORT`, or `[ADDRESS]:PORT` for an IPv6 address.

    Raises ValueError, naming the text.
    """
    written = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    address, port = (text, None) if written is None else (written["address"], written["port"])
    try:
        ip_address(address)
        number = DNS_PORT if port is None else int(port[1:])
        if not 0 < number < 65536:
            raise ValueError("the port is not between 1 and 65535")
    except ValueError as error:
        raise ValueError(f"resolver {text!r}: {error}") from None
    return address, number


def resolver_text(server: NameServer) -> str:
    """A server as `parse_resolver` reads it, the port always with it."""
    address, port = server
    return f"[{address}]:{port}" if is_ipv6(address) else f"{address}:{port}"


def is_ipv6(address: str) -> bool:
    """Whether a literal address is one of IPv6."""
    return isinstance(ip_address(address), IPv6Address)


def system_resolvers(path: Path = _RESOLV_CONF) -> list[NameServer]:
    """The name servers that this machine uses; the local host when none is named."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = [
        (words[1], DNS_PORT)
        for words in map(str.split, lines)
        if words[:1] == ["nameserver"] and words[1:] and _is_address(words[1])
    ]
    return named or [("127.0.0.1", DNS_PORT)]


def _is_address(text: str) -> bool:
    # What stands behind the % of a link-local address can be anything.
    if not (text.isascii() and text.isprintable()):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
