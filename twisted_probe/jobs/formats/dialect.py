"""How a CSV file separates and quotes its fields, told from its beginning.

Knows the dialects that csv.Sniffer tells apart, and weighs each by the records that it makes; not
which column is probed. The Sniffer itself is not asked: it takes letters for delimiters and
O'Brien for a quote.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, TextIO

from attrs import asdict, frozen

from twisted_probe.jobs.formats.row import COLUMNS

#: What may stand between two fields, the likeliest first.
DELIMITERS = (",", ";", "\t", "|")

_IN_QUOTES = re.compile(r"""\s*(["']).*\1\s*""", re.DOTALL)


@frozen
class Dialect:
    """How fields are separated and quoted.

    A quote within a quoted field is doubled, or has the `escapechar` before it, where there is
    one. With `skipinitialspace` the blanks behind a delimiter belong to no field.
    """

    delimiter: str = ","
    quotechar: str = '"'
    escapechar: str | None = None
    skipinitialspace: bool = False

    def reader(self, lines: Iterable[str]) -> Any:
        """A csv.reader. It is strict: else a quote in the wrong place swallows the lines behind
        it without a word."""
        return csv.reader(lines, **self._parameters(strict=True))

    def writer(self, text: TextIO, end: str, *, quoted: bool = False) -> Any:
        """A csv.writer whose lines end with `end`; it quotes what it has to, or all."""
        quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        return csv.writer(text, **self._parameters(lineterminator=end, quoting=quoting))

    def _parameters(self, **more: object) -> dict[str, Any]:
        return {**asdict(self), "doublequote": self.escapechar is None, **more}


#: What is believed of a file that says nothing else.
EXCEL = Dialect()

_DIALECTS = [
    Dialect(*features) for features in product(DELIMITERS, ('"', "'"), (None, "\\"), (False, True))
]


def column_of(header: Sequence[str]) -> int | None:
    """Which column has the addresses by its name, None where none has."""
    names = [name.strip().casefold() for name in header]
    return next((names.index(wanted) for wanted in COLUMNS if wanted in names), None)


def dialect_of(lines: Sequence[str]) -> Dialect:
    """The dialect of a CSV file by its first lines, with their ends; the header comes first.

    Of those that find a column of addresses, the one that leaves the fewest lines in disorder,
    and of those the one with the most columns. If none finds one, a dialect that finds several
    columns and no disorder; else one with commas.
    """
    head = "".join(lines)
    weights = [_weigh(each, lines) for each in _DIALECTS if _is_possible(each, head)]
    named = [each for each in weights if each.has_column]
    tables = [each for each in weights if each.width > 1 and each.records and not each.disorder]
    plain = [each for each in weights if each.dialect.delimiter == EXCEL.delimiter]
    return min(named or tables or plain, key=lambda each: (each.disorder, -each.width)).dialect


def _is_possible(dialect: Dialect, head: str) -> bool:
    """Whether there is any sign of what sets a dialect apart from the plain one."""
    delimiter, quote = re.escape(dialect.delimiter), dialect.quotechar
    if dialect.escapechar is not None and dialect.escapechar + quote not in head:
        return False
    if dialect.skipinitialspace and not re.search(rf"{delimiter} +{quote}", head):
        return False
    if quote == EXCEL.quotechar:
        return True
    # Apostrophes are quotes only where double quotes are none.
    inside = r"(?:[^']|'')*" if dialect.escapechar is None else r"(?:[^'\\]|\\.)*"
    bare = re.sub(rf"(^|{delimiter}) *'{inside}'", r"\1", head, flags=re.M | re.S)
    return not re.search(rf'(?:^|{delimiter}) *"', bare, re.M)


@frozen
class _Weight:
    """What a dialect makes of the first lines: a header of a `width`, so many `records` behind it,
    and so many lines in disorder.

    In disorder is a record with more or fewer fields than the header has, an address that stands
    in quotes still, and all that comes behind a quote in the wrong place.
    """

    dialect: Dialect
    width: int
    has_column: bool
    records: int
    disorder: int


def _weigh(dialect: Dialect, lines: Sequence[str]) -> _Weight:
    records = -1  # the header is none
    disorder = seen = 0
    header: list[str] = []
    address = 0
    reader = dialect.reader(lines)
    try:
        for fields in reader:
            records += 1
            if not records:
                header = fields
                address = column_of(header) or 0
            elif len(fields) != len(header) or _IN_QUOTES.fullmatch(fields[address]):
                disorder += reader.line_num - seen
            seen = reader.line_num
    except csv.Error:
        disorder += len(lines) - seen
    return _Weight(dialect, len(header), column_of(header) is not None, records, disorder)
