"""Which sources stay away from where, for how long, and who may try again first.

Knows refusals and their ends; not whose turn it is (`routing.sources`).
"""

from __future__ import annotations

from ipaddress import IPv6Address

from attrs import define

from twisted_probe.vocabulary.source import Source

_HOUR = 3600.0
#: Seconds that a source stays away from a site that refused it.
BENCH = 24 * _HOUR
#: Sources refused within that time after which a site is left alone by all of them: nobody's
#: block is walked past with a pool of addresses (design rule 5).
MAX_REFUSED = 2
#: The name under which a source is benched at all sites.
EVERYWHERE = "*"
#: Sites that refuse a source within an hour until it is the source that is at fault: then it
#: stays away from all for an hour. An address that has come onto a block list meets many of them.
SEVERAL = 10
SEVERAL_WITHIN = _HOUR
#: Seconds that a source stays away from everywhere when this machine cannot send from it. To try
#: is nothing that anybody else would notice.
UNPLUMBED = 60.0
#: Seconds behind its end that a bench still asks for a canary.
TRIAL = 7 * 24 * _HOUR
#: Canaries that meet nobody, each after the other, until a bench is over without one that went
#: well: where only dead exchangers are left to ask, none ever would, and whoever is not the canary
#: had no source.
MAX_IN_VAIN = 3


@define(eq=False)
class _Bench:
    """`since` and `until` when; `is_tried` while a canary is on its way; how many came back
    `in_vain`."""

    since: float
    until: float
    is_tried: bool = False
    in_vain: int = 0


class Benches:
    """Benches by source and site. `now` is passed in, in seconds of any one clock.

    An IPv6 source has its whole /64 with it. Behind its end a bench lets one session through,
    the canary; when that went well, or some of them have met nobody, it is gone.
    """

    def __init__(self) -> None:
        self._benches: dict[str, dict[str, _Bench]] = {}

    def add(self, who: str, site: str, now: float, seconds: float) -> float:
        """Keep `who` (of `key_of`) away; until when."""
        self._forget(now)
        self._benches.setdefault(site, {})[who] = _Bench(now, now + seconds)
        return now + seconds

    def is_refused_by_several(self, who: str, now: float) -> bool:
        """Whether so many sites have refused it lately that it is not the sites' doing."""
        mine = (benches.get(who) for benches in self._benches.values())
        return sum(each is not None and each.since > now - SEVERAL_WITHIN for each in mine) >= (
            SEVERAL
        )

    def refused(self, site: str, now: float) -> set[str]:
        """Who stays away from this site."""
        return {who for who, each in self._benches.get(site, {}).items() if each.until > now}

    def all(self, now: float) -> list[tuple[str, str, float]]:
        """Who stays away from which site, and until when."""
        return sorted(
            (who, site, each.until)
            for site, benches in self._benches.items()
            for who, each in benches.items()
            if each.until > now
        )

    def may_go(self, who: str, site: str, now: float) -> bool:
        """Whether nothing keeps it away, nor another one's canary."""
        return not any(each.until > now or each.is_tried for each in self._of(who, site))

    def begin(self, who: str, site: str) -> None:
        """It goes there: as a canary, if a bench has ended."""
        for each in self._of(who, site):
            each.is_tried = True

    def end(self, who: str, site: str, *, went_well: bool) -> None:
        """It has been there, or has not come that far."""
        for where in (site, EVERYWHERE):
            benches = self._benches.get(where, {})
            bench = benches.get(who)
            if bench is None or not bench.is_tried:
                continue  # it went there before it was refused
            bench.is_tried = False
            bench.in_vain += 1
            if went_well or bench.in_vain >= MAX_IN_VAIN:
                del benches[who]

    def _of(self, who: str, site: str) -> list[_Bench]:
        found = (self._benches.get(where, {}).get(who) for where in (site, EVERYWHERE))
        return [each for each in found if each is not None]

    def _forget(self, now: float) -> None:
        for site, benches in list(self._benches.items()):
            kept = {who: each for who, each in benches.items() if each.until + TRIAL > now}
            if kept:
                self._benches[site] = kept
            else:
                del self._benches[site]


def key_of(source: Source) -> str:
    """What a source is benched as: its address, or the /64 of an IPv6 one."""
    if source.family == 4:
        return source.address
    return f"{IPv6Address(int(source.ip) >> 64 << 64)}/64"
