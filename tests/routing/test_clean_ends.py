"""Cancelling, closing, and a reactor that stops: nothing is left, and nobody is told of errors."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater

from tests.docs.running import run
from twisted_probe import Prober, open_session
from twisted_probe.routing.life import Life
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.names import DnsNames
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.answers import Answer
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Trouble

reactor: Any = global_reactor

ADDRESSES = ("127.0.3.1", "127.0.3.2")


def silent_at(verb: str) -> Temper:
    """An exchanger that never answers this; the greeting is that of no verb at all."""

    def habit(visit: Any, command: Any, answer: Answer) -> Answer:
        return Answer() if command.verb == verb else answer

    return Temper(habits=(habit,))


@asynccontextmanager
async def town_that_is_silent_at(verb: str) -> AsyncIterator[Town]:
    """Two exchangers for quiet.example; nobody answers for mute.example."""
    names = ("mx1.quiet.example", "mx2.quiet.example")
    houses = [House(*pair, silent_at(verb)) for pair in zip(names, ADDRESSES, strict=True)]
    town = Town(
        houses,
        {
            "quiet.example": [f"MX {number} {name}" for number, name in enumerate(names)],
            "mx.hand.example": [f"A {address}" for address in ADDRESSES],
            "mute.example": Trouble.SILENCE,
        },
        sample="",
    )
    await town.start(reactor)
    try:
        yield town
    finally:
        await town.stop()


def prober_in(town: Town, **options: Any) -> Prober:
    settings: dict[str, Any] = {
        "sources": town.sources,
        "reverse_path": town.reverse_path,
        "resolvers": [parse_resolver(town.resolver)],
        "port": town.port,
        "allow_networks": town.networks,
        "limits": Limits(starts_per_second=1000.0, first_sessions=4),
        **options,
    }
    return Prober(reactor, **settings)


def ours(town: Town) -> set[Any]:
    """What is in the reactor and is not the town's nor the test's own."""
    guests = [exchanger.guests for exchanger in town.exchangers.values()]
    guests.append(town.name_server.guests)
    transports = {guest.transport for each in guests for guest in each._here}
    held = {*reactor.getReaders(), *reactor.getWriters(), *reactor.getDelayedCalls()}
    # The test has a deadline, and a site's pace a timer.
    return {each for each in held - transports if not re.search("timeItOut|Sites", str(each))}


async def until(town: Town, is_there: Any) -> None:
    while not is_there():
        await deferLater(reactor, 0.001)


VERBS = ["", "EHLO", "MAIL", "RCPT", "QUIT"]


@pytest.mark.parametrize("verb", VERBS)
async def test_cancelling_a_session(verb: str) -> None:
    async with town_that_is_silent_at(verb) as town:
        record = town.exchangers["mx1.quiet.example"].record
        prober = prober_in(town)
        before = ours(town)
        asking = prober.probe("ann@quiet.example")
        await until(town, lambda: record.asked(verb) if verb else record.open)
        asking.cancel()
        with pytest.raises(CancelledError):
            await asking
        # At once, not in some later turn.
        assert not ours(town) - before
        await prober.close()


@pytest.mark.parametrize("verb", VERBS)
async def test_closing(verb: str) -> None:
    """With sessions, with those who wait for their turn, and with questions to the DNS."""
    async with town_that_is_silent_at(verb) as town:
        record = town.exchangers["mx1.quiet.example"].record
        before = ours(town)
        prober = prober_in(
            town, limits=Limits(per_site=2, first_sessions=2, starts_per_second=1000.0)
        )
        results: list[Any] = []
        for name in ("ann", "ben", "carl"):
            prober.probe(f"{name}@quiet.example").addBoth(results.append)
        prober.probe_many(["ann@mute.example", "ann@quiet.example"]).addBoth(results.append)
        await until(
            town,
            lambda: (
                (len(record.asked(verb)) if verb else record.open) >= 2
                and any(each.name == "mute.example" for each in town.name_server.questions)
            ),
        )
        closing, again = prober.close(), prober.close()
        await closing
        assert [failure.type for failure in results] == [CancelledError] * 4
        await again
        assert not ours(town) - before
        with pytest.raises(RuntimeError, match="the prober is closed"):
            prober.probe("ann@quiet.example")


async def test_closing_one_that_does_nothing() -> None:
    async with town_that_is_silent_at("") as town:
        before = ours(town)
        await prober_in(town).close()
        assert not ours(town) - before


async def test_whoever_waits_for_the_end_may_leave() -> None:
    async with town_that_is_silent_at("MAIL") as town:
        record = town.exchangers["mx1.quiet.example"].record
        prober = prober_in(town)
        asking = prober.probe("ann@quiet.example")
        asking.addErrback(lambda failure: failure.trap(CancelledError) and None)
        await until(town, lambda: record.asked("MAIL"))
        closing = prober.close()
        closing.cancel()
        with pytest.raises(CancelledError):
            await closing
        await asking


async def test_cancelling_open_session() -> None:
    async with town_that_is_silent_at("") as town:
        record = town.exchangers["mx1.quiet.example"].record
        opening = open_session(
            reactor,
            "mx1.quiet.example",
            town.port,
            source=town.sources[0],
            resolver=DnsNames(reactor, [parse_resolver(town.resolver)]),
            allow_networks=town.networks,
        )
        await until(town, lambda: record.open)
        opening.cancel()
        with pytest.raises(CancelledError):
            await opening


# --- A reactor that stops -----------------------------------------------------------------------

#: Stops its reactor when the exchanger, or nobody, has been silent for a while.
PROGRAM = """
import sys

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from twisted_probe import Prober, Source, open_session
from twisted_probe.routing.names import DnsNames
from twisted_probe.routing.sites import Limits
from twisted_probe.smtp import factory

port, resolver, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dial = factory.dial
me = Source("127.0.0.21", helo="probe1.example.org")
resolvers = [("127.0.0.1", resolver)]
networks = ["127.0.0.0/8"]


def noted(reactor, host, *arguments, **options):
    print("dialled", host)
    return dial(reactor, host, *arguments, **options)


factory.dial = noted


async def ask():
    prober = Prober(
        reactor,
        sources=[me],
        reverse_path="probe@example.org",
        resolvers=resolvers,
        port=port,
        allow_networks=networks,
        limits=Limits(starts_per_second=1000.0, rest=0.0),
    )
    outcomes = await prober.probe_many([f"ann@{what}.example", f"ben@{what}.example"])
    print("outcomes", *(f"{o.reason.value}/{o.final}" for o in outcomes))
    again = await prober.probe("carl@mute.example")
    print("again", again.reason.value, again.text)
    await prober.close()


async def open_by_hand():
    names = DnsNames(reactor, resolvers)
    await open_session(
        reactor, "mx.hand.example", port, source=me, resolver=names, allow_networks=networks
    )


# What is read from files before that takes its time, too.
reactor.callWhenRunning(reactor.callLater, 0.5, reactor.stop)
if what == "hand":
    opening = ensureDeferred(open_by_hand())
    opening.addErrback(lambda failure: print("failed", failure.type.__name__))
else:
    asking = ensureDeferred(ask())
reactor.run()
print("stopped")
"""


async def stopped(town: Town, what: str, directory: Path) -> list[str]:
    """What the program has said, which has met no error and left nothing open."""
    _, _, resolver = town.resolver.rpartition(":")
    done = await run("-c", PROGRAM, str(town.port), resolver, what, directory=directory)
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


@pytest.mark.parametrize("verb", ["", "RCPT", "QUIT"])
async def test_a_reactor_that_stops_during_a_session(verb: str, tmp_path: Path) -> None:
    """The second exchanger is not dialled, nor anything asked again."""
    async with town_that_is_silent_at(verb) as town:
        said = await stopped(town, "quiet", tmp_path)
    assert said == [
        "dialled 127.0.3.1",
        # QUIT is said when all is answered; but there the control has not decided.
        "outcomes " + " ".join(["connection_lost/False"] * 2)
        if verb != "QUIT"
        else "outcomes no_such_mailbox/True no_such_mailbox/True",
        "again connection_lost the reactor has stopped",
        "stopped",
    ]


async def test_a_reactor_that_stops_during_a_question(tmp_path: Path) -> None:
    """Nobody tells of it: the coroutine is left, and ends with the process."""
    async with town_that_is_silent_at("") as town:
        assert await stopped(town, "mute", tmp_path) == ["stopped"]


async def test_a_reactor_that_stops_during_open_session(tmp_path: Path) -> None:
    async with town_that_is_silent_at("") as town:
        assert await stopped(town, "hand", tmp_path) == [
            "dialled 127.0.3.1",
            "failed SessionLost",
            "stopped",
        ]


def test_a_life_begins_and_ends() -> None:
    class Fake:
        running = False

        def callWhenRunning(self, begin: Callable[[], None]) -> None:
            self.begin = begin

    fake = Fake()
    life = Life(fake)
    assert not life.is_over
    fake.running = True
    fake.begin()
    assert not life.is_over
    fake.running = False
    assert life.is_over
    # A clock tells nothing of its life.
    assert not Life(Clock()).is_over


async def test_this_reactor_is_not_over() -> None:
    assert not Life(reactor).is_over


async def test_closed_is_told_to_all_who_ask() -> None:
    async with town_that_is_silent_at("EHLO") as town:
        session = await open_session(
            reactor, ADDRESSES[0], town.port, source=town.sources[0], allow_networks=town.networks
        )
        first, second, third = (session.closed() for _ in range(3))
        second.cancel()
        with pytest.raises(CancelledError):
            await second
        assert not first.called
        session.abort()
        await first
        await third
        await session.closed()
        greeting: Deferred[Any] = session.helo()
        with pytest.raises(Exception, match="aborted by this side"):
            await greeting
