"""SIGHUP and the stop file in the middle of a job, with the real twistd: the exchangers count what
begins after the log has said so."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.daemon.processes import TWISTD, Process, processes_with, running
from tests.daemon.running import answered, drop, said, until, up
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.record import SessionRecord
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town

ONE, TWO = "127.0.0.21", "127.0.0.22"
DOMAINS = 16
PEOPLE = [f"ann@d{n}.example" for n in range(DOMAINS)]
EAGER = "per_site = 4\nfirst_sessions = 4\nstarts_per_second = 50\nrecipients_per_session = 2\n"


class Machine:
    """A daemon with a file of its own, and the one slow exchanger that it asks."""

    def __init__(self, directory: Path, town: Town, daemon: Process) -> None:
        self.directory = directory
        self.spool = directory / "spool"
        self._town = town
        self._daemon = daemon

    @property
    def sessions(self) -> list[SessionRecord]:
        return self._town.exchangers["mx.example"].record.sessions

    async def begun(self) -> None:
        """Drop the list, and wait until it is being asked."""
        drop(self.spool, "list.txt", PEOPLE)
        await until(lambda: len(self.sessions) >= 4, "the first sessions")

    async def told(self) -> float:
        """Have the file read again; from when on that holds."""
        self._daemon.signal(signal.SIGHUP)
        return await self.heard("was read again")

    async def heard(self, words: str) -> float:
        """When the log had said so, surely."""
        await until(lambda: words in self._daemon.out, words)
        return time.time()

    def after(self, moment: float) -> list[SessionRecord]:
        return [each for each in self.sessions if each.started > moment]


def file_for(directory: Path) -> Path:
    # Nobody else's daemon has a file of this name: those who are left are looked for by it.
    return directory / f"mailprobe-{os.getpid()}-{directory.name}.toml"


def write(
    directory: Path,
    town: Town,
    sources: Sequence[str] = (ONE, TWO),
    limits: str = EAGER,
    helo: str = "probe",
) -> None:
    text = f"""
    spool = "spool"
    reverse_path = "{town.reverse_path}"
    resolvers = ["{town.resolver}"]
    port = {town.port}
    allow_networks = ["{town.networks[0]}"]
    opt_out = "nobody"
    stop_file = "stop"
    """
    for address in sources:
        name = f"{helo}{address[-1]}.example.org"
        text += f'[[source]]\naddress = "{address}"\nhelo = "{name}"\n'
    text += f"[limits]\n{limits}"
    new = directory / "new"
    new.write_text(text)
    new.rename(file_for(directory))


@asynccontextmanager
async def machine(directory: Path) -> AsyncIterator[tuple[Machine, Town]]:
    slow = tempers.postfix(residents("ann"), Tarpits(0.08))
    names = {each.partition("@")[2]: ["MX 10 mx.example"] for each in PEOPLE}
    async with up(Town([House("mx.example", "127.0.1.1", slow)], names, sample="")) as town:
        (directory / "nobody").write_text("")
        write(directory, town)
        command = (TWISTD, "--pidfile=", "-n", "mailprobe", "--config", file_for(directory).name)
        async with running(*command, directory=directory) as daemon:
            await until(lambda: "mailprobe works on" in daemon.out, "the daemon's start")
            yield Machine(directory, town, daemon), town
            daemon.signal(signal.SIGTERM)
            ended = await daemon.end()
            assert "Traceback" not in ended.out + ended.err


@pytest.fixture(autouse=True)
def no_daemon_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = processes_with(file_for(tmp_path).name)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


async def test_lower_ceilings_bind_at_once(tmp_path: Path) -> None:
    """And so does a source's new name."""
    async with machine(tmp_path) as (m, town):
        await m.begun()
        fewer = "per_site = 1\nstarts_per_second = 20\nrecipients_per_session = 9\n"
        write(tmp_path, town, limits=fewer, helo="renamed")
        moment = await m.told()
        rows = await answered(m.spool, "list.txt")
        late = m.after(moment)
        assert {said(row) for row in rows} == {("deliverable", "accepted")}
        assert len(m.sessions) - len(late) >= 4
        assert len(late) >= 1
        for one in late:
            beside = [
                each
                for each in m.sessions
                if each is not one and each.started <= one.started < (each.ended or 1e12)
            ]
            assert beside == []
        names = {("127.0.0.21", "renamed1.example.org"), ("127.0.0.22", "renamed2.example.org")}
        assert {(each.client, each.helo) for each in late} <= names


async def test_nothing_leaves_from_a_source_that_was_taken_out(tmp_path: Path) -> None:
    async with machine(tmp_path) as (m, town):
        await m.begun()
        write(tmp_path, town, sources=[TWO])
        moment = await m.told()
        rows = await answered(m.spool, "list.txt")
        late = m.after(moment)
        assert {said(row) for row in rows} == {("deliverable", "accepted")}
        assert {row["probe_attempts"] for row in rows} == {"1"}
        assert late
        assert {each.client for each in late} == {TWO}
        assert {each.client for each in m.sessions} == {ONE, TWO}
        # Those that were open went on to their end.
        assert all(each.verbs[-1] == "QUIT" for each in m.sessions)


async def test_nobody_is_asked_who_was_opted_out_meanwhile(tmp_path: Path) -> None:
    async with machine(tmp_path) as (m, _):
        await m.begun()
        (tmp_path / "nobody").write_text("".join(f"d{n}.example\n" for n in range(0, DOMAINS, 2)))
        moment = await m.told()
        rows = await answered(m.spool, "list.txt")
        out = {f"ann@d{n}.example" for n in range(0, DOMAINS, 2)}
        late = " ".join(words for each in m.after(moment) for _, words in each.commands)
        assert not [each for each in out if each.partition("@")[2] in late]
        skipped = {row["address"] for row in rows if row["probe_reason"] == "skipped"}
        assert skipped
        assert skipped <= out
        assert {said(row) for row in rows if row["address"] not in skipped} == {
            ("deliverable", "accepted")
        }


async def test_no_session_begins_while_the_stop_file_is_there(tmp_path: Path) -> None:
    async with machine(tmp_path) as (m, _):
        await m.begun()
        (tmp_path / "stop").touch()
        moment = await m.heard("everything is halted")
        await until(lambda: all(each.ended for each in m.sessions), "the end of all sessions")
        # Another list finds it as it is.
        drop(m.spool, "second.txt", ["ann@d0.example"])
        await until((m.spool / "active" / "second.txt").exists, "the second list's beginning")
        assert m.after(moment) == []
        (tmp_path / "stop").unlink()
        rows = await answered(m.spool, "list.txt") + await answered(m.spool, "second.txt")
        assert {said(row) for row in rows} == {("deliverable", "accepted")}
        assert m.after(moment)
