"""A spool, its ledger and its keeper on a clock of the test's, all in the test's own thread."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import Logger

from twisted_probe.jobs.intake import JobKeeper
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.ledger_work import LedgerWork
from twisted_probe.jobs.spool import Spool
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.outcome import Outcome, Reason

#: A moment to begin at: 2027-01-15T08:00:00Z.
START = 1_800_000_000.0


def result_of(work: Coroutine[Any, Any, Any] | Deferred[Any]) -> Any:
    """What a Deferred or coroutine that needs no reactor ends with."""
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    results: list[Any] = []
    errors: list[Any] = []
    deferred.addCallbacks(results.append, errors.append)
    if errors:
        errors[0].raiseException()
    assert results, "it waits for something"
    return results[0]


class Daemon:
    """What the daemon has of the jobs; `restart` is what a crash leaves of it: the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.clock.advance(START)
        self.events: list[dict[str, Any]] = []
        self.run: Callable[..., Deferred[Any]] = execute
        self.start()

    def start(self) -> None:
        self.spool = Spool(os.fspath(self.path))
        self.ledger = Ledger(self.spool.ledger_path)
        write = self.ledger.writer(self.run, self.clock)
        self.work = LedgerWork(self.ledger, write, self.clock, self.spool.room)
        self.keeper = JobKeeper(self.spool, self.ledger, self.run, self.clock)
        log = Logger("test", observer=self.events.append)  # type: ignore[arg-type]
        self.keeper.log = self.spool.log = self.spool.room.log = log

    def close(self) -> None:
        self.ledger.close()
        self.spool.close()

    def restart(self) -> None:
        self.close()
        self.start()

    @property
    def now(self) -> float:
        return self.clock.seconds()

    def drop(self, name: str | bytes, content: str | bytes) -> None:
        """Put a complete file into new/."""
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / "new" / os.fsdecode(name)).write_bytes(data)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            result_of(self.keeper.tick())
            self.clock.advance(1)

    def names(self, directory: str) -> list[str]:
        return sorted(os.listdir(self.path / directory))

    def read(self, *parts: str) -> str:
        return self.path.joinpath(*parts).read_text("utf-8")

    def table(self, name: str, delimiter: str = ",") -> list[dict[str, str]]:
        """The results of a job, a dictionary a line."""
        path = self.path / "done" / f"{name}.results.csv"
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(lines)
            return [dict(zip(header, line, strict=True)) for line in lines]

    def objects(self, name: str) -> list[str]:
        """The results of a JSONL job, line by line, as they stand there."""
        *lines, last = self.read("done", f"{name}.results.jsonl").split("\n")
        assert last == ""
        return lines

    def summary(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read("done", f"{name}.summary.json"))
        return found

    def take(self, limit: int = 1000) -> Sequence[Task]:
        tasks: Sequence[Task] = result_of(self.work.take(limit))
        return tasks

    def answer(self, *tasks: Task, reason: Reason = Reason.ACCEPTED, **more: Any) -> None:
        """Report each task with a final outcome."""
        result_of(self.work.report([(task, self.outcome(task, reason, **more)) for task in tasks]))

    def outcome(self, task: Task, reason: Reason, **more: Any) -> Outcome:
        return Outcome(
            **{"address": task.address.text, "reason": reason, "checked_at": self.now, **more}
        )

    def answer_all(self) -> list[str]:
        """Answer everything that is due as accepted; returns the addresses, in order."""
        asked = []
        while tasks := self.take():
            asked += [task.address.text for task in tasks]
            self.answer(*tasks)
        return asked

    def logged(self, level: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["log_level"].name == level]


def small_buckets(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let so many lines be a bucket of the ledger."""
    for module in ("reading", "settling", "importing", "verdicts", "erasing"):
        monkeypatch.setattr(f"twisted_probe.jobs.{module}.BUCKET", size)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "spool")
    yield daemon
    daemon.close()
