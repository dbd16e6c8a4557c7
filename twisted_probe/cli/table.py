"""Outcomes as a table for people.

Knows how it looks, with colours where rich is installed and somebody is watching, as plain text
elsewhere; not what the outcomes mean.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from twisted_probe.cli.cells import cells, padded, shortened, wrapped

COLUMNS = ("address", "verdict", "reason", "code", "exchanger", "source")
#: Columns of the widest address shown; the result file has the whole.
MAX_WIDTH = 44
#: What a narrow terminal does without, first things first, and the columns of an address that
#: are worth more.
_DISPENSABLE = {"exchanger": MAX_WIDTH, "code": MAX_WIDTH, "source": 20}

MARKS = {"deliverable": "✔", "risky": "~", "undeliverable": "✘", "unknown": "?"}
STYLES = {
    "deliverable": "green",
    "risky": "yellow",
    "undeliverable": "red",
    "unknown": "cyan",
}


def print_table(
    records: Sequence[Mapping[str, Any]], out: TextIO, *, notes: Sequence[str] = ()
) -> None:
    """Write one row for each record (`Outcome.record()`, or a row of a result file), a line of
    totals, and `notes`, which are broken at blanks for a terminal."""
    rows = [[_cell(record, column) for column in COLUMNS] for record in records]
    totals = Counter(str(record["verdict"]) for record in records)
    if not (out.isatty() and _print_rich(rows, totals, out)):
        _print_plain(rows, totals, out)
    for note in notes:
        lines = [note]
        if out.isatty():
            lines = wrapped(note, shutil.get_terminal_size().columns)
        out.writelines(f"{line}\n" for line in lines)


def _cell(record: Mapping[str, Any], column: str) -> str:
    value = record.get(column)
    text = "" if value is None else str(value)
    if column == "verdict":
        return f"{MARKS.get(text, ' ')} {text}"
    if column == "reason" and not _is_final(record):
        text += " …"
    return shortened(text, MAX_WIDTH)


def _is_final(record: Mapping[str, Any]) -> bool:
    return record.get("final") in (True, "true")


def _total_words(totals: Counter[str]) -> list[tuple[str, str]]:
    return [
        (verdict, f"{mark} {totals[verdict]} {verdict}")
        for verdict, mark in MARKS.items()
        if totals[verdict]
    ]


def _print_rich(rows: Sequence[Sequence[str]], totals: Counter[str], out: TextIO) -> bool:
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    console = Console(file=out)
    shown, width = _fitting(rows, console.width)
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for place in shown:
        table.add_column(COLUMNS[place], no_wrap=True, overflow="ellipsis")
    for row in rows:
        style = STYLES.get(row[1][2:], "")
        texts = [Text(shortened(row[0], width)), *map(Text, row[1:])]
        for cell in texts[1:3]:
            cell.stylize(style)
        texts[4].stylize("dim")
        table.add_row(*(texts[place] for place in shown))
    console.print(table)
    words = Text("   ").join(Text(text, style=STYLES[name]) for name, text in _total_words(totals))
    console.print()
    console.print(words)
    return True


def _fitting(rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], int]:
    """The columns, by their places, that a terminal of that width can show, and the width of the
    first one: an address is cut before the last columns go, and so much that it is still told."""
    widths = [max(map(cells, column)) for column in zip(COLUMNS, *rows, strict=True)]
    shown = list(range(len(COLUMNS)))
    for dispensable, least in _DISPENSABLE.items():
        # Rich puts two blanks between columns, and one behind the last.
        room = width + 1 - sum(widths[place] + 2 for place in shown[1:]) - 2
        if room >= min(least, widths[0]):
            return shown, min(room, widths[0])
        shown.remove(COLUMNS.index(dispensable))
    return shown, widths[0]


def _print_plain(rows: Sequence[Sequence[str]], totals: Counter[str], out: TextIO) -> None:
    widths = [max(map(cells, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in (COLUMNS, ["-" * width for width in widths], *rows):
        texts = [padded(cell, width) for cell, width in zip(row, widths, strict=True)]
        out.write("  ".join(texts).rstrip() + "\n")
    out.write("\n" + "   ".join(text for _, text in _total_words(totals)) + "\n")
