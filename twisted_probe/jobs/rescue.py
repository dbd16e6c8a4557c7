"""A ledger that is damaged: it is kept, and another begins.

Knows which files it consists of and what the kept ones are called; not how the new one is filled:
the keeper of the jobs finds every file in active/ that the ledger does not know (`jobs.intake`).
"""

from __future__ import annotations

import os
from datetime import datetime, timezone

from twisted.logger import Logger

from twisted_probe.jobs.database import DamagedLedger
from twisted_probe.jobs.ledger import Ledger

_log = Logger()

_MARK = ".damaged-"
#: What SQLite has beside a database; the journal is that of a database without a WAL.
_BESIDE = ("-wal", "-shm", "-journal")


def whole_ledger(path: str, now: float) -> Ledger:
    """The ledger at `path`; a new one where it is damaged. The damaged one is kept beside it, and
    one line of the log says so.

    Raises LedgerError as `Ledger` does, for anything but damage.
    """
    try:
        return Ledger(path)
    except DamagedLedger as damage:
        kept = _moved_aside(path, now)
        _log.critical(
            "{damage}; it is kept as {kept}, and a new one begins: what has its results stays"
            " answered, everything else in active/ is read and asked again",
            damage=str(damage),
            kept=kept,
        )
    return Ledger(path)


def alarms(path: str) -> list[str]:
    """What an operator has to know of the ledger at `path`, until the damaged one is removed."""
    directory, name = os.path.split(path)
    return [
        f"the ledger was damaged, and a new one was begun; the damaged one is kept as {entry}:"
        " remove it, and what belongs to it, when nobody needs it any more"
        for entry in sorted(os.listdir(directory))
        if entry.startswith(name + _MARK) and not entry.endswith(_BESIDE)
    ]


def _moved_aside(path: str, now: float) -> str:
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = f"{path}{_MARK}{moment}"
    while os.path.lexists(kept):
        kept += "~"
    # The database goes first: SQLite removes what it finds beside one that has just begun.
    for beside in ("", *_BESIDE):
        if os.path.lexists(path + beside):
            os.rename(path + beside, kept + beside)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return os.path.basename(kept)
