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

_Choice = TypeVar("_Choice", bound=Enum)


class RuleError(ValueError):
    """A data file cannot be used; the message names the row, the key and what is expected."""


@frozen
class Row:
    """One table: its `kind`, its place in the file (from 1), and its values unread."""

    kind: str
    number: int
    values: Mapping[str, Any]

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
        return RuleError(f"{self.kind} {name!r}, key {key!r}: {problem}")


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
    rows = [Row(kind, number, table) for number, table in enumerate(tables, 1)]
    return rows, document.get(beside, {}) if beside is not None else {}


def suffixes_of(name: str) -> list[str]:
    """An exchanger's name and each of its parents, the longest first, for look-ups by suffix."""
    labels = name.lower().rstrip(".").split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
