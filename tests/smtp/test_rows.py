"""Every row of cases.md that is about the wire has a test that is named after it."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = set(range(1, 121))


def test_no_row_is_without_a_test() -> None:
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_rows_*.py")]
    named = {int(number) for text in sources for number in re.findall(r"_row_(\d+)_", text)}
    assert named == ROWS
