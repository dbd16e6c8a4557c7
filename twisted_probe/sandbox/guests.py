"""Guests: the connections that are open at a port, so that they can be sent away.

Knows when the last one has left; not what they talk about.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol


class Guests:
    """The open connections of one port."""

    def __init__(self) -> None:
        self._here: set[Protocol] = set()
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._here)

    def arrive(self, guest: Protocol) -> None:
        """A connection was made."""
        self._here.add(guest)

    def leave(self, guest: Protocol) -> None:
        """It was lost."""
        self._here.discard(guest)
        if not self._here:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    def send_away(self) -> Deferred[None]:
        """Abort every connection; fires when the last one is lost."""
        if not self._here:
            return succeed(None)
        empty: Deferred[None] = Deferred()
        self._waiting.append(empty)
        for guest in tuple(self._here):
            cast(ITCPTransport, guest.transport).abortConnection()
        return empty
