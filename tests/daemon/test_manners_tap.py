"""The samples in tap/: a unit that systemd understands and that is shut in, a .tac that loads."""

from __future__ import annotations

import configparser
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IServiceCollection, loadApplication
from twisted.logger import ILogObserver

from tests.daemon.processes import TWISTD, running
from tests.daemon.running import until
from tests.interop import packages
from tests.lacking import end_without
from twisted_probe.daemon.logs import DaemonLog
from twisted_probe.daemon.service import ProbeService
from twisted_probe.tap import Options

TAP = Path(__file__).parent.parent.parent / "tap"
UNIT = TAP / "mailprobe.service"
#: What `systemd-analyze security` may say at most; 10 is all open, and 9.6 a plain unit.
MAX_EXPOSURE = 1.5


# ---------------------------------------------------------------- the unit


Analyze = Callable[..., str]


@pytest.fixture(scope="module")
def analyze() -> Analyze:
    """What systemd-analyze, which asks no running systemd, says of a file.

    Nothing is installed for it: the package is unpacked beside those of the interop tests.
    """
    try:
        root = packages.root(("systemd",))
    except packages.UnavailableError as reason:
        end_without("systemd-analyze", reason)
    libraries = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu/systemd")]
    units = [root / "usr/lib/systemd/system", root / "lib/systemd/system"]
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "SYSTEMD_UNIT_PATH": ":".join(map(str, units)),
    }

    def analyzed(*words: str | Path) -> str:
        done = subprocess.run(
            [root / "usr/bin/systemd-analyze", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return analyzed


def test_systemd_understands_it(tmp_path: Path, analyze: Analyze) -> None:
    unit = tmp_path / "mailprobe.service"
    # A program that is on this machine; the rest is as it is shipped.
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/twistd", sys.executable))
    assert analyze("verify", "--man=no", unit) == ""


def test_systemd_would_complain(tmp_path: Path, analyze: Analyze) -> None:
    unit = tmp_path / "mailprobe.service"
    words = UNIT.read_text().replace("/usr/local/bin/twistd", sys.executable)
    unit.write_text(words.replace("\nType=notify\n", "\nType=notifies\n"))
    assert "Failed to parse service type, ignoring: notifies" in analyze("verify", "--man=no", unit)


@pytest.mark.parametrize("restrict", ["yes", "no"])
def test_it_is_shut_in(tmp_path: Path, restrict: str, analyze: Analyze) -> None:
    """Also where a spool group needs directories that are setgid."""
    unit = tmp_path / "mailprobe.service"
    words = UNIT.read_text()
    assert words.count("\nRestrictSUIDSGID=yes\n") == 1
    unit.write_text(words.replace("SUIDSGID=yes", f"SUIDSGID={restrict}"))
    said = analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for mailprobe\.service: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MAX_EXPOSURE


def unit_settings() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text().replace("\\\n", ""))
    return dict(parser["Service"])


def test_its_command_is_one_that_we_understand() -> None:
    words = unit_settings()["ExecStart"].split()
    assert words[:4] == ["/usr/local/bin/twistd", "--nodaemon", "--pidfile=", "--logfile=-"]
    options = Options()
    options.parseOptions(words[words.index("mailprobe") + 1 :])  # type: ignore[no-untyped-call]
    config = options.config()
    assert str(config.spool) == "/var/lib/mailprobe/spool"
    assert [source.address for source in config.sources] == ["192.0.2.10"]


def test_its_codes_and_times_are_ours() -> None:
    from twisted_probe.daemon.service import GRACE
    from twisted_probe.tap import EXIT_CONFIG

    settings = unit_settings()
    assert settings["Type"] == "notify"
    assert settings["RestartPreventExitStatus"] == str(EXIT_CONFIG)
    assert settings["SuccessExitStatus"] == str(128 + signal.SIGTERM)
    assert float(settings["TimeoutStopSec"]) >= GRACE + 10


# ---------------------------------------------------------------- the .tac


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "MAILPROBE_SPOOL": str(tmp_path / "spool"),
        "MAILPROBE_SOURCES": "127.0.0.21=probe1.example.org 127.0.0.22=probe2.example.org",
        "MAILPROBE_REVERSE_PATH": "mail@example.net",
    }


async def test_the_tac_loads(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    application: Any = loadApplication(str(TAP / "mailprobe.tac"), "python")
    service = IServiceCollection(application).getServiceNamed("mailprobe")
    assert isinstance(service, ProbeService)
    assert isinstance(application.getComponent(ILogObserver), DaemonLog)
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == [
        *("active", "done", "failed", "new", "state", "tmp"),
    ]
    await service.stopService()


@pytest.mark.parametrize("logfile", ["-", "mailprobe.log"])
async def test_the_tac_runs(environment: dict[str, str], tmp_path: Path, logfile: str) -> None:
    async with running(
        *(TWISTD, "--pidfile=", "-noy", str(TAP / "mailprobe.tac")),
        directory=tmp_path,
        environment={**environment, "MAILPROBE_LOGFILE": logfile},
    ) as daemon:

        def log() -> str:
            if logfile == "-":
                return daemon.out
            file = tmp_path / logfile
            return file.read_text() if file.exists() else ""

        words = "127.0.0.21 (probe1.example.org), 127.0.0.22 (probe2.example.org) version="
        await until(lambda: words in log() or daemon.is_over, "the start")
        daemon.signal(signal.SIGTERM)
        ended = await daemon.end()
        assert ended.code == -signal.SIGTERM
        assert "daemon.service: mailprobe has stopped" in log()
