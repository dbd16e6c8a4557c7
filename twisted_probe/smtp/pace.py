"""How long an exchanger takes over its replies, and what that shows. Pure.

Knows waits in seconds and rejections; not what is done about them (`smtp.conversation`).
"""

from __future__ import annotations

from attrs import define

from twisted_probe.smtp.limits import QUICK, SLOW, SLOW_IN_A_ROW
from twisted_probe.smtp.states import CLOSING, Verb


@define
class Pace:
    """The waits of one session, reply by reply. `now` is in seconds of one clock."""

    _since: float = 0.0  # when the reply that is due began to be awaited
    _rejections: int = 0
    _is_quick: bool = True  # whether recipients were answered at once until it became slow
    _slow: int = 0  # slow replies in a row
    _before: int = 0  # rejections before the first of them

    def asks(self, now: float) -> None:
        """A group of commands begins to leave."""
        self._since = now

    def heard(self, now: float, verb: Verb, code: int) -> None:
        """A command of the group in hand was answered."""
        wait, self._since = now - self._since, now
        if verb is not Verb.RCPT:
            return
        if wait >= QUICK:
            self._waited(wait)
        else:
            self._slow = 0
        if code >= 300 and code != CLOSING:
            self._rejections += 1

    def _waited(self, wait: float) -> None:
        if wait < SLOW:
            self._slow, self._is_quick = 0, False
            return
        if not self._slow:
            self._before = self._rejections
        self._slow += 1

    @property
    def slowed_after(self) -> int | None:
        """After how many rejections an exchanger that was quick began to take its time over
        every recipient; None where it did not."""
        is_sudden = self._is_quick and self._slow >= SLOW_IN_A_ROW
        return self._before if is_sudden and self._before else None
