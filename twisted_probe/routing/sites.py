"""How fast: the budget of sessions that a site and an exchanger address have, over all sources.

Knows numbers of sessions and starts; not who is asked nor from where. A session takes a slot
from its site *and* from its exchanger address, so neither many names for one host nor many
hosts behind one name, nor more sources, ever mean more pressure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from math import inf

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from twisted_probe.smtp.limits import MAX_ERRORS, MAX_RECIPIENTS


@frozen
class Limits:
    """Ceilings: `sessions` at once in all; `per_site` at once and `starts_per_second` new ones,
    for each site and for each exchanger address (IPv6: each /64); `errors_per_session` rejections
    and `recipients_per_session` RCPT commands (0: no limit) until a session ends by itself."""

    sessions: int = 500
    # Few enough to be nobody's burden; Postfix grants one client 50
    # (smtpd_client_connection_count_limit).
    per_site: int = 4
    starts_per_second: float = 2.0
    errors_per_session: int = MAX_ERRORS
    recipients_per_session: int = MAX_RECIPIENTS


DEFAULT_LIMITS = Limits()


@define
class _Budget:
    """What one site or one address has left."""

    active: int = 0
    next_start: float = 0.0


@define(eq=False)
class Slot:
    """The right to hold one session. `release` gives it back; doing so twice is harmless."""

    _sites: Sites
    _keys: tuple[str, str]
    _held: bool = True

    def release(self) -> None:
        """The session has ended."""
        if self._held:
            self._held = False
            self._sites._release(self._keys)


class Sites:
    """Hands out slots, first come first served within a site, sites in turn."""

    def __init__(self, clock: IReactorTime, limits: Limits = DEFAULT_LIMITS) -> None:
        self._clock = clock
        self._limits = limits
        self._budgets: dict[str, _Budget] = {}
        self._queues: dict[str, deque[tuple[tuple[str, str], Deferred[Slot]]]] = {}
        self._active = 0
        self._timer: IDelayedCall | None = None

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
        return {key.removeprefix("site "): len(queue) for key, queue in self._queues.items()}

    def limit(self, limits: Limits) -> None:
        """Keep to these limits from now on. Sessions that are beyond them end in their own time;
        nobody new is let in before."""
        self._limits = limits
        self._serve()

    def slot(self, site: str, address: str) -> Deferred[Slot]:
        """Wait for the right to open a session to `address`, an exchanger of `site`.

        Fires with a Slot, which must be released. Cancelling leaves the queue.
        """
        keys = (f"site {site}", f"address {_pressed(address)}")
        wanted: Deferred[Slot] = Deferred(lambda _: self._leave(keys[0], wanted))
        self._queues.setdefault(keys[0], deque()).append((keys, wanted))
        self._serve()
        return wanted

    def withdraw(self, unwanted: Collection[Deferred[Slot]]) -> None:
        """Take these out of the queues, all at once; each errbacks CancelledError."""
        if not unwanted:
            return
        gone = set(unwanted)
        for site, queue in list(self._queues.items()):
            left = deque(entry for entry in queue if entry[1] not in gone)
            if not left:
                del self._queues[site]
            elif len(left) < len(queue):
                self._queues[site] = left
        for wanted in unwanted:
            if not wanted.called:
                wanted.errback(CancelledError())
        self._serve()

    def _leave(self, site: str, wanted: Deferred[Slot]) -> None:
        # One that is granted already, and cancelled before it hears of it, waits nowhere.
        queue = self._queues.get(site, deque())
        left = deque(entry for entry in queue if entry[1] is not wanted)
        if left:
            self._queues[site] = left
        elif queue:
            del self._queues[site]
        self._serve()

    def _release(self, keys: tuple[str, str]) -> None:
        self._active -= 1
        for key in keys:
            self._budgets[key].active -= 1
        self._serve()

    def _serve(self) -> None:
        """Grant what can be granted now; set the timer for what time alone will allow."""
        now = self._clock.seconds()
        ready: list[tuple[tuple[str, str], Deferred[Slot]]] = []
        wake = inf
        for site in list(self._queues):
            if self._active >= self._limits.sessions:
                break
            queue = self._queues[site]
            at = self._earliest(queue[0][0], now)
            if at > now:
                wake = min(wake, at)
                continue
            self._take(queue[0][0], now)
            ready.append(queue.popleft())
            # Its turn is over: next time the others come first.
            del self._queues[site]
            if queue:
                self._queues[site] = queue
                wake = min(wake, self._earliest(queue[0][0], now))
        self._forget(now)
        self._set_timer(wake)
        for keys, wanted in ready:
            slot = Slot(self, keys)
            if wanted.called:  # cancelled by one of those before it
                slot.release()
            else:
                wanted.callback(slot)

    def _earliest(self, keys: tuple[str, str], now: float) -> float:
        """When a session may start as far as the clock goes; never while others must end first."""
        budgets = [self._budgets.setdefault(key, _Budget()) for key in keys]
        if any(budget.active >= self._limits.per_site for budget in budgets):
            return inf
        return max(now, *(budget.next_start for budget in budgets))

    def _take(self, keys: tuple[str, str], now: float) -> None:
        self._active += 1
        for key in keys:
            budget = self._budgets[key]
            budget.active += 1
            budget.next_start = now + 1 / self._limits.starts_per_second

    def _forget(self, now: float) -> None:
        """Drop budgets that say nothing any more."""
        idle = [
            key
            for key, budget in self._budgets.items()
            if not budget.active and budget.next_start <= now
        ]
        for key in idle:
            del self._budgets[key]

    def _set_timer(self, wake: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if wake < inf:
            delay = max(0.0, wake - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._serve)


def _pressed(address: str) -> str:
    """What an address counts as: an IPv6 host has its whole /64."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
    return str(ip)
