"""A daemon that reads its configuration again while it works."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.daemon.running import (
    answered,
    drop,
    progress_until,
    reactor,
    said,
    town_of,
    until,
    up,
)
from twisted_probe.daemon.config import Config, ConfigError, read_config
from twisted_probe.daemon.preparation import prepare
from twisted_probe.daemon.reload import reloaded
from twisted_probe.daemon.service import ProbeService
from twisted_probe.jobs.explaining import explained
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.reply import Stage

ONE = '\n[[source]]\naddress = "127.0.0.21"\nhelo = "probe1.example.org"\n'
TWO = '\n[[source]]\naddress = "127.0.0.22"\nhelo = "probe2.example.org"\n'


@implementer(ILogObserver)
class Log:
    """What the daemon says, a text for each event, with its level before it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if str(event.get("log_namespace")).startswith("twisted_probe"):
            self.lines.append(f"{event['log_level'].name}: {formatEvent(event)}")

    def having(self, words: str) -> list[str]:
        return [line for line in self.lines if words in line]


@pytest.fixture
def log() -> Iterator[Log]:
    observer = Log()
    globalLogPublisher.addObserver(observer)
    yield observer
    globalLogPublisher.removeObserver(observer)


class Daemon:
    """A daemon with a file of its own, for a town."""

    def __init__(self, town: Town, directory: Path) -> None:
        self.town = town
        self.file = directory / "mailprobe.toml"
        self.spool = directory / "spool"

    def write(self, more: str = "", sources: str = ONE, **changes: str) -> None:
        keys = {
            "spool": f'"{self.spool}"',
            "reverse_path": '"probe@example.org"',
            "resolvers": f'["{self.town.resolver}"]',
            "port": str(self.town.port),
            "allow_networks": f'["{self.town.networks[0]}"]',
            **changes,
        }
        top = "".join(f"{key} = {value}\n" for key, value in keys.items())
        limits = "" if "[limits]" in more else "[limits]\nstarts_per_second = 50\n"
        self.file.write_text(f"{top}{sources}{more}\n{limits}")

    def read(self) -> Config:
        return read_config(file=self.file)


@asynccontextmanager
async def at_work(daemon: Daemon) -> AsyncIterator[ProbeService]:
    config = daemon.read()
    service = ProbeService(reactor, config, prepare(config), reread=daemon.read)
    service.startService()
    try:
        yield service
    finally:
        await service.stopService()


def quick(*habits: Any) -> House:
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben"), *habits))


# ---------------------------------------------------------------- what is taken over


async def test_new_sources_and_names(tmp_path: Path, log: Log) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            drop(daemon.spool, "before.txt", ["ann@quick.example"])
            await answered(daemon.spool, "before.txt")
            daemon.write(
                "[retry]\ngreylist = [7]\n",
                TWO,
                reverse_path='"survey@example.org"',
                control="false",
                deadline="3600",
            )
            await service.reload()
            drop(daemon.spool, "after.txt", ["ben@quick.example"])
            (row,) = await answered(daemon.spool, "after.txt")
            assert (row["probe_source"], row["probe_helo"]) == (
                "127.0.0.22",
                "probe2.example.org",
            )
        first, second = town.exchangers["mx.quick.example"].record.sessions
    assert first.commands[1] == ("MAIL", "FROM:<probe@example.org>")
    assert second.commands[1] == ("MAIL", "FROM:<survey@example.org>")
    assert first.verbs.count("RCPT") == 2
    assert second.verbs.count("RCPT") == 1
    (line,) = log.having("was read again")
    assert line == (
        "info: reading 1: the configuration was read again: "
        "reverse_path was probe@example.org, is survey@example.org; "
        "control was true, is false; deadline was 86400, is 3600; "
        "retry.greylist was 300, 900, 1800, 3600, is 7; "
        "source was 127.0.0.21 (probe1.example.org), is 127.0.0.22 (probe2.example.org)"
    )


async def test_sessions_go_on(tmp_path: Path) -> None:
    """One that is under way ends as it began; the next one is as the file has it now."""
    async with up(town_of(quick(Tarpits(0.2, Stage.RCPT)))) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        record = town.exchangers["mx.quick.example"].record
        async with at_work(daemon) as service:
            drop(daemon.spool, "list.txt", ["ann@quick.example", "eve@quick.example"])
            await until(record.asked, "the first question")
            daemon.write(sources=TWO)
            await service.reload()
            rows = await answered(daemon.spool, "list.txt")
            assert [row["probe_source"] for row in rows] == ["127.0.0.21"] * 2
            assert [said(row)[0] for row in rows] == ["deliverable", "undeliverable"]
            (session,) = record.sessions
            assert session.verbs[-1] == "QUIT"
            assert None not in [exchange.reply for exchange in session.exchanges]


async def test_a_source_that_is_gone_makes_its_retries_move(tmp_path: Path) -> None:
    house = House("mx.shy.example", "127.0.1.1", tempers.greylisting(residents("ann"), 0.001))
    async with up(town_of(house)) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write("[retry]\ngreylist = [2, 1]\n")
        record = town.exchangers["mx.shy.example"].record
        async with at_work(daemon) as service:
            drop(daemon.spool, "list.txt", ["ann@shy.example"])
            await until(record.asked, "the first question")
            await progress_until(service, lambda job: job.waiting == 1, "one who waits")
            daemon.write("[retry]\ngreylist = [2, 1]\n", TWO)
            await service.reload()
            (row,) = await answered(daemon.spool, "list.txt")
    assert [each.client for each in record.sessions] == ["127.0.0.21", *["127.0.0.22"] * 2]
    assert said(row) == ("deliverable", "accepted")
    words = "(the source of the attempts before, 127.0.0.21, is gone)"
    assert row["probe_text"].endswith(words)
    ledger = Ledger(daemon.spool / "state" / "ledger.sqlite", read_only=True)
    assert explained(ledger, "ann@shy.example")["outcome"]["text"].endswith(words)
    ledger.close()


async def test_limits_and_timeouts(tmp_path: Path) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        record = town.exchangers["mx.quick.example"].record
        async with at_work(daemon) as service:
            daemon.write(
                "[limits]\nrecipients_per_session = 3\nstarts_per_second = 50\n"
                "[timeouts]\ncommand = 3\n"
            )
            await service.reload()
            people = [f"u{number}@quick.example" for number in range(6)]
            drop(daemon.spool, "list.txt", people)
            rows = await answered(daemon.spool, "list.txt")
        assert {said(row) for row in rows} == {("undeliverable", "no_such_mailbox")}
        assert max(session.verbs.count("RCPT") for session in record.sessions) == 3


async def test_tls_and_sites(tmp_path: Path, log: Log) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            daemon.write(
                '[tls]\nmode = "required"\n[[site]]\nname = "mx.quick.example"\ntls = "never"\n'
                '[[site]]\nname = ".example.net"\n'
            )
            await service.reload()
    said = " ".join(log.lines)
    assert "tls.mode was opportunistic, is required" in said
    assert "site was none, is mx.quick.example (tls never), .example.net" in said


async def test_rules(tmp_path: Path, log: Log) -> None:
    moon = Temper(mailboxes=residents("ann"), unknown="550 5.7.999 the moon is full")
    async with up(town_of(House("mx.moon.example", "127.0.1.1", moon))) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            (tmp_path / "own.toml").write_text(
                '[[rule]]\nname = "moon"\nlabel = "no_such_mailbox"\n'
                "words = ['the moon is full']\nground = \"our own exchangers\"\n"
            )
            daemon.write(rules='"own.toml"')
            await service.reload()
            drop(daemon.spool, "list.txt", ["eve@moon.example"])
            (row,) = await answered(daemon.spool, "list.txt")
    assert said(row) == ("undeliverable", "no_such_mailbox")
    assert log.having("rules was none, is moon")


async def test_a_job_may_choose_a_source_that_is_new(tmp_path: Path) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            daemon.write(sources=ONE + TWO)
            await service.reload()
            drop(daemon.spool, "list.txt.job.toml", 'sources = ["probe2.example.org"]\n')
            drop(daemon.spool, "list.txt", ["ann@quick.example"])
            (row,) = await answered(daemon.spool, "list.txt")
    assert row["probe_source"] == "127.0.0.22"


async def test_formulas_are_defused_from_now_on(tmp_path: Path) -> None:
    table = "email,note\nann@quick.example,=1+1\n"
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            drop(daemon.spool, "before.csv", table)
            (before,) = await answered(daemon.spool, "before.csv")
            daemon.write(defuse_formulas="true")
            await service.reload()
            drop(daemon.spool, "after.csv", table)
            (after,) = await answered(daemon.spool, "after.csv")
    assert (before["note"], after["note"]) == ("=1+1", "'=1+1")


async def test_flags_are_given_from_now_on(tmp_path: Path) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write(flags="false")
        async with at_work(daemon) as service:
            drop(daemon.spool, "before", ["info@quick.example"])
            (before,) = await answered(daemon.spool, "before")
            daemon.write()
            await service.reload()
            drop(daemon.spool, "after", ["info@quick.example"])
            (after,) = await answered(daemon.spool, "after")
    assert (before["probe_role_account"], after["probe_role_account"]) == ("", "true")


async def test_nothing_has_changed(tmp_path: Path, log: Log) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            await service.reload()
    assert log.having("read again") == [
        "info: reading 1: the configuration was read again: nothing has changed"
    ]


# ---------------------------------------------------------------- what has to wait, or is refused


async def test_the_spool_stays_until_the_next_start(tmp_path: Path, log: Log) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            daemon.write(spool='"elsewhere"', log_format='"json"')
            await service.reload()
            await service.reload()
            drop(daemon.spool, "list.txt", ["ann@quick.example"])
            await answered(daemon.spool, "list.txt")
    assert not (tmp_path / "elsewhere").exists()
    # Said every time: it is still so.
    later = ": that takes effect at the next start"
    lines = [
        f"warn: spool was {daemon.spool}, is {tmp_path}/elsewhere{later}",
        f"warn: log_format was text, is json{later}",
    ]
    assert log.having("next start") == lines * 2


BAD = {
    "no TOML": ("spool: x", "line 1, column 6: it is not TOML"),
    "a bad value": ("[timeouts]\ncommand = 0\n", "timeouts.command = 0: expected a number"),
    "no source": ("", "source: no source address is given"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD.keys())
async def test_row_166_a_bad_file_is_refused_and_the_old_one_stays(
    tmp_path: Path, log: Log, expect_errors: Any, text: str, words: str
) -> None:
    expect_errors(1)
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            if text.startswith("spool"):
                daemon.file.write_text(text)
            else:
                daemon.write(text, sources="" if not text else TWO)
            await service.reload()
            drop(daemon.spool, "list.txt", ["ann@quick.example"])
            (row,) = await answered(daemon.spool, "list.txt")
    assert row["probe_source"] == "127.0.0.21"
    (line,) = log.having("error: ")
    assert line.startswith(f"error: reading 1: the configuration stays as it was: {daemon.file}")
    assert words in line


async def test_a_new_source_of_another_machine_is_refused(
    tmp_path: Path, log: Log, expect_errors: Any
) -> None:
    expect_errors(1)
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon) as service:
            daemon.write(sources=TWO + TWO.replace("127.0.0.22", "192.0.2.1"))
            await service.reload()
            drop(daemon.spool, "list.txt", ["ann@quick.example"])
            (row,) = await answered(daemon.spool, "list.txt")
    assert row["probe_source"] == "127.0.0.21"
    assert log.having(f"{daemon.file}: source 192.0.2.1: this machine cannot send from it")


async def test_a_fault_of_ours_is_logged_and_the_daemon_goes_on(
    tmp_path: Path, log: Log, expect_errors: Any
) -> None:
    expect_errors(1)
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        config = daemon.read()
        answers: list[Config | Exception] = [RuntimeError("a fault"), config]

        def reread() -> Config:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        service = ProbeService(reactor, config, prepare(config), reread=reread)
        service.startService()
        await service.reload()
        await service.reload()
        await service.stopService()
    assert log.having("critical: the configuration could not be read again")
    assert log.having("nothing has changed")


def test_a_source_in_force_keeps_its_port(tmp_path: Path) -> None:
    """Its sessions may be using it: it is not tried again."""
    import socket

    def config(port: int) -> Config:
        (tmp_path / "x.toml").write_text(
            f'spool = "spool"\nreverse_path = "a@example.org"\n{ONE}port = {port}\n'
        )
        return read_config(file=tmp_path / "x.toml")

    with socket.socket() as session, socket.socket() as another:
        session.bind(("127.0.0.21", 0))
        another.bind(("127.0.0.21", 0))
        used, taken = session.getsockname()[1], another.getsockname()[1]
        assert reloaded(config(used), config(used)).changes == ()
        with pytest.raises(ConfigError, match="Address already in use"):
            reloaded(config(used), config(taken))


# ---------------------------------------------------------------- the signal


@pytest.fixture
def no_handler() -> Iterator[Any]:
    """SIGHUP kills, as in any process; pytest may have its own way."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    signal.signal(signal.SIGHUP, before)


async def test_sighup_reads_again(tmp_path: Path, log: Log, no_handler: None) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        async with at_work(daemon):
            daemon.write(sources=TWO)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: log.having("was read again"), "the configuration")
            drop(daemon.spool, "list.txt", ["ann@quick.example"])
            (row,) = await answered(daemon.spool, "list.txt")
    assert row["probe_source"] == "127.0.0.22"


async def test_sighup_during_the_start_and_the_stop(
    tmp_path: Path, log: Log, no_handler: None
) -> None:
    """It is heard once the daemon is up; while it ends, it is not worth dying of."""
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        config = daemon.read()
        service = ProbeService(reactor, config, prepare(config), reread=daemon.read)
        service.startService()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: log.having("was read again"), "the configuration")
        stopping = service.stopService()
        os.kill(os.getpid(), signal.SIGHUP)
        await service.reload()
        await stopping
    assert len(log.having("was read again")) == 1


async def test_a_daemon_without_a_file_leaves_sighup_alone(
    tmp_path: Path, no_handler: None
) -> None:
    async with up(town_of(quick())) as town:
        daemon = Daemon(town, tmp_path)
        daemon.write()
        config = daemon.read()
        service = ProbeService(reactor, config, prepare(config))
        service.startService()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        await service.reload()
        await service.stopService()
