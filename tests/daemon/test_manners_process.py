"""What a real daemon's log has in it, and what its service manager hears."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import TWISTD, processes_with, run, running
from tests.daemon.running import answered, drop, town_of, until, up
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.address import AddressError, parse_entry

#: Where `tests` can be imported from.
ROOT = str(Path(__file__).parent.parent.parent)

#: Ledgers as older versions left them.
LEDGERS = Path(__file__).parent.parent / "jobs" / "ledgers"
ME = ("--source=127.0.0.21=probe1.example.org", "--reverse-path=probe@example.org")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    spool = tmp_path / "spool"
    yield spool
    for pid in processes_with(str(spool)):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{tmp_path}/notify")
        manager.setblocking(False)
        yield manager


def heard(manager: socket.socket) -> list[str]:
    """The lines of the next message, none while there is none."""
    try:
        return manager.recv(4096).decode().split("\n")
    except BlockingIOError:
        return []


def words(spool: Path, town: Town, *more: str) -> list[str]:
    return [
        *("mailprobe", f"--spool={spool}", *more, f"--reverse-path={town.reverse_path}"),
        *(f"--source={source.address}={source.helo}" for source in town.sources),
        *(f"--allow-network={network}" for network in town.networks),
        *(f"--resolver={town.resolver}", f"--port={town.port}"),
    ]


def quick_town() -> Town:
    temper = tempers.postfix(residents("gwendolyn"))
    return town_of(House("mx.quick.example", "127.0.1.1", temper))


# ---------------------------------------------------------------- the log


def secrets_of(sample: str) -> set[str]:
    """The local parts of a list that are words of nothing else."""
    locals_ = set()
    for line in sample.splitlines():
        try:
            locals_.add(parse_entry(line.strip()).local)
        except AddressError:
            continue
    return {local for local in locals_ if len(local) > 3 and local not in ("postmaster", "info")}


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_log(spool: Path, tmp_path: Path, log_format: str) -> None:
    """Who is asked stands nowhere in it, not even where a list has an address for its name."""
    async with (
        up(Town()) as town,
        running(
            *(TWISTD, "--pidfile=", "-n", *words(spool, town, f"--log-format={log_format}")),
            directory=tmp_path,
        ) as daemon,
    ):
        await until(lambda: "mailprobe works on" in daemon.out, "the start")
        drop(spool, "gwendolyn@quick.example.txt", ["ann@orchard.example", "no address"])
        drop(spool, "broken.pdf", "")
        drop(spool, "sample.txt", town.sample)
        await answered(spool, "gwendolyn@quick.example.txt")
        await until(lambda: "sample.txt is read" in daemon.out, "the sample")
        await until(lambda: "example.txt is done" in daemon.out, "the end of the list")
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGTERM)
        ended = await daemon.end()
        secrets = secrets_of(town.sample)
    log = ended.out
    assert ended.err == ""
    assert len(secrets) > 10
    assert [secret for secret in secrets if f"{secret}@" in log or f"<{secret}" in log] == []
    assert "gwendolyn" not in log
    for noise in ("factory", "UDP", "DNSDatagram", "reactor class", "Traceback"):
        assert noise not in log
    if log_format == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert {line["level"] for line in lines} <= {"info", "warn"}
        log = "\n".join(line["message"] for line in lines)
        (done,) = (line for line in lines if line["kind"].startswith("{job} is done"))
        assert (done["deliverable"], done["undeliverable"], done["lines"]) == (1, 1, 2)
    order = [
        f"mailprobe works on {spool}, from 127.0.0.21",
        "***@quick.example.txt is taken",
        "***@quick.example.txt is read: 2 lines, 1 recipients",
        "***@quick.example.txt is done: 2 lines",
        "Received SIGTERM, shutting down.",
        "mailprobe is stopping",
        "mailprobe has stopped",
    ]
    assert sorted(order, key=log.index) == order
    assert "broken.pdf is in failed/: " in log


async def test_addresses_where_they_are_wanted(spool: Path, tmp_path: Path) -> None:
    async with (
        up(quick_town()) as town,
        running(
            *(TWISTD, "--pidfile=", "-n", *words(spool, town, "--log-addresses")),
            directory=tmp_path,
        ) as daemon,
    ):
        await until(lambda: "mailprobe works on" in daemon.out, "the start")
        drop(spool, "gwendolyn@quick.example", ["gwendolyn@quick.example"])
        await until(lambda: "gwendolyn@quick.example is in failed/" in daemon.out, "the list")
        daemon.signal(signal.SIGTERM)
        await daemon.end()


async def test_an_observer_of_the_operators_own(spool: Path, tmp_path: Path) -> None:
    async with running(
        *(TWISTD, "--pidfile=", "-n", "--logger=tests.daemon.manners_observer.observer"),
        *("mailprobe", f"--spool={spool}", *ME),
        directory=tmp_path,
        environment={"PYTHONPATH": ROOT},
    ) as daemon:
        await until(lambda: "theirs: mailprobe works on" in daemon.out, "the start")
        daemon.signal(signal.SIGTERM)
        assert "daemon.service:" not in (await daemon.end()).out


async def test_a_log_that_cannot_be_made(spool: Path, tmp_path: Path) -> None:
    ended = await run(
        *(TWISTD, "--pidfile=", "--logfile=no/such/directory.log"),
        *("mailprobe", f"--spool={spool}", *ME),
        directory=tmp_path,
    )
    assert (ended.code, ended.out) == (78, "")
    assert ended.err == (
        f"twistd mailprobe: --logfile {tmp_path}/no/such/directory.log: No such file or directory\n"
    )


async def test_a_format_that_is_none(spool: Path, tmp_path: Path) -> None:
    ended = await run(
        *(TWISTD, "--pidfile=", "-n", "mailprobe", f"--spool={spool}", *ME, "--log-format=xml"),
        directory=tmp_path,
    )
    assert ended.code == 78
    assert ended.err == "twistd mailprobe: --log-format 'xml': it is not text or json\n"


# ---------------------------------------------------------------- the service manager


async def test_the_manager_hears_of_start_and_end(
    spool: Path, tmp_path: Path, manager: socket.socket
) -> None:
    async with running(
        *(TWISTD, "--pidfile=", "-n", "mailprobe", f"--spool={spool}", *ME),
        directory=tmp_path,
        environment={"NOTIFY_SOCKET": f"{tmp_path}/notify"},
    ) as daemon:
        ready = await until(lambda: heard(manager), "the start")
        assert ready == ["READY=1", f"MAINPID={daemon.pid}", f"STATUS=works on {spool}"]
        assert (spool / "state" / "ledger.sqlite").exists()
        assert "mailprobe works on" in daemon.out
        daemon.signal(signal.SIGTERM)
        stopping = await until(lambda: heard(manager), "the end")
        assert stopping == ["STOPPING=1", "STATUS=stopping; 0 recipients in hand"]
        assert (await daemon.end()).code == -signal.SIGTERM
    assert heard(manager) == []


async def test_the_manager_hears_of_the_process_that_works(
    spool: Path, tmp_path: Path, manager: socket.socket
) -> None:
    """twistd has forked, and where it was started is nobody any more."""
    started = await run(
        *(TWISTD, "--pidfile=", "mailprobe", f"--spool={spool}", *ME),
        directory=tmp_path,
        environment={"NOTIFY_SOCKET": f"{tmp_path}/notify"},
    )
    assert (started.code, started.out, started.err) == (0, "", "")
    ready = await until(lambda: heard(manager), "the start")
    (pid,) = processes_with(str(spool))
    assert ready[:2] == ["READY=1", f"MAINPID={pid}"]
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not processes_with(str(spool)), "the end")
    # Where twistd logs by itself.
    with open(f"{tmp_path}/twistd.log") as log:  # noqa: ASYNC230
        assert "mailprobe has stopped" in log.read()


async def test_a_ledger_that_cannot_be_opened(
    spool: Path, tmp_path: Path, manager: socket.socket
) -> None:
    """systemd counts it as a failure: READY=1 never comes."""
    path = spool / "state" / "ledger.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes((LEDGERS / "version-3.sqlite").read_bytes())
    # Where the copy of the older ledger would begin.
    path.with_name("ledger.sqlite.version-3.part").mkdir()
    ended = await run(
        *(TWISTD, "--pidfile=", "-n", "mailprobe", f"--spool={spool}", *ME),
        directory=tmp_path,
        environment={"NOTIFY_SOCKET": f"{tmp_path}/notify"},
    )
    assert ended.code == 70
    why = f"cannot go on: the ledger {path}: [Errno 21] Is a directory: '{path}.version-3.part'"
    (status,) = heard(manager)
    assert status.startswith(f"STATUS=cannot go on: the ledger {path}: [Errno 21] Is a")
    assert heard(manager)[0] == "STOPPING=1"
    assert f"critical daemon.service: mailprobe {why}" in ended.out
    assert "Traceback" not in ended.out


@pytest.mark.parametrize("name", ["new", "done"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["gone", "replaced"])
async def test_a_directory_of_the_spool_that_is_not_what_it_was(
    name: str, is_replaced: bool, spool: Path, tmp_path: Path
) -> None:
    """What is dropped there would never be seen; the next start makes and opens it."""
    command = (TWISTD, "--pidfile=", "-n", "mailprobe", f"--spool={spool}", *ME)
    async with running(*command, directory=tmp_path) as daemon:
        await until(lambda: "works on" in daemon.out, "the daemon's work")
        (spool / name).rmdir()
        if is_replaced:
            (spool / name).mkdir()
        ended = await daemon.end()
    assert ended.code == 70
    why = f"cannot go on: the spool {spool}/{name}: it is not what it was at the start"
    assert f"critical daemon.service: mailprobe {why}" in ended.out
    assert "Traceback" not in ended.out
    async with running(*command, directory=tmp_path) as daemon:
        await until(lambda: "works on" in daemon.out, "the daemon's work")
