"""The process ends at once while the ledger is purged or copied: nothing that is not too old goes,
and what was begun is gone on with, or begun again."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from twisted_probe.jobs import purging
from twisted_probe.jobs.backup import NoBackup, back_up, note
from twisted_probe.jobs.forgetting import forget_in_backups
from twisted_probe.jobs.housekeeping import Purger
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.purging import KEPT
from twisted_probe.vocabulary.hearing import Hearing

from .conftest import Daemon, result_of
from .crashing import dies_in, some_of, steps_of

OLD = [f"p{number}@a{number % 3}.example" for number in range(60)]
HALF = [f"q{number}@a.example" for number in range(20)]


def hearing() -> Hearing:
    return Hearing(dialogues=[], bases={}, before=1)


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A daemon that has stopped, whose first job is too old now; another is half done."""
    monkeypatch.setattr(Ledger.clear, "__defaults__", (7,))
    monkeypatch.setattr(purging, "_HEARINGS", 3)
    monkeypatch.setattr(purging, "_VERDICTS", 7)
    monkeypatch.setattr(purging, "_PAGES", 2)
    daemon = Daemon(tmp_path / "spool")
    daemon.drop("old", "\n".join([*OLD, OLD[0], "no address"]))
    daemon.tick(2)
    for task in daemon.take():
        daemon.answer(task, text="x" * 500, hearing=hearing())
    daemon.tick(2)
    daemon.clock.advance(KEPT)
    daemon.drop("half", "\n".join(HALF))
    daemon.tick(2)
    daemon.answer(*daemon.take(10), hearing=hearing())
    daemon.close()
    return daemon


def purge(daemon: Daemon) -> None:
    daemon.start()
    result_of(Purger(daemon.ledger, daemon.run, daemon.clock).purge())
    daemon.close()


def test_row_161_while_it_is_purged(stopped: Daemon, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(stopped.path, kept)
    total = steps_of(lambda: purge(stopped))
    assert total > 150
    for steps in some_of(total):
        shutil.rmtree(stopped.path)
        shutil.copytree(kept, stopped.path)
        dies_in(lambda: purge(stopped), steps)
        stopped.start()
        assert len(stopped.answer_all()) == 10
        stopped.tick(2)
        assert [row["address"] for row in stopped.table("half")] == HALF
        result_of(Purger(stopped.ledger, stopped.run, stopped.clock).purge())
        assert [job.title for job in stopped.ledger.latest(9)] == ["half"]
        database = stopped.ledger._database
        for table, rows in (("outcomes", 20), ("recipients", 20), ("invalid", 0), ("verdicts", 20)):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table
        assert database.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stopped.close()


def test_row_161_while_it_is_copied(stopped: Daemon, tmp_path: Path) -> None:
    """There is a whole copy or none, and what was left of it is no hindrance."""
    ledger, copy = stopped.spool.ledger_path, tmp_path / "copy"
    total = steps_of(lambda: back_up(ledger, os.fspath(copy)))
    assert total > 10
    whole = 0
    for steps in range(total):
        copy.unlink(missing_ok=True)
        dies_in(lambda: back_up(ledger, os.fspath(copy)), steps)
        if copy.exists():
            whole += 1
            with pytest.raises(NoBackup, match="it is there already"):
                back_up(ledger, os.fspath(copy))
        else:
            back_up(ledger, os.fspath(copy))
        assert sorted(each.name for each in tmp_path.iterdir()) == ["copy", "spool"]
        copied = Ledger(copy)
        assert [(job.title, job.settled) for job in copied.latest(9)] == [("half", 10), ("old", 60)]
        copied.close()
    assert 0 < whole < total / 2
    stopped.start()
    assert len(stopped.answer_all()) == 10
    stopped.close()


def test_row_161_a_copy_that_was_killed_is_found_by_who_forgets(
    stopped: Daemon, tmp_path: Path
) -> None:
    ledger, copy = stopped.spool.ledger_path, tmp_path / "copy"
    state = os.path.dirname(ledger)

    def noted() -> None:
        back_up(ledger, os.fspath(copy), partial(note, state))

    total = steps_of(noted)
    removed = 0
    for steps in range(total):
        copy.unlink(missing_ok=True)
        os.unlink(os.path.join(state, "backups"))
        dies_in(noted, steps)
        had_anything = any(each.stat().st_size for each in tmp_path.glob("copy.part"))
        found = forget_in_backups(state, "old")
        assert found.left == []
        left = [each.name for each in tmp_path.iterdir() if each.name != "spool"]
        if copy.exists():
            assert left == ["copy"]
            assert found.files == [os.fspath(copy)]
            copied = Ledger(copy)
            assert [job.title for job in copied.latest(9)] == ["half"]
            copied.close()
        elif had_anything:
            removed += 1
            assert left == []
            assert found.files == [f"{copy}.part"]
        for name in left:
            (tmp_path / name).unlink()
        (tmp_path / "spool/state/backups").touch()
    assert removed > 5
