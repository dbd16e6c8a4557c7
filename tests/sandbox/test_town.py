"""The town: it comes up, says what it should, and leaves nothing behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import CannotListenError, ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.names import client
from twisted.python.failure import Failure

from twisted_probe.sandbox import street, tempers
from twisted_probe.sandbox.sample import SampleError, sample_text, truth_of
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import MAX_TRIES, Town
from twisted_probe.sandbox.zone import ZoneError
from twisted_probe.vocabulary.address import AddressError, parse_entry
from twisted_probe.vocabulary.outcome import Reason

reactor: Any = global_reactor


class Visitor(Protocol):
    """Sends everything at once and keeps what comes back."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.heard = b""
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write("".join(f"{line}\r\n" for line in self.lines).encode())

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


async def visit(town: Town, address: str, source: str, *lines: str) -> Visitor:
    endpoint = TCP4ClientEndpoint(reactor, address, town.port, bindAddress=(source, 0))
    return await _connected(endpoint, Visitor(*lines))


async def _connected(endpoint: TCP4ClientEndpoint, visitor: Visitor) -> Visitor:
    await connectProtocol(endpoint, visitor)
    return visitor


@asynccontextmanager
async def in_town(town: Town) -> AsyncIterator[Town]:
    assert await town.start(reactor) is town
    try:
        yield town
    finally:
        await town.stop()


async def left_in_reactor() -> tuple[set[Any], ...]:
    await deferLater(reactor, 0)  # what belongs to the test itself is there by now
    return tuple(
        set(held)
        for held in (reactor.getReaders(), reactor.getWriters(), reactor.getDelayedCalls())
    )


async def test_all_exchangers_are_there_on_one_port() -> None:
    async with in_town(Town()) as town:
        for house in town.houses:
            visitor = await visit(town, house.address, "127.0.0.21", "QUIT")
            await visitor.gone
            assert visitor.heard
            (session,) = town.exchangers[house.name].record.sessions
            assert session.client == "127.0.0.21"
        with pytest.raises(ConnectError, match="refused"):
            await visit(town, street.VACANT_ADDRESS, "127.0.0.21")


async def test_a_session_from_each_source() -> None:
    async with in_town(Town()) as town:
        codes = []
        for source in town.sources:
            visitor = await visit(
                town,
                "127.0.1.6",
                source.address,
                f"EHLO {source.helo}",
                f"MAIL FROM:<{town.reverse_path}>",
                "RCPT TO:<ann@castle.example>",
                "RCPT TO:<nobody@castle.example>",
                "QUIT",
            )
            await visitor.gone
            codes.append([line[:3] for line in visitor.heard.decode().splitlines()[-3:]])
        assert codes == [["250", "550", "221"], ["554", "554", "221"]]
        record = town.exchangers["mx.castle.example"].record
        assert record.helo_names == {source.address: {source.helo} for source in town.sources}
        assert record.forbidden == 0


async def test_the_resolver_knows_the_street() -> None:
    async with in_town(Town()) as town:
        host, port = town.resolver.split(":")
        resolver: Any = client.Resolver(servers=[(host, int(port))], reactor=reactor)
        for house in town.houses:
            answers, _, _ = await resolver.lookupAddress(house.name)
            assert [record.payload.dottedQuad() for record in answers] == [house.address]
        for source in town.sources:
            answers, _, _ = await resolver.lookupAddress(source.helo)
            assert answers[0].payload.dottedQuad() == source.address
            reverse = ip_address(source.address).reverse_pointer
            answers, _, _ = await resolver.lookupPointer(reverse)
            assert answers[0].payload.name.name.decode() == source.helo
        assert town.name_server.questions


async def test_stop_leaves_nothing_in_the_reactor() -> None:
    before = await left_in_reactor()
    slow = tempers.greylisting(residents("ann"))
    town = Town([House("mx.a.example", "127.0.1.1", slow)], {"a.example": ["MX 1 mx.a.example"]})
    async with in_town(town):
        assert await left_in_reactor() != before
        visitors = [await visit(town, "127.0.1.1", "127.0.0.21", "NOOP") for _ in range(3)]
        host, port = town.resolver.split(":")
        endpoint = TCP4ClientEndpoint(reactor, host, int(port))
        visitors.append(await _connected(endpoint, Visitor()))
    for visitor in visitors:
        await visitor.gone
    assert await left_in_reactor() == before
    assert town.exchangers["mx.a.example"].record.open == 0
    await town.stop()


async def test_a_town_may_be_put_up_again_and_beside_another() -> None:
    town = Town()
    async with in_town(town), in_town(Town()) as other:
        assert town.port != other.port
        with pytest.raises(RuntimeError, match="up already"):
            await town.start(reactor)
    async with in_town(town):
        assert all(exchanger.record.open == 0 for exchanger in town.exchangers.values())


async def test_what_cannot_be_put_up_leaves_nothing() -> None:
    before = await left_in_reactor()
    elsewhere = House("mx.b.example", "192.0.2.77", tempers.catch_all())
    here = House("mx.a.example", "127.0.1.1", tempers.catch_all())
    with pytest.raises(CannotListenError):
        await Town([here, elsewhere], {}).start(reactor)
    with pytest.raises(ZoneError):
        await Town([here], {"a.example": ["MX"]}).start(reactor)
    assert await left_in_reactor() == before


async def test_a_number_that_is_taken_somewhere_is_not_used() -> None:
    class Reluctant:
        """The reactor, in which the second address is taken at first."""

        def __init__(self) -> None:
            self.refusals = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(reactor, name)

        def listenTCP(self, port: int, *args: Any, interface: str, **kwargs: Any) -> Any:
            if interface == "127.0.1.2" and self.refusals < MAX_TRIES - 1:
                self.refusals += 1
                raise CannotListenError(interface, port, OSError("taken"))
            return reactor.listenTCP(port, *args, interface=interface, **kwargs)

    before = await left_in_reactor()
    reluctant = Reluctant()
    houses = [
        House(f"mx{number}.a.example", f"127.0.1.{number}", tempers.catch_all())
        for number in (1, 2)
    ]
    town = Town(houses, {})
    await town.start(reluctant)
    assert reluctant.refusals == MAX_TRIES - 1
    await town.stop()
    assert await left_in_reactor() == before


def test_an_empty_town_is_a_town() -> None:
    town = Town([], {}, "")
    assert (town.truth, town.exchangers) == ({}, {})


# --- the sample list --------------------------------------------------------------------------


def entries() -> list[str]:
    return [line for line in sample_text().splitlines() if line and not line.startswith("#")]


def test_the_sample_is_a_list_as_users_have_it() -> None:
    lines = entries()
    assert 40 <= len(lines) <= 60
    assert sample_text().startswith("# ")
    assert [line for line, times in Counter(lines).items() if times > 1] == ["ann@orchard.example"]
    assert Town().sample == sample_text()


def test_the_truth_speaks_of_every_line_in_our_words() -> None:
    truth = Town().truth
    for line in entries():
        try:
            key = parse_entry(line).text
        except AddressError:
            key = line
            assert truth[key] == {("undeliverable", "invalid_address")}
        assert truth[key] <= {(reason.verdict.value, reason.value) for reason in Reason}


def test_every_domain_of_the_sample_is_in_the_street() -> None:
    town = Town()
    known = {name.removeprefix("mx.") for name in town.names}
    domains = set()
    for line in entries():
        try:
            domains.add(parse_entry(line).domain)
        except AddressError:
            continue
    assert domains - known == {"vanished.example"}
    assert len({house.address for house in town.houses}) == len(town.houses)


def test_an_address_of_which_nothing_is_expected() -> None:
    with pytest.raises(SampleError, match=r"ann@a\.example"):
        truth_of("# a list\nann@a.example\n")
    assert truth_of("# expected: risky/catch_all or unknown/timeout\nAnn <ann@a.example>") == {
        "ann@a.example": {("risky", "catch_all"), ("unknown", "timeout")}
    }
