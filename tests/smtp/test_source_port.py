"""A source with a port of its own: one session with each exchanger at a time, and no more than
that; on real sockets, where ports are what the kernel makes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory

from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import AlwaysSays
from twisted_probe.sandbox.temper import Temper
from twisted_probe.smtp.errors import SourceUnavailable
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.vocabulary.source import Source

from .wire import outcome_of, ready

reactor: Any = _reactor

ADDRESS = "127.0.0.5"
EXCHANGER, OTHER = "127.0.0.25", "127.0.0.26"


@asynccontextmanager
async def exchanger(
    host: str = EXCHANGER, temper: Temper | None = None
) -> AsyncIterator[tuple[ExchangerFactory, int]]:
    """An exchanger that takes everybody, and the port that it listens on."""
    server = ExchangerFactory(reactor, temper or Temper(unknown=None))
    port = reactor.listenTCP(0, server, interface=host)
    try:
        yield server, port.getHost().port
    finally:
        await port.stopListening()
        await server.send_away()


async def own_source() -> Source:
    """A source whose fixed port nobody has."""
    vacant = reactor.listenTCP(0, Factory(), interface=ADDRESS)
    number = vacant.getHost().port
    await vacant.stopListening()
    return Source(ADDRESS, helo="probe1.example.org", port=number)


async def connect(
    source: Source, port: int, host: str = EXCHANGER, timeouts: Timeouts = DEFAULT_TIMEOUTS
) -> ProbeProtocol:
    return await ProbeFactory(source, timeouts).connect(reactor, host, port)


async def test_one_session_after_the_other() -> None:
    """No TIME_WAIT on our side keeps the port."""
    source = await own_source()
    async with exchanger() as (server, port):
        for _ in range(3):
            session = await connect(source, port)
            assert (await session.helo()).code == 250
            farewell = await session.quit()
            assert farewell is not None
    came_from = [(session.client, session.port) for session in server.record.sessions]
    assert came_from == [(ADDRESS, source.port)] * 3


async def test_again_at_once_where_the_exchanger_does_not_close() -> None:
    source = await own_source()
    stays = Temper(habits=(AlwaysSays("QUIT", "250 please stay"),))
    async with exchanger(temper=stays) as (server, port):
        for _ in range(3):
            session = await connect(source, port, timeouts=Timeouts(quit=0.2))
            await session.quit()
    assert [session.verbs for session in server.record.sessions] == [["QUIT"]] * 3


async def test_again_at_once_after_a_session_that_was_cut() -> None:
    source = await own_source()
    async with exchanger() as (server, port):
        for _ in range(3):
            session = await connect(source, port)
            session.abort()
            assert await session.quit() is None
    assert len(server.record.sessions) == 3


async def test_two_exchangers_at_once() -> None:
    source = await own_source()
    async with exchanger() as (one, port), exchanger(OTHER) as (two, other_port):
        first = await connect(source, port)
        second = await connect(source, other_port, OTHER)
        assert (await first.helo()).code == (await second.helo()).code == 250
        await first.quit()
        await second.quit()
    assert one.record.sessions[0].port == two.record.sessions[0].port == source.port


async def test_one_exchanger_twice_at_once() -> None:
    source = await own_source()
    async with exchanger() as (server, port):
        first = await connect(source, port)
        with pytest.raises(SourceUnavailable) as caught:
            await connect(source, port)
        assert caught.value.text == (
            f"source {ADDRESS} port {source.port}: it has a session with this exchanger, or had "
            "one just now"
        )
        assert (await first.helo()).code == 250
        await first.quit()
    assert len(server.record.sessions) == 1


# --- Who closes --------------------------------------------------------------------------------


def test_the_exchanger_closes() -> None:
    wire = ready(closes_last=True)
    farewell = outcome_of(wire.session.quit())
    wire.server("221 Bye")
    assert farewell == []
    assert not wire.transport.disconnecting
    wire.closes()
    assert farewell[0].code == 221
    assert not wire.is_cut
    assert wire.timers == 0


def test_or_is_cut_off() -> None:
    wire = ready(closes_last=True)
    farewell = outcome_of(wire.session.quit())
    wire.server("221 Bye")
    wire.seconds_pass(2)
    assert farewell[0].code == 221
    assert wire.is_cut
    assert wire.timers == 0
