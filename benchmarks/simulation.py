"""Writes docs/simulation.rst: what was looked at in many simulated worlds, and what was found.

    python -m benchmarks.simulation [WORLDS]

lets so many worlds run, each from its own seed; run it after a change of the routing.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from attrs import define, field

from tests.routing.simulation.laws import Law
from tests.routing.simulation.world import World
from tests.routing.town_square import START

PAGE = Path(__file__).parent.parent / "docs" / "simulation.rst"

#: Worlds that are enough for each temper to meet each ceiling.
WORLDS = 300
#: Every so many worlds a large one.
LARGE_EVERY = 20
#: Every so many worlds one whose daemon is started anew, so many times.
RESTARTED_EVERY, RESTARTS = 3, 20
SITES, DOMAINS, RECIPIENTS, SOURCES = 400, 800, 1600, 16
DAY = 24 * 3600.0

TEXT = """\
==============
The simulation
==============

.. Made by python -m benchmarks.simulation.

A world is made from a seed: exchangers of all tempers, some of them behind one address, domains
that share them, a DNS, sources of which some are blocked here and there, ceilings, a list; and one
prober with its engine, as the daemon has it. Its clock, its network and its chance are simulated,
so the same seed is the same world, step for step. A step lets time pass until the next thing
happens. One world in {large_every} is large: {sites} sites, {domains} domains, {recipients}
recipients, {sources} sources. In one of {restarted_every} the prober is stopped in the middle of
its work and begun anew, with what its memory has, {restarts} times, about once a minute.

.. list-table::

{figures}

What must hold, how often it was looked at, and how often it was found broken:

.. list-table::
   :header-rows: 1

   * - law
     - looks
     - broken
{laws}

What the recipients came to:

.. list-table::
   :header-rows: 1

   * - reason
     - recipients
{reasons}
"""


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    """The rows of a list-table."""
    return "\n".join(
        f"   {'* -' if number == 0 else '  -'} {cell}"
        for row in rows
        for number, cell in enumerate(row)
    )


@define
class Report:
    """What some worlds have shown."""

    seeds: list[int] = field(factory=list)
    steps: int = 0
    restarts: int = 0
    dials: int = 0
    recipients: int = 0
    seconds: float = 0.0
    most: int = 0
    looked: Counter[Law] = field(factory=Counter)
    broken: Counter[Law] = field(factory=Counter)
    reasons: Counter[str] = field(factory=Counter)

    def add(self, seed: int, world: World) -> None:
        """Let a world run, to its end or to the first law that it breaks."""
        try:
            world.run()
        except AssertionError as error:
            print(f"seed {seed}: {error}", file=sys.stderr)
            self.broken.update(law for law in Law if law.value in str(error))
        self.seeds.append(seed)
        self.steps += world.steps
        self.restarts += world.restarted
        self.dials += len(world.square.dials)
        self.recipients += world.wanted
        self.seconds += world.square.seconds() - START
        self.most = max(self.most, world.most)
        self.looked += world.laws.looked
        self.reasons += world.summary

    def page(self) -> str:
        """The page for people."""
        figures = {
            "seeds": f"{self.seeds[0]} to {self.seeds[-1]}",
            "steps": f"{self.steps:,}",
            "restarts": f"{self.restarts:,}",
            "simulated days": f"{self.seconds / DAY:,.1f}",
            "recipients": f"{self.recipients:,}",
            "connections dialled": f"{self.dials:,}",
            "most sessions at once": str(self.most),
            "violations": str(sum(self.broken.values())),
        }
        return TEXT.format(
            large_every=LARGE_EVERY,
            sites=SITES,
            domains=DOMAINS,
            recipients=RECIPIENTS,
            sources=SOURCES,
            restarted_every=RESTARTED_EVERY,
            restarts=RESTARTS,
            figures=_rows(figures.items()),
            laws=_rows((law.value, f"{self.looked[law]:,}", str(self.broken[law])) for law in Law),
            reasons=_rows((reason, f"{n:,}") for reason, n in self.reasons.most_common()),
        )


def world_of(seed: int) -> World:
    """The world of this seed: a large one now and then, one with restarts oftener."""
    restarts = 0 if (seed + 1) % RESTARTED_EVERY else RESTARTS
    if (seed + 1) % LARGE_EVERY:
        return World(seed, restarts=restarts)
    return World(
        seed,
        sites=SITES,
        domains=DOMAINS,
        recipients=RECIPIENTS,
        sources=SOURCES,
        restarts=restarts,
    )


def report_of(worlds: int) -> Report:
    """Let so many worlds run."""
    report = Report()
    for seed in range(worlds):
        report.add(seed, world_of(seed))
        print(f"world {seed + 1} of {worlds}", end="\r", file=sys.stderr)
    return report


def main(arguments: list[str]) -> None:
    """Let the worlds run, and write what came of it."""
    report = report_of(int(arguments[0]) if arguments else WORLDS)
    PAGE.write_text(report.page(), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
