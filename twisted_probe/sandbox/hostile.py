"""The hostile street: every oddity of the catalogue at its own address, and how to meet one.

Knows how they are put up, the haste in which they can be met, and how what came of it
compares with what should have; the prober is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from twisted_probe.sandbox import street
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.catalogue.oddity import Oddity
from twisted_probe.sandbox.catalogue.recipients import GREYLIST_DELAY
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.town import Town
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry

#: Where the first of them lives, the others behind it.
FIRST_ADDRESS = IPv4Address("127.0.2.1")

#: How many are met at a time; all at once they would keep one another waiting.
AT_ONCE = 32

#: What a prober has to be told to see the end of the street in some seconds, as its
#: options: short patience and few attempts. Against real exchangers it would be rude and wrong.
HASTE: Mapping[str, Any] = {
    "timeouts": Timeouts(
        connect=5.0, greeting=2.5, command=2.5, quit=0.5, session=10.0, recipient=0.5
    ),
    "ladder": Ladder(greylist=(GREYLIST_DELAY + 0.1,) * 2, temporary=(0.1,)),
}


def hostile_town(oddities: Iterable[Oddity] = CATALOGUE.values()) -> Town:
    """A town of these oddities, each with the domain of its name; its sample list holds who has
    to be asked, in order, and what should come of it."""
    lived_in = list(enumerate(oddities))
    houses = [
        House(f"mx.{oddity.domain}", str(FIRST_ADDRESS + place), oddity.temper)
        for place, oddity in lived_in
    ]
    domains = {oddity.domain: [f"MX 10 mx.{oddity.domain}"] for _, oddity in lived_in}
    sample = "\n".join(_sample_of(oddity) for _, oddity in lived_in)
    return Town(houses, {**street.OURS, **domains}, sample)


def _sample_of(oddity: Oddity) -> str:
    lines = [f"# {oddity.domain}: {oddity.words}"]
    for address, reasons in oddity.expected.items():
        lines += [f"# expected: {words_of(reasons)}", address]
    return "\n".join(lines) + "\n"


def words_of(reasons: Iterable[Reason]) -> str:
    """Reasons with their verdicts, as a sample list has them."""
    return " or ".join(f"{reason.verdict.value}/{reason.value}" for reason in sorted(reasons))


class Asks(Protocol):
    """What a meeting needs of a prober."""

    def probe_many(
        self, addresses: Sequence[str], retries: Sequence[Retry | None]
    ) -> Deferred[list[Outcome]]:
        """An outcome for each address."""


@frozen
class Encounter:
    """What came of meeting one oddity, and in how many seconds."""

    oddity: Oddity
    outcomes: Mapping[str, Outcome]
    seconds: float

    @property
    def observed_in_words(self) -> str:
        """What came of it, in the form of the oddity's `expected_in_words`."""
        return self.oddity.in_words({text: [told.reason] for text, told in self.outcomes.items()})

    @property
    def is_as_expected(self) -> bool:
        """Whether every outcome is one that should come of it."""
        expected = self.oddity.expected
        return all(self.outcomes[each].reason in expected[each] for each in expected)


async def meet(prober: Asks, clock: IReactorTime, oddity: Oddity) -> Encounter:
    """Ask whom the oddity asks for, again as long as the outcomes say "later"."""
    started = clock.seconds()
    waiting: dict[str, Retry | None] = dict.fromkeys(oddity.expected)
    outcomes: dict[str, Outcome] = {}
    while waiting:
        told = await prober.probe_many(list(waiting), list(waiting.values()))
        outcomes.update(zip(waiting, told, strict=True))
        waiting = {text: outcomes[text].retry for text in waiting if not outcomes[text].final}
        due = [outcomes[text].next_attempt_at or 0.0 for text in waiting]
        if due:
            await deferLater(clock, max(0.0, max(due) - clock.seconds()))
    return Encounter(oddity, outcomes, clock.seconds() - started)


def meet_all(
    prober: Asks, clock: IReactorTime, oddities: Iterable[Oddity] = CATALOGUE.values()
) -> Deferred[list[Encounter]]:
    """Meet them all, `AT_ONCE` of them at a time; fires with the encounters in their order.
    Errbacks with the first error, after which nobody is met any more; cancelling cancels every
    question."""
    places = dict(enumerate(oddities))
    waiting, met = iter(places), dict[int, Encounter]()

    async def walk() -> None:
        for place in waiting:
            met[place] = await meet(prober, clock, places[place])

    walks = [Deferred.fromCoroutine(walk()) for _ in range(AT_ONCE)]

    def in_order(_: object) -> list[Encounter]:
        return [met[place] for place in places]

    def first(failure: Failure) -> Failure:
        for each in walks:
            each.cancel()
        error = failure.value
        return error.subFailure if isinstance(error, FirstError) else failure

    return gatherResults(walks, consumeErrors=True).addCallbacks(in_order, first)
