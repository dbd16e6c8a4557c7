"""The process ends at once, at any step: no line is lost, none is answered twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from twisted_probe.jobs.deadline import JOB_DEADLINE
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.vocabulary.outcome import Reason, Retry

from .conftest import START, Daemon, result_of
from .crashing import die_after, forked, some_of

RETRY = Retry("192.0.2.1", "p.example.org", "p@example.org", "x@b.example", 1, START)


def deliver(daemon: Daemon) -> None:
    daemon.drop("list", "a@b.example\nb@b.example\n\nnobody\nA <a@B.example>\nc@b.example\n")
    daemon.drop("list.csv", 'id,email\n1,d@c.example\n"2\n",e@c.example\n')
    daemon.drop("broken", b"a@b.example\n\0")
    daemon.drop("other.pdf", "%PDF")
    daemon.drop("empty", "")


def work(daemon: Daemon, told: Callable[[str], object]) -> None:
    """All that a daemon does with these; what is committed is `told`."""
    for _ in range(20):
        daemon.tick(2)
        for task in daemon.take(2):
            address = task.address.text
            if task.retry is None and address.startswith(("b", "d")):
                waiting = daemon.outcome(
                    task,
                    Reason.GREYLISTED,
                    final=False,
                    next_attempt_at=daemon.now + 5,
                    retry=RETRY,
                )
                result_of(daemon.work.retry_at([(task, waiting)]))
                told(f"waits {address}")
            elif address.startswith("e"):
                result_of(daemon.work.give_back([task]))  # until its deadline
                daemon.clock.advance(5)
            else:
                daemon.answer(task, text=str(os.getpid()))
                told(f"{os.getpid()} {address}")
        if len(daemon.names("done")) == 9:
            break
        daemon.clock.advance(JOB_DEADLINE / 15)
    daemon.tick(2)


def check(daemon: Daemon, told: list[str]) -> None:
    """Everything is where it belongs, and what was committed has stayed."""
    assert daemon.names("new") == daemon.names("active") == []
    assert daemon.names("failed") == [
        "broken",
        "broken.error.txt",
        "other.pdf",
        "other.pdf.error.txt",
    ]
    assert daemon.names("done") == sorted(
        f"{name}{suffix}"
        for name in ("empty", "list", "list.csv")
        for suffix in ("", ".results.csv", ".summary.json")
    )
    rows = daemon.table("list")
    assert [row["address"] for row in rows] == [
        "a@b.example",
        "b@b.example",
        "nobody",
        "A <a@B.example>",
        "c@b.example",
    ]
    assert [row["probe_reason"] for row in rows] == [
        "accepted",
        "accepted",
        "invalid_address",
        "accepted",
        "accepted",
    ]
    records = daemon.table("list.csv")
    assert [row["id"] for row in records] == ["1", "2\n"]
    assert [row["probe_reason"] for row in records] == ["accepted", "temporary"]
    answers = {row["probe_address"]: row["probe_text"] for row in rows + records}
    for line in told:
        who, address = line.split()
        if who != "waits":
            assert answers[address] == who
    summary = daemon.summary("list")
    assert (summary["lines"], summary["recipients"], summary["duplicates"]) == (5, 3, 1)
    assert daemon.ledger.progress(daemon.now) == []
    assert not daemon.logged("error")
    assert not daemon.logged("critical")


def crashed(path: Path, steps: int) -> tuple[int, list[str]]:
    """What a daemon that dies after so many steps ends with, and what it told."""
    reading, writing = os.pipe()

    def run() -> None:
        daemon = Daemon(path)
        deliver(daemon)
        write = os.write
        with pytest.MonkeyPatch.context() as patch:
            steps_made = die_after(steps, patch, daemon.ledger._database)
            work(daemon, lambda line: write(writing, f"{line}\n".encode()))
            write(writing, f"steps {steps_made()}\n".encode())

    code = forked(run)
    os.close(writing)
    with os.fdopen(reading) as told:
        return code, told.read().splitlines()


def test_a_crash_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger.import_rows, "__defaults__", (2,))
    code, told = crashed(tmp_path / "whole", 10**9)
    assert code == 0
    total = int(told.pop().removeprefix("steps "))
    assert total > 300
    again = Daemon(tmp_path / "whole")
    check(again, told)
    again.close()

    for steps in some_of(total):
        path = tmp_path / "spool"
        code, told = crashed(path, steps)
        assert code == 9

        daemon = Daemon(path)
        asked: list[str] = []
        work(daemon, asked.append)
        try:
            check(daemon, told)
        except AssertionError as error:
            raise AssertionError(f"after {steps} of {total} steps") from error
        finally:
            daemon.close()
        waited = {line for line in told if line.startswith("waits")}
        assert not waited & set(asked), "greylisted twice"
        shutil.rmtree(path)
