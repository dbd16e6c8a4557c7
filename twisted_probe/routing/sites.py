"""How fast: who may begin a session now, over all sources, and who has to wait.

Knows the queues of sites and the budgets that a session takes a slot from: its site's *and* its
exchanger address's, so that neither many names for one host nor many hosts behind one name, nor
more sources, ever mean more pressure; and its source's. It does not know who is asked, nor what
came of it (`routing.sessions`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from heapq import heappop, heappush
from ipaddress import IPv6Address, ip_address
from itertools import count
from math import inf

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from twisted_probe.routing.budget import Budget
from twisted_probe.routing.customs import Bounds
from twisted_probe.routing.limits import DEFAULT_LIMITS, Limits
from twisted_probe.routing.memory import Pressure
from twisted_probe.routing.tempo import MAX_REST, Tempo
from twisted_probe.vocabulary.source import Source

_log = Logger()

#: Seconds for which no more sessions are begun than this machine had sockets for.
BREATH = 60.0
#: Seconds that what was borne has to say something to be kept: no program begins anew sooner.
WORTH_KEEPING = 1.0

__all__ = ["DEFAULT_LIMITS", "Limits", "Sites", "Slot", "pressed"]


@define(eq=False)
class Slot:
    """The right to hold one session, at the cost of the budgets `keys`, with room for so many
    `rejections`. `release` gives it back; doing so twice is harmless."""

    _sites: Sites
    site: str
    keys: tuple[tuple[str, str], ...]
    rejections: int
    granted_at: float
    _held: bool = True

    def release(self, rejections: int | None = None) -> None:
        """The session has ended, after so many rejected recipients; None: as many as it might
        have had."""
        if self._held:
            self._held = False
            self._sites._release(self, rejections)


@define(eq=False)
class _Wish:
    """One session that somebody wants: its budgets, and what of them."""

    site: str
    address: str
    source: str | None
    bounds: Callable[[], Bounds] | None
    source_ceiling: int | None
    rejections: int
    origin: int | None
    deferred: Deferred[Slot] = field(init=False)

    @property
    def queue(self) -> _Name:
        """Where it waits."""
        return self.site, None if self.source_ceiling is None else self.source

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        keys = (("site", self.site), ("address", self.address))
        return keys if self.source is None else (*keys, ("source", self.source))


#: A site, and a source with a ceiling or None.
_Name = tuple[str, str | None]


@define(eq=False)
class _Queue:
    """Those who want a session with one site, from any source, or from one that has a ceiling: who
    waits for that must not keep others waiting. Whoever has left is still in `wishes`, until it
    would be their turn; `waiting` counts the others. `filed` is the number of its entry in the
    heap that counts; the others are of the past."""

    name: _Name
    wishes: deque[_Wish] = field(factory=deque)
    waiting: int = 0
    filed: int = 0

    def first(self) -> _Wish | None:
        """Whose turn is next."""
        while self.wishes and self.wishes[0].deferred.called:
            self.wishes.popleft()
        return self.wishes[0] if self.wishes else None


class Sites:
    """Hands out slots, first come first served within a queue, queues in turn.

    A queue that may move is `ready`; one that time will move stands in a heap; one that has to
    wait for the end of a session is `parked` at the budget that is used up. So one session's
    beginning or end costs no look at the others, however many sites wait.
    """

    def __init__(self, clock: IReactorTime, limits: Limits = DEFAULT_LIMITS) -> None:
        self._clock = clock
        self._limits = limits
        self._budgets: dict[tuple[str, str], Budget] = {}
        self._tempos: dict[str, Tempo] = {}
        self._queues: dict[str, dict[_Name, _Queue]] = {}  # by site
        self._ready: OrderedDict[_Name, _Queue] = OrderedDict()
        self._parked: dict[tuple[str, str], OrderedDict[_Name, _Queue]] = {}
        self._heap: list[tuple[float, int, _Queue]] = []
        self._fading: list[tuple[float, tuple[str, str]]] = []
        self._number = count(1)
        self._active = 0
        self._room = 0
        self._room_until = 0.0
        self._timer: IDelayedCall | None = None
        self._is_serving = False

    @property
    def active(self) -> int:
        """Sessions that have a slot now."""
        return self._active

    @property
    def limits(self) -> Limits:
        """The ceilings."""
        return self._limits

    @property
    def waiting(self) -> dict[str, int]:
        """How many sessions wait for a slot, by site."""
        numbers = {
            site: sum(queue.waiting for queue in queues.values())
            for site, queues in self._queues.items()
        }
        return {site: number for site, number in numbers.items() if number}

    def is_full(self, site: str, most: int, origin: int | None) -> bool:
        """Whether `most` sessions wait for a slot of this site, and of this `origin` as many as
        are its share: there is always room for one."""
        queues = self._queues.get(site, {}).values()
        if sum(queue.waiting for queue in queues) < most:
            return False
        origins = Counter(
            wish.origin for queue in queues for wish in queue.wishes if not wish.deferred.called
        )
        return origins[origin] >= max(1, most // len({*origins, origin}))

    def limit(self, limits: Limits) -> None:
        """Keep to these limits from now on. Sessions that are beyond them end in their own time;
        nobody new is let in before."""
        self._limits = limits
        for site in list(self._queues):
            self._file_all(site)
        self._serve()

    def exhausted(self) -> None:
        """A session that has a slot found no socket left on this machine: for a while there are
        as many at once as had one, and the others wait for their ends."""
        now, room = self._clock.seconds(), max(1, self._active - 1)
        if now < self._room_until:
            room = min(room, self._room)
        else:
            _log.warn(
                "no socket is left for one session more; there are fewer for {seconds:.0f} s",
                seconds=BREATH,
            )
        self._room, self._room_until = room, now + BREATH

    @property
    def _most(self) -> int:
        """Sessions at once in all."""
        is_short = self._clock.seconds() < self._room_until
        return min(self._limits.sessions, self._room) if is_short else self._limits.sessions

    # --- The tempo of each site --------------------------------------------------------------

    def knows(self, site: str) -> bool:
        """Whether the site's tempo is known here; else ask the memory for it and `set_tempo`."""
        return site in self._tempos

    def tempo(self, site: str) -> Tempo:
        """How fast the site is asked."""
        now = self._clock.seconds()
        first = float(self._limits.first_sessions)
        return self._tempos.get(site, Tempo(first, now)).fresh(now, first)

    def set_tempo(self, site: str, tempo: Tempo) -> None:
        """Ask the site as fast as that from now on."""
        self._tempos[site] = tempo
        if site in self._queues:
            self._file_all(site)
            self._serve()

    def rest(self, address: str, until: float) -> None:
        """Leave the exchanger at `address` alone until then, whatever site it is met at."""
        key = ("address", pressed(address))
        budget = self._budgets.setdefault(key, Budget(counted_at=self._clock.seconds()))
        budget.next_start = max(budget.next_start, until)
        self._fade(key)

    def pressures(self, site: str, address: str) -> list[Pressure]:
        """What these two have borne, where that will say something for a while."""
        now, rate = self._clock.seconds(), self._limits.rejections_per_second
        found = []
        for key in (("site", site), ("address", pressed(address))):
            budget = self._budgets.get(key)
            if budget is None:
                continue
            budget.count(now, rate)
            until = budget.even_at(rate)
            if until > now + WORTH_KEEPING:
                found.append(Pressure(*key, budget.spent, now, budget.next_start, until))
        return found

    def recall(self, pressure: Pressure) -> None:
        """Go by what was borne before now; by a clock that was set back since, just now. Nobody
        rests for longer than any ever would, nor has borne more than a burst."""
        now, key = self._clock.seconds(), (pressure.kind, pressure.whose)
        at = min(pressure.at, now)
        self._budgets[key] = Budget(
            next_start=min(at + pressure.rests_until - pressure.at, now + MAX_REST),
            spent=min(pressure.spent, self._limits.rejections),
            counted_at=at,
        )
        self._fade(key)

    # --- Slots -------------------------------------------------------------------------------

    def slot(
        self,
        site: str,
        address: str,
        *,
        source: Source | None = None,
        bounds: Callable[[], Bounds] | None = None,
        rejections: int = 0,
        origin: int | None = None,
    ) -> Deferred[Slot]:
        """Wait for the right to open a session to `address`, an exchanger of `site`, from
        `source`; it may come to as many `rejections`. `bounds` tells the site's at any moment,
        None are those that hold everywhere. `origin` is whose it is (`Wishes`).

        Fires with a Slot, which must be released. Cancelling leaves the queue.
        """
        named = None if source is None else source.address
        ceiling = None if source is None else source.ceiling
        wish = _Wish(site, pressed(address), named, bounds, ceiling, rejections, origin)
        wanted = wish.deferred = Deferred(lambda _: self._leave(wish))
        queues = self._queues.setdefault(site, {})
        queue = queues.setdefault(wish.queue, _Queue(wish.queue))
        queue.wishes.append(wish)
        queue.waiting += 1
        if queue.first() is wish:
            self._file(queue)
            self._serve()
        return wanted

    def _leave(self, wish: _Wish) -> None:
        queue = self._queues.get(wish.site, {}).get(wish.queue)
        if queue is None or wish.deferred.called:
            return
        queue.waiting -= 1
        if queue.first() is wish:
            queue.wishes.popleft()
            self._file(queue)
            self._serve()
        elif not queue.waiting:
            self._drop(queue)
            self._set_timer()

    def _release(self, slot: Slot, rejections: int | None) -> None:
        self._active -= 1
        for key in slot.keys:
            budget = self._budgets[key]
            budget.active -= 1
            if rejections is not None:
                budget.count(self._clock.seconds(), self._limits.rejections_per_second)
                budget.spent = max(0.0, budget.spent + rejections - slot.rejections)
            for queue in self._parked.pop(key, {}).values():
                self._file(queue)
        # What was not used of the rejections may let others begin sooner.
        self._file_all(slot.site)
        for key in slot.keys:
            self._fade(key)
        self._serve()

    def _fade(self, key: tuple[str, str]) -> None:
        """Let the budget be forgotten as soon as it says nothing any more."""
        budget = self._budgets[key]
        if not budget.active:
            even_at = budget.even_at(self._limits.rejections_per_second)
            heappush(self._fading, (even_at, key))

    def _forget(self) -> None:
        """Drop what says nothing any more; the memory has the tempos."""
        now, rate = self._clock.seconds(), self._limits.rejections_per_second
        while self._fading and self._fading[0][0] <= now:
            _, key = heappop(self._fading)
            budget = self._budgets.get(key)
            if budget is not None and budget.is_idle(now, rate):
                del self._budgets[key]
                if key[0] == "site" and key[1] not in self._queues:
                    self._tempos.pop(key[1], None)

    # --- Whose turn it is --------------------------------------------------------------------

    def _serve(self) -> None:
        """Grant what can be granted now; set the timer for what time alone will allow."""
        if self._is_serving:
            return
        self._is_serving = True
        self._forget()
        try:
            for wish in self._grants():
                # Without the wish, whose Deferred has the slot: a ring that only the collector
                # would end, with all that hangs on it.
                slot = Slot(self, wish.site, wish.keys, wish.rejections, self._clock.seconds())
                wish.deferred.callback(slot)
        finally:
            self._is_serving = False
        self._set_timer()

    def _grants(self) -> Iterator[_Wish]:
        while True:
            now = self._clock.seconds()
            while self._heap and self._heap[0][0] <= now:
                _, number, due = heappop(self._heap)
                if due.filed == number:
                    self._file(due)
            if not self._ready or self._active >= self._most:
                return
            _, queue = self._ready.popitem(last=False)
            wish = queue.first()
            if wish is None or self._earliest(wish, now)[0] > now:
                # Another site has met it at the address, or whoever was first has left.
                self._file(queue)
                continue
            self._take(wish, now)
            queue.wishes.popleft()
            queue.waiting -= 1
            # Its turn is over: next time the others come first.
            self._file(queue)
            yield wish

    def _file_all(self, site: str) -> None:
        """Put each queue of a site where it belongs now."""
        for queue in list(self._queues.get(site, {}).values()):
            self._file(queue)

    def _file(self, queue: _Queue) -> None:
        """Put a queue where it belongs now."""
        if self._queues.get(queue.name[0], {}).get(queue.name) is not queue:
            return
        queue.filed = 0
        wish = queue.first()
        if wish is None:
            self._drop(queue)
            return
        now = self._clock.seconds()
        at, key = self._earliest(wish, now)
        if at <= now:
            self._ready.setdefault(queue.name, queue)
            return
        self._ready.pop(queue.name, None)
        if key is not None:
            self._parked.setdefault(key, OrderedDict())[queue.name] = queue
        else:
            queue.filed = next(self._number)
            heappush(self._heap, (at, queue.filed, queue))

    def _drop(self, queue: _Queue) -> None:
        queue.filed = 0
        self._ready.pop(queue.name, None)
        queues = self._queues.get(queue.name[0], {})
        queues.pop(queue.name, None)
        if not queues:
            self._queues.pop(queue.name[0], None)

    def _earliest(self, wish: _Wish, now: float) -> tuple[float, tuple[str, str] | None]:
        """When a session may start; or the budget where others must end first."""
        limits = self._limits
        tempo = self.tempo(wish.site)
        at = max(now, tempo.rests_until)
        for key in wish.keys:
            moment = self._budgets.get(key, Budget()).earliest(
                now,
                sessions=self._sessions(key, wish, tempo),
                wanted=wish.rejections if key[0] != "source" else 0,
                burst=limits.rejections,
                per_second=limits.rejections_per_second,
            )
            if moment == inf:
                return inf, key
            at = max(at, moment)
        return at, None

    def _sessions(self, key: tuple[str, str], wish: _Wish, tempo: Tempo) -> float:
        kind = key[0]
        if kind == "source":
            return inf if wish.source_ceiling is None else wish.source_ceiling
        if kind == "site":
            return tempo.at_once(self._ceiling(wish))
        return self._ceiling(wish)

    def _ceiling(self, wish: _Wish) -> int:
        return self._limits.per_site if wish.bounds is None else wish.bounds().sessions

    def _take(self, wish: _Wish, now: float) -> None:
        self._active += 1
        limits, bounds = self._limits, None if wish.bounds is None else wish.bounds()
        per_second = limits.starts_per_second if bounds is None else bounds.starts_per_second
        gaps = {
            "site": 1 / self.tempo(wish.site).starts(self._ceiling(wish), per_second),
            "address": 1 / per_second,
        }
        for key in wish.keys:
            budget = self._budgets.setdefault(key, Budget(counted_at=now))
            budget.active += 1
            if key[0] in gaps:
                budget.next_start = now + gaps[key[0]]
                budget.count(now, limits.rejections_per_second)
                budget.spent += wish.rejections
        # A connection begins in the reactor's next turn, and the next one has to be as far from it.
        self._clock.callLater(0, self._begun, wish, gaps)

    def _begun(self, wish: _Wish, gaps: Mapping[str, float]) -> None:
        now = self._clock.seconds()
        for key in wish.keys:
            budget = self._budgets.get(key)
            if budget is not None and key[0] in gaps:
                budget.next_start = max(budget.next_start, now + gaps[key[0]])
                self._fade(key)

    def _set_timer(self) -> None:
        while self._heap and self._heap[0][2].filed != self._heap[0][1]:
            heappop(self._heap)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._heap and self._active < self._most:
            delay = max(0.0, self._heap[0][0] - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._serve)


@lru_cache(maxsize=4096)  # it is asked for every source before every attempt
def pressed(address: str) -> str:
    """What an address counts as: an IPv6 host has its whole /64."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
    return str(ip)
