"""The daemon's time: POSIX seconds that run evenly, whoever sets the machine's clock meanwhile.

Knows the machine's clocks and the reactor's; not what is timed, nor what an earlier process has
told by its own (`jobs.timekeeping`).
"""

from __future__ import annotations

import time
from typing import Any

from attrs import define
from twisted.logger import Logger

#: Seconds by which the machine's clock may be beside ours before that is told.
TOLD = 60.0

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Time in suspend counts: retries and deadlines come when they should.
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@define
class EvenTime:
    """A clock that was set once, by the machine's, and never again.

    `zero` is the POSIX time of the machine's start by it; `boot` names that start, and is empty
    where the machine does not.
    """

    log = Logger()

    boot: str
    zero: float
    _beside: float = 0.0

    @classmethod
    def begin(cls) -> EvenTime:
        """A clock that is right now."""
        return cls(_boot_id(), time.time() - time.clock_gettime(_SINCE_BOOT))

    def seconds(self) -> float:
        """Now."""
        return self.zero + time.clock_gettime(_SINCE_BOOT)

    def govern(self, reactor: Any) -> None:
        """Let the reactor go by this clock. Its own is the machine's: set back by an hour, that
        would hold up every timer for an hour, and set forward, end every wait."""
        reactor.seconds = self.seconds

    def look(self) -> None:
        """Tell when the machine's clock was set."""
        beside = time.time() - self.seconds()
        if abs(beside - self._beside) >= TOLD:
            self._beside = beside
            self.log.warn(
                "the machine's clock was set, and is {beside:.0f} s beside the daemon's; waits are "
                "as long as before, and times in results go by the daemon's until its next start",
                beside=beside,
            )


def _boot_id() -> str:
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
