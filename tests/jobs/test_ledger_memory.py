"""What outlives a session outlives the daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from twisted_probe.jobs.ledger_memory import LedgerMemory
from twisted_probe.jobs.remembering import KEPT
from twisted_probe.routing.memory import Benched, Known, Learned, Pressure
from twisted_probe.routing.tempo import Tempo
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import Daemon, result_of

REPLY = Reply(550, (b"5.1.1 no\xff\x00 such", b"user"), host="192.0.2.25", stage=Stage.RCPT)


def memory_of(daemon: Daemon) -> LedgerMemory:
    return LedgerMemory(daemon.ledger, daemon.ledger.writer(daemon.run, daemon.clock), daemon.clock)


def test_one_chooses_the_control_for_all(daemon: Daemon) -> None:
    memory = memory_of(daemon)
    assert result_of(memory.recall("a.example", "192.0.2.1", "first")) == Known("first")
    daemon.restart()
    memory = memory_of(daemon)
    assert result_of(memory.recall("a.example", "192.0.2.1", "second")) == Known("first")
    assert result_of(memory.recall("a.example", "192.0.2.2", "third")) == Known("third")


def test_what_an_attempt_has_learned_is_joined_and_kept(daemon: Daemon) -> None:
    memory = memory_of(daemon)
    known = result_of(memory.recall("a.example", "s", "control"))
    answered = evolve(known, control_reply=REPLY, control_at=daemon.now)
    result_of(memory.remember("a.example", "s", answered))
    result_of(memory.remember("a.example", "s", evolve(known, accepted_at=daemon.now)))
    result_of(memory.remember("b.example", "s", Known("other", accepted_at=1.0)))
    daemon.restart()
    memory = memory_of(daemon)
    found = result_of(memory.recall("a.example", "s", "x"))
    assert found == evolve(answered, accepted_at=daemon.now)
    assert result_of(memory.recall("b.example", "s", "x")) == Known("other", accepted_at=1.0)


@pytest.mark.parametrize(
    "manner", [Manner(), Manner(pipelining=False, error_limit=9, recipients_per_transaction=3)]
)
def test_the_manner_of_an_exchanger(daemon: Daemon, manner: Manner) -> None:
    memory = memory_of(daemon)
    assert result_of(memory.learned("192.0.2.25")) is None
    result_of(memory.learn("192.0.2.25", Learned(Manner(extended=False), 1.0)))
    result_of(memory.learn("192.0.2.25", Learned(manner, daemon.now)))
    daemon.restart()
    assert result_of(memory_of(daemon).learned("192.0.2.25")) == Learned(manner, daemon.now)


def test_the_tempo_of_a_site(daemon: Daemon) -> None:
    memory = memory_of(daemon)
    assert result_of(memory.tempo("a.example")) is None
    first = Tempo(1.0, daemon.now)
    tempo = first.calmer(daemon.now, 60.0).brisker(daemon.now, 4.0)
    result_of(memory.keep_tempo("a.example", first))
    result_of(memory.keep_tempo("a.example", tempo))
    result_of(memory.keep_tempo("b.example", first))
    daemon.restart()
    memory = memory_of(daemon)
    assert result_of(memory.tempo("a.example")) == tempo
    assert result_of(memory.tempo("b.example")) == first


def test_what_sites_and_addresses_have_borne(daemon: Daemon) -> None:
    memory, now = memory_of(daemon), daemon.now
    site = Pressure("site", "mx.a.example", 20.0, now, now + 1.0, now + 60.0)
    address = Pressure("address", "192.0.2.25", 7.5, now, 0.0, now + 30.0)
    result_of(memory.keep_pressures([evolve(site, spent=3.0), address]))
    result_of(memory.keep_pressures([site]))
    daemon.restart()
    memory = memory_of(daemon)
    assert result_of(memory.pressures(now)) == [address, site]
    assert result_of(memory.pressures(now + 30.0)) == [site]
    result_of(memory.benches(now + 60.0))
    assert result_of(memory.pressures(now)) == []


def test_what_an_exchanger_has_taught_is_at_hand(daemon: Daemon) -> None:
    waiting: list[Callable[[], object]] = []

    def later(call: Callable[..., object], *arguments: object) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        waiting.append(lambda: done.callback(call(*arguments)))
        return done

    memory = LedgerMemory(daemon.ledger, daemon.ledger.writer(later, daemon.clock), daemon.clock)
    taught = Learned(Manner(extended=False), 1.0)
    reading = memory.learned("192.0.2.25")
    assert not reading.called
    waiting.pop()()
    assert result_of(reading) is None
    assert result_of(memory.learned("192.0.2.25")) is None
    reading = memory.learned("192.0.2.26")
    learning = memory.learn("192.0.2.26", taught)
    assert not reading.called
    waiting.pop()()
    assert result_of(reading) == taught
    assert result_of(learning) is None
    assert result_of(memory.learned("192.0.2.26")) == taught
    assert not waiting


def test_benches_and_what_is_old(daemon: Daemon) -> None:
    memory = memory_of(daemon)
    lasting = Benched("192.0.2.1", "mx.a.example", daemon.now + 2 * KEPT)
    result_of(memory.bench(evolve(lasting, until=1.0)))
    result_of(memory.bench(lasting))
    result_of(memory.bench(Benched("192.0.2.2", "mx.a.example", daemon.now)))
    result_of(memory.recall("old.example", "s", "control"))
    result_of(memory.learn("192.0.2.25", Learned(Manner(), daemon.now)))
    result_of(memory.keep_tempo("a.example", Tempo(1.0, daemon.now)))
    daemon.restart()
    memory = memory_of(daemon)
    assert result_of(memory.benches(daemon.now)) == [lasting]
    assert result_of(memory.recall("old.example", "s", "new")).control == "control"
    assert result_of(memory.benches(daemon.now + KEPT)) == [lasting]
    assert result_of(memory.recall("old.example", "s", "new")).control == "new"
    assert result_of(memory.tempo("a.example")) is None
    assert result_of(memory.learned("192.0.2.25")) is None
