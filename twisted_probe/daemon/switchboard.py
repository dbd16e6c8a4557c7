"""The switches of a running daemon: pause and resume, and a job that is called off.

Knows the order: first the ledger has it, then it holds, then whoever asked is told; and what a
name may be. Not how it was asked for (`daemon.control`).
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_probe.jobs.ledger import Job, Ledger
from twisted_probe.jobs.switches import Kind, Pause
from twisted_probe.jobs.writer import Run
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.pauses import Pauses
from twisted_probe.routing.prober import Prober

_log = Logger()

#: Characters of a site's name: twenty exchangers' (`routing.exchangers.MAX_RECORDS`) at the
#: longest that the DNS allows.
MAX_SITE = 20 * 256


class NoSuchName(Exception):
    """There is nothing of this name to be switched. The message says what there is."""


def called(kind: Kind, name: str) -> str:
    """What can be paused, in words."""
    return "the daemon" if kind is Kind.DAEMON else f"the {kind.value} {name}"


class Switchboard:
    """Switches `engine`, `prober` and `pauses` (the prober's own), and keeps it in `ledger`."""

    def __init__(
        self,
        ledger: Ledger,
        run: Run,
        clock: IReactorTime,
        engine: Engine,
        prober: Prober,
        pauses: Pauses,
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._clock = clock
        self._engine = engine
        self._prober = prober
        self._pauses = pauses
        self._since: dict[tuple[Kind, str], float] = {}

    async def load(self) -> None:
        """Switch as the ledger says; to be called before the engine starts."""
        found: list[Pause] = await self._run(self._ledger.pauses)
        for pause in found:
            self._since[pause.kind, pause.name] = pause.since
        self._apply()
        if found:
            words = ", ".join(called(one.kind, one.name) for one in found)
            _log.warn("paused since before: {words}", words=words)

    @property
    def paused(self) -> list[Pause]:
        """What is paused beside jobs, the oldest pause first."""
        return sorted(
            (Pause(kind, name, since) for (kind, name), since in self._since.items()),
            key=lambda pause: (pause.since, pause.name),
        )

    @property
    def is_paused(self) -> bool:
        """Whether the whole daemon is."""
        return self._pauses.everything

    def name_of(self, kind: Kind, text: str) -> str:
        """The name under which a site or source is switched. Raises NoSuchName."""
        if kind is Kind.SOURCE:
            return self._source(text)
        name = text.strip(" ").rstrip(".").lower()
        if not name or len(name) > MAX_SITE or not (name.isascii() and name.isprintable()):
            raise NoSuchName(
                "a site is named by the host name of its exchanger, as the DNS has it; a name of "
                "other letters by its xn-- form"
            )
        return name

    def _source(self, text: str) -> str:
        try:
            name = str(ip_address(text.strip()))
        except ValueError:
            name = text
        known = self._prober.sources.addresses
        # One that is not a source any more can still be resumed.
        if name not in known and (Kind.SOURCE, name) not in self._since:
            there_are = ", ".join(sorted(known))
            raise NoSuchName(f"no source has the address {text}; there are: {there_are}")
        return name

    async def pause(self, kind: Kind, name: str = "") -> bool:
        """Pause; whether it was not paused before."""
        now = self._clock.seconds()
        is_new: bool = await self._run(self._ledger.pause, kind, name, now)
        self._since.setdefault((kind, name), now)
        self._apply()
        self._prober.recheck()
        _log.info("{what} is paused", what=called(kind, name))
        return is_new

    async def resume(self, kind: Kind, name: str = "") -> bool:
        """End a pause; whether there was one."""
        was_paused: bool = await self._run(self._ledger.resume, kind, name)
        self._since.pop((kind, name), None)
        # In this order: whoever is held from here on, is not held by this.
        self._apply()
        await self._run(self._ledger.end_holds)
        self._engine.wake()
        _log.info("{what} goes on", what=called(kind, name))
        return was_paused

    async def pause_job(self, job: Job) -> bool:
        """Ask nobody of a job; whether it was not paused before. Raises JobIsOver."""
        is_new: bool = await self._run(self._ledger.pause_job, job.id, self._clock.seconds())
        self._recall(job)
        _log.info("the job {job} is paused", job=job.title)
        return is_new

    async def resume_job(self, job: Job) -> bool:
        """Let a job go on; whether it was paused. Raises JobIsOver."""
        was_paused: bool = await self._run(self._ledger.resume_job, job.id)
        self._engine.wake()
        _log.info("the job {job} goes on", job=job.title)
        return was_paused

    async def cancel_job(self, job: Job) -> bool:
        """Call a job off, for good; whether it was not before. Raises JobIsOver."""
        is_new: bool = await self._run(self._ledger.cancel_job, job.id, self._clock.seconds())
        self._recall(job)
        _log.info("the job {job} is cancelled", job=job.title)
        return is_new

    def _recall(self, job: Job) -> None:
        self._engine.recall(lambda task: task.token[0] == job.id)

    def _apply(self) -> None:
        """Let it hold what is noted."""
        pauses = self._pauses
        pauses.everything = (Kind.DAEMON, "") in self._since
        pauses.sites = {name for kind, name in self._since if kind is Kind.SITE}
        pauses.sources = {name for kind, name in self._since if kind is Kind.SOURCE}
        self._engine.wake()
