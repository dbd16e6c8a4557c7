"""The service that twistd runs: the spool, the ledger and the engine, started and drained.

Knows what belongs together and in which order it starts and ends; each part knows its own work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from twisted_probe.daemon.config import Config, ConfigError
from twisted_probe.daemon.control_socket import ControlSocket
from twisted_probe.daemon.controls import controls_of
from twisted_probe.daemon.even_time import EvenTime
from twisted_probe.daemon.figures import Figures, Teller
from twisted_probe.daemon.hangup import Hangup
from twisted_probe.daemon.lock import Lock, SpoolInUse
from twisted_probe.daemon.logs import DaemonLog
from twisted_probe.daemon.notify import Notifier
from twisted_probe.daemon.preparation import access_of
from twisted_probe.daemon.reload import reloaded
from twisted_probe.daemon.status import Meter, MeteredWork
from twisted_probe.daemon.stop_file import StopFile
from twisted_probe.jobs.access import user_name
from twisted_probe.jobs.database import NewerLedger
from twisted_probe.jobs.housekeeping import Purger
from twisted_probe.jobs.intake import JobKeeper
from twisted_probe.jobs.ledger import Ledger, LedgerError, Progress
from twisted_probe.jobs.ledger_memory import LedgerMemory
from twisted_probe.jobs.ledger_work import LedgerWork
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.rescue import whole_ledger
from twisted_probe.jobs.results import program_version
from twisted_probe.jobs.spool import Spool, SpoolError
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.pauses import Pauses
from twisted_probe.routing.prober import Prober
from twisted_probe.smtp.conversation import room_of

_log = Logger()

#: Seconds between two looks at the spool; a file must look the same twice.
SCAN = 0.5
#: Seconds that sessions get to end when the daemon is stopped; systemd kills after 90.
GRACE = 25.0
#: sysexits.h: EX_SOFTWARE. twistd itself has no other end for a broken service than success.
EXIT_BROKEN = 70
#: sysexits.h: EX_TEMPFAIL. Another daemon has the spool; told before twistd forks, unless somebody
#: removed the lock of one that works.
EXIT_IN_USE = 75
#: sysexits.h: EX_CONFIG. A newer version's ledger, which only the database itself could show;
#: what its file shows is told before twistd forks (`daemon.preparation`).
EXIT_NEWER = 78
#: Sessions that wait for their turn at one site, with a hundred recipients each; more would
#: only keep those of other sites out of the engine's window.
MAX_WAITING = 8
#: Seconds between two looks at an idle ledger.
IDLE = 0.5


class ProbeService(Service):
    """A daemon on one spool.

    `lock` is the spool's, taken before twistd forked; it is released when the service has ended.
    `log` becomes the observer of the application that the service is put into; `notifier` is told
    when the service works, reads its configuration again, and ends.
    `stopService` takes no more work, gives the sessions 25 seconds to end, gives back what was
    not answered, and fires when everything is on disk.

    `reread` reads the configuration once more, or raises ConfigError; SIGHUP calls for it while
    the service runs, or did so before, if `hangup` has caught it. Without it SIGHUP is left alone.

    The reactor goes by `time` from the start on; without, by its own clock. `begin` is called when
    all is there, before anybody is asked.
    """

    name = "mailprobe"

    def __init__(
        self,
        reactor: Any,
        config: Config,
        lock: Lock,
        log: DaemonLog | None = None,
        notifier: Notifier | None = None,
        exit_process: Callable[[int], object] = os._exit,
        reread: Callable[[], Config] | None = None,
        time: EvenTime | None = None,
        begin: Callable[[], object] = lambda: None,
        hangup: Hangup | None = None,
    ) -> None:
        self._reactor = reactor
        self._exit = exit_process
        self._config = config
        self._lock = lock
        self._log = log
        self._notifier = Notifier() if notifier is None else notifier
        self._teller = Teller(reactor, self._figures, self._notifier, self._flush_log)
        self._access = access_of(config)
        self._reread = reread
        self._time = time
        self._begin = begin
        self._hangup = Hangup() if hangup is None else hangup
        self._readings = 0
        self._pool = ThreadPool(1, 1, name="ledger")
        self._run: Callable[..., Deferred[Any]] = partial(deferToThreadPool, reactor, self._pool)
        self._scan = LoopingCall(self._tick)
        self._scan.clock = reactor
        self._scanning: Deferred[Any] | None = None
        self._hold = LoopingCall(self._hold_the_spool)
        self._hold.clock = reactor
        self._starting: Deferred[None] | None = None
        self._is_broken = False
        self._spool: Spool | None = None
        self._ledger: Ledger | None = None
        self._prober: Prober | None = None
        self._pauses = Pauses()
        self._stop_file = StopFile()
        self._keeper: JobKeeper | None = None
        self._purger: Purger | None = None
        self._engine: Engine | None = None
        self._control: ControlSocket | None = None
        self._meter: Meter | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Belong to an application, which logs with our log then."""
        self._hangup.leave_the_log()
        if self._log is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log)
            self._log.reopen_on_signal(self._reactor)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def startService(self) -> None:
        """Start; what can go wrong from here on is logged, and ends the process."""
        super().startService()  # type: ignore[no-untyped-call]
        self._lock.sign()
        if self._time is not None:
            self._time.govern(self._reactor)
        if self._reread is not None:
            self._hangup.catch()
            self._hangup.tell(partial(self._reactor.callFromThread, self.reload))
        self._pool.start()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._broken)

    async def _start(self) -> None:
        config = self._config
        pauses = self._pauses
        self._spool = spool = await self._run(Spool, str(config.spool), access=self._access)
        self._hold.start(SCAN).addErrback(self._broken)
        # On a full disk the ledger cannot be opened, and SQLite's words for that are none.
        await self._run(spool.room.look, self._reactor.seconds())
        self._ledger = await self._run(
            whole_ledger, spool.ledger_path, self._reactor.seconds(), spool.traces
        )
        if self._time is not None:
            await self._keep_time(self._ledger, self._time)
        write = self._ledger.writer(self._run, self._reactor)
        memory = LedgerMemory(self._ledger, write, self._reactor)
        self._prober = prober = Prober(
            self._reactor,
            **config.probing,
            pauses=pauses,
            memory=memory,
            max_waiting=MAX_WAITING,
        )
        await prober.recall_benches()
        self._keeper = JobKeeper(self._spool, self._ledger, self._run, self._reactor)
        self._purger = Purger(self._ledger, self._run, self._reactor)
        self._meter = Meter(self._reactor.seconds())
        work = MeteredWork(
            LedgerWork(self._ledger, write, self._reactor, self._spool.room, prober.rule_hits),
            self._meter,
            self._reactor,
            lambda: prober.is_held,
            lambda: prober.alarm is not None,
        )
        self._engine = Engine(self._reactor, self._prober, work, idle=IDLE)
        self._apply(config)
        self._control = await controls_of(
            self._reactor,
            spool=self._spool,
            ledger=self._ledger,
            options_of=self._keeper.options_of,
            run=self._run,
            engine=self._engine,
            prober=self._prober,
            pauses=pauses,
            meter=self._meter,
        )
        await self._keeper.recognise()
        self._control.start()
        self._begin()
        self._engine.start()
        self._purger.start()
        self._scanning = self._scan.start(SCAN)
        self._scanning.addErrback(self._broken)
        _log.info(
            "mailprobe works on {spool}, from {sources}",
            spool=self._spool.path,
            sources=", ".join(f"{each.address} ({each.helo})" for each in config.sources),
            version=program_version(),
            user=user_name(os.geteuid()),
            pid=os.getpid(),
        )
        if os.geteuid() == 0:
            _log.warn("mailprobe runs as root, of which it needs nothing; see twistd --uid")
        self._teller.start()
        if self.running:
            self._notifier.ready(f"works on {self._spool.path}")

    async def _keep_time(self, ledger: Ledger, time: EvenTime) -> None:
        moved = await self._run(ledger.keep_time, time.boot, time.zero)
        if moved:
            _log.warn(
                "the machine's clock was set by {moved:.0f} s since the daemon ran last; whoever "
                "waits, waits as long as before",
                moved=moved,
            )

    def _apply(self, config: Config) -> None:
        """What the jobs and the engine are told; the prober is told by itself."""
        assert self._keeper is not None
        assert self._engine is not None
        assert self._ledger is not None
        assert self._purger is not None
        self._stop_file.path = None if config.stop_file is None else Path(config.stop_file)
        self._look_for_the_stop_file()
        self._ledger.caching = evolve(
            config.caching, control=config.control, opt_out=config.opt_out
        )
        self._purger.keep = config.keep
        self._keeper.deadline = config.deadline
        self._keeper.options = JobOptions(
            defuse_formulas=config.defuse_formulas, flags=config.flags
        )
        self._keeper.sources = config.sources
        self._engine.batch = room_of(config.limits.recipients_per_session)

    # -- SIGHUP

    def reload(self) -> Deferred[None]:
        """Read the configuration again, and go on with what it says; sessions go on as they
        began. One that is not good is refused, with an error in the log, and nothing changes.

        Fires when that is done; never errbacks.
        """
        return Deferred.fromCoroutine(self._reload()).addErrback(
            lambda failure: _log.failure("the configuration could not be read again", failure)
        )

    async def _reload(self) -> None:
        if self._starting is not None:
            await self._starting
        if not self.running or self._reread is None or self._engine is None:
            return
        self._notifier.reloading("reads the configuration again")
        try:
            await self._take_over(self._reread)
        finally:
            self._notifier.ready(f"works on {self._config.spool}")

    async def _take_over(self, reread: Callable[[], Config]) -> None:
        self._readings += 1
        # Each is worth a line in the log, however soon it comes after the one before.
        what = f"reading {self._readings}"
        try:
            # In the thread: rules take longer to read than the reactor may wait.
            wanted = await self._run(reread)
            if not self.running:
                return
            new = reloaded(self._config, wanted)
            assert self._prober is not None
            self._prober.reconfigure(**new.config.probing)
        except (ConfigError, ValueError) as error:
            _log.error(
                "{what}: the configuration stays as it was: {why}",
                what=what,
                why=str(error).replace("\n", "; "),
            )
            return
        self._config = new.config
        self._apply(new.config)
        for change in new.later:
            _log.warn("{what}: that takes effect at the next start", what=str(change))
        changes = "; ".join(map(str, new.changes)) or "nothing has changed"
        _log.info("{what}: the configuration was read again: {changes}", what=what, changes=changes)

    def _broken(self, failure: Failure) -> None:
        if isinstance(failure.value, LedgerError | SpoolError):
            _log.critical("mailprobe cannot go on: {why}", why=failure.getErrorMessage())
        else:
            _log.failure("mailprobe cannot go on", failure=failure)
        self._notifier.status(f"cannot go on: {failure.getErrorMessage()}")
        if self.running and not self._is_broken:
            self._is_broken = True
            code = EXIT_NEWER if failure.check(NewerLedger) else EXIT_BROKEN
            self._reactor.addSystemEventTrigger("after", "shutdown", self._exit, code)
            self._reactor.callLater(0, self._reactor.stop)

    def _hold_the_spool(self) -> None:
        """See that it is what it was, and nobody else's; to the end of the last session."""
        assert self._spool is not None
        self._spool.check_in_place()
        try:
            if self._lock.renew():
                _log.warn("{path}: its lock was taken away; it has another", path=self._spool.path)
        except SpoolInUse as error:
            # What is in hand is the other's by now: nothing more of it may be asked or written.
            _log.critical("mailprobe ends at once: its lock was taken away; {why}", why=str(error))
            self._notifier.status(f"ends at once: {error}")
            self._flush_log(everything=True)
            self._exit(EXIT_IN_USE)
        except OSError as error:
            why = f"the spool {self._spool.path}: it cannot be locked: {error.strerror}"
            raise SpoolError(why) from error

    def _tick(self) -> Deferred[None]:
        assert self._keeper is not None
        self._look_for_the_stop_file()
        if self._time is not None:
            self._time.look()
        return Deferred.fromCoroutine(self._keeper.tick())

    def _look_for_the_stop_file(self) -> None:
        if not self._stop_file.has_changed():
            return
        assert self._engine is not None
        self._pauses.is_stopped = self._stop_file.is_there
        if self._stop_file.is_there:
            _log.warn("{path} is there: everything is halted", path=str(self._stop_file.path))
            self._engine.cut()
        else:
            _log.warn("the stop file is gone: probing goes on")
            self._engine.wake()

    def stopService(self) -> Deferred[None]:
        """Drain and end."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(super().stopService)
        begun, in_hand = self._reactor.seconds(), self._in_hand
        _log.info(
            "mailprobe is stopping; sessions get {grace:.0f} s to end", grace=GRACE, in_hand=in_hand
        )
        self._notifier.stopping(f"stopping; {in_hand} recipients in hand")
        try:
            await self._drain()
        finally:
            self._pool.stop()
            if self._hold.running:
                self._hold.stop()
            self._lock.release()
            self._hangup.release()
        _log.info(
            "mailprobe has stopped",
            seconds=round(self._reactor.seconds() - begun, 1),
            settled=self._settled,
        )
        self._flush_log(everything=True)

    async def _drain(self) -> None:
        if self._starting is not None:
            await self._starting
        if self._control is not None:
            await self._control.stop()
        if self._scan.running:
            self._scan.stop()
        await self._teller.stop()
        if self._engine is not None:
            await self._engine.stop(GRACE)
        if self._prober is not None:
            await self._prober.close()
        if self._keeper is not None:
            await self._keeper.stop()
        if self._purger is not None:
            await self._purger.stop()
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            await self._run(ledger.close)
        if self._spool is not None:
            self._spool.close()

    def progress(self) -> Deferred[list[Progress]]:
        """How far each job is; nothing while the service is not up."""
        if self._ledger is None:
            return succeed([])
        return self._run(self._ledger.progress, self._reactor.seconds())

    @property
    def _in_hand(self) -> int:
        return 0 if self._engine is None else self._engine.in_hand

    @property
    def _settled(self) -> int:
        return 0 if self._meter is None else self._meter.total

    async def _figures(self) -> Figures:
        return Figures.of(await self.progress(), self._settled, self._in_hand)

    def _flush_log(self, everything: bool = False) -> None:
        if self._log is not None:
            self._log.flush(everything)
