"""A test exchanger that lets us in, or does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from twisted_probe.daemon.checkup.session import HostAndPort, session_line
from twisted_probe.daemon.config import ConfigError
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.names import DnsNames
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer
from twisted_probe.sandbox.habits import Blocks
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Trouble
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source

reactor: Any = global_reactor

ME = Source("127.0.0.21", helo="probe1.example.org")
NAME = "mx.example.net"
ADDRESS = "127.0.2.1"
HASTE = Timeouts(connect=1.0, greeting=0.3, command=0.3)


@asynccontextmanager
async def town_of(temper: Temper) -> AsyncIterator[Town]:
    names = {"vacant.example.net": ["A 127.0.2.9"], "six.example.net": ["AAAA 2001:db8::1"]}
    town = Town([House(NAME, ADDRESS, temper)], names, sample="")
    await town.start(reactor)
    try:
        yield town
    finally:
        await town.stop()


async def looked(
    town: Town, host: str = NAME, source: Source = ME, networks: tuple[str, ...] = ("127.0.0.0/8",)
) -> tuple[str, str, str | None]:
    line = await session_line(
        reactor,
        source,
        HostAndPort(host, town.port),
        names=DnsNames(reactor, [parse_resolver(town.resolver)]),
        allow_networks=networks,
        timeouts=HASTE,
    )
    assert (line.subject, line.check) == (f"source {source.address}", "session")
    return line.status.value, line.found, line.advice


@pytest.mark.parametrize("host", [NAME, "MX.Example.net.", ADDRESS])
async def test_one_that_lets_us_in(host: str) -> None:
    async with town_of(tempers.postfix({})) as town:
        who = host if host == ADDRESS else f"{host} at {ADDRESS}"
        assert await looked(town, host) == ("ok", f"{who} takes our EHLO", None)
        record = town.exchangers[NAME].record
        assert record.clients == {ME.address: 1}
        # Nothing is asked.
        assert record.sessions[0].verbs == ["EHLO", "QUIT"]
        assert record.forbidden == 0


async def test_one_from_before_esmtp() -> None:
    async with town_of(tempers.old({})) as town:
        assert (await looked(town))[0] == "ok"
        assert town.exchangers[NAME].record.sessions[0].verbs == ["EHLO", "HELO", "QUIT"]


@pytest.mark.parametrize(
    ("temper", "found", "advice"),
    [
        (
            Temper(
                greeting="554 5.7.1 Your address [127.0.0.21] is blocked using zen.spamhaus.org"
            ),
            f"{NAME} at {ADDRESS} greets us with 554 5.7.1 Your address [127.0.0.21] is "
            "blocked using zen.spamhaus.org",
            "The source address is refused: block list",
        ),
        (
            Temper(habits=(Blocks(frozenset([ME.address]), Stage.EHLO),)),
            f"{NAME} at {ADDRESS} answers our EHLO with 554 5.7.1 Service unavailable",
            "The source address is refused: block list",
        ),
        (
            tempers.rate_limiting(),
            f"{NAME} at {ADDRESS} greets us with 421 4.7.0",
            "The exchanger says that we are too fast",
        ),
        (tempers.not_smtp(), f"{ADDRESS}: not an SMTP reply", "What came back was not SMTP"),
        (tempers.dropping(0), f"{ADDRESS}: ", "The connection ended"),
        (
            Temper(greeting=Answer("220 late", delay=5)),
            f"{ADDRESS}: no reply in time",
            "The exchanger did not answer in time",
        ),
    ],
)
async def test_one_that_does_not(temper: Temper, found: str, advice: str) -> None:
    async with town_of(temper) as town:
        status, words, what_to_do = await looked(town)
    assert status == "bad"
    assert words.startswith(found)
    assert what_to_do is not None
    assert what_to_do.startswith(advice)


@pytest.mark.parametrize("host", ["mx00.t-online.de", "MX00.T-Online.de."])
async def test_its_name_tells_the_provider(host: str) -> None:
    """Words that say nothing by themselves: T-Online means the source."""
    temper = Temper(greeting="554 Not today")
    town = Town([House("mx00.t-online.de", ADDRESS, temper)], {}, sample="")
    await town.start(reactor)
    try:
        status, _, advice = await looked(town, host)
        elsewhere = await looked(town, ADDRESS)
    finally:
        await town.stop()
    assert (status, advice) == ("bad", Reason.BLOCKLISTED.__doc__)
    assert elsewhere[2] != advice


async def test_one_that_is_down() -> None:
    async with town_of(Temper()) as town:
        status, found, advice = await looked(town, "vacant.example.net")
    assert (status, advice) == ("bad", "nothing listens there; see that host and port are right")
    assert found.startswith("127.0.2.9: Connection was refused")


async def test_one_that_is_not_to_be_dialled() -> None:
    async with town_of(Temper()) as town:
        status, found, advice = await looked(town, networks=())
        assert town.exchangers[NAME].record.sessions == []
    assert (status, found) == ("bad", f"{NAME}: {ADDRESS} is never dialled (loopback)")
    assert advice is not None
    assert "--allow-network" in advice


async def test_one_that_has_no_name() -> None:
    async with town_of(Temper()) as town:
        assert await looked(town, "nowhere.example.net") == (
            "bad",
            "the DNS has no nowhere.example.net",
            "see that its name is spelt right",
        )


async def test_one_whose_name_nobody_knows() -> None:
    names = {"lame.example.net": Trouble.SERVFAIL}
    town = Town([House(NAME, ADDRESS, Temper())], names, sample="")
    await town.start(reactor)
    try:
        status, found, advice = await looked(town, "lame.example.net")
    finally:
        await town.stop()
    assert (status, advice) == ("bad", "mend the resolvers; see their lines")
    assert found.startswith("lame.example.net: its address cannot be looked up (")


async def test_one_that_turns_everybody_away() -> None:
    async with town_of(Temper(greeting="554 No SMTP service here")) as town:
        status, found, advice = await looked(town, ADDRESS)
    assert (status, found) == ("bad", f"{ADDRESS} greets us with 554 No SMTP service here")
    assert advice is not None
    assert advice.startswith("it talks to nobody, or not to this source; try another exchanger")


@pytest.mark.parametrize("host", ["six.example.net", "2001:db8::1"])
async def test_one_of_the_other_family(host: str) -> None:
    async with town_of(Temper()) as town:
        assert await looked(town, host) == (
            "note",
            f"not tried: {host} has no IPv4 address",
            "name one with --exchanger that has",
        )


@pytest.mark.parametrize("verb", ["EHLO", "QUIT"])
async def test_cancelling_leaves_nothing(verb: str) -> None:
    def silent(visit: Any, command: Any, answer: Answer) -> Answer:
        return Answer() if command.verb == verb else answer

    async with town_of(Temper(habits=(silent,))) as town:
        record = town.exchangers[NAME].record
        looking = Deferred.fromCoroutine(looked(town))
        while not record.asked(verb):
            await deferLater(reactor, 0.001)
        looking.cancel()
        with pytest.raises(CancelledError):
            await looking
        while record.open:
            await deferLater(reactor, 0.001)


# --- What the command line says ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mx.example.net", "mx.example.net", 25),
        ("mx.example.net:2525", "mx.example.net", 2525),
        ("192.0.2.25:2525", "192.0.2.25", 2525),
        ("2001:DB8::25", "2001:db8::25", 25),
        ("[2001:db8::25]", "2001:db8::25", 25),
        ("[2001:db8::25]:2525", "2001:db8::25", 2525),
    ],
)
def test_hosts_and_ports(text: str, host: str, port: int) -> None:
    assert HostAndPort.parse(text, 25) == HostAndPort(host, port)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "write HOST or HOST:PORT"),
        (":25", "write HOST or HOST:PORT"),
        ("žofie.example", "write HOST or HOST:PORT"),
        ("mx.example.net:", "port '': it is not a number"),
        ("mx.example.net:smtp", "port 'smtp': it is not a number"),
        ("mx.example.net:70000", "port 70000: it is not between 1 and 65535"),
        ("[mx.example.net]", "'mx.example.net' does not appear to be an IPv4 or IPv6 address"),
        ("2001:db8::25:x", "does not appear to be an IPv4 or IPv6 address"),
    ],
)
def test_what_is_neither(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HostAndPort.parse(text, 25)
    assert str(caught.value).startswith(f"--exchanger {text!r}: ")
    assert words in str(caught.value)
