"""IPv6: exchangers that have nothing else, sources that have nothing else, and both mixed."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from . import conduct, topology
from .daemon import Job, Visit, visit
from .parts import postfix
from .street import Street
from .topology import Line

pytestmark = pytest.mark.interop

#: Seconds for one list.
TIMEOUT = 60.0

#: Nobody is asked twice.
SETTINGS = """
[retry]
greylist = []
temporary = []
"""

SIX_ONLY = (
    Line("ann@sixonly.example", *topology.OK),
    Line("nobody@sixonly.example", *topology.GONE),
    # Postfix is at home at all addresses of its machine, and there it takes mail for everybody.
    Line(f"ann@[IPv6:{topology.HOSTS_SIX[topology.SIX]}]", *topology.CATCH_ALL),
)
BOTH = Line("ann@plain.example", *topology.OK), Line("nobody@plain.example", *topology.GONE)
FOUR_ONLY = Line("ann@good.example", *topology.OK), Line("nobody@good.example", *topology.GONE)
LINES = (*SIX_ONLY, *BOTH, *FOUR_ONLY)


@pytest.fixture(scope="module")
def six(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Sources of IPv6 only."""
    return ask(street, tmp_path_factory, topology.SIX_SOURCES)


@pytest.fixture(scope="module")
def mixed(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Sources of both kinds."""
    return ask(street, tmp_path_factory, {**topology.SOURCES, **topology.SIX_SOURCES})


def ask(street: Street, directories: pytest.TempPathFactory, sources: Mapping[str, str]) -> Visit:
    return visit(street, directories.mktemp("visit"), [[Job(LINES)]], TIMEOUT, sources, SETTINGS)


def said(visit: Visit) -> list[tuple[str, str]]:
    return [(row["probe_verdict"], row["probe_reason"]) for row in visit.rows]


def truth(*lines: Line) -> list[tuple[str, str]]:
    return [(line.verdict, line.reason) for line in lines]


def versions(visit: Visit) -> list[tuple[int, int] | None]:
    """The IP version of the source and of the exchanger, for each row; None: nobody was asked."""
    return [
        (
            ip_address(row["probe_source"]).version,
            ip_address(row["probe_exchanger_address"]).version,
        )
        if row["probe_source"]
        else None
        for row in visit.rows
    ]


def test_sources_of_ipv6_reach_what_has_ipv6(six: Visit) -> None:
    nobody = [topology.UNREACHABLE] * len(FOUR_ONLY)
    assert said(six) == [*truth(*SIX_ONLY, *BOTH), *nobody]
    assert versions(six) == [(6, 6)] * len(SIX_ONLY + BOTH) + [None] * len(FOUR_ONLY)


def test_sources_of_both_kinds_reach_everybody(mixed: Visit) -> None:
    assert said(mixed) == truth(*LINES)
    found = versions(mixed)
    assert found[: len(SIX_ONLY)] == [(6, 6)] * len(SIX_ONLY)
    assert found[-len(FOUR_ONLY) :] == [(4, 4)] * len(FOUR_ONLY)
    assert set(found) == {(6, 6), (4, 4)}


def test_each_source_says_its_own_name(six: Visit, mixed: Visit) -> None:
    names = {**topology.SOURCES, **topology.SIX_SOURCES}
    for row in (*six.rows, *mixed.rows):
        assert row["probe_helo"] == names.get(row["probe_source"], "")


def test_postfix_saw_these_sources_and_no_others(six: Visit, mixed: Visit) -> None:
    assert {each.source for each in conduct.sessions(six.logs)} == topology.SIX_SOURCES.keys()
    everybody = {*topology.SOURCES, *topology.SIX_SOURCES}
    assert {each.source for each in conduct.sessions(mixed.logs)} <= everybody


def test_both_have_names_and_nobody_complains(six: Visit, mixed: Visit) -> None:
    for each in six, mixed:
        assert conduct.complaints(each.logs) == []
        assert "connect from unknown" not in each.logs[postfix.LOG]
