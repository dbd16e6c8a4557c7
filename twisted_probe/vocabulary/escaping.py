"""The one border where a stranger's bytes become text that is safe to print, log and store.

Knows how to decode and escape; everything inside of it stays bytes, everything outside is clean.
"""

from __future__ import annotations

import unicodedata

#: Characters kept of one text; Postfix keeps 2048 bytes of a reply line (var_line_limit).
MAX_TEXT = 2048

# Cc: C0 and C1 controls; Cf: bidi overrides and zero-width marks; Zl/Zp: the line ends that
# JavaScript and some log viewers obey; Co/Cs/Cn: nothing that a terminal should be handed.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"))


def escaped(text: str) -> str:
    """`text` with every control, format and line-separating character as `\\xNN` or `\\uNNNN`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    point = ord(character)
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"


def decoded(data: bytes, limit: int = MAX_TEXT) -> str:
    """A stranger's bytes as safe text: UTF-8 with replacement, escaped, cut to `limit`."""
    text = data.decode("utf-8", "replace")
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text  # as nearly all are, and each line of a session comes here
    return cut(escaped(text), limit)


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """`text`, at most `limit` characters of it, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
