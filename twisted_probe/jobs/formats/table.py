"""A CSV file: a header, and records with a column of addresses.

Knows where a record begins and ends and which column is probed; not how fields are told apart
(`formats.dialect`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from twisted_probe.jobs.formats.dialect import EXCEL, column_of, dialect_of
from twisted_probe.jobs.formats.lines import HEAD, Lines
from twisted_probe.jobs.formats.row import MAX_RECORD, Row, UnreadableJob, entry
from twisted_probe.vocabulary.escaping import cut, escaped


class TableReader:
    """The records of `lines`, behind the `header`, which is read at once; blank ones are none.

    An empty file has an empty header. `column` is the one with the addresses, where that is known.
    Constructor and `rows` raise UnreadableJob.
    """

    def __init__(self, lines: Lines, column: str | None = None) -> None:
        self._lines = lines
        self._wanted = column
        self._begin = 1  # the line where the record at hand begins
        self._size = 0  # characters of that record
        self._turn = False  # whether others should have their turn
        self.header: tuple[str, ...] = ()
        self.dialect = EXCEL
        self._column = 0
        found = self._record_lines()
        first = next((line for line in found if self._is_begun(line)), None)
        if first is None:
            self._reader: Iterator[list[str]] = iter(())
            return
        self._begin = lines.number
        self.dialect = dialect_of(lines.head[self._begin - 1 :] or [first])
        self._reader = self.dialect.reader(chain((first,), found))
        self.header = tuple(self._record() or ())
        self._column = self._column_of_addresses()

    def rows(self) -> Iterator[Row | None]:
        """The records, to be read once."""
        while True:
            self._begin = self._lines.number + 1
            self._size = 0
            fields = self._record()
            if fields is None:
                return
            if len(fields) > 1 or any(field.strip() for field in fields):
                text = fields[self._column] if self._column < len(fields) else ""
                yield entry(self._begin, text, tuple(fields))
            if self._turn:
                self._turn = False
                yield None

    def _record(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise self._lines.unreadable(
                f"the record that begins here is not well-formed CSV ({escaped(str(error))})",
                self._begin,
            ) from None

    def _record_lines(self) -> Iterator[str]:
        for found in self._lines.read(MAX_RECORD):
            if found is None:
                self._turn = True
                continue
            line, whole = found
            self._size += len(line)
            if not whole or self._size > MAX_RECORD:
                raise self._lines.unreadable(
                    f"the record that begins here is longer than {MAX_RECORD} characters; "
                    "a quote may be missing",
                    self._begin,
                )
            yield line

    def _is_begun(self, line: str) -> bool:
        """Whether this line, before which all are blank, is not."""
        if not line.strip(" \t\r\n"):
            if self._size > HEAD:
                raise self._lines.unreadable(
                    f"there are more than {HEAD} blanks where the header should be",
                    self._lines.number,
                )
            return False
        return True

    def _column_of_addresses(self) -> int:
        if self._wanted is not None:
            if self._wanted not in self.header:
                raise self._unusable(f"no column is called {self._wanted}")
            return self.header.index(self._wanted)
        names = [name.strip().casefold() for name in self.header]
        column = column_of(self.header)
        if column is not None:
            number = names.count(names[column])
            if number > 1:
                raise self._unusable(f"{number} columns are called {names[column]}")
            return column
        if len(names) > 1:
            shown = ", ".join(f"'{cut(escaped(name), 40)}'" for name in self.header[:20])
            raise self._unusable(
                f"no column is called email, address, e-mail or mail; there are {shown}"
            )
        if "@" in names[0]:
            raise self._unusable(
                "an address stands where the header should be; a CSV file begins with the names "
                "of its columns"
            )
        return 0

    def _unusable(self, what: str) -> UnreadableJob:
        return self._lines.unreadable(what, self._begin)
