"""One exchanger under many names: what it has said to one of them, it has said to all."""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.internet.defer import Deferred

from twisted_probe.routing.benches import BENCH
from twisted_probe.routing.limits import Limits
from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.sites import pressed
from twisted_probe.routing.sources import Sources
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import Wishes

from .town_square import town

HOST = "192.0.2.1"
SOURCES = [Source(f"198.51.100.{n}", helo=f"probe{n}.example.org") for n in range(1, 17)]
ADDRESSES = [source.address for source in SOURCES]
ANN = residents("ann")
MANY = 40
NAMES = {
    **{f"d{n}.example": [f"MX 10 mx.d{n}.example"] for n in range(MANY)},
    **{f"mx.d{n}.example": [f"A {HOST}"] for n in range(MANY)},
}
SHARED = {
    **{f"d{n}.example": ["MX 10 mx.shared.example"] for n in range(MANY)},
    "mx.shared.example": [f"A {HOST}"],
}


@pytest.mark.parametrize("names", [NAMES, SHARED], ids=["names of their own", "one name"])
@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.RCPT])
@pytest.mark.parametrize("latency", [0.0, 0.5, 3.0])
def test_a_block_is_not_walked_past(
    names: dict[str, list[str]], stage: Stage, latency: float
) -> None:
    with town(names, sources=SOURCES, limits=Limits(per_site=1)) as t:
        t.square.settle(HOST, tempers.blocking(ANN, *ADDRESSES, stage=stage))
        t.square.latency = latency
        asking = [t.prober.probe(f"ann@d{n}.example") for n in range(MANY)]
        outcomes = [t.square.wait(each) for each in asking]
        assert {each.reason for each in outcomes} == {Reason.BLOCKLISTED}
        assert len(set(t.square.sources)) == len(t.square.sources) == 2


def test_it_is_known_over_a_restart() -> None:
    memory = MemoryInRam()
    with town(NAMES, sources=SOURCES[:1], memory=memory) as t:
        t.square.settle(HOST, tempers.blocking(ANN, *ADDRESSES))
        t.square.wait(t.prober.probe("ann@d1.example"))
    with town(NAMES, sources=SOURCES[:1], memory=memory) as t:
        record = t.square.settle(HOST, tempers.postfix(ANN))
        t.square.wait(Deferred.fromCoroutine(t.prober.recall_benches()))
        assert t.square.wait(t.prober.probe("ann@d2.example")).reason is Reason.BLOCKLISTED
        assert not record.sessions


def test_another_source_goes_to_another_name_of_it() -> None:
    with town(NAMES, sources=SOURCES[:2]) as t:
        t.square.settle(HOST, tempers.blocking(ANN, ADDRESSES[0]))
        first = t.square.wait(t.prober.probe("ann@d1.example"))
        others = [t.square.wait(t.prober.probe(f"ann@d{n}.example")) for n in range(2, 6)]
        assert (first.reason, first.source) == (Reason.BLOCKLISTED, ADDRESSES[0])
        assert {(each.reason, each.source) for each in others} == {
            (Reason.ACCEPTED, ADDRESSES[1]),
        }


def test_a_second_host_of_a_site_is_kept_in_mind_too() -> None:
    """The site had refused the source at another address, just before."""
    memory = MemoryInRam()
    with town(NAMES, sources=SOURCES[:1], memory=memory) as t:
        t.square.settle(HOST, tempers.blocking(ANN, *ADDRESSES))
        t.square.latency = 1.0
        asking = t.prober.probe("ann@d1.example")
        while not t.square.dials:
            t.square.step()
        site = "mx.d1.example"
        t.prober.sources.bench(SOURCES[0], site, t.square.seconds(), "192.0.2.2")
        assert t.square.wait(asking).reason is Reason.BLOCKLISTED
        assert t.prober.sources.is_shut_out(SOURCES[0], HOST, t.square.seconds())
        benched = t.square.wait(memory.benches(t.square.seconds()))
        assert [each.site for each in benched] == [site, pressed(HOST)]


def test_a_source_that_is_not_wished_for_says_nothing_of_the_site() -> None:
    refused, unplumbed = SOURCES[:2]
    with town(NAMES, sources=[refused, unplumbed]) as t:
        sources, now = t.prober.sources, t.square.seconds()
        sources.bench(refused, "mx.d9.example", now, HOST)
        sources.suspend(unplumbed, now)
        sources.begin(unplumbed, "mx.elsewhere.example")  # which tries whether it works again
        wishes = Wishes(sources=frozenset({unplumbed.address}))
        outcome = t.square.wait(t.prober.probe("ann@d1.example", wishes=wishes))
        assert outcome.reason is Reason.SOURCE_UNAVAILABLE


def test_a_complaint_is_made_by_the_host() -> None:
    with town(NAMES, sources=SOURCES[:4], limits=Limits(rest=60.0)) as t:
        record = t.square.settle(HOST, tempers.rate_limiting())
        begun = t.square.seconds()
        asking = [t.prober.probe(f"ann@d{n}.example") for n in range(MANY)]
        for each in asking:
            t.square.wait(each)
        # One name after the other rests a minute, and the host with it.
        starts = [each.started for each in record.sessions]
        assert all(after - before >= 60.0 for before, after in pairwise(starts))
        assert t.square.seconds() - begun >= 60.0 * (len(starts) - 1)


def test_how_long() -> None:
    sources = Sources(SOURCES[:3])
    one, two, three = SOURCES[:3]
    sources.bench(one, "a", 0.0, HOST)
    assert [sources.is_shut_out(each, HOST, 1.0) for each in (one, two)] == [True, False]
    assert not sources.is_shut_out(one, "192.0.2.2", 1.0)
    sources.bench(two, "b", 0.0, HOST)
    assert sources.is_shut_out(three, HOST, 1.0)
    assert not sources.is_shut_out(three, HOST, BENCH)
    # Sites are told as before.
    assert [site for _, site, _ in sources.benched(1.0)] == ["a", "b"]
