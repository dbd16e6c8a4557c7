"""The daemon at work in the test's own reactor, on a town of exchangers: from file to results."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.daemon.running import (
    Ahead,
    answered,
    config_for,
    daemon_of,
    drop,
    ledger_threads,
    progress_until,
    reactor,
    said,
    town_of,
    until,
    up,
)
from twisted_probe.daemon.config import Config
from twisted_probe.daemon.lock import SpoolInUse
from twisted_probe.daemon.preparation import prepare
from twisted_probe.daemon.service import EXIT_BROKEN, EXIT_NEWER, ProbeService
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.schema import newest
from twisted_probe.sandbox import street, tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.outcome import FLAT_FIELDS
from twisted_probe.vocabulary.source import Source


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def quick() -> House:
    """Answers at once."""
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben")))


# ---------------------------------------------------------------- lists


async def test_the_sample_list(spool: Path) -> None:
    sample_town = Town(street.houses(greylist_delay=0.2))
    async with up(sample_town) as town, daemon_of(config_for(town, spool)):
        drop(spool, "sample.txt", town.sample)
        rows = await answered(spool, "sample.txt")

    lines = [
        (str(number), text)
        for number, text in enumerate(town.sample.splitlines(), 1)
        if text.strip() and not text.startswith("#")
    ]
    assert [(row["probe_line"], row["address"]) for row in rows] == lines
    wrong = [row for row in rows if said(row) not in town.truth[row["probe_address"]]]
    assert wrong == []
    assert {row["probe_final"] for row in rows} == {"true"}
    assert {row["probe_job"] for row in rows} == {"sample.txt"}
    # Two lines hold the address of an earlier one.
    assert len({row["probe_address"].lower() for row in rows}) == len(rows) - 2

    summary = json.loads((spool / "done" / "sample.txt.summary.json").read_text("utf-8"))
    assert summary["lines"] == len(rows)
    assert summary["sources"] == sorted(source.address for source in town.sources)
    assert (spool / "done" / "sample.txt").read_text("utf-8") == town.sample

    helo = {source.address: source.helo for source in town.sources}
    records = [exchanger.record for exchanger in town.exchangers.values()]
    for record in records:
        assert record.forbidden == 0
        assert {session.client for session in record.sessions} <= set(helo)
        assert {
            (session.client, session.helo) for session in record.sessions if session.helo
        } <= set(helo.items())
    # Nobody is asked twice who has answered: an address has one reply that is final.
    orchard = [
        exchange.argument for _, exchange in town.exchangers["mx.orchard.example"].record.asked()
    ]
    assert len(orchard) == len(set(orchard))


async def test_a_table_keeps_its_columns(spool: Path) -> None:
    async with up(town_of(quick())) as town, daemon_of(config_for(town, spool)):
        drop(
            spool,
            "customers.csv",
            'id,E-Mail,note\n1,ann@quick.example,"one, two"\n2,,\n3,nobody@quick.example,ž\n',
        )
        rows = await answered(spool, "customers.csv")
    assert list(rows[0]) == ["id", "E-Mail", "note", *(f"probe_{name}" for name in FLAT_FIELDS)]
    assert [(row["id"], row["E-Mail"], row["note"], *said(row)) for row in rows] == [
        ("1", "ann@quick.example", "one, two", "deliverable", "accepted"),
        ("2", "", "", "undeliverable", "invalid_address"),
        ("3", "nobody@quick.example", "ž", "undeliverable", "no_such_mailbox"),
    ]


async def test_an_empty_file(spool: Path) -> None:
    async with up(town_of(quick())) as town, daemon_of(config_for(town, spool)):
        drop(spool, "empty.txt", "")
        rows = await answered(spool, "empty.txt")
    assert rows == []
    assert json.loads((spool / "done" / "empty.txt.summary.json").read_text())["lines"] == 0
    assert town.exchangers["mx.quick.example"].record.sessions == []


async def test_a_file_that_cannot_be_read_does_not_hold_up_another(spool: Path) -> None:
    async with up(town_of(quick())) as town, daemon_of(config_for(town, spool)):
        picture = b"ann@quick.example\n\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        drop(spool, "picture.txt", picture)
        drop(spool, "good.txt", ["ann@quick.example"])
        drop(spool, "letter.docx", "ann@quick.example")
        rows = await answered(spool, "good.txt")
        for name in ("picture.txt", "letter.docx"):
            await until((spool / "failed" / name).exists, f"{name} in failed/")
    assert [said(row) for row in rows] == [("deliverable", "accepted")]
    assert (spool / "failed" / "picture.txt").read_bytes() == picture
    words = (spool / "failed" / "picture.txt.error.txt").read_text()
    assert words == (
        "picture.txt, line 4: it holds a NUL byte; this is no text in UTF-8, nor in UTF-16 behind "
        "a byte order mark\n"
    )
    assert ".docx is not understood" in (spool / "failed" / "letter.docx.error.txt").read_text()
    # Nothing of what could not be read was asked.
    asked = town.exchangers["mx.quick.example"].record.asked()
    assert sum(exchange.argument == "TO:<ann@quick.example>" for _, exchange in asked) == 1


async def test_a_file_that_is_being_written_is_left_alone(spool: Path) -> None:
    async with up(town_of(quick())) as town, daemon_of(config_for(town, spool)):
        half = spool / "new" / "half.txt"
        with half.open("w") as file:
            file.write("ann@quick.example\nno")
            file.flush()
            # Two jobs later it is still there: the daemon has looked at it many times.
            for name in ("first.txt", "second.txt"):
                drop(spool, name, ["ben@quick.example"])
                await answered(spool, name)
            assert half.exists()
            file.write("body@quick.example\n")
        rows = await answered(spool, "half.txt")
    assert [(row["address"], *said(row)) for row in rows] == [
        ("ann@quick.example", "deliverable", "accepted"),
        ("nobody@quick.example", "undeliverable", "no_such_mailbox"),
    ]


async def test_the_deadline_of_a_job(spool: Path) -> None:
    """Who never got another answer than "later" ends with it, for good."""
    houses = (
        quick(),
        House(
            "mx.shy.example",
            "127.0.1.2",
            tempers.greylisting(residents("ann"), delay=10 * 86400.0),
        ),
    )
    clock = Ahead()
    async with up(town_of(*houses)) as town:
        config = config_for(town, spool, ladder=Ladder(greylist=(600.0,) * 9), deadline=3600.0)
        async with daemon_of(config, clock) as service:
            drop(spool, "list.txt", ["ann@shy.example", "ann@quick.example", "ben@shy.example"])
            await progress_until(service, lambda job: job.waiting == 2, "two who wait")
            assert not (spool / "done" / "list.txt.results.csv").exists()
            clock.ahead = 3601.0
            rows = await answered(spool, "list.txt")
    assert [said(row) for row in rows] == [
        ("unknown", "greylisted"),
        ("deliverable", "accepted"),
        ("unknown", "greylisted"),
    ]
    assert [row["probe_final"] for row in rows] == ["true"] * 3
    assert [row["probe_next_attempt_at"] for row in rows] == [""] * 3
    assert rows[0]["probe_code"] == "450"


# ---------------------------------------------------------------- progress


async def test_progress(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        service = ProbeService(reactor, config, prepare(config))
        assert await service.progress() == []
        service.startService()
        assert await service.progress() == []  # not up yet
        drop(spool, "list.txt", ["ann@quick.example", "no address", "ben@quick.example"])
        await progress_until(service, lambda job: job.job.lines == 3, "the list")
        await answered(spool, "list.txt")
        await until(lambda: not list((spool / "active").iterdir()), "an empty active/")
        await service.stopService()
        assert await service.progress() == []


# ---------------------------------------------------------------- the end


def lone_config(spool: Path) -> Config:
    """Settings for a daemon that has nobody to ask."""
    return Config(
        spool=spool,
        sources=(Source("127.0.0.21", helo="probe1.example.org"),),
        reverse_path="probe@example.org",
        resolvers=(("127.0.0.1", 9),),
    )


async def test_stopping_right_after_the_start(spool: Path) -> None:
    config = lone_config(spool)
    service = ProbeService(reactor, config, prepare(config))
    service.startService()
    assert ledger_threads()
    await service.stopService()
    assert ledger_threads() == []
    prepare(config).release()  # nobody holds the lock


async def test_stopping_what_was_never_started(spool: Path) -> None:
    config = lone_config(spool)
    service = ProbeService(reactor, config, prepare(config))
    await service.stopService()
    assert ledger_threads() == []
    prepare(config).release()


async def test_a_daemon_that_ran_leaves_nothing(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        async with daemon_of(config) as service:
            drop(spool, "list.txt", ["ann@quick.example"])
            await answered(spool, "list.txt")
            assert service.running
            assert ledger_threads()
        assert not service.running
        assert ledger_threads() == []
        record = town.exchangers["mx.quick.example"].record
        await until(lambda: record.open == 0, "the end of the session")
        assert record.sessions[0].verbs[-1] == "QUIT"
    prepare(config).release()
    # What is in the reactor is looked at after every test (tests/conftest.py).


async def test_the_lock_names_the_process_and_is_held_until_all_is_on_disk(spool: Path) -> None:
    config = lone_config(spool)
    async with daemon_of(config):
        with pytest.raises(SpoolInUse, match=r"in use by process \d+ \("):
            prepare(config)


# ---------------------------------------------------------------- what cannot work


@implementer(ILogObserver)
class Words:
    """What is logged, at least at this level."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"].name in ("error", "critical"):
            self.events.append(event)

    def __enter__(self) -> Words:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *exc: object) -> None:
        globalLogPublisher.removeObserver(self)


def no_file(path: Path) -> str:
    """Let a directory be where the ledger belongs; what is said of it."""
    path.mkdir()
    return f"[Errno 21] Is a directory: '{path}'"


def newer(path: Path) -> str:
    """Let the ledger be a newer version's; what is said of it."""
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    return f"its schema is version 99, this program knows versions up to {newest()}"


@pytest.mark.parametrize(("unusable", "code"), [(no_file, EXIT_BROKEN), (newer, EXIT_NEWER)])
async def test_a_ledger_that_cannot_be_opened(
    spool: Path, expect_errors: Any, unusable: Callable[[Path], str], code: int
) -> None:
    expect_errors(1)
    config = lone_config(spool)
    clock = Ahead()
    lock = prepare(config)
    path = spool / "state" / "ledger.sqlite"
    why = unusable(path)
    service = ProbeService(clock, config, lock)
    with Words() as words:
        service.startService()
        await until(lambda: clock.stopped, "the reactor's end")
        await service.stopService()
    assert [formatEvent(event) for event in words.events] == [
        f"mailprobe cannot go on: the ledger {path}: {why}"
    ]
    assert "log_failure" not in words.events[0]  # no traceback: it is nobody's fault in here
    assert clock.stopped == 1
    assert clock.triggers == [("after", "shutdown", os._exit, code)]
    assert ledger_threads() == []


async def test_a_ledger_that_cannot_be_opened_while_the_daemon_is_stopped(
    spool: Path, expect_errors: Any
) -> None:
    """The reactor is on its way out already: it is not stopped a second time."""
    expect_errors(1)
    config = lone_config(spool)
    clock = Ahead()
    lock = prepare(config)
    no_file(spool / "state" / "ledger.sqlite")
    service = ProbeService(clock, config, lock)
    service.startService()
    await service.stopService()
    turn: Deferred[None] = Deferred()
    reactor.callLater(0, turn.callback, None)
    await turn
    assert clock.stopped == 0
    assert ledger_threads() == []


async def test_a_fault_of_ours_stops_the_reactor_with_its_traceback(
    spool: Path, expect_errors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect_errors(1)
    config = lone_config(spool)
    clock = Ahead()

    def broken(*arguments: object, **settings: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("twisted_probe.daemon.service.Prober", broken)
    service = ProbeService(clock, config, prepare(config))
    with Words() as words:
        service.startService()
        await until(lambda: clock.stopped, "the reactor's end")
        await service.stopService()
    assert [formatEvent(event) for event in words.events] == ["mailprobe cannot go on"]
    assert "a fault" in words.events[0]["log_failure"].getErrorMessage()
    assert ledger_threads() == []
