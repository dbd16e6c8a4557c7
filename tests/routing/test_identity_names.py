"""What is asked about ourselves, over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor

from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.names import DnsNames, NameTrouble, NoSuchName
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Names, Trouble

reactor: Any = global_reactor

NAMES: Names = {
    "example.net": ["NS ns1.example.net", "NS NS2.example.net"],
    "long.example.net": [f"TXT {'x' * 900}", "TXT v=spf1 -all"],
    "empty.example.net": ["MX 0 ."],
    "fog.example.net": Trouble.SERVFAIL,
    "21.0.0.127.in-addr.arpa": ["PTR Probe1.example.org"],
    "22.0.0.127.in-addr.arpa": ["CNAME 22.0-31.0.0.127.in-addr.arpa"],
    "22.0-31.0.0.127.in-addr.arpa": ["PTR probe2.example.org"],
}


@asynccontextmanager
async def asking(names: Names = NAMES) -> AsyncIterator[DnsNames]:
    town = Town([], names, sample="")
    await town.start(reactor)
    try:
        yield DnsNames(reactor, [parse_resolver(town.resolver)])
    finally:
        await town.stop()


async def test_pointers() -> None:
    async with asking() as names:
        assert await names.pointers("127.0.0.21") == ["probe1.example.org"]
        # RFC 2317: a network of less than 256 addresses.
        assert await names.pointers("127.0.0.22") == ["probe2.example.org"]
        with pytest.raises(NoSuchName):
            await names.pointers("127.0.0.23")
        with pytest.raises(NoSuchName):
            await names.pointers("2001:db8::1")


async def test_texts() -> None:
    """One that is too long for UDP, and too long for one string, among them."""
    async with asking() as names:
        assert sorted(await names.texts("long.example.net")) == ["v=spf1 -all", "x" * 900]
        assert await names.texts("empty.example.net") == []
        with pytest.raises(NameTrouble):
            await names.texts("fog.example.net")


async def test_name_servers() -> None:
    async with asking() as names:
        assert sorted(await names.name_servers("example.net")) == [
            "ns1.example.net",
            "ns2.example.net",
        ]
        assert await names.name_servers("") == []
