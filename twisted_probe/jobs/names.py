"""The names of job files: bytes that anybody may have chosen.

Knows which names are jobs, what is derived of a name, and how it is printed; not what is on disk.
"""

from __future__ import annotations

import os
import re

from twisted_probe.vocabulary.escaping import escaped

#: What one component of a path may measure, in bytes (NAME_MAX of Linux's file systems).
MAX_NAME = 255

RESULTS = b".results.csv"
OBJECTS = b".results.jsonl"
SUMMARY = b".summary.json"
ERROR = b".error.txt"
#: The options of the list NAME are in `NAME.job.toml`.
OPTIONS = b".job.toml"
#: What stands beside the original `NAME` in the end, as `NAME` and one of these.
DERIVED = (RESULTS, OBJECTS, SUMMARY, ERROR, OPTIONS)

#: Bytes of the `~2` that a taken name gets: up to five digits.
_MAX_NUMBER = 6
#: Bytes kept free behind a job's name: a leading dot, the longest derived suffix, `.tmp`, and a
#: number.
_RESERVE = 1 + max(map(len, DERIVED)) + len(b".tmp") + _MAX_NUMBER

#: What the names of files end in that are on their way.
UNFINISHED = (b".tmp", b".part", b"~")
_NUMBER = re.compile(rb"~[0-9]+\Z")
_PACKED = b".gz"


def is_job(name: bytes) -> bool:
    """Whether a file of this name is meant to be taken: not hidden, not on its way."""
    return not name.startswith(b".") and not name.lower().endswith(UNFINISHED)


def is_options(name: bytes) -> bool:
    """Whether a file of this name holds the options of a list."""
    return name.endswith(OPTIONS) and name != OPTIONS


def printable(name: bytes) -> str:
    """`name` as text that is safe to print, log and store; nothing maps it back."""
    return escaped(name.decode("utf-8", "backslashreplace"))


def plain(name: bytes) -> bytes:
    """`name` without the `~2` that a taken name gets."""
    return _NUMBER.sub(b"", name) or name


def is_packed(name: bytes) -> bool:
    """Whether a job file of this name is packed with gzip."""
    return plain(name).lower().endswith(_PACKED)


def suffix(name: bytes) -> bytes:
    """The suffix that says what a job file holds, with its dot, in lower case; or nothing. A
    `.gz` behind it does not count."""
    return _split(plain(name))[1].lower().removesuffix(_PACKED)


def fitted(name: bytes) -> bytes:
    """`name`, cut before its suffix where what is derived of it would be too long for a name.

    One that was cut, with a number or without, is not cut again.
    """
    limit = MAX_NAME - _RESERVE
    bare = plain(name)
    number = name[len(bare) :]
    if len(number) > _MAX_NUMBER:
        bare, number = name, b""
    if len(bare) <= limit:
        return name
    stem, extension = _split(bare)
    if len(extension) >= limit:
        stem, extension = bare, b""
    return _cut(stem, limit - len(extension)) + extension + number


def _cut(stem: bytes, limit: int) -> bytes:
    """At most `limit` bytes of it, and no part of a character in UTF-8."""
    for end in range(limit, max(0, limit - 4), -1):
        if end >= len(stem) or stem[end] & 0xC0 != 0x80:
            return stem[:end]
    return stem[:limit]


def _split(name: bytes) -> tuple[bytes, bytes]:
    """A name before its suffix, and the suffix with the `.gz` that may stand behind it."""
    stem, extension = os.path.splitext(name)
    if extension.lower() == _PACKED:
        stem, inner = os.path.splitext(stem)
        extension = inner + extension
    return stem, extension


def numbered(name: bytes, number: int) -> bytes:
    """What `name` becomes where it is taken: `NAME~2`, `NAME~3` …"""
    return b"%s~%d" % (plain(name), number)
