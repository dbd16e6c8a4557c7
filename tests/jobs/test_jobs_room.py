"""Row 155: a disk without room. Nothing is begun, nothing is lost, and it goes on by itself."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from twisted_probe.jobs.room import FREE, FREE_FILES, REST, Room
from twisted_probe.vocabulary.outcome import Reason

from .conftest import START, Daemon, result_of


@frozen
class Disk:
    """What statvfs says of a disk."""

    f_bavail: int = FREE // 4096
    f_frsize: int = 4096
    f_files: int = 10**6
    f_favail: int = FREE_FILES


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the disk be like that."""

    def becomes(**changes: int) -> None:
        monkeypatch.setattr(os, "statvfs", lambda path: evolve(Disk(), **changes))

    return becomes


@pytest.fixture
def room(tmp_path: Path) -> Room:
    room = Room(str(tmp_path))
    room.log = Listener()  # type: ignore[assignment]
    return room


class Listener:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, form: str, **fields: Any) -> None:
        self.lines.append(form.format(**fields))

    info = error


class TestRoom:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"f_bavail": FREE // 4096 - 1}, "has 63 MiB free, of 64 that are kept so"),
            ({"f_bavail": 0}, "has 0 MiB free"),
            ({"f_favail": FREE_FILES - 1}, f"has room for {FREE_FILES - 1} more files (inodes)"),
        ],
    )
    def test_none(
        self, room: Room, disk: Callable[..., None], changes: dict[str, int], words: str
    ) -> None:
        disk(**changes)
        assert [room.look(START + second) for second in range(3)] == [False] * 3
        assert words in room.lack
        disk()
        assert room.look(START + 3)
        assert room.lack == ""
        told, over = room.log.lines  # type: ignore[attr-defined]
        assert words in told
        assert "until there is room" in told
        assert "room on the disk again" in over

    def test_file_systems_that_count_no_files(self, room: Room, disk: Callable[..., None]) -> None:
        disk(f_files=0, f_favail=0)
        assert room.look(START)

    def test_a_disk_that_cannot_be_asked(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(path: str) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "statvfs", fails)
        assert not room.look(START)
        assert room.lack == "the spool's disk: Input/output error"

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            OSError(errno.EROFS, "Read-only file system"),
            sqlite3.OperationalError("database or disk is full"),
        ],
    )
    def test_what_statvfs_does_not_show(
        self, room: Room, monkeypatch: pytest.MonkeyPatch, error: Exception, tmp_path: Path
    ) -> None:
        tries = 0

        def full(descriptor: int, data: bytes) -> int:
            nonlocal tries
            tries += 1
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

        room.failed(error)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            assert not any(room.look(START + second) for second in range(int(REST)))
            assert tries == 1
            assert room.lack.endswith("refuses what is written: Disk quota exceeded")
            assert not room.look(START + REST)
            assert tries == 2
        assert not room.look(START + REST + 1)
        assert room.look(START + 2 * REST)
        assert os.listdir(tmp_path) == []

    def test_a_clock_set_back_holds_nothing_up(
        self, room: Room, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.failed(OSError(errno.ENOSPC, "No space left on device"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: os.close(-1))
            assert not room.look(START)
        assert room.look(START - 7200)

    @pytest.mark.parametrize("error", [OSError(errno.EIO, "no"), ValueError(), KeyError()])
    def test_other_trouble_is_not_the_disks(self, room: Room, error: Exception) -> None:
        room.failed(error)
        assert room.look(START)


class TestNothingIsBegun:
    def test_no_list_is_taken_and_nobody_is_asked(
        self, daemon: Daemon, disk: Callable[..., None]
    ) -> None:
        daemon.drop("one", "a@b.example\n")
        daemon.tick(2)
        disk(f_bavail=0)
        daemon.drop("two", "b@b.example\n")
        daemon.tick(3)
        assert not daemon.take()
        assert daemon.names("new") == ["two"]

        disk()
        daemon.tick(2)
        assert sorted(daemon.answer_all()) == ["a@b.example", "b@b.example"]
        daemon.tick()
        assert daemon.table("one")
        assert daemon.table("two")

    def test_what_was_begun_is_kept_and_its_results_wait(
        self, daemon: Daemon, disk: Callable[..., None]
    ) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        (task,) = daemon.take()
        disk(f_bavail=0)
        daemon.answer(task)
        daemon.tick(3)
        assert daemon.names("done") == []
        disk()
        daemon.tick(2)
        assert daemon.table("list")[0]["probe_reason"] == "accepted"

    def test_reading_waits_where_it_is(
        self, daemon: Daemon, disk: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(daemon.ledger).import_rows, "__defaults__", (10,))
        really, read = type(daemon.ledger).import_rows, 0

        def counted(*arguments: Any) -> bool:
            nonlocal read
            read += 1
            if read == 3:
                disk(f_bavail=0)
                daemon.spool.room.look(daemon.now)
            return really(*arguments)

        monkeypatch.setattr(type(daemon.ledger), "import_rows", counted)
        daemon.drop("list", "".join(f"user{number}@b.example\n" for number in range(100)))
        daemon.tick(5)
        assert read == 3
        disk()
        daemon.tick(3)
        assert len(daemon.answer_all()) == 100

    def test_a_stop_does_not_wait_for_room(
        self, daemon: Daemon, disk: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = type(daemon.ledger).import_rows

        def last(*arguments: Any) -> bool:
            disk(f_bavail=0)
            daemon.spool.room.look(daemon.now)
            return really(*arguments)

        monkeypatch.setattr(type(daemon.ledger), "import_rows", last)
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        stopping = Deferred.fromCoroutine(daemon.keeper.stop())
        daemon.clock.advance(1)
        assert stopping.called


class TestWhatCouldNotBeWritten:
    """The disk refuses commits though it said that it had room."""

    @pytest.mark.parametrize("was_asked", [False, True])
    def test_everybody_is_asked_again_once_there_is_room(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, was_asked: bool
    ) -> None:
        daemon.drop("list", "a@b.example\nb@b.example\n")
        daemon.tick(2)
        tasks = daemon.take()
        if was_asked:
            waiting = [
                daemon.outcome(
                    task, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 300
                )
                for task in tasks
            ]
            result_of(daemon.work.retry_at(list(zip(tasks, waiting, strict=True))))
            daemon.clock.advance(300)
            tasks = daemon.take()
        assert len(tasks) == 2
        daemon.ledger._database.execute("PRAGMA query_only = ON")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: os.close(-1))
            answers = [(task, daemon.outcome(task, Reason.ACCEPTED)) for task in tasks]
            with pytest.raises(sqlite3.OperationalError):
                result_of(daemon.work.report(answers))
            result_of(daemon.work.give_back(tasks, 60.0))
            assert not daemon.take()
        daemon.ledger._database.execute("PRAGMA query_only = OFF")

        daemon.clock.advance(REST)
        assert not daemon.take()  # until what they were given back for is over
        daemon.clock.advance(60)
        assert sorted(daemon.answer_all()) == ["a@b.example", "b@b.example"]
        daemon.tick()
        assert {row["probe_reason"] for row in daemon.table("list")} == {"accepted"}
