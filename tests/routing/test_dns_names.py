"""Questions to the DNS over loopback, and what its answers amount to. Rows are of cases.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.names import dns

from twisted_probe.routing import resolver
from twisted_probe.routing.names import MAX_CNAMES, DnsNames, MailExchanger, NameTrouble, NoSuchName
from twisted_probe.sandbox.names import NameServer
from twisted_probe.sandbox.zone import Names, Trouble

reactor: Any = global_reactor

NAMES: Names = {
    "example.net": ["MX 20 mx2.Example.net", "MX 10 MX1.example.net"],
    "mx1.example.net": ["A 192.0.2.1", "A 192.0.2.2", "AAAA 2001:db8::0:25"],
    "null.example": ["MX 0 ."],
    "empty.example": ["TXT nothing else"],
    "fog.example": Trouble.SERVFAIL,
    "silent.example": Trouble.SILENCE,
    "alias.example": ["CNAME other.example"],
    "other.example": ["CNAME example.net"],
    "astray.example": ["CNAME nowhere.example"],
    "loop1.example": ["CNAME loop2.example"],
    "loop2.example": ["CNAME loop1.example"],
    "crowd.example": [f"MX 10 mx{number}.some.long.name.example" for number in range(40)],
}


@asynccontextmanager
async def served(names: Names = NAMES) -> AsyncIterator[tuple[DnsNames, NameServer]]:
    """The names on a server, and what asks it."""
    server = NameServer(names, reactor)
    async with listening(server.datagrams(), server) as port:
        yield DnsNames(reactor, [("127.0.0.1", port)]), server
        await server.guests.send_away()


@asynccontextmanager
async def listening(datagrams: Any, streams: Any = None) -> AsyncIterator[int]:
    """A port for UDP, and the same for TCP."""
    udp = reactor.listenUDP(0, datagrams, interface="127.0.0.1")
    number: int = udp.getHost().port
    tcp = None if streams is None else reactor.listenTCP(number, streams, interface="127.0.0.1")
    try:
        yield number
    finally:
        await udp.stopListening()
        if tcp is not None:
            await tcp.stopListening()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for."""
    monkeypatch.setattr(resolver, "TRIES", (0.02, 0.02))
    monkeypatch.setattr(resolver, "TCP_TIME", 0.02)


async def until(is_so: Callable[[], bool]) -> None:
    """Let the reactor turn until something is so."""
    for _ in range(10_000):
        if is_so():
            return
        await deferLater(reactor, 0)
    raise AssertionError("it never came to that")


async def asked(server: NameServer, number: int) -> None:
    """So many questions have come."""
    await until(lambda: len(server.questions) == number)


async def nothing_is_left(ports: int) -> None:
    """Nothing of a question outlives it: `ports` are the server's own, the timer is the test's."""

    def is_left() -> tuple[int, int]:
        readers = [each for each in reactor.getReaders() if "Waker" not in type(each).__name__]
        return len(readers), len(reactor.getDelayedCalls())

    await until(lambda: is_left() == (ports, 1))


# --- Answers ----------------------------------------------------------------------------------


async def test_mail_exchangers() -> None:
    async with served() as (names, _):
        found = await names.mail_exchangers("example.net")
        assert sorted(found) == [
            MailExchanger(10, "mx1.example.net"),
            MailExchanger(20, "mx2.example.net"),
        ]
        assert await names.mail_exchangers("null.example") == [MailExchanger(0, "")]
        await nothing_is_left(2)


async def test_addresses() -> None:
    async with served() as (names, _):
        assert await names.addresses("mx1.example.net", 4) == ["192.0.2.1", "192.0.2.2"]
        assert await names.addresses("mx1.example.net", 6) == ["2001:db8::25"]


async def test_case_is_of_no_account() -> None:
    """Row 147."""
    async with served() as (names, server):
        assert len(await names.mail_exchangers("EXAMPLE.Net")) == 2
        assert [question.name for question in server.questions] == ["example.net"]


async def test_no_such_name_is_not_a_name_without_records() -> None:
    """Rows 129 and 130."""
    async with served() as (names, _):
        assert await names.mail_exchangers("empty.example") == []
        assert await names.addresses("empty.example", 6) == []
        for question in (names.mail_exchangers("nowhere.example"), names.addresses("a.b.c", 4)):
            with pytest.raises(NoSuchName):
                await question


async def test_aliases_are_followed() -> None:
    """Row 136."""
    async with served() as (names, _):
        assert len(await names.mail_exchangers("alias.example")) == 2
        assert await names.addresses("alias.example", 4) == []
        with pytest.raises(NoSuchName):
            await names.addresses("astray.example", 4)


async def test_what_is_too_long_for_udp_comes_over_tcp() -> None:
    """Row 135; Twisted's own resolver would keep the connection."""
    async with served() as (names, server):
        assert len(await names.mail_exchangers("crowd.example")) == 40
        assert [question.tcp for question in server.questions] == [False, True]
        await nothing_is_left(2)


async def test_who_says_it_twice_is_heard_once() -> None:
    class Insistent(NameServer):
        def buildProtocol(self, addr: Any) -> dns.DNSProtocol:
            protocol = super().buildProtocol(addr)
            write: Any = protocol.writeMessage

            def twice(message: dns.Message) -> None:
                write(message)
                write(message)

            protocol.writeMessage = twice  # type: ignore[method-assign]
            return protocol

    server = Insistent(NAMES, reactor)
    async with listening(server.datagrams(), server) as port:
        names = DnsNames(reactor, [("127.0.0.1", port)])
        assert len(await names.mail_exchangers("crowd.example")) == 40
        await server.guests.send_away()


async def test_a_question_on_its_way_is_not_asked_twice() -> None:
    """Row 150."""
    async with served() as (names, server):
        same = [names.mail_exchangers("example.net") for _ in range(5)]
        assert len(await names.mail_exchangers("null.example")) == 1
        assert [len(await found) for found in same] == [2] * 5
        assert len(server.questions) == 2
        await names.mail_exchangers("EXAMPLE.net")
        assert len(server.questions) == 2


async def test_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 150: each question has a socket of its own."""
    monkeypatch.setattr(resolver, "MAX_ASKED", 2)
    async with served({f"{n}.example": Trouble.SILENCE for n in range(4)}) as (names, server):
        asking = [names.mail_exchangers(f"{number}.example") for number in range(4)]
        for number in range(4):
            await asked(server, min(number + 2, 4))
            asking[number].addErrback(lambda failure: failure.trap(CancelledError))
            asking[number].cancel()
        assert [question.name[0] for question in server.questions] == list("0123")
        await nothing_is_left(2)


async def test_who_waits_for_a_place_can_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_ASKED", 1)
    async with served({**NAMES, "held.example": Trouble.SILENCE}) as (names, server):
        held, waiting, other = map(
            names.mail_exchangers, ("held.example", "null.example", "example.net")
        )
        for each in (waiting, held):
            each.cancel()
            with pytest.raises(CancelledError):
                await each
        assert len(await other) == 2
        assert "null.example" not in [question.name for question in server.questions]
        await nothing_is_left(2)


# --- Trouble ----------------------------------------------------------------------------------


async def test_a_failing_server_is_trouble() -> None:
    """Row 132."""
    async with served() as (names, _):
        with pytest.raises(NameTrouble, match=r"^fog\.example: no usable answer .*\(SERVFAIL\)$"):
            await names.mail_exchangers("fog.example")


@pytest.mark.usefixtures("hurried")
async def test_silence_is_trouble() -> None:
    async with served() as (names, server):
        with pytest.raises(NameTrouble, match="no answer in time"):
            await names.mail_exchangers("silent.example")
        await asked(server, 2)
        await nothing_is_left(2)


async def test_the_next_server_is_asked_where_one_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolver, "TRIES", (0.05, 0.5, 5.0))
    silent = NameServer({"example.net": Trouble.SILENCE}, reactor)
    async with listening(silent.datagrams()) as port, served() as (_, server):
        names = DnsNames(reactor, [("127.0.0.1", port)])
        async with listening(server.datagrams()) as other:
            names = DnsNames(reactor, [("127.0.0.1", port), ("127.0.0.1", other)])
            assert len(await names.mail_exchangers("example.net")) == 2
    assert silent.questions
    assert server.questions


async def test_loops_are_trouble() -> None:
    """Row 137."""

    def round_and_round(query: dns.Query) -> list[dns.RRHeader]:
        return [alias("a.example", "b.example"), alias("b.example", "a.example")]

    def into_a_loop(query: dns.Query) -> list[dns.RRHeader]:
        return [*round_and_round(query), alias("z.example", "a.example")]

    for answers, name in ((round_and_round, "a.example"), (into_a_loop, "z.example")):
        async with odd(answers) as names:
            with pytest.raises(NameTrouble, match="a loop of CNAMEs"):
                await names.addresses(name, 4)
    async with served() as (names, _):  # a server that notices says SERVFAIL
        with pytest.raises(NameTrouble):
            await names.addresses("loop1.example", 4)


async def test_chains_that_a_server_leaves_unfinished() -> None:
    def one_step(query: dns.Query) -> list[dns.RRHeader]:
        number = int(query.name.name.split(b".")[0])
        if number == 0:
            return [dns.RRHeader(b"0.example", dns.A, payload=dns.Record_A("192.0.2.7"))]
        return [alias(f"{number}.example", f"{number - 1}.example")]

    async with odd(one_step) as names:
        assert await names.addresses("3.example", 4) == ["192.0.2.7"]
        assert await names.addresses(f"{MAX_CNAMES}.example", 4) == ["192.0.2.7"]
        with pytest.raises(NameTrouble, match=f"more than {MAX_CNAMES} CNAMEs"):
            await names.addresses(f"{MAX_CNAMES + 1}.example", 4)


async def test_records_of_other_names_are_not_looked_at() -> None:
    def beside(query: dns.Query) -> list[dns.RRHeader]:
        return [
            dns.RRHeader(b"bank.example", dns.A, payload=dns.Record_A("192.0.2.66")),
            dns.RRHeader(b"Host.EXAMPLE", dns.A, payload=dns.Record_A("192.0.2.1")),
        ]

    async with odd(beside) as names:
        assert await names.addresses("host.example", 4) == ["192.0.2.1"]
        with pytest.raises(NameTrouble, match="it says nothing of the name"):
            await names.addresses("other.example", 4)


@pytest.mark.usefixtures("hurried")
async def test_the_answer_to_another_question_is_none() -> None:
    """Row 146."""

    class Confused(NameServer):
        def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> None:
            message.queries = [dns.Query(b"null.example", dns.MX)]
            super().handleQuery(message, protocol, address)

    async with listening(Confused(NAMES, reactor).datagrams()) as port:
        with pytest.raises(NameTrouble, match="no answer in time"):
            await DnsNames(reactor, [("127.0.0.1", port)]).mail_exchangers("example.net")


@pytest.mark.parametrize(
    ("code", "words"), [(1, "FORMERR"), (4, "NOTIMP"), (5, "REFUSED"), (9, "code 9")]
)
async def test_codes_of_trouble(code: int, words: str) -> None:
    async with odd(lambda query: [], code=code) as names:
        with pytest.raises(NameTrouble, match=rf"\({words}\)"):
            await names.addresses("host.example", 4)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("noise", [b"", b"?", b"\0" * 12, b"\xff" * 60])
async def test_garbage_is_not_looked_at(noise: bytes) -> None:
    """Row 132."""

    class Noise(NameServer):
        def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> None:
            protocol.transport.write(noise, address)
            # The right ID, and nothing that can be read behind it.
            protocol.transport.write(message.toStr()[:2] + noise, address)

    async with listening(Noise({}, reactor).datagrams()) as port:
        with pytest.raises(NameTrouble):
            await DnsNames(reactor, [("127.0.0.1", port)]).mail_exchangers("example.net")
        await nothing_is_left(1)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("what", ["refuses", "hangs up", "is silent", "says too long again"])
async def test_trouble_over_tcp(what: str) -> None:
    class Overlong(NameServer):
        def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> None:
            if address is None and what == "hangs up":
                protocol.transport.loseConnection()
            elif address is not None or what == "says too long again":
                message.answer = message.trunc = 1
                protocol.writeMessage(message, *([] if address is None else [address]))

    server = Overlong({}, reactor)
    streams = None if what == "refuses" else server
    async with listening(server.datagrams(), streams) as port:
        with pytest.raises(NameTrouble):
            await DnsNames(reactor, [("127.0.0.1", port)]).mail_exchangers("example.net")
        await server.guests.send_away()
        await nothing_is_left(1 + (streams is not None))


async def test_names_that_cannot_be_asked_are_trouble() -> None:
    async with served() as (names, server):
        for name in ("bücher.example", "a" * 300):
            with pytest.raises(NameTrouble):
                await names.mail_exchangers(name)
        assert not server.questions
        await nothing_is_left(2)


async def test_no_port_to_ask_from_is_trouble() -> None:
    class Forbidden:
        def __getattr__(self, name: str) -> Any:
            return getattr(reactor, name)

        def listenUDP(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError(1, "Operation not permitted")

    names = DnsNames(Forbidden(), [("127.0.0.1", 53)])
    for _ in range(2):
        with pytest.raises(NameTrouble, match=r"\(PermissionError\)"):
            await names.mail_exchangers("example.net")


async def test_names_of_strangers_are_safe_to_print() -> None:
    """Row 145."""
    wild = b"mx\r\n\x1b[2J\xff.example"

    def answers(query: dns.Query) -> list[dns.RRHeader]:
        if query.type == dns.MX:
            return [dns.RRHeader(query.name.name, dns.MX, payload=dns.Record_MX(10, wild))]
        return [
            alias(query.name.name, wild),
            alias(wild, query.name.name),
        ]

    async with odd(answers) as names:
        (record,) = await names.mail_exchangers("example.net")
        assert record.name == r"mx\x0d\x0a\x1b[2j\xff.example"
        with pytest.raises(NameTrouble) as caught:
            await names.addresses("example.net", 4)
        assert str(caught.value).isprintable()


# --- Cancelling -------------------------------------------------------------------------------


async def test_a_cancelled_question_leaves_nothing() -> None:
    async with served() as (names, _):
        asking = names.mail_exchangers("silent.example")
        await deferLater(reactor, 0)
        asking.cancel()
        with pytest.raises(CancelledError):
            await asking
        await nothing_is_left(2)


async def test_a_cancelled_question_over_tcp_leaves_nothing() -> None:
    class Silent(Protocol):
        def connectionMade(self) -> None:
            connected.callback(None)

    class Overlong(NameServer):
        def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> None:
            message.answer = message.trunc = 1
            protocol.writeMessage(message, address)

    connected: Deferred[None] = Deferred()
    silent = Factory.forProtocol(Silent)
    silent.noisy = False
    async with listening(Overlong({}, reactor).datagrams(), silent) as port:
        asking = DnsNames(reactor, [("127.0.0.1", port)]).mail_exchangers("example.net")
        await connected
        asking.cancel()
        with pytest.raises(CancelledError):
            await asking
        await nothing_is_left(2)


async def test_who_cancels_takes_the_answer_from_nobody_else() -> None:
    async with served() as (names, server):
        first, second, third = (names.mail_exchangers("example.net") for _ in range(3))
        first.cancel()
        third.cancel()
        assert len(await second) == 2
        for cancelled in (first, third):
            with pytest.raises(CancelledError):
                await cancelled
        assert len(server.questions) == 1


# --- An odd server ----------------------------------------------------------------------------


def alias(name: str | bytes, target: str | bytes) -> dns.RRHeader:
    owner = name if isinstance(name, bytes) else name.encode()
    payload = dns.Record_CNAME(target)
    return dns.RRHeader(owner, dns.CNAME, payload=payload)


@asynccontextmanager
async def odd(
    answers: Callable[[dns.Query], list[dns.RRHeader]], code: int = dns.OK
) -> AsyncIterator[DnsNames]:
    """A server that answers as it likes."""

    class Odd(NameServer):
        def handleQuery(self, message: dns.Message, protocol: Any, address: Any) -> None:
            message.answer, message.rCode = 1, code
            message.answers = answers(message.queries[0])
            protocol.writeMessage(message, address)

    async with listening(Odd({}, reactor).datagrams()) as port:
        yield DnsNames(reactor, [("127.0.0.1", port)])
