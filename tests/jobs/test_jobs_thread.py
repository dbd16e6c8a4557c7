"""The ledger in a thread of its own, as the daemon has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from twisted_probe.vocabulary.outcome import Reason

from .conftest import Daemon

reactor: Any = _reactor


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool(1, 1, "ledger")
    pool.start()
    yield pool
    pool.stop()


async def test_everything_in_one_other_thread(
    daemon: Daemon, pool: ThreadPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    really = type(daemon.ledger).import_rows

    def import_rows(ledger: Any, job: Any, rows: Any, now: float) -> bool:
        threads.add(threading.current_thread())
        return really(ledger, job, rows, now, limit=10)

    monkeypatch.setattr(type(daemon.ledger), "import_rows", import_rows)
    daemon.run = partial(deferToThreadPool, reactor, pool)
    daemon.restart()
    daemon.drop("list", "".join(f"user{number}@b.example\n" for number in range(200)))

    await daemon.keeper.tick()
    daemon.clock.advance(1)
    ticking = Deferred.fromCoroutine(daemon.keeper.tick())
    asked = 0
    while asked < 200:
        tasks = await daemon.work.take(30)
        asked += len(tasks)
        await gatherResults(
            [
                daemon.work.report([(task, daemon.outcome(task, Reason.ACCEPTED))])
                for task in tasks[1:]
            ]
        )
        await daemon.work.report(
            [(task, daemon.outcome(task, Reason.ACCEPTED)) for task in tasks[:1]]
        )
    await ticking
    await daemon.keeper.tick()
    await daemon.keeper.stop()

    assert len(daemon.table("list")) == 200
    assert threads == set(pool.threads)
    assert threading.current_thread() not in threads


async def test_errors_come_back(daemon: Daemon, pool: ThreadPool) -> None:
    daemon.run = partial(deferToThreadPool, reactor, pool)
    daemon.restart()
    daemon.drop("list", "a@b.example\n")
    for _ in range(2):
        await daemon.keeper.tick()
        daemon.clock.advance(1)
    (task,) = await daemon.work.take(1)

    with pytest.raises(ValueError, match="not final"):
        await daemon.work.report([(task, daemon.outcome(task, Reason.ACCEPTED, final=False))])
    with pytest.raises(ValueError, match="next attempt"):
        await daemon.work.retry_at([(task, daemon.outcome(task, Reason.ACCEPTED))])
