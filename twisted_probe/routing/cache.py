"""Answers that are known, and questions whose answer is awaited.

Knows how long an answer is kept, how many are, and that nothing is looked up twice at a time; not
how it is looked up (`routing.names`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_probe.routing.answer import Answer

#: Seconds for which an answer is kept at least and at most, whatever it says of itself.
MIN_TTL, MAX_TTL = 60.0, 86400.0
#: Seconds at most for a "no" (RFC 2308 section 5 says one to three hours).
MAX_NEGATIVE_TTL = 3600.0
#: Records kept, of all answers together; an answer counts as one more, so that a "no" counts too.
#: A domain with two exchangers of its own is 7 of them and 1.8 KB.
MAX_KEPT = 100_000


class Key(NamedTuple):
    """What is asked: a name in lower case, and a type of records."""

    name: str
    kind: int


LookUp = Callable[[Key], Coroutine[Deferred[Any], Any, Answer]]


class Cache:
    """The answers that `look_up` finds. The one that was not wanted for longest goes first;
    trouble is not kept. `clock` has the time."""

    def __init__(self, clock: IReactorTime, look_up: LookUp) -> None:
        self._clock = clock
        self._look_up = look_up
        self._kept: OrderedDict[Key, tuple[Answer, float]] = OrderedDict()
        self._size = 0
        self._flights: dict[Key, _Flight] = {}

    def ask(self, key: Key) -> Deferred[Answer]:
        """Fires with the answer, at once where it is known; errbacks as `look_up` raises.

        Who cancels takes the answer from nobody else; the last one ends the looking up.
        """
        kept = self._kept.get(key)
        if kept is not None:
            answer, until = kept
            if self._clock.seconds() < until:
                self._kept.move_to_end(key)
                return succeed(answer)
            self._forget(key)
        flight = self._flights.get(key)
        if flight is not None:
            return flight.wait()
        flight = self._flights[key] = _Flight()
        waiting = flight.wait()
        looking_up = Deferred.fromCoroutine(self._look_up(key))
        flight.looking_up = looking_up.addBoth(self._landed, key)
        return waiting

    def _landed(self, found: Answer | Failure, key: Key) -> None:
        if isinstance(found, Answer):
            self._keep(key, found)
        self._flights.pop(key).tell(found)

    def _keep(self, key: Key, answer: Answer) -> None:
        ttl = min(max(answer.ttl, MIN_TTL), MAX_TTL if answer.records else MAX_NEGATIVE_TTL)
        self._kept[key] = answer, self._clock.seconds() + ttl
        self._size += _size(answer)
        while self._size > MAX_KEPT:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Key) -> None:
        answer, _ = self._kept.pop(key)
        self._size -= _size(answer)


def _size(answer: Answer) -> int:
    return 1 + len(answer.records)


class _Flight:
    """One looking up, and those who wait for it."""

    looking_up: Deferred[None]

    def __init__(self) -> None:
        self._waiting: list[Deferred[Answer]] = []

    def wait(self) -> Deferred[Answer]:
        waiting: Deferred[Answer] = Deferred(self._leave)
        self._waiting.append(waiting)
        return waiting

    def tell(self, found: Answer | Failure) -> None:
        while self._waiting:
            self._waiting.pop(0).callback(found)

    def _leave(self, waiting: Deferred[Answer]) -> None:
        self._waiting.remove(waiting)
        if not self._waiting:
            self.looking_up.cancel()
