"""Which addresses are this machine's own.

Knows sockets: one can be bound to our own addresses and to no other. Asked each time, it is true of
addresses that came up a moment ago, and of whole networks that are routed to this machine, which
no list of its interfaces names.
"""

from __future__ import annotations

import socket
from contextlib import suppress

#: Addresses that nobody has (RFC 7600, RFC 6666). Where they can be bound all the same, the kernel
#: lets everything be (net.ipv4.ip_nonlocal_bind), and binding tells nothing.
_NOBODYS = {socket.AF_INET: "192.0.0.8", socket.AF_INET6: "100::1"}


def is_own(address: str) -> bool:
    """Whether a literal address is this machine's. Only sources are known to be where the kernel
    binds addresses of others too (see `Networks.own`)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return _can_bind(family, address) and not _can_bind(family, _NOBODYS[family])


def _can_bind(family: socket.AddressFamily, address: str) -> bool:
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as attempt:
        attempt.bind((address, 0))
        return True
    return False
