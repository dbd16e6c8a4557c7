"""Forgetting an address or a job: afterwards no file of the spool has it."""

from __future__ import annotations

import codecs
import fcntl
import gzip
import os
import shutil
import sqlite3
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.jobs import forgetting
from twisted_probe.jobs.backup import NoBackup, back_up, made, note, remove_unfinished
from twisted_probe.jobs.erasing import Erasing
from twisted_probe.jobs.forgetting import (
    Forgetting,
    Forgotten,
    NothingToForget,
    forget_in_backups,
)
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.reclassify import Reclassification
from twisted_probe.jobs.schema import steps
from twisted_probe.routing.work import Task
from twisted_probe.verdict.rules import rules_with
from twisted_probe.vocabulary.hearing import Basis, Dialogue, Hearing
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import Daemon, small_buckets

SECRET = "gwendolen"
ADDRESS = f"{SECRET}@a.example"
LIST = (
    f"ann@a.example\n# a comment\n{ADDRESS}\nben@a.example\nGwen <{SECRET}@A.EXAMPLE>\nno address\n"
)


def hearing_of(tasks: list[Task], **more: Any) -> Hearing:
    lines = ["S: 220 mx", "C: EHLO h", "S: 250 mx"]
    lines += [f"C: RCPT TO:<{task.address}>" for task in tasks]
    for task in tasks:
        lines += [f"S: 250-{task.address.local} is", "S: 250 fine"]
    lines += [f"S: 421 {ADDRESS.upper()} was too much", "C: QUIT"]
    dialogue = Dialogue(
        exchanger="mx.a.example", exchanger_address="192.0.2.1", begun_at=1.0, lines=tuple(lines)
    )
    bases = {
        task.address.key: Basis(
            reply=Reply(550, (b"5.1.1 unknown",), stage=Stage.RCPT),
            recipient=task.address.text,
            witness=ADDRESS,
            dialogue=0,
        )
        for task in tasks
    }
    return Hearing(dialogues=[dialogue], bases=bases, **more)


def settled(daemon: Daemon, name: str, content: str | bytes = LIST) -> None:
    daemon.drop(name, content)
    daemon.tick(2)
    tasks = list(daemon.take())
    hearing = hearing_of(tasks)
    daemon.answer(*tasks, code=250, catch_all=False, text="fine", hearing=hearing)
    daemon.tick(2)
    assert name in daemon.names("done")


def forget(daemon: Daemon, what: str = ADDRESS) -> Forgotten:
    forgetting = Forgetting(daemon.spool, daemon.ledger, what)
    for _ in forgetting.steps():
        pass
    return forgetting.found


def places(path: Path, word: str = SECRET) -> list[str]:
    """The files below `path` that have the word, packed or in any encoding."""
    words = [word.encode(each) for each in ("utf-8", "utf-16-le", "utf-16-be")]
    found = []
    for file in path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if data.startswith(b"\x1f\x8b"):
                data += gzip.decompress(data)
            if any(each in data.lower() for each in words):
                found.append(str(file.relative_to(path)))
    return found


def heard(daemon: Daemon) -> str:
    rows = daemon.ledger._database.execute("SELECT id FROM hearings").fetchall()
    hearings = [daemon.ledger.hearing(number) for (number,) in rows]
    return repr([(each.bases, each.dialogues) for each in hearings if each is not None])


# --- An address ---------------------------------------------------------------------------------


def test_nothing_of_it_is_left(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    small_buckets(monkeypatch, 2)
    settled(daemon, "list.txt")
    daemon.clock.advance(30 * 86400)
    settled(daemon, "again.txt")
    settled(daemon, "other.txt", "carl@a.example\n")
    assert SECRET in heard(daemon)
    found = forget(daemon)
    assert found.jobs == ["list.txt", "again.txt"]
    assert found.left == []
    assert sorted(found.files) == [
        *("done/again.txt", "done/again.txt.results.csv"),
        *("done/list.txt", "done/list.txt.results.csv"),
    ]
    assert SECRET not in heard(daemon).lower()
    assert "RCPT TO:<ben@a.example>" in heard(daemon)
    assert places(daemon.path) == []
    assert forget(daemon) == Forgotten()


def test_all_other_lines_stay_as_they_were(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    results = daemon.read("done", "list.txt.results.csv").splitlines()
    summary = daemon.summary("list.txt")
    forget(daemon)
    assert daemon.read("done", "list.txt") == (
        "ann@a.example\n# a comment\n\nben@a.example\n\nno address\n"
    )
    assert daemon.read("done", "list.txt.results.csv").splitlines() == [
        line for line in results if SECRET not in line
    ]
    assert [row["probe_line"] for row in daemon.table("list.txt")] == ["1", "4", "6"]
    assert daemon.summary("list.txt") == summary
    assert [one.line for one in daemon.ledger.outcomes(1)] == [1, 4, 6]


def test_it_is_asked_again_when_it_comes_again(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    forget(daemon)
    daemon.drop("next.txt", LIST)
    daemon.tick(2)
    assert [task.address.local for task in daemon.take()] == [SECRET]


def test_the_job_can_still_be_reclassified(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    forget(daemon)
    rules = rules_with(
        '[[rule]]\nname = "own"\nlabel = "mailbox_full"\ncodes = ["550"]\n'
        'words = ["unknown"]\nground = "we know"\n'
    )
    reclassification = Reclassification(daemon.ledger, daemon.ledger.job(1), rules)
    for _ in reclassification.apply(daemon.spool):
        pass
    assert reclassification.found.rewritten
    assert [row["probe_reason"] for row in daemon.table("list.txt")] == [
        *("mailbox_full", "mailbox_full", "invalid_address")
    ]


TABLE = (
    'name;email;note\r\n"Ann";ann@a.example;"one\r\ntwo"\r\n'
    f'"Gwen";{ADDRESS};"three\r\n\r\nfour {SECRET}"\r\n\r\nBen;ben@a.example;five\r\n'
    f"Gwen;{ADDRESS};six"
)


@pytest.mark.parametrize(
    ("name", "content", "after"),
    [
        (
            "list.csv",
            TABLE.encode(),
            b'name;email;note\r\n"Ann";ann@a.example;"one\r\ntwo"\r\n'
            b"\r\n\r\n\r\n\r\nBen;ben@a.example;five\r\n",
        ),
        (
            "list.csv",
            f"email\n{ADDRESS}\nann@a.example\n".encode(),
            b"email\n\nann@a.example\n",
        ),
        (
            "list.jsonl",
            f'{{"email":"{ADDRESS}","n":1}}\n{{"email":"ann@a.example"}}\nnone\n'.encode(),
            b'\n{"email":"ann@a.example"}\nnone\n',
        ),
        (
            "latin.txt",
            f"J\u00f6rg <j@a.example>\n{ADDRESS}\n".encode("latin-1"),
            "J\u00f6rg <j@a.example>\n\n".encode("latin-1"),
        ),
        (
            "mac.txt",
            f"ann@a.example\r{ADDRESS}\rben@a.example".encode(),
            b"ann@a.example\r\rben@a.example",
        ),
        (
            "marked.txt",
            codecs.BOM_UTF8 + f"{ADDRESS}\r\nann@a.example\r\n".encode(),
            codecs.BOM_UTF8 + b"\r\nann@a.example\r\n",
        ),
        (
            "wide.txt",
            codecs.BOM_UTF16_LE + f"{ADDRESS}\nann@a.example\n".encode("utf-16-le"),
            codecs.BOM_UTF8 + b"\nann@a.example\n",
        ),
    ],
    ids=["table", "one column", "objects", "latin", "mac", "marked", "utf-16"],
)
def test_every_form_of_a_list(daemon: Daemon, name: str, content: bytes, after: bytes) -> None:
    settled(daemon, name, content)
    path = daemon.path / "done" / name
    path.chmod(0o640)
    assert places(daemon.path / "done") != []
    found = forget(daemon)
    assert found.left == []
    assert places(daemon.path) == []
    assert path.read_bytes() == after
    assert path.stat().st_mode & 0o777 == 0o640
    assert b"ann@a.example" in after or b"j@a.example" in after
    results = [each for each in daemon.names("done") if ".results." in each]
    assert "a.example" in daemon.read("done", results[0])


def test_a_packed_list_is_packed_again(daemon: Daemon) -> None:
    settled(daemon, "list.txt.gz", gzip.compress(LIST.encode()))
    forget(daemon)
    data = (daemon.path / "done" / "list.txt.gz").read_bytes()
    assert gzip.decompress(data).splitlines()[2] == b""
    assert places(daemon.path) == []
    assert daemon.ledger.job(1).digest is not None


def test_results_that_were_defused(daemon: Daemon) -> None:
    daemon.keeper.options = JobOptions(defuse_formulas=True)
    plus = f"+{ADDRESS}"
    settled(daemon, "list.txt", f"{plus}\nann@a.example\n")
    assert f"'{plus}" in daemon.read("done", "list.txt.results.csv")
    forget(daemon, plus)
    assert places(daemon.path) == []


def test_lists_that_the_ledger_knows_no_more(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    while daemon.ledger.erase_job(1):
        pass
    (daemon.path / "done" / "alone.txt.results.csv").write_text(
        daemon.read("done", "list.txt.results.csv")
    )
    found = forget(daemon)
    assert found.jobs == []
    assert len(found.files) == 3
    assert places(daemon.path) == []


def test_what_cannot_be_read_is_named(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    path = daemon.path / "done" / "list.txt.results.csv"
    path.write_text(f"{ADDRESS}\n")
    (daemon.path / "done" / "dir.txt.results.csv").mkdir()
    (daemon.path / "done" / "odd.pdf.results.csv").write_text(f"{ADDRESS}\n")
    left = forget(daemon).left
    assert left[0].startswith("done/dir.txt.results.csv cannot be looked through: ")
    assert left[1].startswith("done/list.txt.results.csv cannot be looked through: ")
    # And again as long as it is so, though the ledger knows of nothing any more.
    assert (
        left[2:]
        == forget(daemon).left[1:]
        == [
            "it stands where nothing is erased, in done/list.txt.results.csv, "
            "done/odd.pdf.results.csv: look there yourself"
        ]
    )
    assert SECRET not in daemon.read("done", "list.txt")


def test_jobs_that_are_not_over_keep_it_and_are_named(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    daemon.drop("open.txt", f"{ADDRESS}\ndora@a.example\n")
    daemon.drop("other.txt", "dora@a.example\n")
    daemon.tick(2)
    found = forget(daemon)
    assert found.jobs == ["list.txt"]
    assert found.left == ["open.txt is not over: cancel it or wait, and say it again then"]
    daemon.answer_all()
    daemon.tick(2)
    assert len(daemon.table("open.txt")) == 2
    assert forget(daemon).left == []
    assert places(daemon.path) == []


def test_lists_that_nobody_has_read_are_named(daemon: Daemon) -> None:
    daemon.drop("bad.csv", f"name,other\n{ADDRESS},x\n")
    daemon.drop("good.csv", "name,other\nx,x\n")
    daemon.drop("packed.csv.gz", gzip.compress(f"name,other\nx,{ADDRESS.upper()}\n".encode()))
    daemon.drop("other.csv.gz", gzip.compress(b"name,other\n"))
    daemon.drop("cut.csv.gz", gzip.compress(b"name,other\n")[:-9])
    daemon.drop("header.csv", f"{ADDRESS};Gwen\nann@a.example;Ann\n")
    daemon.drop("wide.csv", f"name,{ADDRESS}\n".encode("utf-16-be"))
    daemon.drop("latin.csv", f"J\u00f6rg,J\u00f6rg\n{ADDRESS},x\n".encode("latin-1"))
    daemon.drop(f"{ADDRESS}.csv", "name,other\n")
    daemon.tick(3)
    daemon.drop("fresh", ADDRESS)
    assert ADDRESS in daemon.read("failed", "header.csv.error.txt")
    stands = [
        *("bad.csv", f"{ADDRESS}.csv", f"{ADDRESS}.csv.error.txt", "header.csv"),
        *("header.csv.error.txt", "latin.csv", "packed.csv.gz", "wide.csv"),
    ]
    named, *left = forget(daemon).left
    assert named.startswith(f"it is in the name of a job: {ADDRESS}.csv; ")
    assert left[0] == "lists in new/ are not looked into: fresh"
    assert left[1].startswith("failed/cut.csv.gz cannot be looked through: the gzip ends here")
    places = ", ".join(f"failed/{name}" for name in stands)
    assert left[2:] == [f"it stands where nothing is erased, in {places}: look there yourself"]


def test_ledgers_that_are_kept_aside_are_named(daemon: Daemon) -> None:
    for name in ("ledger.sqlite.version-3", "ledger.sqlite.damaged-20270101T000000Z"):
        (daemon.path / "state" / name).write_bytes(b"")
    assert forget(daemon).left == [
        "state/ledger.sqlite.damaged-20270101T000000Z is kept as it is: remove it",
        "state/ledger.sqlite.version-3 is kept as it is: remove it",
    ]


@pytest.mark.parametrize("end", range(1, 12))
def test_who_is_interrupted_says_it_again(daemon: Daemon, end: int) -> None:
    settled(daemon, "list.txt")
    settled(daemon, "list2.txt", f"{ADDRESS}\nann@a.example\n")
    forgetting = Forgetting(daemon.spool, daemon.ledger, ADDRESS).steps()
    for _, _ in zip(range(end), forgetting, strict=False):
        pass
    forgetting.close()
    daemon.restart()
    forget(daemon)
    assert places(daemon.path) == []
    assert SECRET not in heard(daemon).lower()
    assert [name for name in daemon.names("done") if name.startswith(".")] == []


def test_what_is_neither(daemon: Daemon) -> None:
    with pytest.raises(NothingToForget, match=r"^nobody is neither a job nor an address: "):
        forget(daemon, "nobody")
    assert forget(daemon, "nobody@a.example") == Forgotten()


MEANT = (
    f"Gwendolen@a.example\n{ADDRESS.upper()}\n'{ADDRESS}'\n <{ADDRESS}> junk\n{ADDRESS};\n"
    f"{ADDRESS}, ben@a.example\nmailto:{ADDRESS}\n{SECRET} @a.example.\n"
    f'"{SECRET}"@A.Example\n{ADDRESS} {"x" * 5000}\n'
)
OTHERS = (
    f"x{ADDRESS}\nx.{ADDRESS};\nx+{ADDRESS};\n{ADDRESS}.org\n{ADDRESS}.org;\n{ADDRESS}-x;\n"
    f"{SECRET}@b.example\n{SECRET}\n"
)


def test_it_is_meant_in_any_case_and_in_lines_that_are_no_address(daemon: Daemon) -> None:
    settled(daemon, "list.txt", MEANT + OTHERS)
    backup(daemon, daemon.path / "copy")
    asked = {key for (key,) in daemon.ledger._database.execute("SELECT local FROM verdicts")}
    assert {"Gwendolen", "GWENDOLEN", SECRET} <= asked
    found = forget(daemon)
    assert found.left == []
    assert daemon.read("done", "list.txt") == "\n" * 10 + OTHERS
    lines = [str(number) for number in range(11, 19)]
    assert [row["probe_line"] for row in daemon.table("list.txt")] == lines
    assert forget_in_backups(os.fspath(daemon.path / "state"), ADDRESS.title()).left == []
    copy = Ledger(daemon.path / "copy")
    for ledger in (daemon.ledger, copy):
        assert [str(one.line) for one in ledger.outcomes(1)] == lines
        for table in ("recipients", "verdicts"):
            rows = ledger._database.execute(f"SELECT local, domain FROM {table}")
            kept = {f"{local}@{domain}" for local, domain in rows}
            assert kept == {f"x{ADDRESS}", f"{ADDRESS}.org", f"{SECRET}@b.example"}
    copy.close()
    assert f"x{ADDRESS}" in heard(daemon)
    assert f"<{ADDRESS}>" not in heard(daemon).lower()
    assert forget(daemon) == Forgotten()
    assert daemon.ledger.job(1).digest == sha256(("\n" * 10 + OTHERS).encode()).digest()


def test_other_forms_of_lists_with_lines_that_are_no_address(daemon: Daemon) -> None:
    settled(daemon, "list.csv", f"email,n\n<{ADDRESS}> junk,1\nann@a.example,2\n")
    settled(daemon, "list.jsonl", f'not JSON: {ADDRESS.title()}\n{{"email":"{ADDRESS};"}}\n{{}}\n')
    assert forget(daemon).left == []
    assert daemon.read("done", "list.csv") == "email,n\n\nann@a.example,2\n"
    assert daemon.read("done", "list.jsonl") == "\n\n{}\n"
    assert places(daemon.path) == []


def test_a_domain_in_letters_of_its_own(daemon: Daemon) -> None:
    settled(
        daemon, "list.txt", "j\u00f6rg@b\u00fccher.example;\nJo\u0308rg@xn--bcher-kva.example\n"
    )
    assert forget(daemon, "J\u00d6RG@B\u00dcCHER.example").left == []
    assert daemon.read("done", "list.txt") == "\n\n"
    assert daemon.table("list.txt") == []


def test_a_job_that_is_not_over_has_it_in_no_address_only(daemon: Daemon) -> None:
    daemon.drop("open.txt", f"{ADDRESS};\ndora@a.example\n")
    daemon.tick(2)
    assert forget(daemon).left == ["open.txt is not over: cancel it or wait, and say it again then"]


def test_where_nothing_is_erased_it_is_named(daemon: Daemon) -> None:
    """Other columns, and a text that begins too far behind in its line."""
    settled(daemon, "list.csv", f"email,friend\nann@a.example,{ADDRESS}\n")
    settled(daemon, "far.txt", f"{'x' * 5000} {ADDRESS}\n")
    settled(daemon, "mac.csv", f"email,n\rben@a.example,{'x' * 70_000} {ADDRESS}\r")
    daemon.drop("none.txt", f"{ADDRESS}.org {'y' * 200_000} x{ADDRESS}\n" * 30)
    daemon.tick(3)
    assert forget(daemon).left == [
        "it stands where nothing is erased, in done/far.txt, done/list.csv, "
        "done/list.csv.results.csv, done/mac.csv, done/mac.csv.results.csv: look there yourself"
    ]


def test_a_job_that_has_it_in_its_name_is_named(daemon: Daemon) -> None:
    name = f"for {SECRET.upper()}@a.example.txt"
    settled(daemon, name, "ann@a.example\n")
    ends = ("", ".results.csv", ".summary.json")
    files = ", ".join(f"done/{name}{end}" for end in ends)
    assert forget(daemon).left == [
        f"it is in the name of a job: {name}; have that forgotten by its name",
        f"it stands where nothing is erased, in {files}: look there yourself",
    ]
    assert forget(daemon, name).left == []
    assert forget(daemon) == Forgotten()


def test_files_that_are_partly_gone(daemon: Daemon) -> None:
    for name in ("one.txt", "two.txt", "three.txt"):
        daemon.clock.advance(30 * 86400)
        settled(daemon, name)
    (daemon.path / "done" / "one.txt").unlink()
    (daemon.path / "done" / "two.txt.results.csv").unlink()
    for each in (daemon.path / "done").glob("three*"):
        each.unlink()
    found = forget(daemon)
    assert found.jobs == ["one.txt", "two.txt", "three.txt"]
    assert found.files == ["done/one.txt.results.csv", "done/two.txt"]
    assert found.left == []
    assert places(daemon.path) == []


def test_the_digest_is_right_although_somebody_was_interrupted(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    settled(daemon, "list2.txt", f"{ADDRESS};\nann@a.example\n")
    steps = Forgetting(daemon.spool, daemon.ledger, ADDRESS).steps()
    while SECRET in daemon.read("done", "list.txt") + daemon.read("done", "list2.txt"):
        next(steps)
    steps.close()
    forget(daemon)
    for job in daemon.ledger.latest(2):
        written = (daemon.path / "done" / job.title).read_bytes()
        assert job.digest == sha256(written).digest()


# --- A job --------------------------------------------------------------------------------------


def test_a_job_with_all_its_files(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_probe.jobs.erasing._AT_ONCE", 2)
    monkeypatch.setattr("twisted_probe.jobs.erasing.BATCH", 2)
    settled(daemon, "keep.txt", "dora@b.example\n")
    daemon.drop("list.txt.job.toml", "cache = false\n")
    daemon.tick()
    settled(daemon, "list.txt")
    found = forget(daemon, "list.txt")
    assert found.jobs == ["list.txt"]
    assert found.left == []
    assert found.files == [
        *("done/list.txt.job.toml", "done/list.txt"),
        *("done/list.txt.summary.json", "done/list.txt.results.csv"),
    ]
    assert places(daemon.path) == []
    assert [name for name in daemon.names("done") if name.startswith("list")] == []
    assert [job.title for job in daemon.ledger.latest(9)] == ["keep.txt"]
    assert daemon.ledger.hearing(1) is not None
    assert daemon.ledger.hearing(2) is None
    daemon.drop("next.txt", "ann@a.example\ndora@b.example\n")
    daemon.tick(2)
    assert [task.address.local for task in daemon.take()] == ["ann"]


def test_the_hearings_of_earlier_attempts_go_too(daemon: Daemon) -> None:
    settled(daemon, "keep.txt", "dora@b.example\n")
    daemon.drop("list.txt", "ann@a.example\n")
    daemon.tick(2)
    tasks = list(daemon.take())
    daemon.answer(*tasks, hearing=hearing_of(tasks, before=1))
    daemon.tick(2)
    forget(daemon, "list.txt")
    assert heard(daemon) == "[]"


def test_a_job_that_is_not_over(daemon: Daemon) -> None:
    daemon.drop("list.txt", LIST)
    daemon.tick(2)
    found = forget(daemon, "list.txt")
    assert found.left == ["list.txt is not over: cancel it or wait, and say it again then"]
    assert daemon.names("active") == ["list.txt"]


def test_a_job_that_failed_or_is_known_no_more(daemon: Daemon) -> None:
    daemon.drop("bad.csv", "name,other\n")
    daemon.tick(3)
    assert forget(daemon, "bad.csv").files == ["failed/bad.csv", "failed/bad.csv.error.txt"]
    settled(daemon, "list.txt")
    while daemon.ledger.erase_job(2):
        pass
    assert "done/list.txt" in forget(daemon, "list.txt").files


# --- Copies of the ledger -----------------------------------------------------------------------


def backup(daemon: Daemon, path: Path) -> str:
    state = os.fspath(daemon.path / "state")
    back_up(daemon.ledger.path, os.fspath(path))
    note(state, os.fspath(path))
    return state


def test_copies_forget_too(daemon: Daemon, tmp_path: Path) -> None:
    settled(daemon, "list.txt")
    state = backup(daemon, tmp_path / "copy")
    backup(daemon, tmp_path / "gone")
    (tmp_path / "gone").unlink()
    assert made(state) == [os.fspath(tmp_path / "copy")]
    forget(daemon)
    assert forget_in_backups(state, ADDRESS) == Forgotten(files=[os.fspath(tmp_path / "copy")])
    assert places(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == ["copy", "spool"]
    ledger = Ledger(tmp_path / "copy")
    assert [one.line for one in ledger.outcomes(1)] == [1, 4, 6]
    ledger.close()
    assert forget_in_backups(state, ADDRESS) == Forgotten()
    assert forget_in_backups(state, "no job") == Forgotten()
    assert forget_in_backups(state, "list.txt").files == [os.fspath(tmp_path / "copy")]
    ledger = Ledger(tmp_path / "copy")
    assert ledger.latest(1) == []
    ledger.close()


def noted_copy(daemon: Daemon, path: Path) -> tuple[str, list[str]]:
    """A backup as the command makes it, and what it has noted of it, in order."""
    state = os.fspath(daemon.path / "state")
    noted: list[str] = []

    def keep(path: str) -> None:
        noted.append(path)
        note(state, path)

    back_up(daemon.ledger.path, os.fspath(path), keep)
    return state, noted


def test_it_is_noted_before_there_is_anything_in_it(daemon: Daemon, tmp_path: Path) -> None:
    settled(daemon, "list.txt")
    copy, part = os.fspath(tmp_path / "copy"), os.fspath(tmp_path / "copy.part")
    sizes: list[int] = []

    def see(path: str) -> None:
        assert not os.path.exists(copy)
        sizes.append(os.path.getsize(part) if path == part else -1)

    back_up(daemon.ledger.path, copy, see)
    assert sizes == [0, -1]
    # One that is somebody else's is not.
    with pytest.raises(NoBackup):
        back_up(daemon.ledger.path, copy, see)
    assert sizes == [0, -1]


@pytest.mark.parametrize("beside", ["", "-journal"])
def test_what_is_left_of_a_killed_backup_is_removed(
    daemon: Daemon, tmp_path: Path, beside: str
) -> None:
    settled(daemon, "list.txt")
    state, (part, copy) = noted_copy(daemon, tmp_path / "copy")
    os.rename(copy, part)
    (tmp_path / f"copy.part{beside}").touch()
    forget(daemon)
    assert forget_in_backups(state, ADDRESS) == Forgotten(files=[part])
    assert os.listdir(tmp_path) == ["spool"]
    assert forget_in_backups(state, ADDRESS) == Forgotten()


def test_a_backup_that_is_at_work_is_named(daemon: Daemon, tmp_path: Path) -> None:
    settled(daemon, "list.txt")
    state, (part, copy) = noted_copy(daemon, tmp_path / "copy")
    os.rename(copy, part)
    with open(part, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        (left,) = forget_in_backups(state, ADDRESS).left
        assert left == f"{part}: a backup is at work; say it again when that has ended"
        assert os.path.exists(part)
    os.rename(part, copy)
    assert forget_in_backups(state, ADDRESS).files == [copy]


@pytest.mark.parametrize("when", ["before it is opened", "before it is locked"])
def test_one_that_becomes_whole_meanwhile_is_looked_into(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    settled(daemon, "list.txt")
    state, (part, copy) = noted_copy(daemon, tmp_path / "copy")
    os.rename(copy, part)

    def too_late(call: Any, *arguments: Any) -> Any:
        monkeypatch.undo()
        os.rename(part, copy)
        return call(*arguments)

    if when == "before it is opened":
        monkeypatch.setattr(forgetting, "remove_unfinished", partial(too_late, remove_unfinished))
    else:
        monkeypatch.setattr(fcntl, "flock", partial(too_late, fcntl.flock))
    assert forget_in_backups(state, ADDRESS) == Forgotten(files=[copy])


@pytest.mark.parametrize(
    ("content", "is_ours"),
    [(b"", True), (bytes(4096), True), (b"SQLite format 3\0" + b"x" * 99, True), (b"Mine", False)],
)
def test_a_file_of_somebody_elses_in_its_place_stays(
    daemon: Daemon, tmp_path: Path, content: bytes, is_ours: bool
) -> None:
    settled(daemon, "list.txt")
    state, (part, copy) = noted_copy(daemon, tmp_path / "copy")
    os.unlink(copy)
    Path(part).write_bytes(content)
    assert forget_in_backups(state, ADDRESS) == Forgotten(files=[part] * is_ours)
    assert os.path.exists(part) is not is_ours


def test_a_copy_of_which_nobody_can_see_whether_it_is_there(daemon: Daemon, tmp_path: Path) -> None:
    settled(daemon, "list.txt")
    (tmp_path / "round").symlink_to("round")
    state = os.fspath(daemon.path / "state")
    note(state, os.fspath(tmp_path / "round" / "copy"))
    note(state, os.fspath(tmp_path / "round" / "copy.part"))
    first, second = forget_in_backups(state, ADDRESS).left
    assert first.startswith(f"{tmp_path}/round/copy.part cannot be removed (Too many levels")
    assert second.startswith(f"{tmp_path}/round/copy is kept as it is (")


def test_a_copy_that_cannot_be_written_is_named_and_the_others_forget(
    daemon: Daemon, tmp_path: Path
) -> None:
    settled(daemon, "list.txt")
    for name in ("first", "second"):
        state, _ = noted_copy(daemon, tmp_path / name)
    with closing(sqlite3.connect(tmp_path / "first", isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM jobs").fetchall()
        found = forget_in_backups(state, ADDRESS)
    assert found.files == [os.fspath(tmp_path / "second")]
    assert found.left == [
        f"{tmp_path}/first may still have it (database is locked): say it again, or remove it"
    ]
    assert forget_in_backups(state, ADDRESS).left == []


def test_what_is_no_file_in_the_place_of_a_copy_is_named(daemon: Daemon, tmp_path: Path) -> None:
    settled(daemon, "list.txt")
    state, (_, copy) = noted_copy(daemon, tmp_path / "copy")
    os.unlink(copy)
    os.mkfifo(copy)
    (left,) = forget_in_backups(state, ADDRESS).left
    assert left == f"{copy} is no copy of a ledger any more, and is kept as it is"


def test_what_somebody_reads_is_forgotten_once_he_has_gone(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was erased stays in the log beside the ledger as long, and the words say so."""
    settled(daemon, "list.txt")
    monkeypatch.setattr(Erasing.scrub, "__defaults__", (0.0,))
    (path,) = (each for each in daemon.path.glob("state/ledger.sqlite"))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM jobs").fetchall()
        left = forget(daemon, "list.txt").left
        assert left == [
            "somebody reads the ledger (a backup?), and what was erased may still be beside it; "
            "say it again later"
        ]
        assert places(daemon.path) != []
    with pytest.raises(NothingToForget):
        forget(daemon, "list.txt")
    assert places(daemon.path) == []


def test_lines_that_did_not_come_to_their_end(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(daemon, "list.txt")
    state, (_, copy) = noted_copy(daemon, tmp_path / "copy")
    noted = Path(state, "backups")
    whole = noted.read_bytes()
    for torn in (b'"/a/b', b"\0\0\0", b'\xff\xfe"', b"12", b'["/a"]', b'"a"', b'"/\\u0000"'):
        noted.write_bytes(torn)
        note(state, copy)
        assert made(state) == [copy]
    noted.write_bytes(whole)

    def full(file: int, data: bytes, write: Any = os.write) -> Any:
        return write(file, data[:-9])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        note(state, "/other")
    monkeypatch.undo()
    assert made(state) == [copy]
    note(state, os.fspath(tmp_path))
    assert made(state) == [copy, os.fspath(tmp_path)]


def test_what_is_no_file_in_its_place_is_named(daemon: Daemon, tmp_path: Path) -> None:
    settled(daemon, "list.txt")
    state, (part, copy) = noted_copy(daemon, tmp_path / "copy")
    os.unlink(copy)
    os.mkdir(part)
    (left,) = forget_in_backups(state, ADDRESS).left
    assert left == f"{part} cannot be removed (Is a directory): remove it"


def test_a_copy_in_which_somebody_was_killed(daemon: Daemon, tmp_path: Path) -> None:
    people = "".join(f"{SECRET}{number}@a.example\n" for number in range(900))
    settled(daemon, "list.txt", LIST + people)
    state = backup(daemon, tmp_path / "other")
    shutil.copy(tmp_path / "other", tmp_path / "copy")
    note(state, os.fspath(tmp_path / "copy"))
    with closing(sqlite3.connect(tmp_path / "other", isolation_level=None)) as database:
        database.execute("PRAGMA cache_size = 1")
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM outcomes")
        for end in ("", "-journal"):
            shutil.copy(tmp_path / f"other{end}", tmp_path / f"copy{end}")
        database.execute("ROLLBACK")
    found = forget_in_backups(state, ADDRESS)
    assert found.left == []
    assert len(found.files) == 2
    ledger = Ledger(tmp_path / "copy")
    assert len(list(ledger.outcomes(1))) == 903
    ledger.close()


def test_copies_that_are_beyond_us_are_named(daemon: Daemon, tmp_path: Path) -> None:
    daemon.drop("list.txt", LIST)
    daemon.tick(2)
    state = backup(daemon, tmp_path / "copy")
    for name in ("damaged", "older"):
        backup(daemon, tmp_path / name)
    (tmp_path / "damaged").write_bytes(b"x" * 9000)
    older = tmp_path / "older"
    data = bytearray(older.read_bytes())
    data[60:64] = (len(steps()) - 1).to_bytes(4, "big")
    older.write_bytes(data)
    first, second, third = forget_in_backups(state, ADDRESS).left
    assert first == f"{tmp_path}/copy: list.txt was not over then: remove it"
    assert "not a database" in second
    assert f"{tmp_path}/older is kept as it is" in third
    assert older.read_bytes() == data


def test_the_reasons_of_others_stay(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    forget(daemon)
    line, outcome = daemon.ledger.standing(1, ("a.example", "ann"))
    assert outcome is not None
    assert (line, outcome.reason, outcome.text) == (1, Reason.ACCEPTED, "fine")


NOT_IN_THE_SPOOL = ("../precious", "{path}/precious", "..", ".", "", "/", "a\0b", ".hidden")


@pytest.mark.parametrize("what", NOT_IN_THE_SPOOL)
def test_nothing_beside_the_spools_lists_is_touched(
    daemon: Daemon, tmp_path: Path, what: str
) -> None:
    settled(daemon, "list.txt")
    spool = Path(daemon.spool.path)
    precious = [tmp_path / "precious", spool / "precious", spool / "done" / ".hidden"]
    for path in precious:
        path.write_text("x")
    before = sorted(spool.rglob("*"))
    with pytest.raises(NothingToForget):
        forget(daemon, what.format(path=tmp_path))
    assert sorted(spool.rglob("*")) == before
    assert all(path.exists() for path in precious)


@pytest.mark.parametrize("what", ["list.txt.results.csv", "list.txt.summary.json"])
def test_what_came_of_a_list_is_no_list(daemon: Daemon, what: str) -> None:
    settled(daemon, "list.txt")
    with pytest.raises(NothingToForget):
        forget(daemon, what)
    assert what in daemon.names("done")


ODD = [
    *(
        b"\xff\xfe.txt",
        b"-list.txt",
        b"--spool",
        b"a b\n.txt",
        b"*.txt",
        "\u00fc\u202e.txt".encode(),
    ),
    *(b"x.results.csv", b"x.summary.json.txt", b"list~7.txt", b"a%2Fb?c#d", b"'\"\\.csv"),
    *(b"\xc3\xa4" * 115 + b".txt", b"0", b"new"),
]


@pytest.mark.parametrize("name", ODD, ids=map(repr, range(len(ODD))))
def test_a_job_with_an_odd_name(daemon: Daemon, name: bytes) -> None:
    daemon.drop("keep", "ann@a.example\n")
    daemon.drop(name, f"email\n{ADDRESS}\n")
    daemon.tick(2)
    daemon.answer_all()
    daemon.tick(2)
    kept = [each for each in daemon.names("done") if each.startswith("keep")]
    assert len(daemon.names("done")) == len(kept) + 3
    found = forget(daemon, os.fsdecode(name))
    assert (len(found.jobs), len(found.files), found.left) == (1, 3, [])
    assert daemon.names("done") == kept
    assert [job.title for job in daemon.ledger.latest(9)] == ["keep"]
    with pytest.raises(NothingToForget):
        forget(daemon, os.fsdecode(name))


@pytest.mark.parametrize("name", ["x.summary.json", "x.results.csv", "x.error.txt", "x.pdf"])
def test_a_list_with_an_odd_name_that_failed(daemon: Daemon, name: str) -> None:
    settled(daemon, "x", "ann@a.example\n")
    kept = daemon.names("done")
    daemon.drop(name, f"name,other\n{ADDRESS},x\0\n")
    daemon.tick(3)
    (_, failed) = sorted(daemon.names("failed"), key=len, reverse=True)
    assert forget(daemon, failed).files == [f"failed/{failed}", f"failed/{failed}.error.txt"]
    assert daemon.names("failed") == []
    assert daemon.names("done") == kept


def test_a_job_whose_name_is_an_address(daemon: Daemon) -> None:
    daemon.drop(ADDRESS, "ann@a.example\n")
    settled(daemon, "list.txt", f"{ADDRESS}\nann@a.example\n")
    found = forget(daemon)
    assert found.files == [f"failed/{ADDRESS}", f"failed/{ADDRESS}.error.txt"]
    assert found.left == [
        f"{ADDRESS} is the name of a job, and it is the job that was erased; "
        f"say <{ADDRESS}> to have the address erased"
    ]
    assert forget(daemon, f"<{ADDRESS}>").jobs == ["list.txt"]
    assert places(daemon.path) == []


def test_a_name_that_two_jobs_have_had(daemon: Daemon) -> None:
    """Of the first the files are gone, and so its name was free again."""
    settled(daemon, "list.txt")
    for each in (daemon.path / "done").iterdir():
        each.unlink()
    daemon.clock.advance(30 * 86400)
    settled(daemon, "list.txt", f"{ADDRESS}\n")
    settled(daemon, "list.txt", "dora@b.example\n")
    assert forget(daemon, "list.txt").jobs == ["list.txt", "list.txt"]
    assert [job.title for job in daemon.ledger.latest(9)] == ["list.txt~2"]
    assert places(daemon.path) == []


def test_a_job_whose_files_are_partly_gone(daemon: Daemon) -> None:
    settled(daemon, "list.txt")
    settled(daemon, "alone.txt", f"{ADDRESS};\n")
    for name in ("list.txt", "list.txt.summary.json", "alone.txt.results.csv"):
        (daemon.path / "done" / name).unlink()
    (daemon.path / "done" / ".list.txt.results.csv.tmp").write_text(ADDRESS)
    assert forget(daemon, "list.txt").files == ["done/list.txt.results.csv"]
    while daemon.ledger.erase_job(2):
        pass
    (daemon.path / "done" / "alone.txt.summary.json").unlink()
    assert forget(daemon, "alone.txt").files == ["done/alone.txt"]
    assert places(daemon.path) == []
    assert daemon.names("done") == []


@pytest.mark.parametrize("after", range(4))
def test_a_job_that_nobody_knows_is_found_again(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Whoever is interrupted between two of its files, with no ledger that knows it."""
    daemon.drop("list.txt.job.toml", "cache = false\n")
    daemon.tick()
    settled(daemon, "list.txt")
    while daemon.ledger.erase_job(1):
        pass
    unlink = os.unlink
    left = [after]

    def interrupted(*arguments: Any, **more: Any) -> None:
        if left[0] == 0:
            raise OSError("the power fails")
        unlink(*arguments, **more)
        left[0] -= 1

    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(OSError, match="the power fails"):
        forget(daemon, "list.txt")
    monkeypatch.undo()
    forget(daemon, "list.txt")
    assert daemon.names("done") == []
