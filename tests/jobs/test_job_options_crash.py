"""The process ends at once, at any step: no list is asked about without its options."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from twisted_probe.vocabulary.source import Source

from .conftest import Daemon
from .crashing import die_after, forked, some_of

ONE = Source("192.0.2.10", helo="probe1.example.org")


def deliver(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", "control = false\n")
    daemon.drop("list", "ann@a.example\n")
    daemon.drop("broken.job.toml", "control = 0\n")
    daemon.drop("broken", "eve@e.example\n")
    daemon.drop("plain", "bob@b.example\n")


def work(daemon: Daemon) -> set[tuple[str, bool | None]]:
    """All that a daemon does with these; who was asked, with which wish for a control."""
    daemon.keeper.sources = (ONE,)
    asked: set[tuple[str, bool | None]] = set()
    for _ in range(4):
        daemon.tick(2)
        for task in daemon.take():
            asked.add((task.address.text, task.wishes.control))
            daemon.answer(task)
    return asked


def check(daemon: Daemon) -> None:
    assert daemon.names("new") == daemon.names("active") == []
    assert daemon.names("failed") == ["broken", "broken.error.txt", "broken.job.toml"]
    assert daemon.names("done") == [
        "list",
        "list.job.toml",
        "list.results.csv",
        "list.summary.json",
        "plain",
        "plain.results.csv",
        "plain.summary.json",
    ]
    assert daemon.read("done", "list.job.toml") == "control = false\n"
    assert daemon.read("failed", "broken.job.toml") == "control = 0\n"
    assert "control = 0: expected true or false" in daemon.read("failed", "broken.error.txt")
    assert not daemon.logged("error")
    assert not daemon.logged("critical")


def crashed(path: Path, steps: int) -> tuple[int, int]:
    """What a daemon that dies after so many steps ends with, and the steps that it made."""
    reading, writing = os.pipe()

    def run() -> None:
        daemon = Daemon(path)
        deliver(daemon)
        write = os.write
        with pytest.MonkeyPatch.context() as patch:
            steps_made = die_after(steps, patch, daemon.ledger._database)
            work(daemon)
            write(writing, f"{steps_made()}".encode())

    code = forked(run)
    os.close(writing)
    with os.fdopen(reading) as made:
        return code, int(made.read() or 0)


def test_a_crash_at_any_step(tmp_path: Path) -> None:
    code, total = crashed(tmp_path / "whole", 10**9)
    assert code == 0
    assert total > 200
    for steps in some_of(total):
        path = tmp_path / "spool"
        assert crashed(path, steps)[0] == 9
        daemon = Daemon(path)
        asked = work(daemon)
        try:
            check(daemon)
            assert asked <= {("ann@a.example", False), ("bob@b.example", None)}
        except AssertionError as error:
            raise AssertionError(f"after {steps} of {total} steps") from error
        finally:
            daemon.close()
        shutil.rmtree(path)
