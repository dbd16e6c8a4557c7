"""The catalogue by itself: it is whole, and promises what a correct prober can hold."""

from __future__ import annotations

import pytest

from twisted_probe.sandbox.catalogue import CATALOGUE, CHAPTERS
from twisted_probe.sandbox.catalogue.oddity import LIVING, Oddity, ordinary
from twisted_probe.sandbox.hostile import hostile_town
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Reason, Verdict

from .oddities import KNOWN_FAULTS

#: The rows of each chapter of the matrix.
ROWS = {
    "A": range(1, 20),
    "B": range(20, 40),
    "C": range(40, 60),
    "D": range(60, 68),
    "E": range(68, 81),
    "F": range(81, 90),
    "G": range(90, 121),
}
#: Situations that are no temper: nobody listens, no way leads there, our own sockets; what a
#: domain publishes of its TLS; a group larger than a window, the order of our own commands, and
#: what a prober never says.
NO_TEMPER = {52, 53, 54, 55, 56, 57, 58, 80, 87, 89, 113, 119, 120}


def test_names_are_unique() -> None:
    assert len(CATALOGUE) == sum(map(len, CHAPTERS.values()))
    assert set(KNOWN_FAULTS) <= set(CATALOGUE)


def test_every_row_that_a_temper_can_show_has_one() -> None:
    shown = {row for oddity in CATALOGUE.values() for row in oddity.rows}
    wanted = {row for rows in ROWS.values() for row in rows} - NO_TEMPER
    assert wanted == shown
    for title, oddities in CHAPTERS.items():
        for oddity in oddities:
            assert set(oddity.rows) & set(ROWS[title[0]]), oddity.name


@pytest.mark.parametrize("oddity", CATALOGUE.values(), ids=CATALOGUE)
def test_nothing_false_is_expected(oddity: Oddity) -> None:
    assert all(reason.verdict is not Verdict.UNDELIVERABLE for reason in oddity.alive)
    assert all(reason.verdict is not Verdict.DELIVERABLE for reason in oddity.unknown)
    for address in oddity.expected:
        assert parse_address(address).domain == oddity.domain
    living = oddity.temper.mailboxes
    assert not living or living == LIVING


def test_who_is_not_there_shares_what_does_not_speak_of_mailboxes() -> None:
    def oddity(**options: object) -> Oddity:
        return Oddity(name="x", words="x", rows=(1,), temper=ordinary(), **options)  # type: ignore[arg-type]

    assert oddity().unknown == {Reason.NO_SUCH_MAILBOX}
    assert oddity(alive=Reason.TIMEOUT).unknown == {Reason.TIMEOUT}
    both = (Reason.ACCEPTED, Reason.UNCONFIRMED)
    assert oddity(alive=both).unknown == {Reason.NO_SUCH_MAILBOX}
    assert oddity(alive=Reason.TIMEOUT, unknown=Reason.GREYLISTED).unknown == {Reason.GREYLISTED}
    assert oddity(asks=("ann", "x")).expected == {
        "ann@x.example": {Reason.ACCEPTED},
        "x@x.example": {Reason.NO_SUCH_MAILBOX},
    }


def test_the_street_has_them_all_and_its_list_tells_what_to_expect() -> None:
    town = hostile_town()
    assert len({house.address for house in town.houses}) == len(CATALOGUE)
    for oddity in CATALOGUE.values():
        assert town.names[oddity.domain] == [f"MX 10 mx.{oddity.domain}"]
        for address, reasons in oddity.expected.items():
            assert town.truth[address] == {(each.verdict.value, each.value) for each in reasons}
