"""The times in the ledger that are waited for, and a clock that was set since they were written.

Knows which these are, and how far they have to be moved; not the clock.
"""

from __future__ import annotations

import sqlite3

from twisted_probe.jobs.database import transaction

#: Seconds by which two readings of one clock may differ.
EXACT = 1.0


class Timekeeping:
    """The times in `_database`."""

    _database: sqlite3.Connection

    def keep_time(self, boot: str, zero: float) -> float:
        """Tell times by a clock by which the start `boot` of the machine was at `zero`, POSIX
        seconds. Returns by how many seconds all that is waited for was moved: where the machine
        runs on, and its clock was set since the last process told the time."""
        with transaction(self._database) as database:
            row = database.execute("SELECT boot, zero FROM clock").fetchone()
            is_same = row is not None and boot and row[0] == boot
            by: float = zero - row[1] if is_same else 0.0
            if is_same and abs(by) < EXACT:
                return 0.0
            self._shift(by)
            database.execute("DELETE FROM clock")
            database.execute("INSERT INTO clock VALUES (?, ?)", (boot, zero))
        return by

    def _shift(self, by: float) -> None:
        self._database.execute(
            "UPDATE jobs SET received_at = received_at + ?1, deadline = deadline + ?1"
            " WHERE state NOT IN ('done', 'failed')",
            (by,),
        )
        self._database.execute(
            "UPDATE recipients SET due = due + ? WHERE due IS NOT NULL"
            " AND job IN (SELECT id FROM jobs WHERE state = 'open')",
            (by,),
        )
        self._database.execute("UPDATE benches SET until = until + ?", (by,))
        self._database.execute(
            "UPDATE pressures SET at = at + ?1, rests_until = rests_until + ?1, until = until + ?1",
            (by,),
        )

    def mend_clock(self, now: float) -> None:
        """Undo what a clock that was set back while the machine was off does to waiting: no job
        came in the future, and nobody waits longer than they were told to."""
        with transaction(self._database):
            self._database.execute(
                "UPDATE jobs SET deadline = ?1 + deadline - received_at, received_at = ?1"
                " WHERE received_at > ?1 AND state NOT IN ('done', 'failed')",
                (now,),
            )
            wait = (
                "json_extract(outcome, '$.next_attempt_at') - json_extract(outcome, '$.checked_at')"
            )
            self._database.execute(
                f"UPDATE recipients SET due = ?1 + {wait} WHERE due > ?1 + {wait}"  # noqa: S608 - ours
                " AND job IN (SELECT id FROM jobs WHERE state = 'open')",
                (now,),
            )
