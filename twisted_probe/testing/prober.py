"""A prober that asks nobody.

Knows the methods of a `Prober` and how their Deferreds end; what they fire with is the test's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred, gatherResults, succeed

from twisted_probe.sandbox.town import Town
from twisted_probe.testing.outcomes import outcome
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes


class Hold(Enum):
    """What a `FakeProber` can be told in the place of an outcome."""

    #: Nothing comes until the test says `answer`, or the Deferred is cancelled.
    HOLD = "hold"


HOLD = Hold.HOLD

#: What a `FakeProber` can be told of one address; of several, one is for each time it is asked,
#: and the last one stays.
Told = Outcome | Reason | Hold
Outcomes = Mapping[str, Told | Sequence[Told]]


@frozen
class Asked:
    """One question to a `FakeProber`: the address as it was given, the retry and the wishes."""

    address: str
    retry: Retry | None = None
    wishes: Wishes = NO_WISHES


@define(eq=False)
class _Waiting:
    address: str
    answer: Deferred[Outcome]


class FakeProber:
    """Stands in for a `Prober`.

    `outcomes` is address → what becomes of it: an `Outcome`, a `Reason` (an outcome is made of
    it), HOLD, or a sequence of these. `others` is told of every other address; without it such
    an address raises LookupError, since the test has forgotten it. A text that is no address is
    answered as a prober does.

    As with a real one the Deferreds never errback but with CancelledError, and `probe` raises
    RuntimeError once it is closed. Other than with a real one they have fired already, but for
    those on HOLD.

    `asked` has the questions, in order; `waiting` the addresses on HOLD, `cancelled` those whose
    Deferred was cancelled; `is_closed` says whether `close` was called.
    """

    def __init__(self, outcomes: Outcomes | None = None, *, others: Told | None = None) -> None:
        self._told = {
            address: [told] if isinstance(told, Outcome | Reason | Hold) else list(told)
            for address, told in (outcomes or {}).items()
        }
        self._others = others
        self._waiting: list[_Waiting] = []
        self.asked: list[Asked] = []
        self.cancelled: list[str] = []
        self.is_closed = False

    # --- What a prober can ---------------------------------------------------------------------

    def probe(
        self,
        address: str | Address,
        retry: Retry | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Deferred[Outcome]:
        """As `Prober.probe`."""
        if self.is_closed:
            raise RuntimeError("the prober is closed")
        given = str(address)
        self.asked.append(Asked(given, retry, wishes))
        if isinstance(address, str):
            try:
                given = parse_entry(address).text
            except AddressError as error:
                if address not in self._told:
                    return succeed(
                        outcome(escaped(address), Reason.INVALID_ADDRESS, text=str(error))
                    )
        told = self._next(given)
        if isinstance(told, Outcome):
            return succeed(told)
        if isinstance(told, Reason):
            return succeed(outcome(given, told))
        waiting = _Waiting(given, Deferred(lambda _: self._cancel(waiting)))
        self._waiting.append(waiting)
        return waiting.answer

    def probe_many(
        self,
        addresses: Sequence[str | Address],
        retries: Sequence[Retry | None] | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Deferred[list[Outcome]]:
        """As `Prober.probe_many`."""
        if self.is_closed:
            raise RuntimeError("the prober is closed")
        asking = [
            self.probe(address, retries[place] if retries else None, wishes)
            for place, address in enumerate(addresses)
        ]
        return gatherResults(asking, consumeErrors=True).addErrback(
            lambda failure: getattr(failure.value, "subFailure", failure)
        )

    def close(self) -> Deferred[None]:
        """As `Prober.close`: those on HOLD hear CancelledError."""
        self.is_closed = True
        for waiting in list(self._waiting):
            waiting.answer.cancel()
        return succeed(None)

    # --- What a test can -----------------------------------------------------------------------

    @property
    def waiting(self) -> list[str]:
        """The addresses on HOLD, in the order in which they were asked."""
        return [waiting.address for waiting in self._waiting]

    def answer(self, address: str, told: Outcome | Reason) -> None:
        """Let everybody hear who waits for this address. Raises LookupError when nobody does."""
        found = [waiting for waiting in self._waiting if waiting.address == address]
        if not found:
            raise LookupError(f"nobody waits for {address!r}")
        for waiting in found:
            self._waiting.remove(waiting)
            made = told if isinstance(told, Outcome) else outcome(address, told)
            waiting.answer.callback(made)

    def _cancel(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        self.cancelled.append(waiting.address)

    def _next(self, address: str) -> Told:
        told = self._told.get(address, [])
        if len(told) > 1:
            return told.pop(0)
        if told:
            return told[0]
        if self._others is None:
            raise LookupError(f"the fake prober was told nothing of {address!r}")
        return self._others


def options_for(town: Town) -> dict[str, Any]:
    """What a real `Prober` has to be told to ask in a town that is up:
    `Prober(reactor, **options_for(town))`."""
    host, _, port = town.resolver.rpartition(":")
    return {
        "sources": town.sources,
        "reverse_path": town.reverse_path,
        "resolvers": [(host, int(port))],
        "port": town.port,
        "allow_networks": town.networks,
    }
