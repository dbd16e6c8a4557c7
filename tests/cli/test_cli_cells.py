"""Texts made to fit the columns of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.cli.cells import cells, padded, shortened, wrapped

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("abc", 3),
        ("名簿", 4),
        ("cafe\u0301", 4),
        ("é", 1),
        ("a\u200db", 2),
    ],
)
def test_columns(text: str, width: int) -> None:
    assert cells(text) == width
    assert cells(padded(text, 20)) == 20


@given(TEXTS, st.integers(1, 30))
def test_what_is_shortened_fits(text: str, width: int) -> None:
    short = shortened(text, width)
    assert cells(short) <= width
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(TEXTS, st.integers(2, 30))
def test_what_is_wrapped_fits_and_nothing_is_lost(text: str, width: int) -> None:
    assert " ".join(wrapped(text.strip(), width)).split() == text.split()
    assert all(cells(line) <= width for line in wrapped(text.strip(), width, cut=True))


def test_indents() -> None:
    assert wrapped("  one two three", 9) == ["  one two", "  three"]
