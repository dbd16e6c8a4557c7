"""What may be a source, and what may be said in EHLO."""

from __future__ import annotations

import pytest

from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.source import Source, helo_name_problem


@pytest.mark.parametrize(
    "name",
    ["probe1.example.org", "a.b", "MX-1.Example.ORG", "1.example.org", "a" * 63 + ".example"],
)
def test_helo_names(name: str) -> None:
    assert helo_name_problem(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("localhost", "no dot"),
        ("probe1", "no dot"),
        ("localhost.localdomain", "every machine"),
        ("host.localdomain", "every machine"),
        ("192.0.2.1", "IP address"),
        ("probe_1.example.org", "not a host name"),
        ("-probe.example.org", "not a host name"),
        ("probe.example.org.", "not a host name"),
        ("probe..example", "not a host name"),
        ("probe.example\r\nMAIL", "not a host name"),
        ("pröbe.example", "not a host name"),
        ("a" * 64 + ".example", "a label is longer"),
        (".".join(["a" * 60] * 5), "longer than 255"),
    ],
)
def test_names_that_exchangers_refuse(name: str, words: str) -> None:
    problem = helo_name_problem(name)
    assert problem is not None
    assert words in problem
    with pytest.raises(ValueError, match="HELO name"):
        Source("192.0.2.10", helo=name)


def test_a_source() -> None:
    source = Source("192.0.2.10", helo="probe1.example.org")
    assert (source.family, source.port, str(source.ip)) == (4, 0, "192.0.2.10")
    assert Source("2001:DB8:0::10", helo="probe1.example.org").address == "2001:db8::10"
    assert Source("2001:db8::10", helo="probe1.example.org").family == 6


@pytest.mark.parametrize("address", ["probe1.example.org", "192.0.2", "", "192.0.2.256"])
def test_a_source_is_a_literal(address: str) -> None:
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        Source(address, helo="probe1.example.org")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("0.0.0.0", "no single address"),
        ("::", "no single address"),
        ("224.0.0.1", "no single address"),
        ("::ffff:192.0.2.1", "write it as 192.0.2.1"),
    ],
)
def test_a_source_is_one_address(address: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Source(address, helo="probe1.example.org")


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_end(port: int) -> None:
    with pytest.raises(ValueError, match="source port"):
        Source("192.0.2.10", helo="probe1.example.org", port=port)


@pytest.mark.parametrize(
    ("text", "default", "address", "helo"),
    [
        ("192.0.2.10=a.example", None, "192.0.2.10", "a.example"),
        ("192.0.2.10=a.example", "b.example", "192.0.2.10", "a.example"),
        ("192.0.2.10", "b.example", "192.0.2.10", "b.example"),
        ("2001:db8::1=a.example", None, "2001:db8::1", "a.example"),
    ],
)
def test_parse(text: str, default: str | None, address: str, helo: str) -> None:
    assert Source.parse(text, default) == Source(address, helo=helo)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.0.2.10", "no HELO name"),
        ("nonsense=a.example", "'nonsense'"),
        ("192.0.2.10=", "it is empty"),
        ("192.0.2.10=a", "no dot"),
    ],
)
def test_parse_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"source '{text}'") as caught:
        Source.parse(text)
    assert words in str(caught.value)


def test_an_exchanger() -> None:
    assert Exchanger("mx.example", "2001:DB8::1").address == "2001:db8::1"
    assert Exchanger("mx.example", "2001:db8::1").family == 6
    assert Exchanger("mx.example", "192.0.2.25").family == 4


def test_shares() -> None:
    source = Source("192.0.2.10", helo="probe1.example.org", weight=3, ceiling=20)
    assert (source.weight, source.ceiling) == (3, 20)
    with pytest.raises(ValueError, match="source weight 0: it is less than 1"):
        Source("192.0.2.10", helo="probe1.example.org", weight=0)
    with pytest.raises(ValueError, match="source ceiling 0: it is less than 1"):
        Source("192.0.2.10", helo="probe1.example.org", ceiling=0)
