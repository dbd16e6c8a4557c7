"""IPv6 all the way: resolvers, exchangers and sources, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor

from twisted_probe.routing import resolver
from twisted_probe.routing.names import DnsNames, NameTrouble
from twisted_probe.sandbox.names import NameServer
from twisted_probe.sandbox.zone import Names

from .own_machine import run_in_own_machine

reactor: Any = global_reactor

NAMES: Names = {
    "a.example": ["MX 10 mx.a.example"],
    "mx.a.example": ["AAAA 2001:db8::25"],
    "crowd.example": [f"MX 10 mx{number}.some.long.name.example" for number in range(40)],
}


@asynccontextmanager
async def server_on(address: str) -> AsyncIterator[tuple[int, NameServer]]:
    server = NameServer(NAMES, reactor)
    udp = reactor.listenUDP(0, server.datagrams(), interface=address)
    number: int = udp.getHost().port
    tcp = reactor.listenTCP(number, server, interface=address)
    try:
        yield number, server
    finally:
        await udp.stopListening()
        await tcp.stopListening()
        await server.guests.send_away()


async def test_a_resolver() -> None:
    """By datagram, and as a stream."""
    async with server_on("::1") as (port, server):
        names = DnsNames(reactor, [("::1", port)])
        assert await names.addresses("mx.a.example", 6) == ["2001:db8::25"]
        assert len(await names.mail_exchangers("crowd.example")) == 40
        assert [question.tcp for question in server.questions] == [False, False, True]


async def test_the_other_family_where_one_does_not_answer() -> None:
    async with server_on("127.0.0.1") as (port, _):
        # Nobody is there, and the kernel says so at once.
        names = DnsNames(reactor, [("::1", port), ("127.0.0.1", port)])
        assert await names.addresses("mx.a.example", 6) == ["2001:db8::25"]


async def test_a_resolver_that_there_is_no_way_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "TRIES", (0.05,))
    with pytest.raises(NameTrouble):
        await DnsNames(reactor, [("2001:db8::53", 53)]).addresses("mx.a.example", 6)


COMMANDS = """
for address in 2001:db8:25::1 2001:db8:1::1; do
    ip address add $address/128 dev lo nodad
done
"""

PROGRAM = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted_probe import Prober, Source
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.temper import residents
from twisted_probe.testing import FakeNames

NAMES = {
    "six.example": ["AAAA 2001:db8:25::1"],
    "four.example": ["A 127.0.1.1"],
    "both.example": ["MX 10 vacant.example", "MX 20 six.example", "MX 30 four.example"],
    "vacant.example": ["A 127.0.1.2", "AAAA 2001:db8:25::2"],
    "ours.example": ["AAAA 2001:db8:1::1"],
    "mapped.example": ["AAAA ::ffff:10.0.0.1"],
}
SOURCES = [
    Source("127.0.0.21", helo="probe4.example.org"),
    Source("2001:db8:1::1", helo="probe6.example.org"),
]


async def main(reactor, domains):
    temper = tempers.postfix(residents("ann"))
    ports = [
        reactor.listenTCP(2525, ExchangerFactory(reactor, temper, "mx"), interface=address)
        for address in ("2001:db8:25::1", "127.0.1.1")
    ]
    prober = Prober(
        reactor,
        sources=SOURCES,
        reverse_path="",
        names=FakeNames(NAMES),
        port=2525,
        allow_networks=["127.0.0.0/16", "2001:db8:25::/48"],
    )
    for domain in domains:
        said = await prober.probe("ann@" + domain)
        print(said.reason.value, said.exchanger_address, said.source, said.helo)
    await prober.close()
    for port in ports:
        await port.stopListening()


react(lambda reactor: Deferred.fromCoroutine(main(reactor, sys.argv[1:])))
"""

SIX = "accepted 2001:db8:25::1 2001:db8:1::1 probe6.example.org"
FOUR = "accepted 127.0.1.1 127.0.0.21 probe4.example.org"
NOBODY = "forbidden_exchanger None None None"


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("six.example", SIX),
        ("four.example", FOUR),
        ("[IPv6:2001:db8:25::1]", SIX),
        ("ours.example", NOBODY),
        ("mapped.example", NOBODY),
    ],
)
def test_each_from_the_source_of_its_own_family(domain: str, said: str) -> None:
    assert run_in_own_machine(COMMANDS, PROGRAM, domain) == [said]


def test_the_source_decides_where_there_are_both() -> None:
    """The sources go in turn, and each of them walks over the exchangers that it can reach."""
    first, second = run_in_own_machine(COMMANDS, PROGRAM, "both.example", "both.example")
    assert {first, second} == {
        SIX.replace("accepted", "unconfirmed"),
        FOUR.replace("accepted", "unconfirmed"),
    }


NETWORK_COMMANDS = """
for n in 1 2 3 4; do ip address add 2001:db8:25::$n/128 dev lo nodad; done
for address in 1::1 1::2 2::1 3::1; do ip address add 2001:db8:$address/128 dev lo nodad; done
"""

NETWORK_PROGRAM = """
import json
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted_probe import Prober, Source
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.record import most_at_once
from twisted_probe.sandbox.temper import residents
from twisted_probe.testing import FakeNames

ANN = residents("ann")
NAMES = {
    **{f"d{n}.example": [f"MX 10 mx{n % 3 + 1}.example"] for n in range(60)},
    **{f"mx{n}.example": [f"AAAA 2001:db8:25::{n}"] for n in (1, 2, 3)},
    "castle.example": ["AAAA 2001:db8:25::4"],
}
SOURCES = [
    Source(f"2001:db8:{address}", helo=f"probe{n}.example.org")
    for n, address in enumerate(("1::1", "1::2", "2::1", "3::1"), 1)
]


async def main(reactor, what):
    slow = tempers.postfix(ANN, Tarpits(0.02))
    blocking = tempers.blocking(ANN, "2001:db8:1::1", "2001:db8:1::2")
    houses = [ExchangerFactory(reactor, temper, "mx") for temper in (slow, slow, slow, blocking)]
    ports = [
        reactor.listenTCP(2525, house, interface=f"2001:db8:25::{n}")
        for n, house in enumerate(houses, 1)
    ]
    prober = Prober(
        reactor,
        sources=SOURCES,
        reverse_path="probe@example.org",
        names=FakeNames(NAMES),
        port=2525,
        allow_networks=["2001:db8:25::/48"],
        limits=Limits(per_site=4, first_sessions=4, starts_per_second=50.0, rest=0.0),
    )
    if what == "network":
        # Three hosts of one /64, each a site of its own.
        outcomes = await prober.probe_many([f"ann@d{n}.example" for n in range(60)])
        asked = houses[:3]
    else:
        outcomes = [await prober.probe(f"u{n}@castle.example") for n in range(8)]
        asked = houses[3:]
    sessions = [session for house in asked for session in house.record.sessions]
    said = {
        "reasons": [each.reason.value for each in outcomes],
        "clients": [session.client for session in sessions],
        "most": most_at_once(sessions),
        "benched": [each[:2] for each in prober.sources.benched(reactor.seconds())],
    }
    await prober.close()
    for port in ports:
        await port.stopListening()
    print(json.dumps(said))


react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
"""


def said_about(what: str) -> Any:
    (line,) = run_in_own_machine(NETWORK_COMMANDS, NETWORK_PROGRAM, what)
    return json.loads(line)


def test_a_64_of_exchangers_is_one_neighbour_for_four_sources() -> None:
    said = said_about("network")
    assert set(said["reasons"]) == {"accepted"}
    assert len(set(said["clients"])) == 4
    assert 1 < said["most"] <= 4


def test_who_is_refused_has_its_whole_64_with_it() -> None:
    """The source beside it is never tried there; those of other networks go on."""
    said = said_about("castle")
    clients = said["clients"]
    refused = [each for each in clients if each.startswith("2001:db8:1::")]
    assert len(refused) == 1
    assert set(clients) - set(refused) == {"2001:db8:2::1", "2001:db8:3::1"}
    assert said["benched"] == [["2001:db8:1::/64", "castle.example"]]
    assert sorted(said["reasons"]) == ["blocklisted", *["no_such_mailbox"] * 7]
