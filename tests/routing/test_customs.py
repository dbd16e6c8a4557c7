"""Which override an exchanger falls under."""

from __future__ import annotations

import pytest

from twisted_probe.routing.customs import Customs, Override

NAMES = ("mx.example.net", ".example.net", ".mail.example.net", ".net")


@pytest.mark.parametrize(
    ("exchanger", "name"),
    [
        ("mx.example.net", "mx.example.net"),
        ("mx2.example.net", ".example.net"),
        ("a.mx.example.net", ".example.net"),
        ("mx.mail.example.net", ".mail.example.net"),
        ("mail.example.net", ".example.net"),
        ("example.net", ".net"),
        ("mx.example.org", None),
        ("net", None),
        ("", None),
        ("[192.0.2.1]", None),
    ],
)
def test_the_longest_name_wins(exchanger: str, name: str | None) -> None:
    found = Customs(overrides=[Override(name=each) for each in NAMES]).override(exchanger)
    assert (None if found is None else found.name) == name


def test_there_are_none() -> None:
    assert Customs().override("mx.example.net") is None
