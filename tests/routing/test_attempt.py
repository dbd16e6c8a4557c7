"""One attempt by itself: what a prober would never let it come to."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred

from twisted_probe.routing.attempt import Attempt
from twisted_probe.routing.evidence import Request
from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.sessions import Sessions
from twisted_probe.routing.sites import Sites
from twisted_probe.routing.sources import Sources
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Watchdog
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS
from twisted_probe.verdict.ladder import DEFAULT_LADDER
from twisted_probe.verdict.rules import default_rules
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Outcome, Reason

from .town_square import NETWORKS, ONE, REVERSE_PATH, Book, Square


class Hesitant:
    """Networks that allow an address when it is looked at, and not when it is dialled."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._looks = iter([None])

    def why_forbidden(self, address: str) -> str | None:
        return next(self._looks, "rebound") if address == self._address else None


def run(square: Square, book: Book, networks: Any) -> list[Outcome]:
    tools = Tools(
        reactor=square,
        names=book,
        sources=Sources([ONE]),
        sites=Sites(square),
        networks=networks,
        memory=MemoryInRam(),
        reverse_path=REVERSE_PATH,
        port=2525,
        control=True,
        timeouts=DEFAULT_TIMEOUTS,
        ladder=DEFAULT_LADDER,
        rng=random.Random(1),
        rules=default_rules(),
        watchdog=Watchdog(square, lambda _: None, random.Random(1)),
    )
    requests = [Request(parse_address("ann@a.example"))]
    attempt = Attempt(tools, Sessions(), "a.example", None, requests)
    return square.wait(Deferred.fromCoroutine(attempt.run()))


def test_the_very_address_that_is_dialled_is_asked_about() -> None:
    """cases.md row 140: and the others go on."""
    square, book = Square(), Book({"a.example": ["A 192.0.2.1", "A 192.0.2.2"]})
    square.settle("192.0.2.2", tempers.postfix(residents("ann")))
    (outcome,) = run(square, book, Hesitant("192.0.2.1"))
    assert outcome.reason is Reason.ACCEPTED
    assert square.dialled == ["192.0.2.2"]
    assert square.dials[0].port == 2525


def test_it_says_so_where_there_is_no_other() -> None:
    square, book = Square(), Book({"a.example": ["A 192.0.2.1"]})
    (outcome,) = run(square, book, Hesitant("192.0.2.1"))
    assert (outcome.reason, outcome.final) == (Reason.NO_ROUTE, False)
    assert outcome.text == "192.0.2.1: never dialled: rebound"
    assert not square.dials
    square.advance(1.0)
    assert not square.getDelayedCalls()


def test_it_frees_its_place() -> None:
    square, book = Square(), Book({"a.example": ["A 192.0.2.1"]})
    square.settle("192.0.2.1", tempers.postfix(residents("ann")))
    (outcome,) = run(square, book, Networks(NETWORKS))
    assert outcome.reason is Reason.ACCEPTED
    assert square.open == 0
    assert not square.getDelayedCalls()
