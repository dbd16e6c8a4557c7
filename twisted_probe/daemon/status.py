"""The figures of a running daemon: how far, how fast, how much longer, and what limits it.

Knows how the figures are counted and named; not who asks for them (`daemon.control`).
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import Factory, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from twisted_probe import __version__
from twisted_probe.daemon.switchboard import Switchboard, called
from twisted_probe.jobs.ledger import Job, Ledger, Progress, State
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.rescue import alarms
from twisted_probe.jobs.spool import Spool
from twisted_probe.jobs.switches import Kind
from twisted_probe.jobs.writer import Run
from twisted_probe.routing.benches import key_of
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.work import Task, Work
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict, iso_time

#: Seconds over which the rate is measured: long enough for one session of a hundred recipients,
#: short enough to show what happens now.
RATE_WINDOW = 60.0
#: Seconds that are kept: a job whose last minute was all waiting is measured over these.
LONG_WINDOW = 600.0
#: Sites named where many could be.
MAX_SITES = 10
#: Lists named that are not taken yet.
MAX_NEW = 20
#: How many times as long as the ledger needs for its figures nobody makes it count again.
REST = 9.0

#: The part of every path of the API before what is asked for.
ROOT = "/v1"


class Meter:
    """Counts settled recipients by job, by the second, and in `total`. `now` is in seconds of any
    one clock."""

    def __init__(self, now: float) -> None:
        self.total = 0
        self._began = now
        self._first: dict[int, float] = {}
        self._seconds: deque[tuple[int, Counter[int]]] = deque()

    def add(self, job: int, number: int, now: float) -> None:
        """So many of a job were settled."""
        second = int(now)
        self.total += number
        self._first.setdefault(job, now)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Counter()))
            while self._seconds[0][0] < now - LONG_WINDOW:
                self._seconds.popleft()
        self._seconds[-1][1][job] += number

    def rate(self, now: float, job: int | None = None, window: float = RATE_WINDOW) -> float:
        """Recipients a second, over the last `window` seconds or since it began: the daemon, or
        the first of the job to be settled."""
        first = now - window
        began = self._began if job is None else self._first.get(job, now)
        counted = sum(
            jobs.total() if job is None else jobs[job]
            for second, jobs in self._seconds
            if second >= first
        )
        return float(counted / max(1.0, min(window, now - began)))


#: Recipients that are handed out at a time during an alarm: the prober draws by lot who tries
#: whether it has passed, and were they few, those who come first would be drawn time and again.
ALARMED = 100


class MeteredWork:
    """A `Work` that counts what is settled in another, and hands out nothing while `is_held`
    and a few at a time while `is_alarmed`."""

    def __init__(
        self,
        work: Work,
        meter: Meter,
        clock: IReactorTime,
        is_held: Callable[[], bool] = lambda: False,
        is_alarmed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._work = work
        self._meter = meter
        self._clock = clock
        self._is_held = is_held
        self._is_alarmed = is_alarmed

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        """See `Work`."""
        if self._is_held():
            return succeed(())
        return self._work.take(min(limit, ALARMED) if self._is_alarmed() else limit)

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        """See `Work`."""

        def count(result: None) -> None:
            now = self._clock.seconds()
            for job, number in Counter(task.token[0] for task, _ in settled).items():
                self._meter.add(job, number, now)

        return self._work.report(settled).addCallback(count)

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        """See `Work`."""
        return self._work.retry_at(waiting)

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        """See `Work`."""
        return self._work.give_back(tasks, delay)


@frozen(kw_only=True)
class Load:
    """What the daemon is busy with: sessions that are `open`, of `most`; those that wait for
    their turn, by site; recipients `in_hand`; and whether it is `paused`, or has `no_source` that
    is not; `alarm` is what is wrong with this machine, `lack` what its disk has no room for.
    `pauses` says in words what else is paused."""

    open: int
    most: int
    waiting: Mapping[str, int] = Factory(dict)
    in_hand: int = 0
    paused: bool = False
    no_source: bool = False
    pauses: str = ""
    alarm: str = ""
    lack: str = ""


def limit_of(load: Load, jobs: Sequence[Progress], now: float) -> dict[str, str]:
    """What keeps the daemon from being faster or from being done: `by` in a word, `words` in
    more of them."""
    asking = [one for one in jobs if one.job.state is State.OPEN and one.job.cancelled_at is None]
    left = [one for one in asking if one.pending + one.out + one.waiting]
    going = [one for one in left if one.job.paused_at is None]
    due = [one.earliest for one in going if one.earliest is not None]
    if load.paused:
        by, words = "paused", "paused"
    elif load.alarm:
        by, words = "alarm", load.alarm
    elif load.lack:
        by, words = "disk", load.lack
    elif load.no_source:
        by, words = "paused", "every source is paused"
    elif load.open >= load.most:
        by, words = "sessions", f"sessions: {load.open} of {load.most}"
    elif load.waiting:
        by, words = "sites", f"the budget of sites: {_sites(load.waiting)}"
    elif load.open:
        by, words = "exchangers", f"the answers of exchangers; {_sessions(load.open)} open"
    elif load.in_hand:
        by, words = "dns", "the answers of the DNS"
    elif left and not going:
        by, words = "paused", "every job that is left is paused"
    elif any(one.pending for one in going):
        by, words = "nothing", "nothing; more recipients are about to be taken"
        if load.pauses:
            by, words = "paused", load.pauses
    elif due:
        by, words = "retries", f"waiting for retries until {iso_time(min(due))}"
    elif any(one.job.state in (State.CLAIMED, State.IMPORTING) for one in jobs):
        by, words = "reading", "a list is being read"
    elif jobs and len(left) < len(jobs):
        by, words = "writing", "results are being written"
    else:
        by, words = "nothing", "nothing to do"
    return {"by": by, "words": words}


def _sites(waiting: Mapping[str, int]) -> str:
    most = sorted(waiting.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{site} ({_sessions(number)} waiting)" for site, number in most[:3]]
    more = [f"{len(most) - 3} more"] if len(most) > 3 else []
    return ", ".join([*shown, *more])


def _sessions(number: int) -> str:
    return f"{number} session" if number == 1 else f"{number} sessions"


def seconds_left(
    progress: Progress, rate: float, last_due: float | None, now: float
) -> float | None:
    """How long a job will probably take, at this rate; None when nobody can tell.

    Those that wait are taken for answered when the last of them is due. Nothing takes longer
    than the deadline.
    """
    job = progress.job
    if job.state is not State.OPEN:
        return None
    to_ask = progress.pending + progress.out
    if job.cancelled_at is not None or not (to_ask or progress.waiting):
        return 0.0
    if job.paused_at is not None or (to_ask and not rate):
        return None
    needed = to_ask / rate if to_ask else 0.0
    if progress.waiting and last_due is not None:
        needed = max(needed, last_due - now)
    return max(0.0, min(needed, job.deadline - now))


class Figures:
    """The figures of a daemon that has these parts, as plain data for JSON."""

    def __init__(
        self,
        *,
        spool: Spool,
        started_at: float,
        ledger: Ledger,
        run: Run,
        clock: IReactorTime,
        engine: Engine,
        prober: Prober,
        meter: Meter,
        switchboard: Switchboard,
    ) -> None:
        self._spool = spool
        self._started_at = started_at
        self._ledger = ledger
        self._run = run
        self._clock = clock
        self._engine = engine
        self._prober = prober
        self._meter = meter
        self._switchboard = switchboard
        self._counted: list[tuple[Progress, float | None]] = []
        self._alarms: list[str] = []
        self._fresh_until = 0.0
        self._waiting: list[Deferred[None]] | None = None

    # -- what the ledger has to count

    def forget(self) -> None:
        """Something was changed: count anew."""
        self._fresh_until = 0.0

    async def _progress(self) -> list[tuple[Progress, float | None]]:
        """How far each job is that is not over, and when its last retry is due.

        Counting those that wait takes the ledger its time when they are millions: whoever asks
        meanwhile, or soon after, is told the same.
        """
        if self._waiting is not None:
            counted: Deferred[None] = Deferred()
            self._waiting.append(counted)
            await counted
        elif self._clock.seconds() >= self._fresh_until:
            self._waiting = []
            began = self._clock.seconds()
            try:
                self._counted = await self._run(self._count, began)
            finally:
                now = self._clock.seconds()
                self._fresh_until = now + REST * (now - began)
                others, self._waiting = self._waiting, None
                for other in others:
                    other.callback(None)
        return self._counted

    def _count(self, now: float) -> list[tuple[Progress, float | None]]:
        lack = self._spool.room.lack
        self._alarms = [*alarms(self._ledger.path), *([lack] if lack else [])]
        counted = self._ledger.progress(now)
        return [(one, self._ledger.last_due(one.job.id)) for one in counted]

    # -- for the API

    async def status(self) -> dict[str, Any]:
        """The daemon and all its jobs that are not over."""
        # The load first: what is not in hand any more is among what is counted.
        load = self._load()
        counted = await self._progress()
        new = await self._run(self._spool.new)
        now = self._clock.seconds()
        switchboard = self._switchboard
        paused = switchboard.paused
        return {
            "version": __version__,
            "pid": os.getpid(),
            "spool": printable(os.fsencode(self._spool.path)),
            "started_at": iso_time(self._started_at),
            "now": iso_time(now),
            "paused": switchboard.is_paused,
            "alarms": [
                *self._alarms,
                *self._prober.lost_families,
                *(
                    f"{address} cannot be sent from; look at the addresses of this machine"
                    for address in self._prober.unplumbed
                ),
            ],
            "limit": limit_of(load, [one for one, _ in counted], now),
            "sessions": {"open": load.open, "most": load.most},
            "in_hand": load.in_hand,
            "rate": round(self._meter.rate(now), 3),
            "sources": self._sources(now),
            "sites": {
                "paused": [
                    {"site": one.name, "since": iso_time(one.since)}
                    for one in paused
                    if one.kind is Kind.SITE
                ],
                "waiting": [
                    {"site": site, "sessions": number}
                    for site, number in Counter(load.waiting).most_common(MAX_SITES)
                ],
            },
            "jobs": [self._job(one, last, now) for one, last in counted],
            "new": [printable(name) for name in new[:MAX_NEW]],
        }

    async def job(self, job: Job) -> dict[str, Any]:
        """One job, be it over or not."""
        now = self._clock.seconds()
        for one, last in await self._progress():
            if one.job.id == job.id:
                return self._job(one, last, now)
        one = await self._run(self._ledger.progress_of, job, now)
        return self._job(one, None, now)

    def _load(self) -> Load:
        sites = self._prober.sites
        switchboard = self._switchboard
        names = [
            called(one.kind, one.name) for one in switchboard.paused if one.kind is not Kind.DAEMON
        ]
        return Load(
            open=sites.active,
            most=sites.limits.sessions,
            waiting=sites.waiting,
            in_hand=self._engine.in_hand,
            paused=switchboard.is_paused,
            no_source=self._prober.is_held and not switchboard.is_paused,
            alarm=self._prober.alarm or "",
            pauses=f"what is paused: {', '.join(names)}" if names else "",
            lack=self._spool.room.lack,
        )

    def _sources(self, now: float) -> list[dict[str, Any]]:
        paused = {one.name for one in self._switchboard.paused if one.kind is Kind.SOURCE}
        sources = self._prober.sources
        benched, unplumbed = sources.benched(now), self._prober.unplumbed
        return [
            {
                "address": source.address,
                "helo": source.helo,
                "paused": source.address in paused,
                "refused_by": [
                    {"site": site, "until": iso_time(until)}
                    for address, site, until in benched
                    if address == key_of(source)
                ],
                "unplumbed": source.address in unplumbed,
            }
            for source in sorted(sources.all, key=lambda source: source.ip.packed)
        ]

    def _job(self, progress: Progress, last_due: float | None, now: float) -> dict[str, Any]:
        job = progress.job
        rate = self._meter.rate(now, job.id)
        lasting = rate or self._meter.rate(now, job.id, LONG_WINDOW)
        eta = seconds_left(progress, lasting, last_due, now)
        if self._switchboard.is_paused and eta:
            eta = None
        verdicts: Counter[Verdict] = Counter()
        for reason, number in progress.settled.items():
            verdicts[reason.verdict] += number
        is_open = job.state is State.OPEN
        return {
            "name": job.title,
            "path": path_of(job),
            "state": job.state.value,
            "paused": job.paused_at is not None,
            "cancelled": job.cancelled_at is not None,
            "received_at": iso_time(job.received_at),
            "deadline": iso_time(job.deadline),
            "finished_at": None if job.finished_at is None else iso_time(job.finished_at),
            "lines": job.lines,
            "invalid": job.invalid,
            "recipients": job.recipients,
            "settled": job.settled,
            "pending": progress.pending if is_open else 0,
            "asking": progress.out if is_open else 0,
            "waiting": progress.waiting if is_open else 0,
            "next_attempt_at": None if progress.earliest is None else iso_time(progress.earliest),
            "verdicts": {verdict.value: verdicts[verdict] for verdict in Verdict},
            "reasons": {
                reason.value: progress.settled[reason]
                for reason in Reason
                if progress.settled.get(reason)
            },
            "rate": round(rate, 3),
            "eta": None if eta is None else round(eta, 1),
        }


def path_of(job: Job) -> str:
    """Where a job is in the API."""
    name = job.name if job.done_name is None else job.done_name
    return f"{ROOT}/jobs/{quote(name, safe='')}"


if TYPE_CHECKING:

    def _is_work(work: MeteredWork) -> Work:
        return work
