"""How often each rule has decided outlives the daemon."""

from __future__ import annotations

import sqlite3
from collections import Counter

import pytest

from twisted_probe.jobs.ledger_work import LedgerWork
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry

from .conftest import Daemon, result_of


def counting(daemon: Daemon) -> Counter[str]:
    """The counter of a prober whose outcomes go to the daemon's work from now on."""
    hits: Counter[str] = Counter()
    daemon.work = LedgerWork(
        daemon.ledger,
        daemon.ledger.writer(daemon.run, daemon.clock),
        daemon.clock,
        daemon.spool.room,
        hits,
    )
    return hits


def test_they_are_kept_with_the_outcomes(daemon: Daemon) -> None:
    daemon.drop("list.txt", "ann@a.example\nben@a.example\n")
    daemon.tick(2)
    hits = counting(daemon)
    ann, ben = daemon.take()
    hits.update(positive=2)
    daemon.answer(ann)
    assert not hits
    hits.update(greylisted=1)
    retry = Retry("192.0.2.1", "probe.example.org", "p@example.org", None, 1, daemon.now)
    grey = daemon.outcome(
        ben, Reason.GREYLISTED, final=False, next_attempt_at=daemon.now + 9, retry=retry
    )
    result_of(daemon.work.retry_at([(ben, grey)]))
    daemon.restart()
    assert daemon.ledger.rule_hits() == {"positive": 2, "greylisted": 1}
    counting(daemon).update(positive=1)
    daemon.clock.advance(10)
    daemon.answer_all()
    assert daemon.ledger.rule_hits() == {"positive": 3, "greylisted": 1}


def test_what_was_not_kept_is_counted_the_next_time(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.drop("list.txt", "ann@a.example\n")
    daemon.tick(2)
    hits = counting(daemon)
    (ann,) = daemon.take()
    hits.update(positive=1)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(daemon.ledger, "add_hits", full)
        daemon.answer(ann)
    assert hits == {"positive": 1}
    settled: Outcome = daemon.outcome(ann, Reason.ACCEPTED)
    result_of(daemon.work.report([(ann, settled)]))  # once more, which changes no outcome
    assert (not hits, daemon.ledger.rule_hits()) == (True, {"positive": 1})
