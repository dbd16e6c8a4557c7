"""A sample list: the lines, and what each should come to.

Knows the `# expected:` lines of `sample.txt`; to the prober they are comments.
"""

from __future__ import annotations

import re
from importlib.resources import files

#: What an address may come to: pairs of verdict and reason, by their values. More than one where
#: it depends on the source that asks.
Expected = frozenset[tuple[str, str]]

_EXPECTED = re.compile(r"#\s*expected:\s*(.+)")
_DISPLAY_NAME = re.compile(r"[^<>]*<([^<>]+)>")


class SampleError(ValueError):
    """An address of the list stands under no `# expected:` line."""


def sample_text() -> str:
    """The list that comes with the sandbox."""
    return files(__package__).joinpath("sample.txt").read_text("utf-8")


def truth_of(text: str) -> dict[str, Expected]:
    """What each address of the list should come to.

    The keys are the addresses as written, without display name and angle brackets; a line that
    is no address stands there as it is. Raises SampleError.
    """
    truth: dict[str, Expected] = {}
    expected: Expected = frozenset()
    for line in map(str.strip, text.splitlines()):
        heading = _EXPECTED.fullmatch(line)
        if heading is not None:
            expected = frozenset(_pair(words) for words in heading[1].split(" or "))
        elif line and not line.startswith("#"):
            if not expected:
                raise SampleError(f"{line}: nothing is expected of it")
            bracketed = _DISPLAY_NAME.fullmatch(line)
            truth[line if bracketed is None else bracketed[1]] = expected
    return truth


def _pair(words: str) -> tuple[str, str]:
    verdict, _, reason = words.strip().partition("/")
    return verdict, reason
