"""What is read of the ledger while jobs run, in pieces that keep nobody waiting.

Knows how the outcomes of a job are paged, by line and by the order in which they were settled;
not who reads them (`daemon.control`).
"""

from __future__ import annotations

import sqlite3

from attrs import frozen

from twisted_probe.jobs.codec import decode
from twisted_probe.jobs.recipients import spelt
from twisted_probe.vocabulary.outcome import Outcome

#: Outcomes of one page: some 20 ms of reading.
MAX_PAGE = 1000
#: Lines looked at for one page, be they answered or not: some 20 ms too.
MAX_LOOK = 20_000

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
        once. A page may be empty and not be the last.
        """
        settled: int = self._database.execute(
            "SELECT settled FROM jobs WHERE id = ?", (job,)
        ).fetchone()[0]
        last = settled if until is None else until
        outcomes: list[Outcome] = []
        seen = 0
        rows = self._database.execute(
            "SELECT lines.line, domain, local, lines.spelling,"
            " coalesce(lines.outcome, recipients.outcome), coalesce(settled, 0),"
            " domain IS NULL OR settled > 0"
            " FROM lines LEFT JOIN recipients USING (job, domain, local)"
            " WHERE lines.job = ? AND lines.line > ? ORDER BY lines.line LIMIT ?",
            (job, after, MAX_LOOK),
        )
        for line, domain, local, spelling, text, place, is_settled in rows:
            seen += 1
            after = line
            if is_settled and since < place <= last:
                here = {} if domain is None else {"address": spelt(domain, local, spelling)}
                outcomes.append(decode(text, line=line, job=title, **here))
                if len(outcomes) >= limit:
                    break
        rows.close()
        is_end = seen < MAX_LOOK and len(outcomes) < limit
        return Page(outcomes, None if is_end else after, settled)

    def last_due(self, job: int) -> float | None:
        """When the last of those is due that wait, as far as is known now."""
        found: float | None = self._database.execute(
            "SELECT max(due) FROM recipients WHERE job = ? AND due IS NOT NULL", (job,)
        ).fetchone()[0]
        return found
