"""Rows 129 to 150 of cases.md, one by one: what an address comes to, by the DNS of its domain.

Over loopback, with real questions and real sessions, where that shows more; the finer points are in
test_dns_*.py, test_routes.py, test_networks.py and test_prober.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import frozen
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.names import dns

from twisted_probe.routing.exchangers import MAX_ADDRESSES, MAX_RECORDS
from twisted_probe.routing.names import DnsNames, NameTrouble, NoSuchName
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import RESOLVER_ADDRESS, Town
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.testing import FakeNames, options_for
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.source import Source

from .dial_recorder import recorded_dials
from .dns_wire import SERVERS, Wire, names_on, record, saying, start_of_authority, written
from .test_networks import FORBIDDEN

reactor: Any = global_reactor

ANN = residents("ann postmaster")

MX, BACKUP, EVERYBODY = "mx.a.example", "backup.a.example", "everybody.a.example"
HOUSES = (
    House(MX, "127.0.1.1", tempers.postfix(ANN)),
    House(BACKUP, "127.0.1.2", tempers.postfix(ANN)),
    House(EVERYBODY, "127.0.1.3", tempers.catch_all()),
    House("turning.away.example", "127.0.1.4", tempers.turning_away()),
    House("going.down.example", "127.0.1.5", Temper(greeting="421 4.3.2 going down")),
    House("no.relay.example", "127.0.1.6", tempers.relay_denying()),
    House("ascii.only.example", "127.0.1.7", tempers.postfix(ANN)),
    House(
        "every.script.example",
        "127.0.1.8",
        Temper(mailboxes=residents("ann zofié"), keywords=("SMTPUTF8", "8BITMIME", "PIPELINING")),
    ),
)

NAMES: Names = {
    "a.example": [f"MX 10 {MX}", f"MX 20 {EVERYBODY}"],
    "empty.example": ["TXT neither MX nor address"],
    "bare.example": ["A 127.0.1.1"],
    "fog.example": Trouble.SERVFAIL,
    "mist.example": ["MX 10 mx.mist.example", "A 127.0.1.1"],
    "mx.mist.example": Trouble.SERVFAIL,
    "null.example": ["MX 0 .", "A 127.0.1.1"],
    "null-and-more.example": ["MX 0 .", f"MX 10 {MX}"],
    "crowd.example": [
        f"MX 10 {MX}",
        *(f"MX 20 mx{number}.a.long.name.to.fill.a.datagram.example" for number in range(40)),
    ],
    "alias.example": ["CNAME other-alias.example"],
    "other-alias.example": ["CNAME a.example"],
    "loop1.example": ["CNAME loop2.example"],
    "loop2.example": ["CNAME loop1.example"],
    **{f"deep{n}.example": [f"CNAME deep{n + 1}.example"] for n in range(20)},
    "deep20.example": [f"MX 10 {MX}"],
    "mx-alias.example": ["MX 10 alias.of.mx.example"],
    "alias.of.mx.example": [f"CNAME {MX}"],
    "literal.example": ["MX 10 127.0.1.1", "A 127.0.1.1"],
    "literal-and-more.example": ["MX 10 127.0.1.2", f"MX 20 {MX}"],
    "cellar.example": ["MX 10 mx1.cellar.example", "MX 20 mx2.cellar.example"],
    "mx1.cellar.example": ["A 10.11.12.13", "A 169.254.169.254"],
    "mx2.cellar.example": ["A 192.168.1.25", "A 0.0.0.0", "A 255.255.255.255"],
    "ours.example": ["A 198.51.100.21"],
    "gate.example": ["MX 10 mx1.gate.example", f"MX 20 {MX}"],
    "mx1.gate.example": [f"A 10.0.0.{number}" for number in range(1, 30)],
    "throng.example": [f"MX {n} mx{n}.throng.example" for n in range(200)],
    **{f"mx{n}.throng.example": [f"A 127.0.2.{n}"] for n in range(200)},
    "busy.example": ["MX 10 going.down.example", f"MX 20 {BACKUP}"],
    "closed.example": ["MX 10 turning.away.example", f"MX 20 {BACKUP}"],
    "vacant.example": ["MX 10 nobody.vacant.example", f"MX 20 {BACKUP}"],
    "nobody.vacant.example": ["A 127.0.2.1"],
    "moved.example": ["MX 10 no.relay.example", f"MX 20 {BACKUP}"],
    "script.example": ["MX 10 ascii.only.example", "MX 20 every.script.example"],
    "forwarded.example": ["MX 10 nobody.vacant.example", f"MX 20 {EVERYBODY}"],
    "xn--bcher-kva.example": [f"MX 10 {MX}"],
}


#: The best one offers no SMTPUTF8.
SCRIPTS = ("ascii.only.example", "every.script.example")


@frozen
class Row:
    """A row, an address, and what that comes to; `asked` are the exchangers with a session."""

    row: int
    address: str
    reason: Reason
    asked: tuple[str, ...] = ()


ROWS = (
    Row(129, "ann@nowhere.example", Reason.NO_SUCH_DOMAIN),
    Row(130, "ann@empty.example", Reason.NO_SUCH_DOMAIN),
    Row(131, "ann@bare.example", Reason.ACCEPTED, (MX,)),
    Row(132, "ann@fog.example", Reason.DNS_ERROR),
    Row(132, "ann@mist.example", Reason.DNS_ERROR),
    Row(133, "ann@null.example", Reason.NO_MAIL),
    Row(134, "ann@null-and-more.example", Reason.ACCEPTED, (MX,)),
    Row(135, "ann@crowd.example", Reason.ACCEPTED, (MX,)),
    Row(136, "ann@alias.example", Reason.ACCEPTED, (MX,)),
    Row(137, "ann@loop1.example", Reason.DNS_ERROR),
    Row(137, "ann@deep0.example", Reason.DNS_ERROR),
    Row(137, "ann@deep6.example", Reason.ACCEPTED, (MX,)),
    Row(138, "ann@mx-alias.example", Reason.ACCEPTED, (MX,)),
    Row(139, "ann@literal.example", Reason.NO_SUCH_DOMAIN),
    Row(139, "ann@literal-and-more.example", Reason.ACCEPTED, (MX,)),
    Row(140, "ann@cellar.example", Reason.FORBIDDEN_EXCHANGER),
    Row(140, "ann@[10.0.0.1]", Reason.FORBIDDEN_EXCHANGER),
    Row(140, "nobody@gate.example", Reason.NO_SUCH_MAILBOX, (MX,)),
    Row(140, "ann@gate.example", Reason.UNCONFIRMED, (MX,)),
    Row(141, "ann@throng.example", Reason.REFUSED),
    Row(142, "nobody@busy.example", Reason.NO_SUCH_MAILBOX, ("going.down.example", BACKUP)),
    Row(142, "nobody@closed.example", Reason.NO_SUCH_MAILBOX, ("turning.away.example", BACKUP)),
    Row(142, "nobody@vacant.example", Reason.NO_SUCH_MAILBOX, (BACKUP,)),
    Row(142, "zofié@script.example", Reason.UNCONFIRMED, SCRIPTS),
    Row(143, "ann@vacant.example", Reason.UNCONFIRMED, (BACKUP,)),
    Row(143, "ann@forwarded.example", Reason.CATCH_ALL, (EVERYBODY,)),
    Row(144, "nobody@a.example", Reason.NO_SUCH_MAILBOX, (MX,)),
    Row(144, "nobody@moved.example", Reason.NO_SUCH_MAILBOX, ("no.relay.example", BACKUP)),
    Row(147, "ANN@A.Example", Reason.ACCEPTED, (MX,)),
    Row(136, "ann@bücher.example", Reason.ACCEPTED, (MX,)),
)


@asynccontextmanager
async def in_town(**options: Any) -> AsyncIterator[tuple[Town, Prober]]:
    """A prober in the town, from addresses that are none of its exchangers'."""
    town = await Town(HOUSES, NAMES, sample="").start(reactor)
    settings = {**options_for(town), "limits": Limits(starts_per_second=1e9, rest=0.0), **options}
    prober = Prober(reactor, rng=random.Random(5), **settings)
    try:
        yield town, prober
    finally:
        await prober.close()
        await town.stop()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.row}-{row.address}")
async def test_row(row: Row) -> None:
    async with in_town() as (town, prober):
        with recorded_dials() as dials:
            outcome = await prober.probe(row.address)
        # The name server is dialled too, where an answer is too long for a datagram.
        dials = [dial for dial in dials if dial != RESOLVER_ADDRESS]
        asked = tuple(name for name, each in town.exchangers.items() if each.record.sessions)
        assert (outcome.reason, set(asked)) == (row.reason, set(row.asked)), outcome.text
        # Nothing is said of a mailbox that was not asked for, and trouble is asked about again.
        never = (Reason.DNS_ERROR, Reason.REFUSED)
        assert outcome.final is (row.reason not in never)
        assert all(dial.startswith(("127.0.1.", "127.0.2.")) for dial in dials)
        assert len(set(dials)) <= MAX_ADDRESSES
        if row.row == 135:
            assert [each.tcp for each in town.name_server.questions[:2]] == [False, True]
        if row.row == 141:
            assert dials == [f"127.0.2.{number}" for number in range(MAX_ADDRESSES)]
            assert len(town.name_server.questions) <= 1 + MAX_RECORDS


# --- Row 140: whom nobody dials ---------------------------------------------------------------

SOURCES = (
    Source("127.0.0.21", helo="probe1.example.org"),
    Source("2001:db8:1::1", helo="probe6.example.org"),
)


@pytest.mark.parametrize(("address", "what"), FORBIDDEN)
async def test_row_140_of_every_kind(address: str, what: str) -> None:
    """By a name and by a literal, and not one connection is tried."""
    kind = "AAAA" if ":" in address else "A"
    names = FakeNames(
        {
            "a.example": ["MX 10 mx.a.example"],
            "mx.a.example": [f"{kind} {address.partition('%')[0]}"],
        }
    )
    prober = Prober(reactor, sources=SOURCES, reverse_path="", names=names)
    literal = f"IPv6:{address.partition('%')[0]}" if kind == "AAAA" else address
    with recorded_dials() as dials:
        outcomes = await prober.probe_many(["ann@a.example", f"ann@[{literal}]"])
        await prober.close()
    for outcome in outcomes:
        assert (outcome.reason, outcome.final) == (Reason.FORBIDDEN_EXCHANGER, True)
        assert outcome.text is not None
        assert f"({what})" in outcome.text
    assert dials == []


async def test_row_140_the_recorder_hears_what_is_dialled() -> None:
    async with in_town() as (_, prober):
        with recorded_dials() as dials:
            await prober.probe("ann@bare.example")
        await prober.probe("ann@a.example")
        assert set(dials) == {"127.0.1.1"}


async def test_row_140_our_own_addresses() -> None:
    """They are public, the operator has not allowed them, and they are on no list."""
    asked: list[str] = []

    def is_own(address: str) -> bool:
        asked.append(address)
        return address == "8.8.8.8"

    names = FakeNames({"a.example": ["A 8.8.8.8"]})
    with pytest.MonkeyPatch.context() as patch, recorded_dials() as dials:
        patch.setattr("twisted_probe.routing.prober.is_own", is_own)
        prober = Prober(reactor, sources=SOURCES, reverse_path="", names=names)
        outcome = await prober.probe("ann@a.example")
        await prober.close()
    assert outcome.text == "never dialled: a.example at 8.8.8.8 (our own)"
    assert asked == ["8.8.8.8"]
    assert dials == []


# --- Rows that are about the wire -------------------------------------------------------------

SERVER = SERVERS[0]


def host(question: dns.Message) -> str:
    return question.queries[0].name.name.decode()


def address(question: dns.Message, ttl: int = 300) -> bytes:
    return written(question, [record(host(question), dns.Record_A("192.0.2.1"), ttl)])


@pytest.mark.parametrize("code", [dns.OK, dns.ENAME])
def test_rows_129_130_a_no_is_kept_an_hour_at_most(code: int) -> None:
    wire = Wire({SERVER: saying(code=code, authority=[start_of_authority(86400, 86400)])})
    names = names_on(wire)
    for seconds in (0, 3599, 1):
        wire.advance(seconds)
        asking: Deferred[Any] = names.mail_exchangers("a.example")
        answers: list[Any] = []
        wire.wait(asking.addBoth(answers.append))
        assert answers == [[]] or answers[0].type is NoSuchName
    assert [asked.at for asked in wire.asked] == [0, 3600]


@pytest.mark.parametrize("trouble", ["SERVFAIL", "REFUSED", "silence", "garbage"])
def test_row_132_and_no_implicit_mx(trouble: str) -> None:
    def troubled(question: dns.Message) -> Sequence[bytes]:
        if question.queries[0].type != dns.MX:
            return [address(question)]
        return {
            "SERVFAIL": [written(question, code=dns.ESERVER)],
            "REFUSED": [written(question, code=dns.EREFUSED)],
            "silence": [],
            "garbage": [question.toStr()[:2] + b"\xff" * 40, address(question)[:-9]],
        }[trouble]

    wire = Wire({SERVER: troubled})
    prober = Prober(wire, sources=SOURCES, reverse_path="", names=names_on(wire))
    outcome: Outcome = wire.wait(prober.probe("ann@a.example"))
    assert (outcome.reason, outcome.final) == (Reason.DNS_ERROR, False)
    assert {asked.kind for asked in wire.asked} == {dns.MX}


def test_row_145_control_characters() -> None:
    wild = b"mx\r\n\x1b[2J.example"

    def exchangers(question: dns.Message) -> Sequence[bytes]:
        if question.queries[0].type == dns.MX:
            return [written(question, [record("a.example", dns.Record_MX(10, wild))])]
        return [address(question)]

    wire = Wire({SERVER: exchangers})
    prober = Prober(wire, sources=SOURCES, reverse_path="", names=names_on(wire))
    outcome: Outcome = wire.wait(prober.probe("ann@a.example"))
    assert (outcome.reason, outcome.final) == (Reason.NO_SUCH_DOMAIN, True)
    assert outcome.text == "no MX record of the domain names a host"
    assert len(wire.asked) == 1


def test_row_146_guesses() -> None:
    """Another number, another question; another sender is the kernel's affair."""

    def guessed(question: dns.Message) -> Sequence[bytes]:
        number = (question.id ^ 1).to_bytes(2, "big")
        other = dns.Message(question.id)
        other.queries = [dns.Query(b"b.example", dns.A)]
        return [number + address(question)[2:], address(other)]

    wire = Wire({SERVER: guessed})
    with pytest.raises(NameTrouble, match="no answer in time"):
        wire.wait(names_on(wire).addresses("a.example", 4))


async def test_row_146_another_sender() -> None:
    """The right number and question, from another port of the same host."""
    stranger = await Town([], {"a.example": ["A 192.0.2.66"]}, sample="").start(reactor)
    server = await Town([], {"a.example": ["A 192.0.2.1"]}, sample="").start(reactor)
    spoofing: Any
    (spoofing,) = (port for port in stranger._ports if "UDP" in str(port.getHost()))
    heard: list[dns.Message] = []

    def misled(message: dns.Message, protocol: Any, address: Any) -> None:
        heard.append(message)
        data = written(message, [record("a.example", dns.Record_A("192.0.2.66"))])
        spoofing.write(data, address)
        reactor.callLater(0.01, answer, message, protocol, address)

    server_protocol: Any = server.name_server
    answer, server_protocol.handleQuery = server_protocol.handleQuery, misled
    try:
        where, _, port = server.resolver.rpartition(":")
        found = await DnsNames(reactor, [(where, int(port))]).addresses("a.example", 4)
        assert found == ["192.0.2.1"]
        assert len(heard) == 1
    finally:
        await server.stop()
        await stranger.stop()


def test_row_147_another_case() -> None:
    def shouting(question: dns.Message) -> Sequence[bytes]:
        question.queries = [dns.Query(host(question).upper().encode(), dns.A)]
        return [address(question)]

    wire = Wire({SERVER: shouting})
    names = names_on(wire)
    for name in ("a.example", "A.Example", "a.EXAMPLE"):
        assert wire.wait(names.addresses(name, 4)) == ["192.0.2.1"]
    assert [asked.name for asked in wire.asked] == ["a.example"]


async def test_row_148_equals_take_turns() -> None:
    """Each session has its own order, although the answer is kept."""
    async with in_town() as (town, _):
        names = FakeNames(
            {
                "a.example": [f"MX 10 {MX}", f"MX 10 {BACKUP}"],
                MX: ["A 127.0.1.1"],
                BACKUP: ["A 127.0.1.2"],
            }
        )
        settings = {
            **options_for(town),
            "names": names,
            "limits": Limits(starts_per_second=1e9, rest=0.0),
        }
        prober = Prober(reactor, rng=random.Random(5), **settings)
        outcomes = [await prober.probe("ann@a.example") for _ in range(12)]
        await prober.close()
        assert {outcome.reason for outcome in outcomes} == {Reason.ACCEPTED}
        assert {outcome.exchanger for outcome in outcomes} == {MX, BACKUP}


@pytest.mark.parametrize(("ttl", "kept"), [(0, 60), (30 * 365 * 86400, 86400)])
def test_row_149_as_long_as_is_good_for_us(ttl: int, kept: int) -> None:
    wire = Wire({SERVER: lambda question: [address(question, ttl)]})
    names = names_on(wire)
    for seconds in (0, kept - 1, 1):
        wire.advance(seconds)
        assert wire.wait(names.addresses("a.example", 4)) == ["192.0.2.1"]
    assert [asked.at for asked in wire.asked] == [0, kept]


def test_row_150_one_question_for_all_who_wait() -> None:
    wire = Wire({SERVER: lambda question: [address(question)]})
    names = names_on(wire)
    asking = [names.addresses("a.example", 4) for _ in range(1000)]
    assert wire.wait(asking[-1]) == ["192.0.2.1"]
    assert [wire.wait(each) for each in asking[:-1]] == [["192.0.2.1"]] * 999
    assert len(wire.asked) == 1


def test_row_150_so_many_at_once() -> None:
    wire = Wire({SERVER: lambda question: [address(question)]})
    names = names_on(wire)
    asking = [names.addresses(f"{number}.example", 4) for number in range(1000)]
    assert (wire.open, len(wire.asked)) == (100, 100)
    while wire.getDelayedCalls():
        wire.advance(0)
        assert wire.open <= 100
    assert [wire.wait(each) for each in asking] == [["192.0.2.1"]] * 1000


def test_every_row_is_here() -> None:
    named = {row.row for row in ROWS}
    for name in globals():
        named |= {int(number) for number in re.findall(r"(?<=_)1[2-5]\d(?=_)", name)}
    assert named == set(range(129, 151))
