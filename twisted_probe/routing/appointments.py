"""When to come again, for those who have found a site's queue too long.

Knows one moment for each site and origin; not how long a queue may be, nor who stands in it
(`routing.sites`). Were all told to come again at the same time, those of one large site would keep
everybody else from being looked at; were all told so one behind the other, those of a small job
would wait until a large one's are through.
"""

from __future__ import annotations

#: Seconds until it is worth while to look again at all.
SOON = 10.0
#: Seconds after which everybody may look again: the site may have become faster.
LATE = 3600.0
#: Sites that are kept in mind.
MAX_SITES = 10_000


class Appointments:
    """Gives each who comes a moment of its own. `now` is passed in, in seconds of any one
    clock."""

    def __init__(self) -> None:
        self._last: dict[str, dict[int | None, float]] = {}

    def make(self, site: str, origin: int | None, now: float, seconds: float) -> float:
        """Seconds until whoever wants to ask `site`, and will take up `seconds` of its time, is
        to come again: behind those of the same `origin` who were told so before, at an equal
        share of the time with the other origins who have some that wait."""
        if site not in self._last and len(self._last) >= MAX_SITES:
            self._last = {
                each: lines for each, lines in self._last.items() if max(lines.values()) > now
            }
        lines = {each: at for each, at in self._last.get(site, {}).items() if at > now}
        soonest, latest = now + SOON, now + LATE
        behind = max(soonest, lines.get(origin, soonest))
        lines[origin] = at = min(latest, behind + seconds * len({*lines, origin}))
        self._last[site] = lines
        return at - now
