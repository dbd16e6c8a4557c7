"""Dialling from a chosen source address, without spending the source's ports.

Knows sockets: a plain bind takes one local port for *all* destinations, so a source has some
28,000 sessions in the world at once, TIME_WAIT included; with IP_BIND_ADDRESS_NO_PORT set before
the bind, the kernel picks the port at connect, and there are as many for each exchanger.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import cast

from twisted.internet.interfaces import IConnector, IReactorTCP
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import ClientFactory
from twisted.internet.tcp import Client, Connector

from twisted_probe.vocabulary.source import Source

# linux/in.h; the constant is in the socket module from Python 3.12 on.
_IP_BIND_ADDRESS_NO_PORT = 24


class _NoPortClient(Client):
    """A client whose bind chooses the address and leaves the port to connect()."""

    def createInternetSocket(self) -> socket.socket:
        """The socket, before Twisted binds it."""
        made = cast(socket.socket, super().createInternetSocket())  # type: ignore[no-untyped-call]
        # A kernel before 4.2 does not know it: fewer ports, and nothing worse.
        with suppress(OSError):
            made.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        return made


class _NoPortConnector(Connector):
    def _makeTransport(self) -> Client:
        return _NoPortClient(self.host, self.port, self.bindAddress, self, self.reactor)  # type: ignore[no-untyped-call]


def dial(
    reactor: IReactorTCP,
    host: str,
    port: int,
    factory: ClientFactory,
    *,
    source: Source,
    timeout: float,
) -> IConnector:
    """Start one connection to the literal `host` from `source`; `timeout` is in seconds.

    Where the reactor is one of Twisted's own on Linux and the source has no fixed port, the
    kernel keeps its ports per destination; any other reactor gets a plain `connectTCP`. Both
    bind through `bindAddress`, and neither ever falls back to another address.
    """
    bind_address = (source.address, source.port)
    if (
        isinstance(reactor, PosixReactorBase)
        and sys.platform.startswith("linux")
        and not source.port
    ):
        connector = _NoPortConnector(host, port, factory, timeout, bind_address, reactor)
        connector.connect()
        return cast(IConnector, connector)
    return reactor.connectTCP(host, port, factory, timeout=timeout, bindAddress=bind_address)
