"""The real reactor and real sockets: a session leaves from its source or not at all."""
# mypy: allow-untyped-calls

from __future__ import annotations

import gc
import socket
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from twisted_probe.smtp import connector
from twisted_probe.smtp.conversation import converse
from twisted_probe.smtp.errors import NoRoute, Refused, SessionLost, SourceUnavailable
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.source import Source

reactor: Any = _reactor

EXCHANGER = "127.0.0.25"
ELSEWHERE = "192.0.2.1"  # nobody's: RFC 5737
IP_BIND_ADDRESS_NO_PORT = 24
ANN = parse_address("ann@example.net")


def source(address: str, port: int = 0) -> Source:
    return Source(address, helo="probe1.example.org", port=port)


class Exchanger(Factory):
    """A server that takes everybody, and remembers who came from where and said what."""

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting
        self.seen: list[tuple[str, bytes]] = []
        self.peers: list[Any] = []
        self.arrived: Deferred[None] = Deferred()
        self.all_gone: Deferred[None] = Deferred()
        self.visit: Any = None

    def buildProtocol(self, addr: Any) -> Any:
        self.peers.append(addr)
        self.visit = _Visit()
        self.visit.factory = self
        self.arrived.callback(None)
        return self.visit


class _Visit(LineReceiver):
    factory: Any

    def connectionMade(self) -> None:
        if self.factory.greeting:
            self.sendLine(self.factory.greeting)

    def lineReceived(self, line: bytes) -> None:
        self.factory.seen.append((self.factory.peers[-1].host, line))
        self.sendLine(b"221 Bye" if line == b"QUIT" else b"250 Ok")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.all_gone.callback(None)


@asynccontextmanager
async def exchanger(
    host: str = EXCHANGER, greeting: bytes = b"220 mx.example.net"
) -> AsyncIterator[tuple[Exchanger, int]]:
    """A server, and the port that it listens on."""
    server = Exchanger(greeting)
    port = reactor.listenTCP(0, server, interface=host)
    try:
        yield server, port.getHost().port
    finally:
        await port.stopListening()


@contextmanager
def socket_left_open() -> Iterator[None]:
    """Twisted leaves a socket that could not be bound to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


def no_port_option(session: Any) -> int:
    """What the kernel was told about the local port."""
    sock: socket.socket = session.transport.socket
    return sock.getsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT)


@pytest.mark.parametrize("address", ["127.0.0.2", "127.0.0.3"])
async def test_the_server_sees_the_source(address: str) -> None:
    async with exchanger() as (server, port):
        session = await ProbeFactory(source(address)).connect(reactor, EXCHANGER, port)
        transport: Any = session.transport
        assert transport.getHost().host == address
        assert session.host == EXCHANGER
        report = await converse(session, [ANN], None)
        await server.all_gone
    assert [peer.host for peer in server.peers] == [address]
    assert server.seen == [
        (address, b"EHLO probe1.example.org"),
        (address, b"MAIL FROM:<>"),
        (address, b"RCPT TO:<ann@example.net>"),
        (address, b"QUIT"),
    ]
    assert report.answers[ANN].code == 250
    assert report.answers[ANN].host == EXCHANGER


async def test_a_session_that_has_ended_is_gone_without_the_garbage_collector() -> None:
    async with exchanger() as (server, port):
        factory = ProbeFactory(source("127.0.0.2"))
        session = await factory.connect(reactor, EXCHANGER, port)
        await session.quit()
        await server.all_gone
        ended: tuple[Any, ...] = (session, session.transport, factory)
        gone = [weakref.ref(each) for each in ended]
        gc.disable()
        try:
            del session, factory, ended
            # The turn of the reactor that ended the connection still holds it.
            await deferLater(reactor, 0.0)
            assert [reference() for reference in gone] == [None, None, None]
        finally:
            gc.enable()


async def test_the_kernel_picks_the_port_for_each_exchanger() -> None:
    async with exchanger() as (server, port):
        session = await ProbeFactory(source("127.0.0.2")).connect(reactor, EXCHANGER, port)
        assert no_port_option(session) == 1
        assert server.peers[0].port != 0
        await session.quit()
        await server.all_gone


async def test_over_ipv6() -> None:
    async with exchanger("::1") as (server, port):
        session = await ProbeFactory(source("::1")).connect(reactor, "::1", port)
        assert no_port_option(session) == 1
        assert ip_address(server.peers[0].host) == ip_address("::1")
        await session.quit()
        await server.all_gone


async def test_a_source_with_a_port_of_its_own() -> None:
    taken = reactor.listenTCP(0, Factory(), interface="127.0.0.4")
    own_port = taken.getHost().port
    await taken.stopListening()
    async with exchanger() as (server, port):
        factory = ProbeFactory(source("127.0.0.4", own_port))
        session = await factory.connect(reactor, EXCHANGER, port)
        assert (server.peers[0].host, server.peers[0].port) == ("127.0.0.4", own_port)
        assert no_port_option(session) == 0
        session.abort()
        await server.all_gone


async def test_a_port_of_its_own_that_is_taken() -> None:
    taken = reactor.listenTCP(0, Factory(), interface="127.0.0.4")
    async with exchanger() as (server, port):
        factory = ProbeFactory(source("127.0.0.4", taken.getHost().port))
        with socket_left_open(), pytest.raises(SourceUnavailable):
            await factory.connect(reactor, EXCHANGER, port)
    await taken.stopListening()
    assert server.peers == []


async def test_a_kernel_that_does_not_know_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "_IP_BIND_ADDRESS_NO_PORT", 9999)
    async with exchanger() as (server, port):
        session = await ProbeFactory(source("127.0.0.2")).connect(reactor, EXCHANGER, port)
        assert no_port_option(session) == 0
        assert server.peers[0].host == "127.0.0.2"
        await session.quit()
        await server.all_gone


@pytest.mark.parametrize("own_port", [0, 20025])
async def test_a_source_that_is_not_on_this_machine(own_port: int) -> None:
    """Row 55 of cases.md: never from the default address instead."""
    async with exchanger() as (server, port):
        factory = ProbeFactory(source(ELSEWHERE, own_port))
        with socket_left_open(), pytest.raises(SourceUnavailable, match=f"source {ELSEWHERE}"):
            await factory.connect(reactor, EXCHANGER, port)
    assert server.peers == []


async def test_a_source_from_which_the_kernel_sends_from_elsewhere() -> None:
    """Linux binds to a broadcast address, and chooses another one when it connects."""
    async with exchanger() as (there, port):
        attempt = ProbeFactory(source("127.255.255.255")).connect(reactor, EXCHANGER, port)
        with pytest.raises(SourceUnavailable, match="from another address"):
            await attempt
        await there.all_gone
        assert there.seen == []


async def test_nothing_listens() -> None:
    async with exchanger() as (_, port):
        pass
    with pytest.raises(Refused):
        await ProbeFactory(source("127.0.0.2")).connect(reactor, EXCHANGER, port)


async def test_no_route() -> None:
    """From a loopback address nothing leaves the machine."""
    with pytest.raises(NoRoute):
        await ProbeFactory(source("127.0.0.2")).connect(reactor, ELSEWHERE, 25)


async def test_cancelled_while_dialling() -> None:
    async with exchanger() as (server, port):
        attempt = ProbeFactory(source("127.0.0.2")).connect(reactor, EXCHANGER, port)
        attempt.cancel()
        with pytest.raises(CancelledError):
            await attempt
    assert server.peers == []


async def test_cancelled_while_the_greeting_is_awaited() -> None:
    async with exchanger(greeting=b"") as (server, port):
        factory = ProbeFactory(source("127.0.0.2"))
        attempt = factory.connect(reactor, EXCHANGER, port)
        server.arrived.addCallback(lambda _: attempt.cancel())
        with pytest.raises(CancelledError):
            await attempt
        await server.all_gone
    assert [peer.host for peer in server.peers] == ["127.0.0.2"]


async def test_the_server_hangs_up() -> None:
    async with exchanger() as (server, port):
        session = await ProbeFactory(source("127.0.0.2")).connect(reactor, EXCHANGER, port)
        assert (await session.helo()).code == 250
        server.visit.transport.loseConnection()
        await server.all_gone
        with pytest.raises(SessionLost):
            await session.mail("")
        assert await session.quit() is None
