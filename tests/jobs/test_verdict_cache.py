"""The cache of verdicts: who was asked lately, for any job, is answered and not asked again."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from twisted_probe.jobs import ledger_work as ledger_work_module
from twisted_probe.jobs import recipients as recipients_module
from twisted_probe.jobs.caching import DELIVERABLE_LIFE, REFRESH, UNDELIVERABLE_LIFE, Caching
from twisted_probe.jobs.ledger_memory import LedgerMemory
from twisted_probe.routing.memory import Known
from twisted_probe.routing.opt_out import OptOut
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import Daemon, result_of, small_buckets

OK: dict[str, Any] = {"code": 250, "catch_all": False}
NO: dict[str, Any] = {"reason": Reason.NO_SUCH_MAILBOX, "code": 550, "catch_all": False}


def ask(daemon: Daemon, name: str, content: str = "ann@a.example\n", **said: Any) -> list[str]:
    """Drop a list; those that are asked, each of whom gets this answer. The job is done then."""
    daemon.drop(name, content)
    daemon.tick(2)
    tasks = list(daemon.take())
    daemon.answer(*tasks, **said)
    daemon.tick(2)
    assert name in daemon.names("done")
    return [task.address.text for task in tasks]


def row(daemon: Daemon, name: str) -> tuple[str, str]:
    (found,) = daemon.table(name)
    return found["probe_reason"], found["probe_cached"]


def test_the_second_job_asks_nobody(daemon: Daemon) -> None:
    first = "ann@a.example\nben@a.example\nBen <ben@A.example>\n\ncarl@b.example\n"
    second = "dora@b.example\nben@A.EXAMPLE\nno address\nben@a.example\n"
    asked_at = daemon.now + 2
    assert len(ask(daemon, "one", first, **OK)) == 3
    daemon.restart()
    assert ask(daemon, "two", second, **OK) == ["dora@b.example"]
    rows = daemon.table("two")
    assert [each["probe_address"] for each in rows] == [
        "dora@b.example",
        "ben@A.EXAMPLE",
        "no address",
        "ben@a.example",
    ]
    assert [each["probe_cached"] for each in rows] == ["false", "true", "false", "true"]
    assert rows[1]["probe_checked_at"] == rows[3]["probe_checked_at"] < rows[0]["probe_checked_at"]
    assert [each["probe_line"] for each in rows] == ["1", "2", "3", "4"]
    assert {each["probe_job"] for each in rows} == {"two"}
    found = daemon.ledger.standing(2, ("a.example", "ben"))[1]
    assert found is not None
    assert found.checked_at == asked_at
    assert daemon.summary("two")["cached"] == 2
    assert daemon.summary("two")["verdicts"]["deliverable"] == 3


def test_what_was_learned_stands_in_any_bucket(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_buckets(monkeypatch, 2)
    lines = [f"p{number}@a.example" for number in range(9)]
    ask(daemon, "one", "\n".join(lines), **OK)
    assert ask(daemon, "two", "\n".join(reversed(lines))) == []
    assert [each["probe_address"] for each in daemon.table("two")] == lines[::-1]


@pytest.mark.parametrize(
    ("said", "life"),
    [
        (OK, REFRESH * DELIVERABLE_LIFE),
        (NO, UNDELIVERABLE_LIFE),
        ({**NO, "reason": Reason.RELAY_DENIED}, UNDELIVERABLE_LIFE),
        ({"reason": Reason.NO_SUCH_DOMAIN}, 0),
        ({"reason": Reason.NO_MAIL}, 0),
        ({"reason": Reason.CATCH_ALL, "code": 250, "catch_all": True}, 0),
        ({"reason": Reason.MAILBOX_FULL, "code": 552}, 0),
        ({"reason": Reason.UNCONFIRMED, "code": 252}, 0),
        ({"reason": Reason.POLICY, "code": 550}, 0),
        ({"code": 250, "catch_all": None}, 0),
    ],
    ids=lambda value: str(value.get("reason", value)) if isinstance(value, dict) else None,
)
def test_how_long_it_is_believed(daemon: Daemon, said: dict[str, Any], life: float) -> None:
    asked_at = daemon.now + 2
    ask(daemon, "one", **said)
    if life:
        # Two ticks of a second each come before anybody is asked.
        daemon.clock.advance(asked_at + life - daemon.now - 2.5)
        assert ask(daemon, "two", **said) == []
        daemon.clock.advance(asked_at + life - daemon.now)
    assert ask(daemon, "three", **said) == ["ann@a.example"]


def test_what_comes_from_the_future_is_not_believed(daemon: Daemon) -> None:
    daemon.clock.advance(1000)
    ask(daemon, "one", **OK)
    daemon.clock.rightNow -= 500
    daemon.restart()
    assert ask(daemon, "two", **OK) == ["ann@a.example"]


def test_without_a_control_it_answers_those_who_want_none(daemon: Daemon) -> None:
    ask(daemon, "one", code=250)
    daemon.drop("two.txt.job.toml", "control = false\n")
    daemon.tick()
    assert ask(daemon, "two.txt") == []
    daemon.ledger.caching = Caching(control=False)
    assert ask(daemon, "three") == []
    daemon.drop("four.txt.job.toml", "control = true\n")
    daemon.tick()
    assert ask(daemon, "four.txt", **OK) == ["ann@a.example"]


# --- Asked again, in vain or not ----------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.TEMPORARY, Reason.TIMEOUT, Reason.BLOCKLISTED])
def test_a_refresh_that_fails_leaves_it_as_it_is(daemon: Daemon, reason: Reason) -> None:
    ask(daemon, "one", **OK)
    daemon.clock.advance(0.9 * DELIVERABLE_LIFE)
    assert ask(daemon, "two", "Ann <ann@A.example>\n", reason=reason) == ["ann@A.example"]
    assert row(daemon, "two") == ("accepted", "true")
    assert daemon.table("two")[0]["probe_address"] == "ann@A.example"
    daemon.clock.advance(0.2 * DELIVERABLE_LIFE)
    ask(daemon, "three", reason=reason)
    assert row(daemon, "three") == (reason.value, "false")


def test_a_refresh_that_waits_ends_by_the_deadline_as_it_was(daemon: Daemon) -> None:
    ask(daemon, "one", **OK)
    daemon.clock.advance(0.8 * DELIVERABLE_LIFE)
    daemon.drop("two", "ann@a.example\n")
    daemon.tick(2)
    (task,) = daemon.take()
    retry = Retry("192.0.2.1", "h", "p", "x", 1, daemon.now)
    later = daemon.outcome(
        task, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 300, retry=retry
    )
    result_of(daemon.work.retry_at([(task, later)]))
    daemon.clock.advance(86400)
    daemon.tick(2)
    assert row(daemon, "two") == ("accepted", "true")


def test_who_waits_to_the_end_has_what_another_job_has_learned(daemon: Daemon) -> None:
    daemon.drop("one", "ann@a.example\n")
    daemon.tick(2)
    (task,) = daemon.take()
    retry = Retry("192.0.2.1", "h", "p", "x", 1, daemon.now)
    later = daemon.outcome(
        task, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 86000, retry=retry
    )
    result_of(daemon.work.retry_at([(task, later)]))
    daemon.clock.advance(600)
    ask(daemon, "two", **OK)
    daemon.clock.advance(86400)
    daemon.tick(2)
    assert row(daemon, "one") == ("accepted", "true")


def test_a_refresh_renews_it(daemon: Daemon) -> None:
    ask(daemon, "one", **OK)
    daemon.clock.advance(0.9 * DELIVERABLE_LIFE)
    assert ask(daemon, "two", **OK) == ["ann@a.example"]
    daemon.clock.advance(0.6 * DELIVERABLE_LIFE)
    assert ask(daemon, "three") == []


@pytest.mark.parametrize("said", [NO, {"reason": Reason.CATCH_ALL, "code": 250}])
def test_another_answer_takes_its_place(daemon: Daemon, said: dict[str, Any]) -> None:
    ask(daemon, "one", **OK)
    daemon.clock.advance(0.8 * DELIVERABLE_LIFE)
    ask(daemon, "two", **said)
    daemon.clock.advance(2 * UNDELIVERABLE_LIFE)
    ask(daemon, "three", reason=Reason.TIMEOUT)
    assert row(daemon, "three") == ("timeout", "false")


def test_an_older_answer_that_comes_late_does_not(daemon: Daemon) -> None:
    daemon.drop("one", "ann@a.example\n")
    daemon.drop("two", "ann@a.example\n")
    daemon.tick(2)
    first, second = daemon.take()
    daemon.answer(second, **NO)
    older = evolve(daemon.outcome(first, Reason.ACCEPTED, **OK), checked_at=daemon.now - 60)
    result_of(daemon.work.report([(first, older)]))
    ask(daemon, "three")
    assert row(daemon, "three") == ("no_such_mailbox", "true")


def test_who_waits_is_answered_by_what_another_job_learns(daemon: Daemon) -> None:
    daemon.drop("one", "ann@a.example\n")
    daemon.tick(2)
    (task,) = daemon.take()
    retry = Retry("192.0.2.1", "h", "p", "x", 1, daemon.now)
    later = daemon.outcome(
        task, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 300, retry=retry
    )
    result_of(daemon.work.retry_at([(task, later)]))
    assert ask(daemon, "two", **OK) == ["ann@a.example"]
    daemon.clock.advance(300)
    assert list(daemon.take()) == []
    daemon.tick(2)
    assert row(daemon, "one") == ("accepted", "true")


# --- Off ----------------------------------------------------------------------------------------


def test_a_job_may_want_everybody_asked(daemon: Daemon) -> None:
    ask(daemon, "one", **OK)
    daemon.drop("two.txt.job.toml", "cache = false\n")
    daemon.tick()
    assert ask(daemon, "two.txt", reason=Reason.TIMEOUT) == ["ann@a.example"]
    assert row(daemon, "two.txt") == ("timeout", "false")
    assert ask(daemon, "three") == []
    daemon.drop("four.txt.job.toml", "cache = false\n")
    daemon.tick()
    assert ask(daemon, "four.txt", **NO) == ["ann@a.example"]
    ask(daemon, "five")
    assert row(daemon, "five") == ("no_such_mailbox", "true")


def test_of_those_who_opted_out_nothing_is_told(daemon: Daemon) -> None:
    ask(daemon, "one", "ann@a.example\nben@a.example\n", **OK)
    daemon.ledger.caching = Caching(opt_out=OptOut(["ann@a.example"]))
    assert ask(daemon, "two", "ann@a.example\nben@a.example\n", reason=Reason.SKIPPED) == [
        "ann@a.example"
    ]
    assert [each["probe_reason"] for each in daemon.table("two")] == ["skipped", "accepted"]


def test_what_is_not_to_be_asked_stays_so(daemon: Daemon) -> None:
    ask(daemon, "one", **OK)
    daemon.clock.advance(0.8 * DELIVERABLE_LIFE)
    ask(daemon, "two", reason=Reason.SKIPPED)
    assert row(daemon, "two") == ("skipped", "false")


def test_off_by_the_switch(daemon: Daemon) -> None:
    ask(daemon, "one", **OK)
    daemon.ledger.caching = Caching(enabled=False)
    assert ask(daemon, "two", **NO) == ["ann@a.example"]
    daemon.ledger.caching = Caching()
    ask(daemon, "three")
    assert row(daemon, "three") == ("no_such_mailbox", "true")


def test_off_the_control_is_asked_again_and_stays_the_same(daemon: Daemon) -> None:
    memory = LedgerMemory(
        daemon.ledger, daemon.ledger.writer(daemon.run, daemon.clock), daemon.clock
    )
    reply = Reply(550, (b"no",), stage=Stage.RCPT)
    known = Known("control", reply, daemon.now)
    result_of(memory.remember("a.example", "s", known))
    daemon.ledger.caching = Caching(enabled=False)
    assert result_of(memory.recall("a.example", "s", "x")) == evolve(known, control_reply=None)
    daemon.ledger.caching = Caching()
    assert result_of(memory.recall("a.example", "s", "x")) == known


# --- Many ---------------------------------------------------------------------------------------


def test_a_long_list_is_answered_a_piece_at_a_time(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"p{number:03}@{letter}.example" for letter in "abc" for number in range(40)]
    ask(daemon, "one", "\n".join(lines), **OK)
    monkeypatch.setattr(recipients_module, "ANSWERS", 10)
    daemon.drop("two", "\n".join([*lines, "zoe@z.example"]))
    daemon.tick(2)
    assert daemon.ledger.take(10, daemon.now) == []
    assert daemon.ledger.answered == 10
    assert daemon.ledger.job(2).settled == 10
    # Nothing is looked at twice.
    assert [daemon.ledger.take(10, daemon.now) for _ in range(3)] == [[], [], []]
    assert daemon.ledger.job(2).settled == 40
    (task,) = daemon.take(10)
    assert task.address.text == "zoe@z.example"
    assert daemon.ledger.job(2).settled == 120


def test_the_engine_gets_its_turn(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"p{number}@a.example" for number in range(9)]
    ask(daemon, "one", "\n".join(lines), **OK)
    monkeypatch.setattr(recipients_module, "ANSWERS", 2)
    monkeypatch.setattr(ledger_work_module, "MAX_LOOKS", 3)
    daemon.drop("two", "\n".join(lines))
    daemon.tick(2)
    assert list(daemon.take(2)) == []
    assert daemon.ledger.job(2).settled == 6
    assert list(daemon.take(2)) == []
    assert daemon.ledger.job(2).settled == 9


def test_nobody_looks_again_where_the_disk_has_no_room(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a look before has answered is none of this one's affair."""
    lines = [f"p{number}@a.example" for number in range(9)]
    ask(daemon, "one", "\n".join(lines), **OK)
    daemon.drop("two", "\n".join([*lines, "zoe@z.example"]))
    daemon.tick(2)
    assert [task.address.text for task in daemon.take()] == ["zoe@z.example"]
    assert daemon.ledger.answered == 9
    looks: list[float] = []
    monkeypatch.setattr(daemon.spool.room, "look", looks.append)
    assert list(daemon.take()) == []
    assert len(looks) == 1


def test_one_look_for_all(daemon: Daemon) -> None:
    """However many are taken, the cache is asked once."""
    ask(daemon, "one", "ann@a.example\n", **OK)
    daemon.drop("two", "".join(f"p{number}@{number}.example\n" for number in range(500)))
    daemon.tick(2)
    seen: list[str] = []
    daemon.ledger._database.set_trace_callback(seen.append)
    assert len(daemon.take(400)) == 400
    daemon.ledger._database.set_trace_callback(None)
    assert len([each for each in seen if "verdicts" in each]) == 1
    assert len(seen) < 10


def test_a_job_that_is_cut_off_keeps_nothing(daemon: Daemon) -> None:
    """What is answered and not committed is answered again."""
    ask(daemon, "one", **OK)
    daemon.drop("two", "ann@a.example\nben@a.example\n")
    daemon.tick(2)
    assert [task.address.local for task in daemon.take()] == ["ben"]
    daemon.restart()
    assert [task.address.local for task in daemon.take()] == ["ben"]
    standing = daemon.ledger.standing(2, ("a.example", "ann"))[1]
    assert isinstance(standing, Outcome)
    assert standing.cached
