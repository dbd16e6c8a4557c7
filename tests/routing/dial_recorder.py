"""A recorder under the reactor: every connection that a socket of this process tries.

It hears of them from the interpreter (PEP 578), below Twisted and below our own connector, so that
nothing which dials can be forgotten.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_recordings: list[list[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not _recordings:
        return
    connecting, address = arguments
    # Questions to the DNS have connected sockets too.
    if connecting.type == socket.SOCK_STREAM and connecting.family != socket.AF_UNIX:
        for recording in _recordings:
            recording.append(address[0])


# It cannot be taken away again, and costs next to nothing while nobody records.
sys.addaudithook(_hear)


@contextmanager
def recorded_dials() -> Iterator[list[str]]:
    """The hosts to which a stream was tried meanwhile, in order."""
    recording: list[str] = []
    _recordings.append(recording)
    try:
        yield recording
    finally:
        _recordings.remove(recording)
