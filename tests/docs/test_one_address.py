"""The example program, from start to exit code, against the exchangers of the sandbox."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from twisted.internet import reactor as _reactor
from twisted.internet.threads import deferToThread

from tests.docs.programs import one_address
from twisted_probe.sandbox import street
from twisted_probe.sandbox.town import Town

reactor: Any = _reactor

#: Seconds that library.example lets a new triplet wait here.
DELAY = 0.2

US, LISTED = street.SOURCES


@asynccontextmanager
async def in_town(greylist_delay: float = DELAY) -> AsyncIterator[Town]:
    town = Town(street.houses(greylist_delay))
    await town.start(reactor)
    try:
        yield town
    finally:
        await town.stop()


def words(
    town: Town, recipient: str, *options: str, exchanger: str | None = None, source: Any = US
) -> list[str]:
    """A command line for the exchanger of the recipient's domain."""
    domain = recipient.partition("@")[2]
    address = {house.name: house.address for house in town.houses}.get(f"mx.{domain}")
    return [
        exchanger or str(address),
        recipient,
        f"--port={town.port}",
        f"--source={source.address}",
        f"--helo={source.helo}",
        f"--reverse-path={town.reverse_path}",
        "--allow-network=127.0.0.0/8",
        *options,
    ]


async def ask(*arguments: Any, **named: Any) -> int:
    code: int = await one_address.run(
        reactor, one_address.read_arguments(words(*arguments, **named))
    )
    return code


async def test_alive(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "ann@orchard.example") == 0
    assert capsys.readouterr() == ("ann@orchard.example seems to be alive.\n", "")
    (session,) = town.exchangers["mx.orchard.example"].record.sessions
    assert (session.client, session.helo) == (US.address, US.helo)
    assert session.commands == [
        ("EHLO", US.helo),
        ("MAIL", f"FROM:<{town.reverse_path}>"),
        ("RCPT", "TO:<ann@orchard.example>"),
        ("QUIT", ""),
    ]


async def test_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "nobody@orchard.example") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ERROR: 127.0.1.1: 550 5.1.1 ")
    assert "User unknown" in err
    (session,) = town.exchangers["mx.orchard.example"].record.sessions
    assert session.verbs[-1] == "QUIT"


async def test_full_for_now() -> None:
    """A 4xx is never for good."""
    async with in_town() as town:
        assert await ask(town, "hoarder@orchard.example") == 3


async def test_greylisted_then_alive(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "ann@library.example", f"--wait={DELAY}") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "ann@library.example: asking again in 0.2 s",
        "ann@library.example seems to be alive.",
    ]
    assert "Greylisted" in err
    first, second = town.exchangers["mx.library.example"].record.sessions
    assert first.commands == second.commands
    assert second.started - first.started >= DELAY


async def test_greylisted_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town(greylist_delay=60) as town:
        assert await ask(town, "ann@library.example", "--wait=0.01", "--tries=2") == 3
    out, err = capsys.readouterr()
    assert "alive" not in out
    assert err.count("Greylisted") == 2
    assert len(town.exchangers["mx.library.example"].record.sessions) == 2


async def test_blocklisted(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "ann@castle.example", source=LISTED) == 3
        assert await ask(town, "ann@castle.example", source=US) == 0
    assert "spamhaus" in capsys.readouterr().err


async def test_turned_away_by_the_greeting(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "ann@fortress.example") == 3
    assert "ERROR: 127.0.1.14: 554 " in capsys.readouterr().err
    (session,) = town.exchangers["mx.fortress.example"].record.sessions
    assert session.verbs == ["QUIT"]


async def test_nobody_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        vacant = street.VACANT_ADDRESS
        assert await ask(town, "ann@mountain.example", exchanger=vacant) == 4
    assert f"ERROR: {vacant}: Connection was refused" in capsys.readouterr().err


async def test_it_ends_too_early(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "ann@drawbridge.example") == 4
    assert "the exchanger closed the connection" in capsys.readouterr().err


async def test_a_transcript(capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        assert await ask(town, "ben@orchard.example", "--transcript") == 0
    out, err = capsys.readouterr()
    assert out == "ben@orchard.example seems to be alive.\n"
    assert err.splitlines() == [
        "S: 220 mx.orchard.example ESMTP Postfix (Debian/GNU)",
        "C: EHLO probe1.example.org",
        "S: 250-mx.orchard.example",
        "S: 250-PIPELINING",
        "S: 250-SIZE 10240000",
        "S: 250-ENHANCEDSTATUSCODES",
        "S: 250 8BITMIME",
        "C: MAIL FROM:<probe@example.org>",
        "S: 250 2.1.0 Ok",
        "C: RCPT TO:<ben@orchard.example>",
        "S: 250 2.1.5 Ok",
        "C: QUIT",
        "S: 221 2.0.0 Bye",
    ]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["--port=99999"], "argument --port: '99999': it is not between 1 and 65535"),
        (["--port=smtp"], "argument --port: 'smtp': "),
        (["--timeout=-1"], "argument --timeout: '-1': it is not between 0.1 and 3600"),
        (["--timeout=nan"], "argument --timeout: 'nan': it is not between"),
        (["--wait=-1"], "argument --wait: '-1'"),
        (["--tries=0"], "argument --tries: '0'"),
        (["--reverse-path="], "argument --reverse-path: '': "),
        (["--source=mx.example.org"], "argument --source: 'mx.example.org': "),
        (["--source=mx.example.org"], "does not appear to be an IPv4 or IPv6 address"),
        (["--helo=localhost"], "it has no dot"),
        (["--source-port=70000"], "not between 0 and 65535"),
        (["--reverse-path=probe"], "it has no @"),
        (["--allow-network=home"], "argument --allow-network"),
        (["--wait=long"], "argument --wait"),
    ],
)
def test_wrong_usage(wrong: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    town = Town()
    town.port = 2525
    with pytest.raises(SystemExit) as caught:
        one_address.read_arguments(words(town, "ann@orchard.example", *wrong))
    assert caught.value.code == one_address.USAGE
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("wrong", ["", "ann b", "ann@", "x" * 300])
def test_an_exchanger_or_a_recipient_that_is_none(
    place: int, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    town = Town()
    town.port = 2525
    arguments = words(town, "ann@orchard.example")
    arguments[place] = wrong
    with pytest.raises(SystemExit) as caught:
        one_address.read_arguments(arguments)
    assert caught.value.code == one_address.USAGE
    assert f"argument {('exchanger', 'recipient')[place]}: '{wrong}': " in capsys.readouterr().err


def test_it_waits_as_the_old_one_did() -> None:
    town = Town()
    town.port = 2525
    arguments = one_address.read_arguments(words(town, "ann@orchard.example"))
    assert (arguments.wait, arguments.timeout, arguments.source.port) == (120.0, 30.0, 0)


@pytest.mark.parametrize(
    ("recipient", "code"), [("ann@orchard.example", 0), ("nobody@orchard.example", 1)]
)
async def test_as_a_program(recipient: str, code: int) -> None:
    async with in_town() as town:
        command = [sys.executable, one_address.__file__, *words(town, recipient)]
        ended = await deferToThread(
            subprocess.run, command, capture_output=True, text=True, timeout=30
        )
    assert ended.returncode == code, ended.stderr
    assert ("seems to be alive" in ended.stdout) is (code == 0)
    assert "Traceback" not in ended.stderr


async def test_wrong_usage_of_the_program() -> None:
    ended = await deferToThread(
        subprocess.run,
        [sys.executable, one_address.__file__],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert "usage:" in ended.stderr
