"""Row 155, with the real twistd on a small disk of its own that others fill to the last byte, or
with so many files that no more can be made."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import frozen
from twisted.internet.task import deferLater

from tests.daemon.processes import TWISTD, Process, processes_with, running
from tests.daemon.running import drop, reactor, results_of, said, town_of, until, up
from tests.daemon.test_daemon_process import holder, words
from tests.disks import clear, crowd, fill, require_mounts
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.reply import Stage

_ON_A_SMALL_DISK = 'mount -t tmpfs -o size=96m,nr_inodes=2048 small "$1" && shift && exec "$@"'
_LISTS = 4
_SIZE = 40
_DOMAINS = ("quick.example", "slow.example")


@pytest.fixture(autouse=True)
def mounts() -> None:
    require_mounts()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def no_daemon_is_left(spool: Path) -> Iterator[None]:
    yield
    assert processes_with(str(spool)) == []


@frozen
class Small:
    """A daemon on a small disk; `spool` is where that is seen from outside of its namespace."""

    daemon: Process
    spool: Path
    town: Town

    def asked(self) -> Counter[str]:
        """How often each recipient was asked about, controls aside."""
        return Counter(
            found[0]
            for exchanger in self.town.exchangers.values()
            for _, exchange in exchanger.record.asked()
            if (found := re.findall(r"<([0-9]+of[0-9]+@[a-z.]+)>", exchange.argument))
        )

    def done(self) -> int:
        return sum((self.spool / "done" / f"list{number}.txt").exists() for number in range(_LISTS))

    async def no_session(self) -> None:
        """Until all sessions are over, and for as long as it takes to begin others."""
        await until(
            lambda: not any(each.record.open for each in self.town.exchangers.values()),
            "the end of its sessions",
        )
        await deferLater(reactor, 1.5)


def lines(number: int) -> list[str]:
    return [f"{person}of{number}@{domain}" for person in range(_SIZE) for domain in _DOMAINS]


@asynccontextmanager
async def small_disk(spool: Path, directory: Path) -> AsyncIterator[Small]:
    """A daemon with one list asked, and another in the asking."""
    people = residents(
        " ".join(f"{person}of{number}" for number in range(_LISTS) for person in range(_SIZE))
    )
    houses = (
        House("mx.quick.example", "127.0.1.1", tempers.postfix(people)),
        House("mx.slow.example", "127.0.1.2", tempers.postfix(people, Tarpits(0.05, Stage.RCPT))),
    )
    async with up(town_of(*houses)) as town:
        command = ("sh", "-c", _ON_A_SMALL_DISK, "sh", str(spool), TWISTD, "--pidfile=", "-n")
        async with running(
            "unshare", "-m", *command, *words(spool, town), directory=directory
        ) as daemon:
            small = Small(daemon, Path(f"/proc/{daemon.pid}/root{spool}"), town)
            await until(lambda: holder(small.spool) == daemon.pid, "the daemon's start")
            await until((small.spool / "new").is_dir, "the spool")
            drop(small.spool, "list0.txt", lines(0))
            await until(lambda: small.done() == 1, "the first list")
            for number in range(1, _LISTS):
                (small.spool / "tmp" / f"list{number}.txt").write_text(
                    "".join(f"{line}\n" for line in lines(number))
                )
            (small.spool / "tmp" / "list1.txt").rename(small.spool / "new" / "list1.txt")
            await until(lambda: any("of1@" in who for who in small.asked()), "the second list")
            yield small
            daemon.signal(signal.SIGTERM)
            assert (await daemon.end()).code == -signal.SIGTERM


@pytest.mark.deadline(150)
@pytest.mark.parametrize(
    ("exhaust", "shown"), [(fill, "has 0 MiB free"), (crowd, r"for \d+ more files")]
)
async def test_row_155_nothing_left(
    spool: Path, tmp_path: Path, exhaust: Callable[[Path], None], shown: str
) -> None:
    async with small_disk(spool, tmp_path) as small:
        exhaust(small.spool / "tmp")
        await until(lambda: re.search(shown, small.daemon.out), "a word on the disk")
        for number in range(2, _LISTS):
            (small.spool / "tmp" / f"list{number}.txt").rename(
                small.spool / "new" / f"list{number}.txt"
            )
        await small.no_session()
        before = small.asked()
        await small.no_session()
        # Nobody is asked whose answer could not be kept, and no list is taken.
        assert small.asked() == before
        assert {path.name for path in (small.spool / "new").iterdir()} == {"list2.txt", "list3.txt"}
        assert small.daemon.out.count("until there is room") == 1

        clear(small.spool / "tmp")
        await until(lambda: small.done() == _LISTS, "all lists, by itself")
        assert "there is room on the disk again" in small.daemon.out
        for number in range(_LISTS):
            rows = results_of(small.spool, f"list{number}.txt")
            assert [row["address"] for row in rows] == lines(number)
            assert {said(row) for row in rows} == {("deliverable", "accepted")}
        # Once, but for whose answers came when they could not be written.
        asked = small.asked()
        assert all(times == 1 or who in before for who, times in asked.items())
        assert max(asked.values()) <= 2
