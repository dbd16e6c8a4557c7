"""What systemd is told, as sd_notify(3) has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from twisted_probe.daemon.notify import MAX_STATUS, Notifier


class Manager:
    """A service manager that listens at `address`."""

    def __init__(self, address: str) -> None:
        self.environment = {"NOTIFY_SOCKET": address.replace("\0", "@", 1)}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = []
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return messages
            messages.append(dict(line.split("=", 1) for line in text.split("\n")))


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    paths = {"file": f"{tmp_path}/notify", "abstract": f"\0{tmp_path}/notify"}
    manager = Manager(paths[request.param])
    yield manager
    manager.socket.close()


def test_ready(manager: Manager) -> None:
    Notifier(manager.environment).ready("works on /srv/mail")

    assert manager.heard() == [
        {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "works on /srv/mail"}
    ]


def test_stopping(manager: Manager) -> None:
    Notifier(manager.environment).stopping()

    assert manager.heard() == [{"STOPPING": "1"}]


def test_reloading(manager: Manager) -> None:
    """systemd compares it with its own clock, and waits for READY=1."""
    notifier = Notifier(manager.environment)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading("reads mailprobe.toml")
    notifier.ready()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    reloading, ready = manager.heard()
    assert before <= int(reloading.pop("MONOTONIC_USEC")) <= after
    assert reloading == {"RELOADING": "1", "STATUS": "reads mailprobe.toml"}
    assert ready == {"READY": "1", "MAINPID": str(os.getpid())}


def test_a_status_is_one_line(manager: Manager) -> None:
    Notifier(manager.environment).status("one\nMAINPID=1\r\n two" + "!" * 1000)

    (message,) = manager.heard()
    assert list(message) == ["STATUS"]
    assert message["STATUS"].startswith("one MAINPID=1 two!!!")
    assert len(message["STATUS"]) == MAX_STATUS


def test_the_process_is_the_one_that_works(manager: Manager) -> None:
    """Not the one that was started, once twistd has forked."""
    code = (
        "import os; from twisted_probe.daemon.notify import Notifier\n"
        "notifier = Notifier(os.environ)\n"
        "if os.fork(): os.wait(); os._exit(0)\n"
        "notifier.ready(); print(os.getpid())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **manager.environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert [message["MAINPID"] for message in manager.heard()] == [done.stdout.strip()]


@pytest.mark.parametrize(
    "environment", [None, {}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}]
)
def test_nobody_to_tell(environment: dict[str, str] | None, monkeypatch: Any) -> None:
    monkeypatch.setattr(socket, "socket", None)
    notifier = Notifier(environment)

    assert not notifier.is_told
    notifier.ready()
    notifier.status("well")
    notifier.stopping()


def test_nobody_listens(tmp_path: Path) -> None:
    """No reason to stop."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)  # type: ignore[arg-type]
    Notifier({"NOTIFY_SOCKET": f"{tmp_path}/nothing"}).ready()
    globalLogPublisher.removeObserver(events.append)  # type: ignore[arg-type]

    assert [(event["log_level"].name, event["why"]) for event in events] == [
        ("warn", "No such file or directory")
    ]


def test_a_manager_that_does_not_listen_is_not_waited_for(manager: Manager) -> None:
    notifier = Notifier(manager.environment)
    before = time.monotonic()
    for number in range(2000):
        notifier.status(str(number))

    assert time.monotonic() - before < 10
    assert manager.heard()[0] == {"STATUS": "0"}
