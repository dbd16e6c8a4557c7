"""The blocking way, the old class's: one socket after the other, one command after the other.

Knows sockets and how the shortest honest client reads a reply.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from io import BufferedReader

from benchmarks.errand import HELO, REVERSE_PATH, TIMEOUT, Errand


def contend(errands: Iterable[Errand]) -> None:
    """Do the errands, session by session."""
    for errand in errands:
        for source, batch in errand.sessions():
            errand.answered(_session(errand.host, errand.port, source, batch))


def _session(host: str, port: int, source: str, batch: tuple[str, ...]) -> list[int]:
    with socket.create_connection((host, port), TIMEOUT, (source, 0)) as connection:
        replies = connection.makefile("rb")

        def tell(command: str) -> int:
            connection.sendall(f"{command}\r\n".encode())
            return _code(replies)

        with replies:
            _code(replies)
            tell(f"EHLO {HELO}")
            tell(f"MAIL FROM:<{REVERSE_PATH}>")
            codes = [tell(f"RCPT TO:<{recipient}>") for recipient in batch]
            tell("QUIT")
    return codes


def _code(replies: BufferedReader) -> int:
    while (line := replies.readline())[3:4] == b"-":
        pass
    return int(line[:3])
