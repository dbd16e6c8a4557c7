"""What is erased of the ledger before its time: one address, or one job.

Knows every table that names a mailbox; not the files (`jobs.forgetting`), nor what goes by its age
(`jobs.purging`). Counts stay, for they name nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.packing import DamagedHearing, packed, text_of, unpacked
from twisted_probe.jobs.purging import Purging
from twisted_probe.jobs.reading import BUCKET
from twisted_probe.jobs.recipients import BATCH
from twisted_probe.vocabulary.excerpt import without
from twisted_probe.vocabulary.hearing import Hearing
from twisted_probe.vocabulary.mention import Mention

#: Hearings looked at, at once, and outcomes whose hearings are dropped: some 50 ms.
_AT_ONCE = 500
#: Names and lines looked at, at once: some 20 ms.
_NAMES = 10_000


class Erasing(Purging):
    """The eraser of `_database`. Every method has committed when it returns; what was erased is
    overwritten there, and in the log beside it after `scrub`."""

    def locals_at(self, job: int, domain: str, after: str = "") -> list[str]:
        """The local parts of a job's recipients of this domain behind `after`, of some of them."""
        return self._locals("recipients WHERE job = ? AND", job, domain, after)

    def learned_at(self, domain: str, after: str = "") -> list[str]:
        """The same of those of whom something was learned."""
        return self._locals("verdicts WHERE", domain, after)

    def _locals(self, where: str, *values: object) -> list[str]:
        rows = self._database.execute(
            f"SELECT local FROM {where} domain = ? AND local > ? ORDER BY local LIMIT ?",  # noqa: S608
            (*values, _NAMES),
        )
        return [local for (local,) in rows]

    def invalid_behind(self, job: int, line: int) -> list[tuple[int, str]]:
        """A job's lines behind `line` that name no mailbox, of some of them, with their words."""
        return self._database.execute(
            "SELECT line, json_extract(outcome, '$.address') FROM invalid"
            " WHERE job = ? AND line > ? ORDER BY line LIMIT ?",
            (job, line, _NAMES),
        ).fetchall()

    def erase_recipients(
        self, job: int, keys: Iterable[tuple[str, str]], digest: bytes | None = None
    ) -> None:
        """Erase recipients of a job that is over. `digest` is the one of its file without them,
        if there is one."""
        with transaction(self._database) as database:
            for key in keys:
                self._erase_recipient(job, key)
            if digest is not None:
                database.execute("UPDATE jobs SET digest = ? WHERE id = ?", (digest, job))

    def _erase_recipient(self, job: int, key: tuple[str, str]) -> None:
        row = self._database.execute(
            "SELECT line, settled FROM recipients WHERE job = ? AND domain = ? AND local = ?",
            (job, *key),
        ).fetchone()
        if row is not None:
            line, place = row
            self._database.execute(
                "DELETE FROM outcomes WHERE job = ? AND bucket = ? AND place = ? AND line = ?",
                (job, line // BUCKET, place, line),
            )
        for table in ("repeats", "recipients"):
            self._database.execute(
                f"DELETE FROM {table} WHERE job = ? AND domain = ? AND local = ?",  # noqa: S608
                (job, *key),
            )

    def erase_invalid(self, job: int, lines: Iterable[int]) -> None:
        """Erase lines that name no mailbox, of a job that is over."""
        with transaction(self._database) as database:
            database.executemany(
                "DELETE FROM invalid WHERE job = ? AND line = ?", [(job, line) for line in lines]
            )

    def erase_verdict(self, key: tuple[str, str]) -> None:
        """Let nobody be answered any more by what was learned of a mailbox."""
        with transaction(self._database) as database:
            database.execute("DELETE FROM verdicts WHERE domain = ? AND local = ?", key)

    def erase_heard(self, mention: Mention, after: int = 0) -> int | None:
        """Erase an address from the hearings behind the number `after`, of some of them; the
        number where the next call goes on, None when there are no more."""
        rows = self._database.execute(
            "SELECT id, content FROM hearings WHERE id > ? ORDER BY id LIMIT ?", (after, _AT_ONCE)
        ).fetchall()
        changed = []
        sign = mention.domain.encode()
        unreadable = []
        for number, content in rows:
            try:
                if sign not in text_of(content).lower():
                    continue
                redacted = _redacted(unpacked(content), mention)
            except DamagedHearing:
                unreadable.append((number,))  # nobody can tell whom it names
                continue
            if redacted is not None:
                changed.append((packed(redacted), number))
        with transaction(self._database) as database:
            database.executemany("DELETE FROM hearings WHERE id = ?", unreadable)
            database.executemany("UPDATE hearings SET content = ? WHERE id = ?", changed)
        return rows[-1][0] if rows else None

    def erase_job(self, job: int) -> bool:
        """Erase some of a job that is over, with what its outcomes rest on, which recipients of
        other jobs may have shared; whether there is more."""
        with transaction(self._database) as database:
            outcomes = database.execute(
                "SELECT bucket, place, line, json_extract(outcome, '$.evidence') FROM outcomes"
                " WHERE job = ? ORDER BY bucket, place, line LIMIT ?",
                (job, _AT_ONCE),
            ).fetchall()
            self._drop_hearings({number for *_, number in outcomes if number is not None})
            database.executemany(
                "DELETE FROM outcomes WHERE job = ? AND bucket = ? AND place = ? AND line = ?",
                [(job, *place) for *place, _ in outcomes],
            )
            if outcomes:
                return True
            recipients = database.execute(
                "SELECT domain, local FROM recipients WHERE job = ? ORDER BY domain, local LIMIT ?",
                (job, BATCH),
            ).fetchall()
            for table in ("verdicts", "recipients"):
                database.executemany(
                    f"DELETE FROM {table} WHERE job = ? AND domain = ? AND local = ?",  # noqa: S608
                    [(job, *key) for key in recipients],
                )
            if recipients or self.clear(job):
                return True
            database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        return False

    def _drop_hearings(self, numbers: Iterable[int]) -> None:
        """Drop these, and those of the attempts before."""
        left = set(numbers)
        while left:
            number = left.pop()
            hearing = self.hearing(number)
            self._database.execute("DELETE FROM hearings WHERE id = ?", (number,))
            if hearing is not None and hearing.before is not None:
                left.add(hearing.before)

    def scrub(self, patience: float = 5.0) -> bool:
        """Overwrite what was erased in the log beside the ledger too, unless a reader needs it,
        who is waited for so many seconds; whether it was."""
        (before,) = self._database.execute("PRAGMA busy_timeout").fetchone()
        self._database.execute(f"PRAGMA busy_timeout = {int(1000 * patience)}")
        try:
            ((is_busy, _, _),) = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._database.execute(f"PRAGMA busy_timeout = {before}")
        return not is_busy

    def end_wal(self) -> None:
        """Make it one file again, without others beside it, as a copy is."""
        self._database.execute("PRAGMA journal_mode = DELETE").fetchall()


def _redacted(hearing: Hearing, mention: Mention) -> Hearing | None:
    """The hearing without this address; None where nothing of it names it."""
    bases = {
        key: evolve(basis, witness="") if mention.is_entry(basis.witness) else basis
        for key, basis in hearing.bases.items()
        if not mention.is_key(*key)
    }
    dialogues = [
        evolve(each, lines=tuple(without(each.lines, mention))) for each in hearing.dialogues
    ]
    if bases == hearing.bases and dialogues == list(hearing.dialogues):
        return None
    return evolve(hearing, bases=bases, dialogues=dialogues)
