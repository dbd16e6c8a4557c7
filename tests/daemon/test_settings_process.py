"""`twistd mailprobe --config FILE` in a process of its own, and SIGHUP."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import TWISTD, processes_with, run, running
from tests.daemon.running import answered, drop, town_of, until, up
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.reply import Stage


@pytest.fixture
def file(tmp_path: Path) -> Path:
    # Nobody else's daemon has a file of this name: those who are left are looked for by it.
    return tmp_path / f"mailprobe-{os.getpid()}-{tmp_path.name}.toml"


@pytest.fixture(autouse=True)
def no_daemon_is_left(file: Path) -> Iterator[None]:
    yield
    left = processes_with(file.name)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def write(file: Path, town: Town, *sources: str, more: str = "") -> None:
    text = f"""
    spool = "spool"
    reverse_path = "{town.reverse_path}"
    resolvers = ["{town.resolver}"]
    port = {town.port}
    allow_networks = ["{town.networks[0]}"]
    {more}
    """
    for number in sources:
        text += f'[[source]]\naddress = "127.0.0.2{number}"\nhelo = "probe{number}.example.org"\n'
    replace(file, text)


def replace(file: Path, text: str) -> None:
    """As an editor does it: the daemon never finds half a file."""
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").rename(file)


def words_of(log: Path) -> str:
    return log.read_text() if log.exists() else ""


async def test_sighup_with_a_good_and_a_bad_file(file: Path, tmp_path: Path) -> None:
    """A session that is under way goes on, and so does the daemon."""
    slow = tempers.postfix(residents("ann ben"), Tarpits(0.3, Stage.RCPT))
    async with up(town_of(House("mx.slow.example", "127.0.1.1", slow))) as town:
        record = town.exchangers["mx.slow.example"].record
        write(file, town, "1")
        spool = tmp_path / "spool"
        async with running(
            *(TWISTD, "--pidfile=", "-n", "mailprobe", "--config", file.name), directory=tmp_path
        ) as daemon:
            await until(lambda: "mailprobe works on" in daemon.out, "the daemon's start")
            drop(spool, "first.txt", ["ann@slow.example", "eve@slow.example"])
            await until(record.asked, "the first question")
            write(file, town, "2")
            daemon.signal(signal.SIGHUP)
            await until(lambda: "was read again" in daemon.out, "the new configuration")
            rows = await answered(spool, "first.txt")
            assert {row["probe_source"] for row in rows} == {"127.0.0.21"}
            assert record.sessions[0].verbs[-1] == "QUIT"

            drop(spool, "second.txt", ["ben@slow.example"])
            (row,) = await answered(spool, "second.txt")
            assert row["probe_source"] == "127.0.0.22"

            replace(file, 'port = "25"\n')
            daemon.signal(signal.SIGHUP)
            await until(lambda: "stays as it was" in daemon.out, "the refusal")
            drop(spool, "third.txt", ["carl@slow.example"])
            (row,) = await answered(spool, "third.txt")
            assert row["probe_source"] == "127.0.0.22"

            daemon.signal(signal.SIGTERM)
            ended = await daemon.end()
    assert ended.code == -signal.SIGTERM
    assert (
        "source was 127.0.0.21 (probe1.example.org), is 127.0.0.22 (probe2.example.org)"
        in ended.out
    )
    assert (
        f'the configuration stays as it was: {file}: port = "25": expected a whole number'
        in ended.out
    )
    assert "Traceback" not in ended.out + ended.err


async def test_sighup_in_the_background_and_elsewhere(file: Path, tmp_path: Path) -> None:
    """The file is found again though twistd has changed the directory; what the command line said
    still wins over it."""
    quick = House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann")))
    (tmp_path / "elsewhere").mkdir()
    async with up(town_of(quick)) as town:
        write(file, town, "1", "2")
        spool = tmp_path / "named"
        started = await run(
            *(TWISTD, "--pidfile=", "--rundir=elsewhere", "--logfile=daemon.log"),
            *("mailprobe", "--config", file.name, "--spool", "named"),
            *("--source", "127.0.0.23=probe3.example.org"),
            directory=tmp_path,
        )
        assert (started.code, started.out, started.err) == (0, "", "")
        (pid,) = processes_with(file.name)
        log = tmp_path / "daemon.log"
        await until(lambda: "mailprobe works on" in words_of(log), "the daemon's start")
        write(file, town, "1", more="control = false")
        os.kill(pid, signal.SIGHUP)
        await until(lambda: "was read again" in words_of(log), "the new configuration")
        drop(spool, "list.txt", ["ann@quick.example"])
        (row,) = await answered(spool, "list.txt")
        (session,) = town.exchangers["mx.quick.example"].record.sessions
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not processes_with(file.name), "the daemon's end")
    assert row["probe_source"] == "127.0.0.23"
    assert session.verbs.count("RCPT") == 1
    words = words_of(log)
    assert "was read again: control was true, is false\n" in words
    assert "takes effect at the next start" not in words
    assert "Traceback" not in words


async def test_a_bad_file_ends_with_78_before_anything_is_begun(file: Path, tmp_path: Path) -> None:
    replace(file, "[limits]\nper_site = 'four'\n")
    ended = await run(
        *(TWISTD, "--pidfile=", "--logfile=daemon.log", "mailprobe", "--config", file.name),
        directory=tmp_path,
    )
    assert ended.code == 78
    assert ended.out == ""
    assert ended.err == (
        f'twistd mailprobe: {file}: limits.per_site = "four": expected a whole number of at least '
        "1 and at most 50 (what Postfix grants one client)\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["0.stderr", "0.stdout", file.name]
