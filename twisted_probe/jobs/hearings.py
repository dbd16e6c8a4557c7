"""The hearings in the ledger: what each outcome rests on, kept beside it.

Knows the table `hearings`; not what a hearing says (`verdict`), nor how it is packed
(`jobs.packing`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from attrs import evolve

from twisted_probe.jobs.codec import encode
from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.packing import DamagedHearing, packed, unpacked
from twisted_probe.vocabulary.hearing import Hearing
from twisted_probe.vocabulary.outcome import Outcome


class Hearings:
    """The hearings in `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        # Those of which some outcomes were kept and others may come: recipients of one attempt
        # are not all final, nor all of one job.
        self._numbers: WeakKeyDictionary[Hearing, int] = WeakKeyDictionary()

    def hearing(self, number: int) -> Hearing | None:
        """The hearing of this number, None where it was purged, or is damaged."""
        found = self._database.execute(
            "SELECT content FROM hearings WHERE id = ?", (number,)
        ).fetchone()
        if found is None:
            return None
        try:
            return unpacked(found[0])
        except DamagedHearing:
            return None

    def _encoded(self, outcome: Outcome) -> str:
        """`outcome` as it is kept; what it rests on is kept in the same transaction."""
        hearing = outcome.hearing
        if hearing is None:
            return encode(outcome)
        number = self._numbers.get(hearing)
        if number is None:
            cursor = self._database.execute(
                "INSERT INTO hearings (kept_at, content) VALUES (?, ?)",
                (outcome.checked_at, packed(hearing)),
            )
            number = cursor.lastrowid
            assert number is not None
            self._numbers[hearing] = number
        retry = outcome.retry
        return encode(
            evolve(
                outcome,
                evidence=number,
                retry=None if retry is None else evolve(retry, evidence=number),
            )
        )

    def keep_again(self) -> None:
        """What was kept may be lost, as its transaction was given up: numbers that were given
        may be given to others."""
        self._numbers.clear()

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        """A transaction that keeps outcomes. Whoever gives up one round it calls `keep_again`."""
        try:
            with transaction(self._database):
                yield
        except BaseException:
            self.keep_again()
            raise
