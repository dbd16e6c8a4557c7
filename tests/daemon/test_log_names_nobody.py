"""A whole job, with all that goes wrong in it, and no address in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from tests.daemon.asking import asking
from tests.daemon.running import answered, config_for, daemon_of, drop, town_of, until, up
from twisted_probe.cli.client import Refused
from twisted_probe.daemon import service
from twisted_probe.daemon.logs import DaemonLog
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.ledger_work import LedgerWork
from twisted_probe.routing.prober import Prober
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents

SECRET = "gwendolen"
FOLK = residents(f"ann {SECRET}")


class Sink:
    keeps_time = False
    trouble: str | None = None

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, level: str, lines: Sequence[str]) -> None:
        self.lines += lines


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[DaemonLog, Sink]]:
    sink = Sink()
    log = DaemonLog(sink, request.param)
    globalLogPublisher.addObserver(log)
    yield log, sink
    globalLogPublisher.removeObserver(log)


def once(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, words: object) -> None:
    """The first call of a method raises, with these words."""
    method = getattr(kind, name)
    raised: list[Exception] = []

    def failing(self: Any, *arguments: Any, **more: Any) -> Any:
        if not raised:
            raised.append(ValueError(words if isinstance(words, str) else arguments))
            raise raised[0]
        return method(self, *arguments, **more)

    monkeypatch.setattr(kind, name, failing)


async def test_a_job_and_its_troubles(
    tmp_path: Path,
    log: tuple[DaemonLog, Sink],
    monkeypatch: pytest.MonkeyPatch,
    expect_errors: Any,
) -> None:
    """Exchangers that echo the recipient, refuse, hang up and talk nonsense; a prober, a ledger
    and an API that fail with the recipients in their words; names of files that are addresses."""
    expect_errors(3)
    observer, sink = log
    monkeypatch.setattr(service, "SCAN", 0.02)
    monkeypatch.setattr(service, "IDLE", 0.02)
    once(monkeypatch, Prober, "ask", None)
    once(monkeypatch, LedgerWork, "report", None)
    once(monkeypatch, Ledger, "jobs_of", None)
    houses = [
        House(f"mx.{name}.example", f"127.0.1.{number}", temper)
        for number, (name, temper) in enumerate(
            {
                "quick": tempers.postfix(FOLK),
                "old": tempers.old(FOLK),
                "vague": tempers.vague(),
                "grey": tempers.greylisting(FOLK, 0.1),
                "wall": tempers.blocking(FOLK, "127.0.0.1"),
                "relay": tempers.relay_denying(),
                "gone": tempers.dropping(),
                "away": tempers.turning_away(),
                "noise": tempers.not_smtp(),
            }.items(),
            1,
        )
    ]
    spool = tmp_path / "spool"
    name = f"{SECRET}@lists.txt"
    lines = [f"{who}@{house.name[3:]}" for house in houses for who in ("nobody", SECRET)]
    async with up(town_of(*houses)) as town:
        config = config_for(town, spool, deadline=8.0)
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, name, [*lines, f"{SECRET} at quick.example", f"Miss {SECRET.upper()} <x"])
            drop(spool, f"{SECRET}@bad.csv", f"a,b\n{SECRET}@quick.example,1\n")
            drop(spool, f"{SECRET}@odd.xyz", "")
            rows = await answered(spool, name)
            assert len(rows) == len(lines) + 2
            await until((spool / "failed" / f"{SECRET}@odd.xyz").exists, "the odd one")
            for what in (lines[1], lines[1], f"{SECRET}@nowhere.example"):
                with suppress(Refused):
                    await asker.within(asker.client.explain, what)
            with suppress(Refused):
                await asker.switch("jobs", name, "cancel")
            await asker.switch("forget", lines[1])
            await asker.switch("forget", name)
    observer.flush(everything=True)
    text = "\n".join(sink.lines)
    assert "mailprobe works on" in text
    assert "a batch failed" in text
    assert "could not be kept" in text
    assert "a request to the API failed" in text
    assert "is done: " in text
    assert "something is forgotten" in text
    assert SECRET not in text.lower()
