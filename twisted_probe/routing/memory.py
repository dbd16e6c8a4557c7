"""What must outlive a session: the control of each domain and what it showed.

Knows the contract, and a version of it in RAM; the ledger's will be in `jobs`. It is asked once
for a batch, never for each recipient.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, succeed

from twisted_probe.vocabulary.reply import Reply

_HOUR = 3600.0
#: Seconds that a domain stays known to accept everybody. Exim: callout_domain_positive_expire.
CATCH_ALL_YES = 7 * 24 * _HOUR
#: Seconds that a domain stays known not to. Exim: callout_domain_negative_expire.
CATCH_ALL_NO = 3 * _HOUR
#: Seconds that an accepted recipient vouches for the exchanger's judgement.
ACCEPTED_LATELY = 7 * 24 * _HOUR
#: Domains kept in RAM.
MAX_DOMAINS = 100_000


@frozen
class Known:
    """What is known of one domain as seen from one source.

    `control` is the local part of its control, chosen once; `control_reply` the reply that
    decided (a 2xx or 5xx) at `control_at`; `accepted_at` when a real recipient was accepted.
    """

    control: str
    control_reply: Reply | None = None
    control_at: float = 0.0
    accepted_at: float | None = None

    def fresh(self, now: float) -> Known:
        """The same without what is too old to be believed."""
        known = self
        if known.control_reply is not None:
            life = CATCH_ALL_YES if known.control_reply.is_positive else CATCH_ALL_NO
            if now - known.control_at > life:
                known = evolve(known, control_reply=None)
        if known.accepted_at is not None and now - known.accepted_at > ACCEPTED_LATELY:
            known = evolve(known, accepted_at=None)
        return known


class Memory(Protocol):
    """Where `Known` is kept. `remember` fires once it is kept as safely as it will be."""

    def recall(self, domain: str, source: str) -> Deferred[Known | None]:
        """What is known of `domain` from `source` (an address)."""
        ...

    def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
        """Keep it in the place of what was known."""
        ...


class MemoryInRam:
    """A `Memory` that ends with the process; the least recently used domains go first."""

    def __init__(self, max_domains: int = MAX_DOMAINS) -> None:
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._max = max_domains

    def recall(self, domain: str, source: str) -> Deferred[Known | None]:
        """See `Memory`."""
        known = self._known.get((domain, source))
        if known is not None:
            self._known.move_to_end((domain, source))
        return succeed(known)

    def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
        """See `Memory`."""
        self._known[domain, source] = known
        self._known.move_to_end((domain, source))
        if len(self._known) > self._max:
            self._known.popitem(last=False)
        return succeed(None)
