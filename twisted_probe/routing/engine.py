"""The engine: takes due recipients from a `Work`, has the prober ask, tells the work.

Knows how much is in hand and how to stop; not where work comes from nor how anything is asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from twisted_probe.routing.pauses import Held
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.work import Task, Work
from twisted_probe.smtp.conversation import room_of
from twisted_probe.vocabulary.outcome import Outcome, Retry
from twisted_probe.vocabulary.wishes import Wishes

_log = Logger()

#: Recipients in hand at once: enough for every session of the machine to have some, few enough
#: to be nothing in memory.
WINDOW = 5000
#: Recipients that are asked together: what a session can carry.
BATCH = room_of(0)
#: Batches that are begun in one turn of the reactor: some 5 ms. Hundreds of sessions may have been
#: answered since the turn before.
TURN = 5
#: Seconds between two looks at the work, so that neither an empty nor a broken one is asked
#: without a pause.
IDLE = 1.0

_Pairs = Sequence[tuple[Task, Outcome]]


class Engine:
    """Runs a prober over a work until it is stopped.

    `window` is the number of recipients in hand at most, `idle` the seconds between two looks
    at the work, `batch` the recipients that are asked together at most: a session's worth. A
    batch that fails is given back and looked at again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        prober: Prober,
        work: Work,
        *,
        window: int = WINDOW,
        idle: float = IDLE,
        batch: int = BATCH,
    ) -> None:
        self.batch = batch
        self._clock = clock
        self._prober = prober
        self._work = work
        self._window = window
        self._idle = idle
        self._in_hand = 0
        self._timer: IDelayedCall | None = None
        self._is_running = False
        self._is_pulling = False
        self._pulling: Deferred[None] = succeed(None)
        self._probing: dict[Deferred[None], Deferred[list[Outcome]] | None] = {}
        self._tasks: dict[Deferred[None], Sequence[Task]] = {}

    @property
    def in_hand(self) -> int:
        """Recipients that were taken and are not reported yet."""
        return self._in_hand

    def start(self) -> None:
        """Begin to pull."""
        self._is_running = True
        self.wake()

    def wake(self) -> None:
        """Look at the work now: something may be due."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._is_running and not self._is_pulling:
            self._is_pulling = True
            self._pulling = Deferred.fromCoroutine(self._pull())

    def recall(self, is_unwanted: Callable[[Task], bool]) -> None:
        """Give back the batches that are unwanted as a whole, as soon as no session is open for
        them."""
        unwanted = [
            running for running, batch in self._tasks.items() if all(map(is_unwanted, batch))
        ]
        asking = [self._probing[running] for running in unwanted]
        self._prober.recall([each for each in asking if each is not None])

    def stop(self, grace: float) -> Deferred[None]:
        """Take nothing more, let the batches in hand end for `grace` seconds, then cut them and
        give back what was not answered. Fires when all is reported or given back."""
        return Deferred.fromCoroutine(self._stop(grace))

    async def _stop(self, grace: float) -> None:
        self._is_running = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        await self._pulling
        # Sessions that are open go on to their end; no other is begun.
        self._prober.recall([asking for asking in self._probing.values() if asking is not None])
        cut = self._clock.callLater(grace, self.cut)
        await DeferredList(list(self._probing))
        if cut.active():
            cut.cancel()

    def cut(self) -> None:
        """Cut every session at once; whoever was not answered is given back."""
        for asking in list(self._probing.values()):
            if asking is not None:
                asking.cancel()

    async def _pull(self) -> None:
        tasks: Sequence[Task] = ()
        try:
            room = self._window - self._in_hand
            tasks = await self._work.take(room) if room > 0 else ()
        except Exception:
            _log.failure("the work could not be asked for recipients; asking again")
        batches = deque(_batches(tasks, self.batch))
        begun = 0
        while batches and self._is_running:
            if begun >= TURN:
                begun = 0
                await deferLater(self._clock, 0)
                continue
            batch = batches.popleft()
            begun += 1
            self._begin(batch)
        if batches:
            await self._give_back([task for batch in batches for task in batch])
        if self._is_running:
            self._timer = self._clock.callLater(self._idle, self.wake)
        self._is_pulling = False

    def _begin(self, batch: Sequence[Task]) -> None:
        self._in_hand += len(batch)
        running: Deferred[None] = Deferred()
        self._probing[running] = None
        self._tasks[running] = batch
        Deferred.fromCoroutine(self._run(batch, running)).addBoth(running.callback)

    async def _run(self, batch: Sequence[Task], running: Deferred[None]) -> None:
        """One batch, from the question to the commit."""
        pairs: list[tuple[Task, Outcome]]
        try:
            asking = self._prober.ask(
                [task.address for task in batch],
                [task.retry for task in batch],
                batch[0].wishes,
            )
            self._probing[running] = asking
            pairs = list(zip(batch, await asking, strict=True))
        except CancelledError:
            await self._give_back(batch)
        except Held as held:
            # With its frames it would be a ring, which thousands of those who are held would leave
            # to the collector.
            held.with_traceback(None)
            answers = list(zip(batch, held.outcomes, strict=True))
            # Without a pause, so that the end of what holds them is not overtaken.
            await self._give_back([task for task, one in answers if one is None], held.delay)
            await self._conclude([(task, one) for task, one in answers if one is not None])
        except Exception:
            _log.failure("a batch failed; its recipients are asked again")
            await self._give_back(batch)
        else:
            await self._conclude(pairs)
        finally:
            self._in_hand -= len(batch)
            del self._probing[running], self._tasks[running]

    async def _conclude(self, pairs: _Pairs) -> None:
        await self._keep(self._work.report, [pair for pair in pairs if pair[1].final])
        await self._keep(self._work.retry_at, [pair for pair in pairs if not pair[1].final])

    async def _keep(self, keep: Callable[[_Pairs], Deferred[None]], pairs: _Pairs) -> None:
        if not pairs:
            return
        try:
            await keep(pairs)
        except Exception:
            _log.failure("{n} outcomes could not be kept; they are asked again", n=len(pairs))
            await self._give_back([task for task, _ in pairs])

    async def _give_back(self, batch: Sequence[Task], delay: float = 0.0) -> None:
        try:
            await (self._work.give_back(batch, delay) if delay else self._work.give_back(batch))
        except Exception:
            _log.failure("{n} recipients could not be given back", n=len(batch))


def _batches(tasks: Sequence[Task], size: int) -> list[list[Task]]:
    """What one attempt can answer: the same domain, triplet and wishes, a session's worth."""
    groups: dict[tuple[str, Retry | None, Wishes], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.address.domain, task.retry, task.wishes), []).append(task)
    return [
        group[start : start + size]
        for group in groups.values()
        for start in range(0, len(group), size)
    ]
