"""From where: whose turn it is, and which site has refused whom."""

from __future__ import annotations

import pytest

from twisted_probe.routing.sources import BENCH, Sources
from twisted_probe.vocabulary.source import Source

from .town_square import ONE, SIX, THREE, TWO

ANY = frozenset((4, 6))
V4 = frozenset((4,))
V6 = frozenset((6,))
SITE = "mx.example.net"


def chosen(
    sources: Sources, times: int, families: frozenset[int] = ANY, site: str = SITE
) -> list[Source | None]:
    return [sources.choose(site, families, 0.0) for _ in range(times)]


def test_in_turn() -> None:
    assert chosen(Sources([ONE, TWO, THREE]), 7) == [ONE, TWO, THREE, ONE, TWO, THREE, ONE]


def test_the_turn_goes_over_all_sites() -> None:
    sources = Sources([ONE, TWO])
    assert sources.choose("a", V4, 0.0) is ONE
    assert sources.choose("b", V4, 0.0) is TWO
    assert sources.choose("a", V4, 0.0) is ONE


def test_families() -> None:
    sources = Sources([ONE, SIX])
    assert sources.families == {4, 6}
    assert chosen(sources, 3, V4) == [ONE, ONE, ONE]
    assert chosen(sources, 2, V6) == [SIX, SIX]
    assert chosen(Sources([ONE]), 1, V6) == [None]
    assert Sources([ONE]).families == V4


def test_who_is_passed_over_keeps_the_turn() -> None:
    sources = Sources([SIX, ONE, TWO])
    assert chosen(sources, 2, V4) == [ONE, TWO]
    assert chosen(sources, 3) == [SIX, ONE, TWO]


def test_a_bench_is_for_one_site_and_a_day() -> None:
    sources = Sources([ONE, TWO, THREE])
    sources.bench(ONE, SITE, 100.0)
    assert chosen(sources, 3) == [TWO, THREE, TWO]
    assert sources.is_benched(ONE, SITE, 100.0 + BENCH - 1)
    assert not sources.is_benched(ONE, "elsewhere", 100.0)
    assert not sources.is_benched(TWO, SITE, 100.0)
    assert sources.choose("elsewhere", V4, 100.0) is ONE
    assert not sources.is_benched(ONE, SITE, 100.0 + BENCH)
    assert ONE in [sources.choose(SITE, V4, 100.0 + BENCH) for _ in range(3)]


def test_two_refusals_pause_the_site_for_all() -> None:
    """Design rule 5: nobody's block is walked past with a pool of addresses."""
    sources = Sources([ONE, TWO, THREE])
    sources.bench(ONE, SITE, 0.0)
    assert not sources.is_paused(SITE, 0.0)
    sources.bench(TWO, SITE, 1000.0)
    assert sources.is_paused(SITE, 1000.0)
    assert sources.choose(SITE, ANY, 1000.0) is None
    assert sources.is_benched(THREE, SITE, 1000.0)
    assert not sources.is_paused("elsewhere", 1000.0)
    assert sources.choose("elsewhere", ANY, 1000.0) is not None
    # A day after the first refusal only the second one counts.
    assert not sources.is_paused(SITE, BENCH)
    assert not sources.is_benched(THREE, SITE, BENCH)
    assert sources.choose(SITE, ANY, BENCH) in (ONE, THREE)


def test_the_same_source_twice_is_one_refusal() -> None:
    sources = Sources([ONE, TWO])
    sources.bench(ONE, SITE, 0.0)
    sources.bench(ONE, SITE, 1.0)
    assert not sources.is_paused(SITE, 2.0)
    assert sources.is_benched(ONE, SITE, BENCH)  # the later one counts


def test_one_source_pauses_alone() -> None:
    sources = Sources([ONE])
    assert not sources.is_paused(SITE, 0.0)
    sources.bench(ONE, SITE, 0.0)
    assert sources.is_paused(SITE, 0.0)
    assert sources.choose(SITE, ANY, 0.0) is None


def test_named() -> None:
    sources = Sources([ONE, SIX])
    assert sources.named("198.51.100.1") is ONE
    assert sources.named("198.51.100.9") is None
    assert sources.addresses == {ONE.address, SIX.address}


def test_what_is_no_pool() -> None:
    with pytest.raises(ValueError, match="a prober needs a source"):
        Sources([])
    with pytest.raises(ValueError, match=r"source 2001:db8:1::1: it is named twice"):
        Sources([ONE, SIX, Source("2001:DB8:1:0::1", helo="other.example.org")])


def test_a_bench_is_kept_over_a_restart_no_longer_than_it_lasts() -> None:
    before = Sources([ONE, TWO])
    until = before.bench(ONE, SITE, 100.0)
    assert until == 100.0 + BENCH
    sources = Sources([ONE, TWO])
    sources.recall(ONE.address, SITE, until, 500.0)
    sources.recall(TWO.address, "other", 10 * BENCH, 500.0)  # the clock was set back since
    assert sources.benched(500.0) == [
        (ONE.address, SITE, until),
        (TWO.address, "other", 500.0 + BENCH),
    ]
    assert not sources.is_benched(ONE, SITE, until)
