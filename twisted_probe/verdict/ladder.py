"""How long to wait before a recipient is asked again.

Knows the steps and when they end; not the clock, nor whether another attempt is worth its
while (`verdict.judge` says so).
"""

from __future__ import annotations

from attrs import frozen

from twisted_probe.verdict.hints import LONGEST_HINT
from twisted_probe.vocabulary.outcome import Reason, Verdict

#: Seconds: 5, 15, 30, 60 min. Postgrey lets pass after 5 min, others after up to an hour.
GREYLIST_STEPS = (300.0, 900.0, 1800.0, 3600.0)

#: Seconds: 5, 15, 60, 240 min. Postfix begins with 300 s and ends at 4000 s between attempts.
TEMPORARY_STEPS = (300.0, 900.0, 3600.0, 14400.0)


@frozen
class Ladder:
    """The steps, in seconds, between one attempt and the next."""

    greylist: tuple[float, ...] = GREYLIST_STEPS
    temporary: tuple[float, ...] = TEMPORARY_STEPS

    def delay(self, reason: Reason, attempt: int, hint: float | None = None) -> float | None:
        """Seconds to wait after `attempt` attempts (1 or more), or None: the ladder has ended.

        A `hint` of the exchanger wins where it is longer, up to `LONGEST_HINT`; it never makes
        the ladder longer. `greylisted` climbs the greylist's steps, and so does `unconfirmed`,
        whose control stays undecided mostly because it is greylisted. Reasons that are answers
        have no ladder: None.

        Raises ValueError when `attempt` is less than 1.
        """
        if attempt < 1:
            raise ValueError(f"attempt {attempt}: the first attempt is number 1")
        steps = self._steps(reason)
        if attempt > len(steps):
            return None
        step = steps[attempt - 1]
        return step if hint is None else max(step, min(hint, LONGEST_HINT))

    def _steps(self, reason: Reason) -> tuple[float, ...]:
        if reason in (Reason.GREYLISTED, Reason.UNCONFIRMED):
            return self.greylist
        return self.temporary if reason.verdict is Verdict.UNKNOWN else ()


DEFAULT_LADDER = Ladder()


def delay(reason: Reason, attempt: int, hint: float | None = None) -> float | None:
    """`Ladder.delay` on the default ladder."""
    return DEFAULT_LADDER.delay(reason, attempt, hint)
