"""How name servers are written, and which ones this machine names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.routing.name_servers import parse_resolver, resolver_text, system_resolvers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("::1", ("::1", 53)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("[fe80::1%eth0]:53", ("fe80::1%eth0", 53)),
    ],
)
def test_parse_resolver(text: str, expected: tuple[str, int]) -> None:
    assert parse_resolver(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ":53", "dns.example", "192.0.2.53:", "192.0.2.53:dns", "192.0.2.53:0"),
        *("192.0.2.53:65536", "192.0.2.53:-1", "192.0.2", "[192.0.2.53]", "[192.0.2.53]:53"),
        *("[::1]:", "[::1]:0", "[::1]53", "[::1", "::1]:53", "[]:53", "[dns:]:53"),
    ],
)
def test_texts_that_are_no_resolver(text: str) -> None:
    with pytest.raises(ValueError, match=r"^resolver ") as caught:
        parse_resolver(text)
    assert repr(text) in str(caught.value)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_and_port(address: Any, port: int) -> None:
    server = (str(address), port)
    assert parse_resolver(resolver_text(server)) == server
    assert parse_resolver(str(address)) == (str(address), 53)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "nameserver 192.0.2.53\nsearch example\nnameserver 2001:db8::53\n",
            ["192.0.2.53", "2001:db8::53"],
        ),
        (
            "# nameserver 192.0.2.53\n  nameserver\t192.0.2.54 # home\noptions rotate\n",
            ["192.0.2.54"],
        ),
        ("nameserver fe80::1%eth0\nnameserver dns\nnameserver\n", ["fe80::1%eth0"]),
        ("nameserver fe80::1%eth0\x07\nnameserver ::1\n", ["::1"]),
    ],
)
def test_system_resolvers(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert system_resolvers(path) == [(address, 53) for address in expected]


@pytest.mark.parametrize("content", [None, b"", b"nameserver dns\n", b"\xff\xfe\n"])
def test_the_local_host_where_no_resolver_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "resolv.conf"
    if content is not None:
        path.write_bytes(content)
    assert system_resolvers(path) == [("127.0.0.1", 53)]
