"""kill -9 at any moment: every line has one answer in the end, in order, and nobody is asked
again who was answered.

How often is said by MAILPROBE_KILLS (`make crash`), which moments by MAILPROBE_SEED.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import deferLater

from tests.daemon.dying import POINTS
from tests.daemon.processes import TWISTD, Process, processes_with, running
from tests.daemon.running import drop, reactor, results_of, said, town_of, until, up
from tests.daemon.test_daemon_process import holder, words
from tests.jobs.crashing import KILLS, SEED
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town

#: Seconds that a daemon lives at most, from when it has its spool, or, of so many, from when it
#: works.
LIFE, AT_WORK = 1.0, 0.75
#: Recipients of a list in each domain.
SIZE = 20
DOMAINS = ("quick.example", "swift.example", "grey.example")
#: Who is new there has to come back.
GREY = DOMAINS[2]
DYING = str(Path(__file__).with_name("dying.py"))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def no_daemon_is_left(spool: Path) -> Iterator[None]:
    yield
    assert processes_with(str(spool)) == []


def people(lists: int) -> str:
    return " ".join(f"{person}of{number}" for number in range(lists) for person in range(SIZE))


class Trial:
    """A spool whose daemons die, in a town that has seen all that they asked."""

    def __init__(self, spool: Path, town: Town, directory: Path) -> None:
        self.spool = spool
        self.town = town
        self.directory = directory
        self.lists: dict[str, list[str]] = {}
        self._kept: set[str] = set()
        self._asked: Counter[str] = Counter()
        self.in_flight = 0
        self.kills = 0

    def drop(self) -> None:
        """One more list: recipients in no order, some twice, and a line that names none."""
        number = len(self.lists)
        lines = [f"{person}of{number}@{domain}" for person in range(SIZE) for domain in DOMAINS]
        random.Random(number).shuffle(lines)
        lines[7:7] = [f"nobody {number}", lines[3].upper()]
        name = f"list{number}.txt"
        self.lists[name] = lines
        drop(self.spool, name, lines)

    def command(self, *program: str) -> list[str]:
        settings = self.directory / "mailprobe.toml"
        settings.write_text("[retry]\ngreylist = [0.2, 0.2]\n")
        return [
            *(*program, "--pidfile=", "-n"),
            *(*words(self.spool, self.town), "--config", str(settings)),
        ]

    @property
    def left(self) -> int:
        """Lists without an answer."""
        return sum(not (self.spool / "done" / name).exists() for name in self.lists)

    def asked(self) -> Counter[str]:
        """How often each recipient was asked about for the first time, so far: who has to come
        back is answered 450 then, and 250 when they do."""
        known = re.compile(r"<([0-9]+of[0-9]+@([a-z.]+))>")
        return Counter(
            found[1]
            for exchanger in self.town.exchangers.values()
            for _, exchange in exchanger.record.asked()
            if (found := known.search(exchange.argument))
            and (found[2] != GREY or exchange.code == 450)
        )

    async def is_dead(self, daemon: Process) -> None:
        """Look at what a daemon that was killed has left, once its sessions are over."""
        assert (await daemon.end()).code == -signal.SIGKILL
        await until(
            lambda: not any(each.record.open for each in self.town.exchangers.values()),
            "the end of its sessions",
        )
        self.look()

    def look(self) -> None:
        """Nobody was asked as if for the first time of whom something was kept, and nobody twice
        by the same daemon."""
        asked = self.asked()
        again = asked - self._asked
        assert not self._kept & set(again), f"kept, and asked again; seed {SEED}"
        assert set(again.values()) <= {1}, f"asked twice by one daemon; seed {SEED}"
        self._asked = asked
        path = self.spool / "state" / "ledger.sqlite"
        if path.exists():
            ledger = Ledger(path)
            self._kept = {
                outcome.address.lower()
                for job in ledger.latest(10**6)
                for outcome in ledger.outcomes(job.id)
            }
            self._kept |= {
                f"{local}@{domain}"
                for local, domain in ledger._database.execute(
                    "SELECT local, domain FROM recipients WHERE outcome IS NOT NULL"
                )
            }
            ledger.close()
        self.kills += 1
        self.in_flight += len(set(again) - self._kept)

    async def conclude(self) -> None:
        """Let a last daemon live, and read what all of them have answered."""
        async with running(*self.command(TWISTD), directory=self.directory) as daemon:
            await until(lambda: not self.left, "all answers")
            daemon.signal(signal.SIGTERM)
            ended = await daemon.end()
        assert "Traceback" not in ended.out + ended.err
        self.look()
        for name, lines in self.lists.items():
            rows = results_of(self.spool, name)
            assert [row["address"] for row in rows] == lines
            reasons = [said(row)[1] for row in rows]
            assert {row["probe_final"] for row in rows} == {"true"}
            assert reasons.pop(7) == "invalid_address"
            assert set(reasons) == {"accepted"}
        assert sorted(os.listdir(self.spool / "done")) == sorted(
            f"{name}{suffix}"
            for name in self.lists
            for suffix in ("", ".results.csv", ".summary.json")
        )
        for directory in ("new", "active", "failed"):
            assert os.listdir(self.spool / directory) == []
        recipients = len(self.lists) * SIZE * len(DOMAINS)
        assert len(self._asked) == recipients
        assert self._asked.total() <= recipients + self.in_flight
        # `make crash` shows this.
        print(
            f"{self.kills - 1} kills, seed {SEED}: {len(self.lists)} lists, each line answered"
            f" once; {recipients} recipients, {self._asked.total()} first attempts at the"
            f" exchangers, {self.in_flight} of them in flight at a kill"
        )


def trial_town(lists: int) -> Town:
    folk = residents(people(lists))
    return town_of(
        *(
            House(
                f"mx.{domain}",
                f"127.0.1.{number}",
                tempers.greylisting(folk, 0.001) if domain == GREY else tempers.postfix(folk),
            )
            for number, domain in enumerate(DOMAINS, 1)
        )
    )


@pytest.mark.deadline(120 + 10 * KILLS)
async def test_row_161_at_any_moment(spool: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with up(trial_town(KILLS)) as town:
        trial = Trial(spool, town, tmp_path)
        (spool / "new").mkdir(parents=True)
        (spool / "tmp").mkdir()
        for _ in range(KILLS):
            if trial.left < 2:
                trial.drop()
            async with running(*trial.command(TWISTD), directory=tmp_path) as daemon:
                await until(lambda: holder(spool) == daemon.pid, "the daemon's start")
                if rng.random() < AT_WORK:
                    await until(lambda: "works on" in daemon.out, "the daemon's work")
                await deferLater(reactor, rng.random() * LIFE)
                daemon.signal(signal.SIGKILL)
                await trial.is_dead(daemon)
        await trial.conclude()


@pytest.mark.deadline(120)
async def test_row_161_between_any_two_steps(spool: Path, tmp_path: Path) -> None:
    async with up(trial_town(len(POINTS))) as town:
        trial = Trial(spool, town, tmp_path)
        (spool / "new").mkdir(parents=True)
        (spool / "tmp").mkdir()
        for point in POINTS:
            trial.drop()
            command = trial.command(sys.executable, DYING, point)
            async with running(*command, directory=tmp_path) as daemon:
                await trial.is_dead(daemon)
        await trial.conclude()
