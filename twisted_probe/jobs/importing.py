"""How the lines of a job come into the ledger.

Knows which of them name a mailbox, and that mailboxes are put down in the order of their domains;
not how a file is read (`jobs.formats`), nor what becomes of its recipients (`jobs.recipients`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from twisted_probe.jobs.codec import encode
from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.formats import Row
from twisted_probe.jobs.reading import BUCKET
from twisted_probe.jobs.recipients import BATCH, Recipients, spelt
from twisted_probe.jobs.sorting import Sorter
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.outcome import Outcome, Reason

#: What a job has most rows of, and the key of each beside the job.
_TABLES = {
    "outcomes": "bucket, place, line",
    "repeats": "bucket, domain, local, line",
    "recipients": "domain, local",
    "invalid": "line",
}


class _Import:
    """One job while it is read: its mailboxes, and the last that was put down."""

    def __init__(self, directory: str) -> None:
        self.sorter = Sorter(directory)
        self.is_read = False
        self.last = ("", "")


class Importing(Recipients):
    """The way into `database`; what has no room in memory meanwhile goes to `directory`."""

    def __init__(self, database: sqlite3.Connection, directory: str) -> None:
        super().__init__(database)
        self._directory = directory
        self._imports: dict[int, _Import] = {}

    def begin_import(self, job: int) -> None:
        """Begin to read a job, or begin again: what an earlier try left is dropped."""
        with transaction(self._database) as database:
            cursor = database.execute(
                "UPDATE jobs SET state = 'importing'"
                " WHERE id = ? AND state IN ('claimed', 'importing')",
                (job,),
            )
            if cursor.rowcount:
                self._drop(job)

    def begin_again(self, job: int, now: float) -> None:
        """Let an open job be read and asked anew, as if it had come now: what is kept of it is
        damaged. Its name in done/, if it has one, stays."""
        with transaction(self._database) as database:
            database.execute(
                "UPDATE jobs SET state = 'claimed', digest = NULL, finished_at = NULL,"
                " deadline = ?1 + deadline - received_at, received_at = ?1"
                " WHERE id = ?2 AND state = 'open'",
                (now, job),
            )
        self._forget(job)

    def clear(self, job: int, limit: int = BATCH) -> bool:
        """Drop some of what was read of a job that is about to begin again, or has failed;
        whether there is more. What it counts stays until `begin_import` or `mark_failed`."""
        with transaction(self._database) as database:
            for table, key in _TABLES.items():
                marks = ", ".join("?" * (key.count(",") + 1))
                last = database.execute(
                    f"SELECT {key} FROM {table} WHERE job = ? ORDER BY {key} LIMIT 1 OFFSET ?",  # noqa: S608 - ours
                    (job, limit),
                ).fetchone()
                if last is not None:
                    database.execute(
                        f"DELETE FROM {table} WHERE job = ? AND ({key}) < ({marks})",  # noqa: S608
                        (job, *last),
                    )
                    return True
        return False

    def import_rows(
        self, job: int, rows: Iterator[Row | None], now: float, limit: int = BATCH
    ) -> bool:
        """Take in at most `limit` of `rows`, or those before the next None; when there are no
        more, put some of them down. Whether there is more to do.

        A row that is no address is settled here and now. The spellings of one mailbox share one
        recipient, whose token is the line of the first.
        """
        if job not in self._imports:
            self._imports[job] = _Import(self._directory)
        importing = self._imports[job]
        if not importing.is_read:
            importing.is_read = self._read(job, importing, rows, now, limit)
        return not importing.is_read or self._put_down(job, importing)

    def open_job(self, job: int, digest: bytes | None) -> None:
        """The whole file, of this digest, was read: its recipients may be handed out. Without a
        digest the job was cancelled before that, and what was read is all that is answered."""
        with transaction(self._database) as database:
            database.execute(
                "UPDATE jobs SET state = 'open', digest = ? WHERE id = ? AND state = 'importing'",
                (digest, job),
            )
        self._end_import(job)

    def _read(
        self,
        job: int,
        importing: _Import,
        rows: Iterator[Row | None],
        now: float,
        limit: int,
    ) -> bool:
        """Whether that were the last."""
        invalid: list[tuple[int, int, str]] = []
        mailboxes: list[tuple[str, str, int, str | None]] = []
        is_paused = False
        for row in islice(rows, limit):
            if row is None:
                is_paused = True
                break
            try:
                address = _address(row)
            except AddressError as error:
                invalid.append((job, row.line, encode(_invalid(row, str(error), now))))
            else:
                domain, local = address.key
                spelling = None if address.text == spelt(domain, local, None) else address.text
                mailboxes.append((domain, local, row.line, spelling))
        importing.sorter.add(mailboxes)
        lines = len(invalid) + len(mailboxes)
        with transaction(self._database) as database:
            database.executemany("INSERT INTO invalid VALUES (?, ?, ?)", invalid)
            database.execute(
                "UPDATE jobs SET lines = lines + ?, invalid = invalid + ? WHERE id = ?",
                (lines, len(invalid), job),
            )
            self._tally(job, Counter({Reason.INVALID_ADDRESS: len(invalid)}))
        return not is_paused and lines < limit

    def _put_down(self, job: int, importing: _Import) -> bool:
        """Put the next mailboxes into their tables; whether there may be more."""
        recipients: list[tuple[int, str, str, int, str | None]] = []
        repeats: list[tuple[int, int, str, str, int, str | None]] = []
        last = importing.last
        number = 0
        for domain, local, line, spelling in islice(importing.sorter.sorted(), BATCH):
            number += 1
            if (domain, local) == last:
                repeats.append((job, line // BUCKET, domain, local, line, spelling))
            else:
                recipients.append((job, domain, local, line, spelling))
                last = domain, local
        with transaction(self._database) as database:
            database.executemany(
                "INSERT INTO recipients (job, domain, local, line, spelling)"
                " VALUES (?, ?, ?, ?, ?)",
                recipients,
            )
            database.executemany("INSERT INTO repeats VALUES (?, ?, ?, ?, ?, ?)", repeats)
            database.execute(
                "UPDATE jobs SET recipients = recipients + ? WHERE id = ?", (len(recipients), job)
            )
        importing.last = last
        return number == BATCH

    def _drop(self, job: int) -> None:
        """Drop all that was read of a job."""
        for table in (*_TABLES, "tallies"):
            self._database.execute(f"DELETE FROM {table} WHERE job = ?", (job,))  # noqa: S608
        self._database.execute(
            "UPDATE jobs SET lines = 0, invalid = 0, recipients = 0, settled = 0, waiting = 0"
            " WHERE id = ?",
            (job,),
        )
        self._forget(job)
        self._end_import(job)

    def end_imports(self) -> None:
        """Let go of what was read so far; whoever opens the ledger again begins again."""
        for job in list(self._imports):
            self._end_import(job)

    def _end_import(self, job: int) -> None:
        importing = self._imports.pop(job, None)
        if importing is not None:
            importing.sorter.close()


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
