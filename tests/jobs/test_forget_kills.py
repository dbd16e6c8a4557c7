"""`mailprobe forget`, a real process, killed in the midst and said again until all is erased."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from twisted_probe.jobs.backup import back_up, note
from twisted_probe.jobs.ledger import Ledger

from .conftest import Daemon

SECRET = "gwendolen"
ADDRESS = f"{SECRET}@a.example"
MAILPROBE = str(Path(sys.executable).with_name("mailprobe"))
#: Seconds for one process, on a machine that is busy.
PATIENCE = 60.0

SAID_ALREADY = "mailprobe forget: list.txt is neither a job nor an address: it has no @\n"


def settled(daemon: Daemon, name: str, content: str) -> None:
    daemon.drop(name, content)
    daemon.tick(2)
    daemon.answer_all()
    daemon.tick(2)
    assert name in daemon.names("done")


def said_until_done(path: Path, what: str, left: Callable[[], int]) -> tuple[int, str]:
    """Say it, and kill each process when less is `left` than at its beginning; how many were
    killed, and the complaints of the one that was not."""
    kills = 0
    while True:
        begun, until = left(), time.monotonic() + PATIENCE
        process = subprocess.Popen(
            [MAILPROBE, "forget", "--spool", os.fspath(path), "--", what],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and left() >= begun:
            assert time.monotonic() < until
            time.sleep(0.001)
        if process.poll() is None:
            process.kill()
        _, words = process.communicate()
        if process.returncode != -signal.SIGKILL:
            return kills, words
        kills += 1


def having(*paths: Path) -> int:
    """How many of these files have it."""
    return sum(SECRET.encode() in path.read_bytes().lower() for path in paths if path.exists())


def test_an_address(daemon: Daemon, tmp_path: Path) -> None:
    content = "ann@a.example\n" + f"{ADDRESS};\n" * 200 + f"{SECRET.title()}@a.example\nx\n"
    kept = "ann@a.example\n" + "\n" * 201 + "x\n"
    names = [f"list{number}.txt" for number in range(2)]
    for name in names:
        daemon.clock.advance(30 * 86400)
        settled(daemon, name, content)
    state = os.fspath(daemon.path / "state")
    for number in range(2):
        copy = os.fspath(tmp_path / f"copy{number}")
        back_up(daemon.ledger.path, copy)
        note(state, copy)
    daemon.close()

    def left() -> int:
        ledgers = (daemon.path / "state" / "ledger.sqlite", tmp_path / "copy0", tmp_path / "copy1")
        return having(*daemon.path.glob("done/[a-z]*"), *ledgers)

    kills, words = said_until_done(daemon.path, ADDRESS.upper(), left)
    assert words == ""
    assert kills >= 3
    daemon.start()
    for name in names:
        assert daemon.read("done", name) == kept
        assert [row["probe_line"] for row in daemon.table(name)] == ["1", "203"]
    assert [each for each in daemon.names("done") if each.startswith(".")] == []
    for path in (daemon.ledger.path, tmp_path / "copy0", tmp_path / "copy1"):
        ledger = Ledger(path)
        for job in ledger.latest(9):
            assert [one.line for one in ledger.outcomes(job.id)] == [1, 203]
        ledger.close()
    for job in daemon.ledger.latest(9):
        assert job.digest == sha256(kept.encode()).digest()
    assert having(*tmp_path.glob("copy*"), *daemon.path.glob("state/*")) == 0


def test_a_job(daemon: Daemon) -> None:
    daemon.drop("list.txt.job.toml", "cache = false\n")
    daemon.tick()
    settled(daemon, "list.txt", "".join(f"{SECRET}{n}@{n % 7}.example\n" for n in range(20_000)))
    settled(daemon, "other.txt", "dora@b.example\n")
    daemon.close()

    def left() -> int:
        ledger = Ledger(daemon.path / "state" / "ledger.sqlite", read_only=True)
        rows = ledger._database.execute(
            "SELECT (SELECT count(*) FROM outcomes) / 10000"
            " + (SELECT count(*) FROM recipients) / 10000 + (SELECT count(*) FROM jobs)"
        ).fetchone()[0]
        ledger.close()
        return int(rows) + len(list(daemon.path.glob("done/list*")))

    kills, words = said_until_done(daemon.path, "list.txt", left)
    assert kills >= 3
    # The last one that was killed may have done it all.
    assert words in ("", SAID_ALREADY)
    daemon.start()
    assert [job.title for job in daemon.ledger.latest(9)] == ["other.txt"]
    assert [one.address for one in daemon.ledger.outcomes(2)] == ["dora@b.example"]
    assert daemon.names("done") == [
        *("other.txt", "other.txt.results.csv", "other.txt.summary.json"),
    ]
    for table in ("recipients", "outcomes", "repeats", "invalid", "tallies", "verdicts"):
        rows = daemon.ledger._database.execute(f"SELECT count(*) FROM {table} WHERE job = 1")
        assert rows.fetchone() == (0,)
