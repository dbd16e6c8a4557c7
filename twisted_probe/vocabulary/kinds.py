"""Kinds of values that a file of settings may hold, and the words for what is none of a kind.

Knows TOML's types and their bounds; not which setting is of which kind, nor where it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Protocol

from attrs import frozen


class Unfit(ValueError):
    """A value is not of its kind; the message says why, or is empty where `expected` says all."""


class Kind(Protocol):
    """One kind of value. `expected` is what to write, as the end of "expected …"."""

    @property
    def expected(self) -> str:
        """What to write."""
        ...

    def read(self, value: object) -> Any:
        """The value, as the program uses it. Raises Unfit."""
        ...


@frozen
class Text:
    """A text, made by `make` into what the program uses; `make` raises ValueError saying why
    not."""

    expected: str = "a text"
    make: Callable[[str], Any] = str

    def read(self, value: object) -> Any:
        """See `Kind`."""
        if not isinstance(value, str):
            raise Unfit
        try:
            return self.make(value)
        except ValueError as error:
            raise Unfit(str(error)) from None


@frozen
class Choice:
    """One of some texts."""

    choices: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What to write."""
        return " or ".join(f'"{choice}"' for choice in self.choices)

    def read(self, value: object) -> str:
        """See `Kind`."""
        if not isinstance(value, str) or value not in self.choices:
            raise Unfit
        return value


@frozen
class Flag:
    """True or false, in TOML's own words."""

    expected: str = "true or false"

    def read(self, value: object) -> bool:
        """See `Kind`."""
        if not isinstance(value, bool):
            raise Unfit
        return value


@frozen
class Whole:
    """A whole number from `least` to `most`, each with the reason why not beyond."""

    least: int
    most: int
    why_least: str = ""
    why_most: str = ""

    @property
    def expected(self) -> str:
        """What to write."""
        return _bounded(f"a whole number of at least {self.least}", self)

    def read(self, value: object) -> int:
        """See `Kind`."""
        # A bool is an int in Python, and only there.
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit
        if not self.least <= value <= self.most:
            raise Unfit
        return value


@frozen
class Number:
    """A number of `unit` from `least` to `most`, each with the reason why not beyond."""

    unit: str
    least: float
    most: float
    why_least: str = ""
    why_most: str = ""

    @property
    def expected(self) -> str:
        """What to write."""
        return _bounded(f"a number of {self.unit} of at least {self.least:g}", self)

    def read(self, value: object) -> float:
        """See `Kind`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit
        # TOML has inf and nan, and whole numbers that no float can hold.
        if not self.least <= value <= self.most or not isfinite(value):
            raise Unfit
        return float(value)


def _bounded(words: str, bounds: Whole | Number) -> str:
    least = f" ({bounds.why_least})" if bounds.why_least else ""
    most = f" ({bounds.why_most})" if bounds.why_most else ""
    # Not :g, which would write large numbers with an exponent.
    ceiling = int(bounds.most) if float(bounds.most).is_integer() else bounds.most
    return f"{words}{least} and at most {ceiling}{most}"


@frozen
class ListOf:
    """A list of at most `most` values of one kind, and of `least` at least; read as a tuple."""

    kind: Kind
    least: int = 0
    most: int = 1000

    @property
    def expected(self) -> str:
        """What to write."""
        some = "that is not empty" if self.least else f"of at most {self.most}"
        return f"a list {some}, each {self.kind.expected}"

    def read(self, value: object) -> tuple[Any, ...]:
        """See `Kind`."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            raise Unfit
        made = []
        for number, entry in enumerate(value, 1):
            try:
                made.append(self.kind.read(entry))
            except Unfit as error:
                why = f": {error}" if str(error) else ""
                raise Unfit(f"number {number} is none{why}") from None
        return tuple(made)
