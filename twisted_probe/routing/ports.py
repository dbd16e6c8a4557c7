"""Fixed source ports: one session at a time from each to one exchanger address.

Knows who has to wait for whom; not sockets (`smtp.connector`), nor how many sessions a site gets
(`routing.sites`). Two sessions from one port to one address and port would be the same
connection, and the kernel refuses the second.
"""

from __future__ import annotations

from contextlib import nullcontext
from weakref import WeakValueDictionary

from twisted.internet.defer import DeferredLock

from twisted_probe.vocabulary.source import Source


class Ports:
    """Who has the source's port for an exchanger address, and who comes next."""

    def __init__(self) -> None:
        # A lock is there as long as somebody has it or waits for it.
        self._locks: WeakValueDictionary[tuple[str, int, str], DeferredLock] = WeakValueDictionary()

    def held(self, source: Source, address: str) -> DeferredLock | nullcontext[None]:
        """Use it with `async with`: entered when the port is free for a session with `address`,
        first come first served; at once where the source has no port of its own."""
        if not source.port:
            return nullcontext()
        key = (source.address, source.port, address)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = DeferredLock()
        return lock
