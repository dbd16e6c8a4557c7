"""The figures of many runs, side by side.

Knows medians and spreads and how a table is written; not how anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.run import Effort

#: Whose one-recipient sessions are the measure of everything.
ANCHOR = ("blocking", 1)

_HEADS = (
    "",
    "per session",
    "recipients per CPU second",
    "spread",
    "of blocking at 1",
    "system",
    "sink busy",
)


def table(runs: Mapping[tuple[str, int], Sequence[Effort]]) -> str:
    """A table in reStructuredText, a row for each contender and number of recipients a session.

    Of the recipients per second of the client's CPU: the median, the least and the most of the
    rounds, and the median as a multiple of the anchor's. Then the kernel's part of the client's
    CPU, and the sink's CPU as a part of the wall clock's time (both medians).
    """
    anchor = median(effort.per_second for effort in runs[ANCHOR])
    rows = [_HEADS, *(_row(name, width, runs[name, width], anchor) for name, width in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in (rule, lines[0], rule, *lines[1:], rule))


def _row(name: str, width: int, efforts: Sequence[Effort], anchor: float) -> tuple[str, ...]:
    rates = [effort.per_second for effort in efforts]
    system = median(effort.system / (effort.user + effort.system) for effort in efforts)
    busy = [effort.sink / effort.wall for effort in efforts if effort.sink is not None]
    return (
        name,
        str(width),
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f} … {max(rates):,.0f}",
        f"{median(rates) / anchor:.2f}",
        f"{system:.0%}",
        f"{median(busy):.0%}" if busy else "not told",
    )
