"""The stop file halts everything at once; when it is gone, everybody is asked."""

from __future__ import annotations

from pathlib import Path

from twisted_probe.daemon.stop_file import StopFile
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents

from .running import answered, config_for, daemon_of, drop, said, town_of, until, up

HOUSE = House("mx.slow.example", "127.0.1.1", tempers.postfix(residents("ann"), Tarpits(0.3)))


def test_it_comes_and_goes(tmp_path: Path) -> None:
    file = StopFile(tmp_path / "stop")
    assert not file.has_changed()
    (tmp_path / "stop").touch()
    assert (file.has_changed(), file.is_there, file.has_changed()) == (True, True, False)
    (tmp_path / "stop").unlink()
    assert (file.has_changed(), file.is_there) == (True, False)
    assert not StopFile().has_changed()


async def test_everything_is_halted_and_goes_on(tmp_path: Path) -> None:
    spool, stop = tmp_path / "spool", tmp_path / "stop"
    async with up(town_of(HOUSE)) as town:
        record = town.exchangers["mx.slow.example"].record
        async with daemon_of(config_for(town, spool, stop_file=str(stop))) as service:
            drop(spool, "list.txt", ["ann@slow.example"])
            await until(lambda: record.open, "a session")
            stop.touch()
            await until(lambda: not record.open, "its end")
            assert service._prober is not None
            assert service._prober.is_held
            assert len(record.sessions) == 1
            stop.unlink()
            (row,) = await answered(spool, "list.txt")
    assert said(row) == ("deliverable", "accepted")
    assert len(record.sessions) == 2
