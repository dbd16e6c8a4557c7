"""How long what was learned of a mailbox answers for it, so that nobody is asked again.

Knows lives and what is worth keeping; not where it is kept (`jobs.verdicts`).
"""

from __future__ import annotations

from attrs import frozen

from twisted_probe.routing.opt_out import NOBODY, OptOut
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict
from twisted_probe.vocabulary.wishes import Wishes

_DAY = 86400.0
#: Seconds that a mailbox stays known to be there. Postfix asks again after as long
#: (address_verify_positive_refresh_time).
DELIVERABLE_LIFE = 7 * _DAY
#: Seconds that one stays known not to be: who is made today should be found tomorrow. (Postfix:
#: 3 days, address_verify_negative_expire_time; Exim: 2 hours, callout_negative_expire.)
UNDELIVERABLE_LIFE = _DAY
#: The part of a deliverable one's life after which it is asked again while the old answer still
#: stands: the last two days of seven, longer than a job has by itself.
REFRESH = 0.7


@frozen(kw_only=True)
class Caching:
    """What is believed, and how long. Times are in seconds.

    With `enabled` a mailbox that was asked lately is not asked again, and no domain's random
    recipient is whose answer is known. `control` says whether jobs that do not say so themselves
    want a domain's random recipient asked.
    """

    enabled: bool = True
    deliverable: float = DELIVERABLE_LIFE
    undeliverable: float = UNDELIVERABLE_LIFE
    control: bool = True
    opt_out: OptOut = NOBODY

    @property
    def longest(self) -> float:
        """Older than this, nothing is believed."""
        return max(self.deliverable, self.undeliverable)

    def answers(self, known: Outcome, now: float, wishes: Wishes) -> bool:
        """Whether `known` is the answer, so that nobody is asked."""
        age = now - known.checked_at
        if known.reason.verdict is Verdict.UNDELIVERABLE:
            # What the DNS alone has said, it says again for nothing, and knows how long it holds.
            return known.code is not None and 0 <= age < self.undeliverable
        return self.stands(known, now, wishes) and 0 <= age < REFRESH * self.deliverable

    def stands(self, known: Outcome, now: float, wishes: Wishes) -> bool:
        """Whether `known` is a deliverable one that an attempt which learned nothing, then or
        before, leaves as it is."""
        if known.reason is not Reason.ACCEPTED:
            return False
        wants_control = self.control if wishes.control is None else wishes.control
        if known.catch_all is None and wants_control:
            return False
        return now - known.checked_at < self.deliverable


#: What holds where nothing was chosen.
DEFAULT_CACHING = Caching()
