"""Which addresses are this machine's own, as its kernel says."""

from __future__ import annotations

import pytest

from twisted_probe.routing.own_addresses import is_own

from .own_machine import run_in_own_machine


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.7", "::1"])
def test_ours(address: str) -> None:
    assert is_own(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2001:4860:4860::8888", "192.0.2.1", "2001:db8::1", "192.0.0.8"]
)
def test_those_of_others(address: str) -> None:
    assert not is_own(address)


#: Two addresses of interfaces, and a network that is routed to this machine.
COMMANDS = """
ip address add 192.0.2.77/32 dev lo
ip address add 2001:db8::77/128 dev lo nodad
ip route add local 198.51.100.0/24 dev lo
"""
#: A kernel that lets everything be bound.
NONLOCAL = """
echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind
"""

PROGRAM = """
import sys
from twisted_probe.routing.own_addresses import is_own
print(*(address for address in sys.argv[1:] if is_own(address)))
"""

ASKED = ("192.0.2.77", "192.0.2.78", "2001:db8::77", "2001:db8::78", "198.51.100.9")


def test_whatever_reaches_this_machine() -> None:
    ours = run_in_own_machine(COMMANDS, PROGRAM, *ASKED)
    assert ours == ["192.0.2.77 2001:db8::77 198.51.100.9"]


def test_where_binding_tells_nothing() -> None:
    """Then only sources are known to be ours; else nobody could be dialled."""
    assert run_in_own_machine(COMMANDS + NONLOCAL, PROGRAM, *ASKED) == [""]
