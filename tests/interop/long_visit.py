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
#: Sites begin at their ceiling, which slow growth would not reach in so short a list.
SETTINGS = """
[tls]
ca_file = "authority.pem"
[retry]
greylist = [3, 4]
temporary = [3, 6]
[limits]
rest = 5
first_sessions = 4
[timeouts]
connect = 10
greeting = 20
command = 20
""" + "".join(
    # A domain of theirs fills a session, so that there are enough of these to need the budget.
    f'[[site]]\nname = "{exchanger}"\nrecipients_per_session = 3\n'
    for exchanger in topology.CROWDED
)


def lines(domains: Iterable[topology.Domain] = topology.STREET) -> list[topology.Line]:
    """The long list, or what it asks of some domains."""
    return [line for domain in domains for line in domain.lines]


def long_visit(street: Street, directory: Path) -> Visit:
    """Ask those first who refuse a source that they know: one from each source once, two from two
    each. Then everybody, those that count from a single source."""
    first, second = topology.SOURCES
    knocking = [
        Job(lines(topology.STRICT_DOMAINS), _from(first, topology.LISTED)),
        Job(lines(topology.NAMING_DOMAINS), _from(second, topology.NAMELESS)),
    ]
    aside = [
        Job(lines(topology.RATING_DOMAINS), _from(first)),
        Job(lines(topology.CROWDING_DOMAINS), _from(second)),
        Job(lines(topology.FORGING_DOMAINS), f'reverse_path = "{topology.FORGED}"'),
        Job(lines(topology.HOMELESS_DOMAINS), f'reverse_path = "{topology.HOMELESS}"'),
    ]
    stages = [[Job(lines(topology.LISTING_DOMAINS))], knocking, aside]
    asked = {line for stage in stages for job in stage for line in job.lines}
    aside.append(Job([line for line in lines() if line not in asked]))
    return visit(street, directory, stages, TIMEOUT, topology.ALL_SOURCES, SETTINGS)


def _from(*sources: str) -> str:
    return f"sources = {list(sources)}"
