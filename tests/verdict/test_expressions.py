"""What is told of regular expressions without trying them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.verdict.expressions import Sieve, needles, runs_away


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("user unknown", {"user unknown"}),
        ("black-? ?list", {"black"}),
        ("(?:not|no) longer", {" longer"}),
        ("re(?:ject|fus)ed", {"ject", "fus"}),
        (r"\bgrey\b", {"grey"}),
        ("(?<!not )listed(?= at)", {"listed"}),
        ("(?:spam|junk)+", {"spam", "junk"}),
        ("(?:spam|junk){2,3}x?", {"spam", "junk"}),
        (r"\bip\b", {"ip"}),
        ("a|b", None),
        ("(?:one|two)?", None),
        (r"\d+", None),
        (r"(?:x|\d)yy?", {"y"}),
        ("(?i)word", None),
        ("(?i:word)", None),
        ("(?i:word)s", {"s"}),
        ("", None),
    ],
)
def test_needles(expression: str, found: set[str] | None) -> None:
    assert needles(expression) == found


@pytest.mark.parametrize(
    "expression",
    [r"(a+)+", r"(?:\w+\s*)*x", r"(?:x|(?:a*b)){10,}", r"(?:(?:ab){0,10}c)*", r"(?=(?:a+)+)"],
)
def test_what_may_run_away(expression: str) -> None:
    assert runs_away(expression)


@pytest.mark.parametrize(
    "expression",
    [r"a+b+", r"(?:\w+ ){0,4}user", r"(?:ab)*", r"x{20}", r"(?:a{0,9}b){0,50}", r"[a+]*"],
)
def test_what_does_not(expression: str) -> None:
    assert not runs_away(expression)


_PARTS = st.sampled_from(
    [
        "user",
        "un(?:known|seen)",
        r"\b",
        "a",
        "ip",
        "(?:x|yy)",
        "(?:no ){0,2}",
        ".{0,3}",
        "mail ?box",
    ]
)


@given(
    st.lists(st.none() | st.lists(_PARTS, max_size=4).map("".join), max_size=6),
    st.lists(
        st.sampled_from(["user", "unknown", "unseen", "ip", "x", "yy", "no ", " ", "mailbox", "a"])
    ),
)
def test_a_sieve_holds_back_nothing_that_matches(
    expressions: list[str | None], words: list[str]
) -> None:
    text = "".join(words)
    possible = Sieve(expressions).may_match(text)
    for number, expression in enumerate(expressions):
        if expression is None or re.search(expression, text):
            assert possible >> number & 1


def test_a_sieve_holds_back_the_rest() -> None:
    sieve = Sieve(["greylist", "unknown|invalid", "ip", None])
    assert sieve.may_match("user unknown") == 0b1010
    assert sieve.may_match("ship") == 0b1100
    assert sieve.may_match("") == 0b1000
