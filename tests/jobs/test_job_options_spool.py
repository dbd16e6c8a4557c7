"""Options and their list, from new/ to done/ or failed/, and what a crash leaves of the pair."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from twisted_probe.jobs.companions import CLAIM
from twisted_probe.jobs.job_file import SAYS_NOTHING, JobFile
from twisted_probe.jobs.ledger import ALIVE, State
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.spool import OPTIONS_PATIENCE, UNREADABLE, Spool
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

from .conftest import Daemon

ONE = Source("192.0.2.10", helo="probe1.example.org")
OPTIONS = "control = false\n"


@pytest.fixture(autouse=True)
def has_a_source(daemon: Daemon) -> None:
    daemon.keeper.sources = (ONE,)


def only_job(daemon: Daemon) -> Any:
    (job,) = daemon.ledger.jobs(*ALIVE)
    return job


def asked_for(task: Task) -> Wishes:
    """What the task's job wishes; that it is the job's is so of every task."""
    assert task.wishes.origin == task.token[0]
    return evolve(task.wishes, origin=None)


# ---------------------------------------------------------------- both together


def test_options_come_with_their_list(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", 'control = false\nreverse_path = "survey@example.org"\n')
    daemon.tick(3)
    assert daemon.names("new") == ["list.job.toml"]
    daemon.drop("list", "ann@a.example\nbob@b.example\n")
    daemon.tick(2)

    assert daemon.names("new") == []
    assert daemon.names("active") == ["list", "list.job.toml"]
    says = JobFile(control=False, reverse_path="survey@example.org")
    assert only_job(daemon).says == says
    tasks = daemon.take()
    assert [asked_for(task) for task in tasks] == [says.wishes] * 2

    daemon.answer(*tasks)
    daemon.tick()
    assert daemon.names("active") == []
    assert daemon.names("done") == [
        "list",
        "list.job.toml",
        "list.results.csv",
        "list.summary.json",
    ]
    assert daemon.read("done", "list.job.toml").startswith("control = false")


def test_both_dropped_at_once(daemon: Daemon) -> None:
    daemon.drop("list.csv", "email\nann@a.example\n")
    daemon.drop("list.csv.job.toml", OPTIONS)
    daemon.tick(2)
    assert only_job(daemon).says == JobFile(control=False)


def test_other_jobs_have_no_options(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", OPTIONS)
    daemon.drop("list.csv", "email\nann@a.example\n")
    daemon.drop("list.txt", "bob@b.example\n")
    daemon.tick(2)
    assert [job.says for job in daemon.ledger.jobs(*ALIVE)] == [SAYS_NOTHING] * 2
    assert {asked_for(task) for task in daemon.take()} == {NO_WISHES}
    assert daemon.names("new") == ["list.job.toml"]


def test_jobs_have_each_their_own_wishes(daemon: Daemon) -> None:
    daemon.drop("one.job.toml", OPTIONS)
    daemon.drop("one", "ann@a.example\n")
    daemon.drop("two", "ann@a.example\n")
    daemon.tick(2)
    wishes = {daemon.ledger.job(task.token[0]).name: asked_for(task) for task in daemon.take()}
    assert wishes == {b"one": Wishes(control=False), b"two": NO_WISHES}


def test_a_restart_knows_the_options(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", OPTIONS)
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    daemon.restart()
    daemon.tick()
    assert [asked_for(task) for task in daemon.take()] == [Wishes(control=False)]


def test_a_name_that_is_taken(daemon: Daemon) -> None:
    """The pair keeps together under its new name, in active/ and in done/."""
    for deadline in ("100", "200"):
        daemon.drop("list.job.toml", f"deadline = {deadline}\n")
        daemon.drop("list", "ann@a.example\n")
        daemon.tick(2)
    assert daemon.names("active") == ["list", "list.job.toml", "list~2", "list~2.job.toml"]
    assert [job.says.deadline for job in daemon.ledger.jobs(*ALIVE)] == [100.0, 200.0]
    daemon.answer_all()
    daemon.tick()
    assert [name for name in daemon.names("done") if name.endswith("toml")] == [
        "list.job.toml",
        "list~2.job.toml",
    ]
    assert daemon.read("done", "list~2.job.toml") == "deadline = 200\n"


def test_the_deadline_is_the_jobs_own(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", "deadline = 60\n")
    daemon.drop("list", "ann@a.example\n")
    daemon.drop("other", "bob@b.example\n")
    daemon.tick(2)
    first, second = daemon.ledger.jobs(*ALIVE)
    assert first.deadline == first.received_at + 60
    assert second.deadline == second.received_at + 86400
    daemon.clock.advance(60)
    daemon.tick()
    (row,) = daemon.table("list")
    assert row["probe_reason"] == "temporary"
    assert "other" not in daemon.names("done")


def test_the_daemons_deadline_may_change(daemon: Daemon) -> None:
    daemon.keeper.deadline = 5.0
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    job = only_job(daemon)
    assert job.deadline == job.received_at + 5


# ---------------------------------------------------------------- what is wrong


def test_broken_options_send_the_job_to_failed(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", "control = 'no'\n")
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    assert daemon.take() == []
    assert daemon.ledger.jobs(*ALIVE) == []
    assert daemon.names("active") == daemon.names("new") == []
    assert daemon.names("failed") == ["list", "list.error.txt", "list.job.toml"]
    assert daemon.read("failed", "list.error.txt") == (
        'list.job.toml: control = "no": expected true or false\n'
    )
    assert daemon.read("failed", "list") == "ann@a.example\n"
    assert daemon.read("failed", "list.job.toml") == "control = 'no'\n"


def test_a_source_that_the_daemon_has_not(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", 'sources = ["192.0.2.11"]\n')
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    words = daemon.read("failed", "list.error.txt")
    assert words.startswith('list.job.toml: sources = ["192.0.2.11"]: expected a list')
    assert '"192.0.2.10" (probe1.example.org)' in words


def test_options_of_a_list_that_cannot_be_read(daemon: Daemon) -> None:
    daemon.drop("list.csv.job.toml", OPTIONS)
    daemon.drop("list.csv", "name,city\n")
    daemon.tick(2)
    assert daemon.names("failed") == ["list.csv", "list.csv.error.txt", "list.csv.job.toml"]
    assert daemon.names("active") == []


def test_options_of_what_is_no_file(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", OPTIONS)
    os.symlink("/etc/passwd", daemon.path / "new" / "list")
    daemon.tick(2)
    assert daemon.names("failed") == ["list", "list.error.txt", "list.job.toml"]


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a symbolic link": (lambda path: path.symlink_to("/etc/hostname"), "a symbolic link"),
    "a directory": (lambda path: path.mkdir(), "a directory"),
    "a pipe": (lambda path: os.mkfifo(path), "a named pipe"),
}


@pytest.mark.parametrize(("make", "words"), KINDS.values(), ids=KINDS.keys())
def test_options_that_are_no_plain_file(
    daemon: Daemon, make: Callable[[Path], object], words: str
) -> None:
    make(daemon.path / "new" / "list.job.toml")
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    assert daemon.take() == []
    assert daemon.names("new") == []
    assert daemon.names("failed") == ["list", "list.error.txt", "list.job.toml"]
    assert daemon.read("failed", "list.error.txt") == (
        f"list.job.toml: it is {words}; options are a plain file of their own\n"
    )


def test_options_with_two_names(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", OPTIONS)
    os.link(daemon.path / "new" / "list.job.toml", daemon.path / "tmp" / "another")
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(3)
    assert daemon.names("new") == ["list", "list.job.toml"]
    daemon.clock.advance(10)
    daemon.tick()
    assert daemon.read("failed", "list.error.txt").startswith(
        "list.job.toml: it has 2 names (hard links); options have one"
    )


def test_options_that_are_being_written(daemon: Daemon) -> None:
    """The list waits for them."""
    with (daemon.path / "new" / "list.job.toml").open("w") as options:
        options.write("control = ")
        options.flush()
        daemon.drop("list", "ann@a.example\n")
        daemon.tick(4)
        assert daemon.names("new") == ["list", "list.job.toml"]
        options.write("false\n")
    daemon.tick(2)
    assert only_job(daemon).says == JobFile(control=False)


def test_options_that_cannot_be_read(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their owner has ten minutes to mend that."""
    daemon.drop("list.job.toml", OPTIONS)
    daemon.drop("list", "ann@a.example\n")
    whole_open = os.open

    def refusing(path: Any, *arguments: Any, **places: Any) -> int:
        if path == b"list.job.toml":
            raise PermissionError(13, "Permission denied")
        return whole_open(path, *arguments, **places)

    monkeypatch.setattr(os, "open", refusing)
    daemon.tick(5)
    assert daemon.names("new") == ["list", "list.job.toml"]
    (event,) = daemon.logged("warn")
    assert event["name"] == "list.job.toml"
    assert "may not read it: without a spool group, only that user drops files" in event["why"]
    daemon.clock.advance(UNREADABLE)
    daemon.tick()
    assert daemon.names("new") == []
    words = daemon.read("failed", "list.error.txt")
    assert words == f"list.job.toml: {event['why']}; drop both again then\n"


# ---------------------------------------------------------------- without a list


def test_ten_minutes_without_the_list(daemon: Daemon) -> None:
    daemon.drop("list.txt.job.toml", OPTIONS)
    daemon.tick(2)
    daemon.clock.advance(OPTIONS_PATIENCE - 3)
    daemon.tick()
    assert daemon.names("new") == ["list.txt.job.toml"]
    daemon.tick(2)
    assert daemon.names("new") == []
    assert daemon.names("failed") == ["list.txt.job.toml", "list.txt.job.toml.error.txt"]
    assert daemon.read("failed", "list.txt.job.toml.error.txt") == (
        "no list list.txt has come within 10 minutes; drop the options once more, and then the "
        "list\n"
    )
    assert daemon.read("failed", "list.txt.job.toml") == OPTIONS


@pytest.mark.parametrize(
    "place", ["tmp/list.csv", "new/list.csv.part", "new/list.csv.tmp", "new/list.csv"]
)
def test_a_list_that_is_on_its_way(daemon: Daemon, place: str) -> None:
    """A long upload does not lose the options that were sent before it."""
    daemon.drop("list.csv.job.toml", OPTIONS)
    with (daemon.path / place).open("w") as upload:
        for _ in range(4):
            daemon.clock.advance(OPTIONS_PATIENCE / 2)
            upload.write("email\n")
            upload.flush()
            daemon.tick()
        assert "list.csv.job.toml" in daemon.names("new")
    (daemon.path / place).write_text("email\nann@a.example\n")
    (daemon.path / place).rename(daemon.path / "new" / "list.csv")
    daemon.tick(2)
    assert only_job(daemon).says == JobFile(control=False)


def test_options_that_change_wait_anew(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", OPTIONS)
    daemon.tick()
    daemon.clock.advance(OPTIONS_PATIENCE - 5)
    daemon.drop("list.job.toml", "control = true\n")
    daemon.tick(10)
    assert daemon.names("new") == ["list.job.toml"]


@pytest.mark.parametrize("name", [".job.toml", "list.job.toml.tmp", "list.job.toml~"])
def test_what_is_no_options_file(daemon: Daemon, name: str) -> None:
    daemon.drop(name, OPTIONS)
    daemon.tick(2)
    daemon.clock.advance(OPTIONS_PATIENCE * 2)
    daemon.tick(2)
    assert daemon.names("new") == [name]


def test_a_list_that_was_taken_away_leaves_its_options_in_failed(daemon: Daemon) -> None:
    daemon.drop("list.job.toml", OPTIONS)
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    (daemon.path / "active" / "list").unlink()
    daemon.answer_all()
    daemon.tick(2)
    assert daemon.names("active") == []
    assert daemon.names("failed") == ["list.job.toml", "list.job.toml.error.txt"]
    assert daemon.read("failed", "list.job.toml.error.txt") == "its list is gone from active/\n"
    assert [job.state for job in daemon.ledger.jobs(*State)] == [State.FAILED]


# ---------------------------------------------------------------- what a crash leaves of a pair
# (test_job_options_crash.py ends the process at any step.)


def claim(daemon: Daemon, name: str, target: str) -> None:
    """Note that this pair is being claimed."""
    text = f"{name.encode().hex()} {target.encode().hex()}\n"
    (daemon.path / "active" / os.fsdecode(CLAIM)).write_text(text)


def test_the_options_were_moved_and_the_list_was_not(daemon: Daemon) -> None:
    claim(daemon, "list~2", "list~3")
    (daemon.path / "active" / "list~3.job.toml").write_text(OPTIONS)
    daemon.drop("list", "eve@e.example\n")
    daemon.drop("list~2", "ann@a.example\n")
    daemon.tick()
    assert daemon.names("new") == ["list", "list~2", "list~2.job.toml"]
    daemon.tick(2)
    says = {job.name: job.says for job in daemon.ledger.jobs(*ALIVE)}
    assert says == {b"list": SAYS_NOTHING, b"list~2": JobFile(control=False)}
    assert not (daemon.path / "active" / os.fsdecode(CLAIM)).exists()


def test_new_options_came_after_the_crash(daemon: Daemon) -> None:
    """Nothing is overwritten: the newer ones hold, the older ones are in failed/."""
    claim(daemon, "list", "list")
    (daemon.path / "active" / "list.job.toml").write_text(OPTIONS)
    daemon.drop("list.job.toml", "control = true\n")
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(3)
    assert [job.says for job in daemon.ledger.jobs(*ALIVE)] == [JobFile(control=True)]
    assert daemon.read("failed", "list.job.toml") == OPTIONS


def test_nothing_was_moved_yet(daemon: Daemon) -> None:
    claim(daemon, "list", "list")
    daemon.drop("list.job.toml", OPTIONS)
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(3)
    assert only_job(daemon).says == JobFile(control=False)


def test_both_were_moved(daemon: Daemon) -> None:
    claim(daemon, "list", "list")
    (daemon.path / "active" / "list.job.toml").write_text(OPTIONS)
    (daemon.path / "active" / "list").write_text("ann@a.example\n")
    daemon.tick(1)
    assert only_job(daemon).says == JobFile(control=False)
    assert not (daemon.path / "active" / os.fsdecode(CLAIM)).exists()


def test_the_list_is_in_failed_already(daemon: Daemon) -> None:
    (daemon.path / "active" / "list.job.toml").write_text("control = 0\n")
    (daemon.path / "failed" / "list").write_text("ann@a.example\n")
    daemon.tick()
    assert daemon.names("active") == []
    assert daemon.names("failed") == ["list", "list.job.toml"]


def test_a_claim_that_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    Spool(path).close()
    (path / "active" / ".claim").write_text("nothing of the kind\n")
    spool = Spool(path)
    assert spool.scan(1.0) == []
    assert list((path / "active").iterdir()) == []
    spool.close()


def test_answers_do_not_depend_on_options(daemon: Daemon) -> None:
    """A retry within one job keeps the job's wishes."""
    daemon.drop("list.job.toml", OPTIONS)
    daemon.drop("list", "ann@a.example\n")
    daemon.tick(2)
    (task,) = daemon.take()
    later = daemon.outcome(task, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 10)
    daemon.work.retry_at([(task, later)])
    daemon.clock.advance(11)
    (again,) = daemon.take()
    assert again.wishes == task.wishes
    daemon.answer(again)


def test_formulas_are_defused_where_the_job_says_so(daemon: Daemon) -> None:
    """What it says comes before what the daemon does for all, either way."""
    for usual in (False, True):
        daemon.keeper.options = JobOptions(defuse_formulas=usual)
        for says in ("true", "false", None):
            name = f"{usual}-{says}.csv"
            if says is not None:
                daemon.drop(f"{name}.job.toml", f"defuse_formulas = {says}\n")
            daemon.drop(name, "email,note\nann@a.example,=1+1\n")
            daemon.tick(2)
            daemon.answer_all()
            daemon.tick()
            (row,) = daemon.table(name)
            wanted = usual if says is None else says == "true"
            assert row["note"] == ("'=1+1" if wanted else "=1+1")


def test_flags_are_there_where_the_job_says_so(daemon: Daemon) -> None:
    """The columns are there in any case."""
    for usual in (False, True):
        daemon.keeper.options = JobOptions(flags=usual)
        for says in ("true", "false", None):
            name = f"flags-{usual}-{says}.csv"
            if says is not None:
                daemon.drop(f"{name}.job.toml", f"flags = {says}\n")
            daemon.drop(name, "email\nSales@gmial.com\n")
            daemon.tick(2)
            daemon.answer_all()
            daemon.tick()
            (row,) = daemon.table(name)
            wanted = usual if says is None else says == "true"
            found = (row["probe_role_account"], row["probe_suggestion"])
            assert found == (("true", "Sales@gmail.com") if wanted else ("", ""))
