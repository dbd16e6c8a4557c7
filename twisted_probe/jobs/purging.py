"""What the ledger lets go of by its age, and the room that it gives back.

Knows what is too old and in which pieces it is dropped; not when (`jobs.housekeeping`), nor what
erases one address before its time (`jobs.forgetting`).
"""

from __future__ import annotations

from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.importing import Importing

#: Seconds that jobs which are over, and evidence, are kept.
KEPT = 30 * 86400.0

#: Hearings dropped at once: of 16 KiB each, some 20 ms.
_HEARINGS = 200
#: Verdicts looked at, at once: some 10 ms.
_VERDICTS = 10_000
#: Pages given back at once: some 20 ms.
_PAGES = 500


class Purging(Importing):
    """The way out of `_database`. Every method has committed when it returns, and takes less than
    100 ms; those that return True have more to do."""

    _passed = ("", "")

    def purge_hearings(self, before: float) -> bool:
        """Drop what outcomes of an earlier time rest on."""
        with transaction(self._database) as database:
            cursor = database.execute(
                "DELETE FROM hearings WHERE id IN"
                " (SELECT id FROM hearings WHERE kept_at < ? ORDER BY kept_at LIMIT ?)",
                (before, _HEARINGS),
            )
        return cursor.rowcount == _HEARINGS

    def purge_jobs(self, before: float) -> bool:
        """Drop jobs that were over at an earlier time."""
        found = self._database.execute(
            "SELECT id FROM jobs WHERE state IN ('done', 'failed')"
            " AND coalesce(finished_at, received_at) < ? ORDER BY id LIMIT 1",
            (before,),
        ).fetchone()
        if found is None:
            return False
        (job,) = found
        if not self.clear(job):
            with transaction(self._database) as database:
                database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        return True

    def purge_verdicts(self, before: float) -> bool:
        """Drop what was learned of mailboxes at an earlier time."""
        last = self._database.execute(
            "SELECT domain, local FROM verdicts WHERE (domain, local) > (?, ?)"
            " ORDER BY domain, local LIMIT 1 OFFSET ?",
            (*self._passed, _VERDICTS),
        ).fetchone()
        end = "" if last is None else " AND (domain, local) <= (?, ?)"
        with transaction(self._database) as database:
            database.execute(
                "DELETE FROM verdicts WHERE (domain, local) > (?, ?)"  # noqa: S608 - ours
                f" AND checked_at < ?{end}",
                (*self._passed, before, *(last or ())),
            )
        self._passed = ("", "") if last is None else last
        return last is not None

    def reclaim(self) -> bool:
        """Give free pages back to the file system."""
        # As a script: of a statement without columns Python makes no more than the first step.
        self._database.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
        free: int = self._database.execute("PRAGMA freelist_count").fetchone()[0]
        return free > 0
