"""The ledger as the prober's memory.

Knows how `routing.memory.Memory` maps to the ledger, and that calls are written together; not
what is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.writer import Writer
from twisted_probe.routing.memory import (
    MAX_DOMAINS,
    Benched,
    Known,
    Landmark,
    Lately,
    Learned,
    Memory,
    Pressure,
)
from twisted_probe.routing.tempo import Tempo


class LedgerMemory:
    """A `Memory` over `ledger`, whose methods are called through `write` at the times of
    `clock`. Its Deferreds errback with sqlite3.Error where the disk does not want it."""

    def __init__(self, ledger: Ledger, write: Writer, clock: IReactorTime) -> None:
        self._ledger = ledger
        self._write = write
        self._clock = clock
        # What exchangers have taught is asked for when a session is about to begin.
        self._taught: Lately[str, Learned | None] = Lately(MAX_DOMAINS)

    def recall(self, domain: str, source: str, control: str) -> Deferred[Known]:
        """See `Memory`."""
        now = self._clock.seconds()
        known = self._write(self._ledger.recall, domain, source, control, now)
        return known if self._ledger.caching.enabled else known.addCallback(_to_be_asked_again)

    def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
        """See `Memory`."""
        return self._write(self._ledger.remember, domain, source, known, self._clock.seconds())

    def learned(self, address: str) -> Deferred[Learned | None]:
        """See `Memory`."""
        if address in self._taught:
            return succeed(self._taught.get(address))
        return self._write(self._ledger.learned, address).addCallback(self._read, address)

    def _read(self, learned: Learned | None, address: str) -> Learned | None:
        if address not in self._taught:  # or it has taught something meanwhile
            self._taught.put(address, learned)
        return self._taught.get(address)

    def learn(self, address: str, learned: Learned) -> Deferred[None]:
        """See `Memory`."""
        self._taught.put(address, learned)
        return self._write(self._ledger.learn, address, learned)

    def tempo(self, site: str) -> Deferred[Tempo | None]:
        """See `Memory`."""
        return self._write(self._ledger.tempo, site)

    def keep_tempo(self, site: str, tempo: Tempo) -> Deferred[None]:
        """See `Memory`."""
        return self._write(self._ledger.keep_tempo, site, tempo)

    def pressures(self, now: float) -> Deferred[Sequence[Pressure]]:
        """See `Memory`."""
        return self._write(self._ledger.pressures, now)

    def keep_pressures(self, pressures: Sequence[Pressure]) -> Deferred[None]:
        """See `Memory`."""
        return self._write.gather(self._ledger.keep_pressures, pressures)

    def landmarks(self) -> Deferred[Sequence[Landmark]]:
        """See `Memory`."""
        return self._write(self._ledger.landmarks)

    def keep_landmark(self, landmark: Landmark) -> Deferred[None]:
        """See `Memory`."""
        return self._write(self._ledger.keep_landmark, landmark)

    def bench(self, benched: Benched) -> Deferred[None]:
        """See `Memory`."""
        return self._write(self._ledger.bench, benched)

    def benches(self, now: float) -> Deferred[Sequence[Benched]]:
        """See `Memory`."""
        return self._write(self._ledger.benches, now)


def _to_be_asked_again(known: Known) -> Known:
    """The control itself stays: greylisting has to recognise it."""
    return evolve(known, control_reply=None)


if TYPE_CHECKING:

    def _is_memory(memory: LedgerMemory) -> Memory:
        return memory
