"""No log says whose mailbox it was."""

from __future__ import annotations

import time

import pytest

from twisted_probe.daemon.masking import masked
from twisted_probe.vocabulary.address import parse_entry


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.net", "***@example.net"),
        ("550 5.1.1 <ann@example.net>: unknown", "550 5.1.1 <***@example.net>: unknown"),
        ("RCPT TO:<ann.o'brien+x=y@example.net>", "RCPT TO:<***@example.net>"),
        ('"ann b"@example.net', "***@example.net"),
        ('<"a\\"nn@home"@example.net>', "<***@example.net>"),
        ("Žofie.Ž@příklad.example", "***@příklad.example"),
        ("ann@[192.0.2.1]", "***@[192.0.2.1]"),
        ("@relay.example,@b.example:ann@c.example", "@relay.example,@b.example:***@c.example"),
        ("ann%example.net@relay.example", "***@relay.example"),
        ("bounce+ann=example.net@list.example", "***@list.example"),
        ("a@b@example.net", "***@example.net"),
        ("ann@example.net, ben@example.org;eve@example.com", None),
        ("['ann@example.net', 'ben@example.org']", None),
        ("{'to': 'ann@example.net'}", None),
        ("b'RCPT TO:<ann@example.net>\\r\\n'", None),
        ("http://greylist.example/?r=ann%40example.net", "http:***%40example.net"),
        ("x?r=ann%2540example.net", "***%2540example.net"),
        ("ann\uff20example.net", "***\uff20example.net"),
        ("Address(local='ann', domain='b.example')", "Address(local=***, domain='b.example')"),
        ("control='x1y2', attempts=1", "control=***, attempts=1"),
        ('local="o\'brien", domain', "local=***, domain"),
        ("KeyError: ('b.example', 'ann')", "KeyError: ('b.example', ***)"),
        ("(('[192.0.2.1]', \"o'brien\"), 20)", "(('[192.0.2.1]', ***), 20)"),
        ("('one', 'two')", "('one', 'two')"),
    ],
)
def test_addresses(text: str, expected: str | None) -> None:
    if expected is not None:
        assert masked(text) == expected
    for name in ("ann", "ben", "eve", "brien", "Žofie", "x1y2"):
        assert name not in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mailprobe works on /srv/mail, from 192.0.2.10 (probe1.example.org)",
        "@example.net",
        "at @ all",
        "40% of 100%",
        "local=3 control=True",
        'he said "no"',
    ],
)
def test_what_is_none(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.net",
        "o'brien/x@example.net",
        "{a|b}~c@example.net",
        "!#$%&'*+-/=?^_`{|}~@example.net",
        '"very unusual"@example.net',
        "Ann <ann@example.net>",
        "用户@例え.example",
    ],
)
def test_every_address_that_we_can_ask_about(address: str) -> None:
    parsed = parse_entry(address)
    for text in (address, parsed.text, f"<{parsed.text}>", repr(parsed), repr([parsed.text])):
        assert parsed.local not in masked(text)


@pytest.mark.parametrize(
    "text", ["a" * 20_000, '"' * 20_000, '"\\' * 10_000, "@" * 20_000, "%40" * 7000]
)
def test_no_text_takes_long(text: str) -> None:
    before = time.process_time()
    masked(text + "@example.net")

    assert time.process_time() - before < 2
