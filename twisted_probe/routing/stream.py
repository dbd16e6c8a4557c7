"""Outcomes one after the other, as they come, for lists of any length.

Knows how many are asked at once; not how anybody is asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.python.failure import Failure

from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.outcome import Outcome

#: Addresses asked at once: enough for many sites to have something, few to be held in memory.
WINDOW = 1000

Ask = Callable[[Any], "Deferred[Outcome]"]


async def stream(
    ask: Ask, addresses: Iterable[str | Address], window: int = WINDOW
) -> AsyncIterator[Outcome]:
    """The outcomes of `ask` for all of `addresses`, in the order in which they come.

    No more than `window` are asked at once, and no more are taken from `addresses`; a slow one
    holds up no other. Raises what `ask` errbacks with. Whoever goes away before the end cancels
    those who are being asked.
    """
    came: DeferredQueue[Any] = DeferredQueue()
    asking: set[Deferred[Outcome]] = set()

    def put(result: Any, one: Deferred[Outcome]) -> None:
        asking.discard(one)
        came.put(result)

    in_hand = 0
    left = iter(addresses)
    try:
        while True:
            while in_hand < window:
                try:
                    address = next(left)
                except StopIteration:
                    break
                one = ask(address)
                asking.add(one)
                one.addBoth(put, one)
                in_hand += 1
            if not in_hand:
                return
            result = await came.get()
            in_hand -= 1
            if isinstance(result, Failure):
                result.raiseException()
            yield result
    finally:
        for one in list(asking):
            one.addErrback(lambda failure: failure.trap(CancelledError))
            one.cancel()
