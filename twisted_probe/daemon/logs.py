"""The daemon's log: an observer of Twisted's logging, in the place of twistd's own.

Knows which events are written, how often, and what must not stand in them; not how a line is made
(`daemon.loglines`) nor where it goes (`daemon.logfile`).
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from twisted_probe.daemon.flood import Example, Gate, HeldBack
from twisted_probe.daemon.logfile import LogFile, Sink, Stream, Syslog
from twisted_probe.daemon.loglines import Record, as_json, as_text, is_noise, kind_of, record_of
from twisted_probe.daemon.masking import masked
from twisted_probe.vocabulary.escaping import cut

#: Characters of what "more like this" are like.
MAX_EXAMPLE = 300
#: twistd's own, in the directory where it was started.
DEFAULT_FILE = "twistd.log"


@implementer(ILogObserver)
class DaemonLog:
    """Writes events to `sink`: as text, or as JSON with `log_format` "json".

    The first event of a kind is written, the others of the next minute are counted (`flood`).
    Twisted's own comings and goings are left out. E-mail addresses are masked unless
    `log_addresses`. May be called from any thread; never raises: what cannot be written, on a
    full disk for one, is counted too, and told when it can be.
    """

    def __init__(
        self,
        sink: Sink,
        log_format: str = "text",
        log_addresses: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sink = sink
        self._is_json = log_format == "json"
        self._mask: Callable[[str], str] = str if log_addresses else masked
        self._gate = Gate(clock)
        self._lock = threading.RLock()
        self._lost = 0
        self._trouble: str | None = None

    def __call__(self, event: LogEvent) -> None:
        """Write an event, or count it."""
        if is_noise(event):
            return
        with self._lock:
            self.flush()
            record: Record | None = None

            def made() -> Record:
                nonlocal record
                if record is None:
                    record = record_of(event, self._mask)
                return record

            if self._gate.passes(kind_of(event), lambda: _example(made())) and made().message:
                self._write(made())

    def flush(self, everything: bool = False) -> None:
        """Tell what was held back and whose minute is over; in the end, all that was."""
        with self._lock:
            for held_back in self._gate.over(everything):
                self._write(_more(held_back))

    def reopen(self) -> None:
        """Go on in a new file, where it is one."""
        if isinstance(self.sink, LogFile):
            with self._lock:
                self.sink.reopen()

    def reopen_on_signal(self, reactor: Any) -> None:
        """Let SIGUSR1 do so, which twistd rotates its own log on. Handlers that are there stay."""
        if isinstance(self.sink, LogFile) and not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(self.reopen))

    def _write(self, record: Record) -> None:
        try:
            if self._lost:
                words = "{lost} events before this one could not be written"
                self._put(_said("error", words, lost=self._lost))
                self._lost = 0
            self._put(record)
            trouble, self._trouble = self._trouble, getattr(self.sink, "trouble", None)
            if self._trouble not in (None, trouble):
                self._put(_said("warn", "the log cannot be rotated: {why}", why=self._trouble))
        except (OSError, ValueError):
            # A stream that was closed is a ValueError.
            self._lost += 1

    def _put(self, record: Record) -> None:
        if self._is_json:
            lines = as_json(record)
        else:
            lines = as_text(record, dated=not self.sink.keeps_time)
        self.sink.write(record.level, lines)


def open_log(
    twistd: Mapping[str, Any] | None,
    *,
    log_format: str,
    log_addresses: bool,
    logfile: str | None = None,
    user: int | None = None,
    group: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> DaemonLog | None:
    """The log that twistd's options ask for; None where it is not ours to write.

    `twistd` are those options: `--logfile`, `--syslog` with `--prefix`, and `--logger`, which
    brings an observer of its own. A .tac is not told them, and says `logfile` instead ("-" is
    standard output). The file is made for `user` and `group`. Raises OSError when it cannot be.
    """
    sink = _sink(twistd, logfile, user, group, environment or {})
    return None if sink is None else DaemonLog(sink, log_format, log_addresses)


def _sink(
    twistd: Mapping[str, Any] | None,
    logfile: str | None,
    user: int | None,
    group: int | None,
    environment: Mapping[str, str],
) -> Sink | None:
    if twistd is None:
        path, is_foreground = logfile, True
    elif "nodaemon" not in twistd or twistd["logger"]:
        # `twist` has options of its own, and pays no heed to an observer that it is brought.
        return None
    elif twistd["syslog"]:
        return Syslog(twistd["prefix"])
    else:
        is_foreground = bool(twistd["nodaemon"] or twistd["debug"])
        path = twistd["logfile"] or ("-" if is_foreground else DEFAULT_FILE)
    if path == "-":
        # twistd refuses a daemon that would log to nowhere, in words of its own.
        return Stream(sys.stdout, environment) if is_foreground else None
    if path is None:
        return None
    return LogFile(path, user=-1 if user is None else user, group=-1 if group is None else group)


def _example(record: Record) -> Example:
    return Example(record.level, record.namespace, cut(record.message, MAX_EXAMPLE))


def _more(held_back: HeldBack) -> Record:
    example = held_back.example
    return Record(
        time=time.time(),
        level=example.level,
        namespace=example.namespace,
        kind="{more} more like this",
        message=(
            f"{held_back.count} more like this within {held_back.seconds:.0f} s: {example.message}"
        ),
        fields={"more": held_back.count, "seconds": round(held_back.seconds, 1)},
        shown=frozenset(("more", "seconds")),
    )


def _said(level: str, words: str, **fields: object) -> Record:
    """What the log says of itself."""
    message = words.format(**fields)
    return Record(time.time(), level, "daemon.logs", words, message, fields, frozenset(fields))
