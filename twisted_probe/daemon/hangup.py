"""SIGHUP: caught as early as anybody can, and passed on once somebody listens.

Knows the signal, which would end the process; not what is done about it (`daemon.service`). Nothing
is imported here that takes time: it is needed while everything else is imported.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Hangup:
    """SIGHUP ends nothing between `catch` and `release`."""

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

    def tell(self, listener: Callable[[], object]) -> None:
        """Call `listener` whenever the signal comes, in its handler; and now, if it came before."""
        self._listener = listener
        if self._has_rung:
            self._has_rung = False
            listener()

    def release(self) -> None:
        """SIGHUP is again what it was before."""
        if self._is_caught:
            self._is_caught = False
            signal.signal(signal.SIGHUP, self._before or signal.SIG_DFL)

    def _rang(self, number: int, frame: object) -> None:
        if self._listener is None:
            self._has_rung = True
        else:
            self._listener()
