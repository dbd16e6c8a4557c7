"""How many columns of a terminal a text takes, and texts made to fit.

Knows wide and combining characters as the Unicode data of Python has them; not colours, nor what
a line means.
"""

from __future__ import annotations

import unicodedata


def cells(text: str) -> int:
    """The columns that `text`, which has no control characters, takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int) -> str:
    """`text` with blanks behind it up to `width` columns."""
    return text + " " * (width - cells(text))


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` columns, with … in place of what had to go."""
    if cells(text) <= width:
        return text
    room = width - 1
    for end, character in enumerate(text):
        room -= _cells_of(character)
        if room < 0:
            return text[:end] + "…"
    return text


def wrapped(text: str, width: int, *, cut: bool = False) -> list[str]:
    """`text` in lines of at most `width` columns, broken at blanks and indented as it is.

    A word that is too long for a line has one of its own, and is cut there if `cut` says so.
    """
    indent = text[: len(text) - len(text.lstrip())]
    lines = [indent]
    for word in text.split():
        if lines[-1].strip() and cells(lines[-1]) + 1 + cells(word) > width:
            lines.append(indent)
        fitting = shortened(word, width - len(indent)) if cut else word
        lines[-1] += (" " if lines[-1].strip() else "") + fitting
    return lines
