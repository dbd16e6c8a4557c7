"""Job files as rows: one pass, line by line, at a memory that no file can raise.

Knows what the formats look like and how a row is found in them; not what an address is
(`vocabulary.address`) nor where the file lies (`jobs.spool`).
"""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections.abc import Iterator
from enum import Enum
from itertools import chain
from typing import BinaryIO

from attrs import frozen

from twisted_probe.jobs.names import printable, suffix
from twisted_probe.vocabulary.escaping import cut, escaped

#: Characters of one entry: sixteen times what RFC 5321 gives a path, for display names.
MAX_ENTRY = 4096
#: Characters of one CSV record, its quoted line ends included; a quote that is never closed would
#: else swallow the file. (One field is held to csv.field_size_limit(), 128 KiB.)
MAX_RECORD = 1 << 20

TOO_LONG = f"the entry is longer than {MAX_ENTRY} characters"

# UTF-8 has at most four bytes a character; two for the line's end.
_MAX_ENTRY_BYTES = 4 * MAX_ENTRY + 2

#: The names of the column that is probed. "address" comes last: beside an "email" it is a street.
COLUMNS = ("email", "e-mail", "mail", "address")
_DELIMITERS = (",", ";", "\t")

_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class UnreadableJob(Exception):
    """A job file cannot be read as what its name says. The message names the file, the line and
    what to mend; nothing of the file was probed. Mend it and drop it again."""


class Format(str, Enum):
    """What a job file holds."""

    TXT = "txt"
    CSV = "csv"


_FORMATS = {b"": Format.TXT, b".txt": Format.TXT, b".csv": Format.CSV}


def format_of(name: bytes) -> Format:
    """What a file of this name holds. Raises UnreadableJob when its suffix says nothing."""
    try:
        return _FORMATS[suffix(name)]
    except KeyError:
        raise UnreadableJob(
            f"{printable(name)}: the suffix {printable(suffix(name))} is not understood; "
            "a job is a .txt (or no suffix) or a .csv"
        ) from None


@frozen
class Row:
    """One entry of a job file.

    `line` is the line of the file, from 1, where its record begins; `text` what is to be read as
    an address, as it was given; `fields` the whole record of a CSV file. `problem` says why the
    text need not be read at all.
    """

    line: int
    text: str
    fields: tuple[str, ...] | None = None
    problem: str | None = None


class JobReader:
    """One pass over the job file in `stream`; iterate over it once.

    The constructor reads the header: `header` has the names of the columns, `delimiter` what
    stands between them. Blank lines are no rows, nor in a text file those that begin with `#`.
    A line that is not UTF-8 is read as Latin-1. `digest` is the SHA-256 of what was read.

    Constructor and iteration raise UnreadableJob for a file that is not what its name says.
    """

    def __init__(self, stream: BinaryIO, name: bytes, kind: Format) -> None:
        self._stream = stream
        self._name = name
        self._hash = hashlib.sha256()
        self._number = 0  # of the line that was read last
        self._begin = 1  # the line where the record at hand begins
        self._size = 0  # characters of that record
        self.delimiter = ","
        self.header: tuple[str, ...] = ("address",)
        self._rows = self._of_text() if kind is Format.TXT else self._of_csv()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what was read."""
        return self._hash.digest()

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    # -- lines

    def _lines(self, limit: int) -> Iterator[tuple[str, bool]]:
        """Each line with its end, and whether it is all there or was cut to `limit` bytes."""
        while piece := self._piece(limit):
            if self._number == 0:
                piece = self._without_mark(piece)
            self._number += 1
            self._refuse_binary(piece)
            rest = 0
            tail = piece
            while tail and not tail.endswith(b"\n"):
                tail = self._piece(limit)
                self._refuse_binary(tail)
                rest += len(tail)
            yield _decoded(piece, whole=not rest), not rest

    def _piece(self, limit: int) -> bytes:
        piece = self._stream.readline(limit)
        self._hash.update(piece)
        return piece

    def _without_mark(self, piece: bytes) -> bytes:
        for mark, encoding in _OTHER_ENCODINGS:
            if piece.startswith(mark):
                raise self._unreadable(f"it is {encoding}; save it as UTF-8", 1)
        return piece.removeprefix(codecs.BOM_UTF8)

    def _refuse_binary(self, piece: bytes) -> None:
        if b"\0" in piece:
            raise self._unreadable("it holds a NUL byte; this is no text in UTF-8", self._number)

    def _unreadable(self, what: str, line: int) -> UnreadableJob:
        return UnreadableJob(f"{printable(self._name)}, line {line}: {what}")

    # -- one address a line

    def _of_text(self) -> Iterator[Row]:
        for line, whole in self._lines(_MAX_ENTRY_BYTES):
            text = line.removesuffix("\n").removesuffix("\r")
            start = text.lstrip(" \t")
            if start and not start.startswith("#"):
                yield _row(self._number, text, None, whole)

    # -- a header and records

    def _of_csv(self) -> Iterator[Row]:
        """Read the header now, the records as they are asked for."""
        self.header = ()
        lines = self._record_lines()
        first = next((line for line in lines if line.strip(" \t\r\n")), None)
        if first is None:
            return iter(())
        self._begin = self._number
        self.delimiter = _delimiter(first)
        # strict: else a quote in the wrong place swallows the lines behind it without a word.
        reader = csv.reader(chain((first,), lines), delimiter=self.delimiter, strict=True)
        self.header = tuple(self._record(reader) or ())
        return self._records(reader, self._column())

    def _records(self, reader: Iterator[list[str]], column: int) -> Iterator[Row]:
        while True:
            self._begin = self._number + 1
            self._size = 0
            fields = self._record(reader)
            if fields is None:
                return
            if len(fields) > 1 or any(field.strip() for field in fields):
                text = fields[column] if column < len(fields) else ""
                yield _row(self._begin, text, tuple(fields))

    def _record(self, reader: Iterator[list[str]]) -> list[str] | None:
        try:
            return next(reader, None)
        except csv.Error as error:
            raise self._unreadable(
                f"the record that begins here is not well-formed CSV ({error})", self._begin
            ) from None

    def _record_lines(self) -> Iterator[str]:
        for line, whole in self._lines(MAX_RECORD):
            self._size += len(line)
            if not whole or self._size > MAX_RECORD:
                raise self._unreadable(
                    f"the record that begins here is longer than {MAX_RECORD} characters; "
                    "a quote may be missing",
                    self._begin,
                )
            yield line

    def _column(self) -> int:
        """Which column holds the addresses."""
        names = [name.strip().casefold() for name in self.header]
        for wanted in COLUMNS:
            found = [index for index, name in enumerate(names) if name == wanted]
            if len(found) > 1:
                raise self._unreadable(f"{len(found)} columns are called {wanted}", self._begin)
            if found:
                return found[0]
        if len(names) > 1:
            shown = ", ".join(repr(cut(escaped(name), 40)) for name in self.header[:20])
            raise self._unreadable(
                f"no column is called email, address, e-mail or mail; there are {shown}",
                self._begin,
            )
        if "@" in names[0]:
            raise self._unreadable(
                "an address stands where the header should be; a CSV file begins with the names "
                "of its columns",
                self._begin,
            )
        return 0


def _row(line: int, text: str, fields: tuple[str, ...] | None, whole: bool = True) -> Row:
    if whole and len(text) <= MAX_ENTRY:
        return Row(line, text, fields)
    return Row(line, text[:MAX_ENTRY], fields, TOO_LONG)


def _delimiter(header: str) -> str:
    """What separates the columns: what makes one of them an address column, else a comma."""
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader((header,), delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        if len(names) > 1 and any(name.strip().casefold() in COLUMNS for name in names):
            return delimiter
    return _DELIMITERS[0]


def _decoded(line: bytes, whole: bool) -> str:
    try:
        # A line that was cut may end in the middle of a character: not the line's fault.
        return codecs.utf_8_decode(line, "strict", whole)[0]
    except UnicodeDecodeError:
        return line.decode("latin-1")
