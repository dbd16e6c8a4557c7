"""docs/examples/list_from_twisted.py, against a town."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from docs.examples import list_from_twisted
from tests.docs.running import EXAMPLES, ME, in_town, reactor, run
from twisted_probe.testing import Answer, House, Temper, Town

PROGRAM = str(EXAMPLES / "list_from_twisted.py")


def words_for(town: Town, path: Path, *addresses: str) -> list[str]:
    path.write_text("".join(f"{address}\n" for address in addresses), "utf-8")
    return [
        *(str(path), "--source", ME, "--reverse-path", town.reverse_path),
        *("--resolver", town.resolver, "--port", str(town.port)),
        *("--allow-network", town.networks[0]),
    ]


async def test_every_address_of_the_sample_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greylisting lets go after two seconds here."""
    async with in_town() as town:
        words = words_for(town, tmp_path / "list", *town.truth)
        await list_from_twisted.main(reactor, *words, "--patience=10", "--greylist=2.2")
        said = [line.rsplit(" ", 2) for line in capsys.readouterr().out.splitlines()]
    assert [address for address, _, _ in said] == list(town.truth)
    for address, verdict, reason in said:
        # What nobody can decide in ten seconds is still being waited for.
        assert (verdict, reason) in town.truth[address]


async def test_without_patience(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with in_town() as town:
        words = words_for(town, tmp_path / "list", "ann@library.example", "ann@orchard.example")
        await list_from_twisted.main(reactor, *words)
    assert capsys.readouterr().out.splitlines() == [
        "ann@library.example unknown greylisted",
        "ann@orchard.example deliverable accepted",
    ]


async def test_as_a_program(tmp_path: Path) -> None:
    async with in_town() as town:
        done = await run(
            PROGRAM,
            *words_for(town, tmp_path / "list", "ann@orchard.example", "", "no address"),
            directory=tmp_path,
        )
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "ann@orchard.example deliverable accepted",
        "no address undeliverable invalid_address",
    ]


def quiet_town() -> Town:
    house = House("mx.quiet.example", "127.0.3.1", Temper(greeting=Answer()))
    return Town([house], {"quiet.example": ["MX 10 mx.quiet.example"]}, sample="")


async def test_interrupted_during_a_session(tmp_path: Path) -> None:
    async with in_town(quiet_town()) as town:
        record = town.exchangers["mx.quiet.example"].record
        words = words_for(town, tmp_path / "list", "ann@quiet.example")
        done = await run(PROGRAM, *words, directory=tmp_path, interrupted=lambda: record.open > 0)
    assert (done.code, done.out, done.err) == (0, "", "interrupted\n")


async def test_interrupted_while_it_waits(tmp_path: Path) -> None:
    async with in_town() as town:
        record = town.exchangers["mx.library.example"].record
        words = words_for(town, tmp_path / "list", "ann@library.example")
        done = await run(
            *(PROGRAM, *words, "--patience", "600"),
            directory=tmp_path,
            interrupted=lambda: bool(record.sessions and record.sessions[0].ended),
        )
    assert (done.code, done.out, done.err) == (0, "", "interrupted\n")


async def test_cancelled_it_leaves_nothing(tmp_path: Path) -> None:
    async with in_town(quiet_town()) as town:
        words = words_for(town, tmp_path / "list", "ann@quiet.example")
        running = Deferred.fromCoroutine(list_from_twisted.main(reactor, *words))
        record = town.exchangers["mx.quiet.example"].record
        while not record.open:
            await deferLater(reactor, 0.001)
        running.cancel()
        await running


async def test_comments_and_blank_lines_are_not_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# ours\n\n  # theirs\nann@orchard.example\n  \n")

    assert list_from_twisted.lines_of(str(path)) == ["ann@orchard.example"]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["nowhere"], "No such file or directory: 'nowhere'"),
        (["list", "--source", "127.0.0.1"], "it has no HELO name"),
        (["list", "--allow-network", "home"], "'home'"),
    ],
)
async def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, wrong: list[str], complaint: str
) -> None:
    (tmp_path / "list").write_text("ann@orchard.example\n")
    usual = ["--source", "127.0.0.1=a.example.org", "--reverse-path", "p@example.org"]
    done = await run(PROGRAM, *usual, *wrong, directory=tmp_path)

    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("list_from_twisted.py: ")
    assert complaint in line
