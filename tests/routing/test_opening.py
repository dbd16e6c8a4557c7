"""`open_session`: from a host's name to a greeted session. Rows are those of cases.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred

from twisted_probe.routing import opening
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.names import DnsNames
from twisted_probe.routing.opening import open_session
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.smtp.errors import (
    ConnectTimeout,
    NoRoute,
    Refused,
    ReplyTimeout,
    SourceUnavailable,
    TooManyRecipients,
)
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.vocabulary.source import Source

from .town_square import NETWORKS, ONE, REFUSED, SIX, Book, Square

reactor: Any = global_reactor

NAMES: Names = {
    "mx.a.example": ["A 192.0.2.1", "A 192.0.2.2", "AAAA 2001:db8:25::1"],
    "four.example": ["A 192.0.2.1"],
    "cellar.example": ["A 10.0.0.1", "A 127.0.0.1"],
    "mixed.example": ["A 192.0.2.2", "A 10.0.0.1"],
    "fog.example": Trouble.SERVFAIL,
    "silent.example": Trouble.SILENCE,
    "mail.example": ["MX 10 mx.a.example"],
}


class Room:
    """A square with an exchanger, and sessions opened in it."""

    def __init__(self) -> None:
        self.square = Square()
        self.book = Book(NAMES)
        self.temper = tempers.postfix(residents("ann"))
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8:25::1"):
            self.square.settle(address, self.temper)

    def open(self, host: str, **options: Any) -> Deferred[ProbeProtocol]:
        settings: dict[str, Any] = {
            "source": ONE,
            "resolver": self.book,
            "allow_networks": NETWORKS,
            **options,
        }
        return open_session(self.square, host, **settings)

    def opened(self, host: str, **options: Any) -> ProbeProtocol:
        session = self.square.wait(self.open(host, **options))
        assert session.greeting is not None
        return session

    def leave(self, session: ProbeProtocol) -> None:
        self.square.wait(session.quit())
        assert self.square.open == 0
        assert not self.square.getDelayedCalls()


@pytest.mark.parametrize("host", ["mx.a.example", "MX.a.Example.", "192.0.2.1"])
def test_by_name_and_by_literal(host: str) -> None:
    room = Room()
    session = room.opened(host, port=2525)
    assert session.host == "192.0.2.1"
    assert (room.square.dials[0].port, room.square.sources) == (2525, [ONE.address])
    assert bool(room.book.asked) is (host != "192.0.2.1")
    room.leave(session)


def test_an_address_of_the_sources_family() -> None:
    room = Room()
    for host in ("mx.a.example", "2001:db8:25::1"):
        session = room.opened(host, source=SIX)
        assert session.host == "2001:db8:25::1"
        room.leave(session)
    assert room.square.dials[0].port == 25


def test_the_next_address_where_one_does_not_answer() -> None:
    room = Room()
    room.square.houses["192.0.2.1"] = REFUSED
    room.leave(room.opened("mx.a.example"))
    assert room.square.dialled == ["192.0.2.1", "192.0.2.2"]


def test_the_last_addresss_trouble_is_told() -> None:
    room = Room()
    room.square.houses["192.0.2.1"] = REFUSED
    del room.square.houses["192.0.2.2"]
    with pytest.raises(ConnectTimeout):
        room.opened("mx.a.example", timeout=7)
    room.square.houses["192.0.2.2"] = REFUSED
    with pytest.raises(Refused):
        room.opened("mixed.example")  # and not that another address is forbidden


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("10.0.0.1", r"10\.0\.0\.1 is never dialled \(private\)"),
        ("cellar.example", r"127\.0\.0\.1 is never dialled \(loopback\)"),
        ("nowhere.example", r"cannot be looked up \(nowhere\.example\)"),
        ("fog.example", "cannot be looked up"),
        ("mail.example", "no address of the source's family"),
    ],
)
def test_nobody_that_may_be_dialled(host: str, words: str) -> None:
    """Row 140."""
    room = Room()
    with pytest.raises(NoRoute, match=words) as caught:
        room.opened(host)
    assert caught.value.host == host
    assert not room.square.dials


def test_public_addresses_need_no_allowing() -> None:
    room = Room()
    room.square.settle("8.8.8.8", room.temper)
    room.leave(room.opened("8.8.8.8", allow_networks=()))
    with pytest.raises(NoRoute, match="documentation"):
        room.opened("192.0.2.1", allow_networks=())


def test_our_own_address_is_not_dialled() -> None:
    room = Room()
    source = Source("8.8.4.4", helo="probe1.example.org")
    with pytest.raises(NoRoute, match=r"8\.8\.4\.4 is never dialled \(our own\)"):
        room.opened("8.8.4.4", source=source)
    assert not room.square.dials


def test_a_literal_of_the_other_family() -> None:
    """Row 57."""
    room = Room()
    with pytest.raises(SourceUnavailable):
        room.opened("2001:db8:25::1")
    with pytest.raises(NoRoute, match="no address of the source's family"):
        room.opened("four.example", source=SIX)
    assert not room.square.dials


def test_a_network_that_is_none() -> None:
    with pytest.raises(ValueError, match="10"):
        Room().open("192.0.2.1", allow_networks=["10.0.0.1/8"])


def test_the_limits_are_passed_on() -> None:
    room = Room()
    said: list[str] = []
    session = room.opened("mx.a.example", max_recipients=1, timeout=5, transcript=said.append)
    room.square.wait(session.helo())
    assert said[:2] == [
        "S: 220 mx.example.net ESMTP Postfix (Debian/GNU)",
        "C: EHLO probe1.example.org",
    ]
    room.square.wait(session.mail(""))
    room.square.wait(session.rcpt("ann@a.example"))
    with pytest.raises(TooManyRecipients):
        session.rcpt("ben@a.example")
    room.leave(session)
    room.square.settle("192.0.2.1", Temper(greeting=Answer()))
    room.square.settle("192.0.2.2", Temper(greeting=Answer()))
    started = room.square.seconds()
    with pytest.raises(ReplyTimeout):
        room.opened("mx.a.example", timeout=5)
    assert room.square.seconds() - started == 10


@pytest.mark.parametrize("steps", range(2))
def test_cancelling_aborts(steps: int) -> None:
    room = Room()
    room.square.latency = 0.01
    opening = room.open("mx.a.example")
    for _ in range(steps):
        room.square.step()
    assert not opening.called
    opening.cancel()
    with pytest.raises(CancelledError):
        room.square.wait(opening)
    room.square.advance(0.01)
    assert room.square.open == 0
    assert not room.square.getDelayedCalls()
    assert len(room.square.dials) == 1


def test_cancelling_while_the_name_is_looked_up() -> None:
    room = Room()
    opening = room.open("silent.example")
    opening.cancel()
    with pytest.raises(CancelledError):
        room.square.wait(opening)
    assert not room.square.dials


# --- Over loopback ----------------------------------------------------------------------------


@pytest.mark.parametrize("by_system", [False, True])
async def test_over_loopback(
    by_system: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = await Town().start(reactor)
    resolvers = [parse_resolver(town.resolver)]
    monkeypatch.setattr(opening, "system_resolvers", lambda: resolvers)
    session = await open_session(
        reactor,
        "mx.orchard.example",
        town.port,
        source=Source("127.0.0.21", helo="probe1.example.org"),
        resolver=None if by_system else DnsNames(reactor, resolvers),
        allow_networks=town.networks,
    )
    assert (await session.helo()).code == 250
    assert (await session.mail(town.reverse_path)).code == 250
    assert (await session.rcpt("ann@orchard.example")).code == 250
    await session.quit()
    await town.stop()
    (visit,) = town.exchangers["mx.orchard.example"].record.sessions
    assert (visit.client, visit.helo) == ("127.0.0.21", "probe1.example.org")
