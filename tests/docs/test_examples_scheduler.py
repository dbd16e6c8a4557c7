"""docs/examples/own_scheduler.py, against a town."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from docs.examples import own_scheduler
from tests.docs.running import EXAMPLES, ME, in_town, reactor, run
from twisted_probe.testing import Town

PROGRAM = str(EXAMPLES / "own_scheduler.py")


def words_for(town: Town, *queues: str, pace: float = 0.01, most: int = 20) -> list[str]:
    return [
        *queues,
        *("--source", ME, "--reverse-path", town.reverse_path, "--port", str(town.port)),
        *("--pace", str(pace), "--most", str(most)),
    ]


ORCHARD = "127.0.1.1=ann@orchard.example,nobody@orchard.example,ben@orchard.example"


async def test_exchangers_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        words = words_for(town, ORCHARD, "127.0.1.2=ann@brewery.example", most=2)
        await own_scheduler.main(reactor, *words)
        orchard = town.exchangers["mx.orchard.example"].record
        # Two recipients, and another session for the third; each of them took leave.
        assert [session.verbs for session in orchard.sessions] == [
            ["EHLO", "MAIL", "RCPT", "RCPT", "QUIT"],
            ["EHLO", "MAIL", "RCPT", "QUIT"],
        ]
        assert orchard.clients == {"127.0.0.21": 2}
    assert [line[:30] for line in capsys.readouterr().out.splitlines()] == [
        "ann@orchard.example: 250 2.1.5 Ok"[:30],
        "ann@brewery.example: 250 Accepted"[:30],
        "nobody@orchard.example: 550 5.1.1"[:30],
        "ben@orchard.example: 250 2.1.5 Ok"[:30],
    ]


async def test_the_pace() -> None:
    async with in_town() as town:
        await own_scheduler.main(reactor, *words_for(town, ORCHARD, pace=0.1))
        asked = town.exchangers["mx.orchard.example"].record.asked("RCPT")
    times = [exchange.at for _, exchange in asked]
    assert all(second - first >= 0.09 for first, second in pairwise(times))


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("127.0.1.14", "not answered: 127.0.1.14: 554 mx.fortress.example No SMTP service here"),
        ("127.0.1.12", "not answered: 127.0.1.12: 550 5.1.8 <probe@example.org>"),
        ("127.0.1.18", "not answered: 127.0.1.18: not an SMTP reply"),
        ("127.0.1.17", "not answered: 127.0.1.17: "),
        ("127.0.9.9", "not answered: 127.0.9.9: Connection was refused"),
    ],
)
async def test_trouble_ends_a_queue(
    host: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with in_town() as town:
        queues = f"{host}=ann@a.example,ben@a.example", "127.0.1.1=ann@orchard.example"
        await own_scheduler.main(reactor, *words_for(town, *queues))
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == [
        "ann@a.example",
        "ben@a.example",
        "ann@orchard.example",
    ]
    for line in said[:2]:
        assert line.split(": ", 1)[1].startswith(words)


async def test_what_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        queue = "127.0.1.1=nobody,ann@orchard.example"
        await own_scheduler.main(reactor, *words_for(town, queue))
    assert capsys.readouterr().out.splitlines() == [
        "nobody: no address: it has no @",
        "ann@orchard.example: 250 2.1.5 Ok",
    ]


async def test_cancelled_it_takes_leave() -> None:
    async with in_town() as town:
        record = town.exchangers["mx.orchard.example"].record
        running = Deferred.fromCoroutine(
            own_scheduler.main(reactor, *words_for(town, ORCHARD, pace=60))
        )
        while not record.asked("RCPT"):
            await deferLater(reactor, 0.001)
        await deferLater(reactor, 0.05)
        running.cancel()
        with pytest.raises(CancelledError):
            await running
        assert record.sessions[0].verbs[-1] == "QUIT"


async def test_as_a_program(tmp_path: Path) -> None:
    async with in_town() as town:
        words = words_for(town, "127.0.1.1=ann@orchard.example")
        done = await run(PROGRAM, *words, directory=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out == "ann@orchard.example: 250 2.1.5 Ok\n"
