"""Row 155, on a real disk with little left, and at every place where it may end: lists are taken,
read, answered and purged, and copies made, until nothing goes any more. Nothing acknowledged is
lost, and all goes on by itself.

That nothing is begun while the disk is seen to be full is tested elsewhere; here it cannot be seen,
as with a quota.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.logger import Logger

from tests.disks import clear, crowd, fill, mount_small, require_mounts
from twisted_probe.jobs import room
from twisted_probe.jobs.backup import NoBackup, back_up
from twisted_probe.jobs.database import DamagedLedger, LedgerError
from twisted_probe.jobs.housekeeping import Purger
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.purging import KEPT
from twisted_probe.jobs.room import REST
from twisted_probe.vocabulary.hearing import Hearing

from .conftest import Daemon, result_of
from .crashing import forked
from .test_ledger_versions import VERSIONS, goes_on, ledger_of

SIZE, FILES = 48 << 20, 400
LISTS = {
    "list": [f"p{number}@a{number % 7}.example" for number in range(3000)],
    "more": [f"q{number}@b.example" for number in range(300)],
}
#: What is left on the disk: pages of 4 KiB, or files.
PAGES = (0, 6, 15, 36, 60, 100, 150, 200, 300, 400)


@pytest.fixture(autouse=True)
def mounts() -> None:
    require_mounts()


class Life:
    """A daemon on a disk, whose first list is too old by now."""

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        self.daemon = daemon = Daemon(disk / "spool")
        daemon.drop("old", "".join(f"o{number}@c.example\n" for number in range(1000)))
        daemon.tick(2)
        while tasks := daemon.take():
            daemon.answer(*tasks, text="x" * 200, hearing=Hearing(dialogues=[], bases={}))
        daemon.tick(3)
        assert not daemon.names("active")
        daemon.clock.advance(KEPT)
        for name, lines in LISTS.items():
            daemon.drop(name, "\n".join(lines))
        daemon.drop("broken", b"a@b.example\n\0")
        self.told: dict[str, str] = {}
        self.turns = 0
        self.failed: set[str] = set()

    def turn(self) -> None:
        """One of everything that a daemon does."""
        self.turns += 1
        daemon = self.daemon
        daemon.tick(2)
        try:
            tasks = daemon.take()
        except sqlite3.OperationalError:
            self.failed.add("take")
            tasks = ()
        try:
            daemon.answer(*tasks, text=str(self.turns), hearing=Hearing(dialogues=[], bases={}))
        except sqlite3.OperationalError:
            self.failed.add("answer")
            result_of(daemon.work.give_back(tasks))
        else:
            self.told.update((task.address.text, str(self.turns)) for task in tasks)
        try:
            back_up(daemon.ledger.path, os.fspath(self.disk / "copy"))
        except NoBackup:
            self.failed.add("copy")
            assert not (self.disk / "copy").exists()
        else:
            Ledger(self.disk / "copy").close()
            (self.disk / "copy").unlink()
        purger = Purger(daemon.ledger, daemon.run, daemon.clock)
        purger.log = Logger("test", observer=daemon.events.append)  # type: ignore[arg-type]
        result_of(purger.purge())

    def conclude(self) -> None:
        """Everything, once there is room."""
        daemon = self.daemon
        daemon.clock.advance(REST)
        for _ in range(12):
            self.turn()
        assert daemon.names("new") == daemon.names("active") == []
        assert daemon.names("failed") == ["broken", "broken.error.txt"]
        for name, lines in LISTS.items():
            rows = daemon.table(name)
            assert [row["address"] for row in rows] == lines
            assert {row["probe_text"] == self.told[row["address"]] for row in rows} == {True}
        assert len(self.told) == sum(map(len, LISTS.values()))
        assert sorted(job.title for job in daemon.ledger.latest(9) if job.title != "broken") == [
            "list",
            "more",
        ]
        assert daemon.ledger._database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        daemon.close()
        assert sorted(os.listdir(self.disk)) == ["spool"]


def on_a_disk(directory: Path, run: Callable[[Path], None]) -> None:
    """Do this in a process that has a small disk there."""
    disk = directory / "disk"
    disk.mkdir()

    def child() -> None:
        mount_small(disk, SIZE, FILES)
        run(disk)

    assert forked(child) == 0


@pytest.mark.parametrize(
    ("exhaust", "left"),
    [(fill, 4096 * pages) for pages in PAGES] + [(crowd, files) for files in range(6)],
)
def test_row_155_at_every_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exhaust: Callable[[Path, int], None],
    left: int,
) -> None:
    monkeypatch.setattr(room, "FREE", 0)
    monkeypatch.setattr(room, "FREE_FILES", 0)

    def run(disk: Path) -> None:
        life = Life(disk)
        exhaust(disk, left)
        for _ in range(6):
            life.turn()
        assert life.failed
        clear(disk)
        life.conclude()

    on_a_disk(tmp_path, run)


def refusal(path: Path) -> str:
    """Why the ledger cannot be opened; nothing where it can. Whatever the disk does, it is not
    called damaged."""
    try:
        Ledger(path).close()
    except DamagedLedger:
        raise
    except LedgerError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", VERSIONS)
def test_row_155_when_the_ledger_is_opened(tmp_path: Path, version: int) -> None:
    """It is brought to the newest version by steps, each whole or not at all."""

    def run(disk: Path) -> None:
        refusals: dict[int, str] = {}
        for pages in range(0, 150, 7):
            for each in disk.iterdir():
                each.unlink()
            path = ledger_of(version, disk)
            fill(disk, 4096 * pages)
            refusals[pages] = refusal(path)
            assert not list(disk.glob("*.part*"))
            clear(disk)
            goes_on(version, path)
        refused = [pages for pages, words in refusals.items() if words]
        assert refused == list(refusals)[: len(refused)]
        assert 0 < len(refused) < len(refusals)
        for words in set(refusals.values()) - {""}:
            assert re.search("full|No space|disk I/O error", words)

    on_a_disk(tmp_path, run)
