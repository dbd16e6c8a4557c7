"""How much of a session's replies is kept. Pure.

Knows octets; a stranger's words are cut here and nowhere else after they were put together.
"""

from __future__ import annotations

from attrs import define

from twisted_probe.smtp.limits import KEPT_LEAST, KEPT_REPLY, KEPT_SPARE, LINE_COST


@define
class Keeping:
    """The allowance of one session: `KEPT_LEAST` octets for every reply, and `KEPT_SPARE` more
    that go to those that need them, in the order in which they come."""

    _spare: int = KEPT_SPARE

    def cut(self, lines: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """As much of the texts of one reply as is kept: all of it, as a rule."""
        if len(lines) == 1 and len(lines[0]) + LINE_COST <= KEPT_LEAST:
            return lines
        allowed = min(KEPT_REPLY, KEPT_LEAST + self._spare)
        kept: list[bytes] = []
        used = 0
        for line in lines:
            room = allowed - used - LINE_COST
            if room <= 0:
                break
            kept.append(line[:room])
            used += len(kept[-1]) + LINE_COST
        self._spare -= max(0, used - KEPT_LEAST)
        return tuple(kept)
