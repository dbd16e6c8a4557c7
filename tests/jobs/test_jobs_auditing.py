"""What is damaged in the rows of one job has that job begin again, and nobody is called dead."""

from __future__ import annotations

import sqlite3
from typing import Any
from unittest.mock import Mock

import pytest

from twisted_probe.jobs.database import DamagedLedger, transaction
from twisted_probe.jobs.ledger import Ledger, State
from twisted_probe.jobs.ledger_memory import LedgerMemory
from twisted_probe.jobs.rescue import alarms, whole_ledger
from twisted_probe.routing.memory import Known, Learned, Pressure
from twisted_probe.routing.tempo import Tempo
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import Daemon, result_of

LINES = ["a@a.example", "B <b@A.example>", "a@A.example", "no address", "c@c.example"]


def half_done(daemon: Daemon) -> None:
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    tasks = {task.address.key[1]: task for task in daemon.take()}
    daemon.answer(tasks["a"])
    waiting = daemon.outcome(
        tasks["b"], Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 300
    )
    result_of(daemon.work.retry_at([(tasks["b"], waiting)]))
    result_of(daemon.work.give_back([tasks["c"]]))


def change(daemon: Daemon, statement: str) -> None:
    with transaction(daemon.ledger._database) as database:
        assert database.execute(statement).rowcount == 1


def finish(daemon: Daemon) -> list[str]:
    asked = []
    for _ in range(4):
        daemon.tick(2)
        daemon.clock.advance(300)
        asked += daemon.answer_all()
    daemon.tick(2)
    assert [row["address"] for row in daemon.table("list")] == LINES
    assert [row["probe_reason"] for row in daemon.table("list")] == [
        *("accepted", "accepted", "accepted", "invalid_address", "accepted")
    ]
    assert daemon.names("active") == []
    return sorted(asked)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE jobs SET recipients = 4", "recipients is 4, but there are 3"),
        ("UPDATE jobs SET settled = 0", "settled is 0, but there are 1"),
        ("UPDATE jobs SET waiting = 0", "waiting is 0, but there are 1"),
        ("UPDATE jobs SET lines = 6", "lines - invalid - recipients is 2, but there are 1"),
        ("UPDATE recipients SET settled = 0 WHERE settled > 0", "settled is 1, but there are 0"),
        ("UPDATE recipients SET settled = 9 WHERE local = 'c'", "settled is 1, but there are 2"),
        ("DELETE FROM outcomes", "settled is 1, but there are 0"),
        ("DELETE FROM repeats", "lines - invalid - recipients is 1, but there are 0"),
        ("UPDATE tallies SET number = 7 WHERE reason = 'accepted'", "settled + invalid is 2,"),
        (
            "UPDATE recipients SET local = CAST(x'ff63' AS TEXT) WHERE local = 'c'",
            "the row of a recipient has no text",
        ),
        ("UPDATE recipients SET line = x'01' WHERE local = 'c'", "or no number, where one belongs"),
        (
            "UPDATE recipients SET outcome = replace(outcome, 'greylisted', 'accepted')"
            " WHERE local = 'b'",
            "its sum is not that of its content",
        ),
    ],
)
def test_a_start_sees_it(daemon: Daemon, statement: str, why: str, expect_errors: Any) -> None:
    half_done(daemon)
    change(daemon, statement)
    path = daemon.spool.ledger_path
    daemon.ledger.close()
    ((job, words),) = _flaws(path)
    assert (job, why in words) == ("list", True), words
    expect_errors(1)
    whole_ledger(path, daemon.now, daemon.spool.traces).close()
    assert alarms(path) == []  # what else the ledger knows is known
    assert _flaws(path) == []
    daemon.start()
    assert finish(daemon) == ["a@a.example", "b@A.example", "c@c.example"]


def _flaws(path: str) -> list[tuple[str, str]]:
    ledger = Ledger(path)
    try:
        return [(job.title, why) for job, why in ledger.flaws()]
    finally:
        ledger.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET format = 'texd'",
        "UPDATE jobs SET deadline = 'never'",
        "UPDATE jobs SET options = '{'",
        "UPDATE jobs SET lines = 1.5",
        "UPDATE tallies SET reason = 'acceqted' WHERE reason = 'accepted'",
    ],
)
def test_a_job_that_cannot_be_told_makes_a_new_ledger(
    daemon: Daemon, statement: str, expect_errors: Any
) -> None:
    half_done(daemon)
    change(daemon, statement)
    with pytest.raises(DamagedLedger, match="the row of a job is damaged"):
        daemon.ledger.flaws()
    path = daemon.spool.ledger_path
    daemon.ledger.close()
    expect_errors(1)
    whole_ledger(path, daemon.now, daemon.spool.traces).close()
    assert len(alarms(path)) == 1
    daemon.start()
    finish(daemon)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outcomes SET outcome = replace(outcome, 'accepted', 'no_such_mailbox')"
        " WHERE line = 1",
        "UPDATE outcomes SET outcome = CAST(x'ff' AS TEXT) WHERE line = 1",
        "UPDATE outcomes SET outcome = x'7b7d' WHERE line = 1",
        "UPDATE outcomes SET line = 7 WHERE line = 1",
        "UPDATE invalid SET outcome = (SELECT outcome FROM outcomes WHERE line = 1)",
        "UPDATE invalid SET line = 77",
        "UPDATE repeats SET local = 'b'",
        "UPDATE repeats SET spelling = 'x@a.example'",
        "DELETE FROM outcomes WHERE line = 1",
    ],
)
def test_results_show_it(daemon: Daemon, statement: str) -> None:
    half_done(daemon)
    daemon.clock.advance(300)
    daemon.answer_all()
    change(daemon, statement)
    daemon.tick()
    (error,) = daemon.logged("error")
    assert "is damaged" in error["log_format"]
    assert daemon.names("done") == []
    assert [job.state for job in daemon.ledger.latest(1)] == [State.CLAIMED]
    assert finish(daemon) == ["a@a.example", "b@A.example", "c@c.example"]
    assert not daemon.logged("critical")


def test_a_recipient_that_turned_into_another_speaks_for_nobody(daemon: Daemon) -> None:
    """Who was asked does not stand in the list; who stands there is asked."""
    half_done(daemon)
    change(daemon, "UPDATE recipients SET local = 'd' WHERE local = 'c'")
    daemon.restart()
    daemon.clock.advance(300)
    for task in daemon.take():
        reason = Reason.ACCEPTED if task.address.local != "d" else Reason.NO_SUCH_MAILBOX
        daemon.answer(task, reason=reason)
    daemon.tick()
    assert finish(daemon) == ["a@a.example", "b@A.example", "c@c.example"]


def test_a_machine_that_loses_what_it_is_given_asks_nobody_for_ever(daemon: Daemon) -> None:
    half_done(daemon)
    for _ in range(2):
        daemon.clock.advance(300)
        daemon.answer_all()
        change(daemon, "UPDATE outcomes SET outcome = 'x' WHERE line = 1")
        daemon.tick(2)
    assert daemon.names("active") == []
    assert daemon.names("failed") == ["list", "list.error.txt"]
    assert "was damaged twice" in daemon.read("failed", "list.error.txt")


def test_a_ledger_that_is_damaged_under_the_daemon(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_done(daemon)
    lost = Mock(side_effect=sqlite3.DatabaseError("database disk image is malformed"))
    with monkeypatch.context() as patch:
        patch.setattr(daemon.ledger, "expire", lost)
        daemon.tick(3)
    (event,) = daemon.logged("critical")
    assert "restart the daemon" in event["log_format"]
    daemon.clock.advance(300)
    assert finish(daemon)


def test_what_a_damaged_neighbour_knew_is_asked(daemon: Daemon) -> None:
    """The cache believes nothing that is not whole, nor anything of somebody else."""
    daemon.drop("first", "a@b.example\nb@b.example\nc@b.example\n")
    daemon.tick(2)
    daemon.answer(*daemon.take(), reason=Reason.NO_SUCH_MAILBOX, code=550)
    daemon.tick()
    change(daemon, "UPDATE outcomes SET outcome = replace(outcome, '550', '551') WHERE line = 1")
    change(
        daemon,
        "UPDATE outcomes SET outcome = (SELECT outcome FROM outcomes WHERE line = 3)"
        " WHERE line = 2",
    )
    daemon.drop("second", "a@b.example\nb@b.example\nc@b.example\n")
    daemon.tick(2)
    assert daemon.answer_all() == ["a@b.example", "b@b.example"]


def test_memory_that_is_damaged_is_none(daemon: Daemon) -> None:
    memory = LedgerMemory(
        daemon.ledger, daemon.ledger.writer(daemon.run, daemon.clock), daemon.clock
    )
    reply = Reply(550, (b"no",), host="192.0.2.25", stage=Stage.RCPT)
    known = Known("control", reply, daemon.now, daemon.now)
    result_of(memory.remember("a.example", "s", known))
    result_of(memory.learn("192.0.2.25", Learned(Manner(error_limit=8), daemon.now)))
    result_of(memory.keep_tempo("site", Tempo(1.0, daemon.now)))
    borne = Pressure("site", "site", 5.0, daemon.now, 0.0, daemon.now + 9.0)
    result_of(memory.keep_pressures([borne]))
    assert result_of(memory.recall("a.example", "s", "x")) == known
    change(daemon, "UPDATE known SET reply = replace(reply, '550', '250')")
    change(daemon, "UPDATE learned SET manner = replace(manner, '8', '9')")
    change(daemon, "UPDATE tempos SET tempo = replace(tempo, '1.0', '9.0')")
    change(daemon, "UPDATE pressures SET spent = 'much'")
    memory = LedgerMemory(
        daemon.ledger, daemon.ledger.writer(daemon.run, daemon.clock), daemon.clock
    )
    assert result_of(memory.recall("a.example", "s", "x")) == Known("control")
    assert result_of(memory.pressures(daemon.now)) == []
    assert result_of(memory.learned("192.0.2.25")) is None
    assert result_of(memory.tempo("site")) is None
