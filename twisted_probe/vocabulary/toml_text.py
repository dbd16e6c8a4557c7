"""TOML that people write, and words for what is wrong with it that lead to the place.

Knows how a document is parsed and how its keys are held against a table of kinds; not which keys
there are, nor what they do.
"""

from __future__ import annotations

import codecs
import difflib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from twisted_probe.vocabulary.escaping import cut, escaped
from twisted_probe.vocabulary.kinds import Kind, Unfit

# The same library under two names; in the standard library since Python 3.11.
_toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

#: Bytes of one document; the longest list of sources that anybody has is far below.
MAX_DOCUMENT = 1 << 20
#: Characters shown of a value that is wrong.
MAX_SHOWN = 80
#: Problems of one document that are told; who has more mends these first.
MAX_PROBLEMS = 20

_PLACE = re.compile(r"\A(.*) \((?:at line (\d+), column (\d+)|at end of document)\)\Z", re.DOTALL)


class TomlProblem(ValueError):
    """A document cannot be used. The message names the file, the place and what is expected, on a
    line for each of the `problems`."""

    def __init__(self, *problems: str) -> None:
        more = len(problems) - MAX_PROBLEMS
        told = [*problems[:MAX_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(told))
        self.problems = problems


class Problems:
    """All that is wrong with one document, so that it is mended in one go."""

    def __init__(self) -> None:
        self._met: list[str] = []

    @contextmanager
    def met(self) -> Iterator[None]:
        """Keep the TomlProblem that comes, and go on."""
        try:
            yield
        except TomlProblem as problem:
            self._met += problem.problems

    def tell(self) -> None:
        """Raise a TomlProblem with what was met, if anything was."""
        if self._met:
            raise TomlProblem(*self._met)


def parsed(data: bytes, file: str) -> dict[str, Any]:
    """The document in `data`, which came from `file`, with or without a byte order mark. Raises
    TomlProblem naming line and column."""
    data = data.removeprefix(codecs.BOM_UTF8)
    if len(data) > MAX_DOCUMENT:
        raise TomlProblem(f"{file}: it is longer than {MAX_DOCUMENT} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start])
        raise TomlProblem(f"{file}, line {line}, column {column}: it is not UTF-8") from None
    try:
        document: dict[str, Any] = _toml.loads(text)
    except RecursionError:
        raise TomlProblem(f"{file}: its lists are nested too deeply") from None
    except ValueError as error:
        raise TomlProblem(_syntax_error(error, data, file)) from None
    return document


def _syntax_error(error: ValueError, data: bytes, file: str) -> str:
    match = _PLACE.match(str(error))
    if match is None:
        return f"{file}: it is not TOML: {error}"
    line, column = (match[2], match[3]) if match[2] else _place(data)
    return f"{file}, line {line}, column {column}: it is not TOML: {escaped(match[1])}"


def _place(before: bytes) -> tuple[int, int]:
    """The line and column that come next, from 1."""
    line = before.rpartition(b"\n")[2].decode("utf-8", "replace")
    return before.count(b"\n") + 1, len(line) + 1


def read_table(
    table: Mapping[str, object],
    kinds: Mapping[str, Kind],
    file: str,
    prefix: str = "",
    known: Iterable[str] = (),
) -> dict[str, Any]:
    """The values of `table`, each read by the kind of its key.

    `prefix` is what the keys are called with in full ("limits."); `known` are all keys of the
    document in full, for a hint at the one that was meant. Raises TomlProblem, when all were read,
    for keys that are not in `kinds` and for values that are not of their kind.
    """
    values = {}
    problems = Problems()
    for key, value in table.items():
        with problems.met():
            if key not in kinds:
                full = [*(f"{prefix}{name}" for name in kinds), *known]
                raise TomlProblem(unknown_key(file, f"{prefix}{key}", full))
            values[key] = read_value(value, kinds[key], file, f"{prefix}{key}")
    problems.tell()
    return values


def read_value(value: object, kind: Kind, file: str, key: str) -> Any:
    """`value` read by its kind. Raises TomlProblem naming file, key, value and what to write."""
    try:
        return kind.read(value)
    except Unfit as error:
        raise wrong_value(file, key, value, kind.expected, str(error)) from None


def wrong_value(file: str, key: str, value: object, expected: str, why: str = "") -> TomlProblem:
    """The words for a value that is not what is `expected`."""
    because = f" ({escaped(why)})" if why else ""
    return TomlProblem(f"{file}: {escaped(key)} = {shown(value)}: expected {expected}{because}")


def unknown_key(file: str, key: str, known: Iterable[str]) -> str:
    """The words for a key that nobody knows, and for the one that may have been meant."""
    names = sorted(set(known))
    # A key of the right name in the wrong table is nearer than one that looks alike.
    last = key.rpartition(".")[2]
    near = [name for name in names if name.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(key, names, 1)
    near = near or [
        name
        for found in difflib.get_close_matches(last, [n.rpartition(".")[2] for n in names], 1)
        for name in names
        if name.rpartition(".")[2] == found
    ]
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; expected {', '.join(names)}"
    return f"{file}: {escaped(key)}: there is no such key{hint}"


def shown(value: object) -> str:
    """A value of a document as it would be written there, cut where it is long."""
    return cut(written(value), MAX_SHOWN)


def written(value: object) -> str:
    """A value as it would be written in a document, on one line and safe to print."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{escaped(key)} = {written(entry)}" for key, entry in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return escaped(json.dumps(value, ensure_ascii=False))
    return str(value)
