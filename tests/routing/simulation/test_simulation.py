"""Many worlds, each from its own seed: what must hold holds at every step."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextlib import nullcontext as does_not_raise
from typing import Any

import pytest
from attrs import evolve

from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.sites import Limits
from twisted_probe.vocabulary.outcome import Verdict

from .laws import Law
from .world import World


@pytest.mark.parametrize("seed", range(8))
def test_the_laws_hold(seed: int) -> None:
    world = World(seed)
    world.run()
    assert world.summary["accepted"] > 0
    assert world.summary["no_such_mailbox"] > 0
    assert world.summary["internal_error"] == 0
    assert set(world.laws.looked) == set(Law)


@pytest.mark.parametrize("seed", range(8, 14))
def test_they_hold_over_restarts(seed: int) -> None:
    world = World(seed, restarts=20)
    world.run()
    assert not world.restarts
    assert world.summary["accepted"] > 0
    assert world.summary["internal_error"] == 0


@pytest.mark.parametrize(
    ("tighter", "law"),
    [
        ({"per_site": 1}, Law.SESSIONS),
        ({"starts_per_second": 0.1}, Law.STARTS),
        ({"sessions": 1}, Law.EVERYWHERE),
        ({"rejections": -100}, Law.REJECTIONS),
    ],
    ids=str,
)
def test_what_is_broken_is_seen(tighter: dict[str, Any], law: Law) -> None:
    """The prober keeps to other ceilings than those that are looked at."""
    world = World(3, recipients=100)
    world.limits = evolve(world.limits, **tighter)
    with pytest.raises(AssertionError, match=law.value):
        world.run()


class Forgetful(World):
    """A world whose prober begins as a stranger each time."""

    def _begin(self) -> None:
        self.memory = MemoryInRam()
        super()._begin()


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        (World, does_not_raise()),
        (Forgetful, pytest.raises(AssertionError, match=Law.REJECTIONS.value)),
    ],
)
def test_what_is_borne_is_known_over_restarts(
    kind: type[World], holds: AbstractContextManager[object]
) -> None:
    limits = Limits(rejections=20, rejections_per_second=0.2, errors_per_session=4)
    world = kind(3, sites=1, domains=1, recipients=1, crowd=200, limits=limits, restarts=15)
    with holds:
        world.run()
        assert not world.restarts


def test_the_same_seed_is_the_same_world() -> None:
    worlds = [World(5, recipients=80), World(5, recipients=80)]
    for world in worlds:
        world.run()
    one, two = worlds
    assert one.square.dials == two.square.dials
    assert one.work.done == two.work.done


@pytest.mark.parametrize("seed", range(1))
def test_hundreds_of_sites(seed: int) -> None:
    world = World(100 + seed, sites=400, domains=800, recipients=1600, sources=16)
    world.run()
    assert len(world.square.dials) > 400


def test_nobody_alive_is_called_dead() -> None:
    """Whoever lives at an honest exchanger is never undeliverable."""
    from .world import PEOPLE

    people = set(PEOPLE.split())
    for seed in range(20, 26):
        world = World(seed)
        world.run()
        dead = [
            said
            for said in world.work.done.values()
            if said.verdict is Verdict.UNDELIVERABLE
            and said.address.partition("@")[0] in people
            and said.exchanger is not None
        ]
        assert not dead


@pytest.mark.parametrize("sources", [1, 4, 16])
def test_more_sources_never_mean_more_pressure(sources: int) -> None:
    limits = Limits(per_site=3, starts_per_second=1.0, recipients_per_session=5)
    world = World(7, sites=1, domains=1, recipients=1, sources=sources, limits=limits, crowd=400)
    world.run()
    assert world.addresses["192.0.2.1"].most == 3


def test_a_saturated_site_holds_up_nobody_else() -> None:
    """A list that begins with a thousand recipients of one slow site."""
    limits = Limits(sessions=40)
    alone = World(11, limits=limits)
    alone.run()
    beside = World(11, limits=limits, crowd=1000)
    beside.run(lambda world: len(world.tail) == len(alone.tail))
    beside.close()
    # Most are answered at once; the rest wait for greylisting and the like, crowd or not.
    many = int(0.4 * len(alone.tail))
    assert sorted(beside.tail)[many] <= sorted(alone.tail)[many] + 30.0
    assert max(beside.tail) <= max(alone.tail) * 1.1 + 60.0
