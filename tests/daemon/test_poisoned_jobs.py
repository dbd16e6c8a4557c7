"""Row 157 and all that is worse: jobs that nobody would drop in earnest, with the real twistd. They
cost bounded memory, are answered or in failed/, and other jobs go on.

How large they are is said by MAILPROBE_POISON: 1 (the default) is a tenth of what it stands for.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import running as running_module
from tests.daemon.processes import TWISTD, processes_with, running
from tests.daemon.running import answered, drop, said, town_of, until, up
from tests.daemon.test_daemon_process import holder, words
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents

POISON = int(os.environ.get("MAILPROBE_POISON", "1"))
#: MiB that the daemon may hold at most, of 300 for ten million lines.
MOST = 200
GIB = 1 << 30


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def no_daemon_is_left(spool: Path) -> Iterator[None]:
    yield
    assert processes_with(str(spool)) == []


def put(spool: Path, name: str, pieces: Iterator[bytes], size: int | None = None) -> None:
    """Drop a file piece by piece, with a hole behind it up to `size`."""
    with (spool / "tmp" / name).open("wb") as file:
        file.writelines(pieces)
        if size is not None:
            file.truncate(size)
    (spool / "tmp" / name).rename(spool / "new" / name)


def peak_of(pid: int) -> int:
    """The most memory that a process held so far, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024


def is_over(spool: Path, name: str) -> bool:
    return (spool / "done" / name).exists() or (spool / "failed" / name).exists()


def summary(spool: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((spool / "done" / f"{name}.summary.json").read_text())
    return found


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux has it")
@pytest.mark.deadline(120 + 600 * (POISON - 1))
async def test_row_157_poison(
    spool: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running_module, "PATIENCE", 60.0 * POISON)
    broken = POISON * 100_000
    rng = random.Random(157)
    long_line = gzip.compress(b"x" * (GIB // 64), 6)
    house = House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben")))
    async with up(town_of(house)) as town:
        command = (TWISTD, "--pidfile=", "-n", *words(spool, town))
        async with running(*command, directory=tmp_path) as daemon:
            await until(lambda: holder(spool) == daemon.pid, "the daemon's start")
            await until((spool / "new").is_dir, "the spool")
            before = peak_of(daemon.pid)
            lines = (b"%d \xff @@ \x1b[2J <>\n" % number for number in range(broken))
            put(spool, "broken.txt", lines)
            # A line of one GiB, packed as such a thing comes: in members of 16 MiB.
            put(spool, "line.txt.gz", (long_line for _ in range(64 * POISON)))
            put(spool, "quoted.csv", iter([b'email,x\n"', *[b"a\n" * 50_000] * 10 * POISON]))
            put(spool, "object.jsonl", iter([b'{"email":', *[b"[" * 100_000] * 10 * POISON]))
            put(spool, "hole.txt", iter([b"ann@quick.example\n"]), 10 * GIB)
            put(spool, "noise.csv", (rng.randbytes(1 << 20) for _ in range(10 * POISON)))
            put(spool, "noise.gz", iter([b"\x1f\x8b\x08\0", rng.randbytes(1 << 20)]))
            drop(spool, "good.txt", ["ann@quick.example"])
            (row,) = await answered(spool, "good.txt")
            assert said(row) == ("deliverable", "accepted")

            settled = {"broken.txt", "line.txt.gz", "quoted.csv", "object.jsonl"}
            failed = {"hole.txt", "noise.csv", "noise.gz"}

            for name in sorted(settled | failed):
                await until(partial(is_over, spool, name), f"the end of {name}")
            drop(spool, "last.txt", ["ben@quick.example"])
            await answered(spool, "last.txt")
            peak = peak_of(daemon.pid)
            daemon.signal(signal.SIGTERM)
            ended = await daemon.end()
    assert "Traceback" not in ended.out + ended.err
    with capsys.disabled():
        print(f"\npoisoned jobs: {before} MiB before them, {peak} MiB at most")
    assert peak < MOST
    for name in failed:
        assert re.match(
            rf"{name}, line \d+: ", (spool / "failed" / f"{name}.error.txt").read_text()
        )
    answers = summary(spool, "broken.txt")
    assert answers["lines"] == answers["invalid"] == broken
    assert summary(spool, "line.txt.gz")["reasons"] == {"invalid_address": 1}
    # It came last of all, and did not wait for the last of them.
    ends = [summary(spool, name)["finished_at"] for name in ("broken.txt", "line.txt.gz")]
    assert summary(spool, "good.txt")["finished_at"] < max(ends)
