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
from twisted_probe.jobs.ledger import Ledger
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

from .town_square import Square, town

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

        def run(call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            return deferLater(square, 0, call, *arguments)

        work = Watched(ledger, ledger.writer(run), square, Room(str(tmp_path)))
        engine = Engine(square, t.prober, work, window=WINDOW, idle=0.5)
        engine.start()
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


def _ledger(path: Path, square: Square, addresses: Sequence[str]) -> Ledger:
    """One with a job of these."""
    spool = Spool(str(path / "spool"))
    ledger = Ledger(spool.ledger_path)
    keeper = JobKeeper(spool, ledger, execute, square)
    (path / "spool" / "new" / "list.txt").write_text("\n".join(addresses))
    while not any(each.pending == len(addresses) for each in ledger.progress(square.seconds())):
        Deferred.fromCoroutine(keeper.tick())
        square.advance(1)
    spool.close()
    return ledger


def test_one_behind_the_other() -> None:
    book = Appointments()
    assert [book.make("a", 100.0, 2.0) for _ in range(3)] == [SOON + 2, SOON + 4, SOON + 6]
    assert book.make("b", 100.0, 2.0) == SOON + 2
    assert book.make("a", 104.0, 2.0) == SOON + 4
    assert book.make("a", 1000.0, 2.0) == SOON + 2


def test_nobody_is_put_off_for_long() -> None:
    book = Appointments()
    assert [book.make("a", 0.0, LATE / 2) for _ in range(3)] == [SOON + LATE / 2, LATE, LATE]


def test_sites_are_forgotten() -> None:
    book = Appointments()
    for number in range(MAX_SITES + 1):
        book.make(f"site{number}", 100.0 * number, 1.0)
    assert len(book._last) == 1
