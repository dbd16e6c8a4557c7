"""A source: one local address that sessions may leave from, with the name it says in EHLO.

Knows what a source is and what a HELO name may look like; not whether this machine owns the
address (`daemon.config` asks the kernel) nor which source a session should take (`routing`).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from attrs import field, frozen
from attrs.validators import optional

# RFC 1035 section 2.3.4 and RFC 5321 section 4.5.3.1.2, in octets.
MAX_NAME = 255
MAX_LABEL = 63

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")


def helo_name_problem(name: str) -> str | None:
    """Say why `name` cannot be said in EHLO, or None when it can.

    RFC 5321 section 4.1.1.1 asks for a fully qualified name; a name without a dot, or one
    that stands for every machine, is what exchangers refuse (cases.md row 64).
    """
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it is longer than {MAX_NAME} characters"
    labels = name.split(".")
    for label in labels:
        if len(label) > MAX_LABEL:
            return f"a label is longer than {MAX_LABEL} characters"
        if not _LABEL.fullmatch(label):
            return "it is not a host name of letters, digits, hyphens and dots"
    if len(labels) < 2:
        return "it has no dot; exchangers want a fully qualified name"
    if labels[-1].isdigit():
        return "it looks like an IP address; exchangers want a name"
    if labels[0].lower() == "localhost" or labels[-1].lower() in ("localhost", "localdomain"):
        return "it names every machine and so none"
    return None


def _literal(text: str) -> str:
    return str(ip_address(text))


def _check_address(instance: object, attribute: object, value: str) -> None:
    address = ip_address(value)
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{value} is no single address of a machine")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"{value} is an IPv4 address; write it as {address.ipv4_mapped}")


def _check_helo(instance: object, attribute: object, value: str) -> None:
    problem = helo_name_problem(value)
    if problem is not None:
        raise ValueError(f"HELO name {value!r}: {problem}")


def _check_port(instance: object, attribute: object, value: int) -> None:
    if not 0 <= value <= 65535:
        raise ValueError(f"source port {value}: it is not between 0 and 65535")


def _check_share(instance: object, attribute: Any, value: int) -> None:
    if value < 1:
        raise ValueError(f"source {attribute.name} {value}: it is less than 1")


@frozen
class Source:
    """One local address and the name it says in EHLO.

    `address` is an IPv4 or IPv6 literal (kept in its canonical spelling), `helo` a fully
    qualified host name, `port` the local port, 0 for one that the kernel picks; a fixed one has
    one session at a time with each exchanger address. `weight` is its share of the sessions beside
    those of the others, `ceiling` the sessions that it may have at once, None for no limit.

    Raises ValueError for anything else; also for 0.0.0.0 and ::, where the kernel would choose
    the address.
    """

    address: str = field(converter=_literal, validator=_check_address)
    helo: str = field(validator=_check_helo)
    port: int = field(default=0, validator=_check_port)
    weight: int = field(default=1, validator=_check_share)
    ceiling: int | None = field(default=None, validator=optional(_check_share))

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        """The address as a value."""
        return ip_address(self.address)

    @property
    def family(self) -> int:
        """4 or 6; an exchanger of the other family cannot be reached from here."""
        return 6 if ":" in self.address else 4

    @classmethod
    def parse(cls, text: str, default_helo: str | None = None) -> Source:
        """Read `ADDRESS` or `ADDRESS=HELO`, as the command line has it.

        Raises ValueError, naming the text, when the address is no literal or no usable HELO
        name is given.
        """
        address, separator, helo = text.partition("=")
        name = helo if separator else default_helo
        if name is None:
            raise ValueError(f"source {text!r}: it has no HELO name (write ADDRESS=NAME)")
        try:
            return cls(address.strip(), helo=name.strip())
        except ValueError as error:
            raise ValueError(f"source {text!r}: {error}") from None
