"""The DNS out of a dictionary is used as the one that is asked."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError

from twisted_probe import Prober, Reason
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.names import (
    DnsNames,
    IdentityNames,
    MailExchanger,
    NameTrouble,
    NoSuchName,
)
from twisted_probe.sandbox.zone import Names, ZoneError
from twisted_probe.testing import FakeNames, Town, Trouble, options_for, results_of

reactor: Any = global_reactor

METHODS = ("mail_exchangers", "addresses", "pointers", "texts", "name_servers")

NAMES: Names = {
    "example.net": ["MX 20 mx2.example.net.", "MX 10 MX1.example.net", "NS ns.example.net"],
    "mx1.example.net": ["A 192.0.2.1", "AAAA 2001:DB8::0:25"],
    "null.example": ["MX 0 .", "TXT v=spf1 -all"],
    "alias.example": ["CNAME example.net"],
    "fog.example": Trouble.SERVFAIL,
    "1.2.0.192.in-addr.arpa": ["PTR mx1.example.net."],
}

QUESTIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("mail_exchangers", ("example.net",)),
    ("mail_exchangers", ("null.example",)),
    ("mail_exchangers", ("alias.example",)),
    ("mail_exchangers", ("mx1.example.net",)),
    ("mail_exchangers", ("nowhere.example",)),
    ("mail_exchangers", ("fog.example",)),
    ("addresses", ("mx1.example.net", 4)),
    ("addresses", ("mx1.example.net", 6)),
    ("pointers", ("192.0.2.1",)),
    ("pointers", ("2001:db8::1",)),
    ("texts", ("null.example",)),
    ("name_servers", ("example.net",)),
    ("name_servers", ("",)),
]


@pytest.mark.parametrize("method", METHODS)
def test_they_are_called_as_names_are(method: str) -> None:
    assert (
        inspect.signature(getattr(FakeNames, method))
        == inspect.signature(getattr(IdentityNames, method))
        == inspect.signature(getattr(DnsNames, method))
    )


async def said(names: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return sorted(await getattr(names, method)(*arguments))
    except (NoSuchName, NameTrouble) as error:
        return type(error)


async def test_they_say_what_a_name_server_says() -> None:
    """The same names, once in memory and once over loopback."""
    town = await Town([], NAMES, sample="").start(reactor)
    try:
        asked, fake = DnsNames(reactor, [parse_resolver(town.resolver)]), FakeNames(NAMES)
        for question in QUESTIONS:
            assert await said(fake, *question) == await said(asked, *question), question
    finally:
        await town.stop()


def test_questions_are_noted() -> None:
    names = FakeNames(NAMES)
    names.mail_exchangers("null.example")
    names.pointers("192.0.2.1")
    assert names.asked == [("null.example", "MX"), ("1.2.0.192.in-addr.arpa", "PTR")]


def test_silence_can_be_cancelled() -> None:
    asking = FakeNames({"quiet.example": Trouble.SILENCE}).mail_exchangers("quiet.example")
    results = results_of(asking)
    assert results == []
    asking.cancel()
    assert isinstance(results[0], CancelledError)


def test_what_cannot_be_read() -> None:
    with pytest.raises(ZoneError):
        FakeNames({"example.net": ["MX mx.example.net"]})


async def test_a_real_prober_with_fake_names_in_a_real_town() -> None:
    town = await Town().start(reactor)
    try:
        names = FakeNames(
            {"example.net": ["MX 10 mx.example.net"], "mx.example.net": ["A 127.0.1.1"]}
        )
        prober = Prober(reactor, **options_for(town), names=names)
        outcome = await prober.probe("ann@example.net")
        assert (outcome.reason, outcome.exchanger_address) == (Reason.ACCEPTED, "127.0.1.1")
        assert names.asked[0] == ("example.net", "MX")
        assert town.name_server.questions == []
        await prober.close()
    finally:
        await town.stop()


async def test_the_options_for_a_town() -> None:
    town = await Town().start(reactor)
    try:
        prober = Prober(reactor, **options_for(town))
        addresses = ["ann@orchard.example", "nobody@orchard.example"]
        for outcome in await prober.probe_many(addresses):
            assert (outcome.verdict.value, outcome.reason.value) in town.truth[outcome.address]
        await prober.close()
    finally:
        await town.stop()


def test_an_exchanger_is_a_value() -> None:
    assert MailExchanger(10, "a") < MailExchanger(20, "a")
