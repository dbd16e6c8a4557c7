"""Resolvers that answer, lie, or do neither."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from twisted_probe.daemon.checkup.line import Line
from twisted_probe.daemon.checkup.resolvers import resolver_lines, subject_of
from twisted_probe.routing.names import NameTrouble, NoSuchName
from twisted_probe.testing import FakeNames

#: There is something, and so there is a root.
NAMES = {"example.org": ["MX 0 ."]}


def looked(book: FakeNames, took: float = 0.0122, port: int = 53) -> list[tuple[str, ...]]:
    """The lines about a resolver whose answers take so many seconds."""
    times: Iterator[float] = iter((100.0, 100.0 + took))
    lines: list[list[Line]] = []
    Deferred.fromCoroutine(
        resolver_lines(
            book,
            ("192.0.2.53", port),
            seconds=lambda: next(times),
            rng=random.Random(1),
        )
    ).addCallback(lines.append)
    return [
        (line.subject, line.check, line.status.value, line.found, line.advice or "")
        for line in lines[0]
    ]


def test_all_is_well() -> None:
    book = FakeNames(NAMES)
    assert looked(book) == [
        ("resolver 192.0.2.53", "answers", "ok", "in 12 ms", ""),
        ("resolver 192.0.2.53", "honest", "ok", "a name that is not there is NXDOMAIN", ""),
    ]
    root, (name, kind) = book.asked
    assert root == ("", "NS")
    assert kind == "A"
    assert name.endswith(".invalid")
    assert len(name) == 18 + len(".invalid")


def test_a_port_of_its_own() -> None:
    assert looked(FakeNames(NAMES), port=5353)[0][0] == "resolver 192.0.2.53:5353"
    assert subject_of(("2001:db8::53", 53)) == "resolver 2001:db8::53"
    assert subject_of(("2001:db8::53", 5353)) == "resolver [2001:db8::53]:5353"


def test_slow() -> None:
    assert looked(FakeNames(NAMES), took=2.5)[0][1:] == (
        "answers",
        "note",
        "in 2500 ms, which is slow",
        "name another one with --resolver",
    )


class Defective(FakeNames):
    """Has answers of its own."""

    root: Deferred[list[str]]
    nothing: Deferred[list[str]]

    def __init__(self) -> None:
        super().__init__({})

    def name_servers(self, zone: str) -> Deferred[list[str]]:  # type: ignore[override]
        return self.root

    def addresses(self, name: str, family: int) -> Deferred[list[str]]:  # type: ignore[override]
        return self.nothing


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (
            NameTrouble(": no usable answer from the DNS (no answer in time)"),
            "no usable answer from the DNS (no answer in time)",
        ),
        (NoSuchName(""), "it denies that the root exists"),
    ],
)
def test_one_that_does_not_answer(error: Exception, found: str) -> None:
    book = Defective()
    book.root = fail(error)
    (line,) = looked(book)
    assert line[1:4] == ("answers", "bad", found)
    assert "name another one with --resolver" in line[4]


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        (
            succeed(["192.0.2.80"]),
            "bad",
            "it gives 192.0.2.80 for a name that is not there: dead domains look alive",
        ),
        (
            succeed([]),
            "note",
            "for a name that is not there it says that the name has no address",
        ),
        (fail(NameTrouble("x.invalid: SERVFAIL")), "bad", "no NXDOMAIN: x.invalid: SERVFAIL"),
    ],
)
def test_one_that_does_not_tell_the_truth(
    answer: Deferred[list[str]], status: str, found: str
) -> None:
    book = Defective()
    book.root, book.nothing = succeed([]), answer
    assert looked(book)[1][1:4] == ("honest", status, found)
