"""A backup takes the ledger's place while the spool has gone on: no line is lost, none is answered
twice, and nobody is asked for a list that is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from twisted_probe.jobs.backup import back_up
from twisted_probe.jobs.ledger import State

from .conftest import Daemon, result_of
from .crashing import some_of, stepping
from .test_jobs_crash import deliver, work

LINES = [f"p{number}@a.example" for number in range(6)]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def restore(daemon: Daemon, copy: Path) -> None:
    """As docs/running.rst says."""
    daemon.close()
    for each in Path(daemon.ledger.path).parent.glob("ledger.sqlite*"):
        each.unlink()
    shutil.copy(copy, daemon.ledger.path)
    daemon.start()
    daemon.events.clear()
    result_of(daemon.keeper.recognise())


def half_done(daemon: Daemon, copy: Path) -> None:
    """A list is half done when the backup is made, and done since."""
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    daemon.answer(*daemon.take(3))
    back_up(daemon.ledger.path, os.fspath(copy))
    daemon.answer_all()
    daemon.tick(2)


def nearly_in_done(daemon: Daemon, copy: Path) -> None:
    """A list has its results when the backup is made, and is moved only then."""
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    daemon.answer_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon.spool, "finish", lambda *_: 1 / 0)
        daemon.tick()
    back_up(daemon.ledger.path, os.fspath(copy))
    daemon.tick(2)


def all_in(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.iterdir()}


@pytest.mark.parametrize("then", [half_done, nearly_in_done])
class TestDoneSince:
    def test_it_is_left_alone(
        self, daemon: Daemon, copy: Path, then: Callable[[Daemon, Path], None]
    ) -> None:
        then(daemon, copy)
        before = all_in(daemon.path / "done")
        assert set(before) == {"list", "list.results.csv", "list.summary.json"}
        restore(daemon, copy)
        assert daemon.answer_all() == []
        daemon.tick(3)
        assert daemon.answer_all() == []
        assert all_in(daemon.path / "done") == before
        assert daemon.names("failed") == daemon.names("active") == []
        assert daemon.ledger.progress(daemon.now) == []
        told = [event["job"] for event in daemon.logged("error")]
        assert told == (["list"] if then is half_done else [])

    @pytest.mark.parametrize("state", list(State)[:4])
    def test_another_list_of_its_name_is_answered(
        self, daemon: Daemon, copy: Path, then: Callable[[Daemon, Path], None], state: State
    ) -> None:
        """However far that is; the user has taken away what was done."""
        then(daemon, copy)
        for name in daemon.names("done"):
            (daemon.path / "done" / name).unlink()
        others = [*reversed(LINES), "eve@e.example"]
        daemon.drop("list", "\n".join(others))
        daemon.spool.scan(daemon.now)
        daemon.clock.advance(1)
        daemon.spool.scan(daemon.now)
        assert daemon.names("active") == ["list"]
        if state is not State.CLAIMED:
            daemon.tick(2)
        if state is State.OPEN:
            daemon.answer(*daemon.take(2))
        if state is State.FINISHED:
            daemon.answer_all()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(daemon.spool, "finish", lambda *_: 1 / 0)
                daemon.tick()
            assert "list.results.csv" in daemon.names("done")
        restore(daemon, copy)
        daemon.tick(2)
        assert len(daemon.answer_all()) == (0 if state is State.FINISHED else 7)
        daemon.tick(3)
        assert [row["address"] for row in daemon.table("list")] == others
        assert {row["probe_reason"] for row in daemon.table("list")} == {"accepted"}
        assert daemon.names("done") == ["list", "list.results.csv", "list.summary.json"]
        assert daemon.names("failed") == daemon.names("active") == []
        assert not daemon.logged("error")


def test_what_came_since_is_read_again(daemon: Daemon, copy: Path) -> None:
    back_up(daemon.ledger.path, os.fspath(copy))
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    daemon.answer(*daemon.take(3))
    restore(daemon, copy)
    daemon.tick(2)
    assert len(daemon.answer_all()) == 6
    daemon.tick(2)
    assert [row["address"] for row in daemon.table("list")] == LINES


def test_who_was_answered_since_is_asked_again_where_the_list_is_open(
    daemon: Daemon, copy: Path
) -> None:
    daemon.drop("list", "\n".join(LINES))
    daemon.tick(2)
    daemon.answer(*daemon.take(2))
    back_up(daemon.ledger.path, os.fspath(copy))
    daemon.answer(*daemon.take(2))
    restore(daemon, copy)
    assert len(daemon.answer_all()) == 4
    daemon.tick(2)
    assert [row["address"] for row in daemon.table("list")] == LINES
    assert not daemon.logged("error")


def test_what_has_failed_since_stays_so(daemon: Daemon, copy: Path) -> None:
    daemon.drop("list.csv", "no,header\n1,2\n")
    daemon.spool.scan(daemon.now)
    daemon.clock.advance(1)
    daemon.spool.scan(daemon.now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon.ledger, "begin_import", lambda _: 1 / 0)
        daemon.tick()
    back_up(daemon.ledger.path, os.fspath(copy))
    daemon.tick(2)
    assert daemon.names("failed") == ["list.csv", "list.csv.error.txt"]
    restore(daemon, copy)
    daemon.tick(2)
    assert daemon.names("failed") == ["list.csv", "list.csv.error.txt"]
    assert daemon.ledger.progress(daemon.now) == []
    assert not daemon.logged("error")


def test_of_any_moment(tmp_path: Path) -> None:
    """Everything was done since: nothing of it is done again."""

    def lived(steps: int) -> tuple[Daemon, int]:
        daemon = Daemon(tmp_path / f"spool{steps}")
        deliver(daemon)

        def then() -> None:
            back_up(daemon.ledger.path, os.fspath(tmp_path / f"copy{steps}"))

        with pytest.MonkeyPatch.context() as patch:
            made = stepping(steps, then, patch, daemon.ledger._database)
            work(daemon, str)
        return daemon, made()

    whole, total = lived(10**9)
    whole.close()
    for steps in some_of(total):
        daemon, _ = lived(steps)
        before = {name: all_in(daemon.path / name) for name in ("done", "failed")}
        restore(daemon, tmp_path / f"copy{steps}")
        asked: list[str] = []
        work(daemon, asked.append)
        after = {name: all_in(daemon.path / name) for name in ("done", "failed")}
        assert (after, asked) == (before, []), f"after {steps} of {total} steps"
        assert daemon.names("active") == []
        assert daemon.ledger.progress(daemon.now) == []
        daemon.close()
        shutil.rmtree(daemon.path)
