"""The figures by themselves: rates, what limits, how much longer, and who counts when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from twisted_probe.daemon.status import (
    ALARMED,
    LONG_WINDOW,
    Figures,
    Load,
    Meter,
    MeteredWork,
    limit_of,
    path_of,
    seconds_left,
)
from twisted_probe.jobs.formats import Format
from twisted_probe.jobs.ledger import Job, Progress, State
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Outcome, Reason

NOW = 1_800_000_000.0
IDLE = Load(open=0, most=500)

JOB = Job(
    id=1,
    name=b"list.txt",
    format=Format.TXT,
    state=State.OPEN,
    received_at=NOW - 100,
    deadline=NOW + 1000,
    lines=100,
    invalid=0,
    recipients=100,
    settled=40,
    digest=None,
    done_name=None,
    finished_at=None,
)


def progress(pending: int = 0, out: int = 0, waiting: int = 0, **job: Any) -> Progress:
    earliest = NOW + 60 if waiting else None
    return Progress(evolve(JOB, **job), pending, out, waiting, earliest, {})


class TestMeter:
    def test_recipients_a_second(self) -> None:
        meter = Meter(NOW)
        assert meter.rate(NOW) == 0.0
        meter.add(1, 30, NOW + 1)
        meter.add(2, 30, NOW + 9.5)
        assert meter.rate(NOW + 10) == 6.0
        assert meter.rate(NOW + 60) == 1.0

    def test_of_the_last_minute(self) -> None:
        meter = Meter(NOW)
        meter.add(1, 600, NOW + 10)
        assert meter.rate(NOW + 60) == 10.0
        assert meter.rate(NOW + 80) == 0.0
        assert meter.rate(NOW + 80, window=LONG_WINDOW) == 7.5

    def test_of_one_job_since_it_began(self) -> None:
        meter = Meter(NOW)
        meter.add(7, 5, NOW + 1000)
        meter.add(7, 5, NOW + 1009)
        meter.add(8, 99, NOW + 1009)
        assert meter.rate(NOW + 1010, job=7) == 1.0
        assert meter.rate(NOW + 1010, job=9) == 0.0

    def test_it_forgets(self) -> None:
        meter = Meter(NOW)
        for second in range(5000):
            meter.add(1, 1, NOW + second)
        assert len(meter._seconds) <= LONG_WINDOW + 1
        assert meter.rate(NOW + 5000) == pytest.approx(1.0, abs=0.05)

    def test_a_work_that_is_counted(self) -> None:
        events: list[Any] = []

        class Plain:
            def take(self, limit: int) -> Deferred[Any]:
                return succeed([limit])

            def report(self, settled: Any) -> Deferred[None]:
                return succeed(None)

            def retry_at(self, waiting: Any) -> Deferred[None]:
                events.append(("retry_at", waiting))
                return succeed(None)

            def give_back(self, tasks: Any, delay: float = 0.0) -> Deferred[None]:
                events.append(("give_back", tasks, delay))
                return succeed(None)

        clock = Clock()
        clock.advance(10)
        meter = Meter(0)
        is_held: list[bool] = []
        is_alarmed: list[bool] = []
        work = MeteredWork(Plain(), meter, clock, lambda: bool(is_held), lambda: bool(is_alarmed))
        taken: list[Any] = []
        work.take(3).addCallback(taken.append)
        is_held.append(True)
        work.take(3).addCallback(taken.append)
        assert taken == [[3], ()]
        is_held.clear()
        is_alarmed.append(True)
        work.take(3).addCallback(taken.append)
        work.take(5000).addCallback(taken.append)
        assert taken[2:] == [[3], [ALARMED]]
        pairs = [
            (
                Task(parse_address("a@a.example"), (job, 1)),
                Outcome(address="a@a.example", reason=Reason.ACCEPTED, checked_at=0.0),
            )
            for job in (1, 1, 2)
        ]
        work.report(pairs)
        work.retry_at([])
        work.give_back([], 60.0)
        assert events == [("retry_at", []), ("give_back", [], 60.0)]
        assert (meter.rate(10), meter.rate(10, job=1)) == (0.3, 2.0)


class TestLimit:
    @pytest.mark.parametrize(
        ("load", "jobs", "by", "words"),
        [
            ({"paused": True, "open": 500}, [progress(9)], "paused", "paused"),
            ({"no_source": True}, [progress(9)], "paused", "every source is paused"),
            ({"lack": "the disk is full"}, [progress(9)], "disk", "the disk is full"),
            ({"open": 500, "waiting": {"a": 1}}, [progress(9)], "sessions", "sessions: 500 of 500"),
            (
                {"open": 3, "waiting": {"mx.b.example": 1, "mx.a.example": 12}},
                [progress(9)],
                "sites",
                "the budget of sites: mx.a.example (12 sessions waiting), "
                "mx.b.example (1 session waiting)",
            ),
            (
                {"waiting": dict.fromkeys("edcba", 1)},
                [progress(9)],
                "sites",
                "the budget of sites: a (1 session waiting), b (1 session waiting), "
                "c (1 session waiting), 2 more",
            ),
            (
                {"open": 1, "in_hand": 4},
                [progress(0, 4)],
                "exchangers",
                "the answers of exchangers; 1 session open",
            ),
            ({"in_hand": 4}, [progress(0, 4)], "dns", "the answers of the DNS"),
            (
                {},
                [progress(5, paused_at=NOW), progress(0, 0, 3, paused_at=NOW)],
                "paused",
                "every job that is left is paused",
            ),
            (
                {"pauses": "what is paused: the site a"},
                [progress(5)],
                "paused",
                "what is paused: the site a",
            ),
            ({}, [progress(5)], "nothing", "nothing; more recipients are about to be taken"),
            (
                {"pauses": "what is paused: the site a"},
                [progress(0, 0, 3)],
                "retries",
                "waiting for retries until 2027-01-15T08:01:00.000Z",
            ),
            (
                {},
                [progress(0, 0, 3), progress(9, paused_at=NOW)],
                "retries",
                "waiting for retries until 2027-01-15T08:01:00.000Z",
            ),
            ({}, [progress(state=State.IMPORTING)], "reading", "a list is being read"),
            ({}, [progress(settled=100)], "writing", "results are being written"),
            ({}, [progress(9, cancelled_at=NOW)], "writing", "results are being written"),
            ({}, [], "nothing", "nothing to do"),
        ],
    )
    def test_what_it_is(
        self, load: dict[str, Any], jobs: list[Progress], by: str, words: str
    ) -> None:
        assert limit_of(evolve(IDLE, **load), jobs, NOW) == {"by": by, "words": words}


class TestSecondsLeft:
    @pytest.mark.parametrize(
        ("how_far", "rate", "last_due", "left"),
        [
            (progress(50, 10), 2.0, None, 30.0),
            (progress(50, 10), 0.0, None, None),
            (progress(50, 10), 0.001, None, 1000.0),
            (progress(10, 0, 5), 2.0, NOW + 300, 300.0),
            (progress(1000, 0, 5), 2.0, NOW + 300, 500.0),
            (progress(0, 0, 5), 0.0, NOW + 300, 300.0),
            (progress(0, 0, 5), 0.0, NOW - 3, 0.0),
            (progress(0, 0, 5), 0.0, NOW + 9999, 1000.0),
            (progress(0, 0, 0, settled=100), 0.0, None, 0.0),
            (progress(50, paused_at=NOW), 2.0, None, None),
            (progress(50, cancelled_at=NOW), 0.0, None, 0.0),
            (progress(50, deadline=NOW - 5), 2.0, None, 0.0),
            (progress(50, state=State.IMPORTING), 2.0, None, None),
            (progress(state=State.DONE), 0.0, None, None),
        ],
    )
    def test_what_it_is(
        self, how_far: Progress, rate: float, last_due: float | None, left: float | None
    ) -> None:
        assert seconds_left(how_far, rate, last_due, NOW) == left


def test_the_path_of_a_job() -> None:
    assert path_of(JOB) == "/v1/jobs/list.txt"
    job = evolve(JOB, name=b"x", done_name=b"M\xe4rz/100 %~2")
    assert path_of(job) == "/v1/jobs/M%E4rz%2F100%20%25~2"


class TestCounting:
    """How often the ledger is made to count."""

    def setup_method(self) -> None:
        self.clock = Clock()
        self.counts: list[Deferred[Any]] = []
        nothing: Any = None
        self.figures = Figures(
            spool=nothing,
            started_at=0.0,
            ledger=nothing,
            run=self.run,
            clock=self.clock,
            engine=nothing,
            prober=nothing,
            meter=Meter(0),
            switchboard=nothing,
        )

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.counts.append(Deferred())
        return self.counts[-1]

    def ask(self) -> list[Any]:
        results: list[Any] = []
        Deferred.fromCoroutine(self.figures._progress()).addBoth(results.append)
        return results

    def test_who_asks_meanwhile_waits_for_the_same(self) -> None:
        first, second = self.ask(), self.ask()
        assert len(self.counts) == 1
        self.counts[0].callback(["figures"])
        assert first == second == [["figures"]]

    def test_who_asks_soon_after_is_told_the_same(self) -> None:
        self.ask()
        self.clock.advance(0.5)
        self.counts[0].callback(["old"])
        self.clock.advance(4.4)
        assert self.ask() == [["old"]]
        self.clock.advance(0.2)
        assert self.ask() == []
        assert len(self.counts) == 2

    def test_after_a_change_it_counts_anew(self) -> None:
        self.ask()
        self.clock.advance(0.5)
        self.counts[0].callback(["old"])
        self.figures.forget()
        later = self.ask()
        self.counts[1].callback(["new"])
        assert later == [["new"]]

    def test_a_count_that_fails_is_made_again(self) -> None:
        first, second = self.ask(), self.ask()
        self.counts[0].errback(OSError("disk"))
        assert first[0].check(OSError)
        assert second == [[]]
        self.ask()
        assert len(self.counts) == 2
