"""A ledger of every older version, as that version left it, goes on.

Each in ledgers/ holds one job of seven lines: two recipients are settled, one waits, one was never
asked; one line names no mailbox, two name a recipient once more.
"""

from __future__ import annotations

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

STORED = Path(__file__).parent / "ledgers"
VERSIONS = range(1, schema.newest())


@pytest.fixture(params=VERSIONS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    path = tmp_path / "ledger.sqlite"
    shutil.copy(STORED / f"version-{min(request.param, 3)}.sqlite", path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for number in range(3, request.param):
            database.executescript(schema.steps()[number])
            database.execute(f"PRAGMA user_version = {number + 1}")
    return request.param, path


def test_it_goes_on(stored: tuple[int, Path]) -> None:
    version, path = stored
    ledger = Ledger(path)
    (job,) = ledger.jobs(State.OPEN)
    assert (job.lines, job.invalid, job.recipients, job.settled) == (7, 1, 4, 2)
    assert job.digest == b"\1" * 32
    (progress,) = ledger.progress(START)
    assert (progress.pending, progress.waiting, progress.earliest) == (1, 1, START + 300)
    assert [(one.line, one.address, one.reason) for one in ledger.outcomes(job.id)] == [
        (1, "b@b.example", Reason.ACCEPTED),
        (2, "nobody", Reason.INVALID_ADDRESS),
        (3, "a@a.example", Reason.NO_SUCH_MAILBOX),
        (4, "b@B.example", Reason.ACCEPTED),
        (7, "a@a.example", Reason.NO_SUCH_MAILBOX),
    ]
    fresh, waited = (*ledger.take(9, START), *ledger.take(9, START + 300))
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
    assert [one.evidence for one in outcomes] == [None, None, None, None, 1, 1, None]
    kept = ledger.hearing(1)
    assert kept is not None
    assert kept.before == 7
    assert ledger.finished_jobs()[0].settled == 4
    assert [one.kind for one in ledger.pauses()] == ([Kind.SITE] if version > 1 else [])
    ledger.close()


def test_a_copy_is_kept_as_it_was(stored: tuple[int, Path]) -> None:
    version, path = stored
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


def test_without_room_for_the_copy_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    shutil.copy(STORED / "version-3.sqlite", path)

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
