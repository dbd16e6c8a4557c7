"""Jobs that are paused or cancelled, recipients that are held, and what readers see meanwhile."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.jobs import recipients, schema
from twisted_probe.jobs.ledger import Job, Ledger
from twisted_probe.jobs.reading import MAX_PAGE, Page
from twisted_probe.jobs.recipients import OUT_PER_DOMAIN
from twisted_probe.jobs.switches import JobIsOver, Kind, Pause
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry

from .conftest import START, Daemon, result_of, small_buckets

RETRY = Retry(
    source="192.0.2.1",
    helo="probe1.example.org",
    reverse_path="probe@example.org",
    control="qxzv",
    attempts=1,
    first_attempt_at=START,
)


def dropped(daemon: Daemon, *lines: str, name: str = "list") -> Job:
    """A job of these lines, open."""
    daemon.drop(name, "".join(f"{line}\n" for line in lines))
    daemon.tick(2)
    return found(daemon, name)


def found(daemon: Daemon, name: str | bytes) -> Job:
    job = daemon.ledger.find(os.fsencode(name))
    assert job is not None
    return job


def asked(tasks: Any) -> list[str]:
    return [task.address.text for task in tasks]


def later(daemon: Daemon, task: Task, seconds: float, reason: Reason = Reason.GREYLISTED) -> None:
    outcome = daemon.outcome(
        task, reason, final=False, next_attempt_at=daemon.now + seconds, retry=RETRY, text="later"
    )
    result_of(daemon.work.retry_at([(task, outcome)]))


class TestPauses:
    def test_they_are_kept(self, daemon: Daemon) -> None:
        ledger = daemon.ledger
        assert ledger.pause(Kind.SITE, "mx.a.example", START + 2)
        assert ledger.pause(Kind.DAEMON, "", START + 1)
        assert ledger.pause(Kind.SOURCE, "192.0.2.1", START + 3)
        assert not ledger.pause(Kind.SITE, "mx.a.example", START + 9)

        daemon.restart()

        assert daemon.ledger.pauses() == [
            Pause(Kind.DAEMON, "", START + 1),
            Pause(Kind.SITE, "mx.a.example", START + 2),
            Pause(Kind.SOURCE, "192.0.2.1", START + 3),
        ]
        assert daemon.ledger.resume(Kind.SITE, "mx.a.example")
        assert not daemon.ledger.resume(Kind.SITE, "mx.a.example")
        assert len(daemon.ledger.pauses()) == 2

    def test_a_paused_job_hands_out_nothing(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example", "b@b.example", name="one")
        dropped(daemon, "c@c.example", name="two")
        assert daemon.ledger.pause_job(job.id, daemon.now)
        assert not daemon.ledger.pause_job(job.id, daemon.now)

        daemon.restart()
        assert found(daemon, "one").paused_at is not None
        assert asked(daemon.take()) == ["c@c.example"]

        assert daemon.ledger.resume_job(job.id)
        assert not daemon.ledger.resume_job(job.id)
        assert found(daemon, "one").paused_at is None
        assert asked(daemon.take()) == ["a@a.example", "b@b.example"]

    def test_its_deadline_counts(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example")
        daemon.ledger.pause_job(job.id, daemon.now)
        daemon.clock.advance(86400)
        daemon.tick()

        (row,) = daemon.table("list")
        assert (row["probe_reason"], row["probe_text"]) == (
            "temporary",
            "the job's deadline came before it could be asked",
        )

    def test_what_is_out_of_it_is_still_kept(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example", "b@b.example")
        a, b = daemon.take()
        daemon.ledger.pause_job(job.id, daemon.now)
        daemon.answer(a)
        result_of(daemon.work.give_back([b]))
        assert found(daemon, "list").settled == 1
        assert daemon.take() == []
        daemon.ledger.resume_job(job.id)
        assert asked(daemon.take()) == ["b@b.example"]

    @pytest.mark.parametrize(("changed", "words"), [(False, "it is done"), (True, "it failed")])
    def test_a_job_that_is_over(self, daemon: Daemon, changed: bool, words: str) -> None:
        job = dropped(daemon, "a@a.example")
        if changed:
            (daemon.path / "active" / "list").write_text("b@b.example\n")
        daemon.answer_all()
        daemon.tick()
        ledger = daemon.ledger
        with pytest.raises(JobIsOver, match=words):
            ledger.pause_job(job.id, daemon.now)
        with pytest.raises(JobIsOver, match=words):
            ledger.resume_job(job.id)
        with pytest.raises(JobIsOver, match=words):
            ledger.cancel_job(job.id, daemon.now)

    def test_one_whose_results_are_being_written(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example")
        daemon.answer_all()
        with pytest.raises(JobIsOver, match="its results are being written"):
            daemon.ledger.cancel_job(job.id, daemon.now)


class TestCancelling:
    def test_every_line_is_answered_as_it_stands(self, daemon: Daemon) -> None:
        job = dropped(
            daemon,
            "a@a.example",
            "b@b.example",
            "c@c.example",
            "nobody",
            "d@d.example",
            "e@e.example",
        )
        a, b, c, d, _ = daemon.take()
        daemon.answer(a)
        later(daemon, b, 300)
        later(daemon, c, 300, Reason.NO_SUCH_MAILBOX)
        later(daemon, d, 300, Reason.ACCEPTED)
        assert daemon.ledger.cancel_job(job.id, daemon.now)
        assert not daemon.ledger.cancel_job(job.id, daemon.now)
        assert daemon.take() == []
        daemon.tick()

        rows = daemon.table("list")
        assert [(row["address"], row["probe_verdict"], row["probe_reason"]) for row in rows] == [
            ("a@a.example", "deliverable", "accepted"),
            ("b@b.example", "unknown", "greylisted"),
            ("c@c.example", "unknown", "temporary"),
            ("nobody", "undeliverable", "invalid_address"),
            ("d@d.example", "risky", "unconfirmed"),
            ("e@e.example", "unknown", "temporary"),
        ]
        assert {row["probe_final"] for row in rows} == {"true"}
        assert rows[5]["probe_text"] == "the job was cancelled before it could be asked"
        summary = daemon.summary("list")
        assert (summary["cancelled"], summary["lines"]) == (True, 6)

    def test_reports_that_come_later_are_ignored(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example", "b@b.example", "c@c.example")
        a, b, c = daemon.take()
        daemon.ledger.cancel_job(job.id, daemon.now)
        # One is in time, before the keeper has come to it.
        daemon.answer(a)
        daemon.tick()
        before = daemon.read("done", "list.results.csv")
        daemon.answer(b)
        later(daemon, c, 1)
        result_of(daemon.work.give_back([a, b, c]))
        result_of(daemon.work.give_back([a, b, c], 60.0))
        daemon.tick()

        assert daemon.read("done", "list.results.csv") == before
        assert [row["probe_reason"] for row in daemon.table("list")] == [
            *("accepted", "temporary", "temporary")
        ]
        assert found(daemon, "list").settled == 3

    def test_one_that_is_not_read_yet_is_read_first(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@a.example\nnobody\n")
        daemon.spool.scan(daemon.now)
        daemon.clock.advance(1)
        daemon.spool.scan(daemon.now)
        result_of(daemon.keeper._register_all())
        job = found(daemon, "list")
        assert job.state.value == "claimed"
        assert daemon.ledger.cancel_job(job.id, daemon.now)

        daemon.restart()
        daemon.tick()

        assert [row["probe_reason"] for row in daemon.table("list")] == [
            *("temporary", "invalid_address")
        ]

    def test_a_paused_one(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example")
        daemon.ledger.pause_job(job.id, daemon.now)
        daemon.ledger.cancel_job(job.id, daemon.now)
        daemon.tick()
        assert [row["probe_reason"] for row in daemon.table("list")] == ["temporary"]

    def test_killed_in_the_middle(self, daemon: Daemon) -> None:
        job = dropped(daemon, *(f"u{number}@a.example" for number in range(20)))
        daemon.take(5)
        daemon.ledger.cancel_job(job.id, daemon.now)
        assert daemon.ledger.expire(daemon.now, limit=7)
        assert found(daemon, "list").settled == 7

        daemon.restart()
        assert daemon.take() == []
        daemon.tick()

        assert len(daemon.table("list")) == 20
        assert found(daemon, "list").settled == 20


class TestHolding:
    def test_what_was_never_asked_is_not_written(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "b@a.example", "c@b.example")
        a, b, c = daemon.take()
        result_of(daemon.work.give_back([a, b], 60.0))
        assert daemon.take() == []
        daemon.clock.advance(59)
        assert daemon.take() == []
        daemon.clock.advance(1)
        assert asked(daemon.take()) == ["a@a.example", "b@a.example"]
        assert daemon.ledger.progress(daemon.now)[0].out == 3
        del c

    def test_their_whole_domain_waits_and_no_other_job(self, daemon: Daemon) -> None:
        dropped(daemon, *(f"{number}@big.example" for number in range(OUT_PER_DOMAIN + 50)))
        tasks = daemon.take(5000)
        assert len(tasks) == OUT_PER_DOMAIN
        result_of(daemon.work.give_back(tasks, 60.0))
        assert daemon.take(5000) == []
        # Another job may be asked from other sources.
        dropped(daemon, "x@big.example", "y@big.example", name="two")
        assert asked(daemon.take()) == ["x@big.example", "y@big.example"]

        daemon.clock.advance(60)

        assert len(daemon.take(5000)) == OUT_PER_DOMAIN
        daemon.answer_all()

    def test_nothing_is_kept_of_a_job_that_is_over(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example")
        result_of(daemon.work.give_back(daemon.take(), 60.0))
        assert daemon.ledger._held
        daemon.ledger.cancel_job(job.id, daemon.now)
        daemon.tick()
        assert not daemon.ledger._held
        assert not daemon.ledger._walks

    def test_retries_keep_their_triplet_and_their_attempts(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "b@a.example")
        a, b = daemon.take()
        later(daemon, a, 10)
        daemon.clock.advance(10)
        (again,) = daemon.take()
        result_of(daemon.work.give_back([again], 60.0))
        assert daemon.ledger.progress(daemon.now)[0].waiting == 1
        daemon.clock.advance(60)
        (once_more,) = daemon.take()
        assert (once_more.address, once_more.retry) == (a.address, RETRY)
        del b

    def test_those_that_come_due_meanwhile_wait_too(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "b@a.example", "c@c.example")
        a, b, c = daemon.take()
        later(daemon, a, 10)
        later(daemon, c, 11)
        result_of(daemon.work.give_back([b], 60.0))
        daemon.clock.advance(20)
        assert asked(daemon.take(1)) == ["c@c.example"]
        assert daemon.take() == []
        daemon.clock.advance(40)
        assert asked(daemon.take()) == ["a@a.example", "b@a.example"]

    def test_it_ends_at_once(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "b@b.example", "c@c.example", "d@a.example")
        a, d, b, c = daemon.take()
        later(daemon, b, 10)
        later(daemon, c, 20)
        later(daemon, d, 5)
        result_of(daemon.work.give_back([a], 60.0))
        daemon.clock.advance(10)
        (again,) = daemon.take()
        assert again.address == b.address
        result_of(daemon.work.give_back([again], 60.0))
        assert daemon.take() == []
        daemon.ledger.end_holds()
        # All but the one that waits for a reason of its own.
        assert sorted(asked(daemon.take())) == ["a@a.example", "b@b.example", "d@a.example"]
        daemon.clock.advance(10)
        assert asked(daemon.take()) == ["c@c.example"]

    def test_a_restart_forgets_it(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example")
        result_of(daemon.work.give_back(daemon.take(), 60.0))
        daemon.restart()
        assert asked(daemon.take()) == ["a@a.example"]

    def test_beyond_what_memory_holds_the_rows_wait(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recipients, "MAX_UNFINISHED", 1)
        dropped(daemon, "a@a.example", "b@b.example", "c@c.example", "d@b.example")
        a, b, d, c = daemon.take()
        later(daemon, c, 500)
        result_of(daemon.work.give_back([a, b, d], 60.0))
        assert daemon.ledger.progress(daemon.now)[0].waiting == 3
        assert daemon.take() == []
        # A restart forgets the one in memory only.
        daemon.restart()
        assert asked(daemon.take()) == ["a@a.example"]
        daemon.clock.advance(60)
        tasks = daemon.take()
        assert sorted(asked(tasks)) == ["b@b.example", "d@b.example"]
        assert [task.retry for task in tasks] == [None, None]
        result_of(daemon.work.give_back(tasks, 60.0))
        assert daemon.take() == []
        daemon.ledger.end_holds()
        assert sorted(asked(daemon.take())) == ["b@b.example", "d@b.example"]

    @pytest.mark.parametrize("most", [3, 10_000])
    def test_nothing_is_lost_and_nothing_handed_out_twice(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, most: int
    ) -> None:
        monkeypatch.setattr(recipients, "MAX_UNFINISHED", most)
        lines = [f"{local}@d{number}.example" for number in range(30) for local in "abcd"]
        dropped(daemon, *lines)
        seen: list[str] = []
        for turn in range(400):
            tasks = daemon.take(7)
            held = [task for task in tasks if (hash(task.token) + turn) % 3 == 0]
            result_of(daemon.work.give_back(held, 5.0))
            rest = [task for task in tasks if task not in held]
            daemon.answer(*rest)
            seen += asked(rest)
            daemon.clock.advance(1)
        assert sorted(seen) == sorted(lines)


class TestReading:
    def page(self, daemon: Daemon, **how: Any) -> Page:
        job = found(daemon, "list")
        return daemon.ledger.page(job.id, job.title, **how)

    def lines(self, page: Page) -> list[int | None]:
        return [outcome.line for outcome in page.outcomes]

    def test_what_has_settled_so_far(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "nobody", "b@b.example", "a@A.example", "c@c.example")
        a, b, c = daemon.take()
        assert self.lines(self.page(daemon)) == [2]
        daemon.answer(c)
        later(daemon, b, 300)
        page = self.page(daemon)
        assert (self.lines(page), page.after, page.settled) == ([2, 5], None, 1)
        daemon.answer(a, source="192.0.2.1")
        page = self.page(daemon)
        assert [(one.line, one.address, one.job) for one in page.outcomes] == [
            (1, "a@a.example", "list"),
            (2, "nobody", "list"),
            (4, "a@A.example", "list"),
            (5, "c@c.example", "list"),
        ]

    def test_page_by_page(self, daemon: Daemon) -> None:
        dropped(daemon, *(f"{number}@a.example" for number in range(1, 11)))
        daemon.answer_all()
        seen = []
        after: int | None = 0
        while after is not None:
            page = self.page(daemon, after=after, limit=3)
            seen.append(self.lines(page))
            after = page.after
        assert seen == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10]]

    def test_a_page_looks_at_so_many_lines(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small_buckets(monkeypatch, 2)
        monkeypatch.setattr("twisted_probe.jobs.reading.MAX_LOOK", 2)
        dropped(daemon, *(f"{number}@a.example" for number in range(1, 8)))
        tasks = daemon.take()
        daemon.answer(next(task for task in tasks if task.token[1] == 6))
        page = self.page(daemon)
        assert (self.lines(page), page.after) == ([], 3)
        page = self.page(daemon, after=3)
        assert (self.lines(page), page.after) == ([6], None)

    def test_buckets_hold_every_line_once(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small_buckets(monkeypatch, 2)
        monkeypatch.setattr("twisted_probe.jobs.reading.MAX_LOOK", 4)
        job = dropped(
            daemon, "b@b.example", "?", "a@a.example", "B <b@B.example>", "!", "c@a.example"
        )
        assert self.lines(self.page(daemon)) == [2, 5]
        daemon.answer_all()
        assert [one.line for one in daemon.ledger.outcomes(job.id)] == [1, 2, 3, 4, 5, 6]
        for limit in range(1, 7):
            seen: list[Outcome] = []
            after: int | None = 0
            while after is not None:
                page = self.page(daemon, after=after, limit=limit)
                assert len(page.outcomes) <= limit
                seen += page.outcomes
                after = page.after
            assert [(one.line, one.address) for one in seen] == [
                (1, "b@b.example"),
                (2, "?"),
                (3, "a@a.example"),
                (4, "b@B.example"),
                (5, "!"),
                (6, "c@a.example"),
            ]

    def test_who_follows_reads_each_line_once(self, daemon: Daemon) -> None:
        names = [f"{number}@a.example" for number in range(8)]
        dropped(daemon, *names, "nobody", "0@A.EXAMPLE")
        since, seen = -1, []
        for task in [*daemon.take(), None]:
            page = self.page(daemon, since=since)
            seen += self.lines(page)
            since = page.settled
            if task is not None:
                daemon.answer(task)
        daemon.tick()
        page = self.page(daemon, since=since)
        assert self.lines(page) == []
        assert sorted(seen, key=lambda line: line or 0) == list(range(1, 11))

    def test_until(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "b@b.example", "c@c.example")
        for task in reversed(daemon.take()):
            daemon.answer(task)
        assert self.lines(self.page(daemon, since=0, until=1)) == [3]
        assert self.lines(self.page(daemon, since=1, until=3)) == [1, 2]

    def test_the_order_outlives_a_restart(self, daemon: Daemon) -> None:
        dropped(daemon, "a@a.example", "b@b.example", "c@c.example")
        (a, *_) = daemon.take(1)
        daemon.answer(a)
        daemon.restart()
        daemon.answer_all()
        assert self.lines(self.page(daemon, since=1)) == [2, 3]

    def test_the_last_that_is_due(self, daemon: Daemon) -> None:
        job = dropped(daemon, "a@a.example", "b@b.example")
        assert daemon.ledger.last_due(job.id) is None
        a, b = daemon.take()
        later(daemon, a, 300)
        later(daemon, b, 900)
        assert daemon.ledger.last_due(job.id) == daemon.now + 900

    def test_finding_a_job(self, daemon: Daemon) -> None:
        assert daemon.ledger.find(b"list") is None
        assert daemon.ledger.latest(5) == []
        first = dropped(daemon, "a@a.example")
        daemon.answer_all()
        daemon.tick()
        assert dropped(daemon, "b@b.example").id == first.id
        assert found(daemon, "list~2").id != first.id
        assert [job.title for job in daemon.ledger.latest(5)] == ["list~2", "list"]
        assert [job.title for job in daemon.ledger.latest(1)] == ["list~2"]

    def test_a_page_has_a_limit(self) -> None:
        assert MAX_PAGE == 1000


def test_a_ledger_of_the_first_version_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(f"{schema.steps()[0]} PRAGMA user_version = 1;")
    database.execute(
        "INSERT INTO jobs (id, name, format, state, received_at, deadline, lines, recipients,"
        " settled) VALUES (1, CAST('list' AS BLOB), 'txt', 'open', ?, ?, 3, 3, 2)",
        (START, START + 86400),
    )
    outcome = '{"address":"x@a.example","reason":"accepted","final":true,"checked_at":1.0}'
    for line, settled in ((1, 1), (2, 1), (3, 0)):
        database.execute(
            "INSERT INTO recipients (job, domain, local, line, settled, outcome)"
            " VALUES (1, 'a.example', ?, ?, ?, ?)",
            (str(line), line, settled, outcome if settled else None),
        )
        database.execute(
            "INSERT INTO lines (job, line, domain, local) VALUES (1, ?, 'a.example', ?)",
            (line, str(line)),
        )
    database.close()

    ledger = Ledger(path)
    assert [one.line for one in ledger.page(1, "list").outcomes] == [1, 2]
    (task,) = ledger.take(10, START)
    ledger.settle(
        [(*task.token, Outcome(address="3@a.example", reason=Reason.ACCEPTED, checked_at=START))]
    )
    assert [one.line for one in ledger.page(1, "list", since=2).outcomes] == [3]
    assert [one.line for one in ledger.outcomes(1)] == [1, 2, 3]
    ledger.close()
