"""Whether it is this machine that has trouble, and not those whom it asks.

Knows runs of failures over sites that have nothing to do with each other; not what a failure
means for one of them (`routing.evidence`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_probe.routing.pauses import HOLD, Held

_log = Logger()

#: Sites that fail one after the other, without one that does not, until it may be our own doing.
MAX_RUN = 30
#: Seconds between two canaries while nobody else is asked.
CANARY = 10.0
#: Seconds for which names are drawn from those who come, and how many at most: so many canaries go
#: together.
DRAW = 3.0
DRAWN = 3
#: What those hear who come while there is a look at what has worked.
LOOKING = "site after site fails; a look at others shows whether the trouble is here"
#: Seconds for which failures are others' trouble, when a site that had worked was seen to work.
SURE = 60.0
#: Seconds of an alarm after which those who are not kept anywhere are asked all the same: a list
#: may end in dead domains with nothing wrong here, and whoever waits for it must come to an end.
PATIENCE = 3 * HOLD


class Trouble(Enum):
    """What fails, with the words of the alarm."""

    CONNECT = "no connection comes about any more; look whether port 25 is closed on your side"
    DNS = "the DNS answers nothing any more; look at the resolvers"


#: Looks at what has worked before, tells the watchdog what still does, and fires when that is
#: over with whether anything was seen; errbacks when it is broken off, and is None where there is
#: nothing to look at.
Look = Callable[[Trouble], "Deferred[bool] | None"]


class Watchdog:
    """Watches the failures of one prober, on its clock.

    Many in a row may be the end of a list of dead domains, so there is a `look` first at what has
    worked before; nobody else is asked meanwhile. While there is an `alarm`, only canaries are
    asked now and then, and looks go on; the first that gets through ends it.
    """

    def __init__(self, clock: IReactorTime, look: Look, rng: random.Random) -> None:
        self._clock = clock
        self._look = look
        self._rng = rng
        self._runs: dict[Trouble, set[str]] = {trouble: set() for trouble in Trouble}
        self._alarm: Trouble | None = None
        self._suspected: Trouble | None = None
        self._is_looking = False
        self._sure_until = 0.0
        self._next_canary = 0.0
        self._since: float | None = None  # nobody may begin
        # When the next canaries are drawn, from how many until now, and who they are.
        self._draw_at = -inf
        self._number = 0
        self._drawn: list[str] = []

    @property
    def alarm(self) -> str | None:
        """What is wrong with this machine, in words."""
        return None if self._alarm is None else self._alarm.value

    def worked(self, what: Trouble) -> None:
        """It worked at some site."""
        self._runs[what].clear()
        if self._suspected is what:
            self._suspected = None
            self._sure_until = self._clock.seconds() + SURE
        if self._alarm is what:
            self._alarm = self._since = None
            _log.warn("{what} works again; probing goes on", what=what.name.lower())

    def failed(self, what: Trouble, site: str) -> None:
        """It failed at a site."""
        run = self._runs[what]
        if self._clock.seconds() < self._sure_until:
            return
        if len(run) < MAX_RUN:
            run.add(site)
        if len(run) >= MAX_RUN and self._alarm is None and self._suspected is None:
            self._suspected = what
            self._look_out(what)

    def _look_out(self, what: Trouble) -> None:
        """Have a look, unless there is one."""
        if self._is_looking:
            return
        self._is_looking = True
        looking = self._look(what)
        if looking is None:
            self._looked()
        else:
            looking.addBoth(self._looked)

    def _looked(self, seen: bool | Failure = True) -> None:
        """What still fails is our own, unless the look was broken off. Where it saw nothing so
        many sessions are open that they will show it."""
        self._is_looking = False
        what, self._suspected = self._suspected, None
        if what is None or isinstance(seen, Failure):
            return
        if not seen:
            self._sure_until = self._clock.seconds() + SURE
            self._runs[what].clear()
            return
        self._alarm = what
        _log.critical(
            "probing is held: {why} ({number} sites in a row have failed)",
            why=what.value,
            number=len(self._runs[what]),
        )

    def held(self) -> Held | None:
        """Why no verdict may be given on what failed, or None.

        When they come again is by lot too: not all at once."""
        if self._alarm is None:
            return None if self._suspected is None else Held(LOOKING, CANARY)
        return Held(self._alarm.value, self._rng.uniform(CANARY, HOLD))

    def has_lasted(self) -> bool:
        """Whether nobody could begin for so long that none need wait for the alarm's end."""
        return self._since is not None and self._clock.seconds() - self._since >= PATIENCE

    def may_not_begin(self, domain: str) -> Held | None:
        """Why somebody of this domain may not be asked now, or None; while there is an alarm, None
        makes him the canary.

        It is drawn from all who come: were it the first, a list that begins with dead domains
        would try them time and again, and nobody who lives.
        """
        if self._alarm is None:
            return self.held()
        now = self._clock.seconds()
        if self._since is None:
            self._since = now
        if domain in self._drawn and now >= self._draw_at:
            self._drawn.remove(domain)
            self._next_canary = now + CANARY
            self._look_out(self._alarm)
            return None
        if now < self._next_canary:
            return self.held()
        if now >= self._draw_at + CANARY:  # at last, or nobody who was drawn has come
            self._draw_at, self._number, self._drawn = now + DRAW, 0, []
        if now >= self._draw_at:
            return self.held()
        self._draw(domain)
        return Held(self._alarm.value, self._draw_at - now)

    def _draw(self, domain: str) -> None:
        """Let it be one of those who are drawn, by the same chance for all who come."""
        if domain in self._drawn:
            return
        self._number += 1
        place = self._rng.randrange(self._number)
        if len(self._drawn) < DRAWN:
            self._drawn.append(domain)
        elif place < DRAWN:
            self._drawn[place] = domain
