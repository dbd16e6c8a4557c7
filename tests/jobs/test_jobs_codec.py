"""Every outcome comes back from its text as it was."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.codec import decode, encode
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, TlsReport
from twisted_probe.vocabulary.reply import Stage

texts = st.text(max_size=40)
maybe_texts = st.none() | texts
times = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**53)

of_field: dict[str, st.SearchStrategy[Any]] = {
    "address": texts,
    "reason": st.sampled_from(list(Reason)),
    "final": st.booleans(),
    "catch_all": st.none() | st.booleans(),
    "stage": st.none() | st.sampled_from(list(Stage)),
    "code": st.none() | st.integers(200, 599),
    "enhanced": maybe_texts,
    "text": maybe_texts,
    "exchanger": maybe_texts,
    "exchanger_address": maybe_texts,
    "source": maybe_texts,
    "helo": maybe_texts,
    "tls": st.none()
    | st.builds(
        TlsReport,
        version=maybe_texts,
        cipher=maybe_texts,
        verified=st.booleans(),
        problem=maybe_texts,
    ),
    "attempts": counts,
    "first_attempt_at": st.none() | times,
    "checked_at": times,
    "next_attempt_at": st.none() | times,
    "cached": st.booleans(),
    "job": maybe_texts,
    "line": st.none() | counts,
    "retry": st.none()
    | st.builds(
        Retry,
        source=texts,
        helo=texts,
        reverse_path=texts,
        control=maybe_texts,
        attempts=counts,
        first_attempt_at=times,
        evidence=st.none() | counts,
    ),
    "evidence": st.none() | counts,
}


def test_no_field_is_forgotten() -> None:
    assert [field.name for field in fields(Outcome)] == [*of_field, "hearing"]


@given(st.builds(Outcome, **of_field))
def test_round_trip(outcome: Outcome) -> None:
    text = encode(outcome)

    assert decode(text) == outcome
    assert decode(text).retry == outcome.retry
    assert decode(text, line=7) == evolve(outcome, line=7)
    assert "\n" not in text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"reason":"nonsense"}', "null"])
def test_what_is_no_outcome(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        decode(text)
