"""One pass over a job file, whatever its format.

Knows which module reads which format; not how.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from twisted_probe.jobs.formats.dialect import EXCEL, Dialect
from twisted_probe.jobs.formats.kinds import Format
from twisted_probe.jobs.formats.lines import Lines
from twisted_probe.jobs.formats.objects import object_rows
from twisted_probe.jobs.formats.row import Row, UnreadableJob
from twisted_probe.jobs.formats.stream import Broken, HashedFile, as_utf8, unpacked
from twisted_probe.jobs.formats.table import TableReader
from twisted_probe.jobs.formats.text import text_rows
from twisted_probe.jobs.names import is_packed, printable


class JobReader:
    """One pass over the job file in `stream`, which is packed if its `name` says so; iterate over
    it once.

    The constructor reads the beginning: `marked` says whether a byte order mark is there, and
    `line_end` what the first line ends with. Of a CSV file `header` has the names of the columns
    and `dialect` how its fields are told apart; other formats have what their results begin with.

    `digest` is the SHA-256 of the bytes that were read, packed as they are.

    Constructor and iteration raise UnreadableJob for a file that is not what its name says.
    """

    header: tuple[str, ...] = ("address",)
    dialect: Dialect = EXCEL

    def __init__(self, stream: BinaryIO, name: bytes, kind: Format) -> None:
        title = printable(name)
        self._file = HashedFile(stream)
        pieces = iter(self._file)
        try:
            self.marked, pieces = as_utf8(unpacked(pieces) if is_packed(name) else pieces)
        except Broken as error:
            raise UnreadableJob(f"{title}, line 1: {error}") from None
        self._lines = Lines(title, pieces, quoted=kind is Format.CSV)
        if kind is Format.CSV:
            table = TableReader(self._lines)
            self.header, self.dialect = table.header, table.dialect
            self._rows = table.rows()
        elif kind is Format.JSONL:
            self._rows = object_rows(self._lines)
        else:
            self._rows = text_rows(self._lines)

    @property
    def line_end(self) -> str:
        """CR LF, LF or CR."""
        return self._lines.end

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what was read."""
        return self._file.digest

    @property
    def latin1_lines(self) -> int:
        """How many lines were no UTF-8, and read as Latin-1."""
        return self._lines.latin1_lines

    @property
    def first_latin1_lines(self) -> list[int]:
        """The numbers of the first ten of them."""
        return self._lines.first_latin1_lines

    def __iter__(self) -> Iterator[Row]:
        return (row for row in self._rows if row is not None)

    def turns(self) -> Iterator[Row | None]:
        """The rows, and None now and then, where others may have their turn: not every file has
        a row every few milliseconds."""
        return self._rows
