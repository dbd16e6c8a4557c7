"""How fast: the budgets of sites and addresses, over all sources."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv6Address
from itertools import pairwise
from typing import Any

import pytest
from attrs import define
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from twisted_probe.routing.sites import Limits, Sites, Slot

FAST = 1e9


class Street:
    """Sites on a clock, and who got a slot when."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.sites = Sites(self.clock, Limits(**{"first_sessions": 50, **limits}))
        self.granted: list[tuple[str, float]] = []
        self.slots: dict[str, Slot] = {}

    def want(self, name: str, site: str = "a", address: str = "192.0.2.1") -> Deferred[Slot]:
        wanted = self.sites.slot(site, address)
        wanted.addCallback(self._got, name)
        wanted.addErrback(lambda failure: failure.trap(CancelledError))
        self.clock.advance(0)
        return wanted

    def _got(self, slot: Slot, name: str) -> Slot:
        self.granted.append((name, self.clock.seconds()))
        self.slots[name] = slot
        return slot

    def end(self, *names: str) -> None:
        for name in names:
            self.slots[name].release()
        self.clock.advance(0)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.granted]

    @property
    def is_idle(self) -> bool:
        return not self.clock.getDelayedCalls()


def want_many(street: Street, number: int, **where: str) -> None:
    for each in range(number):
        street.want(str(each), **where)


# --- The ceilings -----------------------------------------------------------------------------


def test_two_starts_a_second_and_four_at_once() -> None:
    street = Street()
    want_many(street, 6)
    street.clock.pump([0.25] * 40)
    assert street.granted == [("0", 0.0), ("1", 0.5), ("2", 1.0), ("3", 1.5)]
    street.end("2")
    assert street.granted[-1] == ("4", 10.0)
    street.end("0")
    assert street.names[-1] == "4"  # half a second has not passed
    street.clock.advance(0.5)
    assert street.granted[-1] == ("5", 10.5)
    assert street.is_idle


def test_a_busy_reactor_brings_no_two_starts_together() -> None:
    """A connection begins in the next turn, which may come late."""
    clock, granted = Clock(), list[float]()
    sites = Sites(clock, Limits(starts_per_second=2.0, first_sessions=4))
    for _ in range(2):
        sites.slot("a", "192.0.2.1").addCallback(lambda _: granted.append(clock.seconds()))
    assert granted == [0.0]
    clock.advance(0.25)  # the turn in which the first begins
    clock.advance(0.25)
    assert granted == [0.0]
    clock.advance(0.25)
    assert granted == [0.0, 0.75]


def test_an_address_is_one_under_all_of_its_names() -> None:
    street = Street(starts_per_second=FAST)
    for number in range(6):
        street.want(str(number), site=f"site{number}", address="192.0.2.1")
        street.clock.advance(1)
    assert street.names == ["0", "1", "2", "3"]
    street.end("1")
    assert street.names[4:] == ["4"]


def test_a_site_is_one_behind_all_of_its_addresses() -> None:
    street = Street()
    for number in range(6):
        street.want(str(number), address=f"192.0.2.{number}")
    street.clock.pump([0.5] * 10)
    assert street.granted == [("0", 0.0), ("1", 0.5), ("2", 1.0), ("3", 1.5)]


@pytest.mark.parametrize(
    ("addresses", "granted"),
    [
        (("2001:db8:25::1", "2001:db8:25::ffff:2"), 1),
        (("2001:db8:25::1", "2001:db8:25:1::1"), 2),
        (("192.0.2.1", "192.0.2.2"), 2),
        (("192.0.2.1", "::ffff:192.0.2.1"), 2),
    ],
)
def test_an_ipv6_host_has_its_whole_64(addresses: tuple[str, str], granted: int) -> None:
    street = Street(per_site=1, starts_per_second=FAST)
    for number, address in enumerate(addresses):
        street.want(str(number), site=f"site{number}", address=address)
        street.clock.advance(1)
    assert len(street.names) == granted


def test_so_many_in_all() -> None:
    street = Street(sessions=3)
    for number in range(5):
        street.want(str(number), site=f"site{number}", address=f"192.0.2.{number}")
    assert street.names == ["0", "1", "2"]
    assert street.is_idle  # only the end of a session can help
    street.end("1")
    assert street.names == ["0", "1", "2", "3"]
    street.end("0", "2", "3")
    assert street.names[-1] == "4"


# --- The order --------------------------------------------------------------------------------


def test_first_come_first_served_within_a_site() -> None:
    street = Street()
    street.want("busy", site="other", address="192.0.2.1")
    street.want("first", address="192.0.2.1")  # its address has just had a start
    street.want("second", address="192.0.2.2")
    assert street.names == ["busy"]
    street.clock.pump([0.25] * 4)
    assert street.granted[1:] == [("first", 0.5), ("second", 1.0)]


def test_other_sites_are_never_held_up() -> None:
    street = Street()
    want_many(street, 50)
    for number in range(50):
        street.want(f"other{number}", site=f"site{number}", address=f"192.0.3.{number}")
        assert street.names[-1] == f"other{number}"
    assert street.granted[-1][1] == 0.0


def test_sites_in_turn_where_places_are_scarce() -> None:
    street = Street(sessions=1, starts_per_second=FAST)
    for number in range(3):
        for site in range(3):
            street.want(f"{site}.{number}", site=f"s{site}", address=f"192.0.2.{site}")
    for _ in range(8):
        street.clock.advance(1)
        street.end(street.names[-1])
    assert [name[0] for name in street.names] == list("012012012")
    assert [name[2] for name in street.names] == list("000111222")


# --- Leaving ----------------------------------------------------------------------------------


def test_releasing_twice_is_harmless() -> None:
    street = Street(starts_per_second=FAST, per_site=1)
    want_many(street, 3)
    street.clock.advance(1)
    street.end("0")
    street.clock.advance(1)
    street.end("0", "0")
    street.clock.advance(1)
    assert street.names == ["0", "1"]


def test_cancelling_leaves_the_queue() -> None:
    street = Street()
    want_many(street, 1)
    waiting = [street.want(name) for name in "abc"]
    waiting[1].cancel()
    street.clock.pump([0.5] * 4)
    assert street.names == ["0", "a", "c"]
    assert street.is_idle


def test_the_last_one_who_leaves_stops_the_timer() -> None:
    street = Street()
    want_many(street, 1)
    waiting = street.want("a")
    assert not street.is_idle
    waiting.cancel()
    assert street.is_idle


def test_cancelling_the_first_lets_the_next_one_in() -> None:
    street = Street()
    street.want("busy", site="other", address="192.0.2.1")
    first = street.want("first", address="192.0.2.1")
    street.want("second", address="192.0.2.2")
    first.cancel()
    assert street.granted == [("busy", 0.0), ("second", 0.0)]


def test_cancelling_a_slot_that_was_granted_is_for_who_has_it() -> None:
    street = Street(per_site=1)
    wanted = street.want("a")
    wanted.cancel()
    assert street.names == ["a"]
    street.want("b")
    street.clock.advance(1)
    assert street.names == ["a"]
    street.end("a")
    assert street.names == ["a", "b"]


def test_cancelling_one_who_is_granted_in_the_same_moment() -> None:
    street = Street()
    for site in "12":
        street.want(site, site, f"192.0.2.{site}")
        street.end(site)
    first, second = (street.sites.slot(site, f"192.0.2.{site}") for site in "12")
    ended: list[Any] = []
    second.addErrback(lambda failure: ended.append(failure.type))

    def call_off(slot: Slot) -> None:
        second.cancel()
        slot.release()

    first.addCallback(call_off)
    street.clock.advance(0.5)  # both may start, and the first calls the second one off
    assert ended == [CancelledError]
    street.clock.advance(0.5)
    assert street.is_idle
    assert street.sites._active == 0


def test_budgets_are_forgotten() -> None:
    street = Street()
    for number in range(100):
        street.want(str(number), site=f"site{number}", address=f"192.0.2.{number}")
    street.end(*street.names)
    street.clock.advance(0.5)
    street.want("last")
    street.end("last")
    street.clock.advance(0.5)
    street.sites._serve()
    assert not street.sites._budgets
    assert not street.sites._queues
    assert street.is_idle


# --- Whatever happens -------------------------------------------------------------------------


@define
class Visit:
    """One who wanted a slot: where, and what became of it."""

    site: str
    address: str
    wanted: Deferred[Slot]
    granted_at: float | None = None
    ended: bool = False
    cancelled: bool = False


class Chance:
    """Wanting, ending, leaving and waiting at random; after each step the rules are checked."""

    LIMITS = Limits(sessions=6, per_site=2, first_sessions=2, starts_per_second=2.0)

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.sites = Sites(self.clock, self.LIMITS)
        self.visits: list[Visit] = []

    def step(self) -> None:
        kind = self.rng.choice(("want", "want", "want", "end", "end", "leave", "wait"))
        getattr(self, kind)()
        self.check()

    def want(self) -> None:
        site = f"s{self.rng.randrange(5)}"
        address = self.rng.choice(("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"))
        visit = Visit(site, address, self.sites.slot(site, address))
        self.visits.append(visit)
        visit.wanted.addCallback(self.granted, visit)
        visit.wanted.addErrback(lambda failure: failure.trap(CancelledError))

    def granted(self, slot: Slot, visit: Visit) -> Slot:
        assert not visit.cancelled
        visit.granted_at = self.clock.seconds()
        return slot

    def end(self) -> None:
        if inside := [v for v in self.visits if v.granted_at is not None and not v.ended]:
            visit = self.rng.choice(inside)
            visit.ended = True
            slot: Any = visit.wanted.result
            slot.release()
            if self.rng.random() < 0.2:
                slot.release()

    def leave(self) -> None:
        if outside := [v for v in self.visits if v.granted_at is None and not v.cancelled]:
            visit = self.rng.choice(outside)
            visit.cancelled = True
            visit.wanted.cancel()

    def wait(self) -> None:
        self.clock.advance(self.rng.choice((0.0, 0.1, 0.25, 0.5, 3.0)))

    @staticmethod
    def keys(visit: Visit) -> tuple[str, str]:
        pressed = visit.address
        if ":" in pressed:
            pressed = IPv6Address(pressed).exploded[:19]
        return visit.site, pressed

    def check(self) -> None:
        inside = [v for v in self.visits if v.granted_at is not None and not v.ended]
        assert len(inside) <= self.LIMITS.sessions
        for place in (0, 1):
            held = Counter(self.keys(visit)[place] for visit in inside)
            assert all(number <= self.LIMITS.per_site for number in held.values())
            starts: dict[str, list[float]] = {}
            for visit in self.visits:
                if visit.granted_at is not None:
                    starts.setdefault(self.keys(visit)[place], []).append(visit.granted_at)
            for moments in starts.values():
                moments.sort()
                gaps = [b - a for a, b in pairwise(moments)]
                assert all(gap >= 0.5 - 1e-9 for gap in gaps)
        for site in {visit.site for visit in self.visits}:
            here = [v for v in self.visits if v.site == site and not v.cancelled]
            waits = [v.granted_at is None for v in here]
            assert waits == sorted(waits), "somebody was overtaken"
        self.check_nobody_waits_in_vain(inside)

    def check_nobody_waits_in_vain(self, inside: list[Visit]) -> None:
        """The first of each site waits for a place, or a timer is set."""
        if len(inside) >= self.LIMITS.sessions or self.clock.getDelayedCalls():
            return
        held = Counter(key for visit in inside for key in self.keys(visit))
        for site in {visit.site for visit in self.visits}:
            waiting = [
                v
                for v in self.visits
                if v.site == site and v.granted_at is None and not v.cancelled
            ]
            if waiting:
                keys = self.keys(waiting[0])
                assert any(held[key] >= self.LIMITS.per_site for key in keys)

    def finish(self) -> None:
        """Everybody who still waits gets in, and nothing is left."""
        for _ in range(10 * len(self.visits) + 1):
            self.end()
            self.clock.advance(0.5)
        assert all(v.cancelled or v.ended for v in self.visits)
        assert not self.clock.getDelayedCalls()
        self.sites._serve()
        assert not self.sites._budgets
        assert not self.sites._queues
        assert self.sites._active == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.integers(1, 80))
def test_the_rules_hold_whatever_happens(seed: int, steps: int) -> None:
    chance = Chance(seed)
    for _ in range(steps):
        chance.step()
    chance.finish()


def test_each_origin_has_a_share_of_the_queue() -> None:
    street = Street(per_site=1)
    assert not street.sites.is_full("a", 1, 1)
    open_now, *waiting = [street.sites.slot("a", "192.0.2.1", origin=1) for _ in range(5)]
    assert not street.sites.is_full("a", 5, 1)
    assert street.sites.is_full("a", 4, 1)
    for _ in range(2):
        assert not street.sites.is_full("a", 4, 2)
        waiting.append(street.sites.slot("a", "192.0.2.1", origin=2))
    assert street.sites.is_full("a", 4, 2)
    assert not street.sites.is_full("a", 4, 3)
    for each in waiting:
        each.addErrback(lambda failure: failure.trap(CancelledError))
        each.cancel()
    slot = open_now.result
    assert isinstance(slot, Slot)
    slot.release()
    street.clock.advance(100)
