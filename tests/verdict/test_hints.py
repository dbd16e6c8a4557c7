"""How long exchangers ask us to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.verdict.hints import LONGEST_HINT, retry_hint
from twisted_probe.vocabulary.reply import Reply


def hint(text: str) -> float | None:
    return retry_hint(Reply(450, (text.encode(),)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 please try again in 300 seconds", 300),
        ("4.7.1 Greylisted for 300 seconds, see http://postgrey.example/", 300),
        ("retry in 5 minutes", 300),
        ("Retry after 1 hour.", 3600),
        ("try again later (in about 10 min)", 600),
        ("try again in 1 hour and 30 minutes", 5400),
        ("wait 90s", 90),
        ("come back in 00:05:00", 300),
        ("delayed 04:30", 270),
        ("try again in 2 days", LONGEST_HINT),
        ("try again in 99:00:00", LONGEST_HINT),
        ("try again in 9999999 hours", LONGEST_HINT),
        ("try again\tin 300 seconds", 300),
    ],
)
def test_a_hint_is_read(text: str, seconds: float) -> None:
    assert hint(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "try again later",
        "try again in a few minutes",
        "try again in 0 seconds",
        "more than 100 messages per 5 minutes",
        "try again 5 times",
        "greylisted by host 10 at 12",
    ],
)
def test_no_hint_is_none(text: str) -> None:
    assert hint(text) is None


@given(st.integers(200, 599), st.lists(st.binary()))
def test_it_never_raises_and_is_bounded(code: int, lines: list[bytes]) -> None:
    seconds = retry_hint(Reply(code, tuple(lines)))
    assert seconds is None or 0 < seconds <= LONGEST_HINT
