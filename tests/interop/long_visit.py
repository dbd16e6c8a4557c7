"""The whole street, asked by one daemon from four sources: one on the block list, one nameless.

Knows how the daemon is set up for it; the list is the topology's, what to expect the tests'.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import topology
from .daemon import Job, Visit, visit
from .street import Street

#: Seconds for the whole list. A question that the DNS drops is given up after 12 s, thrice.
TIMEOUT = 180.0

#: Ladders and rests of seconds instead of hours; the waits are shorter than the servers' longest.
SETTINGS = """
[tls]
ca_file = "authority.pem"
[retry]
greylist = [3, 4]
temporary = [3, 6]
[limits]
rest = 5
[timeouts]
connect = 10
greeting = 20
command = 20
"""


def lines(domains: Iterable[topology.Domain] = topology.STREET) -> list[topology.Line]:
    """The long list, or what it asks of some domains."""
    return [line for domain in domains for line in domain.lines]


def long_visit(street: Street, directory: Path) -> Visit:
    """Ask the exchanger with the block list first, from each source once; then everybody, and
    the one that counts connections from a single source."""
    aside = (*topology.LISTING_DOMAINS, *topology.RATING_DOMAINS)
    everybody = [domain for domain in topology.STREET if domain not in aside]
    source = next(iter(topology.SOURCES))
    stages = [
        [Job(lines(topology.LISTING_DOMAINS))],
        [Job(lines(topology.RATING_DOMAINS), f'sources = ["{source}"]'), Job(lines(everybody))],
    ]
    return visit(street, directory, stages, TIMEOUT, topology.ALL_SOURCES, SETTINGS)
