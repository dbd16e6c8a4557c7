"""From a dropped file to its results, a tick at a time."""

from __future__ import annotations

import errno
import gzip
import os
import sqlite3
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from twisted_probe.jobs.deadline import JOB_DEADLINE, NEVER_ASKED
from twisted_probe.jobs.formats import lines as lines_module
from twisted_probe.jobs.formats.lines import Lines
from twisted_probe.jobs.intake import AT_ONCE
from twisted_probe.jobs.ledger import ALIVE, State
from twisted_probe.jobs.results import program_version, write_results
from twisted_probe.vocabulary.outcome import FLAT_FIELDS, Reason, Retry

from .conftest import START, Daemon, result_of


class TestResults:
    def test_a_text_file(self, daemon: Daemon) -> None:
        daemon.drop("list", "# who\nbob@b.example\n\n Ann <ann@a.example>\nnobody\nbob@B.example\n")
        daemon.tick(2)
        ann, bob = daemon.take()
        daemon.answer(ann, reason=Reason.NO_SUCH_MAILBOX, code=550, source="192.0.2.1")
        daemon.answer(bob, source="192.0.2.2", catch_all=False)
        daemon.tick()

        rows = daemon.table("list")

        assert list(rows[0]) == ["address", *(f"probe_{name}" for name in FLAT_FIELDS)]
        wanted = ("address", "probe_line", "probe_address", "probe_verdict", "probe_reason")
        assert [tuple(row[name] for name in wanted) for row in rows] == [
            ("bob@b.example", "2", "bob@b.example", "deliverable", "accepted"),
            (
                " Ann <ann@a.example>",
                "4",
                "ann@a.example",
                "undeliverable",
                "no_such_mailbox",
            ),
            ("nobody", "5", "nobody", "undeliverable", "invalid_address"),
            ("bob@B.example", "6", "bob@B.example", "deliverable", "accepted"),
        ]
        assert {row["probe_job"] for row in rows} == {"list"}
        assert {row["probe_final"] for row in rows} == {"true"}
        assert rows[1]["probe_code"] == "550"
        assert rows[2]["probe_text"]
        assert daemon.names("done") == ["list", "list.results.csv", "list.summary.json"]
        assert daemon.names("active") == daemon.names("new") == []
        assert daemon.read("done", "list").startswith("# who\n")

    def test_the_columns_of_a_csv_file_come_back(self, daemon: Daemon) -> None:
        text = (
            'id,"note, long",E-Mail\r\n'
            '1,"a ""b"", c",x@a.example\r\n'
            '2,"two\r\nlines",y@a.example\r\n'
            "3,=SUM(A1),\r\n"
            "4,x@a.example\r\n"
            "5,,y@a.example,more,\r\n"
            '6,"bare\rreturn", z@a.example \r\n'
        )
        daemon.drop("list.csv", text)
        daemon.tick(2)
        assert daemon.answer_all() == ["x@a.example", "y@a.example", "z@a.example"]
        daemon.tick()

        rows = daemon.table("list.csv")

        assert [(row["id"], row["note, long"], row["E-Mail"]) for row in rows] == [
            ("1", 'a "b", c', "x@a.example"),
            ("2", "two\r\nlines", "y@a.example"),
            ("3", "=SUM(A1)", ""),
            ("4", "x@a.example", ""),
            ("5", "", "y@a.example,more,"),
            ("6", "bare\rreturn", " z@a.example "),
        ]
        assert [row["probe_line"] for row in rows] == ["2", "3", "5", "6", "7", "8"]
        assert [row["probe_reason"] for row in rows] == [
            *["accepted"] * 2,
            *["invalid_address"] * 2,
            *["accepted"] * 2,
        ]

    def test_the_delimiter_comes_back(self, daemon: Daemon) -> None:
        daemon.drop("list.csv", "name;mail\nDoe, Ann;ann@a.example\n")
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        (row,) = daemon.table("list.csv", ";")

        assert (row["name"], row["mail"]) == ("Doe, Ann", "ann@a.example")
        assert row["probe_verdict"] == "deliverable"

    def test_summary(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@a.example\nb@a.example\na@a.example\n?\n?\nc@a.example\n")
        daemon.tick(2)
        a, b, c = daemon.take()
        daemon.answer(a, source="192.0.2.2")
        daemon.answer(b, reason=Reason.MAILBOX_FULL, source="192.0.2.1")
        daemon.answer(c, reason=Reason.INVALID_ADDRESS, source="192.0.2.1")
        daemon.clock.advance(60)
        daemon.tick()

        assert daemon.summary("list") == {
            "job": "list",
            "cancelled": False,
            "lines": 6,
            "recipients": 3,
            "duplicates": 1,
            "invalid": 2,
            "cached": 0,
            "latin1_lines": 0,
            "first_latin1_lines": [],
            "verdicts": {"deliverable": 2, "risky": 1, "undeliverable": 3, "unknown": 0},
            "reasons": {"accepted": 2, "mailbox_full": 1, "invalid_address": 3},
            "started_at": "2027-01-15T08:00:01.000Z",
            "finished_at": "2027-01-15T08:01:02.000Z",
            "sources": ["192.0.2.1", "192.0.2.2"],
            "version": program_version(),
        }

    def test_only_the_service_reads_them(self, daemon: Daemon) -> None:
        daemon.drop("list", "")
        daemon.tick(2)

        for name in ("list.results.csv", "list.summary.json"):
            assert stat.S_IMODE((daemon.path / "done" / name).stat().st_mode) == 0o600

    @pytest.mark.parametrize("name", ["list", "list.csv"])
    def test_row_158_an_empty_file(self, daemon: Daemon, name: str) -> None:
        daemon.drop(name, "")
        daemon.tick(2)

        assert daemon.table(name) == []
        summary = daemon.summary(name)
        assert (summary["lines"], summary["recipients"], summary["reasons"]) == (0, 0, {})
        assert daemon.names("done") == [name, f"{name}.results.csv", f"{name}.summary.json"]

    def test_control_characters(self, daemon: Daemon) -> None:
        daemon.drop(
            "list", "a\x1b[2J@b.example\na@b.example\rRCPT TO:<x@y.example>\n\x07\u202eé \\x\n"
        )
        daemon.tick(2)

        first, second, third = daemon.table("list")

        assert first["address"] == r"a\x1b[2J@b.example"
        assert first["probe_address"] == r"a\x1b[2J@b.example"
        assert second["address"] == r"a@b.example\x0dRCPT TO:<x@y.example>"
        assert third["address"] == r"\x07\u202eé \x"
        assert {first["probe_reason"], second["probe_reason"]} == {"invalid_address"}
        assert "\x1b" not in first["probe_text"]

    def test_row_157_a_line_beyond_the_cap(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example" + " " * 50_000 + "\nc@b.example\n")
        daemon.tick(2)
        assert daemon.answer_all() == ["c@b.example"]
        daemon.tick()

        first, second = daemon.table("list")

        assert first["probe_reason"] == "invalid_address"
        assert first["probe_text"] == "the entry is longer than 4096 characters"
        assert first["address"].rstrip() == "a@b.example"
        assert second["probe_reason"] == "accepted"

    def test_row_158_encodings(self, daemon: Daemon) -> None:
        data = "name,email\nJürgen,j@b.example\n".encode("latin-1")
        daemon.drop("list.csv", b"\xef\xbb\xbf" + data + "Zoë,z@b.example\n".encode())
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        assert [row["name"] for row in daemon.table("list.csv")] == ["Jürgen", "Zoë"]

    def test_a_job_that_is_not_named_yet(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        (job,) = daemon.ledger.jobs(State.OPEN)

        with pytest.raises(ValueError, match="no place in done"):
            next(write_results(daemon.spool, daemon.ledger, job))

    @pytest.mark.parametrize("name", [b"a\nb.csv", b"\xff.csv", b"-rf", b"a" * 255])
    def test_row_160_odd_names(self, daemon: Daemon, name: bytes) -> None:
        daemon.drop(name, "email\na@b.example\n" if name.endswith(b".csv") else "a@b.example\n")
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        (original, results, summary) = sorted(os.listdir(os.fsencode(daemon.path / "done")))
        assert results == original + b".results.csv"
        assert summary == original + b".summary.json"
        assert name.startswith(original)


class TestUnreadable:
    def test_row_158_binary(self, daemon: Daemon) -> None:
        daemon.drop("list", b"a@b.example\nb@b.example\nc\0d\n")
        daemon.tick(2)

        assert daemon.names("failed") == ["list", "list.error.txt"]
        assert daemon.read("failed", "list.error.txt").startswith("list, line 3: it holds a NUL")
        assert daemon.take() == []
        assert daemon.ledger.progress(START) == []

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("list.xlsx", "x", "list.xlsx: the suffix .xlsx is not understood"),
            ("list.toml", "control = false\n", "list.toml: the suffix .toml is not understood"),
            ("list.csv", "name,city\n", "list.csv, line 1: no column is called"),
            ("list.csv", 'email\n"a@b.example\n', "list.csv, line 2: the record that begins"),
        ],
    )
    def test_words(self, daemon: Daemon, name: str, content: str, words: str) -> None:
        daemon.drop(name, content)
        daemon.tick(2)

        assert daemon.names("failed") == [name, f"{name}.error.txt"]
        assert daemon.read("failed", f"{name}.error.txt").startswith(words)
        assert daemon.names("active") == []

    def test_others_go_on(self, daemon: Daemon) -> None:
        daemon.drop("a.csv", "name,city\n")
        daemon.drop("b", "a@b.example\n")
        daemon.drop("c.pdf", "%PDF")
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        assert daemon.names("failed") == ["a.csv", "a.csv.error.txt", "c.pdf", "c.pdf.error.txt"]
        assert daemon.names("done") == ["b", "b.results.csv", "b.summary.json"]

    def test_mended_and_dropped_again(self, daemon: Daemon) -> None:
        for content in ("name,city\n", "email,city\n"):
            daemon.drop("list.csv", content)
            daemon.tick(2)

        assert daemon.names("failed") == ["list.csv", "list.csv.error.txt"]
        assert "list.csv~2.results.csv" in daemon.names("done")
        assert daemon.summary("list.csv~2")["job"] == "list.csv~2"


class TestNames:
    def test_row_156_the_same_name_twice(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        daemon.drop("list", "c@b.example\n")
        daemon.tick(2)
        assert daemon.names("active") == ["list", "list~2"]
        daemon.answer_all()
        daemon.tick()
        daemon.drop("list", "")
        daemon.tick(2)

        assert [row["address"] for row in daemon.table("list")] == ["a@b.example"]
        assert [row["address"] for row in daemon.table("list~2")] == ["c@b.example"]
        assert daemon.table("list~3") == []

    def test_a_name_taken_in_done_meanwhile(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        (daemon.path / "done" / "list.results.csv").write_text("theirs")
        daemon.answer_all()
        daemon.tick()

        assert daemon.read("done", "list.results.csv") == "theirs"
        assert daemon.table("list~2")[0]["probe_job"] == "list~2"
        assert "list~2" in daemon.names("done")


class TestWaitingAndDeadline:
    retry = Retry("192.0.2.1", "p.example.org", "p@example.org", "x@b.example", 1, START)

    def test_half_written(self, daemon: Daemon) -> None:
        with (daemon.path / "new" / "list").open("w") as half:
            half.write("a@b.example\nb@b")
            half.flush()
            daemon.tick(100)
            assert daemon.names("active") == []
            half.write(".example\n")
        daemon.tick(2)

        assert [task.address.text for task in daemon.take()] == ["a@b.example", "b@b.example"]

    def test_greylisted_over_a_restart(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\nb@b.example\n")
        daemon.tick(2)
        a, b = daemon.take()
        daemon.answer(b)
        due = daemon.now + 300
        waiting = daemon.outcome(
            a, Reason.GREYLISTED, final=False, next_attempt_at=due, retry=self.retry
        )
        result_of(daemon.work.retry_at([(a, waiting)]))
        daemon.restart()
        daemon.tick()

        assert daemon.names("done") == []
        daemon.clock.advance(due - daemon.now - 1)
        assert daemon.take() == []
        daemon.clock.advance(1)
        (again,) = daemon.take()
        assert (again.address, again.retry) == (a.address, self.retry)
        daemon.answer(again, attempts=2)
        daemon.tick()
        assert [row["probe_attempts"] for row in daemon.table("list")] == ["2", "0"]

    def test_given_back(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        tasks = daemon.take()

        result_of(daemon.work.give_back(tasks))

        assert daemon.take() == tasks

    def test_the_deadline(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\nb@b.example\nc@b.example\n?\n")
        daemon.tick(2)
        received = daemon.now - 1
        a, b, c = daemon.take()
        daemon.answer(c)
        due = daemon.now + 3600
        waiting = daemon.outcome(
            b, Reason.GREYLISTED, final=False, next_attempt_at=due, retry=self.retry
        )
        result_of(daemon.work.retry_at([(b, waiting)]))
        daemon.clock.advance(received + JOB_DEADLINE - daemon.now - 1)
        daemon.tick()
        assert daemon.names("done") == []

        daemon.tick()

        assert [row["probe_reason"] for row in daemon.table("list")] == [
            "temporary",
            "greylisted",
            "accepted",
            "invalid_address",
        ]
        assert daemon.table("list")[0]["probe_text"] == NEVER_ASKED
        before = daemon.read("done", "list.results.csv")
        daemon.answer(a)
        daemon.tick(3)
        assert daemon.read("done", "list.results.csv") == before

    def test_a_clock_set_back_over_a_restart(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.tick(2)
        daemon.clock.rightNow -= 10_000_000
        daemon.restart()
        daemon.tick()

        (job,) = daemon.ledger.jobs(State.OPEN)

        assert job.deadline == daemon.now - 1 + JOB_DEADLINE


class TestTrouble:
    def test_a_full_disk_is_told_once_and_nothing_is_lost(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon.drop("one", "a@b.example\n")
        daemon.drop("two", "?\n")
        daemon.tick(2)
        assert daemon.names("done") == ["two", "two.results.csv", "two.summary.json"]
        daemon.answer_all()

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            daemon.tick(5)
            assert len(daemon.names("done")) == 3

        job, disk = daemon.logged("error")
        assert "No space left on device" in job["cause"]
        assert disk["lack"] == "the spool's disk refuses what is written: No space left on device"
        daemon.tick(5)
        assert daemon.table("one")[0]["probe_reason"] == "accepted"

    def test_an_unexpected_error_stops_no_other_job(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a", "b", "c"):
            daemon.drop(name, f"{name}@b.example\n")
        really = type(daemon.ledger).import_rows

        def fails(ledger: Any, job: int, *arguments: Any) -> bool:
            if ledger.job(job).title == "a":
                raise ZeroDivisionError
            return really(ledger, job, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(type(daemon.ledger), "import_rows", fails)
            daemon.tick(5)
            assert sorted(daemon.answer_all()) == ["b@b.example", "c@b.example"]
            daemon.tick()

        (event,) = daemon.logged("critical")
        assert event["log_failure"].check(ZeroDivisionError)
        assert event["what"] == "job number 1"
        assert [name for name in daemon.names("done") if len(name) == 1] == ["b", "c"]
        daemon.tick()
        assert daemon.answer_all() == ["a@b.example"]

    def test_a_spool_that_cannot_be_read_is_tried_again(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon.drop("list", "?\n")

        def fails(*arguments: object) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", fails)
            daemon.tick(3)
        daemon.tick(2)

        assert {event["what"] for event in daemon.logged("error")} == {"new/", "active/"}
        assert daemon.table("list")

    def test_a_ledger_that_fails_is_tried_again(self, daemon: Daemon) -> None:
        daemon.drop("list", "?\n")
        daemon.tick()
        fails = iter([sqlite3.OperationalError("disk I/O error")] * 10)
        really = daemon.keeper._run

        def run(function: Any, *arguments: Any) -> Deferred[Any]:
            for error in fails:
                if getattr(function, "__self__", None) is daemon.ledger:
                    return Deferred.fromCoroutine(_raises(error))
                break
            return really(function, *arguments)

        daemon.keeper._run = run
        daemon.tick(10)

        assert {event["cause"] for event in daemon.logged("error")} == {
            "OperationalError: disk I/O error"
        }
        assert daemon.table("list")

    @pytest.mark.parametrize(
        "change", ["a@b.example\n", "\na@b.example\n?\n", "x@b.example\n?\n", "\0", ""]
    )
    def test_an_original_that_was_changed(self, daemon: Daemon, change: str) -> None:
        daemon.drop("list", "a@b.example\n?\n")
        daemon.tick(2)
        (daemon.path / "active" / "list").write_text(change)
        daemon.answer_all()
        daemon.tick()

        assert daemon.names("done") == []
        assert daemon.names("failed") == ["list", "list.error.txt"]
        assert daemon.read("failed", "list.error.txt") == (
            "list: the file was changed after it had been read; drop it again\n"
        )
        assert daemon.ledger.progress(daemon.now) == []

    def test_row_152_an_original_that_was_taken_away(self, daemon: Daemon) -> None:
        daemon.drop("list", "a@b.example\n")
        daemon.drop("other", "b@b.example\n")
        daemon.tick(2)
        (daemon.path / "active" / "list").unlink()
        daemon.answer_all()
        daemon.tick(3)

        assert [event["job"] for event in daemon.logged("error")] == ["list"]
        assert "other.results.csv" in daemon.names("done")
        assert daemon.ledger.progress(daemon.now) == []

    def test_taken_away_before_it_was_read(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        daemon.drop("list", "a@b.example\n")
        really = daemon.ledger.add_job

        def add_job(*arguments: Any) -> int:
            (daemon.path / "active" / "list").unlink()
            return really(*arguments)

        monkeypatch.setattr(daemon.ledger, "add_job", add_job)
        daemon.tick(3)

        assert [event["job"] for event in daemon.logged("error")] == ["list"]


class Slowly:
    """A runner whose calls wait until they are let go."""

    def __init__(self) -> None:
        self.calls: list[tuple[Deferred[Any], Any, Any]] = []

    def __call__(self, function: Any, *arguments: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        self.calls.append((deferred, function, arguments))
        return deferred

    def go(self) -> None:
        deferred, function, arguments = self.calls.pop(0)
        try:
            result = function(*arguments)
        except Exception:
            deferred.errback()
        else:
            deferred.callback(result)


class Turns:
    """A daemon's thread by hand: ten lines a turn, and a tick whenever it has nothing to do."""

    def __init__(self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
        self._daemon = daemon
        self._slowly = Slowly()
        self._numbers: Counter[str] = Counter()
        monkeypatch.setattr(lines_module, "TURN_LINES", 10)
        really = Lines._piece

        def piece(lines: Lines, limit: int, line: int) -> bytes:
            self._numbers[lines._title] += 1
            return really(lines, limit, line)

        monkeypatch.setattr(Lines, "_piece", piece)

    def begin(self) -> None:
        self._daemon.keeper._run = self._slowly
        self._tick()

    def go(self, turns: int = 1) -> None:
        for _ in range(turns):
            self._slowly.go()
            self._tick()

    def finish(self) -> None:
        """Until nothing is left to do."""
        while self._daemon.ledger.jobs(*ALIVE) or self._daemon.names("new"):
            self.go()

    def lines_read(self, name: str) -> int:
        return self._numbers[name]

    def forget(self) -> None:
        self._numbers.clear()

    def _tick(self) -> None:
        if self._daemon.keeper._ticking is None:
            Deferred.fromCoroutine(self._daemon.keeper.tick())
            self._daemon.clock.advance(1)


@pytest.fixture
def turns(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(daemon, monkeypatch)


class TestTurns:
    def test_one_tick_at_a_time_and_a_stop_that_waits(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(daemon.ledger).import_rows, "__defaults__", (10,))
        daemon.drop("list", "".join(f"user{number}@b.example\n" for number in range(100)))
        daemon.tick()
        slowly = daemon.keeper._run = Slowly()
        tick = Deferred.fromCoroutine(daemon.keeper.tick())
        while "next" not in getattr(slowly.calls[0][1], "__name__", ""):
            slowly.go()
        calls = len(slowly.calls)
        result_of(daemon.keeper.tick())
        assert len(slowly.calls) == calls
        while not any(job.lines for job in daemon.ledger.jobs(State.IMPORTING)):
            slowly.go()

        stop = Deferred.fromCoroutine(daemon.keeper.stop())
        assert not stop.called
        steps = 0
        while slowly.calls:
            slowly.go()
            steps += 1

        assert steps < 10
        assert tick.called
        assert stop.called
        (job,) = daemon.ledger.jobs(State.IMPORTING)
        assert 0 < job.lines < 100
        result_of(daemon.keeper.tick())
        result_of(daemon.keeper.stop())
        daemon.restart()
        daemon.tick()
        assert len(daemon.take(1000)) == 100

    def test_a_stop_while_results_are_written(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("twisted_probe.jobs.results.PAGE", 10)
        daemon.drop("list", "".join(f"user{number}@b.example\n" for number in range(100)))
        daemon.tick(2)
        daemon.answer_all()
        daemon.run = daemon.keeper._run
        turns = 0

        def run(function: Any, *arguments: Any) -> Deferred[Any]:
            nonlocal turns
            if function is next:
                turns += 1
                daemon.keeper._stopping = turns > 3
            return daemon.run(function, *arguments)

        daemon.keeper._run = run
        daemon.tick()

        assert daemon.names("done") == []
        daemon.restart()
        daemon.tick()
        assert len(daemon.table("list")) == 100

    def test_a_short_list_passes_a_long_one(self, daemon: Daemon, turns: Turns) -> None:
        daemon.drop("a-long-one", "# nobody\n" * 1000)
        daemon.drop("b-short", "?\n")
        daemon.tick()
        turns.begin()
        while "b-short.results.csv" not in daemon.names("done"):
            turns.go()

        assert turns.lines_read("a-long-one") < 200
        assert "a-long-one.results.csv" not in daemon.names("done")
        turns.finish()
        assert "a-long-one.results.csv" in daemon.names("done")

    def test_one_that_comes_while_a_long_one_is_read(self, daemon: Daemon, turns: Turns) -> None:
        daemon.drop("a-long-one", "\n" * 1000)
        daemon.tick()
        turns.begin()
        turns.go(20)
        daemon.drop("b-short", "?\n")
        while "b-short.results.csv" not in daemon.names("done"):
            turns.go()

        assert turns.lines_read("a-long-one") < 500

    def test_one_that_comes_while_long_results_are_written(
        self, daemon: Daemon, turns: Turns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("twisted_probe.jobs.results.PAGE", 10)
        daemon.drop("a-long-one", "#\n" * 1000 + "?\n" * 500)
        daemon.tick()
        turns.begin()
        while not any(name.startswith(".") for name in daemon.names("done")):
            turns.go()
        daemon.drop("b-short", "?\n")
        while "b-short.results.csv" not in daemon.names("done"):
            turns.go()

        assert "a-long-one.results.csv" not in daemon.names("done")
        turns.finish()
        assert len(daemon.table("a-long-one")) == 500

    def test_no_more_at_once_than_have_hands(self, daemon: Daemon, turns: Turns) -> None:
        names = [f"list{number:02}" for number in range(2 * AT_ONCE)]
        for name in names:
            daemon.drop(name, "#\n" * 100)
        daemon.tick()
        turns.begin()
        turns.go(8 * AT_ONCE)

        assert [name for name in names if turns.lines_read(name)] == names[:AT_ONCE]
        turns.finish()
        assert len(daemon.names("done")) == 3 * len(names)

    @pytest.mark.parametrize("name", ["list", "list.gz"])
    def test_a_list_that_is_called_off_is_not_read_on(
        self, daemon: Daemon, turns: Turns, name: str
    ) -> None:
        data = b"?\na@b.example\n" + b"#\n" * 1000 + b"c@b.example\n"
        daemon.drop(name, gzip.compress(data) if name.endswith(".gz") else data)
        daemon.tick()
        turns.begin()
        while turns.lines_read(name) < 50:
            turns.go()
        (job,) = daemon.ledger.jobs(State.IMPORTING)
        daemon.ledger.cancel_job(job.id, daemon.now)
        turns.finish()

        assert turns.lines_read(name) < 100
        assert [(row["probe_line"], row["probe_reason"]) for row in daemon.table(name)] == [
            ("1", "invalid_address"),
            ("2", "temporary"),
        ]
        summary = daemon.summary(name)
        assert (summary["cancelled"], summary["lines"]) == (True, 2)

    def test_one_that_was_called_off_is_not_read_on_after_a_restart(
        self, daemon: Daemon, turns: Turns
    ) -> None:
        daemon.drop("list", "?\n" + "#\n" * 1000)
        daemon.tick()
        turns.begin()
        while turns.lines_read("list") < 50:
            turns.go()
        (job,) = daemon.ledger.jobs(State.IMPORTING)
        daemon.ledger.cancel_job(job.id, daemon.now)
        turns.forget()
        daemon.restart()
        daemon.tick()

        assert 0 < turns.lines_read("list") < 50
        assert len(daemon.table("list")) == 1
        assert daemon.summary("list")["cancelled"] is True

    def test_a_tick_that_is_cancelled(self, daemon: Daemon) -> None:
        daemon.keeper._run = Slowly()
        tick = Deferred.fromCoroutine(daemon.keeper.tick())

        tick.cancel()

        with pytest.raises(CancelledError):
            result_of(tick)
        assert daemon.events == []

    def test_the_default_is_named(self) -> None:
        assert JOB_DEADLINE == 24 * 3600


async def _raises(error: Exception) -> None:
    raise error


def test_ten_thousand_lines(daemon: Daemon, tmp_path: Path) -> None:
    """More than one piece of everything."""
    lines = [f"user{number % 7000}@domain{number % 11}.example" for number in range(12_000)]
    lines[5000] = "nobody"
    daemon.drop("list", "\n".join(lines))
    daemon.tick(2)
    daemon.answer_all()
    daemon.tick()

    rows = daemon.table("list")

    assert [row["address"] for row in rows] == lines
    assert [row["probe_address"] for row in rows] == lines
    assert daemon.summary("list")["recipients"] == len(set(lines)) - 1
