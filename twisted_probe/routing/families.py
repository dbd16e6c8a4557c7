"""Which families of addresses there is a way to from here.

Knows runs of sites to which there was no route; not which sources there are (`routing.sources`)
nor what else may be wrong with this machine (`routing.watchdog`).
"""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field
from twisted.logger import Logger

from twisted_probe.routing.pauses import HOLD, Held
from twisted_probe.routing.watchdog import CANARY, MAX_RUN, PATIENCE

_log = Logger()


@define(eq=False)
class _Family:
    """The sites in a row that there was no route to; whether the way is lost, when the first
    canary went, and when the next may."""

    run: set[str] = field(factory=set)
    is_lost: bool = False
    since: float | None = None
    next_canary: float = 0.0


class Families:
    """Watches the routes of one prober. A family that is lost has nobody asked over it but a
    canary now and then; the first that gets through ends it. `now` is passed in, in seconds of
    any one clock."""

    def __init__(self) -> None:
        self._families = {4: _Family(), 6: _Family()}

    @property
    def lost(self) -> frozenset[int]:
        """The families that there is no way to."""
        return frozenset(family for family, each in self._families.items() if each.is_lost)

    def words(self, family: int) -> str:
        """What is wrong with a family that is lost."""
        return (
            f"no route leads to any IPv{family} address any more; look at the routes and the "
            "firewall of this machine"
        )

    def worked(self, family: int) -> None:
        """A session came about over it."""
        each = self._families[family]
        each.run.clear()
        if each.is_lost:
            each.is_lost, each.since = False, None
            _log.warn("IPv{family} works again; probing over it goes on", family=family)

    def failed(self, family: int, site: str) -> None:
        """There was no route to this site."""
        each = self._families[family]
        if each.is_lost:
            return
        each.run.add(site)
        if len(each.run) >= MAX_RUN:
            each.is_lost = True
            _log.critical(
                "IPv{family} is paused: {why} ({number} sites in a row had none)",
                family=family,
                why=self.words(family),
                number=len(each.run),
            )

    def closed(self, now: float) -> frozenset[int]:
        """The families that nobody may go over now: those that are lost, but for one whose canary
        is due."""
        return frozenset(each for each in self.lost if now < self._families[each].next_canary)

    def begin(self, family: int, now: float) -> None:
        """Somebody goes over it: as the canary, where it is lost."""
        each = self._families[family]
        each.next_canary = now + CANARY
        if each.is_lost and each.since is None:
            each.since = now

    def has_lasted(self, now: float) -> bool:
        """Whether canaries over one have failed for so long that nobody need wait for its way."""
        return any(
            each.since is not None and now - each.since >= PATIENCE
            for each in self._families.values()
        )

    def held(self, families: Collection[int]) -> Held | None:
        """Why no verdict may be given on what failed over these, or None where there is a way
        over one of them."""
        if not families or not self.lost.issuperset(families):
            return None
        return Held("; ".join(map(self.words, sorted(families))), HOLD)
