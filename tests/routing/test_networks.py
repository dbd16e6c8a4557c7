"""Addresses that are never dialled. Rows are those of cases.md."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.routing.networks import Networks

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "223.255.255.255",
    "2000::1",
    "3ffe:ffff::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2a00:1450::1b",
]

FORBIDDEN = [
    ("0.0.0.0", "this network"),
    ("0.1.2.3", "this network"),
    ("10.11.12.13", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.255", "loopback"),
    ("169.254.169.254", "link-local, cloud metadata"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.8", "protocol assignments"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4 relay"),
    ("192.168.1.25", "private"),
    ("198.18.0.1", "benchmarks"),
    ("198.19.255.255", "benchmarks"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved, broadcast"),
    ("255.255.255.255", "reserved, broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::8.8.8.8", "IPv4-compatible"),
    ("64:ff9b::8.8.8.8", "NAT64"),
    ("64:ff9b:1::10.0.0.1", "NAT64"),
    ("100::1", "discard"),
    ("100:0:0:1::1", "dummy"),
    ("2001::1", "protocol assignments, Teredo"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::1", "6to4"),
    ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique local"),
    ("fd12:3456::1", "unique local"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("::ffff:0:127.0.0.1", "reserved"),  # IPv4-translated, RFC 2765
    ("1::1", "reserved"),
    ("4000::1", "reserved"),
    ("7fff::1", "reserved"),
    ("8000::1", "reserved"),
    ("fbff::1", "reserved"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:10.0.0.1", "private"),
    ("::ffff:a9fe:a9fe", "link-local, cloud metadata"),
    ("::ffff:8.8.8.8", "IPv4-mapped"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_dialled(address: str) -> None:
    assert Networks().why_forbidden(address) is None


@pytest.mark.parametrize(("address", "what"), FORBIDDEN)
def test_others_are_never_dialled(address: str, what: str) -> None:
    """Row 140."""
    assert Networks().why_forbidden(address) == what


@pytest.mark.parametrize(
    ("network", "address", "others"),
    [
        ("127.0.0.0/8", "127.0.1.1", ["10.0.0.1", "::1"]),
        ("127.0.0.0/8", "::ffff:127.0.1.1", ["::ffff:10.0.0.1"]),
        ("10.0.0.0/30", "10.0.0.3", ["10.0.0.4"]),
        ("10.1.2.3", "10.1.2.3", ["10.1.2.4"]),
        ("fd00::/8", "fd00::25", ["fc00::25", "10.0.0.1"]),
        ("::1", "::1", ["127.0.0.1"]),
    ],
)
def test_what_the_operator_allows(network: str, address: str, others: list[str]) -> None:
    networks = Networks([network])
    assert networks.why_forbidden(address) is None
    assert all(networks.why_forbidden(other) is not None for other in others)


def test_networks_as_values_and_as_texts_are_the_same() -> None:
    assert Networks([ip_network("10.0.0.0/8")]) == Networks(["10.0.0.0/8"])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "ten", "10.0.0.0/33", "", "localhost"])
def test_a_text_that_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Networks([text])


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="mx"):
        Networks().why_forbidden("mx.example.net")


def test_our_own_addresses() -> None:
    networks = Networks(own=frozenset(("8.8.4.4", "2001:4860::1")))
    assert networks.why_forbidden("8.8.4.4") == "our own"
    assert networks.why_forbidden("::ffff:8.8.4.4") == "our own"
    assert networks.why_forbidden("2001:4860:0::1") == "our own"
    assert networks.why_forbidden("8.8.8.8") is None
    assert Networks(["8.8.4.0/24"], frozenset(("8.8.4.4",))).why_forbidden("8.8.4.4") is None


@given(st.ip_addresses())
def test_what_python_knows_to_be_special_is_forbidden(address: IPv4Address | IPv6Address) -> None:
    """Python's table differs between versions; ours is never laxer than any of them."""
    special = (
        address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    )
    if special or address.is_unspecified:
        assert Networks().why_forbidden(str(address)) is not None


@given(st.ip_addresses(v=4))
def test_an_address_is_no_better_in_disguise(address: IPv4Address) -> None:
    number = int(address)
    disguises = [
        IPv6Address(number),
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
    ]
    for disguise in disguises:
        assert Networks().why_forbidden(str(disguise)) is not None
        assert Networks().why_forbidden(disguise.exploded) is not None


@given(st.ip_addresses(), st.ip_addresses(), st.data())
def test_allowing_is_about_nothing_else(
    address: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, address.max_prefixlen))
    network = ip_network((address, length), strict=False)
    networks = Networks([network])
    for each in (address, other):
        # A mapped address is an IPv4 address, whatever is allowed of IPv6.
        plain = unmapped(each)
        expected = None if plain in network else Networks().why_forbidden(str(each))
        assert networks.why_forbidden(str(each)) == expected


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
