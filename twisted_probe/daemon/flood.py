"""How often the same is said: once a minute, and how often it was held back.

Knows kinds and counts; not what an event is nor where it is written. Postfix's rate counters
skip in the same way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from attrs import define, frozen

#: Seconds for which one of a kind stands for all. A little less than a minute, so that what is
#: said each minute is never held back by a timer's jitter.
WINDOW = 59.0
#: Events of one kind that pass within a window, over all that sets them apart (sites, jobs).
MAX_OF_KIND = 100
#: Windows that are open at once; beyond it the oldest is closed.
MAX_WINDOWS = 2000


@frozen
class Kind:
    """What an event is an example of, and what sets it apart from others of that kind."""

    name: Hashable
    about: Hashable = None


@frozen
class Example:
    """The first event of a kind, which was written."""

    level: str
    namespace: str
    message: str


@frozen
class HeldBack:
    """How many events like `example` were held back within so many seconds."""

    example: Example
    count: int
    seconds: float


@define
class _Window:
    since: float
    example: Example
    passed: int = 0
    held_back: int = 0


class Gate:
    """Lets the first event of each kind pass, and counts the others until its window ends.

    `clock` gives seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: OrderedDict[Kind, _Window] = OrderedDict()
        self._closed: list[HeldBack] = []

    def passes(self, kind: Kind, example: Callable[[], Example]) -> bool:
        """Whether an event is to be written now; `example` is asked what it is like, if need be.

        Windows end when `over` is called, which is best done before each event.
        """
        one = self._window(kind, example)
        if one.passed:
            one.held_back += 1
            return False
        if kind.about is not None:
            every = self._window(Kind(kind.name), example)
            if every.passed >= MAX_OF_KIND:
                every.held_back += 1
                return False
            every.passed += 1
        one.passed += 1
        return True

    def over(self, everything: bool = False) -> list[HeldBack]:
        """What was held back in windows that have ended since, or in all of them."""
        while self._windows:
            since = next(iter(self._windows.values())).since
            if self._clock() - since < WINDOW and not everything:
                break
            self._close_oldest()
        closed, self._closed = self._closed, []
        return closed

    def _window(self, kind: Kind, example: Callable[[], Example]) -> _Window:
        window = self._windows.get(kind)
        if window is None:
            if len(self._windows) >= MAX_WINDOWS:
                self._close_oldest()
            window = self._windows[kind] = _Window(self._clock(), example())
        return window

    def _close_oldest(self) -> None:
        _, window = self._windows.popitem(last=False)
        if window.held_back:
            seconds = self._clock() - window.since
            self._closed.append(HeldBack(window.example, window.held_back, seconds))
