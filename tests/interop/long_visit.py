"""The whole street, asked by one daemon from four sources: one on the block list, one nameless.

Knows how the daemon is set up for it; the list is the topology's, what to expect the tests'.
"""

from __future__ import annotations

from pathlib import Path

from . import topology
from .daemon import Visit, visit
from .street import Street

#: Seconds for the whole list. A question that the DNS drops is given up after 12 s, thrice.
TIMEOUT = 180.0

#: Ladders of seconds instead of hours; the waits are shorter than the servers' longest.
SETTINGS = """
[tls]
ca_file = "authority.pem"
[retry]
greylist = [3, 4]
temporary = [3, 6]
[timeouts]
connect = 10
greeting = 20
command = 20
"""


def lines() -> list[topology.Line]:
    """The long list."""
    return [line for domain in topology.STREET for line in domain.lines]


def long_visit(street: Street, directory: Path) -> Visit:
    """Ask the exchanger with the block list first, from each source once, then everybody."""
    listing = [line for domain in topology.LISTING_DOMAINS for line in domain.lines]
    lists = [listing, lines()]
    return visit(street, directory, lists, TIMEOUT, topology.ALL_SOURCES, SETTINGS)
