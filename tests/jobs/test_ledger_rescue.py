"""A damaged ledger: nothing of it is thrown away, and no line stays without an answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.jobs.backup import NoBackup, back_up
from twisted_probe.jobs.database import DamagedLedger
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.rescue import alarms, whole_ledger

from .conftest import START, Daemon, result_of


def damage(path: Path) -> bytes:
    """Let the disk lose the middle of the ledger; what is left."""
    data = bytearray(path.read_bytes())
    data[4096 * 2 : len(data) - 4096] = bytes(len(data) - 4096 * 3)
    path.write_bytes(data)
    return bytes(data)


class Damaged(Daemon):
    """A daemon that finds its ledger damaged when it starts again."""

    lost = b""
    times = 0

    def restart(self) -> None:
        self.close()
        self.times += 1
        path = Path(self.spool.ledger_path)
        self.lost = damage(path)
        with pytest.raises(DamagedLedger):
            Ledger(path)
        whole_ledger(os.fspath(path), self.now).close()
        self.start()


@pytest.fixture
def daemon(tmp_path: Path, expect_errors: Any) -> Any:
    daemon = Damaged(tmp_path / "spool")
    yield daemon
    daemon.close()
    expect_errors(daemon.times)


LINES = [f"user{number}@a{number % 7}.example" for number in range(300)]


def test_what_is_open_is_asked_again(daemon: Damaged) -> None:
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    daemon.answer(*daemon.take(100))
    daemon.restart()
    daemon.tick()
    assert len(daemon.answer_all()) == 300
    daemon.tick()
    assert [row["address"] for row in daemon.table("list")] == LINES
    assert {row["probe_reason"] for row in daemon.table("list")} == {"accepted"}
    assert not daemon.logged("error")


def test_the_damaged_one_is_kept_until_somebody_removes_it(daemon: Damaged) -> None:
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    path = Path(daemon.spool.ledger_path)
    assert alarms(os.fspath(path)) == []
    daemon.restart()
    (kept,) = path.parent.glob("ledger.sqlite.damaged-*Z")
    assert kept.read_bytes() == daemon.lost
    assert kept.name.startswith("ledger.sqlite.damaged-20270115T0800")
    (alarm,) = alarms(os.fspath(path))
    assert kept.name in alarm
    daemon.restart()
    assert len(alarms(os.fspath(path))) == 2
    for each in path.parent.glob("*.damaged-*"):
        each.unlink()
    assert alarms(os.fspath(path)) == []


def test_what_has_its_results_stays_answered(
    daemon: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.drop("list", "\n".join(LINES))
    daemon.drop("list.csv", "email,n\n" + "".join(f"{line},x\n" for line in LINES))
    daemon.drop("done", "a@b.example\n")
    daemon.tick(2)
    tasks = daemon.take()
    daemon.answer(*(task for task in tasks if task.address.domain == "b.example"))
    daemon.tick()
    result_of(daemon.work.give_back(tasks))
    with monkeypatch.context() as patch:
        # Their results are written, and then the machine stops.
        patch.setattr(daemon.spool, "finish", lambda *_: 1 / 0)
        daemon.answer_all()
        daemon.tick()
    daemon.events.clear()
    assert "list.results.csv" in daemon.names("done")
    assert daemon.names("active") == ["list", "list.csv"]
    first = daemon.table("list")
    daemon.restart()
    daemon.tick(2)
    assert daemon.answer_all() == []
    assert daemon.names("active") == []
    assert daemon.names("done") == sorted(
        f"{name}{suffix}"
        for name in ("done", "list", "list.csv")
        for suffix in ("", ".results.csv", ".summary.json")
    )
    assert daemon.table("list") == first
    assert not daemon.logged("error")


def test_only_damage_makes_a_new_one(tmp_path: Path, expect_errors: Any) -> None:
    expect_errors(1)
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"it was overwritten by something else entirely" * 99)
    whole_ledger(os.fspath(path), START).close()
    assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1
    ledger = Ledger(path)
    ledger._database.execute("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(Exception, match="this program knows versions"):
        whole_ledger(os.fspath(path), START)
    assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1


class TestBackup:
    def test_of_one_moment_while_others_write(self, daemon: Damaged, tmp_path: Path) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        tasks = daemon.take()
        daemon.answer(*tasks[:100])
        copy = tmp_path / "copy.sqlite"
        assert back_up(daemon.spool.ledger_path, os.fspath(copy)) == copy.stat().st_size
        daemon.answer(*tasks[100:])
        assert copy.stat().st_mode & 0o777 == 0o600
        assert sorted(tmp_path.iterdir()) == [copy, daemon.path]
        ledger = Ledger(copy)
        assert [job.settled for job in ledger.latest(1)] == [100]
        ledger.close()

    def test_a_restored_one_goes_on(self, daemon: Damaged, tmp_path: Path) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        daemon.answer(*daemon.take(100))
        copy = tmp_path / "copy.sqlite"
        back_up(daemon.spool.ledger_path, os.fspath(copy))
        daemon.close()
        copy.rename(daemon.spool.ledger_path)
        daemon.start()
        assert len(daemon.answer_all()) == 200
        daemon.tick()
        assert len(daemon.table("list")) == 300

    def test_nothing_is_overwritten(self, daemon: Damaged, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        copy.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(NoBackup, match="it is there already"):
            back_up(daemon.spool.ledger_path, os.fspath(copy))
        assert not (tmp_path / "elsewhere").exists()

    def test_no_ledger_none_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(NoBackup, match="there is no ledger"):
            back_up(os.fspath(tmp_path / "ledger.sqlite"), os.fspath(tmp_path / "copy"))
        assert list(tmp_path.iterdir()) == []

    def test_of_a_damaged_one_there_is_none(self, daemon: Damaged, tmp_path: Path) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        daemon.close()
        damage(Path(daemon.spool.ledger_path))
        with pytest.raises(NoBackup, match=r"damaged|malformed"):
            back_up(daemon.spool.ledger_path, os.fspath(tmp_path / "copy"))
        assert not list(tmp_path.glob("copy*"))

    def test_nowhere_to_put_it(self, daemon: Damaged, tmp_path: Path) -> None:
        with pytest.raises(NoBackup, match="No such file"):
            back_up(daemon.spool.ledger_path, os.fspath(tmp_path / "nowhere" / "copy"))
