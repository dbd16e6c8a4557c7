"""Whether what the ledger has of its jobs is what was put there, as far as looking can tell.

Knows what of it has to agree, and reads what is still to be asked; not what is done where something
is wrong (`jobs.rescue`). SQLite has seen before that its pages are in order (`jobs.database`).
Whether an outcome is whole, and is that of its line, shows when results are written
(`jobs.results`).
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
_OPEN = (
    "SELECT domain, local, coalesce(spelling, ''), line, outcome FROM recipients"
    " WHERE job = ? AND settled = 0"
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
    for *name, line, outcome in database.execute(_OPEN, (job,)):
        if not _is_text(name) or type(line) is not int:
            yield "the row of a recipient has no text, or no number, where one belongs"
        if outcome is not None and not is_whole(outcome):
            try:
                decode(outcome)
            except DamagedText as error:
                yield f"what was last said of a recipient is damaged: {error}"


def _is_text(words: list[str]) -> bool:
    try:
        "".join(words).encode()
    except (UnicodeEncodeError, TypeError):
        return False
    return True
