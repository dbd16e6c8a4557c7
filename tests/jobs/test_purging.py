"""What is too old is dropped, and its room given back, while others work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.logger import Logger

from twisted_probe.jobs import purging
from twisted_probe.jobs.database import opened
from twisted_probe.jobs.housekeeping import ROUND, Purger
from twisted_probe.jobs.purging import KEPT
from twisted_probe.vocabulary.hearing import Hearing

from .conftest import Daemon, result_of, small_buckets


def hearing() -> Hearing:
    return Hearing(dialogues=[], bases={})


def count(daemon: Daemon, table: str) -> int:
    rows = daemon.ledger._database.execute(f"SELECT count(*) FROM {table}")
    number: int = rows.fetchone()[0]
    return number


TABLES = ("jobs", "recipients", "outcomes", "invalid", "repeats", "tallies", "hearings", "verdicts")


def settled(daemon: Daemon, name: str, lines: list[str]) -> None:
    daemon.drop(name, "\n".join(lines))
    daemon.tick(2)
    for task in daemon.take():
        daemon.answer(task, code=250, catch_all=False, hearing=hearing())
    daemon.tick(2)


def purge(daemon: Daemon, **more: Any) -> Purger:
    purger = Purger(daemon.ledger, daemon.run, daemon.clock, **more)
    result_of(purger.purge())
    return purger


def test_after_30_days_nothing_is_left(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    small_buckets(monkeypatch, 3)
    monkeypatch.setattr(purging, "_HEARINGS", 2)
    monkeypatch.setattr(purging, "_VERDICTS", 2)
    lines = [f"p{number}@a.example" for number in range(9)]
    settled(daemon, "old", [*lines, lines[0], "no address"])
    daemon.drop("bad.csv", "no,header\n")
    daemon.tick(3)
    assert all(count(daemon, table) for table in TABLES)
    daemon.clock.advance(KEPT - 100)
    settled(daemon, "new", ["ann@b.example"])
    purge(daemon)
    assert count(daemon, "outcomes") == 10
    daemon.clock.advance(100)
    purge(daemon)
    assert [job.title for job in daemon.ledger.latest(9)] == ["new"]
    assert {table: count(daemon, table) for table in TABLES} == {
        **dict.fromkeys(TABLES, 1),
        **dict.fromkeys(("invalid", "repeats"), 0),
    }
    assert "old.results.csv" in daemon.names("done")
    daemon.restart()
    settled(daemon, "next", ["ann@b.example"])
    assert len(daemon.table("next")) == 1


@pytest.mark.parametrize("is_read", [False, True])
def test_nothing_is_left_in_the_files(daemon: Daemon, is_read: bool) -> None:
    """While somebody reads the ledger the log stays; the round behind that comes to it."""
    settled(daemon, "old", [f"unmistakable{number}@a.example" for number in range(500)])
    daemon.clock.advance(KEPT)
    path = Path(daemon.spool.ledger_path)
    files = [path, path.with_name(path.name + "-wal")]
    large = path.stat().st_size
    with closing(sqlite3.connect(path)) as reader:
        if is_read:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM jobs").fetchone()
        purge(daemon)
        assert is_read == any(b"unmistakable" in each.read_bytes() for each in files)
    purge(daemon)
    assert not any(b"unmistakable" in each.read_bytes() for each in files)
    assert path.stat().st_size < large + files[1].stat().st_size
    assert files[1].stat().st_size == 0


def test_jobs_that_are_not_over_stay(daemon: Daemon) -> None:
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    daemon.clock.advance(2 * KEPT)
    purge(daemon)
    assert [task.address.local for task in daemon.take()] == ["ann"]


def test_evidence_goes_before_the_jobs_that_rest_on_it(daemon: Daemon) -> None:
    daemon.drop("list", "ann@a.example")
    daemon.tick(2)
    (task,) = daemon.take()
    daemon.answer(task, hearing=hearing())
    daemon.clock.advance(10)
    daemon.tick(2)
    daemon.clock.advance(86400 - 5)
    purge(daemon, keep=86400)
    assert daemon.ledger.hearing(1) is None
    assert count(daemon, "outcomes") == 1


def test_what_was_learned_of_a_job_that_is_gone_answers_nobody(daemon: Daemon) -> None:
    settled(daemon, "list", ["ann@a.example"])
    daemon.clock.advance(86400 + 10)
    assert daemon.ledger.purge_jobs(daemon.now - 86400)
    assert count(daemon, "verdicts") == 1
    daemon.drop("two", "ann@a.example\n")
    daemon.tick(2)
    assert [task.address.local for task in daemon.take()] == ["ann"]


def test_the_file_shrinks_and_nothing_of_it_is_left(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_PAGES", 16)
    small = Path(daemon.ledger.path).stat().st_size
    daemon.drop("list", "\n".join(f"somebody{number}@a.example" for number in range(3000)))
    daemon.tick(2)
    while tasks := daemon.take():
        daemon.answer(*tasks, text="x" * 200, hearing=hearing())
    daemon.tick(5)
    assert not daemon.names("active")
    daemon.clock.advance(KEPT)
    purge(daemon)
    daemon.close()
    data = Path(daemon.ledger.path).read_bytes()
    assert len(data) <= small + 4096
    assert b"somebody" not in data
    daemon.start()


def test_a_ledger_that_could_not_shrink_is_made_to(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(opened(path)) as database:
        database.execute("PRAGMA auto_vacuum = 0")
        database.execute("VACUUM")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    with closing(opened(path)) as database:
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert database.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_a_round_an_hour(daemon: Daemon) -> None:
    settled(daemon, "list", ["ann@a.example"])
    purger = Purger(daemon.ledger, daemon.run, daemon.clock, keep=86400)
    purger.start()
    daemon.clock.pump([ROUND] * 23)
    assert count(daemon, "jobs") == 1
    daemon.clock.advance(ROUND)
    assert count(daemon, "jobs") == 0
    result_of(purger.stop())
    assert daemon.clock.getDelayedCalls() == []


def test_it_stops_between_two_pieces(daemon: Daemon) -> None:
    settled(daemon, "list", ["ann@a.example"])
    daemon.clock.advance(KEPT)
    calls: list[tuple[Deferred[Any], Any]] = []

    def run(function: Any, *arguments: Any) -> Deferred[Any]:
        made: Deferred[Any] = Deferred()
        calls.append((made, lambda: function(*arguments)))
        return made

    purger = Purger(daemon.ledger, run, daemon.clock)
    purger.start()
    ended: list[object] = []
    Deferred.fromCoroutine(purger.stop()).addCallback(ended.append)
    assert not ended
    while calls:
        made, call = calls.pop()
        execute(call).chainDeferred(made)
    assert ended == [None]
    assert count(daemon, "jobs") == 1


def test_a_fault_is_told_and_the_next_round_comes(daemon: Daemon) -> None:
    settled(daemon, "list", ["ann@a.example"])
    daemon.clock.advance(KEPT)
    purger = Purger(daemon.ledger, daemon.run, daemon.clock)
    seen: list[Any] = []
    purger.log = Logger("test", observer=seen.append)  # type: ignore[arg-type]
    benches = daemon.ledger.benches
    daemon.ledger.benches = None  # type: ignore[assignment,method-assign]
    result_of(purger.purge())
    assert len(seen) == 1
    daemon.ledger.benches = benches  # type: ignore[method-assign]
    result_of(purger.purge())
    assert count(daemon, "jobs") == 0
