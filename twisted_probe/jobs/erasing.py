"""What is erased of the ledger before its time: one address, or one job.

Knows every table that names a mailbox; not the files (`jobs.forgetting`), nor what goes by its age
(`jobs.purging`). Counts stay, for they name nobody.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from attrs import evolve

from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.packing import packed, unpacked
from twisted_probe.jobs.purging import Purging
from twisted_probe.jobs.reading import BUCKET
from twisted_probe.jobs.recipients import BATCH
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.excerpt import without
from twisted_probe.vocabulary.hearing import Hearing

#: Hearings looked at, at once, and outcomes whose hearings are dropped: some 50 ms.
_AT_ONCE = 500


class Erasing(Purging):
    """The eraser of `_database`. Every method has committed when it returns; what was erased is
    overwritten there, and in the log beside it after `scrub`."""

    def jobs_with(self, key: tuple[str, str]) -> list[int]:
        """The numbers of all jobs that have this recipient, the oldest first."""
        rows = self._database.execute(
            "SELECT jobs.id FROM jobs JOIN recipients ON job = jobs.id"
            " WHERE domain = ? AND local = ? ORDER BY jobs.id",
            key,
        )
        return [job for (job,) in rows]

    def erase_recipient(self, job: int, key: tuple[str, str], digest: bytes | None = None) -> None:
        """Erase a recipient of a job that is over. `digest` is the one of its file without that
        recipient, if there is one."""
        with transaction(self._database) as database:
            row = database.execute(
                "SELECT line, settled FROM recipients WHERE job = ? AND domain = ? AND local = ?",
                (job, *key),
            ).fetchone()
            if row is not None:
                line, place = row
                database.execute(
                    "DELETE FROM outcomes WHERE job = ? AND bucket = ? AND place = ? AND line = ?",
                    (job, line // BUCKET, place, line),
                )
            for table in ("repeats", "recipients"):
                database.execute(
                    f"DELETE FROM {table} WHERE job = ? AND domain = ? AND local = ?",  # noqa: S608
                    (job, *key),
                )
            if digest is not None:
                database.execute("UPDATE jobs SET digest = ? WHERE id = ?", (digest, job))

    def erase_verdict(self, key: tuple[str, str]) -> None:
        """Let nobody be answered any more by what was learned of a mailbox."""
        with transaction(self._database) as database:
            database.execute("DELETE FROM verdicts WHERE domain = ? AND local = ?", key)

    def erase_heard(self, address: Address, after: int = 0) -> int | None:
        """Erase an address from the hearings behind the number `after`, of some of them; the
        number where the next call goes on, None when there are no more."""
        rows = self._database.execute(
            "SELECT id, content FROM hearings WHERE id > ? ORDER BY id LIMIT ?", (after, _AT_ONCE)
        ).fetchall()
        changed = []
        sign = address.domain.lower().encode()
        for number, content in rows:
            if sign not in zlib.decompress(content).lower():
                continue
            redacted = _redacted(unpacked(content), address)
            if redacted is not None:
                changed.append((packed(redacted), number))
        with transaction(self._database) as database:
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
            if hearing is not None:
                self._database.execute("DELETE FROM hearings WHERE id = ?", (number,))
                if hearing.before is not None:
                    left.add(hearing.before)

    def scrub(self) -> None:
        """Overwrite what was erased in the log beside the ledger too, as far as no reader needs
        it."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def end_wal(self) -> None:
        """Make it one file again, without others beside it, as a copy is."""
        self._database.execute("PRAGMA journal_mode = DELETE").fetchall()


def _redacted(hearing: Hearing, address: Address) -> Hearing | None:
    """The hearing without this address; None where nothing of it names it."""
    name = address.forward_path.decode()
    bases = {
        key: evolve(basis, witness="") if basis.witness == name else basis
        for key, basis in hearing.bases.items()
        if key != address.key
    }
    dialogues = [
        evolve(each, lines=tuple(without(each.lines, escaped(name)))) for each in hearing.dialogues
    ]
    if bases == hearing.bases and dialogues == list(hearing.dialogues):
        return None
    return evolve(hearing, bases=bases, dialogues=dialogues)
