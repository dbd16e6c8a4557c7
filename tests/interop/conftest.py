"""The street that the tests of a module share, and what becomes of them where there is none.

`INTEROP_CACHE` says where the servers are kept, else it is ~/.cache/twisted-probe-interop. With
`TWISTED_PROBE_REQUIRE_INTEROP=1` the tests fail, where else they skip, for want of a street.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lacking import end_without

from .street import Street, unavailable


@pytest.fixture(scope="session")
def available() -> None:
    """End the test here, with the reason, where no street can be had."""
    if reason := unavailable():
        end_without("street", reason)


@pytest.fixture(scope="module")
def street(available: None) -> Iterator[Street]:
    """A street that is up."""
    with Street() as street:
        yield street
