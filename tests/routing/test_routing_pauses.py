"""Pauses: nobody is asked whom a pause covers, nothing is counted, and sessions in hand go on."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_probe.routing.engine import Engine
from twisted_probe.routing.names import MailExchanger
from twisted_probe.routing.pauses import HOLD, Held, Pauses
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits, Sites, Slot
from twisted_probe.routing.sources import Sources
from twisted_probe.routing.work import Task
from twisted_probe.sandbox.town import Town
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.source import Source

A = Source("192.0.2.1", helo="probe1.example.org")
B = Source("192.0.2.2", helo="probe2.example.org")


def retry(source: Source | None) -> Retry:
    return Retry(
        source=None if source is None else source.address,
        helo=None if source is None else source.helo,
        reverse_path="probe@example.org",
        control=None,
        attempts=1,
        first_attempt_at=0.0,
    )


class OneExchangerEach:
    """Every domain has the exchangers mx1 and mx2 of the site that it begins with."""

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        site = domain.split(".")[-2]
        return succeed([MailExchanger(10 * n, f"mx{n}.{site}.example") for n in (1, 2)])

    def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
        number = {"mx1": 1, "mx2": 2}[name.split(".")[0]]
        return succeed([f"203.0.113.{number}"] if family == 4 else [])


class Stage:
    """A prober on a clock and a network of memory, one session at a time for each site."""

    def __init__(self, *sources: Source, **limits: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.pauses = Pauses()
        self.prober = Prober(
            self.reactor,
            sources=sources or (A, B),
            reverse_path="probe@example.org",
            names=OneExchangerEach(),
            allow_networks=["203.0.113.0/24"],
            control=False,
            limits=Limits(**{"per_site": 1, **limits}),
            pauses=self.pauses,
        )

    @property
    def dialled_from(self) -> list[str]:
        return [str(client[4][0]) for client in self.reactor.tcpClients if client[4]]

    def probe(self, *texts: str, again: Retry | None = None) -> list[Any]:
        """What comes of it, in a list that is empty until then."""
        results: list[Any] = []
        asking = self.prober.ask(list(texts), [again] * len(texts))
        asking.addBoth(results.append)
        self.asking = asking
        self.reactor.advance(0)
        return results

    def refuse(self, number: int) -> None:
        """The exchanger of one connection refuses it."""
        client = self.reactor.tcpClients[number]
        connector = self.reactor.connectors[number]
        error = ConnectError(errno.ECONNREFUSED)
        client[2].clientConnectionFailed(connector, Failure(error))


def held(results: list[Any]) -> Held:
    (failure,) = results
    assert isinstance(failure, Failure)
    error = failure.value
    assert isinstance(error, Held)
    return error


class TestPauses:
    def test_nothing_at_first(self) -> None:
        assert Pauses().held("site", "192.0.2.1") is None

    def test_everything(self) -> None:
        pauses = Pauses()
        pauses.everything = True
        error = pauses.held()
        assert error is not None
        assert (str(error), error.delay) == ("everything is paused", 0.0)

    @pytest.mark.parametrize(
        "name", ["mx1.a.example", "mx2.a.example", "mx1.a.example,mx2.a.example"]
    )
    def test_a_site_by_each_of_its_names(self, name: str) -> None:
        pauses = Pauses()
        pauses.sites.add(name)
        error = pauses.held("mx1.a.example,mx2.a.example", "192.0.2.1")
        assert error is not None
        assert error.delay == HOLD
        assert pauses.held("mx1.b.example", "192.0.2.1") is None
        assert pauses.held(None, "192.0.2.1") is None

    def test_a_source(self) -> None:
        pauses = Pauses()
        pauses.sources.add("192.0.2.1")
        assert str(pauses.held("site", "192.0.2.1")) == "the source 192.0.2.1 is paused"
        assert pauses.held("site", "192.0.2.2") is None


class TestProber:
    def test_everything_is_paused(self) -> None:
        stage = Stage()
        assert not stage.prober.is_held
        stage.pauses.everything = True
        assert stage.prober.is_held
        error = held(stage.probe("a@a.example", "b@b.example"))
        assert error.outcomes == [None, None]
        assert error.delay == 0.0
        assert stage.dialled_from == []

    def test_a_site_is_paused(self) -> None:
        stage = Stage()
        stage.pauses.sites.add("mx2.a.example")
        error = held(stage.probe("a@a.example"))
        assert (error.outcomes, error.delay) == ([None], HOLD)
        stage.probe("b@b.example")
        assert len(stage.dialled_from) == 1

    def test_what_is_no_address_and_what_is_elsewhere_is_answered(self) -> None:
        stage = Stage()
        stage.pauses.sites.add("mx1.a.example")
        results = stage.probe("nobody", "a@a.example", "a@1.b.example")
        assert results == []
        stage.refuse(0)
        stage.reactor.advance(1)
        stage.refuse(1)
        first, second, third = held(results).outcomes
        assert first is not None
        assert first.reason is Reason.INVALID_ADDRESS
        assert second is None
        assert third is not None
        assert third.reason is Reason.REFUSED

    def test_those_who_wait_their_turn_wait_no_longer(self) -> None:
        stage = Stage()
        first = stage.probe("a@1.a.example")
        second = stage.probe("a@2.a.example")
        other = stage.probe("b@b.example")
        assert stage.prober.sites.waiting == {
            "mx1.a.example,mx2.a.example": 1,
            "mx1.b.example,mx2.b.example": 1,
        }
        stage.pauses.sites.add("mx1.a.example")
        stage.prober.recheck()

        assert held(second).delay == HOLD
        assert first == []
        assert other == []
        assert list(stage.prober.sites.waiting) == ["mx1.b.example,mx2.b.example"]
        # The session in hand ends, and the next exchanger is not asked any more.
        stage.refuse(0)
        assert held(first).outcomes == [None]
        stage.reactor.advance(1)
        assert len(stage.dialled_from) == 2
        assert other == []

    def test_a_slot_granted_after_the_pause_is_given_back(self) -> None:
        stage = Stage()
        stage.probe("a@1.a.example")
        second = stage.probe("a@2.a.example")
        # Nobody has called recheck.
        stage.pauses.sites.add("mx1.a.example")
        stage.refuse(0)
        stage.reactor.advance(1)
        assert held(second).outcomes == [None]
        assert stage.prober.sites.active == 0
        assert len(stage.dialled_from) == 1

    def test_all_at_once(self) -> None:
        stage = Stage()
        waiting = [stage.probe(f"a@{number}.a.example") for number in range(2000)]
        stage.pauses.everything = True
        stage.prober.recheck()
        assert all(held(each).outcomes == [None] for each in waiting[1:])
        assert stage.prober.sites.waiting == {}

    def test_recalled(self) -> None:
        stage = Stage()
        first = stage.probe("a@1.a.example")
        asking = [stage.asking]
        second = stage.probe("a@2.a.example")
        asking.append(stage.asking)
        third = stage.probe("a@3.a.example")
        stage.prober.recall(asking)
        assert (held(second).outcomes, held(second).delay) == ([None], 0.0)
        assert first == []
        stage.refuse(0)
        assert held(first).outcomes == [None]
        stage.reactor.advance(1)
        assert third == []
        assert len(stage.dialled_from) == 2

    def test_cancelling_is_not_holding(self) -> None:
        stage = Stage()
        stage.probe("a@1.a.example")
        second = stage.probe("a@2.a.example")
        stage.pauses.everything = True
        stage.asking.cancel()
        assert second[0].type.__name__ == "CancelledError"


class TestSources:
    def test_a_paused_one_is_not_chosen(self) -> None:
        stage = Stage(per_site=4, starts_per_second=1000.0)
        stage.pauses.sources.add(A.address)
        for number in range(3):
            stage.probe(f"a@{number}.s{number}.example")
            stage.reactor.advance(0.01)
        assert stage.dialled_from == [B.address] * 3

    def test_a_retry_does_not_move_to_another(self) -> None:
        stage = Stage()
        stage.pauses.sources.add(A.address)
        error = held(stage.probe("a@a.example", again=retry(A)))
        assert (error.outcomes, error.delay) == ([None], HOLD)
        stage.pauses.sources.clear()
        stage.probe("a@a.example", again=retry(A))
        assert stage.dialled_from == [A.address]

    def test_a_retry_without_a_source_takes_another(self) -> None:
        stage = Stage()
        stage.pauses.sources.add(A.address)
        stage.probe("a@a.example", again=retry(None))
        assert stage.dialled_from == [B.address]

    def test_all_are_paused(self) -> None:
        stage = Stage()
        stage.pauses.sources.add(A.address)
        assert not stage.prober.is_held
        stage.pauses.sources.add(B.address)
        assert stage.prober.is_held
        assert held(stage.probe("a@a.example")).outcomes == [None]

    def test_those_who_wait_for_a_turn_of_it(self) -> None:
        stage = Stage(A)
        stage.probe("a@1.a.example")
        second = stage.probe("a@2.a.example")
        stage.pauses.sources.add(A.address)
        stage.prober.recheck()
        assert held(second).delay == HOLD

    def test_one_that_the_site_refused_is_not_waited_for(self) -> None:
        stage = Stage()
        site = "mx1.a.example,mx2.a.example"
        stage.prober.sources.bench(A, site, stage.reactor.seconds())
        stage.prober.sources.bench(B, site, stage.reactor.seconds())
        stage.pauses.sources.add(A.address)
        (outcome,) = stage.probe("a@a.example")[0]
        assert outcome.reason is Reason.BLOCKLISTED

    def test_those_passed_over_keep_their_turn(self) -> None:
        sources = Sources([A, B])
        families = frozenset((4,))
        assert sources.choose("s", families, 0.0, {A.address}) is B
        assert sources.choose("s", families, 0.0) is A
        assert sources.choose("s", families, 0.0, {A.address, B.address}) is None

    def test_where_they_were_refused(self) -> None:
        sources = Sources([A, B])
        sources.bench(B, "s", 0.0)
        sources.bench(A, "t", 10.0)
        assert [where[:2] for where in sources.benched(20.0)] == [
            (A.address, "t"),
            (B.address, "s"),
        ]
        assert sources.benched(1e9) == []


class TestSites:
    def test_withdrawing(self) -> None:
        stage = MemoryReactorClock()
        sites = Sites(stage, Limits(per_site=1))
        granted: list[Slot] = []
        sites.slot("a", "203.0.113.1").addCallback(granted.append)
        stage.advance(0)
        waiting = [sites.slot("a", "203.0.113.1") for _ in range(3)]
        lost: list[Failure] = []
        for each in waiting[:2]:
            each.addErrback(lost.append)
            each.cancel()
            each.cancel()
        assert len(lost) == 2
        assert sites.waiting == {"a": 1}
        waiting[2].addCallback(granted.append)
        granted[0].release()
        stage.advance(1)
        assert len(granted) == 2
        assert (sites.active, sites.limits.per_site) == (1, 1)


class FakeWork:
    """Hands out what it is given, and notes what comes back."""

    def __init__(self, *texts: str) -> None:
        self.tasks = [
            Task(parse_address(text), (number % 2, number)) for number, text in enumerate(texts)
        ]
        self.events: list[tuple[Any, ...]] = []

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        self.events.append(("take",))
        tasks, self.tasks = self.tasks[:limit], self.tasks[limit:]
        return succeed(tasks)

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        self.events.append(("report", [task.address.text for task, _ in settled]))
        return succeed(None)

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        self.events.append(("retry_at", [task.address.text for task, _ in waiting]))
        return succeed(None)

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        self.events.append(("give_back", [task.address.text for task in tasks], delay))
        return succeed(None)

    def came_back(self) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event != ("take",)]


def engine_on(stage: Stage, work: FakeWork) -> Engine:
    return Engine(stage.reactor, stage.prober, work, idle=1.0)


class TestEngine:
    def test_who_is_held_goes_back_for_a_while(self) -> None:
        stage, work = Stage(), FakeWork("a@a.example", "b@b.example")
        stage.pauses.sites.add("mx1.a.example")
        engine = engine_on(stage, work)
        engine.start()
        assert work.came_back() == [("give_back", ["a@a.example"], HOLD)]
        assert engine.in_hand == 1

    def test_only_batches_that_are_unwanted_as_a_whole_are_recalled(self) -> None:
        # Of job 0 and job 1 in turn; the first is connected to, the others wait.
        work = FakeWork("a@1.a.example", "a@2.a.example", "a@3.a.example", "b@2.a.example")
        stage = Stage()
        engine = engine_on(stage, work)
        engine.start()
        assert len(stage.dialled_from) == 1
        engine.recall(lambda task: task.token[0] == 0)
        assert work.came_back() == [("give_back", ["a@3.a.example"], 0.0)]
        engine.recall(lambda task: task.token[0] == 1)
        assert work.came_back()[1:] == [("give_back", ["a@2.a.example", "b@2.a.example"], 0.0)]
        assert engine.in_hand == 1


class AfterOneSession(Pauses):
    """Everything is paused as soon as one session was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def held(
        self, site: str | None = None, source: str | None = None, hosts: Iterable[str] = ()
    ) -> Held | None:
        # Once before its slot, once behind it; then comes the next session.
        self.asked += site is not None and source is not None
        self.everything = self.asked > 2
        return super().held(site, source, hosts)


async def test_those_who_were_answered_keep_their_answers() -> None:
    from twisted.internet import reactor

    town = Town()
    await town.start(reactor)
    prober = Prober(
        reactor,
        sources=town.sources[:1],
        reverse_path=town.reverse_path,
        resolvers=[("127.0.0.1", int(town.resolver.rpartition(":")[2]))],
        port=town.port,
        allow_networks=town.networks,
        pauses=AfterOneSession(),
    )
    texts = [f"nobody{number}@orchard.example" for number in range(20)]
    try:
        with pytest.raises(Held) as caught:
            await prober.ask(texts)
    finally:
        await prober.close()
        await town.stop()
    outcomes = caught.value.outcomes
    # Nine errors a session, one of them kept for the control.
    assert [outcome is None for outcome in outcomes] == [False] * 8 + [True] * 12
    assert {one.reason for one in outcomes if one is not None} == {Reason.NO_SUCH_MAILBOX}
    assert len(town.exchangers["mx.orchard.example"].record.sessions) == 1
