"""How fast one site may be asked now: slow at first, halved when it complains, faster by steps.

Knows the arithmetic, purely; not which replies are complaints (`routing.signs`) nor who waits
(`routing.sites`).
"""

from __future__ import annotations

from attrs import evolve, frozen

#: Sessions at once that are left after the worst: one, and this part of the starts a second.
LEAST = 1 / 8
#: Seconds that a site is left alone at most after a complaint.
MAX_REST = 3600.0
#: Seconds that a tempo holds; a site that was not asked for so long is begun with anew.
TEMPO_LIFE = 7 * 24 * 3600.0


@frozen
class Tempo:
    """What a site has borne: `sessions` at once (below 1: fewer starts), where growth becomes
    slow (`brisk_below`), how many complaints came without a calm session between them
    (`complaints`) and when the last one did (`complained_at`), until when the site is left alone
    (`rests_until`), whether a calm session was seen at all (`has_borne`), and when that was
    learned (`at`; POSIX seconds)."""

    sessions: float
    at: float
    brisk_below: float | None = None
    complaints: int = 0
    complained_at: float = 0.0
    rests_until: float = 0.0
    has_borne: bool = False

    def fresh(self, now: float, first: float) -> Tempo:
        """This one, or that of an unknown site, which begins with `first` sessions at once. No
        rest is longer than any can be, were the clock set back since it was learned."""
        if now - self.at > TEMPO_LIFE:
            return Tempo(first, now)
        longest = now + MAX_REST
        return self if self.rests_until <= longest else evolve(self, rests_until=longest)

    def calmer(self, now: float, rest: float, hint: float | None = None) -> Tempo:
        """After a complaint: half of it, behind a rest, of `hint` seconds at least; each
        complaint without a calm session in between doubles the `rest`."""
        rest = min(MAX_REST, max(rest * 2 ** min(self.complaints, 20), hint or 0.0))
        half = max(LEAST, self.sessions / 2)
        return evolve(
            self,
            sessions=half,
            at=now,
            brisk_below=half,
            complaints=self.complaints + 1,
            complained_at=now,
            rests_until=max(self.rests_until, now + rest),
        )

    def brisker(self, now: float, most: float) -> Tempo:
        """After a calm session: one session more while nothing is known, or until half of what
        was too much; from there on one more when as many were calm as there may be at once
        (TCP's slow start and congestion avoidance, RFC 5681 section 3.1)."""
        if self.sessions < 1:
            grown = self.sessions * 2
        elif self.brisk_below is None or self.sessions < self.brisk_below:
            grown = self.sessions + 1
        else:
            grown = self.sessions + 1 / self.sessions
        return evolve(self, sessions=min(grown, most), at=now, complaints=0, has_borne=True)

    def is_worth_keeping(self, most: float) -> bool:
        """Whether more is known than that of any site: it has complained, or borne `most`."""
        return self.brisk_below is not None or self.sessions >= most

    def at_once(self, ceiling: int) -> int:
        """Sessions that may be open at once, below the ceiling."""
        return max(1, min(ceiling, int(self.sessions + 1e-9)))

    def starts(self, ceiling: int, per_second: float) -> float:
        """New sessions a second: as much of the ceiling as of the sessions."""
        return per_second * min(1.0, self.sessions / ceiling)
