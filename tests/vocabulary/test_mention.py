"""Whom a text means: one address, in any case, among other words."""

from __future__ import annotations

import pytest

from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.mention import Mention


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("ann@a.example", "ANN@A.example"),
        ("ann@a.example", "Ann <Ann@a.example>"),
        ("ann@a.example", "<ann@a.example>, <ben@a.example>"),
        ("ann@a.example", "write to ann@a.example."),
        ("ann@a.example", "Ann @ A.EXAMPLE!"),
        ("ann@a.example", "'ann@a.example'"),
        ("ann@a.example", '"ann"@a.example;'),
        ("ann@a.example", "mailto:ann@a.example?subject=x"),
        ("stra\u00dfe@a.example", "STRASSE@a.example;"),
        ("j\u00f6rg@a.example", "Jo\u0308rg@a.example"),
        ("ann@b\u00fccher.example", "ann@B\u00dcCHER.example;"),
        ("ann@b\u00fccher.example", "ann@XN--bcher-kva.example;"),
        ('"a b"@a.example', '"A B"@a.example;'),
        (r'"a\"b"@a.example', r'"A\"b"@a.example;'),
        ("ann@[192.0.2.1]", "Ann@[192.0.2.1];"),
        ("ann@[IPv6:2001:DB8::1]", "ann@[ipv6:2001:db8::1] x"),
    ],
)
def test_it_is_meant(address: str, text: str) -> None:
    assert Mention(parse_address(address)).is_entry(text)


@pytest.mark.parametrize(
    "text",
    [
        *("joann@a.example", "jo.ann@a.example;", "jo+ann@a.example;", "jo-ann@a.example;"),
        *("ann@a.example.org;", "ann@a.example-x;", "ann@a.examples;", "ann@aaexample;"),
        *("ann", "a.example", "ann@b.example", "ann+x@a.example", "", "\u00e4ann@a.example;"),
    ],
)
def test_it_is_not(text: str) -> None:
    mention = Mention(parse_address("ann@a.example"))
    assert not mention.is_entry(text)
    assert not mention.is_in(text)


def test_what_is_an_address_means_nobody_else() -> None:
    mention = Mention(parse_address("ann@a.example"))
    text = '"ann@a.example" <ben@a.example>'
    assert not mention.is_entry(text)
    assert mention.is_in(text)
    assert mention.is_key("a.example", "ANN")
    assert not mention.is_key("A.example", "ann")
