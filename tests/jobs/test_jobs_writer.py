"""Calls that wait for the disk are committed together, and fail alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.one_turn import one_turn
from twisted_probe.jobs import writer
from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.writer import Writer
from twisted_probe.routing.turns import SLICE


class Room:
    """A database whose thread does its work when it is told to."""

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("CREATE TABLE words (word TEXT PRIMARY KEY)")
        self.statements: list[str] = []
        self.database.set_trace_callback(self.statements.append)
        self.clock = Clock()
        self.todo: list[Callable[[], None]] = []
        self.write = Writer(
            self.database, self.run, self.clock, lambda: self.heard.append("undone")
        )
        self.heard: list[Any] = []
        self.calls: list[list[str]] = []

    def run(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        made: Deferred[Any] = Deferred()

        def work() -> None:
            try:
                result = call(*arguments)
            except Exception:
                made.errback()
            else:
                made.callback(result)

        self.todo.append(work)
        return made

    def work(self) -> None:
        while self.todo:
            self.todo.pop(0)()

    def keep(self, word: str) -> str:
        with transaction(self.database):
            self.database.execute("INSERT INTO words VALUES (?)", (word,))
            if word == "bad":
                raise ValueError(word)
            if word == "full":
                self.database.execute("ROLLBACK")
                raise sqlite3.OperationalError("database or disk is full")
        return word.upper()

    def ask(self, *words: str) -> None:
        for word in words:
            self.write(self.keep, word).addCallbacks(
                self.heard.append, lambda failure: self.heard.append(str(failure.value))
            )

    def keep_all(self, words: Sequence[str]) -> None:
        self.calls.append(list(words))
        with transaction(self.database):
            for word in words:
                self.keep(word)

    def gather(self, *words: str) -> None:
        self.write.gather(self.keep_all, words).addCallbacks(
            lambda _: self.heard.append(words),
            lambda failure: self.heard.append(str(failure.value)),
        )

    @property
    def kept(self) -> list[str]:
        return [row[0] for row in self.database.execute("SELECT word FROM words ORDER BY rowid")]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path / "words.sqlite")
    yield room
    room.database.close()


def test_those_that_wait_are_committed_together(room: Room) -> None:
    room.ask("a", "b", "c")
    assert len(room.todo) == 1
    room.work()
    assert room.heard == ["A", "B", "C"]
    assert room.kept == ["a", "b", "c"]
    assert room.statements.count("COMMIT") == 1


def test_what_came_before_is_not_overtaken(room: Room) -> None:
    room.ask("a")
    room.run(room.heard.append, "another")
    room.ask("b")
    room.todo.pop(0)()
    room.ask("c")
    room.work()
    assert room.heard == ["A", "B", "another", "C"]


def test_no_more_than_so_many(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST", 2)
    room.ask("a", "b", "c", "d")
    room.work()
    assert room.heard == ["A", "B", "C", "D"]
    assert room.statements.count("COMMIT") == 2


def test_one_that_fails_undoes_nothing_of_the_others(room: Room) -> None:
    room.ask("a", "b", "bad", "b", "c")
    room.work()
    assert room.heard == ["A", "B", "bad", "UNIQUE constraint failed: words.word", "C"]
    assert room.kept == ["a", "b", "c"]


def test_a_full_disk_is_told_to_all_of_the_transaction(room: Room) -> None:
    room.ask("a", "b", "full", "c")
    room.work()
    assert room.heard == ["undone", *["database or disk is full"] * 4]
    assert room.kept == []
    room.ask("d")
    room.work()
    assert room.kept == ["d"]


def test_they_are_told_in_as_many_turns_as_they_need(room: Room) -> None:
    def long(word: str) -> None:
        room.heard.append(word)
        room.clock.rightNow += SLICE

    for word in "abc":
        room.write(room.keep, word).addCallback(long)
    room.work()
    assert room.kept == ["a", "b", "c"]
    assert room.heard == ["A"]
    room.ask("d")
    room.work()
    one_turn(room.clock)
    assert room.heard == ["A", "B"]
    one_turn(room.clock)
    one_turn(room.clock)
    assert room.heard == ["A", "B", "C", "D"]
    assert room.clock.getDelayedCalls() == []


def test_who_is_told_may_write_at_once(room: Room) -> None:
    room.write(room.keep, "a").addCallback(lambda word: room.ask(word))
    room.work()
    assert room.kept == ["a", "A"]


def test_one_that_is_cancelled_is_written_all_the_same(room: Room) -> None:
    made = room.write(room.keep, "a")
    made.addBoth(lambda failure: room.heard.append(failure.type.__name__))
    made.cancel()
    room.work()
    assert room.heard == ["CancelledError"]
    assert room.kept == ["a"]


class TestGathered:
    def test_one_call_for_all_at_the_place_of_the_first(self, room: Room) -> None:
        room.ask("a")
        room.gather("b", "c")
        room.ask("d")
        room.gather("e")
        room.work()
        assert room.calls == [["b", "c", "e"]]
        assert room.kept == ["a", "b", "c", "e", "d"]
        assert room.heard == ["A", ("b", "c"), ("e",), "D"]
        room.gather("f")
        room.work()
        assert room.calls[1:] == [["f"]]

    def test_one_that_fails_undoes_nothing_of_the_others(self, room: Room) -> None:
        room.gather("a")
        room.gather("b", "bad")
        room.gather("c")
        room.work()
        assert room.calls == [["a", "b", "bad", "c"], ["a"], ["b", "bad"], ["c"]]
        assert room.heard == [("a",), "bad", ("c",)]
        assert room.kept == ["a", "c"]

    def test_a_full_disk_is_told_to_all(self, room: Room) -> None:
        room.gather("a")
        room.gather("full")
        room.work()
        assert room.heard == ["undone", *["database or disk is full"] * 2]
        assert room.kept == []

    def test_no_more_than_so_many(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(writer, "MOST", 2)
        for word in "abc":
            room.gather(word)
        room.work()
        assert room.calls == [["a", "b"], ["c"]]
        assert room.statements.count("COMMIT") == 2
