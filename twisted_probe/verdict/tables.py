"""A data file of rows, read and checked: TOML tables of one kind, each with a name.

Knows how a row's values are taken out of it, and words an error so that the row and the key are
found; not what a row means (`verdict.rules`, `verdict.providers`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from enum import Enum
from importlib import import_module
from typing import Any, TypeVar

from attrs import frozen

# The same library under two names; in the standard library since Python 3.11.
_toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
#: The end of an exchanger's name, at least two labels of it.
_SUFFIX = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
# A table's header; an array of a multi-line value begins with a bracket too, and holds quotes.
_HEADER = re.compile(r"\[\[? ?[\w-]+ ?\]\]?")
_KEY = re.compile(r"\s*([\"']?)([\w-]+)\1\s*=")
#: Where the lines of a table have that of its header: no key is so called.
_HEAD = ""

_Choice = TypeVar("_Choice", bound=Enum)


class RuleError(ValueError):
    """A data file cannot be used; the message names the line, the row, the key and what is
    expected."""


@frozen
class Row:
    """One table: its `kind`, its place in the file (from 1), its values unread, and the `lines`
    of the text (from 1) where it and its keys stand, as far as they can be told."""

    kind: str
    number: int
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    def name(self, known: Collection[str]) -> str:
        """The row's name, after its keys were compared with those that are `known`."""
        for key in self.values:
            if key not in known:
                raise self.error(key, f"it is not known; known are {', '.join(sorted(known))}")
        name = self.text("name")
        if not _NAME.fullmatch(name):
            raise self.error("name", "write lower-case words joined by hyphens")
        return name

    def text(self, key: str, default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, "it must be there and be a text that is not blank")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "write true or false")
        return value

    def texts(self, key: str, form: re.Pattern[str] | None = None, wanted: str = "") -> list[str]:
        values = self.values.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.error(key, "it is not a list of texts")
        if key in self.values and not values:
            raise self.error(key, "the list is empty; leave the key out")
        for value in values:
            if form is not None and not form.fullmatch(value):
                raise self.error(key, f"{value!r} is none; write {wanted}")
        return values

    def suffixes(self, key: str) -> frozenset[str]:
        """Ends of exchangers' names."""
        return frozenset(self.texts(key, _SUFFIX, "the end of a host's name, such as google.com"))

    def choice(self, key: str, choices: type[_Choice], value: str) -> _Choice:
        try:
            return choices(value)
        except ValueError:
            known = ", ".join(choice.value for choice in choices)
            raise self.error(key, f"{value!r} is not one of {known}") from None

    def error(self, key: str, problem: str) -> RuleError:
        name = self.values.get("name", self.number)
        where = at_line(self.lines.get(key, self.lines.get(_HEAD)))
        return RuleError(f"{where}{self.kind} {name!r}, key {key!r}: {problem}")


def at_line(line: int | None) -> str:
    """How an error begins that is found at `line`; nothing where that is not known."""
    return "" if line is None else f"line {line}: "


def read_rows(text: str, kind: str, beside: str | None = None) -> tuple[list[Row], object]:
    """The rows [[kind]] of a TOML document in order, and the value of its key `beside`.

    Raises RuleError when the text is no TOML or holds anything else.
    """
    try:
        document: dict[str, Any] = _toml.loads(text)
    except ValueError as error:
        raise RuleError(f"not TOML: {error}") from None
    for key in document:
        if key not in (kind, beside):
            known = f"[[{kind}]]" if beside is None else f"[{beside}] and [[{kind}]]"
            raise RuleError(f"key {key!r}: only {known} are known")
    tables = document.get(kind, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RuleError(f"key {kind!r}: write each {kind} as [[{kind}]]")
    places = lines_of(text, f"[[{kind}]]")
    if len(places) != len(tables):
        places = [{}] * len(tables)  # written inline, or a text holds what looks like a header
    rows = [
        Row(kind, number, table, lines)
        for number, (table, lines) in enumerate(zip(tables, places, strict=True), 1)
    ]
    return rows, document.get(beside, {}) if beside is not None else {}


def lines_of(text: str, header: str) -> list[dict[str, int]]:
    """Where each table of this header stands in the text, and where its keys do.

    The library that reads TOML keeps no lines; this only looks at how lines begin.
    """
    places: list[dict[str, int]] = []
    within = False
    for number, line in enumerate(text.splitlines(), 1):
        begun = line.strip()
        if begun.startswith("["):
            if match := _HEADER.match(begun):
                within = match[0].replace(" ", "") == header
                if within:
                    places.append({_HEAD: number})
        elif within and (match := _KEY.match(line)) is not None:
            places[-1].setdefault(match[2], number)
    return places


def suffixes_of(name: str) -> list[str]:
    """An exchanger's name and each of its parents, the longest first, for look-ups by suffix."""
    labels = name.lower().rstrip(".").split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
