"""Somebody's application, and its tests, which need no network.

    python -m twisted.trial docs/examples/test_an_application.py

The application takes subscribers whose mailbox is alive. Its tests stand on three legs: a
`FakeProber` for what it makes of the outcomes, a `Wire` for what it says to an exchanger by
hand, and a `Town`, a sound one or a hostile one, for all of it together.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twisted_probe import Outcome, ProbeFactory, Prober, Reason, Retry, Source, Verdict
from twisted_probe.testing import (
    CATALOGUE,
    HASTE,
    HOLD,
    FakeProber,
    Town,
    Wire,
    hostile_town,
    later,
    options_for,
    results_of,
)

# --- The application ------------------------------------------------------------------------------


class Asks(Protocol):
    """What the application needs of a prober."""

    def probe(self, address: str, retry: Retry | None = None) -> Deferred[Outcome]: ...


class Subscriptions:
    """Takes whoever has a mailbox; asks once more where the answer is "later"."""

    def __init__(self, clock: IReactorTime, prober: Asks) -> None:
        self._clock = clock
        self._prober = prober
        self.subscribers: list[str] = []

    def subscribe(self, address: str) -> Deferred[str]:
        """Fires with the words for the subscriber. Cancelling forgets them."""
        return Deferred.fromCoroutine(self._subscribe(address))

    async def _subscribe(self, address: str) -> str:
        outcome = await self._prober.probe(address)
        if outcome.next_attempt_at is not None:
            wait = outcome.next_attempt_at - outcome.checked_at
            await deferLater(self._clock, wait)
            outcome = await self._prober.probe(address, retry=outcome.retry)
        # What is unknown is not held against anybody.
        if outcome.verdict is Verdict.UNDELIVERABLE:
            return f"There is no mailbox {address}."
        self.subscribers.append(address)
        return "Welcome!"


ME = Source("192.0.2.10", helo="probe1.example.org")


async def greets(clock: IReactorTCP, exchanger: str) -> bool:
    """Whether an exchanger has an ear for us, asked by hand."""
    session = await ProbeFactory(ME).connect(clock, exchanger)
    reply = await session.helo()
    await session.quit()
    return reply.is_positive


# --- Its tests ------------------------------------------------------------------------------------


class WithAFakeProber(SynchronousTestCase):
    def test_the_living_and_the_dead(self) -> None:
        prober = FakeProber(
            {"ann@example.net": Reason.ACCEPTED, "ben@example.net": Reason.NO_SUCH_MAILBOX}
        )
        application = Subscriptions(Clock(), prober)
        assert results_of(application.subscribe("ann@example.net")) == ["Welcome!"]
        ben = results_of(application.subscribe("ben@example.net"))
        assert ben == ["There is no mailbox ben@example.net."]
        assert application.subscribers == ["ann@example.net"]

    def test_greylisting_is_waited_out(self) -> None:
        first = later("ann@example.net", after=300)
        prober, clock = FakeProber({"ann@example.net": [first, Reason.ACCEPTED]}), Clock()
        answer = results_of(Subscriptions(clock, prober).subscribe("ann@example.net"))
        clock.advance(299)
        assert answer == []
        clock.advance(1)
        assert answer == ["Welcome!"]
        # Asked again as greylisting wants it.
        assert prober.asked[1].retry == first.retry

    def test_somebody_who_does_not_wait(self) -> None:
        prober = FakeProber({"ann@example.net": HOLD})
        application = Subscriptions(Clock(), prober)
        subscribing = application.subscribe("ann@example.net")
        assert prober.waiting == ["ann@example.net"]
        results = results_of(subscribing)
        subscribing.cancel()
        assert isinstance(results[0], CancelledError)
        assert prober.cancelled == ["ann@example.net"]
        assert application.subscribers == []


class WithAWire(SynchronousTestCase):
    def test_an_exchanger_with_an_ear(self) -> None:
        memory = MemoryReactorClock()
        answer = results_of(greets(memory, "192.0.2.25"))
        wire = Wire.taking(memory)
        assert wire.source == "192.0.2.10"
        wire.server("220 mx.example.net ESMTP")
        wire.client("EHLO probe1.example.org")
        wire.server("250-mx.example.net", "250 PIPELINING")
        wire.client("QUIT")
        wire.server("221 Bye")
        assert answer == [True]


class InATown(TestCase):
    async def test_with_real_exchangers(self) -> None:
        town = await Town().start(reactor)
        self.addCleanup(town.stop)
        prober = Prober(reactor, **options_for(town))
        self.addCleanup(prober.close)
        application = Subscriptions(IReactorTime(reactor), prober)
        for address in ("ann@orchard.example", "nobody@orchard.example"):
            await application.subscribe(address)
        assert application.subscribers == ["ann@orchard.example"]
        assert town.exchangers["mx.orchard.example"].record.forbidden == 0

    async def test_nobody_is_turned_away_because_of_an_exchanger(self) -> None:
        oddities = [CATALOGUE[name] for name in ("listed-as-unknown", "ssh", "yes-then-no")]
        town = await hostile_town(oddities).start(reactor)
        self.addCleanup(town.stop)
        prober = Prober(reactor, **options_for(town), **HASTE)
        self.addCleanup(prober.close)
        application = Subscriptions(IReactorTime(reactor), prober)
        for oddity in oddities:
            assert await application.subscribe(f"ann@{oddity.domain}") == "Welcome!"
