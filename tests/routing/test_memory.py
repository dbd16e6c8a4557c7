"""What outlives a session, and how long it is believed."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from twisted_probe.routing.memory import (
    ACCEPTED_LATELY,
    CATCH_ALL_NO,
    CATCH_ALL_YES,
    MANNER_LIFE,
    Benched,
    Known,
    Learned,
    MemoryInRam,
)
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.vocabulary.reply import Reply, Stage

YES = Reply(250, (b"2.1.5 Ok",), stage=Stage.RCPT)
NO = Reply(550, (b"5.1.1 User unknown",), stage=Stage.RCPT)


def now(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addCallback(results.append)
    return results[0]


def test_one_chooses_the_control_for_all() -> None:
    memory = MemoryInRam()
    known = now(memory.recall("a.example", "192.0.2.1", "first"))
    assert known == Known("first")
    assert now(memory.recall("a.example", "192.0.2.1", "second")) is known
    assert now(memory.recall("a.example", "192.0.2.2", "third")).control == "third"
    assert now(memory.recall("b.example", "192.0.2.1", "fourth")).control == "fourth"


def test_of_each_thing_the_newest_is_remembered() -> None:
    """Of attempts that run beside each other none forgets what another has learned."""
    memory = MemoryInRam()
    known = now(memory.recall("a.example", "s", "control"))
    now(memory.remember("a.example", "s", evolve(known, control_reply=NO, control_at=20.0)))
    now(memory.remember("a.example", "s", evolve(known, accepted_at=30.0)))
    now(memory.remember("a.example", "s", evolve(known, accepted_at=25.0)))
    now(memory.remember("a.example", "s", evolve(known, control_reply=YES, control_at=10.0)))
    whole = Known("control", control_reply=NO, control_at=20.0, accepted_at=30.0)
    assert now(memory.recall("a.example", "s", "other")) == whole
    now(memory.remember("a.example", "s", evolve(known, control_reply=YES, control_at=40.0)))
    assert now(memory.recall("a.example", "s", "other")).control_reply is YES
    now(memory.remember("a.example", "s", Known("another")))
    assert now(memory.recall("a.example", "s", "other")) == Known("another")


def test_benches_end() -> None:
    memory = MemoryInRam()
    now(memory.bench(Benched("192.0.2.1", "mx.a.example", 100.0)))
    now(memory.bench(Benched("192.0.2.2", "mx.a.example", 200.0)))
    now(memory.bench(Benched("192.0.2.2", "mx.a.example", 300.0)))
    assert len(now(memory.benches(99.0))) == 2
    assert now(memory.benches(100.0)) == [Benched("192.0.2.2", "mx.a.example", 300.0)]


def test_the_least_recently_used_go_first() -> None:
    memory = MemoryInRam(max_domains=3)
    for name in "abc":
        now(memory.recall(name, "s", name))
    now(memory.recall("a", "s", "x"))
    now(memory.remember("b", "s", Known("b2")))
    now(memory.recall("d", "s", "d"))
    left = [now(memory.recall(name, "s", "new")).control for name in "abdc"]
    assert left == ["a", "b2", "d", "new"]


@pytest.mark.parametrize(("reply", "life"), [(YES, CATCH_ALL_YES), (NO, CATCH_ALL_NO)])
def test_how_long_a_control_is_believed(reply: Reply, life: float) -> None:
    known = Known("x", control_reply=reply, control_at=1000.0)
    assert known.fresh(1000.0 + life) is known
    stale = known.fresh(1000.0 + life + 1)
    assert stale.control_reply is None
    assert stale.control == "x"  # chosen once and for all


def test_how_long_an_accepted_recipient_is_remembered() -> None:
    known = Known("x", control_reply=YES, control_at=1000.0, accepted_at=1000.0)
    assert known.fresh(1000.0 + ACCEPTED_LATELY) is known
    later = known.fresh(1000.0 + ACCEPTED_LATELY + 1)
    assert (later.accepted_at, later.control_reply) == (None, None)
    assert Known("x").fresh(1e12) == Known("x")


def test_what_an_exchanger_has_taught() -> None:
    memory = MemoryInRam()
    assert now(memory.learned("192.0.2.25")) is None
    learned = Learned(Manner(pipelining=False), at=1000.0)
    assert now(memory.learn("192.0.2.25", learned)) is None
    assert now(memory.learned("192.0.2.25")) is learned
    assert now(memory.learned("192.0.2.26")) is None


def test_how_long_an_exchanger_is_as_it_was() -> None:
    learned = Learned(Manner(starttls=False), at=1000.0)
    assert learned.fresh(1000.0 + MANNER_LIFE) == Manner(starttls=False)
    assert learned.fresh(1000.0 + MANNER_LIFE + 1) == UNKNOWN_MANNER
