"""SIGHUP: caught as early as anybody can, and passed on once somebody listens; and SIGUSR1.

Knows the signals, which would end the process; not what is done about them (`daemon.service`,
`daemon.logs`). Nothing is imported here that takes time: it is needed while everything else is
imported.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Hangup:
    """SIGHUP ends nothing between `catch` and `release`, nor SIGUSR1 between `catch` and
    `leave_the_log`: a log that is not open yet need not be opened anew."""

    def __init__(self) -> None:
        self._before: Any = None
        self._is_caught = False
        self._has_rung = False
        self._listener: Callable[[], object] | None = None

    def catch(self) -> None:
        """From now on. Only the main thread can do so: elsewhere nothing happens."""
        if self._is_caught:
            return
        try:
            self._before = signal.signal(signal.SIGHUP, self._rang)
        except ValueError:
            return
        self._is_caught = True
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def leave_the_log(self) -> None:
        """Leave SIGUSR1 to the log, which takes it only from nobody."""
        if self._is_caught and signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)

    def tell(self, listener: Callable[[], object]) -> None:
        """Call `listener` whenever the signal comes, in its handler; and now, if it came before."""
        self._listener = listener
        if self._has_rung:
            self._has_rung = False
            listener()

    def release(self) -> None:
        """Both signals are again what they were before."""
        self.leave_the_log()
        if self._is_caught:
            self._is_caught = False
            signal.signal(signal.SIGHUP, self._before or signal.SIG_DFL)

    def _rang(self, number: int, frame: object) -> None:
        if self._listener is None:
            self._has_rung = True
        else:
            self._listener()
