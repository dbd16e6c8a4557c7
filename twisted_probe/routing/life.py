"""Whether the reactor is still there.

Knows what every reactor of Twisted's tells of itself; a fake that tells nothing never ends.
"""

from __future__ import annotations

from typing import Any


class Life:
    """The life of `reactor`, from when this was made on.

    A connection or a port that is opened after its end would stay open, and nobody would ever
    hear of it again: as it ends, the reactor loses all connections, and whoever hears of that
    must not dial the next exchanger.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._has_begun = False
        call_when_running = getattr(reactor, "callWhenRunning", None)
        if call_when_running is not None:
            call_when_running(self._begin)

    def _begin(self) -> None:
        self._has_begun = True

    @property
    def is_over(self) -> bool:
        """Whether it has run and runs no more."""
        return self._has_begun and not self._reactor.running
