"""A provider's totals over real sockets: its exchangers themselves count, all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet import reactor as global_reactor

from twisted_probe.routing.customs import Customs, Override
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.record import SessionRecord, most_at_once
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.source import Source

reactor: Any = global_reactor

SLOW = tempers.postfix(residents("ann"), Tarpits(0.02))
SOURCES = [Source(f"127.0.0.{n}", helo=f"probe{n}.example.org") for n in range(21, 25)]
#: Hosts and domains of three: each tenant of the first has a name of its own, the domains of the
#: second share two hosts, and those of the third have one each, and nothing to do with each other.
TENANTS = [f"d{n}-example.mail.protection.outlook.com" for n in range(8)]
FRENCH = ["smtp-in.orange.fr", "smtp-in.wanadoo.fr"]
SMALL = [f"mx{n}.small.example" for n in range(8)]


def exchangers_of(number: int) -> tuple[str, str, str]:
    return TENANTS[number % 8], FRENCH[number % 2], SMALL[number % 8]


def sessions_at(houses: Iterable[ExchangerFactory]) -> list[SessionRecord]:
    return [session for house in houses for session in house.record.sessions]


async def asked(limits: Limits, overrides: Sequence[Override], number: int) -> Any:
    """All domains, asked from four sources: the outcomes, and the exchangers by name."""
    hosts = [*TENANTS, *FRENCH, *SMALL]
    domains = {f"d{n}.example": exchangers_of(n // 3)[n % 3] for n in range(number)}
    town = Town(
        [House(host, f"127.0.4.{n}", SLOW) for n, host in enumerate(hosts, 1)],
        {domain: [f"MX 10 {host}"] for domain, host in domains.items()},
        sample="",
    )
    await town.start(reactor)
    prober = Prober(
        reactor,
        sources=SOURCES,
        reverse_path="probe@example.org",
        resolvers=[parse_resolver(town.resolver)],
        port=town.port,
        allow_networks=["127.0.4.0/24"],
        limits=limits,
        sites=overrides,
    )
    try:
        outcomes: list[Outcome] = await prober.probe_many([f"ann@{each}" for each in domains])
    finally:
        await prober.close()
        await town.stop()
    assert {each.reason for each in outcomes} == {Reason.ACCEPTED}
    return town.exchangers


async def test_no_more_sessions_at_once_than_the_providers_total() -> None:
    limits = Limits(per_site=8, first_sessions=8, starts_per_second=100.0, recipients_per_session=4)
    houses = await asked(limits, (), 144)
    customs = Customs(limits)
    for names in (TENANTS, FRENCH):
        sessions = sessions_at(houses[name] for name in names)
        assert len({each.client for each in sessions}) == 4
        assert most_at_once(sessions) == customs.at(names[0]).sessions < 8
    # Hosts that are nobody's together have more, from the same sources at the same time.
    assert most_at_once(sessions_at(houses[name] for name in SMALL)) > 5


async def test_no_more_starts_a_second_than_the_providers_total() -> None:
    limits = Limits(per_site=8, first_sessions=8, starts_per_second=100.0, recipients_per_session=2)
    pace = 10.0
    overrides = [
        Override(name=".mail.protection.outlook.com", starts_per_second=pace),
        Override(name="smtp-in.orange.fr", starts_per_second=pace),
        Override(name="smtp-in.wanadoo.fr", starts_per_second=pace),
    ]
    houses = await asked(limits, overrides, 72)
    for names in (TENANTS, FRENCH):
        starts = sorted(each.started for each in sessions_at(houses[name] for name in names))
        assert len(starts) >= 12
        # A machine that is busy hears late of one, and in time of the next.
        assert len(starts) - 2 <= (starts[-1] - starts[0]) * pace
        for first in range(len(starts) - 10):
            assert starts[first + 10] - starts[first] > 0.5
