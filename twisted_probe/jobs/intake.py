"""The keeper of the jobs: takes each from the spool into the ledger, and its results back out.

Knows the order of the steps, and that each may be the last before the power fails; not how a
step is done (`jobs.spool`, `jobs.ledger`, `jobs.results`) nor how a recipient is asked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from twisted_probe.jobs.database import is_damage
from twisted_probe.jobs.deadline import JOB_DEADLINE
from twisted_probe.jobs.formats import JobReader, UnreadableJob, format_of
from twisted_probe.jobs.formats.stream import digest_of
from twisted_probe.jobs.hands import Hands
from twisted_probe.jobs.job_file import (
    MAX_JOB_FILE,
    SAYS_NOTHING,
    JobFile,
    read_job_file,
)
from twisted_probe.jobs.ledger import ALIVE, Job, Ledger, State
from twisted_probe.jobs.names import OPTIONS, printable
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.jobs.results import ChangedJob, DamagedJob, write_results
from twisted_probe.jobs.spool import MissingJob, Spool, StrangeFile
from twisted_probe.jobs.writer import Run
from twisted_probe.vocabulary.source import Source

#: Jobs that are read at once, and whose results are written at once. Each has its turn after the
#: others' (some 20 ms), so that a short list need not wait for the end of a long one.
AT_ONCE = 8

#: Seconds until what has no room on the disk looks for it again.
WAIT = 1.0

_THROUGH = object()


class JobKeeper:
    """Moves all jobs of `spool` and `ledger` on, a `tick` at a time.

    Both are used through `run` only (see `ledger_work.Run`), which does one thing after the other:
    files are read and written in the ledger's thread, in pieces that let the outcomes of other
    jobs, and their own reading and writing, pass between them. Nothing is remembered here that a
    restart would miss: every tick looks at what is there.

    `deadline`, in seconds, and `options` are those of jobs that say nothing else themselves,
    `sources` are those that a job may choose from. All three may be set anew at any time.
    """

    log = Logger()

    def __init__(
        self,
        spool: Spool,
        ledger: Ledger,
        run: Run,
        clock: IReactorTime,
        deadline: float = JOB_DEADLINE,
        options: JobOptions = DEFAULTS,
        sources: Sequence[Source] = (),
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._run = run
        self._clock = clock
        self.deadline = deadline
        self.options = options
        self.sources = sources
        self._complained: dict[object, str] = {}
        self._begun_again: set[int] = set()
        self._started = False
        self._stopping = False
        self._ticking: Deferred[None] | None = None
        self._read = Hands(AT_ONCE)
        self._written = Hands(AT_ONCE)

    # -- for the daemon

    async def recognise(self) -> None:
        """Let go of the jobs whose list is not in active/ any more; to be called before anybody is
        asked. The ledger may be older than the spool (a backup that was restored): lists that it
        thinks open are done, and other lists may have their names. Never raises."""
        for job in await self._run(self._ledger.jobs, *ALIVE):
            await self._safely(job.id, self._recognise, job)

    async def tick(self) -> None:
        """Take every job on; to be called every few seconds. What takes long, reading a list and
        writing its results, goes on when the tick has ended. While the disk has no room for it
        none of it is begun, and what was begun waits.

        Never raises: a step that fails is logged, once for each cause, and tried again at the
        next tick, and the other jobs go on. A tick during a tick does nothing.
        """
        if self._ticking is not None or self._stopping:
            return
        self._ticking = Deferred()
        try:
            if not self._started:
                self._started = await self._safely("the clock", self._mend_clock)
            has_room = await self._run(self._spool.room.look, self._clock.seconds())
            if has_room:
                await self._safely("new/", self._claim)
                await self._safely("active/", self._register_all)
                await self._safely("the import", self._import_all)
            await self._safely("the deadlines", self._expire)
            if has_room:
                await self._safely("the results", self._conclude_all)
        finally:
            ticking, self._ticking = self._ticking, None
            ticking.callback(None)

    async def stop(self) -> None:
        """Begin nothing more; returns when the running tick has ended, and whatever goes on of it,
        which is soon. What was left is taken up at the next start."""
        self._stopping = True
        if self._ticking is not None:
            await self._ticking
        await self._read.done()
        await self._written.done()

    def options_of(self, job: Job) -> JobOptions:
        """What holds for a job: what it says itself, else what all jobs have."""
        return job.says.options(self.options)

    # -- the steps

    async def _recognise(self, job: Job) -> None:
        try:
            await self._through(self._comparing(job))
        except MissingJob:
            # Of one that is finished it was moved, perhaps, and only that was not noted.
            if job.state is not State.FINISHED:
                await self._lost(job)
        except StrangeFile as error:
            if job.state is not State.FINISHED:
                await self._fail(job, str(error))
        except ChangedJob:
            self.log.warn("{job} is another list than the ledger knew, and is read", job=job.title)
            if job.state is State.FINISHED:
                await self._run(self._ledger.mark_done, job.id)
            else:
                await self._drop(job)

    def _comparing(self, job: Job) -> Generator[None, None, None]:
        with self._spool.open_active(job.name) as stream:
            if job.digest is None:
                return  # it was not read to its end, or will not be
            digest = yield from digest_of(stream)
        if digest != job.digest:
            raise ChangedJob(job.title)

    async def _mend_clock(self) -> None:
        await self._run(self._ledger.mend_clock, self._clock.seconds())

    async def _claim(self) -> None:
        await self._run(self._spool.scan, self._clock.seconds())

    async def _register_all(self) -> None:
        """Note every file in active/ that the ledger does not know: new, or claimed by a process
        that ended then."""
        known = {job.name for job in await self._run(self._ledger.jobs, *ALIVE)}
        for name in await self._run(self._spool.active):
            if name not in known and not self._stopping:
                await self._safely(name, self._register, name)

    async def _register(self, name: bytes) -> None:
        try:
            kind = format_of(name)
            says = await self._read_options(name)
        except (UnreadableJob, StrangeFile) as error:
            await self._run(self._spool.fail, name, str(error))
            return
        now = self._clock.seconds()
        if await self._run(self._spool.is_answered, name, kind.results):
            await self._run(self._ledger.add_answered, name, kind, now)
            self.log.warn(
                "{job} has its results; the ledger that knew it is lost", job=printable(name)
            )
            return
        deadline = now + (self.deadline if says.deadline is None else says.deadline)
        await self._run(self._ledger.add_job, name, kind, now, deadline, says)
        self.log.info("{job} is taken", job=printable(name))

    async def _read_options(self, name: bytes) -> JobFile:
        data = await self._run(self._spool.options, name, MAX_JOB_FILE + 1)
        if data is None:
            return SAYS_NOTHING
        return read_job_file(data, printable(name + OPTIONS), self.sources)

    async def _import_all(self) -> None:
        jobs = await self._run(self._ledger.jobs, State.CLAIMED, State.IMPORTING)
        if not self._stopping:
            self._read.take(jobs, lambda job: self._safely(job.id, self._import, job))

    async def _import(self, job: Job) -> None:
        try:
            if not await self._through(self._importing(job)):
                return
        except (UnreadableJob, StrangeFile) as error:
            await self._fail(job, str(error))
        except MissingJob:
            await self._lost(job)
        else:
            read = await self._run(self._ledger.job, job.id)
            if read.digest is None:
                return
            self.log.info(
                "{job} is read: {lines} lines, {recipients} recipients",
                job=read.title,
                lines=read.lines,
                recipients=read.recipients,
                invalid=read.invalid,
            )

    def _importing(self, job: Job) -> Generator[None, None, None]:
        yield from self._clearing(job)
        with self._spool.open_active(job.name) as stream:
            self._ledger.begin_import(job.id)
            reader = JobReader(stream, job.name, job.format)
            rows = reader.turns()
            is_called_off = False
            while self._ledger.import_rows(job.id, rows, self._clock.seconds()):
                yield
                if self._ledger.job(job.id).cancelled_at is not None:
                    rows, is_called_off = iter(()), True  # nobody waits for the rest of it
            self._ledger.open_job(job.id, None if is_called_off else reader.digest)

    def _clearing(self, job: Job) -> Generator[None, None, None]:
        """Drop what was read of a job, in pieces."""
        while self._ledger.clear(job.id):
            yield

    async def _expire(self) -> None:
        while not self._stopping and await self._run(self._ledger.expire, self._clock.seconds()):
            pass

    async def _conclude_all(self) -> None:
        jobs = [
            job for job in await self._run(self._ledger.finished_jobs) if job.id not in self._read
        ]
        if not self._stopping:
            self._written.take(jobs, lambda job: self._safely(job.id, self._conclude, job))

    async def _conclude(self, job: Job) -> None:
        if job.finished_at is None:
            job = await self._run(self._named, job)
        if job.finished_at is None or job.done_name is None:
            raise RuntimeError(f"the job {job.title} is not open")
        if job.state is State.OPEN:
            try:
                steps = write_results(self._spool, self._ledger, job, self.options_of(job))
                if not await self._through(steps):
                    return
            except (ChangedJob, StrangeFile) as error:
                await self._fail(job, str(error))
                return
            except DamagedJob as error:
                await self._begin_again(job, str(error))
                return
            except MissingJob:
                await self._lost(job)
                return
            await self._run(self._ledger.mark_finished, job.id)
        try:
            await self._run(self._spool.finish, job.name, job.done_name)
        except MissingJob:
            self.log.warn("{job}: its file is gone, its results are written", job=job.title)
        await self._run(self._ledger.mark_done, job.id)
        self.log.info(
            "{job} is done: {lines} lines",
            job=job.title,
            lines=job.lines,
            recipients=job.recipients,
            **await self._run(self._ledger.verdicts, job.id),
            seconds=round(self._clock.seconds() - job.received_at, 1),
        )

    def _named(self, job: Job) -> Job:
        promised = {one.done_name for one in self._ledger.jobs(*ALIVE) if one.done_name is not None}
        name = self._spool.name_in_done(job.name, promised)
        return self._ledger.begin_results(job.id, name, self._clock.seconds())

    async def _begin_again(self, job: Job, why: str) -> None:
        """Have a job read and asked anew, once: whoever is asked should not pay for a machine that
        loses what it is given."""
        if job.id in self._begun_again:
            await self._fail(
                job,
                f"{job.title}: what the ledger had of it was damaged twice: {why}; see to the"
                " machine, and drop it again",
            )
            return
        self._begun_again.add(job.id)
        self.log.error(
            "{job}: what the ledger has of it is damaged: {why}; it is read and asked again",
            job=job.title,
            why=why,
        )
        await self._run(self._ledger.begin_again, job.id, self._clock.seconds())

    async def _fail(self, job: Job, message: str) -> None:
        await self._run(self._spool.fail, job.name, message)
        await self._drop(job)

    async def _lost(self, job: Job) -> None:
        """End a job whose file is not in active/: put into failed/ by us before a crash, or
        taken away by somebody."""
        if not await self._run(self._spool.is_failed, job.name):
            self.log.error("{job} is given up: its file is gone from active/", job=job.title)
        await self._drop(job)

    async def _drop(self, job: Job) -> None:
        """Let the ledger forget what it read of a job whose file is not in active/ any more; the
        next start goes on with it."""
        if await self._through(self._clearing(job)):
            await self._run(self._ledger.mark_failed, job.id)

    # -- inside

    async def _through(self, steps: Generator[None, None, None]) -> bool:
        """Run `steps` in the ledger's thread; whether they came to their end before a stop."""
        try:
            while await self._run(next, steps, _THROUGH) is not _THROUGH:
                while self._spool.room.lack and not self._stopping:
                    await deferLater(self._clock, WAIT)
                if self._stopping:
                    return False
        finally:
            await self._run(steps.close)
        return True

    async def _safely(
        self, what: object, step: Callable[..., Awaitable[None]], *arguments: object
    ) -> bool:
        """Whether a step of `what`, a job's number or a name, went without trouble."""
        try:
            await step(*arguments)
        except CancelledError:
            raise
        except Exception as error:
            self._complain(what, error)
            return False
        self._complained.pop(what, None)
        return True

    def _complain(self, what: object, error: Exception) -> None:
        cause = f"{type(error).__name__}: {error}"
        self._spool.room.failed(error)
        if self._complained.get(what) == cause:
            return
        self._complained[what] = cause
        if is_damage(error):
            self.log.critical(
                "{what}: the ledger is damaged: {cause}; restart the daemon, which begins another",
                what=_shown(what),
                cause=cause,
            )
        elif isinstance(error, OSError | sqlite3.OperationalError):
            self.log.error(
                "{what}: {cause}; tried again until it works", what=_shown(what), cause=cause
            )
        else:
            self.log.failure("{what}: tried again, please report it", what=_shown(what))


def _shown(what: object) -> str:
    if isinstance(what, bytes):
        return printable(what)
    return f"job number {what}" if isinstance(what, int) else str(what)
