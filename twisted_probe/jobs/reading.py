"""What is read of the ledger while jobs run, in pieces that keep nobody waiting.

Knows how the outcomes of a job are paged, by line and by the order in which they were settled;
not who reads them (`daemon.control`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from operator import itemgetter

from attrs import evolve, frozen

from twisted_probe.jobs.codec import decode
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.sealing import DamagedText
from twisted_probe.vocabulary.address import AddressError, parse_entry
from twisted_probe.vocabulary.outcome import Outcome

#: Lines whose outcomes lie together (schema 0004 has the number too): some 100 ms of reading in the
#: ledger's thread. Of more, and smaller, a commit touches more pages than it fills.
BUCKET = 65536
#: Outcomes of one page: some 20 ms of reading.
MAX_PAGE = 1000
#: Buckets looked at for one page, be anything in them or not.
MAX_LOOK = 2

#: The place in the order of settlement before all places: lines that name no mailbox are settled
#: when they are read and have place 0.
BEFORE_ALL = -1


@frozen
class Page:
    """Some final outcomes of one job, in the order of their lines.

    `after` is the line after which the next page begins, None at the end of the job. `settled`
    is how many recipients of the job were settled when the page was read, which is the place of
    the last one.
    """

    outcomes: list[Outcome]
    after: int | None
    settled: int


#: A line, its address where that is another than the outcome's, and the outcome.
_Line = tuple[int, str | None, str]


class Reading:
    """The readers' view of `_database`."""

    _database: sqlite3.Connection

    def page(
        self,
        job: int,
        title: str,
        *,
        after: int = 0,
        limit: int = MAX_PAGE,
        since: int = BEFORE_ALL,
        until: int | None = None,
    ) -> Page:
        """The next outcomes of a job behind the line `after`, at most `limit` of them.

        With `since` and `until`, those only whose place in the order of settlement is beyond the
        first and not beyond the second: whoever reads a job again and again so reads each line
        once. A page may be empty and not be the last. Raises DamagedText.
        """
        settled: int = self._database.execute(
            "SELECT settled FROM jobs WHERE id = ?", (job,)
        ).fetchone()[0]
        last = settled if until is None else until
        outcomes: list[Outcome] = []
        first = (after + 1) // BUCKET
        end = self._last_bucket(job)
        for bucket in range(first, min(first + MAX_LOOK, end + 1)):
            left = limit - len(outcomes)
            for row in self._bucket(job, bucket, after, since, last, left):
                outcomes.append(_decoded(row, title))
                after = row[0]
            if len(outcomes) == limit:
                return Page(outcomes, after, settled)
            after = max(after, (bucket + 1) * BUCKET - 1)
        return Page(outcomes, None if first + MAX_LOOK > end else after, settled)

    def outcomes(self, job: int) -> Iterator[Outcome]:
        """The final outcomes of a job's lines, in the order of the lines.

        Each has the line, the job, and the address as that line spells it. Read by and by: other
        methods may be called meanwhile. Raises DamagedText at one that is not what was kept.
        """
        title, settled = self._database.execute(
            "SELECT coalesce(done_name, name), settled FROM jobs WHERE id = ?", (job,)
        ).fetchone()
        for bucket in range(self._last_bucket(job) + 1):
            for row in self._bucket(job, bucket, 0, BEFORE_ALL, settled):
                yield _decoded(row, printable(title))

    def standing(self, job: int, key: tuple[str, str]) -> tuple[int, Outcome | None]:
        """Where a recipient (`Address.key`) stands first in a job, and its last outcome, final or
        not.

        Raises KeyError when the job has no such recipient.
        """
        found = self._database.execute(
            "SELECT recipients.line, coalesce(outcomes.outcome, recipients.outcome)"
            " FROM recipients LEFT JOIN outcomes ON outcomes.job = recipients.job"
            "  AND bucket = recipients.line / ? AND place = settled"
            "  AND outcomes.line = recipients.line"
            " WHERE recipients.job = ? AND domain = ? AND local = ?",
            (BUCKET, job, *key),
        ).fetchone()
        if found is None:
            # Not whom: an error may be logged.
            raise KeyError(job)
        line, outcome = found
        return line, None if outcome is None else decode(outcome, line=line)

    def _last_bucket(self, job: int) -> int:
        found: int = self._database.execute(
            "SELECT max("
            " coalesce((SELECT max(bucket) FROM outcomes WHERE job = ?1), 0),"
            " coalesce((SELECT max(line) FROM invalid WHERE job = ?1), 0) / ?2,"
            " coalesce((SELECT max(bucket) FROM repeats WHERE job = ?1), 0))",
            (job, BUCKET),
        ).fetchone()[0]
        return found

    def _bucket(
        self,
        job: int,
        bucket: int,
        after: int,
        since: int,
        until: int,
        limit: int | None = None,
    ) -> list[_Line]:
        """The lines of one bucket behind the line `after` that have an outcome, of a place beyond
        `since` and not beyond `until`, in order; the first `limit` of them, or all.

        All of them are sorted here: of a query with a limit SQLite keeps the rows in a tree, which
        costs three times what reading them does.
        """
        first_ones = "" if limit is None else " ORDER BY line LIMIT :limit"
        rows: list[_Line] = self._database.execute(
            "SELECT line, NULL AS address, outcome FROM outcomes"  # noqa: S608 - ours
            "  WHERE job = :job AND bucket = :bucket AND place > :since AND place <= :until"
            "  AND line > :after"
            " UNION ALL SELECT line, NULL, outcome FROM invalid"
            "  WHERE job = :job AND line >= :first AND line < :end AND line > :after AND :since < 0"
            " UNION ALL SELECT repeats.line,"
            "  coalesce(repeats.spelling, repeats.local || '@' || repeats.domain), outcomes.outcome"
            "  FROM repeats CROSS JOIN recipients USING (job, domain, local)"
            "  CROSS JOIN outcomes ON outcomes.job = repeats.job"
            "   AND outcomes.bucket = recipients.line / :size"
            "   AND outcomes.place = recipients.settled AND outcomes.line = recipients.line"
            "  WHERE repeats.job = :job AND repeats.bucket = :bucket AND repeats.line > :after"
            "  AND recipients.settled > max(0, :since) AND recipients.settled <= :until"
            f"{first_ones}",
            {
                "job": job,
                "bucket": bucket,
                "first": bucket * BUCKET,
                "end": (bucket + 1) * BUCKET,
                "size": BUCKET,
                "after": after,
                "since": since,
                "until": until,
                "limit": limit,
            },
        ).fetchall()
        rows.sort(key=itemgetter(0))
        return rows

    def last_due(self, job: int) -> float | None:
        """When the last of those is due that wait, as far as is known now."""
        found: float | None = self._database.execute(
            "SELECT max(due) FROM recipients WHERE job = ? AND due IS NOT NULL", (job,)
        ).fetchone()[0]
        return found


def _decoded(row: _Line, title: str) -> Outcome:
    """Raises DamagedText, also where a line that repeats a recipient has another's outcome."""
    line, address, text = row
    outcome = decode(text, line=line, job=title)
    if address is None:
        return outcome
    try:
        is_its = parse_entry(address).key == parse_entry(outcome.address).key
    except (AddressError, TypeError):
        is_its = False
    if not is_its:
        raise DamagedText("a line that repeats a recipient has another's outcome")
    return evolve(outcome, address=address)
