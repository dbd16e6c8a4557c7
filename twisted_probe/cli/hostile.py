"""`mailprobe demo --with hostile`: the prober among exchangers that are odd, broken or hostile.

Knows how to send it there and what to show; who lives there and what should come of it is
`sandbox.hostile`'s affair.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from twisted_probe.cli import EXIT_USAGE
from twisted_probe.cli.showing import complain, shown
from twisted_probe.cli.table import MAX_WIDTH
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.hostile import HASTE, Encounter, hostile_town, meet_all
from twisted_probe.testing import options_for
from twisted_probe.vocabulary.escaping import cut

_COLUMNS = ("", "temper", "expected: living / others", "observed", "seconds")


def hostile(arguments: argparse.Namespace) -> int:
    """Meet them all; 0 when each came to what it should."""
    if arguments.keep is not None:
        complain("--keep: there is no spool with --with hostile")
        return EXIT_USAGE
    encounters: list[Encounter] = []

    async def show(reactor: Any) -> None:
        encounters.extend(await _all_met(reactor))
        _print_table(encounters)

    is_well = shown(show) and all(encounter.is_as_expected for encounter in encounters)
    return 0 if is_well else 1


async def _all_met(reactor: Any) -> Sequence[Encounter]:
    town = hostile_town()
    await town.start(reactor)
    prober = Prober(reactor, **options_for(town), **HASTE, limits=Limits(rest=0.0))
    print(f"{len(CATALOGUE)} exchangers of all tempers at {town.houses[0].address} and behind it;")
    print("the prober is in haste, which takes some seconds.\n", flush=True)
    try:
        return await meet_all(prober, reactor)
    finally:
        await prober.close()
        await town.stop()


def _print_table(encounters: Sequence[Encounter]) -> None:
    rows = [
        (
            "✔" if encounter.is_as_expected else "✘",
            encounter.oddity.name,
            cut(encounter.oddity.expected_in_words, MAX_WIDTH),
            cut(encounter.observed_in_words, MAX_WIDTH),
            f"{encounter.seconds:.1f}",
        )
        for encounter in encounters
    ]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in (_COLUMNS, ["-" * width for width in widths], *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    wrong = sum(not encounter.is_as_expected for encounter in encounters)
    print(f"\n{len(encounters)} tempers, {wrong or 'none'} not as expected")
