"""A town: a street of exchangers on loopback addresses, and the name server that knows them.

Knows how ports are taken and given back. All exchangers listen on the same port number, since a
prober has one `--port`, each on an address of its own in 127.0.0.0/8 (Linux; elsewhere those
addresses have to be put up first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory

from twisted_probe.sandbox import street
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.names import NameServer
from twisted_probe.sandbox.sample import sample_text, truth_of
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.zone import Names

#: Where the name server listens.
RESOLVER_ADDRESS = "127.0.0.1"

#: How many port numbers are tried until one is free everywhere. The kernel proposes only numbers
#: that are free on the first address; more than a few tries mean that something else is wrong.
MAX_TRIES = 20

#: Connections that may wait to be taken, per exchanger; what a burst of a prober needs.
BACKLOG = 512

_Opener = Callable[[int], IListeningPort]


class Town:
    """A street of local exchangers with its DNS; by default the one of the sample list.

    `houses` are the exchangers, `names` what the DNS says beside their addresses, `sample` the
    text of a list with its `# expected:` lines.

    While it is up: `port` is the exchangers' TCP port, `resolver` the name server as
    "127.0.0.1:PORT", `exchangers` the running exchangers by name, each with its `record`, and
    `name_server` has the `questions` asked. Always: `sample`, `truth` (address → pairs of
    verdict and reason that it may come to), `sources`, `reverse_path` and `networks`, with which
    a prober should be set up. All stay readable after `stop`.
    """

    sources = street.SOURCES
    reverse_path = street.REVERSE_PATH
    networks = street.NETWORKS

    port: int
    resolver: str
    name_server: NameServer
    exchangers: dict[str, ExchangerFactory]

    def __init__(
        self,
        houses: Iterable[House] | None = None,
        names: Names = street.NAMES,
        sample: str | None = None,
    ) -> None:
        self.houses = street.houses() if houses is None else tuple(houses)
        self.names: Names = {
            **{house.name: [f"A {house.address}"] for house in self.houses},
            **names,
        }
        self.sample = sample_text() if sample is None else sample
        self.truth = truth_of(self.sample)
        self.exchangers = {}
        self._ports: list[IListeningPort] = []

    def start(self, reactor: Any) -> Deferred[Town]:
        """Put everything up; fires with the town itself.

        `reactor` provides IReactorTCP, IReactorUDP and IReactorTime. Errbacks ZoneError for
        names that cannot be read, CannotListenError when no port is free on all addresses (then
        nothing is left open), RuntimeError when the town is up already.
        """
        return Deferred.fromCoroutine(self._start(reactor))

    def stop(self) -> Deferred[None]:
        """Close every port and abort every session; fires when nothing is left in the reactor.

        A town that is not up is no error.
        """
        return Deferred.fromCoroutine(self._stop())

    async def _start(self, reactor: Any) -> Town:
        if self._ports:
            raise RuntimeError("the town is up already")
        self.name_server = NameServer(self.names, reactor)
        self.exchangers = {
            house.name: ExchangerFactory(reactor, house.temper, house.name) for house in self.houses
        }
        try:
            self.port = await self._open_street(reactor)
            self.resolver = f"{RESOLVER_ADDRESS}:{await self._open_names(reactor)}"
        except BaseException:
            await self._stop()
            raise
        return self

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        await _close(ports)
        for exchanger in self.exchangers.values():
            await exchanger.send_away()
        if ports:
            await self.name_server.guests.send_away()

    async def _open_street(self, reactor: Any) -> int:
        """Listen for all exchangers on one port number, which nobody has where one is down."""

        def opener(factory: ServerFactory, address: str) -> _Opener:
            return lambda number: reactor.listenTCP(
                number, factory, backlog=BACKLOG, interface=address
            )

        nobody = ServerFactory()
        nobody.noisy = False
        vacant = [opener(nobody, address) for address in self._vacant_addresses()]
        taken = [opener(self.exchangers[house.name], house.address) for house in self.houses]
        ports = await _open_together([*vacant, *taken])
        self._ports += ports[len(vacant) :]
        number = _number(self._ports)
        await _close(ports[: len(vacant)])
        return number

    async def _open_names(self, reactor: Any) -> int:
        """Listen for the DNS, UDP and TCP on one port number."""
        server = self.name_server
        ports = await _open_together(
            [
                lambda number: reactor.listenUDP(
                    number, server.datagrams(), interface=RESOLVER_ADDRESS
                ),
                lambda number: reactor.listenTCP(number, server, interface=RESOLVER_ADDRESS),
            ]
        )
        self._ports += ports
        return _number(ports)

    def _vacant_addresses(self) -> list[str]:
        """Loopback addresses that the DNS names and no exchanger has."""
        inhabited = {house.address for house in self.houses}
        loopback = {
            address
            for address in self.name_server.zone.addresses()
            if ip_address(address).is_loopback
        }
        return sorted(loopback - inhabited)


async def _open_together(openers: Sequence[_Opener]) -> list[IListeningPort]:
    """Open all of them on one port number, which the kernel proposes for the first."""
    opened = await _try_to_open(openers)
    tries = 1
    while isinstance(opened, CannotListenError) and tries < MAX_TRIES:
        opened = await _try_to_open(openers)
        tries += 1
    if isinstance(opened, CannotListenError):
        raise opened
    return opened


async def _try_to_open(openers: Sequence[_Opener]) -> list[IListeningPort] | CannotListenError:
    ports: list[IListeningPort] = []
    try:
        for opener in openers:
            ports.append(opener(_number(ports)))
    except CannotListenError as error:
        await _close(ports)
        return error
    return ports


async def _close(ports: Sequence[IListeningPort]) -> None:
    for port in ports:
        await maybeDeferred(port.stopListening)


def _number(ports: Sequence[IListeningPort]) -> int:
    """The port number they have in common; 0, any, for none."""
    return cast(IPv4Address, ports[0].getHost()).port if ports else 0
