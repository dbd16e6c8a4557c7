"""A spool that an older version has left in the midst of its work, killed: today's daemon goes on.

The ledgers are those of tests/jobs/ledgers; how often it is killed on a large one is said by
MAILPROBE_KILLS (`make crash`), when by MAILPROBE_SEED.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from itertools import cycle
from pathlib import Path

import pytest
from twisted.internet.task import deferLater

from tests.daemon.dying import UPGRADING
from tests.daemon.processes import MAILPROBE, TWISTD, processes_with, run, running
from tests.daemon.running import reactor, results_of, said, town_of, until, up
from tests.daemon.test_daemon_process import holder, words
from tests.daemon.test_kills import DYING
from tests.jobs.crashing import KILLS, SEED
from tests.jobs.test_ledger_versions import LIST, OLDER, ledger_of
from twisted_probe.jobs import schema
from twisted_probe.jobs.access import PRIVATE_ACCESS
from twisted_probe.jobs.directories import make
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town

#: Lines of a job that is done for so long that it is purged.
LARGE = 150_000
#: Seconds that a daemon lives at most: it brings the large ledger up to date in the first of them,
#: and has purged it before the last.
LIVES = (0.6, 3.0)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def no_daemon_is_left(spool: Path) -> Iterator[None]:
    yield
    assert processes_with(str(spool)) == []


def left_by(version: int, spool: Path, lines: int = 0) -> None:
    """Make the spool that a daemon of this version leaves when it is killed now: some of what it
    has done last stands in the log beside the ledger only."""
    make(str(spool), PRIVATE_ACCESS)
    (spool / "active" / "list").write_bytes(LIST)
    elsewhere = spool.with_name("elsewhere")
    elsewhere.mkdir()
    path = ledger_of(version, elsewhere)
    now = time.time()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        if lines:
            _put_old_job(database, lines)
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        times = (now - 60, now + 3600)
        database.execute("UPDATE jobs SET received_at = ?, deadline = ? WHERE id = 1", times)
        database.execute("UPDATE recipients SET due = ? WHERE due IS NOT NULL", (now + 1,))
        if version > 1:
            database.execute("DELETE FROM pauses")
        for beside in ("", "-wal"):
            assert path.with_name(f"ledger.sqlite{beside}").stat().st_size
            shutil.copy(f"{path}{beside}", spool / "state" / f"ledger.sqlite{beside}")
            (spool / "state" / f"ledger.sqlite{beside}").chmod(0o600)
    shutil.rmtree(elsewhere)


def _put_old_job(database: sqlite3.Connection, lines: int) -> None:
    database.execute(
        "INSERT INTO jobs (id, name, done_name, format, state, received_at, deadline, finished_at,"
        " lines, recipients, settled)"
        " VALUES (2, x'6f6c64', x'6f6c64', 'txt', 'done', 0, 1, 1, ?, ?, ?)",
        (lines, lines, lines),
    )
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    database.execute(
        f"{numbers} INSERT INTO recipients (job, domain, local, line, settled)"
        " SELECT 2, 'e.example', printf('u%07d', i), i, i FROM n",
        (lines,),
    )
    outcome = '\'{"address":"u@e.example","reason":"accepted","final":true,"checked_at":1.0}\''
    database.execute(
        f"{numbers} INSERT INTO outcomes SELECT 2, i / 65536, i, i, {outcome} FROM n",
        (lines,),
    )


@asynccontextmanager
async def village() -> AsyncIterator[Town]:
    houses = [
        House(f"mx.{name}.example", f"127.0.1.{number}", tempers.postfix(residents(name)))
        for number, name in enumerate("abcd", 1)
    ]
    async with up(town_of(*houses)) as town:
        yield town


def asked(town: Town) -> list[str]:
    """Who was asked about, controls aside."""
    return sorted(
        found[0]
        for exchanger in town.exchangers.values()
        for _, exchange in exchanger.record.asked()
        if (found := re.findall(r"<([a-d]@[a-d]\.example)>", exchange.argument))
    )


def version_of(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as database:
        version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def lines_left(ledger: Path) -> int:
    """Of the old job."""
    with closing(sqlite3.connect(ledger)) as database:
        number: int = database.execute("SELECT count(*) FROM recipients WHERE job = 2").fetchone()[
            0
        ]
    return number


async def conclude(spool: Path, town: Town, directory: Path) -> str:
    """Let a daemon live until the list is answered; what it logs."""
    command = (TWISTD, "--pidfile=", "-n", *words(spool, town))
    async with running(*command, directory=directory) as daemon:
        await until((spool / "done" / "list").exists, "the answers")
        daemon.signal(signal.SIGTERM)
        ended = await daemon.end()
    assert "Traceback" not in ended.out + ended.err
    rows = results_of(spool, "list")
    assert [row["address"] for row in rows] == LIST.decode().split()
    reasons = "accepted invalid_address no_such_mailbox accepted accepted accepted no_such_mailbox"
    assert [said(row)[1] for row in rows] == reasons.split()
    return ended.out


@pytest.mark.deadline(120)
@pytest.mark.parametrize(("version", "point"), list(zip(OLDER, cycle(UPGRADING), strict=False)))
async def test_row_161_between_any_two_steps_of_it(
    version: int, point: str, spool: Path, tmp_path: Path
) -> None:
    left_by(version, spool)
    async with village() as town:
        command = (sys.executable, DYING, point, "--pidfile=", "-n", *words(spool, town))
        ended = await run(*command, directory=tmp_path)
        assert (ended.code, ended.err) == (-signal.SIGKILL, "")
        await conclude(spool, town, tmp_path)
        assert asked(town) == ["c@c.example", "d@d.example"]
    assert version_of(spool / "state" / f"ledger.sqlite.version-{version}") == version
    assert version_of(spool / "state" / "ledger.sqlite") == schema.newest()


async def test_a_newer_one_is_refused_and_left_as_it_is(spool: Path, tmp_path: Path) -> None:
    left_by(OLDER[-1], spool)
    ledger = spool / "state" / "ledger.sqlite"
    newer = schema.newest() + 1
    with closing(sqlite3.connect(ledger)) as database:
        database.execute(f"PRAGMA user_version = {newer}")
    before = ledger.read_bytes()
    async with village() as town:
        command = (TWISTD, "--pidfile=", "-n", *words(spool, town))
        ended = await run(*command, directory=tmp_path)
        assert asked(town) == []
    assert ended.code == 78
    assert f"its schema is version {newer}, this program knows versions up to" in ended.err
    assert ledger.read_bytes() == before
    assert (spool / "active" / "list").read_bytes() == LIST
    assert sorted(each.name for each in (spool / "state").iterdir()) == ["ledger.sqlite", "lock"]


@pytest.mark.deadline(180 + 2 * KILLS)
async def test_row_161_a_large_one_at_any_moment(spool: Path, tmp_path: Path) -> None:
    """While it is copied, rewritten, changed or purged, and while a backup is made of it."""
    rng = random.Random(SEED)
    seen: Counter[str] = Counter()
    ledger, copy = spool / "state" / "ledger.sqlite", tmp_path / "copy"
    left_by(6, spool, LARGE)
    async with village() as town:
        command = (TWISTD, "--pidfile=", "-n", *words(spool, town))
        for number in range(max(3, KILLS // 10)):
            async with running(*command, directory=tmp_path) as daemon:
                await until(lambda: holder(spool) == daemon.pid, "the daemon's start")
                await deferLater(reactor, rng.random() * rng.choice(LIVES))
                backup = (MAILPROBE, "backup", "--spool", str(spool), str(copy))
                async with running(*backup, directory=tmp_path):
                    await deferLater(reactor, rng.random() * 0.8)
                    daemon.signal(signal.SIGKILL)
                    assert (await daemon.end()).code == -signal.SIGKILL, daemon.out
            assert not list(ledger.parent.glob("*.damaged*")), f"kill {number}, seed {SEED}"
            if copy.exists():
                version_of(copy)
                copy.unlink()
                seen["backups made"] += 1
            version, left = version_of(ledger), lines_left(ledger)
            seen["not changed yet" if version == 6 else "changed"] += 1
            seen["being purged"] += 0 < left < LARGE
            if not left:
                await conclude(spool, town, tmp_path)
                shutil.rmtree(spool)
                left_by(6, spool, LARGE)
        await conclude(spool, town, tmp_path)
    print(f"seed {SEED}: what the kills have met: {dict(seen)}")
