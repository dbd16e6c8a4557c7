"""Outcomes one after the other, as they come, for lists of any length.

Knows how many are asked at once, and who is put aside meanwhile; not how anybody is asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from heapq import heappop, heappush
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_probe.routing.pauses import Crowded
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.outcome import Outcome

#: Addresses asked at once: enough for many sites to have something, few to be held in memory.
WINDOW = 1000
#: Sessions that wait at one site before further recipients there are put aside: what it takes to
#: keep the site busy, and no more.
MAX_WAITING = 8
#: Addresses that are put aside at most, some 30 MB: so far is looked behind those of a site that
#: has too many.
AHEAD = 50_000
#: Addresses asked about in one turn of the reactor, where nobody has to be waited for: some 40 ms.
TURN = 200

Ask = Callable[[Any], "Deferred[Outcome]"]
Rest = Callable[[float], "Deferred[None]"]


class Stream:
    """The outcomes of `ask` for all of `addresses`, in the order in which they come.

    No more than `window` are asked at once. Those about whom `ask` errbacks Crowded are put aside
    and asked when they were told to come again; while there are `ahead` of them, none is taken
    from `addresses`. `rest` gives a Deferred that fires after so many seconds. Raises ValueError
    for a `window` below 1.
    """

    def __init__(
        self,
        ask: Ask,
        addresses: Iterable[str | Address],
        clock: IReactorTime,
        rest: Rest,
        window: int = WINDOW,
        ahead: int = AHEAD,
    ) -> None:
        if window < 1:
            raise ValueError(f"window {window}: at least one has to be asked at once")
        self._ask = ask
        self._left = iter(addresses)
        self._clock = clock
        self._rest = rest
        self._window = window
        self._ahead = ahead
        self._asking: set[Deferred[Outcome]] = set()
        self._came: deque[Outcome | Failure] = deque()
        # When whom to ask again; the number keeps the order, and addresses from comparisons.
        self._aside: list[tuple[float, int, str | Address]] = []
        self._put_aside = 0
        self._awaited: Deferred[None] | None = None

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Raises what `ask` errbacks with, and what `rest` does. Whoever goes away before the end
        cancels those who are being asked."""
        begun = 0
        try:
            while True:
                while begun < TURN and self._begin_one():
                    begun += 1
                if begun >= TURN:
                    await self._rest(0.0)
                    begun = 0
                elif self._came:
                    result = self._came.popleft()
                    if isinstance(result, Failure):
                        result.raiseException()
                    yield result
                elif self._asking or self._aside:
                    await self._something()
                    begun = 0
                else:
                    return
        finally:
            for one in list(self._asking):
                one.cancel()

    def _has_room(self) -> bool:
        return len(self._asking) + len(self._came) < self._window

    def _begin_one(self) -> bool:
        """Ask about the next, if there is one and room for it."""
        if not self._has_room():
            return False
        if self._aside and self._aside[0][0] <= self._clock.seconds():
            address = heappop(self._aside)[2]
        elif len(self._aside) >= self._ahead:
            return False
        else:
            try:
                address = next(self._left)
            except StopIteration:
                return False
        one = self._ask(address)
        self._asking.add(one)
        one.addBoth(self._put, one, address)
        return True

    def _put(self, result: Any, one: Deferred[Outcome], address: str | Address) -> None:
        self._asking.discard(one)
        why = result.value if isinstance(result, Failure) else None
        if isinstance(why, Crowded):
            again = self._clock.seconds() + why.delay
            self._put_aside += 1
            heappush(self._aside, (again, self._put_aside, address))
        else:
            self._came.append(result)
        self._wake()

    async def _something(self) -> None:
        """Wait until there is an outcome, or somebody to be asked again."""
        awaited = self._awaited = Deferred()
        rest: Deferred[None] | None = None
        if self._aside and self._has_room():
            rest = self._rest(max(0.0, self._aside[0][0] - self._clock.seconds()))
            rest.addBoth(self._wake)
        try:
            await awaited
        finally:
            self._awaited = None
            if rest is not None:
                rest.cancel()

    def _wake(self, result: Failure | None = None) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is None:
            return
        if result is None:
            awaited.callback(None)
        else:
            awaited.errback(result)
