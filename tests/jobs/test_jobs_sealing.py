"""A sealed text shows every change of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.sealing import DamagedText, is_whole, sealed, unsealed

values = st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.none(), min_size=1)
plains = values.map(lambda plain: {key: plain[key] for key in plain if key != "crc"} or {"a": 1})


@given(plains)
def test_round_trip(plain: dict[str, object]) -> None:
    text = sealed(plain)
    assert unsealed(text) == plain
    assert is_whole(text)
    assert list(json.loads(text)) == [*plain, "crc"]  # JSON, for SQLite


@given(plains, st.data())
def test_another_byte_is_seen(plain: dict[str, object], data: st.DataObject) -> None:
    content = bytearray(sealed(plain).encode())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 127))
    text = content.decode()
    assert not is_whole(text)
    try:
        found = unsealed(text)
    except DamagedText:
        return
    # The name of the sum alone is another: no reader knows such a field.
    assert found.keys() - plain.keys()


def test_what_was_written_without_a_sum_is_believed() -> None:
    assert unsealed('{"a":1}') == {"a": 1}
    assert not is_whole('{"a":1}')


@pytest.mark.parametrize(
    "found", ["", "[1]", "1", "{", "\udc80", "[" * 100_000, b"\xff", None, 1.5]
)
def test_whatever_sqlite_finds(found: str) -> None:
    assert not is_whole(found)
    with pytest.raises(DamagedText):
        unsealed(found)
