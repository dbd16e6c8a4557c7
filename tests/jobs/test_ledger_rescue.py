"""A damaged ledger: nothing of it is thrown away, and no line stays without an answer."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from twisted_probe.jobs.backup import Backup, NoBackup, back_up, copy
from twisted_probe.jobs.database import (
    DamagedLedger,
    LedgerError,
    opened_to_read,
    refuse_newer,
)
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.rescue import alarms, present_ledger, whole_ledger
from twisted_probe.jobs.spool import Spool

from .conftest import START, Daemon, result_of

#: What a backup that was killed may have left.
HALF = b"SQLite format 3\0half of it"


def damage(path: Path) -> bytes:
    """Let the disk lose the middle of the ledger; what is left."""
    data = bytearray(path.read_bytes())
    data[4096 * 2 : len(data) - 4096] = bytes(len(data) - 4096 * 3)
    path.write_bytes(data)
    return bytes(data)


def lose_sight_of(path: Path, index: str, statement: str) -> None:
    """Change something that the index does not hear of."""

    def run(statement: str, *values: Any) -> Any:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("PRAGMA writable_schema = ON")
            return database.execute(statement, values).fetchone()

    row = run("SELECT * FROM sqlite_master WHERE name = ?", index)
    run("DELETE FROM sqlite_master WHERE name = ?", index)
    run(statement)
    run("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", *row)


@contextmanager
def catch_criticals() -> Iterator[list[str]]:
    """The critical lines of the log that the block writes."""
    words: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if event.get("log_level") is LogLevel.critical:
            words.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield words
    finally:
        globalLogPublisher.removeObserver(observe)


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
        whole_ledger(os.fspath(path), self.now, self.spool.traces).close()
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
    whole_ledger(os.fspath(path), START, str).close()
    assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1
    ledger = Ledger(path)
    ledger._database.execute("PRAGMA user_version = 99")
    ledger.close()
    with pytest.raises(Exception, match="this program knows versions"):
        whole_ledger(os.fspath(path), START, str)
    assert len(list(tmp_path.glob("*.damaged-*Z"))) == 1


@pytest.mark.parametrize(
    ("at", "content"),
    [
        (0, b"X"),
        (16, b"\0\1"),
        (18, b"\7"),
        (19, b"\7"),
        (44, b"\0\0\0\x09"),
        (56, b"\0\0\0\2"),
        (60, b"\0\0\0\0"),
        (60, b"\0\0\0\3"),
        (60, b"\xff\xff\xff\xff"),
        (60, b"\x7f\xff\xff\xff"),
        (100, b"\xff" * 300),
    ],
)
def test_a_header_that_nobody_wrote(daemon: Damaged, at: int, content: bytes) -> None:
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    daemon.close()
    path = Path(daemon.spool.ledger_path)
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)
    refuse_newer(path)
    with catch_criticals() as criticals:
        whole_ledger(os.fspath(path), daemon.now, str).close()
    daemon.times += len(criticals)
    assert len(criticals) == 1
    (kept,) = path.parent.glob("*.damaged-*Z")
    assert kept.read_bytes() == data
    daemon.start()
    daemon.tick()
    assert len(daemon.answer_all()) == 300


def test_tables_of_another_version_are_damage(daemon: Damaged) -> None:
    daemon.ledger._database.execute("ALTER TABLE jobs RENAME COLUMN options TO optiont")
    with pytest.raises(DamagedLedger, match="its tables are not those of version"):
        Ledger(daemon.spool.ledger_path)


@pytest.mark.parametrize(
    "trouble",
    [
        sqlite3.OperationalError("disk I/O error"),
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("database is locked"),
        sqlite3.OperationalError("attempt to write a readonly database"),
        sqlite3.OperationalError("unable to open database file"),
        PermissionError(13, "Permission denied"),
        OSError(5, "Input/output error"),
    ],
)
def test_the_machine_s_trouble_is_no_damage(
    daemon: Damaged, trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon.spool.ledger_path
    daemon.ledger.close()
    before = Path(path).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("twisted_probe.jobs.database._look_through", Mock(side_effect=trouble))
        with pytest.raises(LedgerError, match=re.escape(str(trouble))) as caught:
            whole_ledger(path, daemon.now, lambda: "active/ has list")
    assert not isinstance(caught.value, DamagedLedger)
    with monkeypatch.context() as patch:
        patch.setattr("twisted_probe.jobs.ledger.flaw", Mock(side_effect=trouble))
        patch.setattr("twisted_probe.jobs.ledger.Ledger.jobs", Mock(side_effect=trouble))
        with pytest.raises((LedgerError, OSError), match=re.escape(str(trouble))):
            whole_ledger(path, daemon.now, str)
    assert alarms(path) == []
    assert Path(path).read_bytes() == before
    daemon.start()


def test_pages_that_are_lost_show_when_the_rows_are_read(
    daemon: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Mock(side_effect=sqlite3.DatabaseError("database disk image is malformed"))
    daemon.ledger.close()
    with monkeypatch.context() as patch:
        patch.setattr("twisted_probe.jobs.ledger.Ledger.jobs", lost)
        whole_ledger(daemon.spool.ledger_path, daemon.now, str).close()
    daemon.times += 1
    assert len(alarms(daemon.spool.ledger_path)) == 1
    daemon.start()


class TestGone:
    """A ledger that is not there, or empty, where there were jobs, is a damaged one."""

    @pytest.fixture(params=["gone", "empty"])
    def lose(self, request: pytest.FixtureRequest) -> Callable[[Path], object]:
        return Path.unlink if request.param == "gone" else lambda path: path.write_bytes(b"")

    def started(self, daemon: Damaged) -> list[str]:
        """What a start says, and the alarms after it."""
        path = daemon.spool.ledger_path
        with catch_criticals() as criticals:
            whole_ledger(path, daemon.now, daemon.spool.traces).close()
        daemon.times += len(criticals)
        assert len(alarms(path)) == len(criticals)
        return criticals

    def test_what_was_claimed_is_asked_again(
        self, daemon: Damaged, lose: Callable[[Path], object]
    ) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        daemon.answer(*daemon.take(100))
        daemon.close()
        lose(Path(daemon.spool.ledger_path))
        daemon.spool = Spool(daemon.path)
        (words,) = self.started(daemon)
        assert "it is gone or empty, but active/ has list; what is left of it is kept" in words
        assert "which sites have refused which sources" in words
        daemon.start()
        daemon.tick()
        assert len(daemon.answer_all()) == 300
        daemon.tick()
        assert [row["address"] for row in daemon.table("list")] == LINES

    @pytest.mark.parametrize("where", ["done", "failed"])
    def test_what_is_over_shows_it_too(
        self, daemon: Damaged, lose: Callable[[Path], object], where: str
    ) -> None:
        daemon.drop("list", "a@b.example" if where == "done" else b"a@b.example\n\0")
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()
        assert "list" in daemon.names(where)
        daemon.ledger.close()
        lose(Path(daemon.spool.ledger_path))
        (words,) = self.started(daemon)
        assert f"but {where}/ has list" in words
        # A new one has begun: that is no news at the next start.
        whole_ledger(daemon.spool.ledger_path, daemon.now, daemon.spool.traces).close()

    def test_its_log_is_left(
        self, daemon: Damaged, lose: Callable[[Path], object], tmp_path: Path
    ) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        path = Path(daemon.spool.ledger_path)
        log = path.with_name("ledger.sqlite-wal")
        content = log.read_bytes()
        assert content
        daemon.close()
        lose(path)
        log.write_bytes(content)
        for touch in (Ledger, opened_to_read):
            with pytest.raises(DamagedLedger, match="what was written to it last lies beside it"):
                touch(path)
        with pytest.raises(NoBackup):
            back_up(os.fspath(path), os.fspath(tmp_path / "copy"))
        assert log.read_bytes() == content
        daemon.spool = Spool(daemon.path)
        assert len(self.started(daemon)) == 1
        (kept,) = path.parent.glob("*.damaged-*Z-wal")
        assert kept.read_bytes() == content
        daemon.start()
        daemon.tick()
        assert len(daemon.answer_all()) == 300

    def test_a_first_start_is_silent(self, daemon: Damaged, lose: Callable[[Path], object]) -> None:
        (daemon.path / "new" / "list").write_text("a@b.example\n")
        daemon.ledger.close()
        lose(Path(daemon.spool.ledger_path))
        assert self.started(daemon) == []

    def test_whoever_works_beside_the_daemon_begins_none(
        self, daemon: Damaged, lose: Callable[[Path], object]
    ) -> None:
        path = Path(daemon.spool.ledger_path)
        present_ledger(os.fspath(path)).close()
        daemon.ledger.close()
        lose(path)
        with pytest.raises(LedgerError, match="start the daemon on it once"):
            present_ledger(os.fspath(path))
        assert not path.exists() or not path.stat().st_size

    def test_a_start_that_gets_no_further_keeps_nothing_more(
        self, daemon: Damaged, monkeypatch: pytest.MonkeyPatch, lose: Callable[[Path], object]
    ) -> None:
        daemon.drop("list", "a@b.example")
        daemon.tick(2)
        daemon.close()
        path = Path(daemon.spool.ledger_path)
        lose(path)
        daemon.spool = Spool(daemon.path)

        def full(path: object) -> Ledger:
            Path(os.fspath(path)).touch()  # type: ignore[call-overload]
            raise LedgerError("database or disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("twisted_probe.jobs.rescue.Ledger", full)
            for _ in range(3):
                with pytest.raises(LedgerError, match="disk is full"):
                    whole_ledger(os.fspath(path), daemon.now, daemon.spool.traces)
                daemon.times += 1
                assert len(alarms(os.fspath(path))) == 1
        daemon.start()


class TestBackup:
    def test_of_one_moment_while_others_write(self, daemon: Damaged, tmp_path: Path) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        tasks = daemon.take()
        daemon.answer(*tasks[:100])
        copy = tmp_path / "copy.sqlite"
        made = back_up(daemon.spool.ledger_path, os.fspath(copy))
        assert made == Backup(copy.stat().st_size, replaced=False)
        daemon.answer(*tasks[100:])
        assert copy.stat().st_mode & 0o777 == 0o600
        assert sorted(tmp_path.iterdir()) == [copy, daemon.path]
        ledger = Ledger(copy)
        assert [job.settled for job in ledger.latest(1)] == [100]
        ledger.close()

    def test_the_log_stays_for_whoever_works(self, daemon: Damaged, tmp_path: Path) -> None:
        """Another process that closes a ledger must not take itself for the last one: it would
        remove the log under the daemon, and all that goes there from then on."""
        daemon.restart()
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        log = Path(f"{daemon.spool.ledger_path}-wal")
        before = log.stat().st_ino
        code = "import sys; from twisted_probe.jobs.backup import back_up; back_up(*sys.argv[1:])"
        command = [sys.executable, "-c", code, daemon.spool.ledger_path, str(tmp_path / "copy")]
        subprocess.run(command, check=True)
        assert log.stat().st_ino == before

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

    @pytest.mark.parametrize("is_another", [True, False], ids=["another", "gone"])
    def test_another_begins_to_the_same_file(
        self,
        daemon: Damaged,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        is_another: bool,
    ) -> None:
        """What it has written is never taken for a whole one, nor removed."""
        copy, part = tmp_path / "copy", tmp_path / "copy.part"
        really = os.fsync

        def fsync(file: int) -> None:
            really(file)
            part.unlink()
            if is_another:
                part.write_bytes(HALF)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(NoBackup, match="another copy took the place"):
            back_up(daemon.spool.ledger_path, os.fspath(copy))
        assert list(tmp_path.glob("copy*")) == ([part] if is_another else [])

    def test_several_to_the_same_file(self, daemon: Damaged, tmp_path: Path) -> None:
        """One makes it, whenever the others come."""
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        code = (
            "import sys; from twisted_probe.jobs.backup import NoBackup, back_up\n"
            "try: back_up(*sys.argv[1:])\n"
            "except NoBackup as error: print(error)"
        )
        copy = tmp_path / "copy"
        command = [sys.executable, "-c", code, daemon.spool.ledger_path, str(copy)]
        for left in (None, HALF):
            if left is not None:
                (tmp_path / "copy.part").write_bytes(left)
            at_once = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(6)]
            words = sorted(each.communicate(timeout=60)[0].decode() for each in at_once)
            assert words[0] == ""
            assert set(words[1:]) <= {
                f"{copy}: another backup to it is at work\n",
                f"{copy}: it is there already, and nothing is overwritten\n",
            }
            assert sorted(tmp_path.iterdir()) == [copy, daemon.path]
            Ledger(copy).close()
            copy.unlink()

    def test_one_that_was_quicker(
        self, daemon: Damaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between that a part of it is seen and that it is locked."""
        copy, part = tmp_path / "copy", tmp_path / "copy.part"
        part.write_bytes(HALF)
        really = fcntl.flock

        def flock(file: int, how: int) -> None:
            monkeypatch.undo()
            part.rename(copy)
            really(file, how)

        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(NoBackup, match="it is there already"):
            back_up(daemon.spool.ledger_path, os.fspath(copy))
        assert copy.read_bytes() == HALF
        assert not part.exists()

    def test_a_part_that_goes_at_that_moment(
        self, daemon: Damaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between that it is there and that it is opened."""
        part = tmp_path / "copy.part"
        part.write_bytes(HALF)
        really = os.open

        def gone(path: Any, flags: int, *more: Any, **named: Any) -> int:
            if path == os.fspath(part) and not flags & os.O_EXCL:
                monkeypatch.undo()
                part.unlink()
            return really(path, flags, *more, **named)

        monkeypatch.setattr(os, "open", gone)
        made = back_up(daemon.spool.ledger_path, os.fspath(tmp_path / "copy"))
        assert not made.replaced

    def test_a_part_that_is_a_link_is_not_followed(self, daemon: Damaged, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(b"precious")
        (tmp_path / "copy.part").symlink_to(elsewhere)
        with pytest.raises(NoBackup, match="symbolic links"):
            back_up(daemon.spool.ledger_path, os.fspath(tmp_path / "copy"))
        assert elsewhere.read_bytes() == b"precious"

    def test_whoever_has_a_part_open_does_not_read_on(
        self, daemon: Damaged, tmp_path: Path
    ) -> None:
        """Nor has the copy another mode than its own, nor another name."""
        copy, part = tmp_path / "copy", tmp_path / "copy.part"
        part.write_bytes(HALF)
        part.chmod(0o666)
        (tmp_path / "elsewhere").hardlink_to(part)
        made = back_up(daemon.spool.ledger_path, os.fspath(copy))
        assert made.replaced
        assert copy.stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "elsewhere").read_bytes() == HALF

    def test_where_flock_locks_out_sqlite_too(
        self, daemon: Damaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As NFS has it: a lock of the whole file, of the kind that SQLite takes, and the open
        file's."""

        def flock(file: int, _: int) -> None:
            whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole)

        monkeypatch.setattr(fcntl, "flock", flock)
        copy = tmp_path / "copy"
        back_up(daemon.spool.ledger_path, os.fspath(copy))
        assert sorted(tmp_path.iterdir()) == [copy, daemon.path]
        monkeypatch.undo()
        Ledger(copy).close()

    def test_a_ledger_that_others_keep_locked(
        self, daemon: Damaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("twisted_probe.jobs.backup.PATIENCE", 0.01)
        daemon.close()
        path = daemon.spool.ledger_path
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA journal_mode = DELETE")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(NoBackup, match="others keep the ledger locked; try again later"):
                back_up(path, os.fspath(tmp_path / "copy"))
            assert list(tmp_path.iterdir()) == [daemon.path]
            other.execute("ROLLBACK")
        back_up(path, os.fspath(tmp_path / "copy"))

    def test_a_migration_meets_another(self, daemon: Damaged, tmp_path: Path) -> None:
        """It ends, and says at what."""
        target = tmp_path / "copy"
        database = daemon.ledger._database
        with Path(f"{target}.part").open("wb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(
                BlockingIOError, match=r"another copy to it is at work: .*copy.part"
            ):
                copy(database, os.fspath(target))
        assert not copy(database, os.fspath(target))

    def test_no_ledger_none_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(NoBackup, match="there is no ledger"):
            back_up(os.fspath(tmp_path / "ledger.sqlite"), os.fspath(tmp_path / "copy"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("elsewhere")])
    def test_of_what_cannot_be_opened(self, tmp_path: Path, make: Callable[[Path], object]) -> None:
        path = tmp_path / "ledger.sqlite"
        make(path)
        with pytest.raises(NoBackup, match=f"^{path}: unable to open database file$"):
            back_up(os.fspath(path), os.fspath(tmp_path / "copy"))
        assert list(tmp_path.iterdir()) == [path]

    def test_of_a_damaged_one_there_is_none(self, daemon: Damaged, tmp_path: Path) -> None:
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        daemon.close()
        damage(Path(daemon.spool.ledger_path))
        with pytest.raises(NoBackup, match=r"damaged|malformed"):
            back_up(daemon.spool.ledger_path, os.fspath(tmp_path / "copy"))
        assert not list(tmp_path.glob("copy*"))

    def test_of_one_whose_keys_are_out_of_order_there_is_none(
        self, daemon: Damaged, tmp_path: Path
    ) -> None:
        """A ledger that a start would not take is no backup."""
        daemon.drop("list", "\n".join(LINES))
        daemon.tick(2)
        daemon.close()
        path = daemon.spool.ledger_path
        lose_sight_of(Path(path), "recipients_due", "UPDATE recipients SET due = 1")
        with pytest.raises(DamagedLedger, match="recipients_due"):
            Ledger(path)
        with pytest.raises(NoBackup, match="recipients_due"):
            back_up(path, os.fspath(tmp_path / "copy"))
        assert not list(tmp_path.glob("copy*"))

    def test_nowhere_to_put_it(self, daemon: Damaged, tmp_path: Path) -> None:
        with pytest.raises(NoBackup, match="No such file"):
            back_up(daemon.spool.ledger_path, os.fspath(tmp_path / "nowhere" / "copy"))
