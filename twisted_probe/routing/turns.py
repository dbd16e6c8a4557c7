"""Work that comes in heaps, and is done a piece of it in each turn of the reactor.

Knows how long a turn may take; not what the work is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds of such work in one turn of the reactor, which ends with the call that goes beyond.
SLICE = 0.005


class Turns:
    """Makes calls in the order in which they come, as many in each turn of `clock` as it has time
    for. One that raises is logged, and the others are made all the same."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_at_work = False

    def take(self, calls: Iterable[Callable[[], object]]) -> None:
        """Make these, behind all that are waiting: for who has this turn to itself, and begins
        with them now."""
        self._waiting.extend(calls)
        if not self._is_at_work:
            self._work()

    def next(self) -> Deferred[None]:
        """Fires in the next turn that has time left: for who is one of many in this. To cancel it
        is to have it now."""
        waiting: Deferred[None] = Deferred(lambda waiting: waiting.callback(None))

        def its_turn() -> None:
            if not waiting.called:
                waiting.callback(None)

        self._waiting.append(its_turn)
        if not self._is_at_work:
            self._is_at_work = True
            self._clock.callLater(0, self._work)
        return waiting

    def _work(self) -> None:
        self._is_at_work = True
        until = self._clock.seconds() + SLICE
        while self._waiting:
            try:
                self._waiting.popleft()()
            except Exception:
                _log.failure("what had waited for its turn has failed")
            if self._waiting and self._clock.seconds() >= until:
                self._clock.callLater(0, self._work)
                return
        self._is_at_work = False
