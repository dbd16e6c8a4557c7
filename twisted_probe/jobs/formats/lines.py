"""The lines of a job file as text, each counted, and none longer than is asked for.

Knows the three line ends and how a line is decoded; not what a line means in which format.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from functools import partial

from twisted_probe.jobs.formats.row import UnreadableJob
from twisted_probe.jobs.formats.stream import Broken, Readable

#: Bytes at the beginning of a file that tell its line end, and a CSV file's dialect.
HEAD = 1 << 16
#: Bytes after which others may have their turn, whatever was found: some 50 ms.
TURN = 1 << 24
#: Lines after which they may, however short: some 20 ms.
TURN_LINES = 20_000
#: How many of the lines that were read as Latin-1 are named.
NAMED = 10

_END = re.compile(rb"\r\n|\r|\n")
_QUOTED = re.compile(rb'"[^"]*(?:"|\Z)')
# LF and CR in each other's place: so an old Mac's file is read like all others.
_SWAPPED = bytes.maketrans(b"\r\n", b"\n\r")


class Lines:
    """The lines of `pieces`, which are bytes in UTF-8; `title` is the file's name, for words.

    A CR alone ends the lines only of a file that has no LF in its beginning; with `quoted`, of
    one whose first line end outside of double quotes is such a CR. `end` is what the first line
    ends with, CR LF, LF or CR, and `head` has the whole lines, with their ends, at the beginning
    of the file.

    `number` is the line that was read last, from 1. A line that is not UTF-8 is read as Latin-1:
    `latin1_lines` counts them, `first_latin1_lines` has the numbers of the first ten.

    Constructor and iteration raise UnreadableJob for what is no text.
    """

    def __init__(self, title: str, pieces: Iterator[bytes], *, quoted: bool = False) -> None:
        self.number = 0
        self.latin1_lines = 0
        self.first_latin1_lines: list[int] = []
        self._title = title
        self._read = 0
        stream = io.BufferedReader(Readable(pieces), HEAD)
        try:
            head = stream.peek()
        except Broken as error:
            raise self.unreadable(str(error), 1) from None
        # The LF of a last CR may come behind the head.
        told = head.removesuffix(b"\r") if len(head) == HEAD else head
        self.end = _end_of_header(told) if quoted else _end_of_lines(told)
        self._swap = self.end == "\r"
        if self._swap:
            pieces = iter(partial(stream.read1, HEAD), b"")
            swapped = (piece.translate(_SWAPPED) for piece in pieces)
            stream = io.BufferedReader(Readable(swapped), HEAD)
        self._stream = stream
        *whole, last = head.decode("utf-8", "replace").split(self.end[-1])
        self.head = [line + self.end[-1] for line in whole]
        if last and len(head) < HEAD:
            self.head.append(last)

    def unreadable(self, what: str, line: int) -> UnreadableJob:
        """The complaint about a line."""
        return UnreadableJob(f"{self._title}, line {line}: {what}")

    def read(self, limit: int) -> Iterator[tuple[str, bool] | None]:
        """Each line with its end, and whether it is all there or was cut to `limit` bytes.

        Between them, after every TURN bytes or TURN_LINES lines, comes None.
        """
        turn = TURN
        turn_line = self.number + TURN_LINES
        while piece := self._piece(limit, self.number + 1):
            self.number += 1
            tail = piece
            whole = True
            while not tail.endswith(b"\n") and (tail := self._piece(limit, self.number)):
                whole = False
                if self._read >= turn:
                    turn = self._read + TURN
                    yield None
            yield self._text(piece, whole), whole
            if self._read >= turn or self.number >= turn_line:
                turn = self._read + TURN
                turn_line = self.number + TURN_LINES
                yield None

    def raw(self) -> Iterator[tuple[int, bytes]]:
        """The bytes of each line with its end, in pieces of at most HEAD, each with the line's
        number; instead of `read`."""
        number = 1
        while piece := self._piece(HEAD, number):
            yield number, piece.translate(_SWAPPED) if self._swap else piece
            number += piece.endswith(b"\n")

    def _piece(self, limit: int, line: int) -> bytes:
        try:
            piece = self._stream.readline(limit)
        except Broken as error:
            raise self.unreadable(str(error), line) from None
        if b"\0" in piece:
            raise self.unreadable(
                "it holds a NUL byte; this is no text in UTF-8, nor in UTF-16 behind a byte order "
                "mark",
                line,
            )
        self._read += len(piece)
        return piece

    def _text(self, line: bytes, whole: bool) -> str:
        """The line as text. One that was cut may end in the middle of a character: that is not
        its fault."""
        if self._swap:
            line = line.translate(_SWAPPED)
        try:
            return codecs.utf_8_decode(line, "strict", whole)[0]
        except UnicodeDecodeError:
            self.latin1_lines += 1
            if len(self.first_latin1_lines) < NAMED:
                self.first_latin1_lines.append(self.number)
            return line.decode("latin-1")


def _end_of_lines(head: bytes) -> str:
    before, feed, _ = head.partition(b"\n")
    if feed:
        return "\r\n" if before.endswith(b"\r") else "\n"
    return "\r" if b"\r" in head else "\n"


def _end_of_header(head: bytes) -> str:
    # Something stays of what is quoted: a CR before it and an LF behind it are no CRLF.
    found = _END.search(_QUOTED.sub(b'""', head))
    return "\n" if found is None else found[0].decode()
