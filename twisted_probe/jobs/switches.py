"""What an operator has switched off or called off, in the ledger.

Knows the table `pauses` and two columns of `jobs`; not what a pause means to a session
(`routing.pauses`), nor who pauses (`daemon.switchboard`).
"""

from __future__ import annotations

import sqlite3
from enum import Enum

from attrs import frozen

from twisted_probe.jobs.database import transaction

#: The states in which a job may have something left to ask.
_BEFORE_THE_END = ("claimed", "importing", "open")


class Kind(str, Enum):
    """What can be paused beside a job."""

    DAEMON = "daemon"
    SITE = "site"
    SOURCE = "source"


@frozen
class Pause:
    """One pause: of a site (its name, or one of its exchangers'), of a source (its address), or
    of the whole daemon (no name); `since` in POSIX seconds."""

    kind: Kind
    name: str
    since: float


class JobIsOver(Exception):
    """The job has nothing left that could be paused or cancelled. The message says how far it
    is; its results lie in done/, or will in a moment."""


class Switches:
    """The switches in `_database`. Every method has committed when it returns."""

    _database: sqlite3.Connection

    def pauses(self) -> list[Pause]:
        """All pauses but those of jobs, the oldest first."""
        rows = self._database.execute("SELECT kind, name, since FROM pauses ORDER BY since, name")
        return [Pause(Kind(kind), name, since) for kind, name, since in rows.fetchall()]

    def pause(self, kind: Kind, name: str, now: float) -> bool:
        """Note a pause; whether it is a new one."""
        with transaction(self._database) as database:
            cursor = database.execute(
                "INSERT INTO pauses (kind, name, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (kind.value, name, now),
            )
        return cursor.rowcount == 1

    def resume(self, kind: Kind, name: str) -> bool:
        """End a pause; whether there was one."""
        with transaction(self._database) as database:
            cursor = database.execute(
                "DELETE FROM pauses WHERE kind = ? AND name = ?", (kind.value, name)
            )
        return cursor.rowcount == 1

    def pause_job(self, job: int, now: float) -> bool:
        """Hand out nothing of a job, which must not be over; whether it was not paused before.

        Its deadline still counts. Raises JobIsOver.
        """
        return self._switch(job, "paused_at = ?", "paused_at IS NULL", now)

    def resume_job(self, job: int) -> bool:
        """Hand out a job's recipients again; whether it was paused. Raises JobIsOver."""
        return self._switch(job, "paused_at = NULL", "paused_at IS NOT NULL")

    def cancel_job(self, job: int, now: float) -> bool:
        """Call a job off, for good: `Recipients.expire` ends what is open of it. Whether it was
        not cancelled before. Raises JobIsOver."""
        return self._switch(job, "cancelled_at = ?", "cancelled_at IS NULL", now)

    def _switch(self, job: int, change: str, condition: str, *values: float) -> bool:
        with transaction(self._database) as database:
            state, left, has_ended = database.execute(
                "SELECT state, recipients - settled, finished_at IS NOT NULL FROM jobs"
                " WHERE id = ?",
                (job,),
            ).fetchone()
            if state not in _BEFORE_THE_END:
                raise JobIsOver("it failed" if state == "failed" else "it is done")
            if has_ended or (state == "open" and not left):
                raise JobIsOver("all of it is settled; its results are being written")
            cursor = database.execute(
                f"UPDATE jobs SET {change} WHERE id = ? AND {condition}",  # noqa: S608 - ours
                (*values, job),
            )
        return cursor.rowcount == 1
