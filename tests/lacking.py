"""What becomes of a test where the machine has not what it needs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def end_without(what: str, reason: object) -> NoReturn:
    """End the test here: it is skipped, and with `TWISTED_PROBE_REQUIRE_INTEROP=1` it fails."""
    words = f"no {what} to be had: {reason}"
    if os.environ.get("TWISTED_PROBE_REQUIRE_INTEROP") == "1":
        pytest.fail(words, pytrace=False)
    pytest.skip(words)
