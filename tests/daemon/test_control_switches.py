"""Pause, resume and cancel on a daemon at work: who is asked, who is not, and what it counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from tests.daemon.asking import asked, asking
from tests.daemon.running import (
    answered,
    config_for,
    daemon_of,
    drop,
    reactor,
    said,
    town_of,
    until,
    up,
)
from twisted_probe.cli.client import Refused
from twisted_probe.daemon.preparation import prepare
from twisted_probe.daemon.service import ProbeService
from twisted_probe.jobs.intake import JobKeeper
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import Town
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.reply import Stage

#: Nobody waits that long in a test: what would be asked again then stays waiting.
SLOW_LADDER = Ladder(greylist=(3600.0,), temporary=(3600.0,))
#: Seconds in which a daemon of these tests would have asked whom it may.
A_WHILE = 0.5


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def short_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_probe.routing.pauses.HOLD", 0.1)


def quick(name: str = "quick", number: int = 1) -> House:
    """Answers at once."""
    temper = tempers.postfix(residents("ann ben postmaster"))
    return House(f"mx.{name}.example", f"127.0.1.{number}", temper)


def slow(seconds: float) -> House:
    """Takes its time for every recipient."""
    temper = Temper(mailboxes=residents("ann"), habits=(Tarpits(seconds, Stage.RCPT),))
    return House("mx.slow.example", "127.0.1.2", temper)


def grey(delay: float = 60.0) -> House:
    """Greylists."""
    return House("mx.grey.example", "127.0.1.3", tempers.greylisting(residents("ann"), delay))


def sessions(town: Town, house: str) -> int:
    return len(town.exchangers[f"mx.{house}.example"].record.sessions)


def sources(town: Town, house: str) -> set[str]:
    record = town.exchangers[f"mx.{house}.example"].record
    return {session.client for session in record.sessions}


def summary_of(spool: Path, name: str) -> dict[str, Any]:
    text = (spool / "done" / f"{name}.summary.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


# ---------------------------------------------------------------- the daemon


async def test_a_paused_daemon_asks_nobody_also_after_a_restart(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        config = config_for(town, spool)
        async with daemon_of(config), asking(spool) as asker:
            answer = await asker.switch("pause")
            assert answer == {
                "changed": True,
                "words": "the daemon is paused; sessions in hand end, deadlines still count",
            }
            assert not (await asker.switch("pause"))["changed"]
            drop(spool, "list.txt", ["ann@quick.example", "no address"])
            job = await asker.job_when("list.txt", lambda job: job["state"] == "open")
            await deferLater(reactor, A_WHILE)
            assert (await asker.status())["limit"] == {"by": "paused", "words": "paused"}
            assert (job["pending"], job["eta"]) == (1, None)
        async with daemon_of(config), asking(spool) as asker:
            status = await asker.status()
            assert (status["paused"], status["limit"]["by"]) == (True, "paused")
            await deferLater(reactor, A_WHILE)
            assert sessions(town, "quick") == 0
            answer = await asker.switch("resume")
            assert answer == {"changed": True, "words": "the daemon goes on"}
            answer = await asker.switch("resume")
            assert answer == {"changed": False, "words": "the daemon was not paused"}
            rows = await answered(spool, "list.txt")
    assert [said(row)[1] for row in rows] == ["accepted", "invalid_address"]
    assert rows[0]["probe_attempts"] == "1"


async def test_sessions_in_hand_end_and_no_other_begins(spool: Path) -> None:
    town = town_of(slow(0.1))
    async with asked(town, spool) as asker:
        drop(spool, "list.txt", [f"nobody{number}@slow.example" for number in range(60)])
        await until(lambda: sessions(town, "slow"), "a session")
        await asker.switch("pause")
        begun = sessions(town, "slow")
        status = await asker.status_when(lambda status: not status["in_hand"])
        assert status["sessions"]["open"] == 0
        # What was answered then counts, and nothing else was begun.
        assert sessions(town, "slow") == begun
        await asker.job_when(
            "list.txt", lambda job: job["settled"] and job["settled"] + job["pending"] == 60
        )
        await asker.switch("resume")
        rows = await answered(spool, "list.txt")
    assert {row["probe_attempts"] for row in rows} == {"1"}
    record = town.exchangers["mx.slow.example"].record
    recipients = [
        exchange.argument
        for session in record.sessions
        for exchange in session.exchanges
        if exchange.verb == "RCPT" and "nobody" in exchange.argument
    ]
    # Nobody was asked twice.
    assert len(recipients) == len(set(recipients)) == 60


# ---------------------------------------------------------------- a job


async def test_a_paused_job(spool: Path) -> None:
    async with up(town_of(quick("one", 1), quick("two", 4))) as town:
        config = config_for(town, spool)
        async with daemon_of(config), asking(spool) as asker:
            await asker.switch("pause")
            drop(spool, "one.txt", ["ann@one.example"])
            drop(spool, "two.txt", ["ann@two.example"])
            await asker.job_when("two.txt", lambda job: job["state"] == "open")
            job = await asker.job_when("one.txt", lambda job: job["state"] == "open")
            answer = await asker.switch("jobs", "one.txt", "pause")
            assert answer["changed"] is True
            assert answer["words"] == (
                f"the job one.txt is paused; its deadline still counts: {job['deadline']}"
            )
            assert answer["job"] == {**job, "paused": True}
            assert not (await asker.switch("jobs", "one.txt", "pause"))["changed"]
            await asker.switch("resume")
            await answered(spool, "two.txt")
        async with daemon_of(config), asking(spool) as asker:
            await deferLater(reactor, A_WHILE)
            status = await asker.status()
            assert status["limit"] == {"by": "paused", "words": "every job that is left is paused"}
            assert sessions(town, "one") == 0
            answer = await asker.switch("jobs", "one.txt", "resume")
            assert (answer["changed"], answer["words"]) == (True, "the job one.txt goes on")
            (row,) = await answered(spool, "one.txt")
            await asker.job_when("one.txt", lambda job: job["state"] == "done")
            with pytest.raises(Refused) as caught:
                await asker.switch("jobs", "one.txt", "pause")
    assert (caught.value.code, str(caught.value)) == (409, "the job one.txt: it is done")
    assert said(row) == ("deliverable", "accepted")


# ---------------------------------------------------------------- a site


async def test_a_paused_site(spool: Path) -> None:
    people = [f"{who}@{where}.example" for where in ("one", "two") for who in "ab"]
    async with up(town_of(quick("one", 1), quick("two", 4))) as town:
        config = config_for(town, spool)
        async with daemon_of(config), asking(spool) as asker:
            answer = await asker.switch("sites", "MX.One.Example.", "pause")
            assert answer["words"].startswith("the site mx.one.example is paused;")
            drop(spool, "list.txt", people)
            await asker.job_when("list.txt", lambda job: job["settled"] == 2)
            await deferLater(reactor, A_WHILE)
            status = await asker.status_when(lambda status: not status["in_hand"])
            (site,) = status["sites"]["paused"]
            assert site["site"] == "mx.one.example"
            assert site["since"] <= status["now"]
            assert status["limit"] == {
                "by": "paused",
                "words": "what is paused: the site mx.one.example",
            }
        async with daemon_of(config), asking(spool) as asker:
            await deferLater(reactor, A_WHILE)
            assert (sessions(town, "one"), sessions(town, "two")) == (0, 1)
            answer = await asker.switch("sites", "mx.one.example", "resume")
            assert answer == {"changed": True, "words": "the site mx.one.example goes on"}
            rows = await answered(spool, "list.txt")
    assert {row["probe_attempts"] for row in rows} == {"1"}
    assert sessions(town, "one") == 1


async def test_resuming_is_felt_at_once(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_probe.routing.pauses.HOLD", 3600.0)
    async with asked(town_of(quick(), grey(0.2)), spool) as asker:
        drop(spool, "list.txt", ["ann@grey.example", "ann@quick.example"])
        await asker.job_when("list.txt", lambda job: job["waiting"])
        await asker.switch("sites", "mx.grey.example", "pause")
        await asker.switch("sites", "mx.quick.example", "pause")
        drop(spool, "more.txt", ["ben@quick.example"])
        await asker.job_when("more.txt", lambda job: job["state"] == "open")
        await deferLater(reactor, A_WHILE)
        assert (await asker.job("list.txt"))["waiting"] == 1
        assert (await asker.job("more.txt"))["settled"] == 0
        await asker.switch("sites", "mx.grey.example", "resume")
        await asker.switch("sites", "mx.quick.example", "resume")
        rows = [*await answered(spool, "list.txt"), *await answered(spool, "more.txt")]
    assert [said(row)[1] for row in rows] == ["accepted"] * 3
    assert [row["probe_attempts"] for row in rows] == ["2", "1", "1"]


# ---------------------------------------------------------------- a source


async def test_a_paused_source(spool: Path) -> None:
    town = town_of(*(quick(f"site{number}", 10 + number) for number in range(6)))
    first, second = (source.address for source in town.sources)
    async with asked(town, spool) as asker:
        await asker.switch("sources", second, "pause")
        status = await asker.status()
        assert [source["paused"] for source in status["sources"]] == [False, True]
        drop(spool, "list.txt", [f"ann@site{number}.example" for number in range(6)])
        rows = await answered(spool, "list.txt")
        answer = await asker.switch("sources", second, "resume")
        assert answer == {"changed": True, "words": f"the source {second} goes on"}
    assert {row["probe_source"] for row in rows} == {first}
    assert {said(row)[1] for row in rows} == {"accepted"}


async def test_retries_of_a_paused_source_wait_for_it(spool: Path) -> None:
    async with up(town_of(grey(0.2))) as town:
        config = config_for(town, spool)
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, "list.txt", ["ann@grey.example"])
            await asker.job_when("list.txt", lambda job: job["waiting"])
            (first,) = sources(town, "grey")
            await asker.switch("sources", first, "pause")
            await deferLater(reactor, A_WHILE)
            # Its time has come and gone; nothing was asked, from nowhere.
            job = await asker.job_when("list.txt", lambda job: job["waiting"])
            assert (job["settled"], sessions(town, "grey")) == (0, 1)
        async with daemon_of(config), asking(spool) as asker:
            await deferLater(reactor, A_WHILE)
            assert sessions(town, "grey") == 1
            await asker.switch("sources", first, "resume")
            (row,) = await answered(spool, "list.txt")
    assert sources(town, "grey") == {first}
    assert (row["probe_reason"], row["probe_attempts"]) == ("accepted", "2")
    assert row["probe_source"] == first


async def test_every_source_is_paused(spool: Path) -> None:
    town = town_of(quick())
    async with asked(town, spool) as asker:
        for source in town.sources:
            await asker.switch("sources", source.address, "pause")
        drop(spool, "list.txt", ["ann@quick.example"])
        await asker.job_when("list.txt", lambda job: job["state"] == "open")
        await deferLater(reactor, A_WHILE)
        status = await asker.status()
        assert status["limit"] == {"by": "paused", "words": "every source is paused"}
        assert status["in_hand"] == 0
        await asker.switch("sources", town.sources[1].address, "resume")
        (row,) = await answered(spool, "list.txt")
    assert row["probe_source"] == town.sources[1].address


async def test_a_new_source_when_all_others_are_paused(spool: Path) -> None:
    town = town_of(quick())
    first, second = town.sources
    async with up(town):
        config = config_for(town, spool, sources=(first,))
        more = config_for(town, spool, sources=(first, second))
        service = ProbeService(reactor, config, prepare(config), reread=lambda: more)
        service.startService()
        try:
            async with asking(spool) as asker:
                await asker.switch("sources", first.address, "pause")
                drop(spool, "list.txt", ["ann@quick.example"])
                await asker.job_when("list.txt", lambda job: job["state"] == "open")
                await deferLater(reactor, A_WHILE)
                assert sessions(town, "quick") == 0
                await service.reload()
                (row,) = await answered(spool, "list.txt")
        finally:
            await service.stopService()
    assert row["probe_source"] == second.address


# ---------------------------------------------------------------- cancelling


async def test_a_cancelled_job_is_answered_as_it_stands(spool: Path) -> None:
    async with asked(town_of(quick(), grey()), spool, ladder=SLOW_LADDER) as asker:
        drop(spool, "list.txt", ["ann@quick.example", "ann@grey.example", "no address"])
        await asker.job_when("list.txt", lambda job: job["waiting"] and job["settled"])
        answer = await asker.switch("jobs", "list.txt", "cancel")
        assert answer["changed"] is True
        assert answer["words"] == (
            "the job list.txt is cancelled; 1 open recipient is answered as it stands, and its "
            "results are written"
        )
        assert answer["job"]["cancelled"] is True
        rows = await answered(spool, "list.txt")
        await asker.job_when("list.txt", lambda job: job["state"] == "done")
        with pytest.raises(Refused) as caught:
            await asker.switch("jobs", "list.txt", "cancel")
    assert caught.value.code == 409
    assert [said(row) for row in rows] == [
        ("deliverable", "accepted"),
        ("unknown", "greylisted"),
        ("undeliverable", "invalid_address"),
    ]
    assert {row["probe_final"] for row in rows} == {"true"}
    assert {row["probe_next_attempt_at"] for row in rows} == {""}
    assert summary_of(spool, "list.txt")["cancelled"] is True


async def test_cancelled_twice(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def later(self: JobKeeper) -> None:
        """Somebody is faster than the keeper."""

    async with asked(town_of(grey()), spool, ladder=SLOW_LADDER) as asker:
        drop(spool, "list.txt", ["ann@grey.example"])
        await asker.job_when("list.txt", lambda job: job["waiting"])
        with monkeypatch.context() as patch:
            patch.setattr(JobKeeper, "_expire", later)
            assert (await asker.switch("jobs", "list.txt", "cancel"))["changed"] is True
            again = await asker.switch("jobs", "list.txt", "cancel")
        await answered(spool, "list.txt")
    assert (again["changed"], again["words"]) == (
        False,
        "the job list.txt was cancelled already; its results are being written",
    )


async def test_cancelled_while_its_sessions_are_open(spool: Path) -> None:
    town = town_of(slow(0.4))
    people = [f"nobody{number}@slow.example" for number in range(60)]
    async with asked(town, spool) as asker:
        drop(spool, "list.txt", people)
        await until(lambda: sessions(town, "slow"), "a session")
        answer = await asker.switch("jobs", "list.txt", "cancel")
        assert answer["job"]["asking"] > 0
        rows = await answered(spool, "list.txt")
        begun = sessions(town, "slow")
        text = (spool / "done" / "list.txt.results.csv").read_bytes()
        # The sessions in hand end by themselves; what they bring changes nothing any more.
        await asker.status_when(lambda status: not status["in_hand"])
        await deferLater(reactor, A_WHILE)
        assert sessions(town, "slow") == begun
        assert (spool / "done" / "list.txt.results.csv").read_bytes() == text
        job = await asker.job("list.txt")
        assert (job["settled"], job["asking"], job["waiting"]) == (60, 0, 0)
    assert [row["probe_address"] for row in rows] == people
    assert {said(row)[1] for row in rows} <= {"temporary", "no_such_mailbox"}
    texts = {row["probe_text"] for row in rows if said(row)[1] == "temporary"}
    assert texts == {"the job was cancelled before it could be asked"}


async def test_another_jobs_recipients_of_the_same_domain_are_answered(spool: Path) -> None:
    town = town_of(slow(0.3))
    async with asked(town, spool) as asker:
        await asker.switch("pause")
        drop(spool, "one.txt", ["nobody1@slow.example"])
        drop(spool, "two.txt", ["ann@slow.example"])
        await asker.job_when("one.txt", lambda job: job["state"] == "open")
        await asker.job_when("two.txt", lambda job: job["state"] == "open")
        await asker.switch("resume")
        await until(lambda: sessions(town, "slow"), "the session")
        await asker.switch("jobs", "one.txt", "cancel")
        (one,) = await answered(spool, "one.txt")
        (two,) = await answered(spool, "two.txt")
    assert said(one)[0] == "unknown"
    assert said(two) == ("deliverable", "accepted")


async def test_cancelled_over_a_restart(spool: Path) -> None:
    async with up(town_of(grey())) as town:
        config = config_for(town, spool, ladder=SLOW_LADDER)
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, "list.txt", ["ann@grey.example"])
            await asker.job_when("list.txt", lambda job: job["waiting"])
            # The daemon may end before it comes to it.
            await asker.switch("jobs", "list.txt", "cancel")
        async with daemon_of(config):
            (row,) = await answered(spool, "list.txt")
    assert said(row) == ("unknown", "greylisted")
    assert summary_of(spool, "list.txt")["cancelled"] is True
