"""Addresses that are never dialled, whatever a stranger's DNS says.

Knows one table of our own (`ipaddress.is_global` differs between Python versions) and how an
IPv4 address can hide in an IPv6 one. It is asked with the *resolved* address just before the
connection, so that no name can be changed behind the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from attrs import field, frozen

_Network = IPv4Network | IPv6Network

#: network → what it is, the first one that fits. IANA's special-purpose registries (RFC 6890 and
#: its successors).
_TABLE = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, cloud metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, broadcast"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discard"),
    ("100:0:0:1::/64", "dummy"),
    ("2001::/23", "protocol assignments, Teredo"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
    # What is left outside of 2000::/3 has never been given to anybody.
    ("::/3", "reserved"),
    ("4000::/2", "reserved"),
    ("8000::/1", "reserved"),
)
#: version → network and mask as numbers, which are compared at every session, and what it is.
_FORBIDDEN = {
    version: [
        (int(network.network_address), int(network.netmask), what)
        for network, what in ((ip_network(text), what) for text, what in _TABLE)
        if network.version == version
    ]
    for version in (4, 6)
}


def _networks(networks: Iterable[str | _Network]) -> tuple[_Network, ...]:
    return tuple(ip_network(network) for network in networks)


def _is_nobodys(address: str) -> bool:
    return False


@frozen
class Networks:
    """What may be dialled: everything public, and the networks that the operator allows.

    `allowed` are CIDR texts or networks; a text that is none raises ValueError. `own` are our
    source addresses, and `is_own` says whether any other is this machine's: mail for them would
    come back to us.
    """

    allowed: tuple[_Network, ...] = field(default=(), converter=_networks)
    own: frozenset[str] = frozenset()
    is_own: Callable[[str], bool] = _is_nobodys

    def why_forbidden(self, address: str) -> str | None:
        """What kind of address `address` (a literal) is when it must not be dialled, or None."""
        given = ip_address(address)
        plain = _unmapped(given)
        if any(plain in network for network in self.allowed if network.version == plain.version):
            return None
        if str(plain) in self.own:
            return "our own"
        number = int(plain)
        for network, mask, what in _FORBIDDEN[plain.version]:
            if number & mask == network:
                return what
        if plain is not given:
            # Nobody has such an address in the DNS who means well.
            return "IPv4-mapped"
        return "our own" if self.is_own(str(plain)) else None


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside of `::ffff:0:0/96`, which the kernel dials as IPv4."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
