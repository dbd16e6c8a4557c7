"""`mailprobe doctor`, as it is called and as it looks."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import Ended
from tests.docs.running import in_town, run
from twisted_probe.cli import main
from twisted_probe.cli.doctor import _Columns
from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.jobs.spool import Spool
from twisted_probe.testing import Town, Trouble

MAILPROBE = "import sys; from twisted_probe.cli import main; sys.exit(main())"
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def options(town: Town, *sources: str) -> list[str]:
    words = ["--reverse-path", town.reverse_path, "--resolver", town.resolver]
    words += ["--port", str(town.port or 25), "--allow-network", town.networks[0]]
    for source in sources or [f"{each.address}={each.helo}" for each in town.sources]:
        words += ["--source", source]
    return words


async def called(*words: str, directory: Path, **options: Any) -> Ended:
    """`mailprobe doctor` with these words."""
    return await run("-c", MAILPROBE, "doctor", *words, directory=directory, **options)


async def test_all_is_well(tmp_path: Path) -> None:
    Spool(tmp_path).close()
    async with in_town() as town:
        words = [*options(town), "--spool", str(tmp_path), "--exchanger", "mx.orchard.example"]
        done = await called(*words, directory=tmp_path)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == (
        f"ok    {'source 127.0.0.21'.ljust(max(len(f'spool {tmp_path}'), 30))}"
        "  bindable     an address of this machine"
    )
    assert re.fullmatch(r"\d+ ok, \d+ to note, 0 bad", lines[-1])
    # Aligned, one line for each check, and no colours in a pipe.
    starts = {
        line.index(check) for line in lines for check in ("bindable ", "SPF ") if check in line
    }
    assert len(starts) == 1
    assert "\x1b" not in done.out


async def test_something_is_bad(tmp_path: Path) -> None:
    async with in_town() as town:
        done = await called(*options(town, "127.0.0.23=probe1.example.org"), directory=tmp_path)
    assert (done.code, done.err) == (1, "")
    assert re.search(
        r"^BAD   source 127\.0\.0\.23 +reverse DNS  127\.0\.0\.23 has no PTR; ask your provider to "
        r"set it to probe1\.example\.org$",
        done.out,
        re.MULTILINE,
    )
    assert done.out.endswith(" 3 bad\n")


async def test_json(tmp_path: Path) -> None:
    async with in_town() as town:
        done = await called(
            *options(town, "127.0.0.23=probe1.example.org"), "--json", directory=tmp_path
        )
    assert (done.code, done.err) == (1, "")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert records[1] == {
        "subject": "source 127.0.0.23",
        "check": "reverse DNS",
        "status": "bad",
        "found": "127.0.0.23 has no PTR",
        "advice": "ask your provider to set it to probe1.example.org",
    }
    assert {record["status"] for record in records} == {"ok", "note", "bad"}


async def test_interrupted(tmp_path: Path) -> None:
    """What was told until then stays told."""
    async with in_town(Town([], {"": Trouble.SILENCE}, sample="")) as town:
        questions = town.name_server.questions
        done = await called(
            *options(town, "127.0.0.21=probe1.example.org"),
            directory=tmp_path,
            # It is asked again after two seconds; by then the reactor runs for sure.
            interrupted=lambda: [question.type for question in questions].count("NS") > 1,
        )
    assert (done.code, done.err) == (1, "mailprobe doctor: interrupted\n")
    assert "reverse DNS" in done.out
    assert "clock" not in done.out


GOOD = ("--source", "127.0.0.21=probe1.example.org", "--reverse-path", "probe@example.org")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "--source: no source address is given"),
        (GOOD[:2], "--reverse-path: none is given"),
        ((*GOOD, "--resolver", "[2001:db8::53]:0"), "the port is not between 1 and 65535"),
        ((*GOOD, "--exchanger", "mx:smtp"), "--exchanger 'mx:smtp': port 'smtp'"),
        ((*GOOD, "--port", "0"), "--port 0: it is not between 1 and 65535"),
    ],
)
def test_wrong_usage(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mailprobe doctor: ")
    assert complaint in err


# --- How it looks -----------------------------------------------------------------------------

LINES = [
    Line("source 192.0.2.10", "bindable", Status.OK, "an address of this machine"),
    Line("spool", "writable", Status.NOTE, "not looked at", "name the daemon's with --spool DIR"),
    Line("source 192.0.2.10", "reverse DNS", Status.BAD, "it has no PTR", "ask your provider"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((70, 24)))
    return Terminal()


def shown(out: io.StringIO) -> str:
    columns = _Columns(len("source 192.0.2.10"), out)
    for line in LINES:
        columns.show(line)
    return out.getvalue()


def test_in_a_file() -> None:
    assert shown(io.StringIO()).splitlines() == [
        "ok    source 192.0.2.10  bindable     an address of this machine",
        "note  spool              writable     not looked at; name the daemon's with --spool DIR",
        "BAD   source 192.0.2.10  reverse DNS  it has no PTR; ask your provider",
    ]


def test_on_a_terminal(terminal: Terminal) -> None:
    text = shown(terminal)
    assert ESCAPE.findall(text) == ["32", "0", "33", "0", "1;31", "0"]
    assert ESCAPE.sub("", text).splitlines() == [
        "ok    source 192.0.2.10  bindable     an address of this machine",
        "note  spool              writable     not looked at; name the daemon's",
        "                                      with --spool DIR",
        "BAD   source 192.0.2.10  reverse DNS  it has no PTR; ask your provider",
    ]


def test_on_a_terminal_without_colours(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(terminal)


@pytest.mark.parametrize("width", [60, 61, 62])
def test_words_go_below_where_they_have_no_room(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 24)))
    lines = ESCAPE.sub("", shown(terminal)).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[2:5] == [
        "note  spool              writable",
        "      not looked at; name the daemon's with --spool DIR",
        "BAD   source 192.0.2.10  reverse DNS",
    ]


def test_wide_characters(terminal: Terminal) -> None:
    columns = _Columns(12, terminal)
    columns.show(Line("spool 日本", "writable", Status.OK, "by ann"))
    columns.show(Line("machine", "clock", Status.OK, "right"))
    first, second = ESCAPE.sub("", terminal.getvalue()).splitlines()
    assert first == "ok    spool 日本    writable     by ann"
    assert second == "ok    machine       clock        right"


# --- Where it goes ------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["doctor", "doctor --json", "config --show"])
def test_a_full_disk(command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAILPROBE, *command.split(), *ASKS_NOBODY[command]],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (
        74,
        "mailprobe: standard output: No space left on device\n",
    )


@pytest.mark.parametrize("command", ["doctor", "doctor --json", "config --show"])
def test_nobody_reads_on(command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", MAILPROBE, *command.split(), *ASKS_NOBODY[command]],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


ASKS_NOBODY = {
    "doctor": (*GOOD, "--resolver", "127.0.0.1:9"),
    "doctor --json": (*GOOD, "--resolver", "127.0.0.1:9"),
    "config --show": (*GOOD, "--spool", "/tmp"),
}
