"""Work: where the engine gets its recipients from and whom it tells what became of them.

Knows the contract only. `jobs` implements it over the ledger; others may over a broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import Deferred

from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.outcome import Outcome, Retry
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes


@frozen
class Task:
    """One recipient to ask about: the `address`, what a `retry` must repeat, a `token` by which
    the work knows it again (opaque to the engine), and the `wishes` of whoever asks."""

    address: Address
    token: tuple[int, int]
    retry: Retry | None = None
    wishes: Wishes = NO_WISHES


class Work(Protocol):
    """A store of recipients. Every method's Deferred fires once the store has committed."""

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        """Hand out at most `limit` recipients that are due; an empty sequence when none is.

        A task handed out comes back by exactly one of the three other methods.
        """
        ...

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        """Keep these final outcomes."""
        ...

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        """Keep these outcomes that are not final; hand the tasks out again at their
        `next_attempt_at`, with the outcome's `retry`."""
        ...

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        """Take these back as they were: nothing was learned of them. They, and others that the
        store knows to be like them, need not be handed out for `delay` seconds."""
        ...
