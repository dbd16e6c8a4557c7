"""When to come again, for those who have found a site's queue too long.

Knows one moment for each site; not how long a queue may be, nor who stands in it
(`routing.sites`). Were all told to come again at the same time, those of one large site would keep
everybody else from being looked at.
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
        self._last: dict[str, float] = {}

    def make(self, site: str, now: float, seconds: float) -> float:
        """Seconds until whoever wants to ask `site`, and will take up `seconds` of its time, is
        to come again: behind those who were told so before."""
        if site not in self._last and len(self._last) >= MAX_SITES:
            self._last = {each: last for each, last in self._last.items() if last > now}
        soonest, latest = now + SOON, now + LATE
        at = min(latest, max(soonest, self._last.get(site, soonest)) + seconds)
        self._last[site] = at
        return at - now
