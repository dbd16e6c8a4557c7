"""Where final outcomes are put down, and counted.

Knows the tables `outcomes` and `tallies` and the order in which a job's recipients are settled;
not who settles them (`jobs.recipients`), nor who reads them (`jobs.reading`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable

from twisted_probe.jobs.codec import encode
from twisted_probe.jobs.reading import BUCKET
from twisted_probe.vocabulary.outcome import Outcome, Reason

#: What is settled: a job, the recipient's key and line, and how it ended.
End = tuple[int, str, str, int, Outcome]


class Settling:
    """The outcomes in `database`. Every method is called within a transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def _settle(self, ends: Iterable[End]) -> None:
        """Keep these outcomes, where there is none yet: each at its place in the order."""
        tallies: defaultdict[int, Counter[Reason]] = defaultdict(Counter)
        places: dict[int, int] = {}
        kept: list[tuple[int, int, int, int, str]] = []
        for job, domain, local, line, outcome in ends:
            if job not in places:
                row = self._database.execute("SELECT settled FROM jobs WHERE id = ?", (job,))
                places[job] = next(row, (0,))[0]
            place = places[job] + 1
            cursor = self._database.execute(
                "UPDATE recipients SET settled = ?, due = NULL, outcome = NULL"
                " WHERE job = ? AND domain = ? AND local = ? AND line = ? AND settled = 0",
                (place, job, domain, local, line),
            )
            if cursor.rowcount:
                kept.append((job, line // BUCKET, place, line, encode(outcome)))
                places[job] = place
                tallies[job][outcome.reason] += 1
        self._database.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", sorted(kept))
        for job, reasons in tallies.items():
            self._tally(job, reasons)
            self._database.execute("UPDATE jobs SET settled = ? WHERE id = ?", (places[job], job))

    def _tally(self, job: int, reasons: Counter[Reason]) -> None:
        self._database.executemany(
            "INSERT INTO tallies (job, reason, number) VALUES (?, ?, ?)"
            " ON CONFLICT (job, reason) DO UPDATE SET number = number + excluded.number",
            [(job, reason.value, number) for reason, number in reasons.items() if number],
        )
