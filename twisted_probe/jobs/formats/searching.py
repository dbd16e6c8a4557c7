"""Whether a file has something in it, wherever it stands and whatever the file is.

Knows packing and encodings, a piece at a time; not records, nor what is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import chain
from typing import BinaryIO

from twisted_probe.jobs.formats.stream import PIECE, as_utf8, is_gzip, unpacked

#: Bytes after which others may have their turn: some 30 ms.
_TURN = 1 << 20
#: Bytes of a line without an end that are looked at once more, with those behind them: more than
#: what is looked for can have.
_OVERLAP = 4096


def has_in_it(file: BinaryIO, is_in: Callable[[str], bool]) -> Generator[None, None, bool]:
    """Whether `is_in` says so of any line of `file`. Yields where others may have their turn;
    raises Broken where it cannot be unpacked."""
    head = file.read(PIECE)
    packed = chain((head,), iter(lambda: file.read(PIECE), b""))
    _, pieces = as_utf8(unpacked(packed) if is_gzip(head) else packed)
    rest = b""
    size = 0
    for piece in pieces:
        # UTF-16 without its mark: nothing but the NULs is in the way.
        whole, end, rest = (rest + piece.replace(b"\0", b"")).rpartition(b"\n")
        if not end:
            whole, rest = rest, rest[-_OVERLAP:]
        if _is_in(whole, is_in):
            return True
        size += len(piece)
        if size >= _TURN:
            size = 0
            yield
    return _is_in(rest, is_in)


def _is_in(data: bytes, is_in: Callable[[str], bool]) -> bool:
    text = data.decode("utf-8", "replace")
    return is_in(text) or ("\ufffd" in text and is_in(data.decode("latin-1")))
