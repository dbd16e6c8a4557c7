"""From where: which of the sources goes next, by its share, its load and its benches.

Knows which source may go to which site; not whether an address works (the kernel says so at the
bind) nor how many sessions a site gets (`routing.sites`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from ipaddress import ip_network

from twisted_probe.routing.benches import (
    BENCH,
    EVERYWHERE,
    MAX_REFUSED,
    SEVERAL_WITHIN,
    UNPLUMBED,
    Benches,
    key_of,
)
from twisted_probe.routing.sites import pressed
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

__all__ = ["BENCH", "EVERYWHERE", "MAX_REFUSED", "Sources"]


class Sources:
    """The sources of one prober. `now` is passed in, in seconds of any one clock."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = _distinct(sources)
        self._families = _families(self._sources)
        self._benches = Benches()
        # The same by exchanger address: many sites may be one host under names of their own.
        self._hosts = Benches()
        # Which cannot be bound is a matter of each address, also of those of one network.
        self._suspensions = Benches()
        self._unplumbed: dict[str, float] = {}  # since when
        self._load: Counter[str] = Counter()
        # How much of its share each has had: the least goes first (stride scheduling).
        self._strides: Counter[str] = Counter()

    def replace(self, sources: Iterable[Source]) -> None:
        """Be these sources from now on. Who has refused whom stays known, also of those that are
        gone: a block is not walked past by a change of addresses."""
        self._sources = _distinct(sources)
        self._families = _families(self._sources)
        self._strides.clear()

    @property
    def families(self) -> frozenset[int]:
        """The address families that can be reached at all."""
        return self._families

    def families_for(self, wishes: Wishes) -> frozenset[int]:
        """The address families that the sources of these wishes reach."""
        if wishes.sources is None:
            return self._families
        return _families([source for source in self._sources if wishes.allow(source)])

    @property
    def all(self) -> tuple[Source, ...]:
        """The sources; the one whose turn is next comes first."""
        return tuple(sorted(self._sources, key=self._turn))

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
        """The source that has the least to do for its weight, and of equals the next in turn,
        which `site` has not refused, of one of `families`, not `paused` and as the `wishes` have
        it; None when there is none, or when the site refused too many."""
        if self._is_left_alone(site, now):
            return None
        able = [
            source
            for source in self._sources
            if source.address not in paused
            and source.family in families
            and wishes.allow(source)
            and self._may_go(source, site, now)
        ]
        if not able:
            return None
        source = min(able, key=lambda each: (self._busy(each), *self._turn(each)))
        # Neither those that were passed over nor those that went alone have more than a turn to
        # make up for.
        others = [self._strides[each.address] for each in self._sources if each is not source]
        mine, turn = self._strides[source.address], _STRIDE // source.weight
        least = min(self._strides[each.address] for each in able)
        self._strides[source.address] = min(max(mine, least), max(others, default=0)) + turn
        self._sources.remove(source)
        self._sources.append(source)
        return source

    def load(self, source: Source) -> int:
        """What it has to do now: attempts."""
        return self._load[source.address]

    def _busy(self, source: Source) -> float:
        return self._load[source.address] / source.weight

    def _turn(self, source: Source) -> tuple[int, int]:
        return self._strides[source.address], self._sources.index(source)

    # --- At work -----------------------------------------------------------------------------

    def begin(self, source: Source, site: str) -> None:
        """It has something to do at this site, until `end`."""
        self._load[source.address] += 1
        self._benches.begin(key_of(source), site)
        self._suspensions.begin(source.address, EVERYWHERE)

    def end(self, source: Source, site: str, *, went_well: bool) -> None:
        """That is over; whether the site talked to it."""
        self._load[source.address] -= 1
        if not self._load[source.address]:
            del self._load[source.address]
        self._benches.end(key_of(source), site, went_well=went_well)
        is_plumbed = source.address not in self._unplumbed
        self._suspensions.end(source.address, EVERYWHERE, went_well=is_plumbed)

    # --- Refusals ----------------------------------------------------------------------------

    def benched(self, now: float) -> list[tuple[str, str, float]]:
        """The sources that stay away from a site: address (IPv6: network), site, and until
        when."""
        return self._benches.all(now)

    def is_refused(self, source: Source, site: str, now: float) -> bool:
        """Whether `site` has refused this source (IPv6: one of its network)."""
        return key_of(source) in self._benches.refused(site, now)

    def is_benched(self, source: Source, site: str, now: float) -> bool:
        """Whether `site` is to be left alone by this source."""
        return self.is_refused(source, site, now) or self._is_left_alone(site, now)

    def is_suspended(self, source: Source, now: float) -> bool:
        """Whether this source stays away from everywhere."""
        return key_of(source) in self._benches.refused(
            EVERYWHERE, now
        ) or source.address in self._suspensions.refused(EVERYWHERE, now)

    def may_go(self, source: Source, site: str, now: float) -> bool:
        """Whether this source may go to `site`, if need be as the one that tries again."""
        return not self._is_left_alone(site, now) and self._may_go(source, site, now)

    def _may_go(self, source: Source, site: str, now: float) -> bool:
        return self._benches.may_go(key_of(source), site, now) and self._suspensions.may_go(
            source.address, EVERYWHERE, now
        )

    def is_paused(self, site: str, now: float, wishes: Wishes = NO_WISHES) -> bool:
        """Whether `site` has refused so many sources that it is left alone by all, or by all that
        the `wishes` have."""
        refused = self._benches.refused(site, now)
        wanted = [key_of(source) for source in self._sources if wishes.allow(source)]
        return len(refused) >= MAX_REFUSED or (bool(wanted) and refused.issuperset(wanted))

    def is_shut_out(self, source: Source, address: str, now: float) -> bool:
        """Whether the exchanger at `address` is to be left alone by this source, under whatever
        name it is met."""
        refused = self._hosts.refused(pressed(address), now)
        return len(refused) >= MAX_REFUSED or key_of(source) in refused

    def bench(self, source: Source, site: str, now: float, address: str | None = None) -> float:
        """`site` has refused this source, at the exchanger of that `address`; until when it stays
        away from both."""
        who = key_of(source)
        if address is not None:
            self._hosts.add(who, pressed(address), now, BENCH)
        until = self._benches.add(who, site, now, BENCH)
        if self._benches.is_refused_by_several(who, now):
            self._benches.add(who, EVERYWHERE, now, SEVERAL_WITHIN)
        return until

    def suspend(self, source: Source, now: float) -> float:
        """This machine cannot send from the source; until when nobody tries."""
        self._unplumbed[source.address] = now
        return self._suspensions.add(source.address, EVERYWHERE, now, UNPLUMBED)

    def plumbed(self, source: Source, began: float) -> None:
        """This machine could send from the source when a session began."""
        if self._unplumbed.get(source.address, began) < began:
            del self._unplumbed[source.address]

    def are_unplumbed(self, sources: Iterable[Source]) -> bool:
        """Whether this machine can send from none of these, as far as is known; they are some."""
        return all(each.address in self._unplumbed for each in sources)

    def recall(self, who: str, site: str, until: float, now: float) -> None:
        """`site` has refused the source of this address (IPv6: network) before now. Nobody is
        kept away for longer than he would be if that were just now, however the clock was set
        since. The `site` may be the address of an exchanger instead."""
        benches = self._hosts if _is_address(site) else self._benches
        benches.add(who, site, now, min(until - now, BENCH))

    def _is_left_alone(self, site: str, now: float) -> bool:
        return len(self._benches.refused(site, now)) >= MAX_REFUSED


#: One turn of a source of weight 1.
_STRIDE = 1 << 20


def _is_address(site: str) -> bool:
    try:
        ip_network(site)
    except ValueError:
        return False
    return True


def _families(sources: Iterable[Source]) -> frozenset[int]:
    return frozenset(source.family for source in sources)


def _distinct(sources: Iterable[Source]) -> list[Source]:
    found = list(sources)
    if not found:
        raise ValueError("a prober needs a source")
    for address, times in Counter(source.address for source in found).items():
        if times > 1:
            raise ValueError(f"source {address}: it is named twice")
    return found
