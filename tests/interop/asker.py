"""A plain question to the DNS: what comes back over UDP, asked with nothing of ours.

A script for `Street.run_in`: name and resolver in, one JSON object out.
"""

from __future__ import annotations

import json
import socket
import struct
import sys

#: Seconds for one answer.
TIMEOUT = 3.0

_MX, _IN, _RECURSION_DESIRED = 15, 1, 0x0100
_TRUNCATED, _CODE = 0x0200, 0x000F


def ask(name: str, resolver: str) -> dict[str, int | bool] | None:
    """Whether the answer to a question for MX was cut, and its code; None: there was none."""
    question = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT)
        header = struct.pack("!6H", 1, _RECURSION_DESIRED, 1, 0, 0, 0)
        udp.sendto(header + question + struct.pack("!BHH", 0, _MX, _IN), (resolver, 53))
        try:
            answer = udp.recv(65535)
        except TimeoutError:
            return None
    (flags,) = struct.unpack_from("!H", answer, 2)
    return {"is_cut": bool(flags & _TRUNCATED), "code": flags & _CODE}


if __name__ == "__main__":
    json.dump(ask(*sys.argv[1:]), sys.stdout)
