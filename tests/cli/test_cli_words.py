"""The words of the command line, which cost nothing to ask for."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from twisted_probe import __version__
from twisted_probe.cli import main

#: Runs a command line and says which heavy modules that has imported.
SPY = """
import sys
from twisted_probe.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {name.split(".")[0] for name in sys.modules} & {"twisted", "OpenSSL", "sqlite3", "rich"}
    print("imported:", *sorted(heavy), file=sys.stderr)
"""


def spied(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SPY, *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_imports_no_twisted() -> None:
    done = spied("--help")
    assert done.returncode == 0
    assert done.stderr == "imported:\n"
    for command in ("check", "demo"):
        assert f"\n    {command} " in done.stdout


@pytest.mark.parametrize("command", ["check", "demo"])
def test_help_of_a_command_imports_no_twisted(command: str) -> None:
    done = spied(command, "--help")
    assert done.returncode == 0
    assert done.stderr == "imported:\n"
    assert f"usage: mailprobe {command} " in done.stdout


def test_version_imports_no_twisted() -> None:
    done = spied("--version")
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == (f"mailprobe {__version__}\n", "imported:\n")


GOOD = ("--source", "127.0.0.21=probe1.example.org", "--reverse-path", "probe@example.org")

WRONG_USAGE = {
    "no command": ((), "the following arguments are required: COMMAND"),
    "an unknown command": (("chekc",), "invalid choice: 'chekc'"),
    "no address": (("check", *GOOD), "the following arguments are required: ADDRESS"),
    "an unknown option": (("demo", "--kepp", "x"), "unrecognized arguments: --kepp x"),
    "an option without its value": (("check", "--source"), "expected one argument"),
}


@pytest.mark.parametrize(("words", "complaint"), WRONG_USAGE.values(), ids=WRONG_USAGE.keys())
def test_wrong_usage(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err


WRONG_SETTINGS = {
    "no source": (
        ("--reverse-path", "probe@example.org"),
        "--source: no source address is given; nothing is ever sent from an address that was not "
        "chosen",
    ),
    "no reverse-path": (
        ("--source", "127.0.0.21=probe1.example.org"),
        "--reverse-path: none is given; set an address of yours that receives mail",
    ),
    "a source without HELO": (
        ("--source", "127.0.0.21", "--reverse-path", "probe@example.org"),
        "--source '127.0.0.21': it has no HELO name; write --source ADDRESS=NAME or --helo NAME "
        "with a name that resolves to this address",
    ),
    "a source of another machine": (
        ("--source=192.0.2.1", "--helo=probe1.example.org", "--reverse-path=probe@example.org"),
        "--source 192.0.2.1: this machine cannot send from it (Cannot assign requested address); "
        "give one of its own addresses",
    ),
    "a bad port": ((*GOOD, "--port", "smtp"), "--port 'smtp': it is not a number"),
    "a bad resolver": (
        (*GOOD, "--resolver", "[::1]:dns"),
        "--resolver '[::1]:dns': invalid literal for int() with base 10: 'dns'",
    ),
    "a bad network": (
        (*GOOD, "--allow-network", "10.1.2.3/8"),
        "--allow-network '10.1.2.3/8': 10.1.2.3/8 has host bits set",
    ),
}


@pytest.mark.parametrize(("words", "complaint"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_wrong_settings_of_check(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words, "ann@example.net"]) == 2
    assert capsys.readouterr() == ("", f"mailprobe check: {complaint}\n")


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit):
        main(["--version"])
    out.write("✔ žofie")
    out.flush()
    out.seek(0)
    assert out.read().endswith("\\u2714 \\u017eofie")
