"""The checkup as a whole, in a town."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.daemon.checkup.run import CHECKS, Checkup, examine
from twisted_probe.daemon.checkup.session import HostAndPort
from twisted_probe.jobs.spool import Spool
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.sandbox import street
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Trouble
from twisted_probe.vocabulary.source import Source

reactor: Any = global_reactor

ORCHARD = "mx.orchard.example"


@asynccontextmanager
async def in_town(**names: Any) -> AsyncIterator[Town]:
    town = Town(names={**street.NAMES, **names})
    await town.start(reactor)
    try:
        yield town
    finally:
        await town.stop()


def checkup_in(town: Town, **changes: Any) -> Checkup:
    settings: dict[str, Any] = {
        "sources": town.sources,
        "reverse_path": town.reverse_path,
        "resolvers": (parse_resolver(town.resolver),),
        "allow_networks": town.networks,
        "exchanger": HostAndPort(ORCHARD, town.port),
        **changes,
    }
    return Checkup(**settings)


async def looked(checkup: Checkup) -> list[Line]:
    lines: list[Line] = []
    await examine(reactor, checkup, lines.append)
    assert {line.check for line in lines} <= set(CHECKS)
    assert {line.subject for line in lines} <= set(checkup.subjects)
    return lines


async def test_all_is_well(tmp_path: Path) -> None:
    Spool(tmp_path).close()
    async with in_town() as town:
        lines = await looked(checkup_in(town, spool=tmp_path))
        record = town.exchangers[ORCHARD].record
        assert record.most_open == 1
        assert sorted(record.clients) == [source.address for source in town.sources]
        assert record.asked("MAIL") == []
    assert [(line.subject.partition(" ")[0], line.check) for line in lines] == [
        *[
            ("source", check)
            for _ in town.sources
            for check in ("bindable", "reverse DNS", "HELO", "SPF", "session")
        ],
        ("reverse-path", "takes mail"),
        ("resolver", "answers"),
        ("resolver", "honest"),
        *[("spool", check) for check in ("writable", "file system", "disk", "inodes")],
        *[("machine", check) for check in ("clock", "open files", "ports", "lists")],
    ]
    # What is below is this machine's affair.
    assert {line.status for line in lines[:13]} == {Status.OK}


async def test_without_a_spool_and_an_exchanger() -> None:
    async with in_town() as town:
        lines = await looked(checkup_in(town, exchanger=None))
        assert all(not house.record.sessions for house in town.exchangers.values())
    assert [line.check for line in lines].count("session") == 1
    notes = [(line.subject, line.check, line.found) for line in lines if "--" in str(line.advice)]
    assert notes == [
        ("exchanger", "session", "not tried"),
        ("spool", "writable", "not looked at"),
    ]


async def test_a_source_that_is_not_ours_is_not_dialled_from() -> None:
    async with in_town() as town:
        source = Source("192.0.2.1", helo="probe1.example.org")
        lines = await looked(checkup_in(town, sources=(source,)))
        assert town.exchangers[ORCHARD].record.sessions == []
    said = {line.check: (line.status, line.found) for line in lines if line.subject[:6] == "source"}
    assert said["bindable"][0] is Status.BAD
    assert said["session"] == (Status.NOTE, "not tried: nothing can be sent from here")


@pytest.mark.parametrize("silent", ["21.0.0.127.in-addr.arpa", "example.org", ""])
async def test_cancelling_leaves_nothing(silent: str) -> None:
    lines: list[Line] = []
    async with in_town(**{silent: Trouble.SILENCE}) as town:
        looking = Deferred.fromCoroutine(examine(reactor, checkup_in(town), lines.append))
        while not any(question.name == silent for question in town.name_server.questions):
            await deferLater(reactor, 0.001)
        looking.cancel()
        with pytest.raises(CancelledError):
            await looking


async def test_a_fault_of_ours_leaves_nothing() -> None:
    def fail(line: Line) -> None:
        raise BrokenPipeError

    async with in_town(**{"": Trouble.SILENCE}) as town:
        with pytest.raises(BrokenPipeError):
            await examine(reactor, checkup_in(town), fail)
