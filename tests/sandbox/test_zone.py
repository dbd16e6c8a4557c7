"""What a zone answers, without a network."""

from __future__ import annotations

import pytest

from twisted_probe.sandbox.zone import MAX_ALIASES, Trouble, Zone, ZoneError

ZONE = Zone(
    {
        "example.net": ["MX 10 mx.example.net", "MX 20 mx2.example.net", "A 192.0.2.1"],
        "mx.example.net": ["A 127.0.1.1", "AAAA ::1"],
        "WWW.Example.net.": ["CNAME example.net"],
        "lost.example.net": ["CNAME nowhere.example.net"],
        "broken.example.net": ["CNAME fails.example.net"],
        "loop.example.net": ["CNAME loop.example.net"],
        "a.deep.example.net": ["A 192.0.2.2"],
        "fails.example.net": Trouble.SERVFAIL,
        "silent.example.net": Trouble.SILENCE,
    }
)


def found(name: str, type_: str) -> list[tuple[str, str, str]]:
    return [
        (record.owner, record.type, " ".join(record.words))
        for record in ZONE.find(name, type_).answers
    ]


def test_records_of_the_type_are_found_whatever_the_case() -> None:
    assert found("eXample.NET", "MX") == [
        ("eXample.NET", "MX", "10 mx.example.net"),
        ("eXample.NET", "MX", "20 mx2.example.net"),
    ]
    assert found("mx.example.net", "AAAA") == [("mx.example.net", "AAAA", "::1")]
    assert len(found("example.net", "ANY")) == 3


def test_an_alias_comes_with_what_it_leads_to() -> None:
    assert found("www.example.net", "A") == [
        ("www.example.net", "CNAME", "example.net"),
        ("example.net", "A", "192.0.2.1"),
    ]
    assert found("www.example.net", "CNAME") == [("www.example.net", "CNAME", "example.net")]


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("mx.example.net", True),
        ("nowhere.example.net", False),
        ("deep.example.net", True),  # only because a.deep.example.net does
        ("net", True),
        ("", True),
        ("xexample.net", False),
        ("lost.example.net", False),  # an alias of a name that is not there
    ],
)
def test_what_exists_without_records_of_the_type(name: str, exists: bool) -> None:
    answer = ZONE.find(name, "MX")
    assert not [record for record in answer.answers if record.type == "MX"]
    assert answer.exists is exists
    assert answer.trouble is None


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        ("fails.example.net", Trouble.SERVFAIL),
        ("FAILS.example.net", Trouble.SERVFAIL),
        ("broken.example.net", Trouble.SERVFAIL),
        ("loop.example.net", Trouble.SERVFAIL),
        ("silent.example.net", Trouble.SILENCE),
    ],
)
def test_trouble(name: str, trouble: Trouble) -> None:
    assert ZONE.find(name, "A").trouble is trouble


def test_a_long_chain_of_aliases_is_followed() -> None:
    chain = {f"n{step}.example": [f"CNAME n{step + 1}.example"] for step in range(MAX_ALIASES)}
    whole = Zone({**chain, f"n{MAX_ALIASES - 1}.example": ["A 192.0.2.1"]})
    assert whole.find("n0.example", "A").answers[-1].type == "A"
    assert Zone(chain).find("n0.example", "A").trouble is Trouble.SERVFAIL


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ("", "the type is none of"),
        ("HINFO a b", "the type is none of"),
        ("MX mx.example.net", "MX takes 2 words"),
        ("MX ten mx.example.net", "invalid literal"),
        ("A 1.2.3", "1.2.3"),
        ("AAAA 192.0.2.1", "192.0.2.1"),
        ("CNAME bücher.example", "A-labels"),
    ],
)
def test_a_record_that_cannot_be_read(record: str, complaint: str) -> None:
    with pytest.raises(ZoneError, match=complaint) as raised:
        Zone({"example.net": [record]})
    assert str(raised.value).startswith("example.net: ")
