"""Whether it is this machine that has trouble, and not those whom it asks.

Knows runs of failures over sites that have nothing to do with each other; not what a failure
means for one of them (`routing.evidence`).
"""

from __future__ import annotations

from enum import Enum

from twisted.logger import Logger

from twisted_probe.routing.pauses import HOLD, Held

_log = Logger()

#: Sites that fail one after the other, without one that does not, until it is our own doing: a
#: list of dead domains has some in a row, but hardly so many.
MAX_RUN = 30
#: Seconds between two canaries while nobody else is asked.
CANARY = 10.0
#: Seconds of an alarm after which those who are not kept anywhere are asked all the same: a list
#: may end in dead domains with nothing wrong here, and whoever waits for it must come to an end.
PATIENCE = 3 * HOLD


class Trouble(Enum):
    """What fails, with the words of the alarm."""

    CONNECT = "no connection comes about any more; look whether port 25 is closed on your side"
    DNS = "the DNS answers nothing any more; look at the resolvers"


class Watchdog:
    """Watches the failures of one prober. While there is an `alarm`, only a canary is asked now
    and then; the first that gets through ends it."""

    def __init__(self) -> None:
        self._runs: dict[Trouble, set[str]] = {trouble: set() for trouble in Trouble}
        self._alarm: Trouble | None = None
        self._next_canary = 0.0
        # Since when nobody may begin, and whether somebody was told to come as the next canary.
        self._since: float | None = None
        self._has_called = False

    @property
    def alarm(self) -> str | None:
        """What is wrong with this machine, in words."""
        return None if self._alarm is None else self._alarm.value

    def worked(self, what: Trouble) -> None:
        """It worked at some site."""
        self._runs[what].clear()
        if self._alarm is what:
            self._alarm = self._since = None
            self._has_called = False
            _log.warn("{what} works again; probing goes on", what=what.name.lower())

    def failed(self, what: Trouble, site: str) -> None:
        """It failed at a site."""
        run = self._runs[what]
        if len(run) < MAX_RUN:
            run.add(site)
        if len(run) >= MAX_RUN and self._alarm is None:
            self._alarm = what
            _log.critical(
                "probing is held: {why} ({number} sites in a row have failed)",
                why=what.value,
                number=len(run),
            )

    def held(self) -> Held | None:
        """Why no verdict may be given on what failed, or None.

        The first who hears it behind a canary is told to come again as the next one; the others
        have time."""
        if self._alarm is None:
            return None
        delay = HOLD if self._has_called else CANARY
        self._has_called = True
        return Held(self._alarm.value, delay)

    def has_lasted(self, now: float) -> bool:
        """Whether nobody could begin for so long that none need wait for the alarm's end."""
        return self._since is not None and now - self._since >= PATIENCE

    def may_not_begin(self, now: float) -> Held | None:
        """Why nobody may be asked now, or None; while there is an alarm, None makes whoever asks
        the canary."""
        if self._alarm is None:
            return None
        if self._since is None:
            self._since = now
        if now >= self._next_canary:
            self._next_canary = now + CANARY
            self._has_called = False
            return None
        return self.held()
