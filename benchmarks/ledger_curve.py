"""The curve of the ledger: what a line costs at 10^5, 10^6 and 10^7 of them, and what it needs.

Knows the way of a list through spool, ledger, engine and result file, in a reactor of its own.
The prober answers at once and asks nobody; with `--wire` it is the real one, over sockets, and
asks the sink, which takes everybody. Run: `python -m benchmarks.ledger_curve 100000 …`
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

from attrs import define
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from benchmarks.errand import HELO, REVERSE_PATH, SOURCES
from benchmarks.sink import Running, find_sink
from twisted_probe.daemon.service import MAX_WAITING
from twisted_probe.jobs.intake import JobKeeper
from twisted_probe.jobs.ledger import Job, Ledger, State
from twisted_probe.jobs.ledger_memory import LedgerMemory
from twisted_probe.jobs.ledger_work import LedgerWork
from twisted_probe.jobs.spool import Spool
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.names import MailExchanger
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.tap import settle
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source

reactor: Any = _reactor

#: The sink's, each an exchanger's.
HOSTS = tuple(f"127.1.0.{number}" for number in range(1, 201))
#: Seconds between two looks of the probe that measures how long the reactor was kept.
PROBE = 0.01
#: Of a list's lines: the share of the ten biggest domains, and of lines that repeat another.
BIG, REPEATED = 0.4, 0.01
#: Recipients in each of the other domains, on average.
SMALL_DOMAIN = 20


def write_list(path: Path, lines: int) -> None:
    """A list in no order at all: some big domains, many small ones, some lines twice."""
    rng = random.Random(lines)  # noqa: S311 - the same list each time
    small = max(1, int(lines * (1 - BIG)) // SMALL_DOMAIN)
    last = ""
    with path.open("w", encoding="ascii") as file:
        for number in range(lines):
            if not last or rng.random() >= REPEATED:
                local = f"{rng.getrandbits(32):x}.{number}"
                if rng.random() < BIG:
                    domain = f"big{rng.randrange(10)}.example"
                else:
                    domain = f"mail{rng.randrange(small)}.example"
                last = f"{local}@{domain}\n"
            file.write(last)


class InstantProber:
    """Answers everybody in the reactor's next turn, as a site would that has nothing to hide."""

    def __init__(self) -> None:
        self.asked = 0

    def recall(self, wholes: object) -> None:
        """Nothing is under way that could be called back."""

    def ask(
        self, addresses: Sequence[Address], retries: object, wishes: object
    ) -> Deferred[list[Outcome]]:
        self.asked += len(addresses)
        now = reactor.seconds()
        outcomes = [
            Outcome(
                address=address.text,
                reason=Reason.ACCEPTED,
                catch_all=False,
                stage=Stage.RCPT,
                code=250,
                enhanced="2.1.5",
                text="Ok",
                exchanger=f"mx.{address.domain}",
                exchanger_address="192.0.2.25",
                source="192.0.2.1",
                helo="probe1.example.org",
                attempts=1,
                first_attempt_at=now,
                checked_at=now,
            )
            for address in addresses
        ]
        return deferLater(reactor, 0, lambda: outcomes)


class EveryName:
    """Names in which each domain has an exchanger of its own name, at one of HOSTS."""

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        """See `Names`."""
        return succeed([MailExchanger(10, f"mx.{domain}")])

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        """See `Names`."""
        return succeed([HOSTS[crc32(name.encode()) % len(HOSTS)]])


def real_prober(port: int, ledger: Ledger, write: Any) -> Prober:
    """As the daemon has it, but that the sink's hosts bear as much as any may be asked to."""
    return Prober(
        reactor,
        sources=[Source(address, helo=HELO) for address in SOURCES],
        reverse_path=REVERSE_PATH,
        names=EveryName(),
        port=port,
        allow_networks=["127.0.0.0/8"],
        limits=Limits(per_site=50, first_sessions=50, starts_per_second=50.0),
        memory=LedgerMemory(ledger, write, reactor),
        max_waiting=MAX_WAITING,
    )


@define
class Lag:
    """How long the reactor was kept from its next turn, at most: by the clock, and by the CPU
    time of its own thread, which other programs on the machine do not lengthen."""

    wall: float = 0.0
    own: float = 0.0
    over: int = 0
    _before: tuple[float, float] = (0.0, 0.0)

    def look(self) -> None:
        now = time.monotonic(), time.thread_time()
        if self._before[0]:
            late, own = now[0] - self._before[0] - PROBE, now[1] - self._before[1]
            self.wall, self.own = max(self.wall, late), max(self.own, own)
            self.over += late > 0.1
        self._before = now


class Stopwatch:
    """What each phase took: seconds by the clock, CPU seconds, and the disk at its end."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self.disk = 0
        self.laps: dict[str, dict[str, float]] = {}

    def look(self) -> None:
        """See how much the disk holds now."""
        held = sum(entry.stat().st_size for entry in os.scandir(self._state) if entry.is_file())
        self.disk = max(self.disk, held)

    def lap(self, name: str) -> None:
        wall, cpu = time.monotonic(), time.process_time()
        self.laps[name] = {
            "wall": round(wall - self._wall, 2),
            "cpu": round(cpu - self._cpu, 2),
        }
        print(name, self.laps[name], file=sys.stderr, flush=True)
        self._wall, self._cpu = wall, cpu


async def _moved(keeper: JobKeeper, latest: Callable[[], Deferred[list[Job]]], state: State) -> Job:
    """The one job, once it has come so far."""
    while True:
        await keeper.tick()
        jobs = await latest()
        if jobs and jobs[0].state is state:
            return jobs[0]
        await deferLater(reactor, 0.05)


async def measure(lines: int, directory: Path, sink: Running | None) -> dict[str, Any]:
    """One list, from the drop to its results."""
    spool = Spool(directory / "spool", settle=0.0)
    write_list(directory / "spool" / "new" / "list.txt", lines)
    pool = ThreadPool(1, 1, name="ledger")
    pool.start()
    reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
    run: Callable[..., Deferred[Any]] = partial(deferToThreadPool, reactor, pool)
    ledger = await run(Ledger, spool.ledger_path)
    keeper = JobKeeper(spool, ledger, run, reactor)
    write = ledger.writer(run, reactor)
    instant = InstantProber()
    prober: Any = instant if sink is None else real_prober(sink.port, ledger, write)
    work = LedgerWork(ledger, write, reactor, spool.room)
    engine = Engine(reactor, prober, work, idle=0.02)
    lag, watch = Lag(), Stopwatch(directory / "spool" / "state")
    probe, disk = LoopingCall(lag.look), LoopingCall(watch.look)
    probe.start(PROBE)
    disk.start(1.0)
    await run(spool.scan, reactor.seconds())
    job = await _moved(keeper, partial(run, ledger.latest, 1), State.OPEN)
    watch.lap("import")
    assert job.lines == lines
    settle()
    engine.start()
    while (await run(ledger.job, job.id)).settled < job.recipients:
        await deferLater(reactor, 0.2)
    await engine.stop(0)
    watch.lap("work")
    await _moved(keeper, partial(run, ledger.latest, 1), State.DONE)
    watch.lap("results")
    # A control is asked of each domain too.
    asked = instant.asked if sink is None else sink.counts()["recipients"]
    assert asked >= job.recipients
    results = directory / "spool" / "done" / "list.txt.results.csv"
    with results.open("rb") as file:
        assert sum(1 for _ in file) == lines + 1
    disk.stop()
    probe.stop()
    if sink is not None:
        await prober.close()
    await run(ledger.close)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "lines": lines,
        "laps": watch.laps,
        "us_a_line": {
            name: {kind: round(1e6 * lap[kind] / lines, 1) for kind in lap}
            for name, lap in watch.laps.items()
        },
        "rss_mb": round(peak),
        "lag_ms": {
            "wall": round(1000 * lag.wall),
            "own": round(1000 * lag.own),
            "over_100": lag.over,
        },
        "ledger_mb_a_million": round(watch.disk / lines),
    }


def one(lines: int, directory: Path, *, wire: bool) -> None:
    """Measure one size in this process."""

    async def run() -> None:
        try:
            with find_sink(directory, HOSTS)() if wire else nullcontext() as sink:
                print(json.dumps(await measure(lines, directory, sink)), flush=True)
        finally:
            reactor.stop()

    failed: list[Failure] = []
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addErrback(failed.append))
    reactor.run()
    for failure in failed:
        failure.printTraceback()
        raise SystemExit(1)


def main() -> None:
    """Measure each size in a process of its own, so that each has its own peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sizes", metavar="LINES", type=int, nargs="+")
    parser.add_argument("--directory", metavar="DIR", help="where the spool is made, and removed")
    parser.add_argument("--wire", action="store_true", help="ask over sockets")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.here:
        one(told.sizes[0], Path(told.directory), wire=told.wire)
        return
    for lines in told.sizes:
        directory = Path(tempfile.mkdtemp(prefix="curve-", dir=told.directory))
        try:
            subprocess.run(
                [sys.executable, __file__, str(lines), "--here", "--directory", str(directory)]
                + ["--wire"] * told.wire,
                check=True,
            )
        finally:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
