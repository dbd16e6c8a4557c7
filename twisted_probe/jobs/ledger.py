"""The ledger: jobs, from a claimed file to the lines of its results, in SQLite.

Knows the tables and how far a job is; not the clock, not the spool, not threads: all methods
belong to one thread at a time, and each has committed when it returns.
"""

from __future__ import annotations

import os
from enum import Enum
from types import NoneType

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from twisted_probe.jobs.auditing import flaw
from twisted_probe.jobs.database import (
    DamagedLedger,
    LedgerError,
    opened,
    opened_to_read,
    transaction,
)
from twisted_probe.jobs.erasing import Erasing
from twisted_probe.jobs.formats import Format
from twisted_probe.jobs.job_file import SAYS_NOTHING, JobFile
from twisted_probe.jobs.job_file import decode as decode_job_file
from twisted_probe.jobs.names import fitted, printable
from twisted_probe.jobs.reading import Reading
from twisted_probe.jobs.remembering import Remembering
from twisted_probe.jobs.rule_hits import RuleHits
from twisted_probe.jobs.switches import Switches
from twisted_probe.jobs.timekeeping import Timekeeping
from twisted_probe.jobs.writer import Run, Writer
from twisted_probe.vocabulary.outcome import Reason, Verdict

__all__ = ["Job", "Ledger", "LedgerError", "Progress", "State"]

#: Recipients counted whose time has come and that are not taken yet; with more of them the
#: figures still call some waiting.
MAX_OVERDUE = 20_000


class State(str, Enum):
    """How far a job is."""

    #: Its file is in active/, nothing of it was read.
    CLAIMED = "claimed"
    #: Part of it was read; after a restart that begins again.
    IMPORTING = "importing"
    #: Its recipients are asked.
    OPEN = "open"
    #: Its results are written, the original is not moved yet.
    FINISHED = "finished"
    #: All of it is in done/.
    DONE = "done"
    #: It could not be read, and is in failed/.
    FAILED = "failed"


#: The states in which a job's file is in active/.
ALIVE = (State.CLAIMED, State.IMPORTING, State.OPEN, State.FINISHED)


@frozen
class Job:
    """One job. Times are POSIX seconds.

    `name` is the file's in active/, `done_name` the one it gets in done/. `lines` counts the
    lines that are answered, `invalid` those of them that name no mailbox, `recipients` the
    distinct mailboxes in the others, `settled` the recipients that have their final outcome.
    `digest` is the file's, None while it is not read to its end.
    `paused_at` and `cancelled_at` say since when it is (`jobs.switches`), None that it is not;
    `says` is what the job says for itself.
    """

    id: int
    name: bytes
    format: Format
    state: State
    received_at: float
    deadline: float
    lines: int
    invalid: int
    recipients: int
    settled: int
    digest: bytes | None
    done_name: bytes | None
    finished_at: float | None
    paused_at: float | None = None
    cancelled_at: float | None = None
    says: JobFile = SAYS_NOTHING

    @property
    def name_at_last(self) -> bytes:
        """The name in done/, once it is known; else the one in active/, which failed/ has too."""
        return self.name if self.done_name is None else self.done_name

    @property
    def title(self) -> str:
        """That name, safe to print."""
        return printable(self.name_at_last)


def _check_row(job: Job) -> None:
    """Raises TypeError when a job has no numbers where they belong."""
    counts = (job.lines, job.invalid, job.recipients, job.settled)
    times = (job.received_at, job.deadline, job.finished_at, job.paused_at, job.cancelled_at)
    is_job = (
        all(type(count) is int for count in counts)
        and all(type(time) in (float, NoneType) for time in times)
        and type(job.name) is bytes
        and type(job.done_name) in (bytes, NoneType)
        and type(job.digest) in (bytes, NoneType)
    )
    if not is_job:
        raise TypeError("no job")


@frozen
class Progress:
    """How far the recipients of one job are.

    `pending` may be handed out now, `out` are with the engine, `waiting` come later, the first of
    them at `earliest`. `settled` counts by reason, the lines that are no address among them.
    """

    job: Job
    pending: int
    out: int
    waiting: int
    earliest: float | None
    settled: dict[Reason, int]


class Ledger(Erasing, Switches, Reading, Remembering, RuleHits, Timekeeping):
    """The ledger in the SQLite file `path`, made where there is none.

    With `read_only` nothing is made or changed, and another process may use it meanwhile.

    Raises LedgerError when the file cannot be used: DamagedLedger, NewerLedger, or another; to be
    read, also when it is not there or belongs to an older version.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.path = os.path.abspath(path)
        database = opened_to_read(path) if read_only else opened(path)
        super().__init__(database, os.path.dirname(self.path))

    def writer(self, run: Run, clock: IReactorTime) -> Writer:
        """Makes calls of this ledger through `run`, many in one transaction, and tells of them in
        the turns of `clock`."""
        return Writer(self._database, run, clock, self.undone)

    def undone(self) -> None:
        """What was done last is not in the file: what is known in memory of it is forgotten."""
        self.walk_again()
        self.keep_again()

    def close(self) -> None:
        """Close the file. What is out is open again for whoever opens it next."""
        self.end_imports()
        self._database.close()

    # -- what a start has to see

    def flaws(self) -> list[tuple[Job, str]]:
        """The open jobs of which something is not what it was, and what that is, in words. All
        that there is of them is read once.

        Raises DamagedLedger when it cannot even be told what there is.
        """
        try:
            jobs = self.jobs(*State)
            for job in jobs:
                _check_row(job)
                self._tallies(job.id)
        except (ValueError, KeyError, TypeError) as error:
            words = f"the row of a job is damaged: {type(error).__name__}"
            raise DamagedLedger(f"the ledger {self.path}: {words}") from error
        found = [(job, flaw(self._database, job.id)) for job in jobs if job.state is State.OPEN]
        return [(job, why) for job, why in found if why]

    # -- jobs

    def add_job(
        self,
        name: bytes,
        kind: Format,
        received_at: float,
        deadline: float,
        says: JobFile = SAYS_NOTHING,
    ) -> int:
        """Note a claimed file, and what it says for itself; returns the job's number.

        Raises sqlite3.IntegrityError when a job of this name is not over yet.
        """
        with transaction(self._database) as database:
            database.execute(
                "INSERT INTO jobs (name, format, state, received_at, deadline, options)"
                " VALUES (?, ?, 'claimed', ?, ?, ?)",
                (name, kind.value, received_at, deadline, says.encode()),
            )
            number: int = database.execute("SELECT last_insert_rowid()").fetchone()[0]
        return number

    def add_answered(self, name: bytes, kind: Format, now: float) -> None:
        """Note a claimed file whose results are written already, as a ledger that was lost has
        known; how many lines it has is not known any more."""
        with transaction(self._database) as database:
            database.execute(
                "INSERT INTO jobs"
                " (name, format, state, received_at, deadline, done_name, finished_at)"
                " VALUES (?, ?, 'finished', ?, ?, ?, ?)",
                (name, kind.value, now, now, name, now),
            )

    def job(self, job: int) -> Job:
        """One job. Raises KeyError when there is none of this number."""
        for found in self._jobs("id = ?", job):
            return found
        raise KeyError(job)

    def jobs(self, *states: State) -> list[Job]:
        """The jobs in these states, the oldest first."""
        marks = ", ".join("?" * len(states))
        return self._jobs(f"state IN ({marks})", *(state.value for state in states))

    def find(self, name: bytes) -> Job | None:
        """The job of this name, in active/ or done/: the one that is not over, else the last."""
        # A name that is too long for what is derived of it was cut by the spool.
        found = self._named(name) or self._named(fitted(name))
        return max(found, key=lambda job: (job.state in ALIVE, job.id), default=None)

    def called(self, name: bytes) -> list[Job]:
        """The jobs that are called so (`Job.title`), the oldest first: several, where the files of
        the first are gone from done/. Where there is none, the one that `find` finds."""
        found = self._jobs("done_name = ? OR (done_name IS NULL AND name = ?)", name, name)
        other = self.find(name) if not found else None
        return found if other is None else [other]

    def jobs_of(self, key: tuple[str, str], limit: int) -> list[Job]:
        """The last `limit` jobs that have this recipient (`Address.key`), the newest first."""
        return self._jobs(
            "id IN (SELECT jobs.id FROM jobs JOIN recipients ON job = jobs.id"
            " WHERE domain = ? AND local = ? ORDER BY jobs.id DESC LIMIT ?)",
            *(*key, limit),
        )[::-1]

    def latest(self, limit: int) -> list[Job]:
        """The last `limit` jobs that came, the newest first, whatever their state."""
        return self._jobs("id > (SELECT max(id) FROM jobs) - ?", limit)[::-1]

    def finished_jobs(self) -> list[Job]:
        """The jobs of which nothing is left to ask, and that are not all in done/ yet."""
        return self._jobs("(state = 'open' AND settled = recipients) OR state = 'finished'")

    def begin_results(self, job: int, done_name: bytes, now: float) -> Job:
        """Fix how the job is called in done/ and when it ended; what is fixed already stays."""
        with transaction(self._database) as database:
            database.execute(
                "UPDATE jobs SET done_name = coalesce(done_name, ?), finished_at = ?"
                " WHERE id = ? AND state = 'open' AND finished_at IS NULL",
                (done_name, now, job),
            )
        return self.job(job)

    def mark_finished(self, job: int) -> None:
        """The results are written."""
        self._move(job, State.FINISHED, State.OPEN)

    def mark_done(self, job: int) -> None:
        """The original is in done/ too."""
        self._move(job, State.DONE, State.FINISHED)
        self._forget(job)

    def mark_failed(self, job: int) -> None:
        """The file is in failed/; its recipients are dropped."""
        with transaction(self._database):
            if self._move_inside(job, State.FAILED, *ALIVE):
                self._drop(job)

    def _named(self, name: bytes) -> list[Job]:
        return self._jobs("name = ? OR done_name = ?", name, name)

    def _jobs(self, condition: str, *values: object) -> list[Job]:
        rows = self._database.execute(
            "SELECT id, name, format, state, received_at, deadline, lines, invalid, recipients,"  # noqa: S608 - ours
            " settled, digest, done_name, finished_at, paused_at, cancelled_at, options"
            f" FROM jobs WHERE {condition} ORDER BY id",
            values,
        ).fetchall()
        return [
            Job(number, name, Format(kind), State(state), *(*rest, decode_job_file(says)))
            for number, name, kind, state, *rest, says in rows
        ]

    def _move(self, job: int, state: State, *before: State) -> None:
        with transaction(self._database):
            self._move_inside(job, state, *before)

    def _move_inside(self, job: int, state: State, *before: State) -> bool:
        """Move a job on, within a transaction; whether it was in one of the states `before`."""
        marks = ", ".join("?" * len(before))
        cursor = self._database.execute(
            f"UPDATE jobs SET state = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608
            (state.value, job, *(one.value for one in before)),
        )
        return cursor.rowcount == 1

    # -- what is known of a job

    def verdicts(self, job: int) -> dict[str, int]:
        """How many recipients of a job, and lines that name none, ended in which verdict."""
        verdicts = dict.fromkeys((verdict.value for verdict in Verdict), 0)
        for reason, number in self._tallies(job).items():
            verdicts[reason.verdict.value] += number
        return verdicts

    def progress(self, now: float) -> list[Progress]:
        """How far each job is that is not over."""
        return [self.progress_of(job, now) for job in self.jobs(*ALIVE)]

    def progress_of(self, job: Job, now: float) -> Progress:
        """How far one job is."""
        waiting = self._database.execute(
            "SELECT waiting - (SELECT count(*) FROM (SELECT 1 FROM recipients"
            "  WHERE job = jobs.id AND due IS NOT NULL AND due <= ? LIMIT ?))"
            " FROM jobs WHERE id = ?",
            (now, MAX_OVERDUE, job.id),
        ).fetchone()[0]
        earliest = self._database.execute(
            "SELECT min(due) FROM recipients WHERE job = ? AND due IS NOT NULL AND due > ?",
            (job.id, now),
        ).fetchone()[0]
        out = sum(number for (owner, _), number in self._out_of.items() if owner == job.id)
        pending = max(0, job.recipients - job.settled - out - waiting)
        return Progress(job, pending, out, waiting, earliest, self._tallies(job.id))

    def _tallies(self, job: int) -> dict[Reason, int]:
        rows = self._database.execute("SELECT reason, number FROM tallies WHERE job = ?", (job,))
        return {Reason(reason): number for reason, number in rows}
