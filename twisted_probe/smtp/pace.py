"""How long an exchanger takes over its replies, and what that shows. Pure.

Knows waits in seconds and rejections; not what is done about them (`smtp.conversation`).
"""

from __future__ import annotations

from attrs import define

from twisted_probe.smtp.limits import QUICK, SLOW, SLOW_IN_A_ROW, STALL
from twisted_probe.smtp.states import CLOSING, Verb


@define
class Pace:
    """The waits of one session, reply by reply. `now` is in seconds of one clock.

    `is_stalled`: the last that was heard of the group in hand, a reply or the end, came after a
    silence out of all proportion. An exchanger that is slow is slow with all replies; one that
    falls silent in the middle of a pipeline takes it for answered, and waits itself.
    """

    is_stalled: bool = False
    _since: float = 0.0  # when the reply that is due began to be awaited
    _longest: float = 0.0  # of the group in hand; what came at once does not count
    _rejections: int = 0
    _is_quick: bool = True  # whether recipients were answered at once until it became slow
    _slow: int = 0  # slow replies in a row
    _before: int = 0  # rejections before the first of them

    def asks(self, now: float) -> None:
        """A group of commands begins to leave."""
        self.is_stalled, self._since, self._longest = False, now, 0.0

    def heard(self, now: float, verb: Verb, code: int) -> None:
        """A command of the group in hand was answered."""
        wait, self._since = now - self._since, now
        self.is_stalled = False
        if wait >= QUICK:
            self._waited(wait, verb)
        elif verb is Verb.RCPT:
            self._slow = 0
        if code >= 300 and code != CLOSING and verb is Verb.RCPT:
            self._rejections += 1

    def _waited(self, wait: float, verb: Verb) -> None:
        self.is_stalled = self._is_out_of_proportion(wait)
        self._longest = max(self._longest, wait)
        if verb is not Verb.RCPT:
            return
        if wait < SLOW:
            self._slow, self._is_quick = 0, False
            return
        if not self._slow:
            self._before = self._rejections
        self._slow += 1

    def ended(self, now: float, *, in_vain: bool) -> None:
        """The session ended while replies were awaited; `in_vain`: their time was over."""
        wait = now - self._since
        self.is_stalled = self.is_stalled or (
            wait > 2 * self._longest if in_vain else self._is_out_of_proportion(wait)
        )

    def _is_out_of_proportion(self, wait: float) -> bool:
        return wait > max(STALL, 2 * self._longest)

    @property
    def slowed_after(self) -> int | None:
        """After how many rejections an exchanger that was quick began to take its time over
        every recipient; None where it did not."""
        is_sudden = self._is_quick and self._slow >= SLOW_IN_A_ROW
        return self._before if is_sudden and self._before else None
