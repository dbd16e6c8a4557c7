"""The commands that ask a daemon, each as a process of its own against a daemon at work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.daemon.asking import Asker, asked
from tests.daemon.processes import MAILPROBE, Ended, run, running
from tests.daemon.running import SHORT_LADDER, answered, drop, reactor, town_of, until
from twisted_probe.cli.results import MAX_TABLE
from twisted_probe.daemon import service
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.verdict.ladder import Ladder

SLOW_LADDER = Ladder(greylist=(3600.0,), temporary=(3600.0,))
LINES = ["ann@quick.example", "nobody@quick.example", "no address", "ann@grey.example"]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SCAN", 0.02)
    monkeypatch.setattr(service, "IDLE", 0.02)


def quick() -> House:
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben postmaster")))


def grey(delay: float = 60.0) -> House:
    return House("mx.grey.example", "127.0.1.3", tempers.greylisting(residents("ann"), delay))


class Shell:
    """Runs commands with the spool in their environment."""

    def __init__(self, asker: Asker, directory: Path) -> None:
        self.asker = asker
        self.directory = directory
        self.environment = {"MAILPROBE_SPOOL": str(asker.spool)}

    async def mailprobe(self, *words: str) -> Ended:
        return await run(MAILPROBE, *words, directory=self.directory, environment=self.environment)

    async def out(self, *words: str) -> str:
        """What a command says that goes well."""
        ended = await self.mailprobe(*words)
        assert (ended.code, ended.err) == (0, "")
        return ended.out


@asynccontextmanager
async def shell(spool: Path, *houses: House, **changes: Any) -> AsyncIterator[Shell]:
    async with asked(town_of(*houses), spool, **changes) as asker:
        yield Shell(asker, spool.parent)


# ---------------------------------------------------------------- status


async def test_status(spool: Path) -> None:
    async with shell(spool, quick(), grey(), ladder=SLOW_LADDER) as at:
        assert (await at.out("status")).endswith("\n\nno jobs\n")
        drop(spool, "list.txt", LINES)
        await at.asker.job_when("list.txt", lambda job: job["waiting"] and job["settled"] == 2)
        text = await at.out("status")
        found = json.loads(await at.out("status", "--json"))
    first, limit, *_, bar, counts, rest = text.splitlines()
    assert first.startswith(f"mailprobe {found['version']} on ")
    assert f"/spool, process {os.getpid()}, up " in first
    assert limit.startswith("  limited by waiting for retries, the first in ")
    assert bar.startswith("list.txt [################........]  66 %  2 of 3  ")
    assert bar.endswith(" left")
    assert counts == "  ✔ 1 deliverable  ~ 0 risky  ✘ 2 undeliverable  ? 0 unknown"
    assert rest.startswith("  1 to be asked again, the first in ")
    assert found["jobs"][0]["name"] == "list.txt"


async def test_watching(spool: Path) -> None:
    async with shell(spool, quick()) as at:
        command: tuple[str, ...] = (MAILPROBE, "status", "--watch", "--json")
        async with running(*command, directory=spool.parent, environment=at.environment) as watch:
            await until(lambda: watch.out.count("\n") >= 2, "two looks")
            watch.signal(signal.SIGINT)
            ended = await watch.end()
        command = command[:-1]
        async with running(*command, directory=spool.parent, environment=at.environment) as watch:
            await until(lambda: watch.out.count("no jobs\n\n") >= 2, "two looks")
            watch.signal(signal.SIGINT)
            plain = await watch.end()
    assert (ended.code, ended.err) == (plain.code, plain.err) == (0, "")
    assert {json.loads(line)["pid"] for line in ended.out.splitlines()} == {os.getpid()}


# ---------------------------------------------------------------- results


async def test_results(spool: Path) -> None:
    async with shell(spool, quick(), grey(), ladder=SLOW_LADDER) as at:
        drop(spool, "list.txt", LINES)
        await at.asker.job_when("list.txt", lambda job: job["waiting"] and job["settled"] == 2)
        table = (await at.out("results", "list.txt")).splitlines()
        records = [
            json.loads(line)
            for line in (await at.out("results", "list.txt", "--json")).splitlines()
        ]
        reacher = await at.out("results", "list.txt", "--format", "reacher")
    assert [record["role_account"] for record in records] == [False, True, None]
    assert [json.loads(line)["is_reachable"] for line in reacher.splitlines()] == [
        *("safe", "invalid", "invalid")
    ]
    assert table[0].split() == ["address", "verdict", "reason", "code", "exchanger", "source"]
    assert [line.split()[0] for line in table[2:5]] == [*LINES[:2], "no"]
    assert table[-1] == "… 1 of 3 recipients are still open"
    assert table[-3] == "✔ 1 deliverable   ✘ 2 undeliverable"
    assert [(record["line"], record["reason"]) for record in records] == [
        (1, "accepted"),
        (2, "no_such_mailbox"),
        (3, "invalid_address"),
    ]


async def test_following_a_job_to_its_end(spool: Path) -> None:
    async with shell(spool, quick(), grey(0.2), ladder=SHORT_LADDER) as at:
        await at.asker.switch("sites", "mx.grey.example", "pause")
        drop(spool, "list.txt", [*LINES, "ann@QUICK.example"])
        await at.asker.job_when("list.txt", lambda job: job["settled"])
        follow = (MAILPROBE, "results", "list.txt", "--follow")
        async with (
            running(*follow, directory=spool.parent, environment=at.environment) as people,
            running(*follow, "--json", directory=spool.parent, environment=at.environment) as tool,
        ):
            await until(lambda: tool.out.count("\n") >= 4, "the first four")
            await until(lambda: people.out.count("\n") >= 4, "the first four")
            assert not tool.is_over
            await at.asker.switch("sites", "mx.grey.example", "resume")
            ended, shown = await tool.end(), await people.end()
        again = await at.out("results", "list.txt", "--follow", "--json")
    assert (ended.code, ended.err) == (shown.code, shown.err) == (0, "")
    lines = [json.loads(line)["line"] for line in ended.out.splitlines()]
    assert lines == [1, 2, 3, 5, 4]
    assert [json.loads(line)["line"] for line in again.splitlines()] == [1, 2, 3, 4, 5]
    assert shown.out.splitlines() == [
        "✔ deliverable    accepted              ann@quick.example",
        "✘ undeliverable  no_such_mailbox       nobody@quick.example  <nobody@quick.example>: "
        "Recipient address rejected: User unknown in virtual mailbox table",
        "✘ undeliverable  invalid_address       no address  ' ' at position 3: not allowed there",
        "✔ deliverable    accepted              ann@QUICK.example",
        "✔ deliverable    accepted              ann@grey.example",
        "",
        "✔ 3 deliverable   ✘ 2 undeliverable",
    ]


async def test_following_from_before_it_is_read(spool: Path) -> None:
    async with shell(spool, quick()) as at:
        people = [f"nobody{number}@quick.example" for number in range(300)]
        drop(spool, "list.txt", ["no address", *people])
        await at.asker.job_when("list.txt", bool)
        text = await at.out("results", "list.txt", "--follow", "--json")
    lines = [json.loads(line)["line"] for line in text.splitlines()]
    assert sorted(lines) == list(range(1, 302))


async def test_more_than_one_table(spool: Path) -> None:
    async with shell(spool, quick()) as at:
        drop(spool, "list.txt", [f"no address {number}" for number in range(MAX_TABLE + 50)])
        await answered(spool, "list.txt")
        text = await at.out("results", "list.txt")
        # A reader that has seen enough.
        command = f"{MAILPROBE} results list.txt --json | head -n 1"
        head = await run("sh", "-c", command, directory=spool.parent, environment=at.environment)
    lines = text.splitlines()
    assert len(lines) == MAX_TABLE + 52
    assert lines[0].startswith("✘ undeliverable  invalid_address       no address 0  ")
    assert lines[-1] == f"✘ {MAX_TABLE + 50} undeliverable"
    assert (head.code, head.err, head.out.count("\n")) == (0, "", 1)


async def test_a_job_that_failed(spool: Path) -> None:
    async with shell(spool, grey(), ladder=SLOW_LADDER) as at:
        drop(spool, "list.txt", ["ann@grey.example"])
        await at.asker.job_when("list.txt", lambda job: job["waiting"])
        (spool / "active" / "list.txt").write_bytes(b"ben@grey.example\n")
        await at.asker.switch("jobs", "list.txt", "cancel")
        await at.asker.job_when("list.txt", lambda job: job["state"] == "failed")
        ended = await at.mailprobe("results", "list.txt", "--follow")
    assert (ended.code, ended.err) == (
        1,
        "mailprobe results: the job list.txt failed; SPOOL/failed has the reason\n",
    )


# ---------------------------------------------------------------- pause, resume, cancel


async def test_switches(spool: Path) -> None:
    async with shell(spool, quick(), grey(), ladder=SLOW_LADDER) as at:
        drop(spool, "list.txt", LINES)
        await at.asker.job_when("list.txt", lambda job: job["waiting"])
        assert (await at.out("pause")) == (
            "the daemon is paused; sessions in hand end, deadlines still count\n"
        )
        assert (await at.out("resume")) == "the daemon goes on\n"
        assert (await at.out("pause", "--site", "mx.grey.example")).startswith(
            "the site mx.grey.example is paused;"
        )
        assert (await at.out("resume", "--site", "mx.grey.example")).endswith(" goes on\n")
        assert (await at.out("pause", "--source", "127.0.0.21")).startswith(
            "the source 127.0.0.21 is paused;"
        )
        assert (await at.out("resume", "--source", "127.0.0.21")).endswith(" goes on\n")
        answer = json.loads(await at.out("pause", "--job", "list.txt", "--json"))
        assert (answer["changed"], answer["job"]["paused"]) == (True, True)
        assert (await at.out("resume", "--job", "list.txt")) == "the job list.txt goes on\n"
        assert (await at.out("cancel", "list.txt")).startswith("the job list.txt is cancelled;")
        await at.asker.job_when("list.txt", lambda job: job["state"] == "done")
        over = await at.mailprobe("cancel", "list.txt", "--json")
        ended = await at.mailprobe("cancel", "none\n")
    assert (over.code, over.err) == (1, "mailprobe cancel: the job list.txt: it is done\n")
    assert json.loads(over.out) == {"error": "the job list.txt: it is done"}
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "mailprobe cancel: there is no job none\\x0a; there are: list.txt\n"


async def test_submit_to_a_daemon_at_work(spool: Path, tmp_path: Path) -> None:
    async with shell(spool, quick()) as at:
        (tmp_path / "list.txt").write_bytes(b"ann@quick.example\n")
        text = await at.out("submit", "list.txt")
        place = text.rstrip("\n").rpartition(" ")[2]
        await until(Path(place).exists, "the results")
    assert Path(place) == spool / "done" / "list.txt.results.csv"


# ---------------------------------------------------------------- nobody to ask


def mailprobe(*words: str, **environment: str) -> Any:
    clean = {key: value for key, value in os.environ.items() if key != "MAILPROBE_SPOOL"}
    return subprocess.run(
        [MAILPROBE, *words],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        timeout=60,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--watch"),
        ("results", "x"),
        ("cancel", "x"),
        ("pause",),
        ("resume",),
    ],
)
def test_no_daemon(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = mailprobe(*words, "--spool", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"mailprobe {words[0]}: no daemon works on {tmp_path} (it has no control socket)\n"
    )


def test_a_dead_daemons_socket(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "state" / "control"))
    done = mailprobe("status", MAILPROBE_SPOOL=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        f"mailprobe status: no daemon works on {tmp_path} (nobody answers at its control socket)\n",
    )


def test_no_such_spool(tmp_path: Path) -> None:
    done = mailprobe("status", "--spool", str(tmp_path / "none"))
    assert (done.returncode, done.stderr) == (
        1,
        f"mailprobe status: {tmp_path}/none is no spool: there is no such directory\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("results",),
        ("cancel",),
        ("submit",),
        ("status", "x"),
        ("pause", "--job", "x", "--site", "y"),
    ],
)
def test_wrong_usage(words: tuple[str, ...]) -> None:
    done = mailprobe(*words, "--spool", "/x")
    assert done.returncode == 2
    assert "usage: mailprobe " in done.stderr


def test_no_spool_is_named() -> None:
    done = mailprobe("status")
    assert (done.returncode, done.stderr) == (
        2,
        "mailprobe status: --spool: no directory is given, and MAILPROBE_SPOOL is not set\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        *(
            (name, "--help")
            for name in ("status", "results", "cancel", "pause", "resume", "submit")
        ),
        ("--help",),
        ("status", "--spool", "/nowhere"),
        ("pause", "--spool", "/nowhere", "--site", "x"),
        ("results", "--spool", "/nowhere", "x"),
    ],
    ids=" ".join,
)
def test_no_twisted_is_imported(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from twisted_probe.cli import main\n"
        f"try: main({list(words)!r})\n"
        "except SystemExit: pass\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('twisted', 'rich')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


async def test_a_daemon_that_ends_while_it_is_watched(spool: Path) -> None:
    async with shell(spool, quick()) as at:
        command = (MAILPROBE, "status", "--watch", "--json")
        watch = running(*command, directory=spool.parent, environment=at.environment)
        process = await watch.__aenter__()
        await until(lambda: process.out.count("\n") >= 1, "a look")
        await deferLater(reactor, 0)
    ended = await process.end()
    await watch.__aexit__(None, None, None)
    assert (ended.code, ended.err) == (
        1,
        f"mailprobe status: no daemon works on {spool} (it has no control socket)\n",
    )
