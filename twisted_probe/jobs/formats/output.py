"""Rows with their outcomes as a result file: a table, or an object a line.

Knows how the outcome stands behind what is the user's; not which outcome belongs to which row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

from twisted_probe.flags.lookup import flags_of
from twisted_probe.jobs.formats.kinds import Format
from twisted_probe.jobs.formats.objects import PROBE
from twisted_probe.jobs.formats.reader import JobReader
from twisted_probe.jobs.formats.row import Row
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.flags import NO_FLAGS
from twisted_probe.vocabulary.outcome import FLAT_FIELDS, Outcome, flat_record

#: What stands before the names of our columns, so that they never meet the user's.
PREFIX = "probe_"

#: What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")

_MARK = "\ufeff"

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_to_ascii_json = json.JSONEncoder().encode


def record_of(outcome: Outcome, options: JobOptions) -> dict[str, Any]:
    """The outcome's record, with the flags of its address if the job is to have them."""
    return outcome.record(flags_of(outcome.address) if options.flags else NO_FLAGS)


class Table:
    """The results as CSV: in the dialect of the original, with its line end, and with a byte order
    mark if it has one; of a text file, with commas."""

    def __init__(self, text: TextIO, reader: JobReader, options: JobOptions = DEFAULTS) -> None:
        self._width = len(reader.header)
        self._dialect = reader.dialect
        self._options = options
        self._plain = reader.dialect.writer(text, reader.line_end)
        self._quoting = reader.dialect.writer(text, reader.line_end, quoted=True)
        if reader.marked:
            text.write(_MARK)
        self._put((*reader.header, *(PREFIX + name for name in FLAT_FIELDS)))

    def write(self, row: Row, outcome: Outcome) -> None:
        # Of a text file all columns are ours.
        own = (escaped(row.text),) if row.fields is None else self._fitted(row.fields)
        self._put((*own, *flat_record(record_of(outcome, self._options)).values()))

    def _fitted(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """As many fields as the header has: those that miss are empty, surplus ones stay in the
        last column, as they stood in the line."""
        surplus = len(fields) - self._width
        if surplus > 0:
            last = self._width - 1
            return (*fields[:last], self._dialect.delimiter.join(fields[last:]))
        return fields + ("",) * -surplus

    def _put(self, fields: Sequence[str]) -> None:
        quote = self._has_to_be_quoted(fields)
        if self._options.defuse_formulas and any(field.startswith(FORMULA) for field in fields):
            fields = ["'" + field if field.startswith(FORMULA) else field for field in fields]
            quote = True
        (self._quoting if quote else self._plain).writerow(fields)

    def _has_to_be_quoted(self, fields: Sequence[str]) -> bool:
        """Whether there is what the writer would leave bare and the reader take for its own: a
        line end that is not the file's, a blank that is skipped."""
        everything = "".join(fields)
        if "\r" in everything or "\n" in everything:
            return True
        return self._dialect.skipinitialspace and any(field.startswith(" ") for field in fields)


class Objects:
    """The results as JSONL, the exact form: the user's object as it stood in its line, and behind
    all of its keys the outcome. A line that holds no object comes back as a text."""

    def __init__(self, text: TextIO, options: JobOptions = DEFAULTS) -> None:
        self._text = text
        self._options = options

    def write(self, row: Row, outcome: Outcome) -> None:
        if row.object is None:
            own = f'{{"line":{row.line},"text":{_to_ascii_json(row.text)}'
        else:
            own = row.object[:-1].rstrip()
        comma = "" if own.endswith("{") else ","
        record = _to_json(record_of(outcome, self._options))
        self._text.write(f'{own}{comma}"{PROBE}":{record}}}\n')


def output(
    text: TextIO, kind: Format, reader: JobReader, options: JobOptions = DEFAULTS
) -> Table | Objects:
    """What writes the results of a job that is read by `reader`."""
    return Objects(text, options) if kind is Format.JSONL else Table(text, reader, options)
