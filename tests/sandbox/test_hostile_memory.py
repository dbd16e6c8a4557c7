"""Every oddity by itself, without a socket and without waiting: a prober on a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock

from benchmarks.tempers import Scales
from tests.routing.town_square import town as town_with
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.catalogue.oddity import Oddity
from twisted_probe.sandbox.hostile import AT_ONCE, HASTE, Encounter, hostile_town, meet, meet_all
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS
from twisted_probe.testing import results_of
from twisted_probe.verdict.ladder import DEFAULT_LADDER
from twisted_probe.vocabulary.outcome import Outcome, Retry

from .oddities import KNOWN_FAULTS

#: Handshakes need a socket.
WITHOUT_TLS = [each for each in CATALOGUE.values() if not each.temper.knows("STARTTLS")]
#: Octets that one connection may make us hold.
MOST_HELD = 65536


def met(oddity: Oddity, **options: Any) -> Encounter:
    """What comes of it, in a town of its own in memory."""
    town = hostile_town([oddity])
    (house,) = town.houses
    settings: dict[str, Any] = {
        "sources": town.sources,
        "reverse_path": town.reverse_path,
        "allow_networks": town.networks,
        **options,
    }
    with town_with(town.names, **settings) as memory:
        record = memory.square.settle(house.address, house.temper, house.name)
        encounter = memory.square.wait(
            Deferred.fromCoroutine(meet(memory.prober, memory.square, oddity))
        )
    assert record.forbidden == 0
    return encounter


def _marked(oddity: Oddity, faults: Mapping[str, str]) -> Any:
    fault = faults.get(oddity.name)
    marks = () if fault is None else (pytest.mark.xfail(strict=True, reason=fault),)
    return pytest.param(oddity, id=oddity.name, marks=marks)


PACES: dict[str, Mapping[str, Any]] = {
    "hasty": HASTE,
    "patient": {"timeouts": DEFAULT_TIMEOUTS, "ladder": DEFAULT_LADDER},
}


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("oddity", [_marked(each, KNOWN_FAULTS) for each in WITHOUT_TLS])
def test_every_oddity_in_memory(oddity: Oddity, pace: str) -> None:
    """As the demo asks, and with the waits and the ladder that are used out there."""
    encounter = met(oddity, **PACES[pace])
    assert encounter.is_as_expected, encounter.observed_in_words


@pytest.mark.parametrize("oddity", WITHOUT_TLS, ids=lambda oddity: oddity.name)
def test_little_is_held_of_what_it_says(oddity: Oddity) -> None:
    scales = Scales()
    with scales.weighing():
        met(oddity, **HASTE)
    assert max(scales.peaks.values(), default=0) <= MOST_HELD


class Broken:
    """A prober that breaks at the first domain it is asked about."""

    def __init__(self) -> None:
        self.asked: list[Deferred[list[Outcome]]] = []

    def probe_many(
        self, addresses: Sequence[str], retries: Sequence[Retry | None]
    ) -> Deferred[list[Outcome]]:
        self.asked.append(Deferred() if self.asked else fail(ZeroDivisionError()))
        return self.asked[-1]


def test_an_error_ends_all_meetings() -> None:
    prober = Broken()
    results = results_of(meet_all(prober, Clock()))
    assert isinstance(results[0], ZeroDivisionError)
    assert len(prober.asked) == AT_ONCE
    assert all(asked.called for asked in prober.asked)


def test_cancelled_meetings_ask_nobody_any_more() -> None:
    prober = Broken()
    prober.asked.append(Deferred())
    meetings = meet_all(prober, Clock())
    results = results_of(meetings)
    assert results == []
    meetings.cancel()
    assert isinstance(results[0], CancelledError)
    assert len(prober.asked) == AT_ONCE + 1
    assert all(asked.called for asked in prober.asked[1:])
