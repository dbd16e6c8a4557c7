"""Writes docs/politeness.rst and its pictures: what one exchanger feels, and what the others do
meanwhile, in worlds on a clock.

Run it after a change of the budgets: python -m benchmarks.politeness
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.routing.simulation.world import World
from tests.routing.town_square import START
from twisted_probe.routing.sites import Limits

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "politeness.rst"

#: Recipients of the one exchanger, and the numbers of sources that ask.
CROWD = 600
SOURCES = (1, 4, 16)
#: Seconds shown.
SHOWN = 240
LIMITS = Limits(per_site=4, first_sessions=1, recipients_per_session=10)
WIDTH, HEIGHT, MARGIN = 640, 200, 40
COLOURS = ("#1f6f8b", "#c8553d", "#6a994e")

TEXT = """\
=====================
What exchangers feel
=====================

.. Made by python -m benchmarks.politeness.

A session takes a slot of its site and of its exchanger's address, whatever source it leaves from.
More sources spread the sessions, and never add to them. `Hundreds of worlds <simulation.rst>`_ were
looked at for that, at every step.

One exchanger, {crowd} recipients, {per_site} sessions at once and {starts:g} new ones a second at
most: the sessions that are open there, over time, asked from {names} sources.

.. image:: politeness_sources.svg
   :alt: sessions open at one exchanger over time

{sources_table}

A site that is slow, and has more recipients than all others together, holds up nobody else: the
recipients of {sites} other sites that are answered, over time, without and with {crowd} recipients
of one slow exchanger at the front of the list. In both worlds the same 500 recipients are asked,
and no site blocks a source; whoever is not answered is greylisted, or has other trouble.

.. image:: politeness_tail.svg
   :alt: recipients of other sites answered over time

{tail_table}
"""


def main() -> None:
    """Let the worlds run, and write what came of it."""
    lines = [_at_one_exchanger(number) for number in SOURCES]
    _draw("politeness_sources.svg", lines, [f"{n} sources" for n in SOURCES], "sessions")
    sources = _table(
        ("sources", "most at once", "sessions in all", "seconds"),
        [
            (str(number), str(max(line)), str(total), f"{seconds:.0f}")
            for number, line, (total, seconds) in zip(SOURCES, lines, _TOTALS, strict=True)
        ],
    )
    tails = [_tail(0), _tail(CROWD)]
    names = ["without", "with"]
    counts = [[sum(at <= second for at in tail) for second in range(SHOWN)] for tail in tails]
    _draw("politeness_tail.svg", counts, [f"{name} the slow site" for name in names], "answered")
    tail = _table(
        ("the slow site", "answered in 30 s", "in 60 s", f"in {SHOWN} s"),
        [
            (name, str(count[30]), str(count[60]), str(count[-1]))
            for name, count in zip(names, counts, strict=True)
        ],
    )
    PAGE.write_text(
        TEXT.format(
            crowd=CROWD,
            per_site=LIMITS.per_site,
            starts=LIMITS.starts_per_second,
            names=", ".join(map(str, SOURCES)),
            sites=40,
            sources_table=sources,
            tail_table=tail,
        ),
        "utf-8",
    )


_TOTALS: list[tuple[int, float]] = []


def _at_one_exchanger(sources: int) -> list[int]:
    """The sessions that are open there in each second."""
    world = World(1, sites=1, domains=1, recipients=1, sources=sources, limits=LIMITS, crowd=CROWD)
    world.square.latency = 0.05
    at = world.addresses["192.0.2.1"]
    seen: dict[int, int] = {}

    def look(world: World) -> bool:
        second = int(world.square.seconds() - START)
        seen[second] = max(seen.get(second, 0), at.open)
        return world.work.is_over

    world.run(look)
    _TOTALS.append((len(world.square.dials), max(world.work.settled_at) - START))
    line, open_now = [], 0
    for second in range(SHOWN):
        open_now = seen.get(second, open_now)
        line.append(open_now)
    return line


def _tail(crowd: int) -> list[float]:
    # Whom a site refuses depends on whose turn it is, and that on who else is asked: without
    # blocks both worlds answer the same recipients.
    world = World(1, limits=LIMITS, crowd=crowd, blocks=False)
    world.square.latency = 0.05
    world.run(lambda world: world.square.seconds() > START + SHOWN or world.work.is_over)
    if not world.work.is_over:
        world.close()
    return world.tail


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if n == 0 else '  -'} {cell}" for n, cell in enumerate(row)]
    return "\n".join(lines)


def _draw(name: str, lines: Sequence[Sequence[int]], names: Sequence[str], what: str) -> None:
    """A picture of lines over the seconds."""
    top = max(1, *(max(line) for line in lines))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<path d="M{MARGIN},10V{HEIGHT - MARGIN}H{WIDTH - 10}" fill="none" stroke="#444"/>',
        f'<text x="4" y="18">{top}</text><text x="4" y="{HEIGHT - MARGIN}">0</text>',
        f'<text x="{MARGIN}" y="{HEIGHT - 24}">{what}, over {SHOWN} seconds</text>',
    ]
    for number, (line, label) in enumerate(zip(lines, names, strict=True)):
        points = " ".join(
            f"{MARGIN + second * (WIDTH - MARGIN - 10) / SHOWN:.1f},"
            f"{HEIGHT - MARGIN - value * (HEIGHT - MARGIN - 10) / top:.1f}"
            for second, value in enumerate(line)
        )
        colour = COLOURS[number]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="{5 - 2 * number}"/>'
        )
        parts.append(
            f'<text x="{MARGIN + 160 * number}" y="{HEIGHT - 8}" fill="{colour}">{label}</text>'
        )
    (DOCS / name).write_text("\n".join([*parts, "</svg>", ""]), "utf-8")


if __name__ == "__main__":
    main()
