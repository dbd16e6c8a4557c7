"""From where: the sources, in turn, and those that a site has refused.

Knows which source may go to which site; not whether an address works (the kernel says so at the
bind) nor how many sessions a site gets (`routing.sites`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

#: Seconds that a source stays away from a site that refused it.
BENCH = 24 * 3600.0
#: Sources refused within that time after which a site is left alone by all of them: nobody's
#: block is walked past with a pool of addresses (design rule 5).
MAX_REFUSED = 2


class Sources:
    """The sources of one prober. `now` is passed in, in seconds of any one clock."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = _distinct(sources)
        self._benched: dict[tuple[str, str], float] = {}

    def replace(self, sources: Iterable[Source]) -> None:
        """Be these sources from now on. Who has refused whom stays known, also of those that are
        gone: a block is not walked past by a change of addresses."""
        self._sources = _distinct(sources)

    @property
    def families(self) -> frozenset[int]:
        """The address families that can be reached at all."""
        return self.families_for(NO_WISHES)

    def families_for(self, wishes: Wishes) -> frozenset[int]:
        """The address families that the sources of these wishes reach."""
        return frozenset(source.family for source in self._sources if wishes.allow(source))

    @property
    def all(self) -> tuple[Source, ...]:
        """The sources; the one whose turn is next comes first."""
        return tuple(self._sources)

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses that this machine sends from."""
        return frozenset(source.address for source in self._sources)

    def named(self, address: str) -> Source | None:
        """The source of that address, when it still is one."""
        return next((each for each in self._sources if each.address == address), None)

    def choose(
        self,
        site: str,
        families: frozenset[int],
        now: float,
        paused: Collection[str] = (),
        wishes: Wishes = NO_WISHES,
    ) -> Source | None:
        """The next source in turn that `site` has not refused, of one of `families`, not `paused`
        and as the `wishes` have it; None when there is none, or when the site refused too many."""
        refused = self._refused(site, now)
        if len(refused) >= MAX_REFUSED:
            return None
        for position, source in enumerate(self._sources):
            if source.address in paused or not wishes.allow(source):
                continue
            if source.family in families and source.address not in refused:
                # Those that were passed over keep their turn.
                self._sources.append(self._sources.pop(position))
                return source
        return None

    def benched(self, now: float) -> list[tuple[str, str, float]]:
        """The sources that stay away from a site: address, site, and until when."""
        return sorted(
            (address, site, until)
            for (address, site), until in self._benched.items()
            if until > now
        )

    def is_benched(self, source: Source, site: str, now: float) -> bool:
        """Whether `site` is to be left alone by this source."""
        refused = self._refused(site, now)
        return source.address in refused or len(refused) >= MAX_REFUSED

    def is_paused(self, site: str, now: float, wishes: Wishes = NO_WISHES) -> bool:
        """Whether `site` has refused so many sources that it is left alone by all, or by all that
        the `wishes` have."""
        refused = self._refused(site, now)
        wanted = [source.address for source in self._sources if wishes.allow(source)]
        return len(refused) >= MAX_REFUSED or (bool(wanted) and refused.issuperset(wanted))

    def bench(self, source: Source, site: str, now: float) -> float:
        """`site` has refused this source; until when it stays away."""
        until = self._benched[source.address, site] = now + BENCH
        return until

    def recall(self, address: str, site: str, until: float, now: float) -> None:
        """`site` has refused the source of this address before now. Nobody is kept away for
        longer than he would be if that were just now, however the clock was set since."""
        self._benched[address, site] = min(until, now + BENCH)

    def _refused(self, site: str, now: float) -> set[str]:
        for key in [key for key, until in self._benched.items() if until <= now]:
            del self._benched[key]
        return {address for address, where in self._benched if where == site}


def _distinct(sources: Iterable[Source]) -> list[Source]:
    found = list(sources)
    if not found:
        raise ValueError("a prober needs a source")
    addresses = [source.address for source in found]
    for address in addresses:
        if addresses.count(address) > 1:
            raise ValueError(f"source {address}: it is named twice")
    return found
