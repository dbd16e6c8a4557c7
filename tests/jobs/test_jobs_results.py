"""The results of every format, from the dropped file on; and what strangers may write in them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.formats import Format
from twisted_probe.jobs.formats.dialect import Dialect
from twisted_probe.jobs.formats.output import FORMULA, record_of
from twisted_probe.jobs.intake import JobKeeper
from twisted_probe.jobs.ledger import Job
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.reply import Reply

from .conftest import Daemon
from .reading import ACCEPTED, written

DEFUSED = JobOptions(defuse_formulas=True)


class TestObjects:
    def test_from_drop_to_results(self, daemon: Daemon) -> None:
        lines = [
            '{"email": "Ann <ann@a.example>", "n": 1.0, "id": 12345678901234567890123}',
            '{"email": "bob@a.example"',
            '{"name": "Eve"}',
            "",
            '{"Email":"ANN@A.example","name":"Zo\\u00eb"}',
            '{"address": "ann@A.example"}',
        ]
        daemon.drop("list.jsonl", "\n".join(lines))
        daemon.tick(2)
        assert daemon.answer_all() == ["ANN@A.example", "ann@a.example"]
        daemon.tick()

        results = daemon.objects("list.jsonl")
        objects = [json.loads(line) for line in results]

        assert daemon.names("done") == [
            "list.jsonl",
            "list.jsonl.results.jsonl",
            "list.jsonl.summary.json",
        ]
        assert results[0].startswith(lines[0][:-1] + ',"probe":{')
        assert objects[1]["line"] == 2
        assert objects[1]["text"] == lines[1]
        assert objects[2]["name"] == "Eve"
        assert objects[3]["name"] == "Zoë"
        wanted = ("line", "address", "verdict", "reason", "job")
        assert [tuple(each["probe"][name] for name in wanted) for each in objects] == [
            (1, "ann@a.example", "deliverable", "accepted", "list.jsonl"),
            (2, lines[1], "undeliverable", "invalid_address", "list.jsonl"),
            (3, "", "undeliverable", "invalid_address", "list.jsonl"),
            (5, "ANN@A.example", "deliverable", "accepted", "list.jsonl"),
            (6, "ann@A.example", "deliverable", "accepted", "list.jsonl"),
        ]
        assert objects[1]["probe"]["text"] == (
            "line 2: it is not JSON (Expecting ',' delimiter at character 26)"
        )
        assert objects[2]["probe"]["text"] == 'line 3: the object has no key "address" or "email"'
        assert all(list(each["probe"]) == list(ACCEPTED.record()) for each in objects)
        summary = daemon.summary("list.jsonl")
        assert summary["lines"] == 5
        assert summary["lines"] == (
            summary["recipients"] + summary["duplicates"] + summary["invalid"]
        )

    def test_the_exact_form(self, daemon: Daemon) -> None:
        daemon.drop("list.jsonl", '{"email": "a@b.example"}\n')
        daemon.tick(2)
        (task,) = daemon.take()
        outcome = daemon.outcome(
            task, Reason.MAILBOX_FULL, code=452, enhanced="4.2.2", text="voll: ü", catch_all=False
        )
        daemon.answer(
            task, reason=outcome.reason, code=452, enhanced="4.2.2", text="voll: ü", catch_all=False
        )
        daemon.tick()

        (line,) = daemon.objects("list.jsonl")
        assert json.loads(line)["probe"] == {
            **record_of(outcome, DEFAULTS),
            "line": 1,
            "job": "list.jsonl",
        }

    def test_a_key_of_the_users_where_the_outcome_goes(self, daemon: Daemon) -> None:
        daemon.drop(
            "list.jsonl", '{"email": "a@b.example"}\n{"email": "b@b.example", "probe": 1}\n'
        )
        daemon.tick(2)

        assert daemon.names("failed") == ["list.jsonl", "list.jsonl.error.txt"]
        assert daemon.read("failed", "list.jsonl.error.txt").startswith(
            'list.jsonl, line 2: the object has a key "probe"'
        )
        assert daemon.take() == []

    def test_a_taken_name(self, daemon: Daemon) -> None:
        for _ in range(2):
            daemon.drop("list.jsonl", "")
            daemon.tick(2)

        assert daemon.objects("list.jsonl~2") == []


class TestPacked:
    @pytest.mark.parametrize(
        ("name", "content", "results"),
        [
            ("list.csv.gz", "email\na@b.example\nb@b.example\n", "list.csv.gz.results.csv"),
            ("list.txt.gz", "a@b.example\nb@b.example\n", "list.txt.gz.results.csv"),
            ("list.gz", "a@b.example\nb@b.example\n", "list.gz.results.csv"),
            (
                "list.jsonl.GZ",
                '{"email":"a@b.example"}\n{"email":"b@b.example"}\n',
                "list.jsonl.GZ.results.jsonl",
            ),
        ],
    )
    def test_the_results_are_not(
        self, daemon: Daemon, name: str, content: str, results: str
    ) -> None:
        data = gzip.compress(content.encode())
        daemon.drop(name, data)
        daemon.tick(2)
        assert daemon.answer_all() == ["a@b.example", "b@b.example"]
        daemon.tick()

        assert daemon.names("done") == [name, results, f"{name}.summary.json"]
        assert (daemon.path / "done" / name).read_bytes() == data
        assert daemon.read("done", results).count("a@b.example") == 2

    def test_a_long_name_keeps_what_it_says(self, daemon: Daemon) -> None:
        daemon.drop("x" * 200 + ".2027" * 9 + ".csv.gz", gzip.compress(b"email\na@b.example\n"))
        daemon.tick(2)
        assert daemon.answer_all() == ["a@b.example"]

    def test_a_file_that_is_not_whole(self, daemon: Daemon) -> None:
        daemon.drop("list.gz", gzip.compress(b"a@b.example\nb@b.example\n")[:-3])
        daemon.tick(2)

        assert daemon.names("failed") == ["list.gz", "list.gz.error.txt"]
        assert daemon.read("failed", "list.gz.error.txt") == (
            "list.gz, line 3: the gzip ends here, too early; the file is not whole\n"
        )
        assert daemon.take() == []

    def test_changed_in_a_byte_that_packs_nothing(self, daemon: Daemon) -> None:
        """The digest is that of the file, not of what is in it."""
        daemon.drop("list.gz", gzip.compress(b"a@b.example\n"))
        daemon.tick(2)
        (daemon.path / "active" / "list.gz").write_bytes(gzip.compress(b"a@b.example\n", mtime=1))
        daemon.answer_all()
        daemon.tick()

        assert daemon.names("failed") == ["list.gz", "list.gz.error.txt"]

    def test_little_in_much(self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
        """Blank lines without end: others have their turn, and the job its results."""
        monkeypatch.setattr("twisted_probe.jobs.formats.lines.TURN_LINES", 100_000)
        daemon.drop("list.gz", gzip.compress(b"\n" * 1_000_000 + b"a@b.example\n?\n"))
        turns: list[object] = []
        run = daemon.keeper._run

        def counted(function: Any, *arguments: Any) -> Any:
            turns.extend([function] if function is next else [])
            return run(function, *arguments)

        daemon.keeper._run = counted
        daemon.tick(2)
        assert len(turns) == 11
        daemon.answer_all()
        daemon.tick()

        assert len(turns) == 22
        assert [row["probe_line"] for row in daemon.table("list.gz")] == ["1000001", "1000002"]


class TestSummary:
    def test_latin1_lines(self, daemon: Daemon) -> None:
        line = "Jürgen,j@b.example\n"
        data = b"name,email\n" + line.encode() + line.encode("latin-1") * 12
        daemon.drop("list.csv", data)
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        summary = daemon.summary("list.csv")
        assert summary["latin1_lines"] == 12
        assert summary["first_latin1_lines"] == list(range(3, 13))
        assert {row["name"] for row in daemon.table("list.csv")} == {"Jürgen"}

    @pytest.mark.parametrize("name", ["list", "list.csv", "list.jsonl"])
    def test_every_line_is_counted_once(self, daemon: Daemon, name: str) -> None:
        entries = ["a@b.example", "A <a@B.example>", "nobody", "b@b.example", "x" * 5000, ""]
        if name == "list.jsonl":
            content = "".join(json.dumps({"mail": entry}) + "\n" for entry in entries) + "{\n"
        else:
            content = "id,mail\n" + "".join(f"1,{entry}\n" for entry in entries)
        if name == "list":
            content = "\n".join(entries)
        daemon.drop(name, content)
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        summary = daemon.summary(name)
        assert (summary["recipients"], summary["duplicates"]) == (2, 1)
        assert summary["lines"] == 3 + summary["invalid"] == sum(summary["verdicts"].values())


class TestFormulas:
    def test_are_left_alone_by_default(self, daemon: Daemon) -> None:
        daemon.drop("list.csv", "note,email\n=1+1,+tag@b.example\n")
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        (row,) = daemon.table("list.csv")
        assert (row["note"], row["email"]) == ("=1+1", "+tag@b.example")

    def test_are_defused_by_choice(self, daemon: Daemon) -> None:
        daemon.keeper = JobKeeper(
            daemon.spool, daemon.ledger, daemon.run, daemon.clock, options=DEFUSED
        )
        daemon.drop("list.csv", '@note,email\n"=HYPERLINK(""x"")",+tag@b.example\n')
        daemon.tick(2)
        (task,) = daemon.take()
        daemon.answer(task, text="=cmd|' /C calc'!A0", helo="p.example.org")
        daemon.tick()

        (row,) = daemon.table("list.csv")
        assert row["'@note"] == '\'=HYPERLINK("x")'
        assert row["email"] == row["probe_address"] == "'+tag@b.example"
        assert row["probe_text"] == "'=cmd|' /C calc'!A0"
        assert row["probe_helo"] == "p.example.org"
        assert '"\'=HYPERLINK(""x"")","\'+tag@b.example"' in daemon.read(
            "done", "list.csv.results.csv"
        )

    def test_can_be_chosen_for_one_job(self, daemon: Daemon) -> None:
        class Chosen(JobKeeper):
            def options_of(self, job: Job) -> JobOptions:
                return DEFUSED if job.name == b"this" else super().options_of(job)

        daemon.keeper = Chosen(daemon.spool, daemon.ledger, daemon.run, daemon.clock)
        for name in ("this", "that"):
            daemon.drop(name, "=a@b.example\n")
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        assert [row["address"] for row in daemon.table("this")] == ["'=a@b.example"]
        assert [row["address"] for row in daemon.table("that")] == ["=a@b.example"]

    def test_the_exact_form_stays_exact(self) -> None:
        line = b'{"email": "=a@b.example", "note": "@x"}\n'

        assert written(line, Format.JSONL, options=DEFUSED) == written(line, Format.JSONL)

    @given(
        st.lists(st.text(st.sampled_from("=+-@\t\r\n ;,'\"a")), min_size=2, max_size=2),
        st.sampled_from([Dialect(), Dialect(";", "'")]),
        st.sampled_from(["\n", "\r\n"]),
    )
    def test_no_field_begins_like_one(self, fields: list[str], dialect: Dialect, end: str) -> None:
        text = io.StringIO(newline="")
        writer = dialect.writer(text, end, quoted=True)
        writer.writerow(["email", "note"])
        writer.writerow([*fields])
        outcome = Outcome(address="=", reason=Reason.ACCEPTED, text="-1", checked_at=0.0)

        results = written(text.getvalue().encode(), Format.CSV, outcome, DEFUSED)

        _, found = dialect.reader(io.StringIO(results, newline=""))
        assert not any(field.startswith(FORMULA) for field in found)
        assert [field.removeprefix("'") for field in found[:2]] == [
            field.removeprefix("'") for field in fields
        ]
        assert {"'=", "'-1"} <= set(found)


#: What strangers say, with everything that must reach no terminal, log or file as it is.
WILD = b"\x1b[31mred\x1b[0m \xe2\x80\xaeesrever \xe2\x80\xa8line \x00nul \xff\xfe \\x41 \x9b2J"
#: The same, escaped once. What is no UTF-8 is replaced; a backslash is none of ours.
TAME = (
    r"\x1b[31mred\x1b[0m \u202eesrever \u2028line \x00nul " + "\ufffd\ufffd" + r" \x41 "
    "\ufffd2J"
)


def is_safe(text: str) -> bool:
    """Whether text holds line feeds, and nothing else that a terminal or log would obey."""
    return all(
        character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
        for character in text
    )


class TestBorder:
    """A stranger's words are escaped when they come in, and never again."""

    def test_a_reply(self) -> None:
        assert Reply(550, [WILD]).text == TAME
        assert is_safe(TAME)

    @pytest.mark.parametrize("name", ["list", "list.csv", "list.jsonl"])
    def test_in_every_result(self, daemon: Daemon, name: str) -> None:
        content = {
            "list": "a@b.example\n",
            "list.csv": "email\na@b.example\n",
            "list.jsonl": '{"email": "a@b.example"}\n',
        }
        daemon.drop(name, content[name])
        daemon.tick(2)
        (task,) = daemon.take()
        daemon.answer(task, reason=Reason.POLICY, text=Reply(550, [WILD, WILD]).text)
        daemon.tick()

        *_, results, summary = daemon.names("done")
        raw = daemon.read("done", results)
        if name == "list.jsonl":
            text = json.loads(raw)["probe"]["text"]
        else:
            (row,) = csv.DictReader(io.StringIO(raw, newline=""), strict=True)
            text = row["probe_text"]
        assert text == f"{TAME} {TAME}"
        assert is_safe(raw)
        assert is_safe(daemon.read("done", summary))

    @pytest.mark.parametrize("name", ["list", "list.csv", "list.jsonl"])
    def test_what_the_list_itself_says(self, daemon: Daemon, name: str) -> None:
        """Our columns have it escaped once; the user's own is the user's."""
        wild = WILD.replace(b"\0", b"").decode("utf-8", "replace")
        tame = TAME.replace(r"\x00", "")
        content = {
            "list": f"{wild}\n",
            "list.csv": f"email\n{wild}\n",
            "list.jsonl": json.dumps({"email": wild}) + "\n",
        }
        daemon.drop(name, content[name])
        daemon.tick(2)

        if name == "list.jsonl":
            (line,) = daemon.objects(name)
            own, probe = json.loads(line)["email"], json.loads(line)["probe"]
            address, text = probe["address"], probe["text"]
        else:
            (row,) = daemon.table(name)
            own, *_ = row.values()
            address, text = row["probe_address"], row["probe_text"]
        assert own == (tame if name == "list" else wild)
        assert address == tame
        assert text == r"'\x1b' at position 1: not allowed there"

    def test_in_error_files_and_the_log(self, daemon: Daemon) -> None:
        wild = WILD.replace(b"\0", b"").decode("utf-8", "replace")
        tame = TAME.replace(r"\x00", "")
        name = "a\x1b\u202e\u2028\n\\x41.csv"
        daemon.drop(name, f"{wild[:30]},city\n")
        daemon.tick(2)

        error = daemon.read("failed", f"{name}.error.txt")
        (event,) = daemon.logged("warn")
        assert error == (
            r"a\x1b\u202e\u2028\x0a\x41.csv, line 1: no column is called email, address, e-mail "
            f"or mail; there are '{tame[:39]}…', 'city'\n"
        )
        assert event["why"] == error.removesuffix("\n")
        assert event["name"] == r"a\x1b\u202e\u2028\x0a\x41.csv"
        assert is_safe(error)

    def test_in_the_names_of_jobs(self, daemon: Daemon) -> None:
        daemon.drop("a\x1b\u202e\\x41.jsonl", '{"email": "?"}\n')
        daemon.tick(2)

        (line,) = daemon.objects("a\x1b\u202e\\x41.jsonl")
        assert json.loads(line)["probe"]["job"] == r"a\x1b\u202e\x41.jsonl"
        assert daemon.summary("a\x1b\u202e\\x41.jsonl")["job"] == r"a\x1b\u202e\x41.jsonl"
