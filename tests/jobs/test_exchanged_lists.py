"""A list in active/ that somebody exchanges for something else: told once, and the job ends as one
whose list was taken away; nothing of what was put there is lost, and all other jobs go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import Daemon, result_of


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def directory(path: Path) -> None:
    path.mkdir()
    (path / "precious").touch()


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # Its name may be longer than such an address.
        here = os.open(path.parent, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


KINDS: dict[str, Callable[[Path], object]] = {
    "a symbolic link": link,
    "a directory": directory,
    "a named pipe": os.mkfifo,
    "a socket": listening,
}

every_kind = pytest.mark.parametrize("kind", KINDS)


def exchange(daemon: Daemon, kind: str, name: str = "list") -> None:
    path = daemon.path / "active" / name
    path.unlink()
    KINDS[kind](path)


def check_given_up(daemon: Daemon, kind: str) -> None:
    """And so it stays."""
    daemon.tick(3)
    assert daemon.names("active") == []
    assert daemon.names("failed") == ["list", "list.error.txt"]
    words = f"list: it is {kind}, and was a plain file; put it aside, and drop the list again"
    assert daemon.read("failed", "list.error.txt") == f"{words}\n"
    assert [event["why"] for event in daemon.logged("warn")] == [words]
    assert daemon.logged("error") == daemon.logged("critical") == []
    assert "other.results.csv" in daemon.names("done")
    assert daemon.ledger.progress(daemon.now) == []


@every_kind
def test_when_all_are_answered(daemon: Daemon, kind: str) -> None:
    daemon.drop("list", "a@b.example\n")
    daemon.drop("other", "b@b.example\n")
    daemon.tick(2)
    exchange(daemon, kind)
    daemon.answer_all()
    check_given_up(daemon, kind)
    if kind == "a directory":
        assert (daemon.path / "failed" / "list" / "precious").exists()

    (daemon.path / "failed" / "list").rename(daemon.path / "aside")
    (daemon.path / "failed" / "list.error.txt").unlink()
    daemon.drop("list", "a@b.example\n")
    daemon.tick(2)
    daemon.answer_all()
    daemon.tick(2)
    assert [row["address"] for row in daemon.table("list")] == ["a@b.example"]


@every_kind
def test_before_it_was_read(daemon: Daemon, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.drop("list", "a@b.example\n")
    daemon.drop("other", "?\n")
    really = daemon.ledger.add_job

    def add_job(name: bytes, *arguments: Any) -> int:
        if name == b"list":
            exchange(daemon, kind)
        return really(name, *arguments)

    monkeypatch.setattr(daemon.ledger, "add_job", add_job)
    daemon.tick(3)
    check_given_up(daemon, kind)


@every_kind
def test_while_no_daemon_runs(daemon: Daemon, kind: str) -> None:
    """Nobody is asked for a list that there is not."""
    daemon.drop("list", "a@b.example\n")
    daemon.drop("other", "?\n")
    daemon.tick(2)
    exchange(daemon, kind)
    daemon.restart()
    result_of(daemon.keeper.recognise())
    assert daemon.answer_all() == []
    check_given_up(daemon, kind)


def test_what_the_ledger_never_knew(daemon: Daemon) -> None:
    daemon.drop("other", "?\n")
    link(daemon.path / "active" / "list")
    daemon.tick(3)
    check_given_up(daemon, "a symbolic link")


def test_when_its_results_are_written(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay, and what is there goes where the list would."""
    daemon.drop("list", "?\n")
    really = daemon.ledger.mark_finished

    def mark_finished(job: int) -> None:
        really(job)
        exchange(daemon, "a symbolic link")
        raise OSError("the power fails")

    monkeypatch.setattr(daemon.ledger, "mark_finished", mark_finished)
    daemon.tick(3)
    daemon.restart()
    result_of(daemon.keeper.recognise())
    daemon.tick()
    assert len(daemon.table("list")) == 1
    assert (daemon.path / "done" / "list").is_symlink()
    assert daemon.names("active") == daemon.names("failed") == []


def test_its_options(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is never asked about in another way than was wanted."""
    daemon.drop("list.job.toml", "control = false\n")
    daemon.drop("list", "a@b.example\n")
    really = daemon.spool.scan

    def scan(now: float) -> list[bytes]:
        if claimed := really(now):
            exchange(daemon, "a symbolic link", "list.job.toml")
        return claimed

    monkeypatch.setattr(daemon.spool, "scan", scan)
    daemon.tick(4)
    assert daemon.answer_all() == []
    assert daemon.names("active") == []
    assert daemon.names("failed") == ["list", "list.error.txt", "list.job.toml"]
    assert daemon.read("failed", "list") == "a@b.example\n"
    assert daemon.read("failed", "list.error.txt") == (
        "list.job.toml: it is a symbolic link, and was a plain file; put it aside, and drop the "
        "list again\n"
    )


def test_one_that_cannot_be_moved(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told once; when it can be, the job ends."""
    daemon.drop("list", "a@b.example\n")
    daemon.drop("other", "b@b.example\n")
    daemon.tick(2)
    exchange(daemon, "a directory")
    daemon.answer_all()
    really = os.rename
    is_mine = False

    def rename(*arguments: Any, **more: Any) -> None:
        if arguments[0] == b"list" and not is_mine:
            raise PermissionError("a directory of another user's")
        really(*arguments, **more)

    monkeypatch.setattr(os, "rename", rename)
    daemon.tick(5)
    assert len(daemon.logged("error")) == 1
    assert "other.results.csv" in daemon.names("done")
    assert daemon.names("failed") == []
    is_mine = True
    daemon.tick(2)
    assert daemon.names("failed") == ["list", "list.error.txt"]
    assert daemon.ledger.progress(daemon.now) == []
