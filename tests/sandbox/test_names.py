"""The name server over loopback, asked by Twisted's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet import reactor as global_reactor
from twisted.names import client, dns

from twisted_probe.sandbox.names import NameServer, Question
from twisted_probe.sandbox.zone import Names, Trouble

reactor: Any = global_reactor

NAMES: Names = {
    "example.net": ["MX 10 mx.example.net", "TXT two words"],
    "mx.example.net": ["A 127.0.1.1", "AAAA ::1"],
    "alias.example.net": ["CNAME mx.example.net"],
    "null.example.net": ["MX 0 ."],
    "1.0.0.127.in-addr.arpa": ["PTR mx.example.net", "NS mx.example.net"],
    "a.deep.example.net": ["A 192.0.2.2"],
    "crowd.example.net": [f"MX 10 mx{number}.some.long.name.example.net" for number in range(40)],
    "fails.example.net": Trouble.SERVFAIL,
    "silent.example.net": Trouble.SILENCE,
}


class Served:
    """A name server that is up, and questions to it."""

    def __init__(self, server: NameServer, port: int) -> None:
        self.server = server
        self.client: Any = client.Resolver(
            servers=[("127.0.0.1", port)], timeout=(1,), reactor=reactor
        )

    async def ask(self, name: str, type_: int, *, tcp: bool = False) -> dns.Message:
        """The whole answer."""
        ask = self.client.queryTCP if tcp else self.client.queryUDP
        message: dns.Message = await ask([dns.Query(name, type_)])
        return message


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    server = NameServer(NAMES, reactor)
    datagrams = reactor.listenUDP(0, server.datagrams(), interface="127.0.0.1")
    number = datagrams.getHost().port
    streams = reactor.listenTCP(number, server, interface="127.0.0.1")
    try:
        yield Served(server, number)
    finally:
        await datagrams.stopListening()
        await streams.stopListening()
        await server.guests.send_away()


def texts(records: list[dns.RRHeader]) -> list[str]:
    return [str(record.payload) for record in records]


@pytest.mark.parametrize("tcp", [False, True])
async def test_answers_with_authority(tcp: bool) -> None:
    async with served() as names:
        answer = await names.ask("ExAmple.net", dns.MX, tcp=tcp)
        assert answer.rCode == dns.OK
        assert answer.auth
        assert texts(answer.answers) == ["<MX preference=10 name=mx.example.net ttl=60>"]
        assert answer.answers[0].name.name == b"ExAmple.net"
        assert names.server.questions == [Question("ExAmple.net", "MX", tcp=tcp)]


async def test_every_type_of_record() -> None:
    async with served() as names:
        for name, type_, expected in [
            ("mx.example.net", dns.A, "<A address=127.0.1.1 ttl=60>"),
            ("mx.example.net", dns.AAAA, "<AAAA address=::1 ttl=60>"),
            ("null.example.net", dns.MX, "<MX preference=0 name= ttl=60>"),
            ("1.0.0.127.in-addr.arpa", dns.PTR, "<PTR name=mx.example.net ttl=60>"),
            ("1.0.0.127.in-addr.arpa", dns.NS, "<NS name=mx.example.net ttl=60>"),
        ]:
            answer = await names.ask(name, type_)
            assert texts(answer.answers) == [expected]
        words: Any = (await names.ask("example.net", dns.TXT)).answers[0].payload
        assert words.data == [b"two words"]
        alias = await names.ask("alias.example.net", dns.A)
        assert texts(alias.answers) == [
            "<CNAME name=mx.example.net ttl=60>",
            "<A address=127.0.1.1 ttl=60>",
        ]
        assert len((await names.ask("mx.example.net", dns.ALL_RECORDS)).answers) == 2


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("mx.example.net", dns.OK),
        ("deep.example.net", dns.OK),
        ("nowhere.example.net", dns.ENAME),
        ("example.org", dns.ENAME),
    ],
)
async def test_no_such_records_and_no_such_name(name: str, code: int) -> None:
    async with served() as names:
        answer = await names.ask(name, dns.MX)
        assert (answer.rCode, answer.answers, bool(answer.auth)) == (code, [], True)
        assert [record.type for record in answer.authority] == [dns.SOA]


async def test_failure_and_silence() -> None:
    async with served() as names:
        failure = await names.ask("fails.example.net", dns.MX)
        assert (failure.rCode, failure.answers, failure.authority) == (dns.ESERVER, [], [])
        with pytest.raises(defer.TimeoutError):
            await names.client.lookupMailExchange("silent.example.net", timeout=(0.05,))


async def test_what_is_too_long_for_udp_comes_by_tcp() -> None:
    async with served() as names:
        cut = await names.ask("crowd.example.net", dns.MX)
        assert (cut.trunc, cut.answers) == (1, [])
        answers, _, _ = await names.client.lookupMailExchange("crowd.example.net")
        assert len(answers) == 40
        assert [question.tcp for question in names.server.questions] == [False, False, True]
