"""What systemd is told of us: sd_notify(3), in our own few lines.

Knows the socket and the words; not when there is something to say.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from twisted.logger import Logger

_log = Logger()

#: Characters of a status: one line in `systemctl status`.
MAX_STATUS = 200


class Notifier:
    """Tells the service manager that has set NOTIFY_SOCKET in `environment`; nobody without it.

    A message that cannot be sent is no reason to stop: it is logged, and dropped.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        address = (environment or {}).get("NOTIFY_SOCKET", "")
        # "@" stands for the NUL of an abstract socket; vsock and the like are not for us.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._is_told = address.startswith(("/", "@"))

    @property
    def is_told(self) -> bool:
        """Whether there is somebody to tell."""
        return self._is_told

    def ready(self, status: str | None = None) -> None:
        """We work: after the start, and after a reload."""
        # The process that was started is not the one that works, once twistd has forked.
        self._send("READY=1", f"MAINPID={os.getpid()}", *_status(status))

    def reloading(self, status: str | None = None) -> None:
        """We have begun to read the configuration again; `ready` must follow."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", *_status(status))

    def stopping(self, status: str | None = None) -> None:
        """We have begun to end."""
        self._send("STOPPING=1", *_status(status))

    def status(self, status: str) -> None:
        """One line on how it goes."""
        self._send(*_status(status))

    def _send(self, *lines: str) -> None:
        if not self._is_told:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
                teller.setblocking(False)
                teller.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            _log.warn("the service manager could not be told: {why}", why=error.strerror)


def _status(status: str | None) -> tuple[str, ...]:
    """A line end within a status would begin another message."""
    return () if status is None else ("STATUS=" + " ".join(status.split())[:MAX_STATUS],)
