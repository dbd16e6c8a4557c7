"""Rows 151 to 167 of cases.md: the spool. What no other test shows of them, and that each has one.

The others stand where their matter is: `test_row_NNN_…` in tests/jobs and tests/daemon.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.jobs.spool import UNREADABLE

from .conftest import Daemon

ROWS = range(151, 168)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_row_153_a_device(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    """Seen to be one by its status alone: it is never opened."""
    daemon.drop("list", "a@b.example\n")
    really = os.stat

    def device(name: Any, **more: Any) -> os.stat_result:
        found = really(name, **more)
        return os.stat_result((kind | 0o600, *found[1:])) if name == b"list" else found

    def opened(name: Any, *arguments: Any, **more: Any) -> int:
        assert name != b"list"
        return open_(name, *arguments, **more)

    open_ = os.open
    monkeypatch.setattr(os, "stat", device)
    monkeypatch.setattr(os, "open", opened)
    daemon.tick(3)
    assert daemon.read("failed", "list.error.txt") == "it is a device; a job is a plain file\n"


def test_row_154_told_once_and_tried_again_until_it_is_given_up(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.drop("mine", "a@b.example\n")
    daemon.drop("theirs", "a@b.example\n")
    really = os.open
    tries = 0

    def denied(name: Any, *arguments: Any, **more: Any) -> int:
        nonlocal tries
        if name == b"theirs":
            tries += 1
            raise PermissionError(13, "Permission denied")
        return really(name, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        daemon.tick(20)
        assert [task.address.text for task in daemon.take()] == ["a@b.example"]
        (event,) = daemon.logged("warn")
        assert event["name"] == "theirs"
        assert "may not read it" in event["why"]
        assert tries == 19
    daemon.tick()
    assert daemon.names("new") == []

    daemon.drop("never", "a@b.example\n")
    with monkeypatch.context() as patch:
        patch.setattr(
            os,
            "open",
            lambda name, *rest, **more: denied(
                b"theirs" if name == b"never" else name, *rest, **more
            ),
        )
        daemon.tick()
        daemon.clock.advance(UNREADABLE)
        daemon.tick()
        assert "drop it again then" in daemon.read("failed", "never.error.txt")


def test_row_159_one_question_for_all_who_ask_it(daemon: Daemon) -> None:
    """Thousands of lines in three spellings are one recipient, and each has its answer."""
    spellings = ("a@b.example", "a@B.EXAMPLE", "Ann <a@b.example>")
    lines = [spellings[number % 3] for number in range(12_000)]
    daemon.drop("list", "\n".join(lines))
    daemon.tick(2)
    (task,) = daemon.take()
    daemon.answer(task)
    daemon.tick(2)
    rows = daemon.table("list")
    assert len(rows) == len(lines)
    assert {row["probe_reason"] for row in rows} == {"accepted"}
    assert daemon.summary("list")["duplicates"] == len(lines) - 1


def hidden(daemon: Daemon) -> Path:
    return daemon.path / "done" / ".list.results.csv.tmp"


@pytest.mark.parametrize(
    "meddle",
    [
        lambda file: file.unlink(),
        lambda file: file.rename(file.with_name("rotated")),
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_row_167_results_that_are_taken_while_they_are_written(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Path], object]
) -> None:
    """They are written once more, whole; what was put in their place is told of."""
    monkeypatch.setattr("twisted_probe.jobs.results.PAGE", 10)
    lines = [f"user{number}@b.example" for number in range(100)]
    daemon.drop("list", "\n".join(lines))
    daemon.tick(2)
    daemon.answer_all()
    run = daemon.keeper._run
    turns = 0

    def meddling(function: Any, *arguments: Any) -> Any:
        nonlocal turns
        turns += function is next
        if turns == 5:
            turns += 1
            meddle(hidden(daemon))
        return run(function, *arguments)

    daemon.keeper._run = meddling
    daemon.tick()
    assert "list.results.csv" not in daemon.names("done")
    if hidden(daemon).is_dir():
        hidden(daemon).rmdir()
    daemon.tick(2)
    assert [row["probe_address"] for row in daemon.table("list")] == lines
    assert len(daemon.logged("error")) == 1


def test_row_167_results_that_were_taken_once_they_were_there(daemon: Daemon) -> None:
    """They are their reader's from then on: nothing is written again, and nothing is amiss."""
    daemon.drop("list", "a@b.example\n")
    daemon.tick(2)
    daemon.answer_all()
    daemon.tick()
    for name in daemon.names("done"):
        (daemon.path / "done" / name).unlink()
    daemon.tick(3)
    daemon.restart()
    daemon.tick(3)
    assert daemon.names("done") == []
    assert daemon.logged("error") == []


def test_every_row_has_a_test() -> None:
    tests = Path(__file__).parents[1]
    named = {
        int(row)
        for directory in ("jobs", "daemon")
        for path in (tests / directory).glob("test_*.py")
        for row in re.findall(r"def test_row_(\d+)_", path.read_text("utf-8"))
    }
    assert set(ROWS) <= named
