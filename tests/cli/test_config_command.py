"""`mailprobe config`, and `mailprobe check --config`."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import MAILPROBE, run
from tests.daemon.running import town_of, up
from twisted_probe.cli import main
from twisted_probe.cli.config import EXIT_NOT_HERE
from twisted_probe.daemon.settings import REPEATED, SETTINGS
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents

GOOD = """
spool = "spool"
reverse_path = "probe@example.org"
resolvers = ["127.0.0.1:5353"]

[[source]]
address = "127.0.0.21"
helo = "probe1.example.org"

[[source]]
address = "127.0.0.22"
helo = "probe2.example.org"
port = 4000

[[site]]
name = ".example.net"
tls = "never"

[limits]
per_site = 2

[timeouts]
rfc = true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mailprobe.toml"
    path.write_text(GOOD)
    return path


Captured = pytest.CaptureFixture[str]


def rows(text: str) -> dict[str, tuple[str, str]]:
    """Value and origin of each setting that was printed."""
    head, *lines = text.splitlines()
    places = [head.index(word) for word in ("setting", "value", "from")]
    assert places[0] == 0
    return {
        line[: places[1]].strip(): (line[places[1] : places[2]].strip(), line[places[2] :])
        for line in lines
    }


# ---------------------------------------------------------------- --check


def test_a_good_file(file: Path, capsys: Captured) -> None:
    assert main(["config", "--check", str(file)]) == 0
    assert capsys.readouterr() == (
        f"{file}: it is good, and a daemon would start with it here\n",
        "",
    )


def test_the_file_that_is_shipped(capsys: Captured) -> None:
    shipped = Path(__file__).parent.parent.parent / "tap" / "mailprobe.toml"
    assert main(["config", "--check", str(shipped)]) == EXIT_NOT_HERE
    assert "mailprobe.toml: it is good" in capsys.readouterr().out


def test_a_bad_file(file: Path, capsys: Captured) -> None:
    file.write_text(GOOD.replace("per_site = 2", 'per_site = "2"'))
    assert main(["config", "--check", str(file)]) == 1
    assert capsys.readouterr() == (
        "",
        f'mailprobe config: {file}: limits.per_site = "2": expected a whole number of at least 1 '
        "and at most 50 (what Postfix grants one client)\n",
    )


def test_a_file_that_is_not_enough_for_a_daemon(
    file: Path, tmp_path: Path, capsys: Captured
) -> None:
    file.write_text("port = 26")
    assert main(["config", "--check", str(file)]) == 1
    assert f"{file}: spool: no directory is given" in capsys.readouterr().err
    words = (
        f"--spool={tmp_path}",
        "--source=127.0.0.21=probe1.example.org",
        "--reverse-path=a@example.org",
    )
    assert main(["config", "--check", str(file), *words]) == 0
    capsys.readouterr()


def test_a_file_that_is_not_there(tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "--check", str(tmp_path / "none.toml")]) == 1
    assert "none.toml: it cannot be read: No such file or directory" in capsys.readouterr().err


def test_sources_of_another_machine_can_be_checked_here(file: Path, capsys: Captured) -> None:
    file.write_text(GOOD.replace("127.0.0.21", "198.51.100.1"))
    assert main(["config", "--check", str(file)]) == EXIT_NOT_HERE
    assert capsys.readouterr() == (
        f"{file}: it is good; on this machine a daemon would not start with it\n",
        f"mailprobe config: on this machine: {file}: source 198.51.100.1: this machine cannot send "
        "from it (Cannot assign requested address); give one of its own addresses\n",
    )
    assert not (file.parent / "spool").exists()


def test_all_that_this_machine_has_against_it(file: Path, capsys: Captured) -> None:
    text = GOOD.replace("127.0.0.21", "198.51.100.1").replace("127.0.0.22", "198.51.100.2")
    file.write_text(text.replace('"spool"', '"/proc/spool"'))
    assert main(["config", "--check", str(file)]) == EXIT_NOT_HERE
    first, second, third = capsys.readouterr().err.splitlines()
    assert ("source 198.51.100.1: " in first, "source 198.51.100.2: " in second) == (True, True)
    assert f"{file}: spool /proc/spool: it is not there, and " in third
    assert " cannot make it in /proc: No such file or directory; make it" in third


def test_all_that_is_wrong_with_a_file(file: Path, capsys: Captured) -> None:
    file.write_text(
        'spool = "~/spool"\nprot = 25\n[[source]]\naddres = "127.0.0.21"\n'
        '[limits]\nper_site = 0\nsession = 5\n[[source]]\nport = -1\nhelo = "p"\n'
    )
    assert main(["config", "--check", str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    start = f"mailprobe config: {file}: "
    assert [line.removeprefix(start).partition(":")[0] for line in lines] == [
        'spool = "~/spool"',
        "prot",
        "limits.per_site = 0",
        "limits.session",
        "source[1].addres",
        "source[2].port = -1",
        'source[2].helo = "p"',
    ]
    assert lines[0].endswith("(~ is for shells; write the path in full)")


def test_more_that_is_wrong_than_anybody_reads(file: Path, capsys: Captured) -> None:
    file.write_text("".join(f"key{number} = 1\n" for number in range(30)))
    assert main(["config", "--check", str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (21, "mailprobe config: and 10 more")


def test_a_file_from_another_system(file: Path, capsys: Captured) -> None:
    """Some editors put a byte order mark before all."""
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert main(["config", "--check", str(file)]) == 0
    capsys.readouterr()


def test_a_spool_with_a_tilde_on_the_command_line(file: Path, capsys: Captured) -> None:
    assert main(["config", "--check", str(file), "--spool=~/spool"]) == 1
    assert capsys.readouterr().err == (
        "mailprobe config: --spool '~/spool': ~ is for shells; write the path in full\n"
    )


@pytest.mark.parametrize("key", ["", "rules"])
def test_nobody_waits_for_a_pipe(key: str, file: Path, capsys: Captured) -> None:
    odd = file.parent / "odd"
    os.mkfifo(odd)
    file.write_text(f'{key} = "odd"\n{GOOD}' if key else GOOD)
    assert main(["config", "--check", str(file if key else odd)]) == 1
    assert f"{odd}: it is a pipe, and has to be a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [(), ("--check",), ("--check", "x", "--show"), ("--show", "--chekc")]
)
def test_wrong_usage(words: tuple[str, ...], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["config", *words])
    assert caught.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize("more", [("--config", "other.toml"), ("--json",)])
def test_options_that_do_not_go_with_check(
    more: tuple[str, ...], file: Path, capsys: Captured
) -> None:
    assert main(["config", "--check", str(file), *more]) == 2
    assert "--check FILE names the file itself" in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["config", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "Exit code: 0 when a daemon would start with it, 1 when it is wrong, 2 for" in words
    assert "3 from --check when the file is good and this machine" in words


# ---------------------------------------------------------------- --show


def test_every_setting_its_value_and_its_origin(file: Path, capsys: Captured) -> None:
    assert main(["config", "--show", "--config", str(file), "--port", "2525"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    shown = rows(out)
    names = [setting.name for setting in SETTINGS if setting.table not in REPEATED]
    assert [name for name in shown if not name.endswith("]")] == names
    assert shown["spool"] == (f'"{file.parent}/spool"', str(file))
    assert shown["port"] == ("2525", "command line")
    assert shown["limits.per_site"] == ("2", str(file))
    assert shown["limits.sessions"] == ("500", "default")
    assert shown["timeouts.rfc"] == ("true", str(file))
    assert shown["timeouts.command"] == ("300", "timeouts.rfc")
    assert shown["timeouts.quit"] == ("2", "default")
    assert shown["retry.greylist"] == ("[300, 900, 1800, 3600]", "default")
    assert shown["helo"] == ("-", "-")
    assert shown["resolvers"] == ('["127.0.0.1:5353"]', str(file))
    assert shown["source[2]"] == (
        '{address = "127.0.0.22", helo = "probe2.example.org", port = 4000}',
        str(file),
    )
    assert shown["site[1]"] == ('{name = ".example.net", tls = "never"}', str(file))


def test_all_options_of_the_daemon(file: Path, capsys: Captured) -> None:
    words = ("--log-format=json", "--log-addresses", "--spool-group=4242", "--spool=/x")
    assert main(["config", "--show", "--config", str(file), *words]) == 0
    shown = rows(capsys.readouterr().out)
    for name, value in (
        ("log_format", '"json"'),
        ("log_addresses", "true"),
        ("spool_group", '"4242"'),
        ("spool", '"/x"'),
    ):
        assert shown[name] == (value, "command line")


def test_nothing_is_told(capsys: Captured) -> None:
    """All defaults; and that a daemon needs more."""
    assert main(["config", "--show"]) == 1
    out, err = capsys.readouterr()
    assert err == "mailprobe config: a daemon would refuse this: --spool: no directory is given\n"
    shown = rows(out)
    assert shown["spool"] == shown["source"] == shown["reverse_path"] == ("-", "-")
    assert shown["resolvers"][1] == "default: this machine's"
    assert {origin for _, origin in shown.values()} == {"-", "default", "default: this machine's"}


def test_in_json(file: Path, capsys: Captured) -> None:
    assert main(["config", "--show", "--config", str(file), "--json"]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(shown) == list(
        dict.fromkeys(
            setting.table if setting.table in REPEATED else setting.name for setting in SETTINGS
        )
    )
    assert shown["limits.per_site"] == {"value": 2, "from": str(file)}
    assert shown["helo"] == {"value": None, "from": "default"}
    assert shown["source"]["value"][1] == {
        "address": "127.0.0.22",
        "helo": "probe2.example.org",
        "port": 4000,
    }


def test_a_bad_value_is_not_shown(file: Path, capsys: Captured) -> None:
    file.write_text("control = 1")
    assert main(["config", "--show", "--config", str(file)]) == 1
    assert capsys.readouterr() == (
        "",
        f"mailprobe config: {file}: control = 1: expected true or false\n",
    )


def test_a_terminal_is_not_written_to_by_a_file(file: Path, capsys: Captured) -> None:
    file.write_text('spool_group = "a"\nrules = "\\u001b[2J"\n' + GOOD)
    assert main(["config", "--show", "--config", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


# ---------------------------------------------------------------- check


def test_check_takes_the_file(file: Path, capsys: Captured) -> None:
    """It says nothing of the spool, and of sources as the file calls them."""
    file.write_text(GOOD.replace("127.0.0.21", "198.51.100.1"))
    assert main(["check", "--config", str(file), "ann@example.net"]) == 2
    assert capsys.readouterr() == (
        "",
        f"mailprobe check: {file}: source 198.51.100.1: this machine cannot send from it (Cannot "
        "assign requested address); give one of its own addresses\n",
    )


async def test_check_asks_as_the_file_says(tmp_path: Path) -> None:
    """And needs no spool; the command line wins."""
    file = tmp_path / "mailprobe.toml"
    house = House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann")))
    async with up(town_of(house)) as town:
        file.write_text(
            f"""
            reverse_path = "survey@example.org"
            resolvers = ["{town.resolver}"]
            port = 1
            allow_networks = ["{town.networks[0]}"]
            control = false
            [[source]]
            address = "127.0.0.22"
            helo = "probe2.example.org"
            """
        )
        words = ("--config", "mailprobe.toml", "--port", str(town.port))
        ended = await run(
            MAILPROBE, "check", *words, "--json", "ann@quick.example", directory=tmp_path
        )
        assert (ended.code, ended.err) == (0, "")
        (session,) = town.exchangers["mx.quick.example"].record.sessions
    outcome = json.loads(ended.out)
    assert (outcome["source"], outcome["helo"]) == ("127.0.0.22", "probe2.example.org")
    assert session.verbs == ["EHLO", "MAIL", "RCPT", "QUIT"]
    assert session.commands[1] == ("MAIL", "FROM:<survey@example.org>")


def test_check_says_what_is_wrong_with_the_file(file: Path, capsys: Captured) -> None:
    file.write_text(GOOD + "quit = 'soon'")
    assert main(["check", "--config", str(file), "ann@example.net"]) == 2
    assert f'{file}: timeouts.quit = "soon": expected a number' in capsys.readouterr().err


# ---------------------------------------------------------------- doctor


def test_doctor_says_what_is_wrong_with_the_file(file: Path, capsys: Captured) -> None:
    file.write_text(GOOD.replace("per_site = 2", "per_site = 200"))
    assert main(["doctor", "--config", str(file)]) == 2
    assert f"mailprobe doctor: {file}: limits.per_site = 200: exp" in capsys.readouterr().err


async def test_doctor_looks_at_what_the_file_says(file: Path, tmp_path: Path) -> None:
    ended = await run(MAILPROBE, "doctor", "--config", file.name, "--json", directory=tmp_path)
    lines = [json.loads(line) for line in ended.out.splitlines()]
    subjects = " ".join(line["subject"] for line in lines)
    for subject in ("127.0.0.21", "127.0.0.22", "127.0.0.1:5353", f"{tmp_path}/spool"):
        assert subject in subjects
    assert "Traceback" not in ended.err


# ---------------------------------------------------------------- on a terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_a_terminal(file: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["config", "--show", "--config", str(file)]) == 0
    lines = terminal.getvalue().splitlines()
    places = [lines[0].index(word) for word in ("value", "from")]
    told = [line for line in lines if line.startswith(("limits.per_site ", "source[1]"))]
    assert [line[places[1] :] for line in told] == ["mailprobe.toml"] * 2
    # Nothing of a value is lost.
    text = " ".join(line[places[0] : places[1]].strip() for line in lines)
    assert 'helo = "probe2.example.org", port = 4000}' in text
    if not any(len(word) > width - 50 for word in text.split()):
        assert max(map(len, lines)) <= width
