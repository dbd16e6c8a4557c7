"""The bytes of a job file as UTF-8, whatever they are packed and encoded in.

Knows gzip, byte order marks and UTF-16, a piece at a time; not lines. Every step is a generator
of pieces that holds no more than one of them: a file of any size, packed or not, costs the same.
"""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes that are read, unpacked or decoded at once.
PIECE = 1 << 16
#: Pieces that are hashed at once: some 10 ms.
PIECES = 100
#: Bytes of a gzip file that may hold nothing at all: far more than the empty members and the zeros
#: that tools leave, and some 100 ms of reading, which nothing interrupts.
MAX_BARREN = 1 << 20

_GZIP = b"\x1f\x8b"
#: What zlib has to be told to take gzip and nothing else.
_GZIP_WINDOW = 16 + zlib.MAX_WBITS

_Decode = Callable[[bytes, str, bool], tuple[str, int]]
_UTF_16: dict[bytes, _Decode] = {
    codecs.BOM_UTF16_LE: codecs.utf_16_le_decode,
    codecs.BOM_UTF16_BE: codecs.utf_16_be_decode,
}
_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_LONGEST_MARK = 4


class Broken(Exception):
    """The bytes are not what they should be. The message says what is wrong with them."""


class HashedFile:
    """The pieces of a file; `digest` is the SHA-256 of those that were read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = sha256()

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(PIECE):
            self._hash.update(piece)
            yield piece


def digest_of(file: BinaryIO) -> Generator[None, None, bytes]:
    """The SHA-256 of `file`. Yields where others may have their turn."""
    hashed = HashedFile(file)
    for number, _ in enumerate(hashed, 1):
        if number % PIECES == 0:
            yield
    return hashed.digest


def is_gzip(head: bytes) -> bool:
    """Whether a file that begins so is packed."""
    return head.startswith(_GZIP)


def unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What is in a gzip file: one member or several, with zeros behind the last.

    Raises Broken, after all but the last pieces that could be unpacked.
    """
    unpacker: Any = None  # of the member at hand, None between two of them
    begun = False
    barren = 0  # bytes read since something was found
    for packed in pieces:
        barren += len(packed)
        if barren > MAX_BARREN:
            raise Broken(f"more than {MAX_BARREN} bytes of the gzip hold nothing")
        while True:
            if unpacker is None:
                packed = packed.lstrip(b"\0") if begun else packed
                if not packed:
                    break
                unpacker = zlib.decompressobj(_GZIP_WINDOW)
            if not begun and not packed.startswith(_GZIP[: len(packed)]):
                raise Broken("it is not gzip, as the .gz at the end of its name says")
            begun = True
            try:
                found = unpacker.decompress(packed, PIECE)
            except zlib.error as error:
                reason = str(error).rpartition(": ")[2]
                raise Broken(f"the gzip cannot be unpacked from about here on ({reason})") from None
            if found:
                barren = 0
                yield found
            if unpacker.eof:
                packed, unpacker = unpacker.unused_data, None
            else:
                packed = unpacker.unconsumed_tail
                # With nothing left to read it may still hold some back, of a full piece.
                if not packed and not found:
                    break
    if unpacker is not None or not begun:
        raise Broken("the gzip ends here, too early; the file is not whole")


def as_utf8(pieces: Iterator[bytes]) -> tuple[bool, Iterator[bytes]]:
    """Whether a byte order mark stands before all, and the pieces behind it, UTF-16 as UTF-8.

    Raises Broken for what is neither, now or, after all that could be decoded, later.
    """
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _LONGEST_MARK:
            break
    if head.startswith(_GZIP):
        raise Broken("it is gzip; a packed file has .gz at the end of its name")
    if head.startswith(_UTF_32):
        raise Broken("it is UTF-32; save it as UTF-8")
    if head.startswith(codecs.BOM_UTF8):
        return True, chain((head.removeprefix(codecs.BOM_UTF8),), pieces)
    for mark, decode in _UTF_16.items():
        if head.startswith(mark):
            return True, _transcoded(chain((head.removeprefix(mark),), pieces), decode)
    return False, chain((head,), pieces)


def _transcoded(pieces: Iterator[bytes], decode: _Decode) -> Iterator[bytes]:
    rest = b""
    try:
        for piece in pieces:
            rest += piece
            text, used = decode(rest, "strict", False)
            rest = rest[used:]
            yield text.encode()
        decode(rest, "strict", True)
    except UnicodeDecodeError as error:
        yield decode(rest[: error.start], "strict", True)[0].encode()
        raise Broken(f"this is not well-formed UTF-16 ({error.reason})") from None


class Readable(io.RawIOBase):
    """The pieces as a raw stream, to be buffered; reads are short at the end only.

    An error of the pieces waits until all before it was read.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._error: Broken | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer)
        filled = 0
        while filled < len(target) and self._refilled():
            size = min(len(self._rest), len(target) - filled)
            target[filled : filled + size] = self._rest[:size]
            self._rest = self._rest[size:]
            filled += size
        if not filled and self._error is not None:
            raise self._error
        return filled

    def _refilled(self) -> bool:
        """Whether there is something to hand out."""
        if not self._rest and self._error is None:
            try:
                self._rest = memoryview(next((piece for piece in self._pieces if piece), b""))
            except Broken as error:
                self._error = error
        return bool(self._rest)
