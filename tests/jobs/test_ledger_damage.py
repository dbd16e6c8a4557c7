"""A ledger with bytes changed anywhere: every line is answered once and as its mailbox is, and a
start that has lost something says so.

How many ledgers are damaged is said by MAILPROBE_DAMAGES (`make damage`), from which number on by
MAILPROBE_SEED.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from twisted_probe.jobs.database import NewerLedger
from twisted_probe.jobs.ledger_memory import LedgerMemory
from twisted_probe.jobs.rescue import alarms, whole_ledger
from twisted_probe.jobs.spool import Spool, ledger_path
from twisted_probe.routing.memory import Benched, Known, Learned
from twisted_probe.routing.tempo import Tempo
from twisted_probe.routing.work import Task
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.hearing import Basis, Dialogue, Hearing
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import START, Daemon, result_of

DAMAGES = int(os.environ.get("MAILPROBE_DAMAGES", "40"))
SEED = int(os.environ.get("MAILPROBE_SEED", "1"))

RETRY = Retry("192.0.2.1", "p.example.org", "p@example.org", "x@a0.example", 1, START)
REPLY = Reply(550, (b"5.1.1 no\xff such user",), host="192.0.2.25", stage=Stage.RCPT)
DIALOGUE = Dialogue(
    exchanger="mx.a0.example",
    exchanger_address="192.0.2.25",
    begun_at=START,
    lines=("S 220 mx.a0.example", "C EHLO p.example.org", "S 250 mx.a0.example"),
    left_out=0,
)

LINES = {
    "over": [f"{'no' * (number % 2)}user{number}@a{number % 9}.example" for number in range(150)],
    "half.csv": [
        *(f"{'no' * (number % 2)}user{number}@a{number % 9}.example" for number in range(100, 400)),
        *("nobody at all", "User101@A2.example", "nouser101@A2.example"),
    ],
    "fresh": [f"other{number}@b.example" for number in range(50)],
}


def lives(address: str) -> bool:
    return not address.lower().startswith("no")


class World(Daemon):
    """A daemon in a world where every mailbox whose name begins with `no` is dead."""

    def told(self, task: Task) -> Outcome:
        hearing = Hearing(
            dialogues=[DIALOGUE], bases={task.address.key: Basis(reply=REPLY, source="192.0.2.1")}
        )
        reason = Reason.ACCEPTED if lives(task.address.text) else Reason.NO_SUCH_MAILBOX
        return self.outcome(
            task, reason, code=250 if lives(task.address.text) else 550, text="so", hearing=hearing
        )

    def tell(self, *tasks: Task) -> None:
        result_of(self.work.report([(task, self.told(task)) for task in tasks]))

    def postpone(self, *tasks: Task) -> None:
        due: dict[str, Any] = {"final": False, "next_attempt_at": self.now + 300, "retry": RETRY}
        waiting = [(task, self.outcome(task, Reason.GREYLISTED, **due)) for task in tasks]
        result_of(self.work.retry_at(waiting))

    @property
    def memory(self) -> LedgerMemory:
        return LedgerMemory(self.ledger, self.ledger.writer(self.run, self.clock), self.clock)

    def remember(self) -> None:
        for number in range(9):
            domain, address = f"a{number}.example", f"192.0.2.{number}"
            known = Known(f"control{number}", REPLY, self.now, self.now)
            result_of(self.memory.remember(domain, "192.0.2.1", known))
            result_of(self.memory.learn(address, Learned(Manner(error_limit=9), self.now)))
            result_of(self.memory.keep_tempo(domain, Tempo(3.0, self.now)))
            result_of(self.memory.bench(Benched("192.0.2.1", domain, self.now + 86400)))

    def recall(self) -> None:
        """Whatever is there of it, it can be read."""
        for number in range(9):
            domain = f"a{number}.example"
            result_of(self.memory.recall(domain, "192.0.2.1", "new"))
            result_of(self.memory.learned(f"192.0.2.{number}"))
            result_of(self.memory.tempo(domain))
        result_of(self.memory.benches(self.now))

    def work_off(self) -> list[str]:
        """Answer everything as it is; who was asked."""
        asked = []
        for _ in range(60):
            self.tick(2)
            while tasks := self.take():
                asked += [task.address.text for task in tasks]
                self.tell(*tasks)
            if not self.names("active"):
                return asked
            self.clock.advance(600)
        raise AssertionError(f"{self.names('active')} stay in active/: {self.events[-3:]}")


def lay_out(path: Path) -> None:
    world = World(path)
    world.remember()
    world.drop("over", "\n".join(LINES["over"]))
    world.tick(2)
    while tasks := world.take():
        world.tell(*tasks)
    world.tick()
    world.drop("half.csv", "email,n\n" + "".join(f"{line},x\n" for line in LINES["half.csv"]))
    world.tick(2)
    tasks = world.take(150)
    world.tell(*tasks[:100])
    world.postpone(*tasks[100:130])
    world.drop("fresh", "\n".join(LINES["fresh"]))
    world.tick(2)
    # As a kill leaves it: with its log.
    shutil.copytree(path, path.with_name("killed"))
    world.close()


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "ended"
    lay_out(path)
    return path.parent


def damage(rng: random.Random, path: Path) -> str:
    """Change something of the file; what, in words."""
    data = bytearray(path.read_bytes())
    size = len(data)
    kinds = ["bit", "byte", "header", "run", "zeros", "page", "moved", "cut"]
    kind = rng.choices(kinds, [4, 4, 3, 4, 2, 2, 2, 1])[0]
    at = rng.randrange(size)
    if kind == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[at] ^= rng.randrange(1, 256)
    elif kind == "header":
        at = rng.randrange(100)
        data[at] ^= rng.randrange(1, 256)
    elif kind == "run":
        length = rng.randrange(2, 200)
        data[at : at + length] = rng.randbytes(len(data[at : at + length]))
    elif kind == "zeros":
        length = rng.randrange(2, 8192)
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == "page":
        at -= at % 4096
        data[at : at + 4096] = rng.randbytes(len(data[at : at + 4096]))
    elif kind == "moved":
        source = rng.randrange(size // 4096) * 4096
        at -= at % 4096
        data[at : at + 4096] = data[source : source + 4096]
    else:
        del data[at:]
    path.write_bytes(data)
    return f"{kind} at {at} of {path.name}"


class Words:
    """What is logged while it is there, above warnings."""

    def __init__(self) -> None:
        self.lines: Counter[LogLevel] = Counter()
        self.texts: list[str] = []

    def __enter__(self) -> Words:
        @implementer(ILogObserver)
        def observe(event: Any) -> None:
            level = event.get("log_level")
            if level in (LogLevel.error, LogLevel.critical):
                self.lines[level] += 1
                self.texts.append(formatEvent(event))

        self._observe = observe
        globalLogPublisher.addObserver(observe)
        return self

    def __exit__(self, *exc: object) -> None:
        globalLogPublisher.removeObserver(self._observe)


def results(world: Daemon) -> Iterator[tuple[str, str, str]]:
    for name, lines in LINES.items():
        rows = world.table(name)
        addresses = [row["email" if name.endswith("csv") else "address"] for row in rows]
        assert addresses == lines, name
        for row, line in zip(rows, lines, strict=True):
            yield name, line, row["probe_reason"]


def expected(line: str) -> set[str]:
    if "@" not in line:
        return {"invalid_address"}
    return {"accepted"} if lives(line) else {"no_such_mailbox"}


@pytest.mark.parametrize("seed", range(SEED, SEED + DAMAGES))
def test_every_line_is_answered_once_as_its_mailbox_is(
    seed: int, laid_out: Path, tmp_path: Path, expect_errors: Any
) -> None:
    rng = random.Random(seed)
    kind = rng.choice(["ended", "killed"])
    shutil.copytree(laid_out / kind, tmp_path / "spool")
    path = Path(ledger_path(os.fspath(tmp_path / "spool")))
    log = path.with_name("ledger.sqlite-wal")
    which = log if kind == "killed" and rng.random() < 0.4 else path
    what = damage(rng, which)
    print(seed, kind, what)
    spool = Spool(tmp_path / "spool")
    with Words() as words:
        try:
            whole_ledger(os.fspath(path), START + 100, spool.traces).close()
        except NewerLedger:
            assert "header" in what  # it says so itself
            return
        finally:
            spool.close()
            expect_errors(sum(words.lines.values()))
        is_new = bool(alarms(os.fspath(path)))
        assert is_new == (words.lines[LogLevel.critical] == 1)
        world = World(tmp_path / "spool")
        world.clock.advance(100)
        try:
            world.recall()
            asked = world.work_off()
            for name, line, reason in results(world):
                assert {reason} <= expected(line), (name, line, what)
            said = [
                formatEvent(event) for event in (*world.logged("error"), *world.logged("critical"))
            ]
            assert all("is damaged" in text or "given up" in text for text in said), said
            assert not world.names("failed")
        finally:
            world.close()
            expect_errors(sum(words.lines.values()))
    print(
        "asked",
        len(asked),
        "anew" if is_new else "again" if words.texts else "silent",
        words.texts,
        said,
    )
