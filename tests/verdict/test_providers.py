"""Providers whose answer proves less than it says, and those with meanings of their own."""

from __future__ import annotations

import re

import pytest

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.providers import Doubt, load_providers, provider_of
from twisted_probe.verdict.tables import RuleError, suffixes_of
from twisted_probe.vocabulary.finding import Label
from twisted_probe.vocabulary.reply import Reply, Stage

WHOLE = """
[[provider]]
name = "mine"
exchangers = ["a.example"]
doubts = "acceptance"
said = "it takes everybody"
ground = "seen"
"""


@pytest.mark.parametrize(
    ("exchanger", "name"),
    [
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("MTA5.AM0.Yahoodns.Net.", "yahoo"),
        ("example-net.mail.protection.outlook.com", "microsoft-365"),
        ("mfsmax.docomo.ne.jp", "docomo"),
        ("mx1.improvmx.com", "forwarders"),
    ],
)
def test_a_provider_is_known_by_the_end_of_the_name(exchanger: str, name: str) -> None:
    provider = provider_of(exchanger)
    assert provider is not None
    assert provider.name == name
    assert provider.said
    assert provider.ground


@pytest.mark.parametrize(
    "exchanger", ["", "mx.example", "notyahoodns.net", "yahoodns.net.example", "outlook.com", "net"]
)
def test_others_are_believed(exchanger: str) -> None:
    assert provider_of(exchanger) is None


def test_a_row() -> None:
    (provider,) = load_providers(WHOLE).values()
    assert (provider.name, provider.doubts) == ("mine", Doubt.ACCEPTANCE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= 1", "not TOML"),
        ("x = 1", "key 'x': only [[provider]] are known"),
        (WHOLE + "x = 1", "provider 'mine', key 'x': it is not known; known are doubts, exch"),
        (WHOLE.replace("acceptance", "all"), "key 'doubts': 'all' is not one of acceptance, refu"),
        (WHOLE.replace('exchangers = ["a.example"]', ""), "key 'exchangers': it must be there"),
        (WHOLE.replace("a.example", "example"), "key 'exchangers': 'example' is none; write the"),
        (WHOLE.replace("seen", ""), "key 'ground': it must be there"),
        (WHOLE + WHOLE, "key 'exchangers': a.example is 'mine' already"),
    ],
)
def test_an_error_names_the_provider_and_the_key(text: str, message: str) -> None:
    with pytest.raises(RuleError, match=re.escape(message)):
        load_providers(text)


def test_suffixes() -> None:
    assert suffixes_of("MX.a.Example.") == ["mx.a.example", "a.example"]
    assert suffixes_of("localhost") == suffixes_of("") == []


#: Replies whose meaning is the provider's own: stage, reply, exchanger, label, explicit.
OWN = [
    ("rcpt", "550 mailbox unavailable", "mx00.gmx.net", Label.NO_SUCH_MAILBOX, True),
    ("rcpt", "550 mailbox unavailable", "mx.example", Label.NO_SUCH_MAILBOX, False),
    ("rcpt", "550 mailbox unavailable, reject due to policy", "mx00.gmx.net", Label.POLICY, True),
    (
        "rcpt",
        "550 mailbox unavailable",
        "outlook-com.olc.protection.outlook.com",
        Label.NO_SUCH_MAILBOX,
        True,
    ),
    ("greeting", "554 not today", "mx01.t-online.de", Label.BLOCKLISTED, True),
    ("greeting", "554 not today", "mx.example", Label.UNKNOWN, False),
    ("rcpt", "550 : User unknown", "msmx.au.com", Label.POLICY, True),
    ("rcpt", "550 <ann@au.com>: User unknown", "msmx.au.com", Label.NO_SUCH_MAILBOX, True),
    ("rcpt", "550 : User unknown", "mx.example", Label.NO_SUCH_MAILBOX, True),
    (
        "rcpt",
        "550 5.2.1 Mailbox not available",
        "mx.poczta.interia.pl",
        Label.MAILBOX_DISABLED,
        False,
    ),
]


@pytest.mark.parametrize(("stage", "text", "exchanger", "label", "explicit"), OWN)
def test_a_providers_own_meaning(
    stage: str, text: str, exchanger: str, label: Label, explicit: bool
) -> None:
    reply = Reply(int(text[:3]), (text[4:].encode(),))
    found = classify(Stage(stage), reply, Context(exchanger=exchanger))
    assert (found.label, found.explicit) == (label, explicit)


def test_a_host_does_not_speak_by_its_name() -> None:
    reply = Reply(550, (b"5.1.1 mx.blacklist.example: user unknown",))
    assert classify(Stage.RCPT, reply).label is Label.BLOCKLISTED
    context = Context(exchanger="MX.Blacklist.example")
    assert classify(Stage.RCPT, reply, context).label is Label.NO_SUCH_MAILBOX
