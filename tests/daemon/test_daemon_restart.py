"""A daemon that is stopped in the middle, and the next one on its spool: each line is answered
once, nobody who has answered is asked again, and who has to be asked again is asked alike."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve, frozen

from tests.daemon.running import (
    Ahead,
    answered,
    config_for,
    daemon_of,
    drop,
    progress_until,
    said,
    town_of,
    until,
    up,
)
from twisted_probe.daemon import service as service_module
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.record import Record
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.visit import Command, Visit
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.reply import Stage

HOUR = 3600.0


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@frozen
class HangsAtFirst:
    """Answers no recipient of the first session."""

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        if visit.number == 1 and command.stage is Stage.RCPT:
            return evolve(answer, delay=HOUR)
        return answer


def quick() -> House:
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben")))


def asked(record: Record) -> Counter[str]:
    """How often each recipient was asked."""
    return Counter(re.findall(r"<(.*)>", exchange.argument)[0] for _, exchange in record.asked())


async def test_sessions_that_end_in_time_are_kept(spool: Path) -> None:
    """A stop waits for the sessions in flight, and the next daemon has nobody left to ask."""
    slow = tempers.postfix(residents("ann ben"), Tarpits(0.1, Stage.RCPT))
    houses = (quick(), House("mx.slow.example", "127.0.1.2", slow))
    async with up(town_of(*houses)) as town:
        config = config_for(town, spool)
        record = town.exchangers["mx.slow.example"].record
        async with daemon_of(config):
            drop(
                spool,
                "list.txt",
                ["ann@slow.example", "ann@quick.example", "ben@slow.example", "eve@slow.example"],
            )
            await until(record.asked, "the first question")
        assert [session.verbs[-1] for session in record.sessions] == ["QUIT"]
        sessions = len(record.sessions)
        async with daemon_of(config):
            rows = await answered(spool, "list.txt")
        assert len(record.sessions) == sessions
    assert [(row["address"], *said(row)) for row in rows] == [
        ("ann@slow.example", "deliverable", "accepted"),
        ("ann@quick.example", "deliverable", "accepted"),
        ("ben@slow.example", "deliverable", "accepted"),
        ("eve@slow.example", "undeliverable", "no_such_mailbox"),
    ]


async def test_sessions_that_do_not_end_are_cut_and_asked_again(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "GRACE", 0.1)
    hanging = tempers.postfix(residents("ann ben"), HangsAtFirst())
    houses = (quick(), House("mx.hanging.example", "127.0.1.2", hanging))
    addresses = [
        f"{name}@{domain}.example"
        for name in ("ann", "eve", "ben")
        for domain in ("quick", "hanging")
    ]
    async with up(town_of(*houses)) as town:
        config = config_for(town, spool)
        records = {name: exchanger.record for name, exchanger in town.exchangers.items()}
        async with daemon_of(config) as service:
            drop(spool, "list.txt", [*addresses, "ann@quick.example"])
            await until(records["mx.hanging.example"].asked, "the first question")
            await progress_until(
                service, lambda job: sum(job.settled.values()) == 3, "the quick ones' answers"
            )
        assert (spool / "active" / "list.txt").exists()
        assert not list((spool / "done").iterdir())
        async with daemon_of(config):
            rows = await answered(spool, "list.txt")

    assert [row["probe_address"] for row in rows] == [*addresses, "ann@quick.example"]
    accepted, refused = ("deliverable", "accepted"), ("undeliverable", "no_such_mailbox")
    assert [said(row) for row in rows] == [
        *(accepted, accepted, refused, refused, accepted, accepted, accepted)
    ]
    # Who had answered is not asked again; who had not is, once.
    assert set(asked(records["mx.quick.example"]).values()) == {1}
    cut, *others = records["mx.hanging.example"].sessions
    assert cut.verbs[-1] == "RCPT"
    assert {session.verbs[-1] for session in others} == {"QUIT"}
    again = asked(Record(others))
    assert set(again.values()) == {1}
    assert set(again) >= {"ann@hanging.example", "ben@hanging.example", "eve@hanging.example"}


async def test_row_164_who_was_greylisted_is_asked_alike_by_the_next_daemon(spool: Path) -> None:
    library = tempers.greylisting(residents("ann"), delay=0.001)
    houses = (quick(), House("mx.library.example", "127.0.1.2", library))
    async with up(town_of(*houses)) as town:
        config = config_for(town, spool, ladder=Ladder(greylist=(HOUR,)))
        record = town.exchangers["mx.library.example"].record
        async with daemon_of(config) as service:
            drop(
                spool,
                "list.txt",
                ["ann@library.example", "nobody@library.example", "ann@quick.example"],
            )
            await progress_until(
                service,
                lambda job: job.waiting == 2 and sum(job.settled.values()) == 1,
                "two who wait",
            )
        assert len(record.sessions) == 1

        # The next one has its sources in another order, another reverse-path, and is too early.
        (first,) = record.sessions
        others = sorted(config.sources, key=lambda source: source.address == first.client)
        config = evolve(config, sources=tuple(others), reverse_path="other@example.org")
        async with daemon_of(config) as service:
            await progress_until(service, lambda job: job.waiting == 2, "two who still wait")
            drop(spool, "second.txt", ["ben@quick.example"])
            await answered(spool, "second.txt")
        assert len(record.sessions) == 1

        # An hour later it is time.
        async with daemon_of(config, Ahead(HOUR + 1)):
            rows = await answered(spool, "list.txt")

    again = record.sessions[1]
    assert again.client == first.client
    assert again.helo == first.helo
    assert mail_of(again.commands) == mail_of(first.commands) == ["FROM:<probe@example.org>"]
    # The same recipients, the control with its random name among them.
    assert recipients_of(again.commands) == recipients_of(first.commands)
    assert len(recipients_of(again.commands)) == 3
    assert len(record.sessions) == 2
    assert [said(row) for row in rows] == [
        ("deliverable", "accepted"),
        ("undeliverable", "no_such_mailbox"),
        ("deliverable", "accepted"),
    ]
    assert [row["probe_attempts"] for row in rows] == ["2", "2", "1"]
    assert rows[0]["probe_helo"] == first.helo


async def test_the_deadline_comes_while_no_daemon_is_there(spool: Path) -> None:
    library = tempers.greylisting(residents("ann"), delay=100 * HOUR)
    async with up(town_of(House("mx.library.example", "127.0.1.2", library))) as town:
        config = config_for(town, spool, ladder=Ladder(greylist=(HOUR, HOUR)), deadline=2 * HOUR)
        async with daemon_of(config) as service:
            drop(spool, "list.txt", ["ann@library.example"])
            await progress_until(service, lambda job: job.waiting == 1, "one who waits")
        async with daemon_of(config, Ahead(3 * HOUR)):
            (row,) = await answered(spool, "list.txt")
    assert said(row) == ("unknown", "greylisted")
    assert row["probe_final"] == "true"
    assert row["probe_next_attempt_at"] == ""


async def test_a_file_that_was_taken_just_before_the_end(spool: Path) -> None:
    """What lies in active/ and the ledger has never heard of is taken up."""
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        async with daemon_of(config):
            pass
        (spool / "active" / "list.txt").write_text("ann@quick.example\n")
        async with daemon_of(config):
            rows = await answered(spool, "list.txt")
    assert [said(row) for row in rows] == [("deliverable", "accepted")]


def mail_of(commands: list[tuple[str, str]]) -> list[str]:
    return [argument.split(" ")[0] for verb, argument in commands if verb == "MAIL"]


def recipients_of(commands: list[tuple[str, str]]) -> list[str]:
    return sorted(argument for verb, argument in commands if verb == "RCPT")
