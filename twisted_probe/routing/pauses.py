"""What is paused: everything, sites, or sources; and what becomes of those who must not be asked.

Knows what is switched off now; not who switches nor how that is kept (`daemon.switchboard`). A
pause is a state and never a result: whoever is held was not asked, and no attempt is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted_probe.vocabulary.outcome import Outcome

#: Seconds until recipients of a paused site or source are looked at again: often enough for a
#: domain that moves to another site, seldom enough to cost next to nothing.
HOLD = 60.0


class Held(Exception):
    """Some recipients cannot be asked now: something is paused, this machine has trouble, or
    others come first.

    `outcomes` has one for each of the recipients in question, in order: that of who was answered
    before, None for who is held. `delay` is how many seconds asking them again is not worth the
    while; 0.0 where whoever paused will call.
    """

    def __init__(
        self, words: str, delay: float = 0.0, outcomes: Sequence[Outcome | None] = ()
    ) -> None:
        super().__init__(words)
        self.delay = delay
        self.outcomes = outcomes


class Crowded(Held):
    """Too many sessions wait for the site already; nothing is paused."""


class Pauses:
    """What is paused, to be changed at any time; nothing is at first.

    `is_stopped` is everything too, as long as the stop file is there. `sites` are names of
    sites, or of an exchanger that a site has; `sources` are addresses.
    """

    def __init__(self) -> None:
        self.everything = False
        self.is_stopped = False
        self.sites: set[str] = set()
        self.sources: set[str] = set()

    def has_site(self, site: str, hosts: Iterable[str] = ()) -> bool:
        """Whether this site is paused, by its name or by that of one of its exchangers."""
        names = (site, *site.split(","), *hosts)
        return bool(self.sites) and not self.sites.isdisjoint(names)

    def held(
        self, site: str | None = None, source: str | None = None, hosts: Iterable[str] = ()
    ) -> Held | None:
        """Why a session to `site`, which has the `hosts`, from `source` must not begin, or None;
        None for what is not known yet."""
        if self.everything:
            return Held("everything is paused")
        if self.is_stopped:
            return Held("the stop file is there")
        if site is not None and self.has_site(site, hosts):
            return Held(f"the site {site} is paused", HOLD)
        if source is not None and source in self.sources:
            return Held(f"the source {source} is paused", HOLD)
        return None
