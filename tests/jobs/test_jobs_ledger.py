"""The ledger by itself: who is handed out when, what is kept, and what a restart finds."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from twisted_probe.jobs import recipients as recipients_module
from twisted_probe.jobs import schema
from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.deadline import JOB_DEADLINE, NEVER_ASKED
from twisted_probe.jobs.formats import TOO_LONG, Format, Row
from twisted_probe.jobs.ledger import Job, Ledger, LedgerError, Progress, State
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.hearing import Hearing
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, TlsReport, Verdict
from twisted_probe.vocabulary.reply import Stage

from .conftest import result_of, small_buckets

NOW = 1_800_000_000.0
RETRY = Retry("192.0.2.1", "probe.example.org", "probe@example.org", "x7@b.example", 1, NOW)


first = schema.steps()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return os.fspath(tmp_path / "ledger.sqlite")


@pytest.fixture
def ledger(path: str) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def reopened(ledger: Ledger, path: str) -> Ledger:
    """The same ledger after a crash: the fixture closes what this returns."""
    ledger.close()
    ledger.__init__(path)  # type: ignore[misc]
    return ledger


def add(ledger: Ledger, *texts: str, name: bytes = b"list", deadline: float = JOB_DEADLINE) -> int:
    """A job of these lines, open."""
    job = ledger.add_job(name, Format.TXT, NOW, NOW + deadline)
    ledger.begin_import(job)
    rows = (Row(line, text) for line, text in enumerate(texts, 1))
    while ledger.import_rows(job, rows, NOW, limit=2):
        pass
    ledger.open_job(job, b"digest")
    return job


def asked(tasks: Iterable[Task]) -> list[str]:
    return [str(task.address.text) for task in tasks]


def final(task: Task, reason: Reason = Reason.ACCEPTED, **more: Any) -> tuple[int, int, Outcome]:
    outcome = Outcome(address=task.address.text, reason=reason, checked_at=NOW, **more)
    return (*task.token, outcome)


def later(
    task: Task, due: float, reason: Reason = Reason.GREYLISTED, **more: Any
) -> tuple[int, int, Outcome]:
    more = {"retry": RETRY, **more}
    return final(task, reason, final=False, next_attempt_at=due, **more)


def only(progress: list[Progress]) -> Progress:
    (one,) = progress
    return one


class TestOpening:
    def test_made_private_and_durable(self, ledger: Ledger, path: str) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        database = ledger._database
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)
        assert database.execute("PRAGMA foreign_keys").fetchone() == (1,)
        # No mailbox is written to the system's directory for temporary files.
        assert database.execute("PRAGMA temp_store").fetchone() == (2,)
        assert database.execute("PRAGMA user_version").fetchone() == (len(first),)

    def test_a_newer_schema_is_refused_and_left_alone(self, ledger: Ledger, path: str) -> None:
        ledger._database.execute("PRAGMA user_version = 99")

        with pytest.raises(LedgerError) as caught:
            Ledger(path)

        assert str(caught.value) == (
            f"the ledger {path}: its schema is version 99, "
            f"this program knows versions up to {len(first)}"
        )
        assert ledger._database.execute("PRAGMA user_version").fetchone() == (99,)

    def test_no_database(self, path: str) -> None:
        Path(path).write_bytes(b"this is no database, it is much too friendly" * 100)

        with pytest.raises(LedgerError, match="file is not a database"):
            Ledger(path)

    def test_damaged(self, ledger: Ledger, path: str) -> None:
        add(ledger, *(f"user{number}@b.example" for number in range(2000)))
        ledger.close()
        data = bytearray(Path(path).read_bytes())
        data[3 * 4096 : 12 * 4096] = bytes(9 * 4096)
        Path(path).write_bytes(data)

        with pytest.raises(LedgerError, match=f"the ledger {path}: "):
            Ledger(path)

    def test_not_reachable(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="No such file or directory"):
            Ledger(os.fspath(tmp_path / "nowhere" / "ledger.sqlite"))

    def test_a_step_of_the_schema_is_made_whole_or_not(
        self, ledger: Ledger, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = add(ledger, "a@b.example")
        second = "ALTER TABLE jobs ADD COLUMN colour TEXT;"
        with monkeypatch.context() as patch:
            patch.setattr(schema, "steps", lambda: [*first, second + "nonsense;"])
            with pytest.raises(LedgerError, match="syntax error"):
                reopened(ledger, path)

        ledger = reopened(ledger, path)
        assert ledger._database.execute("PRAGMA user_version").fetchone() == (len(first),)
        monkeypatch.setattr(schema, "steps", lambda: [*first, second])
        ledger = reopened(ledger, path)

        assert ledger._database.execute("PRAGMA user_version").fetchone() == (len(first) + 1,)
        assert ledger._database.execute("SELECT id, colour FROM jobs").fetchall() == [(job, None)]

    def test_the_steps_have_numbers_without_a_gap(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "0001_initial.sql").touch()
        (tmp_path / "0003_third.sql").touch()
        monkeypatch.setattr(schema, "files", lambda package: tmp_path)

        with pytest.raises(ValueError, match=r"0003_third\.sql is not number 2"):
            schema.steps()

    def test_a_half_made_one_is_made_whole(self, path: str) -> None:
        Path(path).touch()

        Ledger(path).close()

        with sqlite3.connect(path) as database:
            assert database.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
        database.close()


class TestImport:
    def test_duplicates_share_one_recipient(self, ledger: Ledger) -> None:
        job = add(
            ledger, "ann@b.example", "Ann <ann@B.example>", '"ann"@b.example', "bob@b.example"
        )

        tasks = ledger.take(10, NOW)

        assert asked(tasks) == ["ann@b.example", "bob@b.example"]
        assert [task.token for task in tasks] == [(job, 1), (job, 4)]
        found = ledger.job(job)
        assert (found.lines, found.recipients, found.invalid) == (4, 2, 0)
        ledger.settle([final(task) for task in tasks])
        assert [(one.line, one.address) for one in ledger.outcomes(job)] == [
            (1, "ann@b.example"),
            (2, "ann@B.example"),
            (3, '"ann"@b.example'),
            (4, "bob@b.example"),
        ]

    def test_what_is_no_address_is_answered_at_once(self, ledger: Ledger) -> None:
        job = ledger.add_job(b"list", Format.TXT, NOW, NOW + 1)
        ledger.begin_import(job)
        rows = [
            Row(1, "nobody"),
            Row(5, "a\x1b[2J@b.example"),
            Row(6, "a@b.example", None, TOO_LONG),
        ]
        ledger.import_rows(job, iter(rows), NOW)
        ledger.open_job(job, b"")

        outcomes = list(ledger.outcomes(job))

        assert ledger.take(10, NOW) == []
        assert [one.id for one in ledger.finished_jobs()] == [job]
        assert [one.line for one in outcomes] == [1, 5, 6]
        assert {one.reason for one in outcomes} == {Reason.INVALID_ADDRESS}
        assert all(one.final and one.text and one.checked_at == NOW for one in outcomes)
        assert outcomes[1].address == r"a\x1b[2J@b.example"
        assert outcomes[2].text == TOO_LONG
        assert only(ledger.progress(NOW)).settled == {Reason.INVALID_ADDRESS: 3}

    def test_spellings_come_back_to_the_engine(self, ledger: Ledger) -> None:
        add(ledger, "Ann@München.Example", '"a b"@b.example', '""@b.example')

        tasks = ledger.take(10, NOW)

        assert asked(tasks) == ['""@b.example', '"a b"@b.example', "Ann@München.Example"]
        assert tasks[2].address.key == ("xn--mnchen-3ya.example", "Ann")
        assert tasks[0].address.local == ""

    def test_nothing_is_handed_out_before_the_whole_file_is_read(self, ledger: Ledger) -> None:
        job = ledger.add_job(b"list", Format.TXT, NOW, NOW + 1)
        ledger.begin_import(job)
        rows = iter([Row(line, f"user{line}@b.example") for line in range(1, 6)])

        assert ledger.import_rows(job, rows, NOW, limit=3)
        assert ledger.take(10, NOW) == []
        assert ledger.finished_jobs() == []
        assert not ledger.import_rows(job, rows, NOW, limit=3)
        assert ledger.take(10, NOW) == []

    def test_an_import_cut_short_begins_again(self, ledger: Ledger, path: str) -> None:
        job = ledger.add_job(b"list", Format.TXT, NOW, NOW + 1)
        ledger.begin_import(job)
        ledger.import_rows(job, iter([Row(1, "ann@b.example"), Row(2, "?")]), NOW)

        ledger = reopened(ledger, path)
        assert [one.state for one in ledger.jobs(State.IMPORTING)] == [State.IMPORTING]
        ledger.begin_import(job)
        ledger.import_rows(job, iter([Row(1, "?"), Row(2, "bob@b.example")]), NOW)
        ledger.open_job(job, b"")

        assert asked(ledger.take(10, NOW)) == ["bob@b.example"]
        assert (ledger.job(job).lines, ledger.job(job).recipients) == (2, 1)
        assert only(ledger.progress(NOW)).settled == {Reason.INVALID_ADDRESS: 1}

    def test_an_open_job_is_not_read_again(self, ledger: Ledger) -> None:
        job = add(ledger, "ann@b.example")

        ledger.begin_import(job)

        assert ledger.job(job).state is State.OPEN
        assert asked(ledger.take(10, NOW)) == ["ann@b.example"]

    def test_a_batch_is_whole_or_not_there(self, ledger: Ledger) -> None:
        job = ledger.add_job(b"list", Format.TXT, NOW, NOW + 1)
        ledger.begin_import(job)

        with pytest.raises(sqlite3.IntegrityError):
            ledger.import_rows(job, iter([Row(1, "?"), Row(1, "??")]), NOW)

        assert (ledger.job(job).lines, ledger.job(job).recipients) == (0, 0)
        assert list(ledger.outcomes(job)) == []

    def test_what_was_read_is_dropped_in_pieces(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small_buckets(monkeypatch, 4)
        lines = [f"user{number}@b.example" for number in range(10)]
        job = add(ledger, *lines, *lines, *("?" * 10))
        other = add(ledger, *lines, "?", name=b"other")
        ledger.settle([final(task) for task in ledger.take(99, NOW)])

        def held() -> list[int]:
            tables = ("outcomes", "repeats", "recipients", "invalid")
            counts = [f"SELECT count(*) FROM {table} WHERE job = ?" for table in tables]
            return [ledger._database.execute(count, (job,)).fetchone()[0] for count in counts]

        before = sum(held())
        assert before == 40
        while ledger.clear(job, 3):
            assert sum(held()) == before - 3
            before -= 3
        assert all(left <= 3 for left in held())
        ledger.mark_failed(job)
        assert held() == [0, 0, 0, 0]
        assert len(list(ledger.outcomes(other))) == 11

    def test_one_name_one_job(self, ledger: Ledger) -> None:
        ledger.add_job(b"\xff\n", Format.TXT, NOW, NOW + 1)

        with pytest.raises(sqlite3.IntegrityError):
            ledger.add_job(b"\xff\n", Format.TXT, NOW, NOW + 1)

        assert [job.title for job in ledger.jobs(State.CLAIMED)] == [r"\xff\x0a"]


class TestHandingOut:
    def test_each_one_once(self, ledger: Ledger) -> None:
        texts = [f"user{number}@domain{number % 7}.example" for number in range(100)]
        add(ledger, *texts)

        taken: list[str] = []
        while tasks := ledger.take(9, NOW):
            assert len(tasks) == (9 if len(taken) < 99 else 1)
            taken += asked(tasks)

        assert sorted(taken) == sorted(texts)

    def test_domains_stay_together(self, ledger: Ledger) -> None:
        add(ledger, *(f"user{number}@domain{number % 7}.example" for number in range(70)))

        domains = [task.address.domain for task in ledger.take(70, NOW)]

        assert domains == sorted(domains)

    def test_no_limit_no_tasks(self, ledger: Ledger) -> None:
        add(ledger, "a@b.example")

        assert ledger.take(0, NOW) == []
        assert ledger.take(-1, NOW) == []

    def test_fair_between_jobs(self, ledger: Ledger) -> None:
        big = add(ledger, *(f"user{number}@b.example" for number in range(500)), name=b"big")
        small = add(ledger, *(f"user{number}@b.example" for number in range(30)), name=b"small")

        jobs = [task.token[0] for task in ledger.take(40, NOW)]
        rest = [task.token[0] for task in ledger.take(40, NOW)]
        single = {ledger.take(1, NOW)[0].token[0] for _ in range(2)}

        assert (jobs.count(big), jobs.count(small)) == (20, 20)
        assert (rest.count(big), rest.count(small)) == (30, 10)
        assert single == {big}

    def test_a_single_place_goes_to_each_job_in_turn(self, ledger: Ledger) -> None:
        jobs = [add(ledger, "a@b.example", "b@b.example", name=name) for name in (b"x", b"y", b"z")]

        turns = [ledger.take(1, NOW)[0].token[0] for _ in range(6)]

        assert sorted(turns[:3]) == jobs
        assert sorted(turns[3:]) == jobs

    def test_one_domain_does_not_fill_the_hands(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recipients_module, "OUT_PER_DOMAIN", 10)
        add(
            ledger,
            *(f"user{number:02}@big.example" for number in range(35)),
            *(f"user{number:02}@small.example" for number in range(5)),
        )

        first = ledger.take(100, NOW)
        assert [task.address.domain for task in first] == ["big.example"] * 10 + [
            "small.example"
        ] * 5
        assert ledger.take(100, NOW) == []

        ledger.settle([final(task) for task in first[:4]])
        second = ledger.take(3, NOW) + ledger.take(100, NOW)
        assert asked(second) == [f"user{number:02}@big.example" for number in range(10, 14)]

        taken = asked(first + second)
        while out := first + second:
            ledger.settle([final(task) for task in out])
            first, second = ledger.take(100, NOW), []
            taken += asked(first)
        assert len(taken) == len(set(taken)) == 40
        assert len(ledger.finished_jobs()) == 1

    def test_a_restart_finds_what_was_out(self, ledger: Ledger, path: str) -> None:
        add(ledger, "a@b.example", "b@b.example", "c@b.example")
        first, _ = ledger.take(2, NOW)
        ledger.settle([final(first)])

        ledger = reopened(ledger, path)

        assert asked(ledger.take(10, NOW)) == ["b@b.example", "c@b.example"]

    def test_given_back_as_it_was(self, ledger: Ledger, path: str) -> None:
        add(ledger, "a@b.example", "b@b.example")
        first, second = ledger.take(10, NOW)
        ledger.postpone([later(first, NOW + 300)])
        (again,) = ledger.take(10, NOW + 300)

        ledger.give_back([again.token, second.token])

        one, other = sorted(ledger.take(10, NOW + 300), key=lambda task: task.token)
        assert (one.address, one.retry) == (first.address, RETRY)
        assert (other.address, other.retry) == (second.address, None)
        assert ledger.take(10, NOW + 900) == []

    def test_a_failed_take_hands_out_nothing(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(ledger, "a@b.example", "b@b.example", name=b"one")
        add(ledger, "a@c.example", "b@c.example", name=b"two")
        (out,) = ledger.take(1, NOW)
        broken = iter([None, sqlite3.OperationalError("disk I/O error")])

        def fails(*arguments: object) -> None:
            error = next(broken)
            if error is not None:
                raise error

        with monkeypatch.context() as patch:
            patch.setattr(ledger, "_take_due", fails)
            with pytest.raises(sqlite3.OperationalError):
                ledger.take(10, NOW)

        rest = ledger.take(10, NOW)
        assert len(rest) == 3
        assert out.token not in {task.token for task in rest}

    def test_a_row_of_other_rules_stops_nobody(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example", "b@b.example")
        with transaction(ledger._database) as database:
            database.execute("UPDATE recipients SET local = 'a\nb' WHERE local = 'a'")

        assert asked(ledger.take(10, NOW)) == ["b@b.example"]
        assert [one.reason for one in ledger.outcomes(job)] == [Reason.INTERNAL_ERROR]


class TestSettling:
    def test_every_field_is_kept(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example")
        (task,) = ledger.take(10, NOW)
        outcome = Outcome(
            address="a@b.example",
            reason=Reason.NO_SUCH_MAILBOX,
            catch_all=False,
            stage=Stage.RCPT,
            code=550,
            enhanced="5.1.1",
            text="unknown",
            exchanger="mx.b.example",
            exchanger_address="192.0.2.25",
            source="192.0.2.1",
            helo="probe.example.org",
            tls=TlsReport("TLSv1.3", "TLS_AES_128_GCM_SHA256", False, "self-signed"),
            attempts=3,
            first_attempt_at=NOW - 600.5,
            checked_at=NOW + 0.25,
        )

        ledger.settle([(*task.token, outcome)])

        (kept,) = ledger.outcomes(job)
        assert (kept.job, kept.line) == ("list", 1)
        assert {**kept.record(), "job": None, "line": None} == outcome.record()

    def test_late_and_double_reports_change_nothing(self, ledger: Ledger, path: str) -> None:
        job = add(ledger, "a@b.example", "b@b.example")
        first, second = ledger.take(10, NOW)
        ledger.settle([final(first)])

        ledger.settle([final(first, Reason.NO_SUCH_MAILBOX), final(second)])
        ledger.postpone([later(first, NOW + 5)])
        ledger.give_back([first.token, second.token])
        ledger = reopened(ledger, path)
        ledger.settle([final(second, Reason.NO_SUCH_MAILBOX)])
        ledger.settle([(job, 77, final(first)[2]), (99, 1, final(first)[2])])
        ledger.postpone([(99, 1, later(first, NOW)[2])])
        ledger.give_back([(99, 1)])

        assert ledger.take(10, NOW + 900) == []
        assert [one.reason for one in ledger.outcomes(job)] == [Reason.ACCEPTED] * 2
        progress = only(ledger.progress(NOW))
        assert progress.settled == {Reason.ACCEPTED: 2}
        assert progress.job.settled == 2

    def test_a_report_after_a_restart_still_counts(self, ledger: Ledger, path: str) -> None:
        job = add(ledger, "a@b.example", "A@B.example")
        (task, _) = ledger.take(10, NOW)

        ledger = reopened(ledger, path)
        ledger.settle([final(task)])

        assert [one.reason for one in ledger.outcomes(job)] == [Reason.ACCEPTED]

    def test_the_wrong_kind_of_outcome_is_our_own_bug(self, ledger: Ledger) -> None:
        add(ledger, "a@b.example", "b@b.example")
        first, second = ledger.take(10, NOW)

        with pytest.raises(ValueError, match="not final"):
            ledger.settle([final(first), later(second, NOW)])
        with pytest.raises(ValueError, match="next attempt"):
            ledger.postpone([later(first, NOW), final(second)])
        with pytest.raises(ValueError, match="next attempt"):
            ledger.postpone([final(first, final=False)])

        progress = only(ledger.progress(NOW))
        assert (progress.settled, progress.out, progress.waiting) == ({}, 2, 0)


class TestWaiting:
    def test_due_later_with_its_triplet_also_after_a_restart(
        self, ledger: Ledger, path: str
    ) -> None:
        add(ledger, "a@b.example", "b@b.example")
        first, second = ledger.take(10, NOW)
        ledger.postpone([later(first, NOW + 600), later(second, NOW + 300)])

        ledger = reopened(ledger, path)

        assert ledger.take(10, NOW + 299) == []
        (task,) = ledger.take(10, NOW + 300)
        assert (task.address, task.token, task.retry) == (second.address, second.token, RETRY)
        assert ledger.take(10, NOW + 599) == []
        assert asked(ledger.take(10, NOW + 600)) == ["a@b.example"]

    def test_out_again_at_the_crash(self, ledger: Ledger, path: str) -> None:
        add(ledger, "a@b.example")
        ledger.postpone([later(task, NOW + 300) for task in ledger.take(10, NOW)])
        ledger.take(10, NOW + 300)

        ledger = reopened(ledger, path)

        (task,) = ledger.take(10, NOW + 300)
        assert task.retry == RETRY

    def test_progress(self, ledger: Ledger) -> None:
        job = add(ledger, *(f"user{number}@b.example" for number in range(10)), "nobody")
        tasks = ledger.take(6, NOW)
        ledger.settle([final(tasks[0]), final(tasks[1], Reason.MAILBOX_FULL)])
        ledger.postpone([later(tasks[2], NOW + 600), later(tasks[3], NOW + 300)])

        assert only(ledger.progress(NOW)) == Progress(
            job=ledger.job(job),
            pending=4,
            out=2,
            waiting=2,
            earliest=NOW + 300,
            settled={
                Reason.ACCEPTED: 1,
                Reason.MAILBOX_FULL: 1,
                Reason.INVALID_ADDRESS: 1,
            },
        )
        after = only(ledger.progress(NOW + 300))
        assert (after.pending, after.out, after.waiting) == (5, 2, 1)


class TestDeadline:
    def expired(self, ledger: Ledger, now: float = NOW + JOB_DEADLINE) -> None:
        while ledger.expire(now, limit=2):
            pass

    def test_every_open_recipient_ends_with_what_was_said_last(self, ledger: Ledger) -> None:
        reasons = {
            "a@b.example": (Reason.GREYLISTED, Reason.GREYLISTED),
            "b@b.example": (Reason.TIMEOUT, Reason.TIMEOUT),
            "c@b.example": (Reason.UNCONFIRMED, Reason.UNCONFIRMED),
            "d@b.example": (Reason.CATCH_ALL, Reason.CATCH_ALL),
            "e@b.example": (Reason.ACCEPTED, Reason.UNCONFIRMED),
            "f@b.example": (Reason.NO_SUCH_MAILBOX, Reason.TEMPORARY),
            "g@b.example": (None, Reason.TEMPORARY),
        }
        job = add(ledger, *reasons)
        for task in ledger.take(10, NOW):
            last, _ = reasons[task.address.text]
            if last is not None:
                words = {"text": f"said {last.value}", "attempts": 2}
                ledger.postpone([later(task, NOW + 600, last, **words)])

        self.expired(ledger, NOW + JOB_DEADLINE - 1)
        assert list(ledger.outcomes(job)) == []
        self.expired(ledger)

        for outcome in ledger.outcomes(job):
            last, end = reasons[outcome.address]
            assert outcome.reason is end
            assert outcome.verdict in (Verdict.UNKNOWN, Verdict.RISKY)
            assert outcome.final
            assert outcome.next_attempt_at is None
            assert outcome.retry is None
            if last is None:
                assert (outcome.text, outcome.checked_at) == (NEVER_ASKED, NOW + JOB_DEADLINE)
            else:
                assert (outcome.text, outcome.checked_at) == (f"said {last.value}", NOW)
                assert outcome.attempts == 2
        assert [one.id for one in ledger.finished_jobs()] == [job]
        assert only(ledger.progress(NOW)).job.settled == 7

    def test_a_report_that_comes_after_it(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example")
        tasks = ledger.take(10, NOW)

        self.expired(ledger)
        ledger.settle([final(task) for task in tasks])

        assert [one.text for one in ledger.outcomes(job)] == [NEVER_ASKED]
        assert only(ledger.progress(NOW)).out == 0

    def test_only_the_jobs_whose_deadline_it_is(self, ledger: Ledger) -> None:
        early = add(ledger, "a@b.example", "b@b.example", name=b"early", deadline=10)
        add(ledger, "a@b.example", "b@b.example", name=b"late", deadline=20)

        self.expired(ledger, NOW + 10)

        assert [one.id for one in ledger.finished_jobs()] == [early]

    def test_no_waiting_for_an_attempt_that_will_not_be(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example", deadline=100)

        ledger.postpone([later(task, NOW + 100) for task in ledger.take(10, NOW)])

        (outcome,) = ledger.outcomes(job)
        assert (outcome.reason, outcome.final) == (Reason.GREYLISTED, True)
        assert [one.id for one in ledger.finished_jobs()] == [job]


def not_committed(ledger: Ledger, *calls: Callable[[], None]) -> None:
    """Make these calls in one transaction, which the disk refuses."""
    begun: list[Callable[[], Any]] = []

    def run(call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        begun.append(partial(call, *arguments))
        return Deferred()

    write = ledger.writer(run, Clock())
    for call in calls:
        write(call)
    (commit,) = begun
    with pytest.raises(sqlite3.OperationalError):
        commit()


class TestWhatWasNotCommitted:
    def test_is_asked_again(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example", "b@b.example")
        first, second = ledger.take(10, NOW)

        def full() -> None:
            ledger._database.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

        write = ledger.writer(execute, Clock())
        not_committed(ledger, lambda: ledger.settle([final(first)]), full)
        result_of(write(ledger.give_back, [first.token, second.token]))

        assert ledger.job(job).settled == 0
        assert sorted(asked(ledger.take(10, NOW))) == ["a@b.example", "b@b.example"]

    def test_what_it_rests_on_is_kept_again(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example", "b@b.example")
        first, second = ledger.take(10, NOW)
        hearing = Hearing(dialogues=[], bases={}, before=7)

        def full() -> None:
            ledger._database.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")

        not_committed(ledger, lambda: ledger.settle([final(first, hearing=hearing)]), full)
        ledger.settle([final(first, hearing=hearing)])
        ledger.settle([final(second, hearing=hearing)])

        one, other = ledger.outcomes(job)
        assert one.evidence == other.evidence
        assert one.evidence is not None
        kept = ledger.hearing(one.evidence)
        assert kept is not None
        assert kept.before == 7


class TestTheEndOfAJob:
    def test_states(self, ledger: Ledger, path: str) -> None:
        job = add(ledger, "a@b.example")
        assert ledger.finished_jobs() == []
        ledger.settle([final(task) for task in ledger.take(10, NOW)])

        def finished() -> list[Job]:
            return reopened(ledger, path).finished_jobs()

        assert [one.state for one in finished()] == [State.OPEN]
        assert ledger.begin_results(job, b"list~2", NOW + 5).done_name == b"list~2"
        again = ledger.begin_results(job, b"list~3", NOW + 6)
        assert (again.done_name, again.finished_at, again.title) == (b"list~2", NOW + 5, "list~2")
        assert [one.job for one in ledger.outcomes(job)] == ["list~2"]
        ledger.mark_done(job)
        assert [one.state for one in finished()] == [State.OPEN]
        ledger.mark_finished(job)
        assert [one.state for one in finished()] == [State.FINISHED]
        ledger.mark_done(job)
        assert finished() == []
        ledger.mark_failed(job)
        assert ledger.job(job).state is State.DONE
        assert len(list(ledger.outcomes(job))) == 1

    def test_failed(self, ledger: Ledger) -> None:
        job = add(ledger, "a@b.example", "nobody")
        (task,) = ledger.take(10, NOW)

        ledger.mark_failed(job)
        ledger.settle([final(task)])

        assert ledger.job(job).state is State.FAILED
        assert list(ledger.outcomes(job)) == []
        assert ledger.progress(NOW) == []
        ledger.add_job(b"list", Format.TXT, NOW, NOW + 1)

    def test_an_unknown_number(self, ledger: Ledger) -> None:
        with pytest.raises(KeyError):
            ledger.job(7)

    def test_outcomes_by_buckets_while_others_settle(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small_buckets(monkeypatch, 3)
        job = add(ledger, *(f"user{number}@b.example" for number in range(10)))
        other = add(ledger, "a@c.example", name=b"other")
        tasks = ledger.take(20, NOW)
        ledger.settle([final(task) for task in tasks if task.token[0] == job])

        outcomes = ledger.outcomes(job)
        lines = [next(outcomes).line]
        ledger.settle([final(task) for task in tasks if task.token[0] == other])
        lines += [outcome.line for outcome in outcomes]

        assert lines == list(range(1, 11))
