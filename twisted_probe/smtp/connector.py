"""Dialling from a chosen source address, without spending the source's ports.

Knows sockets: a plain bind takes one local port for *all* destinations, so a source has some
28,000 sessions in the world at once, TIME_WAIT included; with IP_BIND_ADDRESS_NO_PORT set before
the bind, the kernel picks the port at connect, and there are as many for each exchanger. A fixed
port is bound with SO_REUSEADDR instead, so that it can talk to several exchangers at once; to
each of them it has one session at a time.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from ipaddress import ip_address
from typing import cast

from twisted.internet.interfaces import IAddress, IConnector, IProtocol, IReactorTCP
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import ClientFactory
from twisted.internet.tcp import Client, Connector
from twisted.python.failure import Failure

from twisted_probe.vocabulary.source import Source

# linux/in.h; the constant is in the socket module from Python 3.12 on.
_IP_BIND_ADDRESS_NO_PORT = 24


class _SourceClient(Client):
    """A client whose socket is told, before Twisted binds it, how its port is to be had."""

    connector: Connector

    def createInternetSocket(self) -> socket.socket:
        """The socket, before Twisted binds it."""
        made = cast(socket.socket, super().createInternetSocket())  # type: ignore[no-untyped-call]
        _, port = cast(tuple[str, int], self.connector.bindAddress)
        if port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return made
        # A kernel before 4.2 does not know it: fewer ports, and nothing worse.
        with suppress(OSError):
            made.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        return made


class _SourceConnector(Connector):
    """A connector that hands over only a connection that leaves from where it was bound."""

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        """The session; None, which makes Twisted close the connection before anything is said,
        where the kernel chose another address (as it does for a broadcast address)."""
        chosen, _ = cast(tuple[str, int], self.bindAddress)
        used = cast(Client, self.transport).getHost().host.partition("%")[0]
        # Nearly always they are spelt alike, and no address has to be parsed.
        if used != chosen and ip_address(used) != ip_address(chosen.partition("%")[0]):
            self.cancelTimeout()
            self.state = "connected"
            return None
        return super().buildProtocol(addr)

    def connectionLost(self, reason: Failure) -> None:
        """The connection has ended, and is let go: nothing is left to the garbage collector."""
        super().connectionLost(reason)
        self.transport = None

    def _makeTransport(self) -> Client:
        return _SourceClient(self.host, self.port, self.bindAddress, self, self.reactor)  # type: ignore[no-untyped-call]


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

    Where the reactor is one of Twisted's own on Linux, ports are counted for each destination,
    the kernel's and a fixed one; any other reactor gets a plain `connectTCP`. Both bind through
    `bindAddress`, and neither ever falls back to another address.
    """
    bind_address = (source.address, source.port)
    if isinstance(reactor, PosixReactorBase) and sys.platform.startswith("linux"):
        connector = _SourceConnector(host, port, factory, timeout, bind_address, reactor)
        connector.connect()
        return cast(IConnector, connector)
    return reactor.connectTCP(host, port, factory, timeout=timeout, bindAddress=bind_address)
