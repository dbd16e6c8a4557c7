"""A source with a fixed port has one session at a time with each exchanger address."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory

from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.ports import Ports
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source

reactor: Any = _reactor

ADDRESS = "127.0.0.5"
FIXED = Source(ADDRESS, helo="probe1.example.org", port=2525)
FREE = Source(ADDRESS, helo="probe1.example.org")


class Visitor:
    """Somebody who wants the port of a source for an exchanger, and gives it back when told."""

    def __init__(self, ports: Ports, source: Source = FIXED, address: str = "192.0.2.25") -> None:
        self.is_in = False
        self._ports, self._source, self._address = ports, source, address
        self._leave: Deferred[None] = Deferred()
        self.visit = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        async with self._ports.held(self._source, self._address):
            self.is_in = True
            await self._leave
        self.is_in = False

    def leaves(self) -> None:
        self._leave.callback(None)


def test_one_at_a_time_in_order() -> None:
    ports = Ports()
    visitors = [Visitor(ports) for _ in range(3)]
    for n, visitor in enumerate(visitors):
        assert [each.is_in for each in visitors] == [n == other for other in range(3)]
        visitor.leaves()
    assert not any(each.is_in for each in visitors)


@pytest.mark.parametrize(
    ("source", "address"),
    [
        (FIXED, "192.0.2.26"),
        (Source(ADDRESS, helo="probe1.example.org", port=2526), "192.0.2.25"),
        (Source("127.0.0.6", helo="probe1.example.org", port=2525), "192.0.2.25"),
    ],
    ids=["another exchanger", "another port", "another source"],
)
def test_others_do_not_wait(source: Source, address: str) -> None:
    ports = Ports()
    first, other = Visitor(ports), Visitor(ports, source, address)
    assert first.is_in
    assert other.is_in
    first.leaves()
    other.leaves()


def test_the_name_does_not_matter() -> None:
    """It is the same port, whatever is said in EHLO."""
    ports = Ports()
    first = Visitor(ports)
    second = Visitor(ports, Source(ADDRESS, helo="probe2.example.org", port=2525))
    assert not second.is_in
    first.leaves()
    assert second.is_in
    second.leaves()


def test_a_source_without_a_port_never_waits() -> None:
    ports = Ports()
    visitors = [Visitor(ports, FREE) for _ in range(3)]
    assert all(each.is_in for each in visitors)
    for each in visitors:
        each.leaves()


def test_who_is_cancelled_waits_no_more() -> None:
    ports = Ports()
    first, second, third = (Visitor(ports) for _ in range(3))
    ended: list[Any] = []
    second.visit.addErrback(lambda failure: ended.append(failure.value))
    second.visit.cancel()
    assert isinstance(ended[0], CancelledError)
    first.leaves()
    assert third.is_in
    third.leaves()


def test_nothing_is_kept_of_ports_that_nobody_has() -> None:
    ports = Ports()
    visitor = Visitor(ports)
    visitor.leaves()
    gc.collect()
    assert len(ports._locks) == 0


# --- The prober --------------------------------------------------------------------------------


async def own_source() -> Source:
    """A source whose fixed port nobody has."""
    vacant = reactor.listenTCP(0, Factory(), interface=ADDRESS)
    number = vacant.getHost().port
    await vacant.stopListening()
    return Source(ADDRESS, helo="probe1.example.org", port=number)


async def test_a_prober_keeps_to_it() -> None:
    """Four attempts at once for two exchangers: each sees one session after the other."""
    slow = Temper(mailboxes=residents("ann"), habits=(Tarpits(0.02, Stage.RCPT),))
    town = Town(
        [House("mx1.example.net", "127.0.1.1", slow), House("mx2.example.net", "127.0.1.2", slow)],
        names={
            "one.example.net": ["MX 10 mx1.example.net"],
            "two.example.net": ["MX 10 mx1.example.net"],
            "three.example.net": ["MX 10 mx2.example.net"],
            "four.example.net": ["MX 10 mx2.example.net"],
        },
        sample="",
    )
    await town.start(reactor)
    source = await own_source()
    prober = Prober(
        reactor,
        sources=[source],
        reverse_path=town.reverse_path,
        resolvers=[parse_resolver(town.resolver)],
        port=town.port,
        allow_networks=town.networks,
        limits=Limits(starts_per_second=1000.0),
    )
    outcomes = await gatherResults(
        [prober.probe(f"ann@{name}.example.net") for name in ("one", "two", "three", "four")]
    )
    await prober.close()
    await town.stop()
    assert [outcome.reason.value for outcome in outcomes] == ["accepted"] * 4
    for exchanger in town.exchangers.values():
        assert [session.port for session in exchanger.record.sessions] == [source.port] * 2
        assert exchanger.record.most_open == 1
