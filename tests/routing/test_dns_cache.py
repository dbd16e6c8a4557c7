"""How long answers are kept, and how many of them: on a clock. Rows are those of cases.md."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.python.failure import Failure

from twisted_probe.routing import cache as cache_module
from twisted_probe.routing.answer import Answer
from twisted_probe.routing.cache import Cache, Key
from twisted_probe.routing.names import NameTrouble, NoSuchName

from .dns_wire import SERVERS, Script, Wire, names_on, record, saying, start_of_authority

(SERVER, _) = SERVERS
NAME = "host.example"
HOUR, DAY = 3600.0, 86400.0


def seconds_kept(script: Script) -> float:
    """For how long the answer is not asked for again."""
    wire = Wire({SERVER: script})
    names = names_on(wire)

    def times_asked() -> int:
        with suppress(NoSuchName):
            wire.wait(names.addresses(NAME, 4))
        return len({asked.at for asked in wire.asked if asked.name == NAME})

    assert times_asked() == 1
    # Looking does not prolong it.
    while times_asked() == 1:
        assert wire.seconds() < 2 * DAY
        wire.advance(30.0)
    return wire.seconds()


def at(ttl: int, name: str = NAME) -> dns.RRHeader:
    return record(name, dns.Record_A("192.0.2.1"), ttl)


@pytest.mark.parametrize(
    ("ttl", "kept"),
    [
        (0, 60.0),
        (59, 60.0),
        (90, 90.0),
        (7200, 7200.0),
        (30 * 365 * 86400, DAY),
        (2**31 - 1, DAY),
        (2**31, 60.0),  # RFC 2181 section 8: that is 0
        (2**32 - 1, 60.0),
    ],
)
def test_as_long_as_it_may_be(ttl: int, kept: float) -> None:
    """Row 149."""
    assert seconds_kept(saying(at(ttl))) == kept


def test_the_shortest_of_all_that_led_there() -> None:
    alias = record(NAME, dns.Record_CNAME("b.example"), 120)
    assert seconds_kept(saying(at(600), at(300))) == 300.0
    assert seconds_kept(saying(alias, at(600, "b.example"))) == 120.0

    def in_two_steps(question: dns.Message) -> Sequence[bytes]:
        (query,) = question.queries
        first = query.name.name == NAME.encode()
        return saying(alias if first else at(600, "b.example"))(question)

    assert seconds_kept(in_two_steps) == 120.0


@pytest.mark.parametrize("code", [dns.OK, dns.ENAME])
@pytest.mark.parametrize(
    ("authority", "kept"),
    [
        ([], 60.0),
        ([start_of_authority(ttl=900, minimum=300)], 300.0),
        ([start_of_authority(ttl=300, minimum=900)], 300.0),
        ([start_of_authority(ttl=90000, minimum=90000)], HOUR),
        ([start_of_authority(ttl=0, minimum=0)], 60.0),
    ],
)
def test_a_no_is_kept_an_hour_at_most(
    code: int, authority: list[dns.RRHeader], kept: float
) -> None:
    """Rows 129 and 130; RFC 2308 section 5."""
    assert seconds_kept(saying(code=code, authority=authority)) == kept


def test_trouble_is_not_kept() -> None:
    wire = Wire({SERVER: saying(code=dns.ESERVER)})
    names = names_on(wire)
    for _ in range(3):
        with pytest.raises(NameTrouble):
            wire.wait(names.addresses(NAME, 4))
    wire.servers[SERVER] = saying(at(300))
    assert wire.wait(names.addresses(NAME, 4)) == ["192.0.2.1"]
    assert len(wire.asked) == 4


def test_types_and_names_are_kept_apart() -> None:
    wire = Wire(
        {
            SERVER: saying(
                at(300),
                record(NAME, dns.Record_AAAA("2001:db8::1")),
                record("b.example", dns.Record_AAAA("2001:db8::2")),
            )
        }
    )
    names = names_on(wire)
    for _ in range(2):
        assert wire.wait(names.addresses(NAME, 4)) == ["192.0.2.1"]
        assert wire.wait(names.addresses(NAME, 6)) == ["2001:db8::1"]
        assert wire.wait(names.addresses("b.example", 6)) == ["2001:db8::2"]
    assert len(wire.asked) == 3


def test_nobody_can_change_what_is_kept() -> None:
    wire = Wire({SERVER: saying(at(300))})
    names = names_on(wire)
    wire.wait(names.addresses(NAME, 4)).clear()
    assert wire.wait(names.addresses(NAME, 4)) == ["192.0.2.1"]


# --- How many ---------------------------------------------------------------------------------


class Library:
    """A cache and what it looks up; names say how many records they have: `3.example`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cache = Cache(self.clock, self._look_up)
        self.looked_up: list[str] = []

    async def _look_up(self, key: Key) -> Answer:
        self.looked_up.append(key.name)
        number = int(key.name.partition(".")[0])
        return Answer(tuple(range(number)), 3600.0)

    def has(self, name: str) -> bool:
        """Whether it was there already."""
        before = len(self.looked_up)
        answers: list[Answer] = []
        self.cache.ask(Key(name, 1)).addCallback(answers.append)
        assert len(answers) == 1
        return len(self.looked_up) == before


def test_those_not_wanted_for_longest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 150."""
    monkeypatch.setattr(cache_module, "MAX_KEPT", 6)
    library = Library()
    assert [library.has(name) for name in ("1.a", "1.b", "1.c")] == [False] * 3
    assert library.has("1.a")
    assert not library.has("0.d")  # a no counts as one
    assert library.has("1.a")
    assert library.has("1.c")
    assert library.has("0.d")
    assert not library.has("1.b")
    assert not library.has("1.a")


def test_one_that_is_too_much_takes_all_and_stays_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_KEPT", 6)
    library = Library()
    library.has("1.a")
    assert [library.has("6.b"), library.has("6.b"), library.has("1.a")] == [False] * 3
    assert library.has("1.a")


@given(st.integers(0, 2**32), st.lists(st.integers(0, 30), max_size=200))
def test_it_is_bounded(seed: int, numbers: list[int]) -> None:
    library, rng = Library(), random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "MAX_KEPT", 100)
        for number in numbers:
            library.has(f"{number}.{rng.randrange(3)}")
            library.clock.advance(rng.choice((0.0, 1.0, 3600.0)))
            kept = [answer for answer, _ in library.cache._kept.values()]
            assert sum(1 + len(answer.records) for answer in kept) == library.cache._size <= 100


# --- Those who wait ---------------------------------------------------------------------------


class Slow:
    """A cache whose looking up ends when the test says so."""

    def __init__(self) -> None:
        self.on_the_way: list[Deferred[Answer]] = []
        self.cache = Cache(Clock(), self._look_up)

    async def _look_up(self, key: Key) -> Answer:
        self.on_the_way.append(Deferred())
        return await self.on_the_way[-1]

    def ask(self, told: list[Any]) -> Deferred[Any]:
        return self.cache.ask(Key("a", 1)).addBoth(told.append)


FOUND = Answer(("x",), 300.0)


def test_one_looking_up_for_all_who_wait() -> None:
    """Row 150."""
    slow = Slow()
    told: list[Any] = []
    for _ in range(3):
        slow.ask(told)
    (looking_up,) = slow.on_the_way
    looking_up.callback(FOUND)
    assert told == [FOUND] * 3
    slow.ask(told)
    assert len(slow.on_the_way) == 1


def test_one_trouble_for_all_who_wait() -> None:
    slow = Slow()
    told: list[Any] = []
    for _ in range(3):
        slow.ask(told)
    slow.on_the_way[0].errback(NameTrouble("fog"))
    assert [failure.type for failure in told] == [NameTrouble] * 3
    slow.ask(told)
    assert len(slow.on_the_way) == 2


def test_the_last_one_to_leave_ends_it() -> None:
    slow = Slow()
    told: list[Any] = []
    asking = [slow.ask(told) for _ in range(3)]
    for number, each in enumerate(asking, 1):
        each.cancel()
        assert slow.on_the_way[0].called is (number == 3)
    assert [failure.type for failure in told] == [CancelledError] * 3
    slow.ask(told)
    assert len(slow.on_the_way) == 2


def test_one_who_is_told_sends_the_others_away() -> None:
    slow = Slow()
    told: list[Any] = []
    others: list[Deferred[Any]] = []

    def send_away(answer: Answer) -> None:
        for other in others:
            other.cancel()

    slow.cache.ask(Key("a", 1)).addCallback(send_away)
    others += [slow.ask(told) for _ in range(2)]
    slow.on_the_way[0].callback(FOUND)
    assert [failure.type for failure in told] == [CancelledError] * 2
    slow.ask(told)
    assert told[2] == FOUND


def test_one_who_is_told_asks_again() -> None:
    slow = Slow()
    told: list[Any] = []

    def ask_again(failure: Failure) -> None:
        slow.ask(told)

    slow.cache.ask(Key("a", 1)).addErrback(ask_again)
    slow.on_the_way[0].errback(NameTrouble("fog"))
    slow.on_the_way[1].callback(FOUND)
    assert told == [FOUND]
