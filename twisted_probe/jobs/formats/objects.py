"""A JSONL file: an object a line, with the address under one of its keys.

Knows what of a line is JSON and which key is probed; the object itself stays text, so that it
comes back to the last digit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from twisted_probe.jobs.formats.lines import Lines
from twisted_probe.jobs.formats.row import COLUMNS, MAX_ENTRY, MAX_RECORD, TOO_LONG, Row

#: The key that the outcome gets beside the user's own.
PROBE = "probe"

_BLANKS = " \t\r\n"
_RANKS = {name: rank for rank, name in enumerate(COLUMNS)}
_LONGEST = max(map(len, COLUMNS))

_Pairs = tuple[tuple[str, Any], ...]


def object_rows(lines: Lines) -> Iterator[Row | None]:
    """The lines but the blank ones.

    A line that holds no object, or none with an address, is a row with a problem. Raises
    UnreadableJob where the outcome would meet a key of the user's.
    """
    for found in lines.read(MAX_RECORD):
        if found is None:
            yield None
            continue
        line, whole = found
        if text := line.strip(_BLANKS):
            yield _row(lines, text, whole)


def _row(lines: Lines, text: str, whole: bool) -> Row:
    number = lines.number
    try:
        pairs = _object_in(text, whole)
    except ValueError as error:
        return Row(number, text[:MAX_ENTRY], None, f"line {number}: {error}")
    if PROBE in [key for key, _ in pairs]:
        raise lines.unreadable(
            f'the object has a key "{PROBE}" of its own, where the outcome would stand; rename it',
            number,
        )
    # Within an object a bare CR or LF is a blank.
    text = text.replace("\r", " ").replace("\n", " ")
    try:
        address = _address_in(pairs)
    except ValueError as error:
        return Row(number, "", None, f"line {number}: {error}", text)
    if len(address) > MAX_ENTRY:
        return Row(number, address[:MAX_ENTRY], None, TOO_LONG, text)
    return Row(number, address, None, None, text)


def _object_in(text: str, whole: bool) -> _Pairs:
    """The keys and values of the object that `text` is. Raises ValueError, saying why not."""
    if not whole:
        raise ValueError(f"it is longer than {MAX_RECORD} bytes")
    try:
        value = _JSON.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg} at character {error.pos + 1})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, tuple):
        raise ValueError(f"it is {_kind(value)}, not an object")
    return value


def _address_in(pairs: _Pairs) -> str:
    """The value of the key with the address, which is the first of COLUMNS that is there, in the
    very spelling or else in any case. Raises ValueError, saying what is wrong with it."""
    best = 2 * len(COLUMNS)
    found: list[tuple[str, Any]] = []
    for key, value in pairs:
        if len(key) > _LONGEST or (rank := _RANKS.get(key.casefold())) is None:
            continue
        rank = 2 * rank + (key not in _RANKS)
        if rank < best:
            best = rank
            found = []
        if rank == best:
            found.append((key, value))
    if not found:
        raise ValueError('the object has no key "address" or "email"')
    key, value = found[0]
    if len(found) > 1:
        raise ValueError(f'the object has {len(found)} keys "{key.lower()}"')
    if not isinstance(value, str):
        raise ValueError(f'the value of "{key}" is {_kind(value)}, not a string')
    return value


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _KINDS[type(value)]


_KINDS = {
    tuple: "an object",
    list: "an array",
    str: "a string",
    int: "a number",
    type(None): "null",
}


def _number(text: str) -> int:
    """Any number: only that it is one matters, and Python would refuse those of many digits."""
    return 0


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it is not JSON ({constant})")


_JSON = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=_number, parse_float=_number, parse_constant=_refuse
)
