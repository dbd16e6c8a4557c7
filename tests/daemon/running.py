"""A daemon in the test's own reactor, against a town: how it is set up, fed and read."""

from __future__ import annotations

import csv
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from twisted_probe.daemon.config import Config
from twisted_probe.daemon.preparation import prepare
from twisted_probe.daemon.service import ProbeService
from twisted_probe.jobs.ledger import Progress
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Names
from twisted_probe.verdict.ladder import Ladder

reactor: Any = _reactor

#: Seconds that a test waits for what must come, on a machine that is busy with other things.
PATIENCE = 40.0
#: Seconds between two looks.
LOOK = 0.01

#: Seconds; the real ladder begins with five minutes.
SHORT_LADDER = Ladder(greylist=(0.3, 0.3, 0.3), temporary=(0.2,))
#: Nobody minds haste on loopback.
HASTE = Limits(starts_per_second=200.0, rest=0.0)

_Found = TypeVar("_Found")


class Ahead:
    """The reactor with a clock that a test may put forward; timers run as ever."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.ahead = seconds
        self.stopped = 0
        self.triggers: list[tuple[Any, ...]] = []

    def seconds(self) -> float:
        return float(reactor.seconds()) + self.ahead

    def stop(self) -> None:
        """Count it; the test still needs the reactor."""
        self.stopped += 1

    def addSystemEventTrigger(self, *trigger: Any) -> None:
        """Keep it: what is to happen at the reactor's end must not happen at the tests'."""
        self.triggers.append(trigger)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


async def until(condition: Callable[[], _Found], what: str) -> _Found:
    """Wait for `condition` to be true; gives what it found."""
    deadline = reactor.seconds() + PATIENCE
    while not (found := condition()):
        assert reactor.seconds() < deadline, f"it never came: {what}"
        await deferLater(reactor, LOOK)
    return found


def town_of(*houses: House) -> Town:
    """A town of these houses, each of which serves the domain that its name is in."""
    names: Names = {house.name.partition(".")[2]: [f"MX 10 {house.name}"] for house in houses}
    return Town(houses, names, sample="")


@asynccontextmanager
async def up(town: Town) -> AsyncIterator[Town]:
    """The town while it is up."""
    await town.start(reactor)
    try:
        yield town
    finally:
        await town.stop()


def config_for(town: Town, spool: Path, **changes: Any) -> Config:
    """A daemon's settings for a town, in haste."""
    settings: dict[str, Any] = {
        "spool": spool,
        "sources": town.sources,
        "reverse_path": town.reverse_path,
        "resolvers": (parse_resolver(town.resolver),),
        "port": town.port,
        "allow_networks": town.networks,
        "ladder": SHORT_LADDER,
        "limits": HASTE,
    }
    return Config(**{**settings, **changes})


@asynccontextmanager
async def daemon_of(config: Config, clock: Any = reactor) -> AsyncIterator[ProbeService]:
    """A daemon that is started, and stopped in the end."""
    service = ProbeService(clock, config, prepare(config))
    service.startService()
    try:
        yield service
    finally:
        await service.stopService()


def drop(spool: Path, name: str, content: str | bytes | Iterable[str]) -> None:
    """Write a job file into tmp/ and rename it into new/, as users are told to."""
    if not isinstance(content, str | bytes):
        content = "".join(f"{line}\n" for line in content)
    data = content.encode() if isinstance(content, str) else content
    (spool / "tmp" / name).write_bytes(data)
    (spool / "tmp" / name).rename(spool / "new" / name)


def results_of(spool: Path, name: str) -> list[dict[str, str]]:
    """The rows of a job's result file."""
    with (spool / "done" / f"{name}.results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


async def answered(spool: Path, name: str) -> list[dict[str, str]]:
    """The rows of a job's result file, once the job is in done/."""
    await until((spool / "done" / name).exists, f"{name} in done/")
    return results_of(spool, name)


async def progress_until(
    service: ProbeService, condition: Callable[[Progress], bool], what: str
) -> None:
    """Wait until the one job of the service has come so far."""
    deadline = reactor.seconds() + PATIENCE
    while True:
        jobs = await service.progress()
        if jobs and condition(jobs[0]):
            return
        assert reactor.seconds() < deadline, f"it never came: {what}; {jobs}"
        await deferLater(reactor, LOOK)


def said(row: dict[str, str]) -> tuple[str, str]:
    """The verdict and the reason of a row."""
    return row["probe_verdict"], row["probe_reason"]


def ledger_threads() -> list[str]:
    """The threads of daemons' ledgers."""
    return [thread.name for thread in threading.enumerate() if "ledger" in thread.name]
