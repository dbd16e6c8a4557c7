"""Where final outcomes are put down, and counted.

Knows the tables `outcomes` and `tallies` and the order in which a job's recipients are settled;
not who settles them (`jobs.recipients`), what they rest on (`jobs.hearings`), what later jobs make
of them (`jobs.verdicts`), nor who reads them (`jobs.reading`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attrs import evolve

from twisted_probe.jobs.codec import decode, encode
from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.reading import BUCKET
from twisted_probe.jobs.verdicts import Learned, Verdicts, is_in_vain, is_news
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.wishes import Wishes

#: What is settled: a job, the recipient's key and line, and how it ended.
End = tuple[int, str, str, int, Outcome]


#: A recipient's key, and another reason and another word on catch_all for it.
Amendment = tuple[tuple[str, str], Reason, bool | None]


class Settling(Verdicts):
    """The outcomes in `database`."""

    def amend(self, job: int, changes: Sequence[Amendment]) -> None:
        """Give settled recipients another reason and another word on catch_all; their place in
        the order stays. One that has them already, or is not settled, is left as it is."""
        tally: Counter[Reason] = Counter()
        with transaction(self._database):
            for key, reason, catch_all in changes:
                found = self._database.execute(
                    "SELECT bucket, place, outcomes.line, outcomes.outcome"
                    " FROM recipients CROSS JOIN outcomes ON outcomes.job = recipients.job"
                    "  AND bucket = recipients.line / ? AND place = recipients.settled"
                    "  AND outcomes.line = recipients.line"
                    " WHERE recipients.job = ? AND domain = ? AND local = ? AND settled > 0",
                    (BUCKET, job, *key),
                ).fetchone()
                if found is None:
                    continue
                *place, text = found
                before = decode(text)
                after = evolve(before, reason=reason, catch_all=catch_all)
                if after == before:
                    continue
                self._database.execute(
                    "UPDATE outcomes SET outcome = ?"
                    " WHERE job = ? AND bucket = ? AND place = ? AND line = ?",
                    (encode(after), job, *place),
                )
                tally[before.reason] -= 1
                tally[reason] += 1
            self._tally(job, tally)

    # -- within a transaction

    def _settle(self, ends: Iterable[End]) -> None:
        """Keep these outcomes, where there is none yet: each at its place in the order.

        One that says nothing of its mailbox takes the place of none that does and is fresh.
        """
        tallies: defaultdict[int, Counter[Reason]] = defaultdict(Counter)
        places: dict[int, int] = {}
        wishes: dict[int, Wishes | None] = {}
        kept: list[tuple[int, int, int, int, str]] = []
        learned: list[Learned] = []
        for job, domain, local, line, outcome in ends:
            if job not in places:
                row = self._database.execute("SELECT settled FROM jobs WHERE id = ?", (job,))
                places[job] = next(row, (0,))[0]
                wishes[job] = self._wishes_of(job)
            place = places[job] + 1
            cursor = self._database.execute(
                "UPDATE recipients SET settled = ?, due = NULL, outcome = NULL"
                " WHERE job = ? AND domain = ? AND local = ? AND line = ? AND settled = 0",
                (place, job, domain, local, line),
            )
            if not cursor.rowcount:
                continue
            if is_news(outcome):
                learned.append((domain, local, job, outcome.checked_at))
            elif is_in_vain(outcome):
                outcome = self._instead(outcome, (domain, local), wishes[job])
            kept.append((job, line // BUCKET, place, line, self._encoded(outcome)))
            places[job] = place
            tallies[job][outcome.reason] += 1
        self._database.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?)", sorted(kept))
        self._learn(learned)
        for job, reasons in tallies.items():
            self._tally(job, reasons)
            self._database.execute("UPDATE jobs SET settled = ? WHERE id = ?", (places[job], job))

    def _instead(self, outcome: Outcome, key: tuple[str, str], wishes: Wishes | None) -> Outcome:
        """What stands instead of an outcome that says nothing of its mailbox."""
        if wishes is None:
            return outcome
        standing = self._standing(key, wishes, outcome.checked_at)
        return outcome if standing is None else evolve(standing, address=outcome.address)

    def _tally(self, job: int, reasons: Counter[Reason]) -> None:
        self._database.executemany(
            "INSERT INTO tallies (job, reason, number) VALUES (?, ?, ?)"
            " ON CONFLICT (job, reason) DO UPDATE SET number = number + excluded.number",
            [(job, reason.value, number) for reason, number in reasons.items() if number],
        )
