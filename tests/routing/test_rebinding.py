"""DNS rebinding over real sockets: a name server that says something else the next time, and a
listener at the forbidden address, which nobody ever reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import frozen
from twisted.internet import reactor as global_reactor
from twisted.internet.task import deferLater

from twisted_probe.routing import cache
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import names as sandbox_names
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.record import Record
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Zone
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.source import Source

reactor: Any = global_reactor

#: Only 127.0.1.0/24 may be dialled.
ALLOWED, VACANT, FORBIDDEN = "127.0.1.1", "127.0.1.70", "127.0.2.1"
SOURCE = Source("127.0.0.21", helo="probe1.example.org")
ANN = tempers.postfix(residents("ann"))


@frozen
class Scene:
    """A prober that is led by a name server which changes its mind."""

    town: Town
    prober: Prober

    def says(self, *addresses: str) -> None:
        """What the name server says from now on of the exchanger."""
        self.town.name_server.zone = Zone(
            {
                "a.example": ["MX 10 mx.a.example"],
                "mx.a.example": [f"A {address}" for address in addresses],
            }
        )

    async def ask(self) -> Outcome:
        return await self.prober.probe("ann@a.example")

    def record(self, address: str) -> Record:
        return self.town.exchangers[f"at-{address}"].record


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer holds for a minute, and a test does not wait for that."""
    monkeypatch.setattr(cache, "MIN_TTL", 0.0)
    monkeypatch.setattr(sandbox_names, "TTL", 0)


@asynccontextmanager
async def scene(
    addresses: Sequence[str] = (ALLOWED, FORBIDDEN), **options: Any
) -> AsyncIterator[Scene]:
    houses = [House(f"at-{address}", address, ANN) for address in addresses]
    town = Town(houses, {"vacant.example": [f"A {VACANT}"]}, sample="")
    await town.start(reactor)
    prober = Prober(
        reactor,
        sources=[SOURCE],
        reverse_path="probe@example.org",
        resolvers=[parse_resolver(town.resolver)],
        port=town.port,
        allow_networks=["127.0.1.0/24"],
        limits=Limits(starts_per_second=100.0),
        **options,
    )
    try:
        yield Scene(town, prober)
    finally:
        await prober.close()
        await town.stop()


async def test_an_allowed_address_first_and_a_forbidden_one_later() -> None:
    async with scene() as s:
        for _ in range(3):
            s.says(ALLOWED)
            assert (await s.ask()).reason is Reason.ACCEPTED
            s.says(FORBIDDEN)
            outcome = await s.ask()
            assert (outcome.reason, outcome.final) == (Reason.FORBIDDEN_EXCHANGER, True)
        assert len(s.record(ALLOWED).sessions) == 3
        assert not s.record(FORBIDDEN).sessions


async def test_a_retry_goes_where_its_exchanger_is_now() -> None:
    """The name is asked for again, and its address looked at again."""
    async with scene() as s:
        s.says(VACANT)
        refused = await s.ask()
        assert (refused.reason, refused.final) == (Reason.REFUSED, False)
        s.says(FORBIDDEN)
        again = await s.prober.probe("ann@a.example", refused.retry)
        assert again.reason is Reason.FORBIDDEN_EXCHANGER
        assert not s.record(FORBIDDEN).sessions


async def test_answers_that_mix_both() -> None:
    """Whatever the order."""
    async with scene() as s:
        s.says(FORBIDDEN, ALLOWED)
        outcomes = [await s.ask() for _ in range(10)]
        assert {each.exchanger_address for each in outcomes} == {ALLOWED}
        assert not s.record(FORBIDDEN).sessions


async def test_the_forbidden_one_is_no_help_where_nobody_else_answers() -> None:
    async with scene() as s:
        s.says(VACANT, FORBIDDEN)
        outcomes = [await s.ask() for _ in range(10)]
        assert {each.reason for each in outcomes} == {Reason.REFUSED}
        assert not s.record(FORBIDDEN).sessions


async def test_more_than_a_datagram_holds() -> None:
    """Over TCP, with one allowed address among forbidden ones."""
    crowd = [f"127.0.2.{n}" for n in range(1, 19)]
    async with scene([ALLOWED, *crowd]) as s:
        s.says(*crowd, ALLOWED, *(f"10.0.0.{n}" for n in range(1, 30)))
        # Of so many addresses some are looked at, by lot.
        assert (await s.ask()).reason in (Reason.ACCEPTED, Reason.FORBIDDEN_EXCHANGER)
        assert [each.tcp for each in s.town.name_server.questions if each.type == "A"] == [
            False,
            True,
        ]
        assert not any(s.record(address).sessions for address in crowd)


async def test_the_address_that_is_dialled_is_the_one_that_was_looked_at() -> None:
    """The name says something else while the session waits for its turn: nobody asks again."""
    async with scene() as s:
        s.says(ALLOWED)
        sites = s.prober._tools.sites
        slot = await sites.slot("mx.a.example", ALLOWED)
        waiting = s.prober.probe("ann@a.example")
        while not sites.waiting:
            await deferLater(reactor, 0.01)
        s.says(FORBIDDEN)
        slot.release()
        assert (await waiting).exchanger_address == ALLOWED
        assert not s.record(FORBIDDEN).sessions
