"""What operators see of a daemon at work: a status, a line a minute, and what it is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from twisted_probe.daemon.figures import CHEAP, Figures, Teller


class Listener:
    """A service manager, and whether it is there."""

    def __init__(self) -> None:
        self.is_told = True
        self.heard: list[str] = []

    def status(self, status: str) -> None:
        self.heard.append(status)


class Watched:
    """A teller, and what it looks at."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.manager = Listener()
        self.figures = Figures()
        self.looks = 0
        self.flushes = 0
        self.waiting: Deferred[None] = succeed(None)
        self.teller = Teller(self.clock, self.look, self.manager, self.flush)  # type: ignore[arg-type]

    async def look(self) -> Figures:
        self.looks += 1
        await self.waiting
        return self.figures

    def flush(self) -> None:
        self.flushes += 1

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    watched.teller.start()
    yield watched
    watched.teller.stop()


def lines_of(watched: Watched, seconds: int) -> list[str]:
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    watched.pass_by(seconds)
    globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]
    return [formatEvent(event) for event in events]


def test_a_status_every_ten_seconds(watched: Watched) -> None:
    watched.figures = Figures(jobs=2, settled=5, in_hand=3, waiting=2, pending=7)
    watched.pass_by(35)

    words = "2 jobs: 3 in hand, 2 waiting, 7 to be asked; 5 settled since the start"
    assert watched.manager.heard == [words] * 3


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (Figures(), "no jobs; 0 settled since the start"),
        (
            Figures(jobs=1, waiting=2),
            "1 job: 0 in hand, 2 waiting, 0 to be asked; 0 settled since the start",
        ),
    ],
)
def test_status(figures: Figures, words: str) -> None:
    assert figures.status() == words


def test_a_line_a_minute_while_there_is_work(watched: Watched) -> None:
    watched.figures = Figures(jobs=1, settled=120, in_hand=3, waiting=2, pending=7)
    first = lines_of(watched, 60)
    watched.figures = Figures(jobs=1, settled=126, waiting=2)
    second = lines_of(watched, 60)

    assert first == ["120 settled within 60 s (2.0/s), 3 in hand, 2 waiting, 7 to be asked"]
    assert second == ["6 settled within 60 s (0.1/s), 0 in hand, 2 waiting, 0 to be asked"]


def test_none_while_everybody_waits(watched: Watched) -> None:
    watched.figures = Figures(jobs=1, settled=120, waiting=2)
    assert len(lines_of(watched, 60)) == 1
    assert lines_of(watched, 300) == []


def test_nobody_is_told(watched: Watched) -> None:
    """The ledger is looked at for the line alone."""
    watched.manager.is_told = False
    watched.pass_by(120)

    assert watched.looks == 2
    assert watched.flushes == 12


def test_a_look_that_takes_long(watched: Watched) -> None:
    watched.waiting = Deferred()
    watched.pass_by(10)
    watched.clock.advance(CHEAP + 0.1)
    watched.waiting.callback(None)
    watched.pass_by(55)

    # The first, and that of the minute.
    assert watched.looks == 2
    watched.pass_by(20)
    assert watched.looks == 4


def test_a_look_that_fails(watched: Watched, expect_errors: Any) -> None:
    expect_errors(1)
    watched.waiting = Deferred()
    watched.pass_by(10)
    watched.waiting.errback(RuntimeError("no"))
    watched.waiting = succeed(None)
    watched.pass_by(10)

    assert len(watched.manager.heard) == 1


def test_the_end_waits_for_the_look(watched: Watched) -> None:
    watched.waiting = Deferred()
    watched.pass_by(10)
    ended: list[object] = []
    watched.teller.stop().addCallback(ended.append)
    assert ended == []
    watched.waiting.callback(None)
    assert len(ended) == 1
    assert watched.teller.stop().called


def test_a_teller_that_never_began() -> None:
    assert Watched().teller.stop().called
