"""A text file: one address a line.

Knows which lines are entries; not what an address is.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted_probe.jobs.formats.lines import Lines
from twisted_probe.jobs.formats.row import MAX_ENTRY, Row, entry

# UTF-8 has at most four bytes a character; two for the line's end.
_MAX_ENTRY_BYTES = 4 * MAX_ENTRY + 2


def text_rows(lines: Lines) -> Iterator[Row | None]:
    """The entries; blank lines are none, nor those that begin with `#`."""
    for found in lines.read(_MAX_ENTRY_BYTES):
        if found is None:
            yield None
            continue
        line, whole = found
        text = line.removesuffix("\n").removesuffix("\r")
        start = text.lstrip(" \t")
        if start and not start.startswith("#"):
            yield entry(lines.number, text, whole=whole)
