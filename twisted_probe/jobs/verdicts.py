"""What was learned last of each mailbox, over all jobs: the cache of verdicts.

Knows the table `verdicts`, and that it is looked up for many at once; not what is believed how
long (`jobs.caching`), nor whom it spares (`jobs.recipients`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from attrs import evolve

from twisted_probe.jobs.caching import DEFAULT_CACHING
from twisted_probe.jobs.codec import decode
from twisted_probe.jobs.hearings import Hearings
from twisted_probe.jobs.job_file import decode as decode_job_file
from twisted_probe.jobs.reading import BUCKET
from twisted_probe.jobs.sealing import DamagedText
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict
from twisted_probe.vocabulary.wishes import Wishes

#: A recipient's key: domain and local part.
Key = tuple[str, str]
#: A recipient that was asked: its key, the job, and when it was (POSIX seconds).
Learned = tuple[str, str, int, float]


class Verdicts(Hearings):
    """The verdicts in `database`; `caching` may be set anew at any time."""

    caching = DEFAULT_CACHING

    def _wishes_of(self, job: int) -> Wishes | None:
        """What a job wants; None where it wants everybody asked anew, or is gone."""
        row = self._database.execute("SELECT options FROM jobs WHERE id = ?", (job,)).fetchone()
        says = None if row is None else decode_job_file(row[0])
        if says is None or says.cache is False or not self.caching.enabled:
            return None
        return says.wishes

    def _answers(self, keys: Sequence[Key], wishes: Wishes, now: float) -> dict[Key, Outcome]:
        """The outcomes of those that need not be asked."""
        return {
            key: known
            for key, known in self._last_learned(keys, now).items()
            if self.caching.answers(known, now, wishes)
        }

    def _standing(self, key: Key, wishes: Wishes, now: float) -> Outcome | None:
        """The deliverable outcome that stands although it was asked again in vain."""
        known = self._last_learned([key], now).get(key)
        return known if known is not None and self.caching.stands(known, now, wishes) else None

    def _last_learned(self, keys: Sequence[Key], now: float) -> dict[Key, Outcome]:
        """What was learned last of these, in one look, where it is young enough for anything."""
        rows = self._database.execute(
            "SELECT verdicts.domain, verdicts.local, outcomes.outcome FROM json_each(?) AS asked"
            " CROSS JOIN verdicts ON verdicts.domain = json_extract(asked.value, '$[0]')"
            "  AND verdicts.local = json_extract(asked.value, '$[1]')"
            " CROSS JOIN recipients ON recipients.job = verdicts.job"
            "  AND recipients.domain = verdicts.domain AND recipients.local = verdicts.local"
            " CROSS JOIN outcomes ON outcomes.job = recipients.job"
            "  AND bucket = recipients.line / ? AND place = settled"
            "  AND outcomes.line = recipients.line"
            " WHERE verdicts.checked_at > ? AND settled > 0",
            (json.dumps(keys), BUCKET, now - self.caching.longest),
        )
        opt_out = self.caching.opt_out
        return {
            (domain, local): evolve(known, cached=True)
            for domain, local, outcome in rows
            if not opt_out.has(Address(local, domain, ""))
            and (known := _whole(outcome, (domain, local))) is not None
        }

    def _learn(self, learned: Iterable[Learned]) -> None:
        """Keep that these were asked, each in the place of what was learned before it."""
        self._database.executemany(
            "INSERT INTO verdicts VALUES (?, ?, ?, ?) ON CONFLICT (domain, local) DO UPDATE"
            " SET job = excluded.job, checked_at = excluded.checked_at"
            " WHERE excluded.checked_at >= checked_at",
            learned,
        )


def _whole(text: str, key: Key) -> Outcome | None:
    """The outcome that was kept, None where it is damaged, or another's."""
    try:
        outcome = decode(text)
        return outcome if parse_entry(outcome.address).key == key else None
    except (DamagedText, AddressError):
        return None


def is_in_vain(outcome: Outcome) -> bool:
    """Whether it says nothing of the mailbox, though not because the operator wants it so."""
    return outcome.verdict is Verdict.UNKNOWN and outcome.reason is not Reason.SKIPPED


def is_news(outcome: Outcome) -> bool:
    """Whether it says something of the mailbox, and was asked for."""
    return not outcome.cached and outcome.verdict is not Verdict.UNKNOWN
