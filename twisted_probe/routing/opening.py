"""`open_session`: a greeted session with a host by name, for those who drive the wire by hand.

Knows how a name becomes addresses that may be dialled; who has a literal needs only
`smtp.factory`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred

from twisted_probe.routing.life import Life
from twisted_probe.routing.name_servers import system_resolvers
from twisted_probe.routing.names import DnsNames, Names, NameTrouble, NoSuchName
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.own_addresses import is_own
from twisted_probe.smtp.errors import NoRoute, SessionError
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, MAX_RECIPIENTS, Timeouts
from twisted_probe.smtp.protocol import ProbeProtocol, Transcript
from twisted_probe.vocabulary.exchanger import SMTP_PORT
from twisted_probe.vocabulary.source import Source


def open_session(
    reactor: Any,
    host: str,
    port: int = SMTP_PORT,
    *,
    source: Source,
    resolver: Names | None = None,
    allow_networks: Sequence[str] = (),
    timeout: float | Timeouts = DEFAULT_TIMEOUTS,
    max_recipients: int = MAX_RECIPIENTS,
    transcript: Transcript | None = None,
) -> Deferred[ProbeProtocol]:
    """Connect to `host`, a name or a literal address, from `source`, and read the greeting.

    The addresses of the source's family are tried in the order of the DNS; none that is not
    public is dialled, unless one of `allow_networks` (CIDR texts) covers it. `resolver` answers
    for names, the machine's own resolvers by default; `timeout`, `max_recipients` and
    `transcript` are those of `ProbeFactory`.

    Fires with a greeted `ProbeProtocol`. Errbacks with the SessionError of the last address
    dialled, or NoRoute when the host has none that may be. Cancelling aborts.
    """
    names = DnsNames(reactor, system_resolvers()) if resolver is None else resolver
    networks = Networks(allow_networks, frozenset((source.address,)), is_own)
    life = Life(reactor)

    async def run() -> ProbeProtocol:
        nobody = NoRoute("it has no address of the source's family", host=host)
        trouble: SessionError | None = None
        for address in await _addresses(names, host, source.family):
            why = networks.why_forbidden(address)
            if why is not None:
                nobody = NoRoute(f"{address} is never dialled ({why})", host=host)
                continue
            try:
                factory = ProbeFactory(source, timeout, max_recipients, transcript)
                return await factory.connect(reactor, address, port)
            except SessionError as error:
                trouble = error
                if life.is_over:
                    break
        raise trouble or nobody

    return Deferred.fromCoroutine(run())


async def _addresses(names: Names, host: str, family: int) -> Sequence[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    try:
        return await names.addresses(host.rstrip(".").lower(), family)
    except (NoSuchName, NameTrouble) as error:
        raise NoRoute(f"its address cannot be looked up ({error})", host=host) from None
