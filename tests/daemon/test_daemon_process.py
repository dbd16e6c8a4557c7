"""The real thing: `twistd mailprobe` in a process of its own, started and ended by its user."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import TWISTD, processes_with, run, running
from tests.daemon.running import answered, drop, results_of, said, town_of, until, up
from twisted_probe.daemon.lock import Lock, SpoolInUse
from twisted_probe.jobs.ledger import Ledger, State
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.reply import Stage

#: Domains of the sample whose answer is "later": the real ladder begins with five minutes.
SLOW = frozenset(
    f"{name}.example"
    for name in (
        "library",
        "castle",
        "fortress",
        "market",
        "bakery",
        "drawbridge",
        "embassy",
        "fog",
    )
)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def no_daemon_is_left(spool: Path) -> Iterator[None]:
    yield
    left = processes_with(str(spool))
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def words(spool: Path, town: Town) -> list[str]:
    """The command line of a daemon for this town."""
    sources = [f"--source={source.address}={source.helo}" for source in town.sources]
    networks = [f"--allow-network={network}" for network in town.networks]
    return [
        *("mailprobe", "--spool", str(spool)),
        *sources,
        *("--reverse-path", town.reverse_path),
        *("--resolver", town.resolver),
        *("--port", str(town.port)),
        *networks,
    ]


def holder(spool: Path) -> int:
    """The process that has signed the lock; 0 while there is none."""
    try:
        return int((spool / "state" / "lock").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def is_locked(spool: Path) -> bool:
    try:
        Lock(str(spool / "state" / "lock")).release()
    except SpoolInUse:
        return True
    return False


async def test_the_sample_list(spool: Path, tmp_path: Path) -> None:
    """Asked, answered, and ended by SIGTERM, while a second daemon is refused."""
    async with (
        up(Town()) as town,
        running(*(TWISTD, "--pidfile=", "-n", *words(spool, town)), directory=tmp_path) as daemon,
    ):
        lines = [text for text in town.truth if text.rpartition("@")[2] not in SLOW]
        await until(lambda: holder(spool) == daemon.pid, "the daemon's start")
        drop(spool, "list.txt", lines)

        second = await run(*(TWISTD, "--pidfile=", "-n", *words(spool, town)), directory=tmp_path)
        assert second.code == 75
        assert second.err == (
            f"twistd mailprobe: {spool}/state/lock: the spool is in use by "
            f"process {daemon.pid} (a daemon, or mailprobe forget or reclassify)\n"
        )

        rows = await answered(spool, "list.txt")
        daemon.signal(signal.SIGTERM)
        ended = await daemon.end()

    assert ended.code == -signal.SIGTERM
    assert [row["address"] for row in rows] == lines
    assert [row for row in rows if said(row) not in town.truth[row["probe_address"]]] == []
    assert len(rows) > 25
    for exchanger in town.exchangers.values():
        assert exchanger.record.forbidden == 0
    log = ended.out + ended.err
    assert "mailprobe works on" in log
    assert "list.txt is done" in log
    assert "mailprobe has stopped" in log
    assert "Traceback" not in log
    assert "Unhandled" not in log


async def test_sigterm_lets_sessions_end_and_keeps_what_they_brought(
    spool: Path, tmp_path: Path
) -> None:
    slow = tempers.postfix(residents("ann ben"), Tarpits(0.4, Stage.RCPT))
    async with up(town_of(House("mx.slow.example", "127.0.1.1", slow))) as town:
        record = town.exchangers["mx.slow.example"].record
        async with running(
            *(TWISTD, "--pidfile=", "-n", *words(spool, town)), directory=tmp_path
        ) as daemon:
            await until(lambda: holder(spool), "the daemon's start")
            drop(spool, "list.txt", ["ann@slow.example", "eve@slow.example", "ben@slow.example"])
            await until(record.asked, "the first question")
            daemon.signal(signal.SIGTERM)
            ended = await daemon.end()
        (session,) = record.sessions
    assert ended.code == -signal.SIGTERM
    assert session.verbs[-1] == "QUIT"
    assert None not in [exchange.reply for exchange in session.exchanges]
    assert "Traceback" not in ended.out + ended.err
    ledger = Ledger(str(spool / "state" / "ledger.sqlite"))
    (job,) = ledger.jobs(State.OPEN)
    assert (job.settled, job.recipients) == (3, 3)
    ledger.close()


async def test_in_the_background(spool: Path, tmp_path: Path) -> None:
    """Without -n: twistd ends with 0, and its child works on, holds the lock, ends on SIGTERM."""
    house = House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann")))
    async with up(town_of(house)) as town:
        command = (TWISTD, "--pidfile=", "--logfile=daemon.log", *words(spool, town))
        started = await run(*command, directory=tmp_path)
        assert (started.code, started.out, started.err) == (0, "", "")
        pid = await until(lambda: holder(spool), "the daemon's signature")
        assert processes_with(str(spool)) == [pid]

        second = await run(*command, directory=tmp_path)
        assert second.code == 75
        assert second.err.endswith(
            f"in use by process {pid} (a daemon, or mailprobe forget or reclassify)\n"
        )
        assert processes_with(str(spool)) == [pid]

        drop(spool, "list.txt", ["ann@quick.example", "eve@quick.example"])
        rows = await answered(spool, "list.txt")
        assert [said(row) for row in rows] == [
            ("deliverable", "accepted"),
            ("undeliverable", "no_such_mailbox"),
        ]
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not is_locked(spool), "the daemon's end")
        await until(lambda: not processes_with(str(spool)), "the end of its process")
    log = (tmp_path / "daemon.log").read_text()
    assert "mailprobe has stopped" in log
    assert "Traceback" not in log


async def test_a_killed_daemon_leaves_the_spool_to_the_next(spool: Path, tmp_path: Path) -> None:
    slow = tempers.postfix(residents("ann"), Tarpits(0.3, Stage.RCPT))
    async with up(town_of(House("mx.slow.example", "127.0.1.1", slow))) as town:
        command = (TWISTD, "--pidfile=", "-n", *words(spool, town))
        async with running(*command, directory=tmp_path) as daemon:
            await until(lambda: holder(spool) == daemon.pid, "the daemon's start")
            drop(spool, "list.txt", ["ann@slow.example", "eve@slow.example", "ann@slow.example"])
            await until(town.exchangers["mx.slow.example"].record.asked, "the first question")
            daemon.signal(signal.SIGKILL)
            await daemon.end()
        assert not is_locked(spool)
        async with running(*command, directory=tmp_path) as daemon:
            await answered(spool, "list.txt")
            daemon.signal(signal.SIGTERM)
            assert (await daemon.end()).code == -signal.SIGTERM
    assert [(row["probe_line"], *said(row)) for row in results_of(spool, "list.txt")] == [
        ("1", "deliverable", "accepted"),
        ("2", "undeliverable", "no_such_mailbox"),
        ("3", "deliverable", "accepted"),
    ]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("form", [("-n",), ()], ids=["foreground", "background"])
async def test_a_bad_configuration_ends_with_78_before_anything_is_begun(
    form: tuple[str, ...], spool: Path, tmp_path: Path
) -> None:
    ended = await run(
        *(TWISTD, "--pidfile=", "--logfile=daemon.log", *form, "mailprobe", "--spool", str(spool)),
        *("--source", "192.0.2.1=probe1.example.org", "--reverse-path", "probe@example.org"),
        directory=tmp_path,
    )
    assert ended.code == 78
    assert ended.out == ""
    assert ended.err == (
        "twistd mailprobe: --source 192.0.2.1: this machine cannot send from it (Cannot assign "
        "requested address); give one of its own addresses\n"
    )
    # No spool, no log, no process.
    assert sorted(os.listdir(tmp_path)) == ["0.stderr", "0.stdout"]
    assert processes_with(str(spool)) == []


async def test_a_directory_that_twistd_changes_to_is_not_where_the_spool_is_looked_for(
    spool: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    async with running(
        *(TWISTD, "--pidfile=", "--rundir=elsewhere", "-n", "mailprobe", "--spool", "spool"),
        *("--source", "127.0.0.21=probe1.example.org", "--reverse-path", "probe@example.org"),
        directory=tmp_path,
    ) as daemon:
        await until(lambda: "mailprobe works on" in daemon.out, "the daemon's start")
        daemon.signal(signal.SIGTERM)
        await daemon.end()
    assert f"mailprobe works on {spool}, from 127.0.0.21 (probe1.example.org)" in daemon.out
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    ended = await run(TWISTD, "--pidfile=", "-n", "mailprobe", "--sauce", directory=tmp_path)
    assert ended.code == 1
    assert "option --sauce not recognized" in ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err


async def test_twistd_knows_us(tmp_path: Path) -> None:
    ended = await run(TWISTD, "--help", directory=tmp_path)
    assert ended.code == 0
    (line,) = (line for line in ended.out.splitlines() if line.split()[:1] == ["mailprobe"])
    assert "Ask exchangers which mailboxes are alive" in line
