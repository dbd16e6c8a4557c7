"""What no step of a world may break, in words, and the account of every look at it.

Knows the laws; what is looked at is `world`'s.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

from attrs import define, field


class Law(Enum):
    """What must hold, in words."""

    ALLOWED = "no address is dialled that may not be dialled"
    SOURCES = "every connection leaves from one of the sources"
    SESSIONS = "no exchanger has more sessions at once than the ceiling, over all sources"
    STARTS = "no exchanger has more new sessions a second than the ceiling, over all sources"
    EVERYWHERE = "there are never more sessions in all than the ceiling"
    REJECTIONS = "no exchanger refuses more recipients in a stretch of time than the budget"
    TRIPLET = "a retry leaves from the source of the attempt before, unless that was refused"
    ONCE_OUT = "nobody is in hand twice at a time"
    ONCE_BACK = "nobody comes back who is not in hand"
    ONCE_ANSWERED = "nobody is answered twice"
    EVERYBODY = "everybody is answered in the end"
    PROGRESS = "there is always something that will happen, and nobody waits for three days"
    QUIET = "in the end no timer and no connection is left"


@define
class Laws:
    """How often each law was `looked` at, and which looks found it `broken`."""

    looked: Counter[Law] = field(factory=Counter)
    broken: list[str] = field(factory=list)

    def look(self, law: Law, holds: bool, about: object = "") -> None:
        """Keep what was found, about whom. `check` tells it: an error that is raised in the
        prober's own calls would be the prober's."""
        self.looked[law] += 1
        if not holds:
            self.broken.append(f"{law.value}: {about}")

    def check(self) -> None:
        """Raises AssertionError for the first that was found broken."""
        assert not self.broken, f"law: {self.broken[0]}"
