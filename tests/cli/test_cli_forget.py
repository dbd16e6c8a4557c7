"""`mailprobe forget`: beside a daemon at work, and without one."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from tests.daemon.asking import asked, asking
from tests.daemon.running import answered, config_for, daemon_of, drop, town_of, until, up
from twisted_probe.cli import main
from twisted_probe.cli.client import Refused
from twisted_probe.daemon import service
from twisted_probe.daemon.lock import Lock
from twisted_probe.jobs.forgetting import Forgetting
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.spool import Spool
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents

SECRET = "gwendolen"
ADDRESS = f"{SECRET}@quick.example"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SCAN", 0.02)
    monkeypatch.setattr(service, "IDLE", 0.02)


def quick() -> House:
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents(f"ann {SECRET}")))


def places(path: Path) -> list[str]:
    files = (each for each in path.rglob("*") if each.is_file())
    return [each.name for each in files if SECRET.encode() in each.read_bytes().lower()]


async def test_beside_a_daemon(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = str(tmp_path / "copy")
    words = ["forget", "--spool", str(spool), ADDRESS]
    async with asked(town_of(quick()), spool) as asker:
        drop(spool, "list", ["ann@quick.example", ADDRESS, ADDRESS])
        await asker.job_when("list", lambda job: job["state"] == "done")
        assert await asker.within(main, ["backup", "--spool", str(spool), copy]) == 0
        assert len(places(tmp_path)) >= 4
        capsys.readouterr()
        assert await asker.within(main, words) == 0
        assert capsys.readouterr().out == "erased from 1 job, 2 files and 1 backup\n"
        assert places(tmp_path) == []
        assert (await asker.results("list"))["outcomes"][0]["address"] == "ann@quick.example"
        drop(spool, "next", [ADDRESS])
        (row,) = await answered(spool, "next")
        assert row["probe_cached"] == "false"
        await asker.job_when("next", lambda job: job["state"] == "done")
        assert await asker.within(main, [*words[:-1], "next", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["jobs"] == ["next"]
        odd = os.fsdecode(b"-a%2Fb c?#\xff\n")
        drop(spool, odd, [f"{ADDRESS};"])
        await answered(spool, odd)
        await until(lambda: not any(spool.glob("active/*")), "an empty active/")
        assert await asker.within(main, [*words[:-1], "--", odd]) == 0
        assert "erased from 1 job, 3 files" in capsys.readouterr().out
        assert await asker.within(main, [*words[:-1], "no job"]) == 1
        assert "neither a job nor an address" in capsys.readouterr().err
    assert places(tmp_path) == []


async def test_without_a_daemon(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with up(town_of(quick())) as town, daemon_of(config_for(town, spool)):
        drop(spool, "list", [ADDRESS, "ann@quick.example"])
        await answered(spool, "list")
    (spool / "state" / "ledger.sqlite.version-3").touch()
    assert main(["forget", "--spool", str(spool), "--json", ADDRESS]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "jobs": ["list"],
        "files": ["done/list.results.csv", "done/list"],
        "left": ["state/ledger.sqlite.version-3 is kept as it is: remove it"],
        "backups": [],
    }
    assert err == "mailprobe forget: state/ledger.sqlite.version-3 is kept as it is: remove it\n"
    assert places(tmp_path) == []
    # For a daemon that starts meanwhile, and says who has it.
    assert (spool / "state" / "lock").read_text() == f"{os.getpid()}\n"
    lock = Lock(str(spool / "state" / "lock"))
    assert main(["forget", "--spool", str(spool), ADDRESS]) == 1
    assert (
        "the spool is in use by another process (a daemon, or mailprobe forget"
        in capsys.readouterr().err
    )
    lock.release()
    assert main(["forget", "--spool", str(tmp_path), ADDRESS]) == 1
    assert "no daemon works on" in capsys.readouterr().err


@pytest.mark.parametrize("is_up", [True, False])
async def test_a_job_again_once_a_backup_has_ended(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_up: bool
) -> None:
    """All else is erased by then, and nobody knows the job any more."""
    copy, part = tmp_path / "copy", tmp_path / "copy.part"
    words = ["forget", "--spool", str(spool), "list"]
    async with asked(town_of(quick()), spool) as asker:
        drop(spool, "list", [ADDRESS])
        await asker.job_when("list", lambda job: job["state"] == "done")
        assert await asker.within(main, ["backup", "--spool", str(spool), str(copy)]) == 0
        copy.rename(part)
        with part.open("rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            assert await asker.within(main, words) == 1
            assert "copy.part: a backup is at work" in capsys.readouterr().err
            assert await asker.within(main, words) == 1
            err = capsys.readouterr().err
            assert "neither a job nor an address" in err
            assert "copy.part: a backup is at work" in err
        part.rename(copy)
        assert places(tmp_path) == ["copy"]
        if is_up:
            assert await asker.within(main, words) == 0
    if not is_up:
        assert main(words) == 0
    assert "erased from 0 jobs, 0 files and 1 backup\n" in capsys.readouterr().out
    assert places(tmp_path) == []
    assert main(words) == 1
    assert "neither a job nor an address" in capsys.readouterr().err


def test_backups_that_cannot_be_seen(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Spool(spool)
    Ledger(made.ledger_path).close()
    made.close()
    (spool / "state" / "backups").mkdir()
    assert main(["backup", "--spool", str(spool), str(tmp_path / "copy")]) == 0
    words = "it could not be noted (Is a directory): mailprobe forget will not find it\n"
    assert capsys.readouterr().err == "".join(
        f"mailprobe backup: {tmp_path}/copy{end}: {words}" for end in (".part", "")
    )
    assert main(["forget", "--spool", str(spool), ADDRESS]) == 1
    assert "backups are not looked into" in capsys.readouterr().err


async def test_one_at_a_time_and_a_daemon_that_stops(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Forgetting] = []

    def endless(self: Forgetting) -> Iterator[None]:
        begun.append(self)
        while True:
            yield

    monkeypatch.setattr(Forgetting, "steps", endless)
    async with up(town_of(quick())) as town, asking(spool, is_up=False) as asker:
        async with daemon_of(config_for(town, spool)):
            await until((spool / "state" / "control").exists, "the socket")
            first = Deferred.fromCoroutine(asker.switch("forget", ADDRESS))
            await until(lambda: begun, "the first")
            with pytest.raises(Refused, match="something else is being forgotten") as second:
                await asker.switch("forget", ADDRESS)
            assert second.value.code == 503
        with pytest.raises(Refused, match="the daemon stops; not all is forgotten; say it again"):
            await first


def test_the_log_beside_the_ledger_forgets_too(spool: Path) -> None:
    made = Spool(spool)
    ledger = Ledger(made.ledger_path)
    ledger._database.execute("INSERT INTO verdicts VALUES ('quick.example', ?, 1, 1.0)", (SECRET,))
    assert places(spool) == ["ledger.sqlite-wal"]
    for _ in Forgetting(made, ledger, ADDRESS).steps():
        pass
    assert places(spool) == []
    with closing(sqlite3.connect(os.fspath(made.ledger_path))) as other:
        assert other.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)
    ledger.close()
    made.close()
