"""A list, or its results, once more without the records of one address.

Knows which lines a record has, and that all else stays as it was, byte by byte; not whose address
it is, nor where the files lie. What was UTF-16 becomes UTF-8; what was packed is packed again.
"""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from hashlib import sha256
from math import inf
from typing import BinaryIO

from twisted_probe.jobs.formats.kinds import Format
from twisted_probe.jobs.formats.lines import TURN, Lines
from twisted_probe.jobs.formats.objects import PROBE
from twisted_probe.jobs.formats.output import PREFIX
from twisted_probe.jobs.formats.reader import JobReader
from twisted_probe.jobs.formats.row import MAX_RECORD, UnreadableJob
from twisted_probe.jobs.formats.stream import PIECE, Broken, as_utf8, unpacked
from twisted_probe.jobs.formats.table import TableReader
from twisted_probe.jobs.names import is_packed, printable

#: The first line of a record, and the one behind its last.
Span = tuple[int, float]
#: A record's first line and its address; None where others may have their turn.
_Entry = tuple[int, str] | None


def spans_in_list(
    file: BinaryIO, name: bytes, kind: Format, is_it: Callable[[str], bool]
) -> Generator[None, None, list[Span]]:
    """The records of the list in `file` whose address `is_it`. Yields where others may have their
    turn; raises UnreadableJob."""
    rows = JobReader(file, name, kind).turns()
    entries = (None if row is None else (row.line, row.text) for row in rows)
    return (yield from _spans(entries, kind, is_it))


def spans_in_results(
    file: BinaryIO, name: bytes, kind: Format, is_it: Callable[[str], bool]
) -> Generator[None, None, list[Span]]:
    """The same in the results of a list of this `kind`, by the address that was asked."""
    _, lines = _lines(file, name, kind)
    if kind is Format.JSONL:
        return (yield from _spans(_objects(lines), kind, is_it))
    rows = TableReader(lines, f"{PREFIX}address").rows()
    entries = (None if row is None else (row.line, row.text) for row in rows)
    return (yield from _spans(entries, Format.CSV, is_it))


def copy_without(
    file: BinaryIO,
    name: bytes,
    kind: Format,
    spans: Sequence[Span],
    target: BinaryIO,
    *,
    keep_ends: bool,
) -> Generator[None, None, bytes]:
    """Write to `target` what is in `file` without these records; the SHA-256 of what was written.

    With `keep_ends` an empty line stays for each of their lines, so that all others keep their
    numbers. Yields where others may have their turn; raises UnreadableJob.
    """
    marked, lines = _lines(file, name, kind)
    hashed = _Hashed(target)
    packed = gzip.GzipFile(mode="wb", fileobj=hashed, mtime=0) if is_packed(name) else None
    write = hashed.write if packed is None else packed.write
    left = iter([*spans, (inf, inf)])
    first, behind = next(left)
    if marked:
        write(codecs.BOM_UTF8)
    size = 0
    for number, piece in lines.raw():
        size += len(piece)
        while number >= behind:
            first, behind = next(left)
        if number < first:
            write(piece)
        elif keep_ends:
            write(piece[len(piece.rstrip(b"\r\n")) :])
        if size >= TURN:
            size = 0
            yield
    if packed is not None:
        packed.close()
    return hashed.digest


def _lines(file: BinaryIO, name: bytes, kind: Format) -> tuple[bool, Lines]:
    """Whether a byte order mark stands before all, and the lines."""
    title = printable(name)
    pieces = iter(lambda: file.read(PIECE), b"")
    try:
        marked, pieces = as_utf8(unpacked(pieces) if is_packed(name) else pieces)
    except Broken as error:
        raise UnreadableJob(f"{title}, line 1: {error}") from None
    return marked, Lines(title, pieces, quoted=kind is Format.CSV)


def _objects(lines: Lines) -> Iterator[_Entry]:
    for found in lines.read(2 * MAX_RECORD):
        if found is None:
            yield None
            continue
        try:
            yield lines.number, str(json.loads(found[0])[PROBE]["address"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise lines.unreadable(f"this is none of our results ({error})", lines.number) from None


def _spans(
    entries: Iterator[_Entry], kind: Format, is_it: Callable[[str], bool]
) -> Generator[None, None, list[Span]]:
    spans: list[Span] = []
    begun: int | None = None
    for found in entries:
        if found is None:
            yield
            continue
        line, text = found
        if begun is not None:
            # Between two records of a table there are blank lines only.
            spans.append((begun, line))
            begun = None
        if is_it(text):
            if kind is Format.CSV:
                begun = line
            else:
                spans.append((line, line + 1))
    if begun is not None:
        spans.append((begun, inf))
    return spans


class _Hashed:
    """Writes to `target`, and knows the SHA-256 of it."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._hash = sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._target.write(data)

    def flush(self) -> None:
        self._target.flush()

    @property
    def digest(self) -> bytes:
        return self._hash.digest()
