"""JSON objects that show whether they are still what was written.

Knows a sum at the end of the object, which stays JSON for SQLite; not what is in it. SQLite itself
sees damage of its pages' order only: a letter in a text that turned into another is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from zlib import crc32

_MARK = b',"crc":'

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class DamagedText(ValueError):
    """The text is not what was written. The message does not say what it is: an error may be
    logged."""


def sealed(plain: Mapping[str, Any]) -> str:
    """`plain`, which must not be empty, as one line of JSON with its sum."""
    text = _to_json(plain)[:-1]
    return f"{text}{_MARK.decode()}{crc32(text.encode())}}}"


def is_whole(text: str) -> bool:
    """Whether there is a sum, and it is that of the text."""
    try:
        body, mark, rest = text.encode().rpartition(_MARK)
    except (UnicodeEncodeError, AttributeError):
        return False  # SQLite gives what it finds: no text at all, perhaps
    return bool(mark) and rest == b"%d}" % crc32(body)


def unsealed(text: str) -> dict[str, Any]:
    """The object that `sealed` was given, or that an older version wrote without a sum.

    Raises DamagedText.
    """
    try:
        plain = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedText(f"it is no JSON any more: {type(error).__name__}") from None
    if not isinstance(plain, dict):
        raise DamagedText("it is no JSON object any more")
    if plain.pop("crc", None) is not None and not is_whole(text):
        raise DamagedText("its sum is not that of its content")
    return plain
