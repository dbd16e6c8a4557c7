"""Things that go on at once, and end together."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

_Result = TypeVar("_Result")


@contextmanager
def together(
    coroutines: Iterable[Coroutine[Deferred[Any], Any, _Result]],
) -> Iterator[list[Deferred[_Result]]]:
    """Start all of them; those that are not over when the block ends are cancelled."""
    going_on = [Deferred.fromCoroutine(each) for each in coroutines]
    try:
        yield going_on
    finally:
        for each in going_on:
            each.addErrback(lambda _: None)
            each.cancel()
