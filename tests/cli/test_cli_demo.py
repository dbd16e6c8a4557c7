"""`mailprobe demo`: the real daemon, shown in a process of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.daemon.processes import MAILPROBE, Ended, running
from tests.daemon.running import until
from tests.sandbox.oddities import KNOWN_FAULTS
from twisted_probe.cli import main
from twisted_probe.cli.table import MAX_WIDTH
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.sample import sample_text, truth_of
from twisted_probe.sandbox.street import SOURCES

TRUTH = truth_of(sample_text())


def shown_path(ended: Ended, what: str) -> Path:
    """The path that stands behind "Results:" and the like."""
    (line,) = (line for line in ended.out.splitlines() if line.startswith(f"{what}:"))
    return Path(line.partition(":")[2].strip())


def check_what_is_shown(ended: Ended) -> None:
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("The daemon:  twistd --pidfile= mailprobe --spool ")
    rows = {line[:MAX_WIDTH]: line for line in lines}
    for address, expected in TRUTH.items():
        (row,) = {row for start, row in rows.items() if start.startswith(f"{address}  ")}
        words = row[len(address) :].split()
        assert (words[1], words[2]) in expected, row
    (by_source,) = (line for line in lines if line.startswith("By source:"))
    for source in SOURCES:
        assert f"{source.address} asked " in by_source
        assert f"--source {source.address}={source.helo}" in lines[0]
    assert shown_path(ended, "Results").is_file()
    assert shown_path(ended, "Summary").is_file()
    assert lines[-2].strip().startswith("twistd --pidfile= mailprobe --spool ")
    assert "--source 192.0.2.10=probe1.example.org --reverse-path " in lines[-1]
    # Nobody watches: no line is written over, and there are no colours.
    assert "\x1b" not in ended.out
    assert "\r" not in ended.out


async def test_demo(tmp_path: Path) -> None:
    """Two at once: each has a town, and ports, of its own."""
    kept, temporary = tmp_path / "kept", tmp_path / "temporary"
    temporary.mkdir()
    async with (
        running(MAILPROBE, "demo", "--keep", str(kept), directory=tmp_path) as keeping,
        running(
            *(MAILPROBE, "demo"), directory=tmp_path, environment={"TMPDIR": str(temporary)}
        ) as other,
    ):
        kept_end, other_end = await keeping.end(), await other.end()
    check_what_is_shown(kept_end)
    check_what_is_shown(other_end)
    assert shown_path(kept_end, "Results") == kept / "done" / "sample.txt.results.csv"
    (spool,) = temporary.iterdir()
    assert shown_path(other_end, "Results") == spool / "done" / "sample.txt.results.csv"


async def test_an_interrupted_demo_ends_and_takes_its_spool_along(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    async with running(
        *(MAILPROBE, "demo"), directory=tmp_path, environment={"TMPDIR": str(temporary)}
    ) as process:
        await until(lambda: "The list:" in process.out or process.is_over, "the dropped list")
        process.signal(signal.SIGINT)
        ended = await process.end()
    assert ended.code == 1
    assert ended.err == "mailprobe demo: interrupted\n"
    assert os.listdir(temporary) == []


def test_results_of_an_earlier_demo_are_not_shown_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "done").mkdir()
    assert main(["demo", "--keep", str(tmp_path)]) == 2
    assert capsys.readouterr() == ("", f"mailprobe demo: --keep {tmp_path}: it is not empty\n")


async def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with running(
        MAILPROBE, "demo", "--keep", str(tmp_path / "file" / "spool"), directory=tmp_path
    ) as process:
        ended = await process.end()
    assert ended.code == 1
    assert ended.err == (
        f"mailprobe demo: --spool: the spool {tmp_path}/file/spool: it cannot be made: "
        "Not a directory\n"
    )


# --- With the hostile exchangers ---------------------------------------------------------------


async def test_the_hostile_street(tmp_path: Path) -> None:
    async with running(MAILPROBE, "demo", "--with", "hostile", directory=tmp_path) as process:
        ended = await process.end()
    assert ended.err == ""
    first, _, _, header, _, *rows, _, total = ended.out.splitlines()
    assert first.startswith(f"{len(CATALOGUE)} exchangers of all tempers at 127.0.2.1 ")
    assert header.split() == ["temper", "expected:", "living", "/", "others", "observed", "seconds"]
    shown = {row.split()[1]: row.split() for row in rows}
    assert list(shown) == list(CATALOGUE)
    wrong = {name for name, words in shown.items() if words[0] == "✘"}
    assert wrong == KNOWN_FAULTS.keys()
    assert total == f"{len(CATALOGUE)} tempers, {len(wrong) or 'none'} not as expected"
    assert ended.code == (1 if wrong else 0)
    assert shown["ssh"][1:4] == ["ssh", "protocol_error", "protocol_error"]
    assert float(shown["ssh"][4]) < 60


async def test_an_interrupted_visit_to_the_hostile_street(tmp_path: Path) -> None:
    async with running(MAILPROBE, "demo", "--with", "hostile", directory=tmp_path) as process:
        await until(lambda: "haste" in process.out or process.is_over, "the first words")
        process.signal(signal.SIGINT)
        ended = await process.end()
    assert (ended.code, ended.err) == (1, "mailprobe demo: interrupted\n")


def test_there_is_no_spool_to_keep_in_the_hostile_street(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--with", "hostile", "--keep", str(tmp_path)]) == 2
    words = "mailprobe demo: --keep: there is no spool with --with hostile\n"
    assert capsys.readouterr() == ("", words)
