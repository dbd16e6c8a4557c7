"""`twistd mailprobe`: its words, and what becomes of them."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService, IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]

from twisted_probe.daemon.config import Config
from twisted_probe.daemon.preparation import User, prepare
from twisted_probe.daemon.service import EXIT_BROKEN, EXIT_IN_USE, ProbeService
from twisted_probe.tap import EXIT_CONFIG, Options, makeService
from twisted_probe.vocabulary.source import Source

GOOD = (
    "--source",
    "127.0.0.21=probe1.example.org",
    "--reverse-path",
    "probe@example.org",
    "--resolver",
    "127.0.0.1:5353",
)


@pytest.fixture(autouse=True)
def sighup() -> Iterator[None]:
    """Whoever runs these tests has it as before."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


def options_of(*words: str) -> Options:
    options = Options()
    options.parseOptions(list(words))  # type: ignore[no-untyped-call]
    return options


def test_all_options(tmp_path: Path) -> None:
    config = options_of(
        *("--spool", str(tmp_path)),
        *("--source", "127.0.0.21=probe1.example.org", "--source=127.0.0.22"),
        *("--helo", "probe2.example.org"),
        *("--reverse-path", "probe@example.org"),
        *("--resolver", "127.0.0.1:5353", "--resolver=127.0.0.2"),
        *("--port", "2525"),
        *("--allow-network", "127.0.0.0/8", "--allow-network=fc00::/7"),
    ).config()
    assert config == Config(
        spool=tmp_path,
        sources=(
            Source("127.0.0.21", helo="probe1.example.org"),
            Source("127.0.0.22", helo="probe2.example.org"),
        ),
        reverse_path="probe@example.org",
        resolvers=(("127.0.0.1", 5353), ("127.0.0.2", 53)),
        port=2525,
        allow_networks=("127.0.0.0/8", "fc00::/7"),
    )


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    config = options_of("--spool", str(tmp_path), *GOOD).config()
    assert config.port == 25
    assert config.allow_networks == ()


def test_one_command_line_leaves_nothing_to_the_next() -> None:
    options_of(*GOOD)
    assert Options().sources == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--verbose-ly",), "option --verbose-ly not recognized"),
        (("--source",), "option --source requires argument"),
        (("list.txt",), "Wrong number of arguments."),
    ],
)
def test_wrong_words_are_named(words: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        options_of(*words)
    assert str(caught.value) == complaint


def test_help_tells_of_every_option() -> None:
    text = " ".join(str(Options()).split())
    options = ("spool", "source", "helo", "reverse-path", "resolver", "port", "allow-network")
    assert [option for option in options if f" --{option}=" not in text] == []
    assert text.count("may be repeated") == 3


def test_the_plugin_leads_here() -> None:
    makers: Any = getPlugins(IServiceMaker)
    (maker,) = [maker for maker in makers if maker.tapname == "mailprobe"]
    assert maker.module == "twisted_probe.tap"
    options = maker.options()
    assert type(options) is Options
    assert maker.makeService is makeService


# ---------------------------------------------------------------- makeService


async def test_make_service(tmp_path: Path) -> None:
    service: Any = makeService(options_of("--spool", str(tmp_path), *GOOD))
    assert isinstance(service, ProbeService)
    assert IService.providedBy(service)
    # The lock is taken before twistd forks, and given back though the service never ran.
    with pytest.raises(SystemExit):
        makeService(options_of("--spool", str(tmp_path), *GOOD))
    await service.stopService()
    await makeService(options_of("--spool", str(tmp_path), *GOOD)).stopService()


def test_a_bad_setting_is_told_with_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        makeService(options_of("--spool", str(tmp_path), "--source", "127.0.0.21"))
    assert caught.value.code == EXIT_CONFIG == 78 == os.EX_CONFIG
    assert capsys.readouterr() == (
        "",
        "twistd mailprobe: --source '127.0.0.21': it has no HELO name; write --source "
        "ADDRESS=NAME or --helo NAME with a name that resolves to this address\n",
    )


def test_what_the_machine_refuses_is_told_with_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        makeService(options_of("--spool", str(tmp_path / "file" / "spool"), *GOOD))
    assert caught.value.code == EXIT_CONFIG
    assert capsys.readouterr().err == (
        f"twistd mailprobe: --spool: the spool {tmp_path}/file/spool: it cannot be made: "
        "Not a directory\n"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("has_begun", [False, True])
def test_a_disk_that_takes_nothing_is_told_with_70(
    has_begun: bool,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It may take something later, so systemd is to try again."""
    really = os.open

    def full(name: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number))
        return really(name, flags, *rest, **more)

    if has_begun:
        prepare(options_of("--spool", str(tmp_path), *GOOD).config()).release()
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(SystemExit) as caught:
        makeService(options_of("--spool", str(tmp_path), *GOOD))
    assert caught.value.code == EXIT_BROKEN
    assert capsys.readouterr().err.endswith(f": {os.strerror(number)}\n")


def test_a_second_daemon_is_told_with_75(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = prepare(options_of("--spool", str(tmp_path), *GOOD).config())
    lock.sign()
    with pytest.raises(SystemExit) as caught:
        makeService(options_of("--spool", str(tmp_path), *GOOD))
    lock.release()
    assert caught.value.code == EXIT_IN_USE == 75 == os.EX_TEMPFAIL
    assert capsys.readouterr() == (
        "",
        f"twistd mailprobe: {tmp_path}/state/lock: the spool is in use by "
        f"process {os.getpid()} (a daemon, or mailprobe forget or reclassify)\n",
    )


# ---------------------------------------------------------------- twistd's own options


def test_the_user_of_twistd() -> None:
    twistd: Any = ServerOptions()
    twistd.parseOptions(["--uid", "54321", "--gid", "12345", "mailprobe", *GOOD])
    assert twistd.subOptions.user == User(54321, 12345)


def test_no_user_of_twistd() -> None:
    twistd: Any = ServerOptions()
    twistd.parseOptions(["mailprobe", *GOOD])
    assert twistd.subOptions.user == User()
    assert options_of(*GOOD).user == User()
