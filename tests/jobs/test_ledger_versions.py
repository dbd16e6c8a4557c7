"""A ledger of every older version, as that version's own program left it, goes on.

Each in ledgers/ was made by the last commit that had this version, and holds one job of seven
lines: two recipients are settled, one waits, one was never asked; one line names no mailbox, two
name a recipient once more.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.jobs import schema
from twisted_probe.jobs.database import LedgerError, NewerLedger, refuse_newer
from twisted_probe.jobs.ledger import Ledger, State
from twisted_probe.jobs.switches import Kind
from twisted_probe.vocabulary.hearing import Hearing
from twisted_probe.vocabulary.outcome import Outcome, Reason

from .conftest import START
from .crashing import dies_in, some_of, steps_of

STORED = Path(__file__).parent / "ledgers"
LIST = b"b@b.example\nnobody\na@a.example\nb@B.example\nc@c.example\nd@d.example\na@a.example\n"
#: Came together with version 5.
NEVER_SHIPPED = {4}
VERSIONS = sorted(int(each.stem.removeprefix("version-")) for each in STORED.iterdir())
OLDER = [version for version in VERSIONS if version < schema.newest()]
#: When the one that waits is to be asked.
DUE = START + 308


def ledger_of(version: int, directory: Path) -> Path:
    """A ledger of this version, in `directory`."""
    path = directory / "ledger.sqlite"
    shutil.copy(STORED / f"version-{version}.sqlite", path)
    return path


def test_there_is_one_of_each() -> None:
    assert set(OLDER) == set(range(1, schema.newest())) - NEVER_SHIPPED


@pytest.mark.parametrize("version", VERSIONS)
def test_it_goes_on(version: int, tmp_path: Path) -> None:
    goes_on(version, ledger_of(version, tmp_path))


def goes_on(version: int, path: Path) -> None:
    ledger = Ledger(path)
    (job,) = ledger.jobs(State.OPEN)
    assert (job.lines, job.invalid, job.recipients, job.settled) == (7, 1, 4, 2)
    assert job.digest == hashlib.sha256(LIST).digest()
    (progress,) = ledger.progress(START)
    assert (progress.pending, progress.waiting, progress.earliest) == (1, 1, DUE)
    assert [(one.line, one.address, one.reason) for one in ledger.outcomes(job.id)] == [
        (1, "b@b.example", Reason.ACCEPTED),
        (2, "nobody", Reason.INVALID_ADDRESS),
        (3, "a@a.example", Reason.NO_SUCH_MAILBOX),
        (4, "b@B.example", Reason.ACCEPTED),
        (7, "a@a.example", Reason.NO_SUCH_MAILBOX),
    ]
    fresh, waited = (*ledger.take(9, START), *ledger.take(9, DUE))
    assert (fresh.address.text, waited.address.text) == ("d@d.example", "c@c.example")
    assert waited.retry is not None
    assert waited.retry.control == "control"
    more: dict[str, Any] = {"checked_at": 1.0, "hearing": Hearing(dialogues=[], bases={}, before=7)}
    ledger.settle(
        [
            (*task.token, Outcome(address=task.address.text, reason=Reason.POLICY, **more))
            for task in (fresh, waited)
        ]
    )
    outcomes = list(ledger.outcomes(job.id))
    assert [one.line for one in outcomes] == [1, 2, 3, 4, 5, 6, 7]
    # Version 6 was the first that kept what outcomes rest on.
    old, new = (1, 2) if version >= 6 else (None, 1)
    assert [one.evidence for one in outcomes] == [old, None, old, old, new, new, old]
    for number, before in ((old, 5), (new, 7)):
        kept = None if number is None else ledger.hearing(number)
        assert (kept and kept.before) == (number and before)
    assert ledger.finished_jobs()[0].settled == 4
    assert [one.kind for one in ledger.pauses()] == ([Kind.SITE] if version > 1 else [])
    ledger.close()


@pytest.mark.parametrize("version", OLDER)
def test_a_copy_is_kept_as_it_was(version: int, tmp_path: Path) -> None:
    path = ledger_of(version, tmp_path)
    with closing(sqlite3.connect(path)) as database:
        before = list(database.iterdump())
    Ledger(path).close()
    Ledger(path).close()
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "ledger.sqlite",
        f"ledger.sqlite.version-{version}",
    ]
    kept = path.with_name(f"ledger.sqlite.version-{version}")
    assert kept.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (version,)
        assert list(database.iterdump()) == before


@pytest.mark.parametrize("version", OLDER)
def test_row_161_a_crash_at_any_step_of_it(version: int, tmp_path: Path) -> None:
    """Copying, rewriting, or any of the versions on the way."""
    path = ledger_of(version, tmp_path)
    with closing(sqlite3.connect(path)) as database:
        before = sorted(database.iterdump())
    total = steps_of(lambda: Ledger(path).close())
    assert total > 40
    for steps in some_of(total):
        for each in tmp_path.iterdir():
            each.unlink()
        ledger_of(version, tmp_path)
        dies_in(lambda: Ledger(path).close(), steps)
        goes_on(version, path)
        names = {each.name for each in tmp_path.iterdir()}
        between = range(version, schema.newest())
        copies = {f"ledger.sqlite.version-{number}" for number in between}
        assert f"ledger.sqlite.version-{version}" in names
        assert names - copies == {"ledger.sqlite"}, f"after {steps} of {total} steps"
        with closing(sqlite3.connect(path.with_name(f"ledger.sqlite.version-{version}"))) as kept:
            # In any order: it may be of the ledger that was rewritten, and not changed otherwise.
            assert sorted(kept.iterdump()) == before


def test_without_room_for_the_copy_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ledger_of(3, tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("twisted_probe.jobs.database.copy", full)
    with pytest.raises(LedgerError, match="No space left on device"):
        Ledger(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


def test_a_newer_one_shows_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    refuse_newer(path)
    path.write_bytes(b"no database")
    refuse_newer(path)
    path.unlink()
    Ledger(path).close()
    refuse_newer(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerLedger, match=r"ledger\.sqlite: its schema is version 99, this"):
        refuse_newer(path)
