"""What was in hand goes away by itself: the collector, who would have to look through everything
for it, finds none of it in rings."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from twisted_probe.routing.engine import Engine
from twisted_probe.routing.pauses import Pauses
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.outcome import Reason

from .test_engine import Desk, tasks
from .town_square import town

A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}


@contextmanager
def left_to_the_collector() -> Iterator[Counter[str]]:
    """The routing's own that are found in rings once all is over, by the name of their class."""
    found: Counter[str] = Counter()
    was_enabled, flags, before = gc.isenabled(), gc.get_debug(), gc.garbage[:]
    gc.disable()
    gc.collect()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(
            type(each).__name__
            for each in gc.garbage
            if type(each).__module__.startswith("twisted_probe.routing.")
        )
    finally:
        gc.set_debug(flags)
        gc.garbage[:] = before
        if was_enabled:
            gc.enable()


def test_it_is_found_where_there_is_one() -> None:
    with left_to_the_collector() as found:
        pauses = Pauses()
        pauses.sites.add(pauses)  # type: ignore[arg-type]
        del pauses
    assert found == {"Pauses": 1}


def test_a_session_and_its_slot() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(residents("ann")))
        assert t.square.wait(t.prober.probe("ben@a.example")).reason is Reason.NO_SUCH_MAILBOX
        with left_to_the_collector() as found:
            for seconds in (0.0, 10.0) * 5:  # some wait for their turn, and some need not
                t.square.advance(seconds)
                assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.ACCEPTED
        assert found == {}


def test_those_who_are_held() -> None:
    """Thousands of them come and go while the machine has trouble, or all is paused."""
    pauses = Pauses()
    pauses.everything = True
    with town(A, pauses=pauses) as t, left_to_the_collector() as found:
        desk = Desk(due=tasks(100))
        engine = Engine(t.square, t.prober, desk)
        engine.start()
        t.square.turn()
        assert len(desk.given_back) == 100
        t.square.wait(engine.stop(0.0))
        del desk, engine
    assert found == {}
