"""The budget of one site, one exchanger address or one source: what is left of it now.

Knows numbers and moments; not what they are of (`routing.sites`).
"""

from __future__ import annotations

from math import inf

from attrs import define


@define(eq=False)
class Budget:
    """`active` sessions, when the next may start (`next_start`), and the rejected recipients that
    are `spent`: as many flow off every second as the limits allow."""

    active: int = 0
    next_start: float = 0.0
    spent: float = 0.0
    counted_at: float = 0.0

    def count(self, now: float, per_second: float) -> None:
        """Let flow off what has since."""
        self.spent = max(0.0, self.spent - (now - self.counted_at) * per_second)
        self.counted_at = now

    def earliest(
        self, now: float, *, sessions: float, wanted: float, burst: float, per_second: float
    ) -> float:
        """When a session may start that may have `wanted` recipients rejected; `inf` while others
        must end first."""
        if self.active >= sessions:
            return inf
        self.count(now, per_second)
        beyond = self.spent + min(wanted, burst) - burst
        # Time is not divided more finely than this, or the last fraction is never waited out.
        room = now if beyond <= 1e-6 else now + beyond / per_second
        return max(now, self.next_start, room)

    def even_at(self, per_second: float) -> float:
        """When all is made good that was borne until now."""
        return max(self.next_start, self.counted_at + self.spent / per_second)

    def is_idle(self, now: float, per_second: float) -> bool:
        """Whether it says nothing any more."""
        self.count(now, per_second)
        return not self.active and self.next_start <= now and self.spent <= 1e-6
