"""The page about the simulation: what it says was looked at, and it renders."""

from __future__ import annotations

import re

import pytest
from attrs import evolve
from docutils.core import publish_string

from benchmarks import simulation
from tests.routing.simulation.laws import Law
from tests.routing.simulation.world import World

TEXT = simulation.PAGE.read_text("utf-8")


def test_it_renders_without_a_warning() -> None:
    publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )


@pytest.mark.parametrize("law", Law)
def test_each_law_was_looked_at_and_held(law: Law) -> None:
    row = re.search(rf"\* - {re.escape(law.value)}\n +- ([\d,]+)\n +- (\d+)\n", TEXT)
    assert row is not None
    looks, broken = (int(each.replace(",", "")) for each in row.groups())
    assert looks >= 200
    assert broken == 0


def test_its_words_are_those_of_today() -> None:
    for words in re.split(r"\{\w+\}", simulation.TEXT):
        assert words in TEXT


def test_it_is_of_many_worlds() -> None:
    first, last = re.findall(r"seeds\n +- (\d+) to (\d+)\n", TEXT)[0]
    assert int(last) - int(first) + 1 >= 200
    assert "* - violations\n     - 0\n" in TEXT


def test_what_is_broken_is_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(3, recipients=60)
    world.limits = evolve(world.limits, sessions=1)
    report = simulation.Report()
    report.add(3, world)
    assert report.broken == {Law.EVERYWHERE: 1}
    assert "* - violations\n     - 1\n" in report.page()
    assert Law.EVERYWHERE.value in capsys.readouterr().err
