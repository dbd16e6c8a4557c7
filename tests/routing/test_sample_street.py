"""The prober over loopback: the whole sample list, with real sockets and a real resolver."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError

from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import street
from twisted_probe.sandbox.town import Town
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.outcome import Outcome, Retry

reactor: Any = global_reactor

#: Nobody waits here: not for greylisting, nor between attempts, nor for politeness.
HOUSES = street.houses(greylist_delay=0.0)
LADDER = Ladder(greylist=(0.0,) * 2, temporary=(0.0,) * 2)


def prober_of(town: Town, **options: Any) -> Prober:
    settings: dict[str, Any] = {
        "sources": town.sources,
        "reverse_path": town.reverse_path,
        "resolvers": [parse_resolver(town.resolver)],
        "port": town.port,
        "allow_networks": town.networks,
        "ladder": LADDER,
        "limits": Limits(starts_per_second=1e9, rest=0.0),
        **options,
    }
    return Prober(reactor, **settings)


async def test_the_sample_list_comes_to_its_truth() -> None:
    town = await Town(HOUSES).start(reactor)
    prober = prober_of(town)
    settled: dict[str, Outcome] = {}
    waiting: dict[str, Retry | None] = dict.fromkeys(town.truth)
    while waiting:
        outcomes = await prober.probe_many(list(waiting), list(waiting.values()))
        for text, outcome in zip(list(waiting), outcomes, strict=True):
            del waiting[text]
            if outcome.final:
                settled[text] = outcome
            else:
                waiting[text] = outcome.retry
    await prober.close()
    await town.stop()
    wrong = {
        text: (outcome.verdict.value, outcome.reason.value, outcome.text)
        for text, outcome in settled.items()
        if (outcome.verdict.value, outcome.reason.value) not in town.truth[text]
    }
    assert not wrong
    assert settled.keys() == town.truth.keys()
    for exchanger in town.exchangers.values():
        assert exchanger.record.forbidden == 0
        assert all(session.errors <= 20 for session in exchanger.record.sessions)
        for source in town.sources:
            assert exchanger.record.helo_names.get(source.address, {source.helo}) == {source.helo}


async def test_close_leaves_nothing_of_a_session_that_stands() -> None:
    town = await Town().start(reactor)
    prober = prober_of(town)
    asking = prober.probe_many(["ann@orchard.example", "ann@fog.example", "ann@harbour.example"])
    await prober.close()
    with pytest.raises(CancelledError):
        await asking
    await town.stop()
