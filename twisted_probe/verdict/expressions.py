"""What a regular expression is made of: the letters without which it cannot match, and whether it
can run away.

Knows the parts of expressions; not what any of them is for (`verdict.rules`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

# Python's own parser of expressions, under two names and private under both: what it gives has
# been the same since Python 2, and a parser of our own would disagree with it some day.
_parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

#: Repetitions; an endless one within one of more than these may take a time that grows with the
#: power of its number. What repeats words, `(?:\\w+ ){0,4}`, has fewer.
MOST_REPEATED = 9

#: Letters of a needle that are looked up; a shorter one is searched for.
_GRAM = 3


def runs_away(expression: str) -> bool:
    """Whether the expression repeats a repetition in a way that may never come to an end."""
    return _runs_away(_parser.parse(expression), repeated=False)


def _runs_away(parts: Any, repeated: bool) -> bool:
    for operation, argument in parts:
        within = repeated
        if _is_repetition(operation):
            _, most, _ = argument
            if repeated and most > MOST_REPEATED:
                return True
            within = repeated or most > MOST_REPEATED
        if any(_runs_away(inner, within) for inner in _inner(argument)):
            return True
    return False


def _inner(argument: Any) -> Iterator[Any]:
    """The expressions within an operation's argument: groups, branches, what is repeated."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for part in argument:
            yield from _inner(part)


def _is_repetition(operation: object) -> bool:
    return str(operation).endswith("_REPEAT")


def needles(expression: str) -> frozenset[str] | None:
    """Texts of which one at least is in whatever the expression matches; None if there are none.

    The longest that can be told, in the expression's own case.
    """
    parsed = _parser.parse(expression)
    return None if parsed.state.flags & re.IGNORECASE else _needles(parsed)


def _needles(parts: Any) -> frozenset[str] | None:
    found: list[frozenset[str]] = []
    run = ""
    for operation, argument in parts:
        name = str(operation)
        if name == "LITERAL":
            run += chr(argument)
            continue
        if name in ("AT", "ASSERT", "ASSERT_NOT"):  # they have no width: the run goes on
            continue
        found.append(frozenset((run,)))
        run = ""
        if name == "BRANCH":
            branches = [_needles(branch) for branch in argument[1]]
            if None not in branches:
                found.append(frozenset().union(*(branch for branch in branches if branch)))
        elif name == "SUBPATTERN":
            _, added_flags, _, inner = argument
            folds = added_flags & re.IGNORECASE
            found.append((None if folds else _needles(inner)) or frozenset(("",)))
        elif _is_repetition(operation) and argument[0] > 0:
            found.append(_needles(argument[2]) or frozenset(("",)))
    found.append(frozenset((run,)))
    best = max(found, key=lambda some: (min(_GRAM, min(map(len, some))), -len(some)))
    return None if "" in best else best


class Sieve:
    """Which of several expressions may match in a text, told without trying them.

    Each is looked for by three letters of each of its needles. A text of some hundred characters
    costs ten microseconds, where to try a hundred expressions costs hundreds.
    """

    def __init__(self, expressions: Sequence[str | None]) -> None:
        """`expressions`, of which None may always match, in the order of their bits."""
        all_needles = [None if one is None else needles(one) for one in expressions]
        often: dict[str, int] = {}
        for some in all_needles:
            for gram in (gram for needle in some or () for gram in _grams(needle)):
                often[gram] = often.get(gram, 0) + 1
        self._always = 0
        self._grams: dict[str, int] = {}
        self._short: dict[str, int] = {}
        for number, some in enumerate(all_needles):
            if some is None:
                self._always |= 1 << number
                continue
            for needle in some:
                # The rarest tells most.
                gram = min(_grams(needle), key=lambda gram: often[gram], default=needle)
                table = self._grams if len(gram) == _GRAM else self._short
                table[gram] = table.get(gram, 0) | 1 << number

    def may_match(self, text: str) -> int:
        """A number with a bit for each expression that may match in `text`."""
        possible = self._always
        for gram in self._grams.keys() & set(_grams(text)):
            possible |= self._grams[gram]
        for short, bits in self._short.items():
            if short in text:
                possible |= bits
        return possible


def _grams(text: str) -> list[str]:
    return [text[begin : begin + _GRAM] for begin in range(len(text) - _GRAM + 1)]
