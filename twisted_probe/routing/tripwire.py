"""Whether a site has begun to refuse everybody whom one source asks about.

Knows how many were refused in a row; not why (`routing.evidence`), nor what is done to find out
(`routing.attempt`).
"""

from __future__ import annotations

from collections import OrderedDict

from twisted_probe.smtp.conversation import SessionReport

#: Recipients refused without one that was accepted: from then on nobody who was accepted before
#: vouches for the refusals. A silent block looks like this, and so do lists of dead addresses.
MAX_REFUSED_IN_A_ROW = 20
#: Pairs of site and source that are watched, those that were asked last.
MAX_PAIRS = 50_000


class Tripwire:
    """Rejections in a row, by site and source (an address)."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[str, str], int] = OrderedDict()

    def note(self, site: str, source: str, report: SessionReport) -> None:
        """Count the answers of one session."""
        if not report.answers:
            return
        key = (site, source)
        replies = (*report.answers.values(), *report.witnesses.values())
        if any(reply.is_positive for reply in replies):
            self._refused.pop(key, None)
            return
        self._refused[key] = self._refused.pop(key, 0) + len(report.answers)
        if len(self._refused) > MAX_PAIRS:
            self._refused.popitem(last=False)

    def is_tripped(self, site: str, source: str) -> bool:
        """Whether it looks as if the site refused everybody from there."""
        return self._refused.get((site, source), 0) >= MAX_REFUSED_IN_A_ROW
