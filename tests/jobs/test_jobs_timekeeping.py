"""Row 163: a clock that is set neither loses nor hastens what is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_probe.jobs.deadline import JOB_DEADLINE
from twisted_probe.jobs.ledger import Job, State
from twisted_probe.routing.memory import Benched, Pressure
from twisted_probe.vocabulary.outcome import Reason

from .conftest import START, Daemon, result_of

HOUR = 3600.0
BOOT, OTHER_BOOT = "a-start-of-the-machine", "the-next-one"
#: When the machine was started, by the clock that was right.
ZERO = START - 12 * HOUR


@pytest.fixture
def waiting(daemon: Daemon) -> Daemon:
    """A job of two: one is asked again in five hours, as its exchanger wished; one never was."""
    daemon.ledger.keep_time(BOOT, ZERO)
    daemon.drop("list", "a@b.example\nb@c.example\n")
    daemon.tick(2)
    greylisted, _ = daemon.take()
    later = daemon.outcome(
        greylisted, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 5 * HOUR
    )
    result_of(daemon.work.retry_at([(greylisted, later)]))
    return daemon


def job_of(daemon: Daemon) -> Job:
    (job,) = daemon.ledger.jobs(State.OPEN)
    return job


def set_by(daemon: Daemon, seconds: float, boot: str = BOOT) -> float:
    """The daemon ends, the clock is set, the next begins; by how much it moved what waits."""
    daemon.clock.rightNow += seconds
    daemon.restart()
    moved = daemon.ledger.keep_time(boot, ZERO + seconds)
    daemon.tick()
    return moved


def borne(now: float) -> Pressure:
    return Pressure("site", "b.example", 20.0, now, now + 1.0, now + 60.0)


def asked_after(daemon: Daemon, seconds: float) -> list[str]:
    daemon.clock.advance(seconds)
    return [task.address.text for task in daemon.take()]


@pytest.mark.parametrize("by", [-3 * HOUR, 3 * HOUR, -100 * HOUR, 100 * HOUR])
def test_while_the_machine_runs_on(waiting: Daemon, by: float) -> None:
    waiting.ledger.bench(Benched("192.0.2.1", "b.example", waiting.now + HOUR))
    kept_at = waiting.now
    waiting.ledger.keep_pressures([borne(kept_at)])
    assert set_by(waiting, by) == by
    assert waiting.ledger.pressures(waiting.now) == [borne(kept_at + by)]
    assert asked_after(waiting, 0) == ["b@c.example"]
    assert asked_after(waiting, 5 * HOUR - 2) == []
    assert asked_after(waiting, 1) == ["a@b.example"]
    # Received two seconds before the outcome was kept.
    job = job_of(waiting)
    assert job.received_at == START + 1 + by
    assert job.deadline == job.received_at + JOB_DEADLINE
    (benched,) = waiting.ledger.benches(waiting.now - 5 * HOUR)
    assert benched.until == pytest.approx(START + by + HOUR + 2)


@pytest.mark.parametrize("by", [0.0, 0.9, -0.9])
def test_a_clock_that_was_not_set(waiting: Daemon, by: float) -> None:
    assert set_by(waiting, by) == 0.0
    assert job_of(waiting).received_at == START + 1
    assert asked_after(waiting, 5 * HOUR - 2) == ["b@c.example"]
    assert asked_after(waiting, 2) == ["a@b.example"]


def test_moved_once(waiting: Daemon) -> None:
    assert set_by(waiting, 3 * HOUR) == 3 * HOUR
    waiting.restart()
    assert waiting.ledger.keep_time(BOOT, ZERO + 3 * HOUR) == 0.0


@pytest.mark.parametrize(("before", "after"), [(BOOT, OTHER_BOOT), ("", ""), ("", BOOT)])
def test_set_back_while_the_machine_was_off(waiting: Daemon, before: str, after: str) -> None:
    """Nobody can tell how long that was. Nobody waits longer than they were told to."""
    waiting.ledger.keep_time(before, ZERO)
    assert set_by(waiting, -30 * 24 * HOUR, after) == 0.0
    job = job_of(waiting)
    assert job.received_at == waiting.now - 1
    assert job.deadline == job.received_at + JOB_DEADLINE
    assert asked_after(waiting, 5 * HOUR - 2) == ["b@c.example"]
    assert asked_after(waiting, 1) == ["a@b.example"]


def test_a_wait_that_is_longer_than_the_ladder_survives_restarts(waiting: Daemon) -> None:
    """What an exchanger has wished is not cut to the ladder's longest step."""
    waiting.restart()
    waiting.tick(3)
    assert asked_after(waiting, 5 * HOUR - 4) == ["b@c.example"]
    assert asked_after(waiting, 1) == ["a@b.example"]


def test_small_steps_add_up(waiting: Daemon) -> None:
    assert set_by(waiting, 0.6) == 0.0
    waiting.restart()
    assert waiting.ledger.keep_time(BOOT, ZERO + 1.2) == pytest.approx(1.2)


def test_a_ledger_that_never_kept_time(daemon: Daemon) -> None:
    assert daemon.ledger.keep_time(BOOT, ZERO) == 0.0
    rows: list[Any] = daemon.ledger._database.execute("SELECT * FROM clock").fetchall()
    assert rows == [(BOOT, ZERO)]
