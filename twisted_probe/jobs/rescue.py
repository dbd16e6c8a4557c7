"""A ledger that is damaged, or gone: what is left of it is kept, and another begins.

Knows which files it consists of and what the kept ones are called; not how the new one is filled:
the keeper of the jobs finds every file in active/ that the ledger does not know (`jobs.intake`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import datetime, timezone

from twisted.logger import Logger

from twisted_probe.jobs.database import DamagedLedger, LedgerError, is_damage
from twisted_probe.jobs.durable import PRIVATE, is_gone
from twisted_probe.jobs.ledger import Ledger

_log = Logger()

_MARK = ".damaged-"
#: What SQLite has beside a database; the journal is that of a database without a WAL.
_BESIDE = ("-wal", "-shm", "-journal")


def whole_ledger(path: str, now: float, traces: Callable[[], str]) -> Ledger:
    """The ledger at `path`; a new one where it is damaged. The damaged one is kept beside it, and
    one line of the log says so. Where the rows of one job alone are damaged, that job begins again.

    `traces` returns what shows that there were jobs (`Spool.traces`), or nothing: a ledger that is
    not there, or empty, is a damaged one then.

    Raises LedgerError as `Ledger` does, for anything but damage.
    """
    try:
        if is_gone(path) and (found := traces()):
            raise DamagedLedger(f"the ledger {path}: it is gone or empty, but {found}")
        return _audited(path, now)
    except DamagedLedger as damage:
        kept = _moved_aside(path, now)
        _log.critical(
            "{damage}; what is left of it is kept as {kept}, and a new one begins: what has its"
            " results stays answered, everything else in active/ is read and asked again; which"
            " sites have refused which sources, how fast sites may be asked, pauses, controls and"
            " who was asked lately is not known any more",
            damage=str(damage),
            kept=kept,
        )
    return Ledger(path)


def _audited(path: str, now: float) -> Ledger:
    """The ledger at `path`, whose open jobs are whole or begin again. Raises LedgerError."""
    ledger = Ledger(path)
    try:
        for job, why in ledger.flaws():
            _log.error(
                "{job}: what the ledger has of it is damaged: {why}; it is read and asked again",
                job=job.title,
                why=why,
            )
            ledger.begin_again(job.id, now)
    except sqlite3.DatabaseError as error:
        ledger.close()
        if not is_damage(error):
            raise LedgerError(f"the ledger {path}: {error}") from error
        raise DamagedLedger(f"the ledger {path}: {error}") from error
    except BaseException:
        ledger.close()
        raise
    return ledger


def present_ledger(path: str) -> Ledger:
    """The ledger at `path`, for whoever works beside the daemon and must not begin one.

    Raises LedgerError, also when there is none.
    """
    if is_gone(path):
        raise LedgerError(f"the ledger {path}: it is gone or empty; start the daemon on it once")
    return Ledger(path)


def alarms(path: str) -> list[str]:
    """What an operator has to know of the ledger at `path`, until the damaged one is removed."""
    return [
        f"the ledger was damaged, and a new one was begun; the damaged one is kept as {entry}:"
        " remove it, and what belongs to it, when nobody needs it any more"
        for entry in _kept(path)
    ]


def _moved_aside(path: str, now: float) -> str:
    """Give what there is of a ledger another name; which. Of one that is gone an empty file is
    kept, so that it is known, unless an earlier start did that and got no further."""
    parts = [beside for beside in ("", *_BESIDE) if os.path.lexists(path + beside)]
    earlier = _kept(path)
    if earlier and parts in ([], [""]) and is_gone(path):
        return earlier[-1]
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = f"{path}{_MARK}{moment}"
    while os.path.lexists(kept):
        kept += "~"
    # The database goes first: SQLite removes what it finds beside one that has just begun.
    for beside in parts:
        os.rename(path + beside, kept + beside)
    if "" not in parts:
        os.close(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return os.path.basename(kept)


def _kept(path: str) -> list[str]:
    """The names of the damaged ones that are kept, the oldest first."""
    directory, name = os.path.split(path)
    return sorted(
        entry
        for entry in os.listdir(directory)
        if entry.startswith(name + _MARK) and not entry.endswith(_BESIDE)
    )
