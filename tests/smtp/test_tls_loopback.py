"""TLS over sockets: what is left in the reactor behind a session, whatever the exchanger does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.tcp import BaseClient

from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue.starttls import GOOD, offering
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import AlwaysSays
from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS
from twisted_probe.smtp.tls import Encryption, TlsClient
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.source import Source

reactor: Any = _reactor

EXCHANGER = "127.0.0.25"
SOURCE = Source("127.0.0.26", helo="probe1.example.org")
ANN = parse_address("ann@example.net")
SESSIONS = 10
#: So that a test need not wait two seconds for an exchanger that stays.
TIMEOUTS = evolve(DEFAULT_TIMEOUTS, quit=0.2)


def open_clients() -> list[Any]:
    """Connections of ours that the reactor still reads from or writes to."""
    held = [*reactor.getReaders(), *reactor.getWriters()]
    return [each for each in held if isinstance(each, BaseClient)]


@asynccontextmanager
async def exchanger(then: Then) -> AsyncIterator[int]:
    """One that does this behind its reply to QUIT; its port."""
    goodbye = AlwaysSays("QUIT", Answer("221 2.0.0 Bye", then=then))
    factory = ExchangerFactory(reactor, offering(GOOD, habits=(goodbye,)))
    port = reactor.listenTCP(0, factory, interface=EXCHANGER)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()
        await factory.send_away()


async def session(client: TlsClient, port: int) -> SessionReport:
    probe = await ProbeFactory(SOURCE, TIMEOUTS).connect(reactor, EXCHANGER, port)
    return await converse(probe, [ANN], None, encryption=Encryption(client, "mx.example.net"))


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(Then.CLOSE, id="says close_notify and closes"),
        pytest.param(Then.ABORT, id="resets without one"),
        pytest.param(Then.DEAF, id="reads nothing and says nothing"),
    ],
)
async def test_no_session_lingers_behind_quit(then: Then) -> None:
    """cases.md row 76: when the report is there, nothing of the connection is."""
    client = TlsClient()
    async with exchanger(then) as port:
        going = [Deferred.fromCoroutine(session(client, port)) for _ in range(SESSIONS)]
        reports = await gatherResults(going, consumeErrors=True)
        assert open_clients() == []
    for report in reports:
        assert report.answers[ANN].code == 250
        assert report.tls is not None
        assert report.tls.version == "TLSv1.3"
