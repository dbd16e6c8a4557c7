"""The one deadline of a session, and the one timer behind it.

Knows when a reply and the session are due, and a clock; not what is done when time is over.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime


@define(eq=False)
class Deadline:
    """Two moments, both absolute: the reply that is awaited has to be complete by the one
    (`reply_due`; None while none is), the session by the other (`session_due`), in seconds of
    `clock`. `over` is called at the earlier one.

    After either was moved, `watch` sees to the timer. A timer that rings too early is set again,
    so a reply costs no timer of its own.
    """

    _clock: IReactorTime
    _over: Callable[[], object] | None
    session_due: float = 0.0
    reply_due: float | None = None
    _timer: IDelayedCall | None = None

    @property
    def is_of_the_session(self) -> bool:
        """Whether it is the session's time that is over, and not that of one reply."""
        return self._clock.seconds() >= self.session_due

    @property
    def _due(self) -> float:
        if self.reply_due is None:
            return self.session_due
        return min(self.reply_due, self.session_due)

    def watch(self) -> None:
        """See to it that the timer rings at the deadline or before."""
        due = self._due
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._rung)

    def _rung(self) -> None:
        self._timer = None
        if self._clock.seconds() < self._due:
            self.watch()
        else:
            assert self._over is not None
            self._over()

    def stop(self) -> None:
        """For good: leave nothing behind in the reactor, and let go whoever would be called."""
        self._over = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
