"""Whether what the ledger has of its jobs is what was put there, as far as looking can tell.

Knows what of it has to agree, and reads all of it once; not what is done where it does not
(`jobs.rescue`). SQLite has seen before that its pages are in order (`jobs.database`). Whether a
recipient is one of the list at all shows when its results are written (`jobs.results`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from twisted_probe.jobs.codec import decode
from twisted_probe.jobs.sealing import DamagedText, is_whole

#: What is counted in a job's row, and the rows of its that are counted there.
_COUNTED = (
    ("recipients", "SELECT count(*) FROM recipients WHERE job = ?"),
    ("settled", "SELECT count(*) FROM recipients WHERE job = ? AND settled > 0"),
    ("settled", "SELECT count(*) FROM outcomes WHERE job = ?"),
    ("waiting", "SELECT count(*) FROM recipients NOT INDEXED WHERE job = ? AND due IS NOT NULL"),
    (
        "waiting",
        "SELECT count(*) FROM recipients INDEXED BY recipients_due"
        " WHERE job = ? AND due IS NOT NULL",
    ),
    ("invalid", "SELECT count(*) FROM invalid WHERE job = ?"),
    ("lines - invalid - recipients", "SELECT count(*) FROM repeats WHERE job = ?"),
    ("settled + invalid", "SELECT coalesce(sum(number), 0) FROM tallies WHERE job = ?"),
)
_OUTCOMES = (
    "SELECT outcome FROM outcomes WHERE job = ?",
    "SELECT outcome FROM invalid WHERE job = ?",
    "SELECT outcome FROM recipients WHERE job = ? AND outcome IS NOT NULL",
)
_NAMES = (
    "SELECT domain, local, coalesce(spelling, ''), line FROM recipients WHERE job = ?",
    "SELECT domain, local, coalesce(spelling, ''), line FROM repeats WHERE job = ?",
)


def flaw(database: sqlite3.Connection, job: int) -> str:
    """What is wrong with what there is of an open job, in words; empty where nothing is."""
    return next(_flaws(database, job), "")


def _flaws(database: sqlite3.Connection, job: int) -> Iterator[str]:
    for what, counting in _COUNTED:
        said, found = database.execute(
            f"SELECT {what}, ({counting}) FROM jobs WHERE id = ?",  # noqa: S608 - ours
            (job, job),
        ).fetchone()
        if said != found:
            yield f"{what} is {said}, but there are {found}"
    for query in _NAMES:
        for *name, line in database.execute(query, (job,)):
            if not _is_text(name) or type(line) is not int:
                yield "a recipient's row has no text or no number where one belongs"
    for query in _OUTCOMES:
        for (outcome,) in database.execute(query, (job,)):
            if not is_whole(outcome):
                try:
                    decode(outcome)
                except DamagedText as error:
                    yield f"an outcome is damaged: {error}"


def _is_text(words: list[str]) -> bool:
    try:
        "".join(words).encode()
    except (UnicodeEncodeError, TypeError):
        return False
    return True
