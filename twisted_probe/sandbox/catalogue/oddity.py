"""An oddity: a temper that puts a prober to the test, and what should come of it.

Knows the value; which there are is the chapters' affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.vocabulary.outcome import Reason

#: Who lives at every oddity, unless its temper says otherwise; all others are unknown there.
LIVING = residents("ann ben carl dora postmaster")

#: What may come of an address, by its reasons; each of them has its verdict.
Expected = frozenset[Reason]


def _expected(reasons: Reason | Iterable[Reason]) -> Expected:
    return frozenset((reasons,) if isinstance(reasons, Reason) else reasons)


def ordinary(**words: Any) -> Temper:
    """A temper whose `LIVING` are accepted and all others unknown, but for these `words`."""
    return Temper(**{"mailboxes": LIVING, **words})


@frozen(kw_only=True)
class Oddity:
    """One temper of the catalogue.

    `name` is its name, fit for a label of a domain; `words` says in a line what it does.
    `rows` are those of the project's matrix of situations, by their numbers, and the chapter's
    letter is that of the module.
    `alive` is what a correct prober says of a mailbox that is there, more than one reason where
    it may choose; `unknown` of one that is not, the same as `alive` where that says no more of
    a mailbox. It never is undeliverable for a living one.
    `asks` are the local parts that show it, in the order in which they have to be asked.
    """

    name: str
    words: str
    rows: tuple[int, ...]
    temper: Temper
    alive: Expected = field(default=Reason.ACCEPTED, converter=_expected)
    unknown: Expected = field(converter=_expected)
    asks: tuple[str, ...] = ("ann", "nobody")

    @unknown.default
    def _unknown(self) -> Reason | Expected:
        return Reason.NO_SUCH_MAILBOX if Reason.ACCEPTED in self.alive else self.alive

    @property
    def domain(self) -> str:
        """The domain that it serves in the hostile street."""
        return f"{self.name}.example"

    def in_words(self, told: Mapping[str, Iterable[Reason]]) -> str:
        """What is told of its addresses: of the living, a stroke, of all others; once where that
        is the same."""
        of_living, of_others = set[str](), set[str]()
        for local in self.asks:
            said = of_living if local in LIVING else of_others
            said.update(reason.value for reason in told[f"{local}@{self.domain}"])
        kinds = dict.fromkeys(" or ".join(sorted(said)) for said in (of_living, of_others) if said)
        return " / ".join(kinds)

    @property
    def expected_in_words(self) -> str:
        """What should come of it."""
        return self.in_words(self.expected)

    @property
    def expected(self) -> dict[str, Expected]:
        """The addresses to ask, in order, and what should come of each."""
        return {
            f"{local}@{self.domain}": self.alive if local in LIVING else self.unknown
            for local in self.asks
        }
