"""The ledger: jobs, from a claimed file to the lines of its results, in SQLite.

Knows the tables and how far a job is; not the clock, not the spool, not threads: all methods
belong to one thread at a time, and each has committed when it returns.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from itertools import islice

from attrs import frozen

from twisted_probe.jobs.codec import decode, encode
from twisted_probe.jobs.database import LedgerError, opened, opened_to_read, transaction
from twisted_probe.jobs.formats import Format, Row
from twisted_probe.jobs.job_file import SAYS_NOTHING, JobFile
from twisted_probe.jobs.job_file import decode as decode_job_file
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.reading import Reading
from twisted_probe.jobs.recipients import BATCH, Recipients, spelt
from twisted_probe.jobs.switches import Switches
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict

__all__ = ["Job", "Ledger", "LedgerError", "Progress", "State"]

#: Lines read from the ledger at once while results are written.
PAGE = 1000


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
    def title(self) -> str:
        """The name, safe to print: the one in done/ once it is known."""
        return printable(self.name if self.done_name is None else self.done_name)


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


class Ledger(Recipients, Switches, Reading):
    """The ledger in the SQLite file `path`, made where there is none.

    With `read_only` nothing is made or changed, and another process may use it meanwhile.

    Raises LedgerError when the file is no database, is damaged, or belongs to a newer version;
    to be read, also when it is not there or belongs to an older one.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        super().__init__(opened_to_read(path) if read_only else opened(path))

    def close(self) -> None:
        """Close the file. What is out is open again for whoever opens it next."""
        self._database.close()

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
        found = self._jobs("name = ? OR done_name = ?", name, name)
        return max(found, key=lambda job: (job.state in ALIVE, job.id), default=None)

    def jobs_of(self, key: tuple[str, str], limit: int) -> list[Job]:
        """The last `limit` jobs that have this recipient (`Address.key`), the newest first."""
        return self._jobs(
            "id IN (SELECT jobs.id FROM jobs JOIN recipients ON job = jobs.id"
            " WHERE domain = ? AND local = ? ORDER BY jobs.id DESC LIMIT ?)",
            *(*key, limit),
        )[::-1]

    def standing(self, job: int, key: tuple[str, str]) -> tuple[int, Outcome | None]:
        """Where a recipient stands first in a job, and its last outcome, final or not.

        Raises KeyError when the job has no such recipient.
        """
        found = self._database.execute(
            "SELECT line, settled, outcome FROM recipients"
            " WHERE job = ? AND domain = ? AND local = ?",
            (job, *key),
        ).fetchone()
        if found is None:
            raise KeyError(key)
        line, settled, outcome = found
        if settled:
            (last,) = self.page(job, self.job(job).title, after=line - 1, limit=1).outcomes
            return line, last
        return line, None if outcome is None else decode(outcome, line=line)

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
                "UPDATE jobs SET done_name = ?, finished_at = ?"
                " WHERE id = ? AND state = 'open' AND done_name IS NULL",
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

    # -- reading a job file

    def begin_import(self, job: int) -> None:
        """Begin to read a job, or begin again: what an earlier try left is dropped."""
        with transaction(self._database):
            if self._move_inside(job, State.IMPORTING, State.CLAIMED, State.IMPORTING):
                self._drop(job)

    def import_rows(
        self, job: int, rows: Iterator[Row | None], now: float, limit: int = BATCH
    ) -> bool:
        """Take in at most `limit` of `rows`, or those before the next None; whether there may be
        more.

        A row that is no address is settled here and now. The spellings of one mailbox share one
        recipient, whose token is the line of the first.
        """
        lines: list[tuple[int, int, str | None, str | None, str | None, str | None]] = []
        recipients: list[tuple[int, str, str, int, str | None]] = []
        paused = False
        for row in islice(rows, limit):
            if row is None:
                paused = True
                break
            try:
                address = _address(row)
            except AddressError as error:
                outcome = encode(_invalid(row, str(error), now))
                lines.append((job, row.line, None, None, None, outcome))
            else:
                domain, local = address.key
                spelling = None if address.text == spelt(domain, local, None) else address.text
                lines.append((job, row.line, domain, local, spelling, None))
                recipients.append((job, domain, local, row.line, spelling))
        invalid = len(lines) - len(recipients)
        with transaction(self._database) as database:
            database.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", lines)
            before = database.total_changes
            database.executemany(
                "INSERT INTO recipients (job, domain, local, line, spelling)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                recipients,
            )
            database.execute(
                "UPDATE jobs SET lines = lines + ?, invalid = invalid + ?,"
                " recipients = recipients + ? WHERE id = ?",
                (len(lines), invalid, database.total_changes - before, job),
            )
            self._tally(job, Counter({Reason.INVALID_ADDRESS: invalid}))
        return paused or len(lines) == limit

    def open_job(self, job: int, digest: bytes) -> None:
        """The whole file, of this digest, was read: its recipients may be handed out."""
        with transaction(self._database) as database:
            database.execute(
                "UPDATE jobs SET state = 'open', digest = ? WHERE id = ? AND state = 'importing'",
                (digest, job),
            )

    def _drop(self, job: int) -> None:
        """Drop all that was read of a job."""
        for table in ("lines", "recipients", "tallies"):
            self._database.execute(f"DELETE FROM {table} WHERE job = ?", (job,))  # noqa: S608
        self._database.execute(
            "UPDATE jobs SET lines = 0, invalid = 0, recipients = 0, settled = 0 WHERE id = ?",
            (job,),
        )
        self._forget(job)

    # -- what is known of a job

    def outcomes(self, job: int) -> Iterator[Outcome]:
        """The final outcomes of a job's lines, in the order of the lines.

        Each has the line, the job, and the address as that line spells it. Read by and by: other
        methods may be called meanwhile.
        """
        title = self.job(job).title
        line = 0
        while page := self._database.execute(
            "SELECT lines.line, domain, local, lines.spelling,"
            " coalesce(lines.outcome, recipients.outcome), coalesce(settled, 1)"
            " FROM lines LEFT JOIN recipients USING (job, domain, local)"
            " WHERE lines.job = ? AND lines.line > ? ORDER BY lines.line LIMIT ?",
            (job, line, PAGE),
        ).fetchall():
            for line, domain, local, spelling, text, settled in page:
                if settled:
                    spelt_here = (
                        {} if domain is None else {"address": spelt(domain, local, spelling)}
                    )
                    yield decode(text, line=line, job=title, **spelt_here)

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
        waiting, earliest = self._database.execute(
            "SELECT count(*), min(due) FROM recipients"
            " WHERE job = ? AND due IS NOT NULL AND due > ?",
            (job.id, now),
        ).fetchone()
        out = sum(number for (owner, _), number in self._out_of.items() if owner == job.id)
        pending = max(0, job.recipients - job.settled - out - waiting)
        return Progress(job, pending, out, waiting, earliest, self._tallies(job.id))

    def _tallies(self, job: int) -> dict[Reason, int]:
        rows = self._database.execute("SELECT reason, number FROM tallies WHERE job = ?", (job,))
        return {Reason(reason): number for reason, number in rows}


def _address(row: Row) -> Address:
    if row.problem is not None:
        raise AddressError(row.problem)
    return parse_entry(row.text)


def _invalid(row: Row, problem: str, now: float) -> Outcome:
    return Outcome(
        address=escaped(row.text.strip()),
        reason=Reason.INVALID_ADDRESS,
        text=problem,
        checked_at=now,
    )
