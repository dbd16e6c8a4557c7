"""`mailprobe check`: what it prints and how it ends, in a process of its own; and how it waits,
on a clock of the test's."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tests.daemon.processes import MAILPROBE, Ended, run, running
from tests.daemon.running import town_of, until, up
from twisted_probe.cli.check import _ask
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Stage

#: The keys of an outcome, in order (the design's section 3).
KEYS = [
    *("line", "address", "verdict", "reason", "final", "catch_all", "stage", "code", "enhanced"),
    *("text", "exchanger", "exchanger_address", "source", "helo", "tls", "attempts"),
    *("first_attempt_at", "checked_at", "next_attempt_at", "cached", "job"),
    *("disposable", "role_account", "free_provider", "suggestion"),
]


def words(town: Town) -> list[str]:
    """The settings that lead to a town."""
    return [
        *("--source", "127.0.0.21=probe1.example.org"),
        *("--reverse-path", town.reverse_path),
        *("--resolver", town.resolver),
        *("--port", str(town.port)),
        *("--allow-network", town.networks[0]),
    ]


@asynccontextmanager
async def small_town() -> AsyncIterator[Town]:
    houses = (
        House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben"))),
        House("mx.shy.example", "127.0.1.2", tempers.greylisting(residents("ann"))),
    )
    async with up(town_of(*houses)) as town:
        yield town


async def check(town: Town, directory: Path, *more: str) -> Ended:
    ended = await run(MAILPROBE, "check", *words(town), *more, directory=directory)
    assert "Traceback" not in ended.err
    return ended


# ---------------------------------------------------------------- what it prints, how it ends


async def test_all_deliverable(tmp_path: Path) -> None:
    async with small_town() as town:
        ended = await check(town, tmp_path, "ann@quick.example", "Ben <ben@quick.example>")
        record = town.exchangers["mx.quick.example"].record
    assert (ended.code, ended.err) == (0, "")
    assert [line.rstrip() for line in ended.out.splitlines()] == [
        "address            verdict        reason    code  exchanger         source",
        "-----------------  -------------  --------  ----  ----------------  ----------",
        "ann@quick.example  ✔ deliverable  accepted  250   mx.quick.example  127.0.0.21",
        "ben@quick.example  ✔ deliverable  accepted  250   mx.quick.example  127.0.0.21",
        "",
        "✔ 2 deliverable",
    ]
    assert record.forbidden == 0
    assert record.clients == {"127.0.0.21": 1}
    assert record.helo_names == {"127.0.0.21": {"probe1.example.org"}}


async def test_not_all_deliverable(tmp_path: Path) -> None:
    async with small_town() as town:
        ended = await check(
            town,
            tmp_path,
            "ann@quick.example",
            "eve@quick.example",
            "no address",
            "ann@shy.example",
        )
    assert (ended.code, ended.err) == (1, "")
    rows = [line.split() for line in ended.out.splitlines()[2:6]]
    assert rows[0][:4] == ["ann@quick.example", "✔", "deliverable", "accepted"]
    assert rows[1][:4] == ["eve@quick.example", "✘", "undeliverable", "no_such_mailbox"]
    assert rows[2] == ["no", "address", "✘", "undeliverable", "invalid_address"]
    assert rows[3][:5] == ["ann@shy.example", "?", "unknown", "greylisted", "…"]
    # The reply's words, for all that is not well, and that one is to be asked again.
    assert "eve@quick.example: <eve@quick.example>: Recipient address rejected" in ended.out
    assert "no address: " in ended.out
    assert "… not final: ask again after 2" in ended.out
    assert "or use --wait" in ended.out


async def test_json(tmp_path: Path) -> None:
    async with small_town() as town:
        ended = await check(
            town,
            tmp_path,
            "--json",
            "ann@quick.example",
            "žofie@quick.example",
            "x",
            "ann@shy.example",
        )
    assert (ended.code, ended.err) == (1, "")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [list(outcome) for outcome in found] == [KEYS] * 4
    assert [(outcome["address"], outcome["reason"], outcome["final"]) for outcome in found] == [
        ("ann@quick.example", "accepted", True),
        ("žofie@quick.example", "smtputf8_unsupported", True),
        ("x", "invalid_address", True),
        ("ann@shy.example", "greylisted", False),
    ]
    accepted = found[0]
    assert accepted["code"] == 250
    assert accepted["source"] == "127.0.0.21"
    assert accepted["helo"] == "probe1.example.org"
    assert accepted["exchanger_address"] == "127.0.1.1"
    assert accepted["catch_all"] is False
    assert accepted["next_attempt_at"] is None
    assert found[3]["next_attempt_at"] > found[3]["checked_at"]


async def test_reacher(tmp_path: Path) -> None:
    async with small_town() as town:
        words_ = ("--format", "reacher", "ann@quick.example", "eve@quick.example")
        ended = await check(town, tmp_path, *words_)
    assert (ended.code, ended.err) == (1, "")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [(each["input"], each["is_reachable"]) for each in found] == [
        ("ann@quick.example", "safe"),
        ("eve@quick.example", "invalid"),
    ]


async def test_flags(tmp_path: Path) -> None:
    """In words for people, where they make one look again; and none where they are not wanted."""
    house = House("mx.slip.example", "127.0.1.1", tempers.postfix(residents("info ann")))
    (tmp_path / "mailprobe.toml").write_text("flags = false\n")
    asked = ("info@slip.example", "ann@slip.example")
    async with up(town_of(house)) as town:
        ended = await check(town, tmp_path, *asked)
        without = await check(town, tmp_path, "--config", "mailprobe.toml", *asked)
    assert ended.out.splitlines()[-2:] == ["", "  info@slip.example: role account"]
    assert "role account" not in without.out


async def test_an_address_that_stands_there_twice(tmp_path: Path) -> None:
    async with small_town() as town:
        ended = await check(
            town, tmp_path, "--json", "ann@quick.example", "eve@quick.example", "ann@quick.example"
        )
        asked = town.exchangers["mx.quick.example"].record.asked()
    addresses = [json.loads(line)["address"] for line in ended.out.splitlines()]
    assert addresses == ["ann@quick.example", "eve@quick.example", "ann@quick.example"]
    assert sum("<ann@" in exchange.argument for _, exchange in asked) == 1


async def test_an_argument_that_is_no_text(tmp_path: Path) -> None:
    """A shell hands over any bytes; they come out escaped."""
    async with small_town() as town:
        ended = await check(town, tmp_path, "--json", "a\udcffb@quick.example")
    assert ended.code == 1
    assert json.loads(ended.out)["reason"] == "invalid_address"


async def test_wrong_settings(tmp_path: Path) -> None:
    ended = await run(MAILPROBE, "check", "ann@example.net", directory=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("mailprobe check: --source: no source address is given")


async def test_an_interrupted_check_is_no_success(tmp_path: Path) -> None:
    slow = tempers.postfix(residents("ann"), Tarpits(3600.0, Stage.RCPT))
    async with up(town_of(House("mx.slow.example", "127.0.1.1", slow))) as town:
        command = (MAILPROBE, "check", *words(town), "ann@slow.example")
        async with running(*command, directory=tmp_path) as process:
            await until(town.exchangers["mx.slow.example"].record.asked, "the question")
            process.signal(signal.SIGINT)
            ended = await process.end()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "mailprobe check: interrupted\n"


# ---------------------------------------------------------------- how it waits


class Script:
    """A prober that gives the outcomes it was told to, at the clock's time."""

    def __init__(self, clock: Clock, *answers: Sequence[Outcome]) -> None:
        self._clock = clock
        self._answers = list(answers)
        self.asked: list[tuple[float, list[str], list[str | None]]] = []

    def probe_many(
        self, addresses: Sequence[str], retries: Sequence[Retry | None] | None = None
    ) -> Deferred[list[Outcome]]:
        controls = [
            None if retry is None else retry.control for retry in retries or [None] * len(addresses)
        ]
        self.asked.append((self._clock.seconds(), list(addresses), controls))
        return succeed(list(self._answers.pop(0)))


def final(address: str) -> Outcome:
    return Outcome(address=address, reason=Reason.ACCEPTED, checked_at=0.0)


def later(address: str, at: float, reason: Reason = Reason.GREYLISTED) -> Outcome:
    """Not final; its control is named after the address, to be known again."""
    return Outcome(
        address=address,
        reason=reason,
        final=False,
        checked_at=0.0,
        next_attempt_at=at,
        retry=Retry(
            source="192.0.2.10",
            helo="probe1.example.org",
            reverse_path="probe@example.org",
            control=f"control-of-{address}",
            attempts=1,
            first_attempt_at=0.0,
        ),
    )


def asking(
    clock: Clock, script: Any, *addresses: str, wait: bool = True
) -> Deferred[list[Outcome]]:
    return Deferred.fromCoroutine(_ask(clock, script, list(addresses), wait))


def result_of(asked: Deferred[list[Outcome]]) -> list[Outcome]:
    found: list[list[Outcome]] = []
    asked.addCallback(found.append)
    assert found, "it still waits"
    return found[0]


def test_without_wait_it_asks_once() -> None:
    clock = Clock()
    script = Script(clock, [final("a"), later("b", 300.0)])
    outcomes = result_of(asking(clock, script, "a", "b", wait=False))
    assert [outcome.final for outcome in outcomes] == [True, False]
    assert script.asked == [(0.0, ["a", "b"], [None, None])]
    assert clock.getDelayedCalls() == []


def test_with_wait_and_nothing_to_wait_for(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    script = Script(clock, [final("a")])
    assert result_of(asking(clock, script, "a")) == [final("a")]
    assert capsys.readouterr() == ("", "")


def test_greylisting_is_waited_out_with_the_same_triplet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    script = Script(clock, [final("a"), later("b", 300.0)], [later("b", 1200.0)], [final("b")])
    asked = asking(clock, script, "a", "b")
    assert capsys.readouterr() == (
        "",
        "1 to be asked again at 1970-01-01T00:05:00.000Z: greylisted\n",
    )
    clock.advance(299.9)
    assert len(script.asked) == 1
    clock.advance(0.1)
    clock.advance(900.0)
    assert result_of(asked) == [final("a"), final("b")]
    assert script.asked == [
        (0.0, ["a", "b"], [None, None]),
        (300.0, ["b"], ["control-of-b"]),
        (1200.0, ["b"], ["control-of-b"]),
    ]


def test_those_due_within_a_second_are_asked_together_and_none_too_early(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    script = Script(
        clock,
        [
            later("c", 900.0, Reason.TEMPORARY),
            later("a", 300.0),
            later("b", 300.9, Reason.TEMPORARY),
        ],
        [final("a"), final("b")],
        [final("c")],
    )
    asked = asking(clock, script, "c", "a", "b")
    clock.pump([300.5, 0.4, 599.1])
    assert [outcome.address for outcome in result_of(asked)] == ["c", "a", "b"]
    assert [round(moment, 3) for moment, _, _ in script.asked] == [0.0, 300.9, 900.0]
    assert [asked_for for _, *asked_for in script.asked[1:]] == [
        [["a", "b"], ["control-of-a", "control-of-b"]],
        [["c"], ["control-of-c"]],
    ]
    assert capsys.readouterr().err.splitlines() == [
        "2 to be asked again at 1970-01-01T00:05:00.900Z: greylisted, temporary",
        "1 to be asked again at 1970-01-01T00:15:00.000Z: temporary",
    ]


def test_what_is_due_already_is_asked_at_once() -> None:
    clock = Clock()
    clock.advance(1000.0)
    script = Script(clock, [later("a", 300.0)], [final("a")])
    asked = asking(clock, script, "a")
    clock.advance(0.0)
    assert result_of(asked) == [final("a")]
