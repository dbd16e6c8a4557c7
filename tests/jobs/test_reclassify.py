"""Kept evidence judged by other rules than those of then, and what is told of one recipient."""

from __future__ import annotations

import os
from typing import Any

import pytest

from twisted_probe.jobs.explaining import NothingKnown, explained
from twisted_probe.jobs.ledger import Job, Ledger, LedgerError
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.reclassify import Change, Reclassification
from twisted_probe.jobs.schema import steps
from twisted_probe.routing.work import Task
from twisted_probe.verdict.basis import judgement_of
from twisted_probe.verdict.rules import Rules, rules_with
from twisted_probe.vocabulary.hearing import Basis, Dialogue, Hearing
from twisted_probe.vocabulary.outcome import Reason, Retry, Verdict
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import Daemon, result_of, small_buckets

LIST = "ann@a.example\nBen <ben@a.example>\nno address\ncarl@a.example\nben@a.example\n"
SAID = {
    "ann": "250 2.1.5 Ok",
    "ben": "550 5.1.1 User unknown",
    "carl": "550 Quux refuses you",
}
NO = Reply(550, (b"5.1.1 User unknown",), stage=Stage.RCPT)


def own_rules(label: str = "no_such_mailbox", words: str = "quux") -> Rules:
    return rules_with(
        f'[[rule]]\nname = "quux"\nlabel = "{label}"\ncodes = ["550"]\n'
        f'words = ["{words}"]\nground = "we have met it"\n'
    )


def reply_to(name: str) -> Reply:
    code, _, words = SAID[name].partition(" ")
    return Reply(int(code), (words.encode(),), stage=Stage.RCPT)


def hearing_of(
    tasks: list[Task], before: int | None = None, attempt: int | None = None, **more: Any
) -> Hearing:
    lines = ["S: 220 mx.a.example", "C: EHLO probe.example.org", "S: 250 mx.a.example"]
    for task in tasks:
        lines += [f"C: RCPT TO:<{task.address}>", f"S: {SAID[task.address.local]}"]
    return Hearing(
        dialogues=[
            Dialogue(
                exchanger="mx.a.example",
                exchanger_address="192.0.2.1",
                begun_at=1.0,
                lines=tuple(lines),
            )
        ],
        bases={
            task.address.key: Basis(
                reply=reply_to(task.address.local),
                recipient=task.address.text,
                control=NO,
                control_recipient="x7@a.example",
                dialogue=0,
                rule="then",
                **more,
            )
            for task in tasks
        },
        before=before,
        attempt=attempt,
    )


def answer(daemon: Daemon, tasks: list[Task]) -> None:
    hearing = hearing_of(tasks)
    for task in tasks:
        judgement = judgement_of(hearing.bases[task.address.key])
        daemon.answer(task, reason=judgement.reason, catch_all=judgement.catch_all, hearing=hearing)


@pytest.fixture
def done(daemon: Daemon) -> Daemon:
    """A daemon whose one job is done."""
    daemon.drop("list.txt", LIST)
    daemon.tick(2)
    answer(daemon, list(daemon.take()))
    daemon.tick(2)
    return daemon


def the_job(daemon: Daemon) -> Job:
    return daemon.ledger.job(1)


def changes(daemon: Daemon, rules: Rules | None = None) -> list[Change]:
    found = Reclassification(daemon.ledger, the_job(daemon), rules).changes()
    return [change for change in found if change is not None]


def apply(daemon: Daemon, rules: Rules | None) -> Reclassification:
    reclassification = Reclassification(daemon.ledger, the_job(daemon), rules)
    for _ in reclassification.apply(daemon.spool):
        pass
    return reclassification


# --- Reclassify ---------------------------------------------------------------------------------


def test_the_same_rules_change_nothing(done: Daemon) -> None:
    reclassification = Reclassification(done.ledger, the_job(done))
    assert list(reclassification.changes()) == []
    found = reclassification.found
    assert (found.judged, found.without, found.changed) == (4, 1, 0)
    before = done.read("done", "list.txt.results.csv")
    assert apply(done, None).found.rewritten is None
    assert done.read("done", "list.txt.results.csv") == before


def test_other_rules_show_what_they_change(done: Daemon) -> None:
    (change,) = changes(done, own_rules())
    assert (change.job, change.line, change.after.address) == ("list.txt", 4, "carl@a.example")
    assert change.before.reason is Reason.POLICY
    assert change.after.reason is Reason.NO_SUCH_MAILBOX
    assert (change.rule_before, change.rule) == ("then", "quux")
    assert [row["probe_reason"] for row in done.table("list.txt")][3] == "policy"


def test_changes_are_applied_to_files_summary_and_ledger_once(done: Daemon) -> None:
    found = apply(done, own_rules()).found
    assert (found.changed, found.rewritten) == (1, True)
    assert [row["probe_reason"] for row in done.table("list.txt")] == [
        "accepted",
        "no_such_mailbox",
        "invalid_address",
        "no_such_mailbox",
        "no_such_mailbox",
    ]
    assert done.summary("list.txt")["reasons"]["no_such_mailbox"] == 3
    assert done.ledger.verdicts(1)[Verdict.UNDELIVERABLE.value] == 3
    assert changes(done, own_rules()) == []
    assert apply(done, own_rules()).found.rewritten is None
    # And back, by the package's rules.
    assert apply(done, None).found.changed == 1
    assert [row["probe_reason"] for row in done.table("list.txt")][3] == "policy"
    assert done.ledger.verdicts(1)[Verdict.UNDELIVERABLE.value] == 2


def test_whoever_stands_in_two_lines_is_counted_once(done: Daemon) -> None:
    found = apply(done, own_rules("mailbox_disabled", "user unknown")).found
    assert found.changed == 2
    reasons = [row["probe_reason"] for row in done.table("list.txt")]
    assert (reasons[1], reasons[4]) == ("mailbox_disabled", "mailbox_disabled")
    assert done.ledger.progress_of(the_job(done), done.now).settled[Reason.MAILBOX_DISABLED] == 1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_whatever_bucket_they_lie_in(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    small_buckets(monkeypatch, size)
    daemon.drop("list.txt", LIST)
    daemon.tick(2)
    for task in reversed(list(daemon.take())):
        answer(daemon, [task])
    daemon.tick(2)
    assert apply(daemon, own_rules("mailbox_disabled")).found.changed == 1
    assert apply(daemon, own_rules("mailbox_disabled", "user unknown")).found.changed == 3
    reasons = [outcome.reason for outcome in daemon.ledger.outcomes(1)]
    assert reasons == [Reason(row["probe_reason"]) for row in daemon.table("list.txt")]
    assert [reason.value for reason in reasons] == [
        "accepted",
        "mailbox_disabled",
        "invalid_address",
        "policy",
        "mailbox_disabled",
    ]
    told = explained(daemon.ledger, "ben@a.example")
    assert (told["line"], told["outcome"]["reason"]) == (2, "mailbox_disabled")


def test_a_crash_between_the_files_and_the_ledger(
    done: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as plug:
        plug.setattr(done.ledger, "amend", pulled)
        with pytest.raises(KeyboardInterrupt):
            apply(done, own_rules())
    done.restart()
    assert len(changes(done, own_rules())) == 1
    assert apply(done, own_rules()).found.rewritten is True
    assert changes(done, own_rules()) == []


def test_files_that_were_taken_away_are_not_written_again(done: Daemon) -> None:
    os.unlink(done.path / "done" / "list.txt")
    os.unlink(done.path / "done" / "list.txt.results.csv")
    found = apply(done, own_rules()).found
    assert (found.changed, found.rewritten) == (1, False)
    assert done.names("done") == ["list.txt.summary.json"]
    assert changes(done, own_rules()) == []


def test_nobody_asks_again_so_it_ends_as_at_the_deadline(done: Daemon) -> None:
    (change,) = changes(done, own_rules("temporary"))
    assert change.after.reason is Reason.TEMPORARY
    assert (change.after.final, change.after.retry) == (True, None)


def test_who_was_not_asked_stays_as_it_is(daemon: Daemon) -> None:
    daemon.drop("list.txt", "ann@a.example\nben@a.example\n")
    daemon.tick(2)
    ann, ben = daemon.take()
    daemon.answer(ann, reason=Reason.DNS_ERROR)
    elsewhere = hearing_of([ann])
    daemon.answer(ben, reason=Reason.TIMEOUT, hearing=elsewhere)
    reclassification = Reclassification(daemon.ledger, the_job(daemon), own_rules())
    assert list(reclassification.changes()) == []
    assert (reclassification.found.judged, reclassification.found.without) == (0, 2)


def test_a_job_that_is_open_is_changed_in_the_ledger_alone(daemon: Daemon) -> None:
    daemon.drop("list.txt", LIST)
    daemon.tick(2)
    ann, ben, carl = daemon.take()
    answer(daemon, [ann, carl])
    assert apply(daemon, own_rules()).found.rewritten is None
    answer(daemon, [ben])
    daemon.tick(2)
    assert [row["probe_reason"] for row in daemon.table("list.txt")][3] == "no_such_mailbox"


def test_many_lines_let_others_have_their_turn(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted_probe.jobs.reclassify._TURN", 2)
    monkeypatch.setattr("twisted_probe.jobs.reclassify._AT_HAND", 1)
    daemon.drop("list.txt", LIST)
    daemon.tick(2)
    for task in daemon.take():
        answer(daemon, [task])
    daemon.tick(2)
    found = list(Reclassification(daemon.ledger, the_job(daemon), own_rules()).changes())
    assert [change is None for change in found] == [True, False, True]
    reclassification = Reclassification(daemon.ledger, the_job(daemon), own_rules())
    assert len(list(reclassification.apply(daemon.spool, JobOptions(flags=False)))) == 2
    assert changes(daemon, own_rules()) == []


@pytest.mark.parametrize("is_silent", [True, False])
def test_what_was_said_in_an_earlier_attempt_is_the_evidence(
    daemon: Daemon, is_silent: bool
) -> None:
    """The last attempt had no session, or one in which nobody spoke of it."""
    daemon.drop("list.txt", "carl@a.example\n")
    daemon.tick(2)
    (carl,) = daemon.take()
    later = daemon.outcome(
        carl,
        Reason.POLICY,
        final=False,
        attempts=1,
        next_attempt_at=daemon.now + 300,
        retry=Retry("192.0.2.9", "probe.example.org", "", None, 1, daemon.now),
        hearing=hearing_of([carl], attempt=1),
    )
    result_of(daemon.work.retry_at([(carl, later)]))
    daemon.clock.advance(400)
    (again,) = daemon.take()
    assert again.retry is not None
    number = again.retry.evidence
    silent = Hearing(dialogues=hearing_of([carl]).dialogues, bases={}, before=number, attempt=2)
    more = {"hearing": silent} if is_silent else {"evidence": number}
    daemon.answer(again, reason=Reason.TIMEOUT, attempts=2, **more)
    told = explained(daemon.ledger, "carl@a.example")
    assert [each["number"] for each in told["attempts"]] == ([1, 2] if is_silent else [1])
    reclassification = Reclassification(daemon.ledger, the_job(daemon), own_rules("temporary"))
    assert list(reclassification.changes()) == []
    assert (reclassification.found.judged, reclassification.found.without) == (1, 0)
    (change,) = changes(daemon, own_rules())
    assert (change.before.reason, change.after.reason) == (Reason.TIMEOUT, Reason.NO_SUCH_MAILBOX)


# --- Explain ------------------------------------------------------------------------------------


def test_an_address_is_explained(done: Daemon) -> None:
    told = explained(done.ledger, "ben@a.example")
    assert (told["job"], told["line"], told["other_jobs"]) == ("list.txt", 2, [])
    assert told["outcome"]["reason"] == "no_such_mailbox"
    (attempt,) = told["attempts"]
    assert attempt["sessions"][0]["lines"] == [
        "S: 220 mx.a.example",
        "C: EHLO probe.example.org",
        "S: 250 mx.a.example",
        "… 1 other recipient",
        "C: RCPT TO:<ben@a.example>",
        "S: 550 5.1.1 User unknown",
        "… 1 other recipient",
    ]
    account = attempt["account"]
    assert (account["about"], account["rule"]["name"]) == ("recipient", "no-such-mailbox")
    assert account["control"]["recipient"] == "x7@a.example"


def test_a_line_of_a_job_whose_name_was_cut(daemon: Daemon) -> None:
    name = "x" * 247 + ".txt"
    daemon.drop(name, "ann@a.example\n")
    daemon.tick(2)
    answer(daemon, list(daemon.take()))
    told = explained(daemon.ledger, f"{name}:1")
    assert told["address"] == "ann@a.example"
    assert len(told["job"]) < len(name)


def test_a_line_is_explained(done: Daemon) -> None:
    told = explained(done.ledger, "list.txt:5")
    assert (told["address"], told["line"]) == ("ben@a.example", 5)
    assert told["attempts"]
    told = explained(done.ledger, "list.txt:3")
    assert (told["outcome"]["reason"], told["attempts"]) == ("invalid_address", [])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("list.txt:99", "line 99 of list.txt has no final outcome"),
        ("other.txt:1", "there is no job other.txt"),
        ("dora@a.example", "is in no job"),
        ("dora@a.example:25", "neither an address nor JOB:LINE"),
        ("nonsense", "neither an address nor JOB:LINE"),
    ],
)
def test_what_nobody_knows(done: Daemon, what: str, words: str) -> None:
    with pytest.raises(NothingKnown, match=words):
        explained(done.ledger, what)


def test_the_newest_of_several_jobs_and_one_not_asked_yet(done: Daemon) -> None:
    done.drop("more.txt", "ann@a.example\n")
    done.tick(2)
    told = explained(done.ledger, "ann@a.example")
    assert (told["job"], told["other_jobs"]) == ("more.txt", ["list.txt"])
    assert (told["outcome"], told["attempts"]) == (None, [])
    with pytest.raises(KeyError):
        done.ledger.standing(2, ("a.example", "ben"))


def test_earlier_attempts_are_told_first(daemon: Daemon) -> None:
    daemon.drop("list.txt", "carl@a.example\n")
    daemon.tick(2)
    (carl,) = daemon.take()
    later = daemon.outcome(
        carl,
        Reason.POLICY,
        final=False,
        next_attempt_at=daemon.now + 300,
        retry=Retry("192.0.2.9", "probe.example.org", "", None, 1, daemon.now),
        hearing=hearing_of([carl]),
    )
    result_of(daemon.work.retry_at([(carl, later)]))
    told = explained(daemon.ledger, "carl@a.example")
    assert (told["outcome"]["final"], len(told["attempts"])) == (False, 1)
    daemon.clock.advance(400)
    (again,) = daemon.take()
    assert again.retry is not None
    silent = Hearing(dialogues=hearing_of([carl]).dialogues, bases={}, before=again.retry.evidence)
    daemon.answer(again, reason=Reason.TIMEOUT, hearing=silent)
    told = explained(daemon.ledger, "carl@a.example", own_rules())
    first, second = told["attempts"]
    assert first["account"]["rule"]["name"] == "quux"
    assert second["account"] is None


# --- Reading beside a daemon ----------------------------------------------------------------------


def test_a_ledger_can_be_read_beside_its_daemon(done: Daemon) -> None:
    reader = Ledger(done.spool.ledger_path, read_only=True)
    assert explained(reader, "ann@a.example")["line"] == 1
    with pytest.raises(Exception, match="readonly"):
        reader.mark_failed(1)
    reader.close()


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Any) -> None:
    with pytest.raises(LedgerError, match="unable to open"):
        Ledger(tmp_path / "none.sqlite", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("by", "words"), [(1, "knows version"), (-1, "start the daemon")])
def test_a_ledger_of_another_version_is_not_read(done: Daemon, by: int, words: str) -> None:
    done.ledger._database.execute(f"PRAGMA user_version = {len(steps()) + by}")
    with pytest.raises(LedgerError, match=words):
        Ledger(done.spool.ledger_path, read_only=True)
    done.ledger._database.execute(f"PRAGMA user_version = {len(steps())}")
