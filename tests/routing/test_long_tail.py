"""A list whose first lines are all one provider's does not keep the others waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import deferLater

from twisted_probe.jobs import recipients
from twisted_probe.jobs.intake import JobKeeper
from twisted_probe.jobs.ledger import Ledger, State
from twisted_probe.jobs.ledger_work import LedgerWork
from twisted_probe.jobs.room import Room
from twisted_probe.jobs.spool import Spool
from twisted_probe.routing.appointments import LATE, MAX_SITES, SOON, Appointments
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.limits import Limits
from twisted_probe.routing.work import Task
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Outcome
from twisted_probe.vocabulary.source import Source

from .town_square import Square, Town, town

#: Domains of the provider, and of others behind them in the ledger's order.
PROVIDERS, OTHERS = 4_000, 50
#: A window as much smaller than the daemon's as the list is than one of 20,000 lines.
WINDOW = 1_000
#: More than the sessions that may wait at a site, so that each source wants one of its own.
SOURCES = [Source(f"198.51.100.{n}", helo=f"probe{n}.example.org") for n in range(1, 13)]
MAX_WAITING = 8
MAX_UNFINISHED = 500


class Watched(LedgerWork):
    """The ledger's work; `settled` has the domains, `given_back` counts."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.settled: list[str] = []
        self.given_back = 0

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        self.settled += [task.address.domain for task, _ in settled]
        return super().report(settled)

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        self.given_back += len(tasks)
        return super().give_back(tasks, delay)


def test_the_provider_fills_no_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "MAX_UNFINISHED", MAX_UNFINISHED)
    provider = [f"a{n}.example" for n in range(PROVIDERS)]
    others = [f"z{n}.example" for n in range(OTHERS)]
    names = {
        **{domain: ["MX 10 mx.a.example"] for domain in provider},
        **{domain: [f"MX 10 mx.{domain}"] for domain in others},
        **{f"mx.{domain}": [f"A 192.0.2.{n}"] for n, domain in enumerate(others, 2)},
        "mx.a.example": ["A 192.0.2.1"],
    }
    with town(names, sources=SOURCES, limits=Limits(), max_waiting=MAX_WAITING) as t:
        square: Square = t.square
        square.latency = 0.05
        for n in range(1, OTHERS + 2):
            square.settle(f"192.0.2.{n}", tempers.postfix(residents("ann")))
        ledger = _ledger(tmp_path, square, [f"ann@{domain}" for domain in provider + others])
        work, engine = _at_work(t, ledger, tmp_path)
        begun = square.seconds()
        while set(others) - set(work.settled):
            square.step()
        # Each look at the ledger passes a window of those who wait.
        assert square.seconds() - begun < 5.0
        passed = work.given_back
        assert passed < PROVIDERS
        while square.seconds() - begun < 60.0:
            square.step()
        answered = len(work.settled) - OTHERS
        assert answered > 300  # the rate of its rejections, five a second
        # Those who were turned away come again as fast as sessions may carry them, not all.
        assert work.given_back - passed < 18 * 60 - answered
        assert sum(len(walk.unfinished) for walk in ledger._walks.values()) <= MAX_UNFINISHED
        assert len(ledger._held) <= MAX_UNFINISHED
        # Those whom a session could not reach wait for the next one, beyond those who may wait.
        assert engine.in_hand < 2 * MAX_WAITING * engine.batch
        stopped = engine.stop(0.0)
        square.wait(stopped)
        (progress,) = ledger.progress(square.seconds())
        assert progress.pending + progress.waiting == PROVIDERS - answered
        ledger.close()


#: Seconds after which the small job comes, and recipients of it.
LATER, SMALL = 60.0, 20


def test_a_small_job_does_not_wait_for_a_large_one(tmp_path: Path) -> None:
    large = [f"a{n}.example" for n in range(PROVIDERS)]
    small = [f"b{n}.example" for n in range(SMALL)]
    names = {
        **{domain: ["MX 10 mx.a.example"] for domain in large + small},
        "mx.a.example": ["A 192.0.2.1"],
    }
    with town(names, sources=SOURCES, limits=Limits(), max_waiting=MAX_WAITING) as t:
        square: Square = t.square
        square.latency = 0.05
        square.settle("192.0.2.1", tempers.postfix(residents("ann")))
        ledger = _ledger(tmp_path, square, [f"ann@{domain}" for domain in large])
        work, engine = _at_work(t, ledger, tmp_path)
        begun = square.seconds()
        while square.seconds() - begun < LATER:
            square.step()
        _add_job(ledger, tmp_path, square, "small.txt", [f"ann@{domain}" for domain in small])
        before = len(work.settled)
        while set(small) - set(work.settled):
            square.step()
        # Sixteen minutes' worth of the large one were left; the last of the small one has come a
        # few times before it found a place.
        assert len(work.settled) - before < 20 * SMALL
        square.wait(engine.stop(0.0))
        ledger.close()


def _at_work(t: Town, ledger: Ledger, path: Path) -> tuple[Watched, Engine]:
    def run(call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferLater(t.square, 0, call, *arguments)

    work = Watched(ledger, ledger.writer(run, t.square), t.square, Room(str(path)))
    engine = Engine(t.square, t.prober, work, window=WINDOW, idle=0.5)
    engine.start()
    return work, engine


def _ledger(path: Path, square: Square, addresses: Sequence[str]) -> Ledger:
    """One with a job of these."""
    spool = Spool(str(path / "spool"))
    ledger = Ledger(spool.ledger_path)
    spool.close()
    _add_job(ledger, path, square, "list.txt", addresses)
    return ledger


def _add_job(
    ledger: Ledger, path: Path, square: Square, name: str, addresses: Sequence[str]
) -> None:
    spool = Spool(str(path / "spool"))
    keeper = JobKeeper(spool, ledger, execute, square)
    (path / "spool" / "new" / name).write_text("\n".join(addresses))
    while name.encode() not in {each.name for each in ledger.jobs(State.OPEN)}:
        Deferred.fromCoroutine(keeper.tick())
        square.advance(1)
    spool.close()


def test_one_behind_the_other() -> None:
    book = Appointments()
    assert [book.make("a", None, 100.0, 2.0) for _ in range(3)] == [SOON + 2, SOON + 4, SOON + 6]
    assert book.make("b", None, 100.0, 2.0) == SOON + 2
    assert book.make("a", None, 104.0, 2.0) == SOON + 4
    assert book.make("a", None, 1000.0, 2.0) == SOON + 2


def test_each_origin_has_a_line_of_its_own() -> None:
    book = Appointments()
    for _ in range(100):
        large = book.make("a", 1, 100.0, 2.0)
    assert large == SOON + 200
    assert [book.make("a", 2, 100.0, 2.0) for _ in range(2)] == [SOON + 4, SOON + 8]
    assert book.make("a", 1, 100.0, 2.0) == SOON + 204
    # The small one is through: the time is the large one's again.
    assert book.make("a", 1, 200.0, 2.0) == SOON + 106


def test_nobody_is_put_off_for_long() -> None:
    book = Appointments()
    assert [book.make("a", None, 0.0, LATE / 2) for _ in range(3)] == [SOON + LATE / 2, LATE, LATE]


def test_sites_are_forgotten() -> None:
    book = Appointments()
    for number in range(MAX_SITES + 1):
        book.make(f"site{number}", None, 100.0 * number, 1.0)
    assert len(book._last) == 1
