"""`mailprobe forget`: one address, or one job, erased wherever the spool has it.

Knows whom to ask, the daemon or, where none runs, its files, and that copies of the ledger are
this command's own affair; not how anything is erased (`jobs.forgetting`).
"""

from __future__ import annotations

import argparse
import os
import sqlite3
from contextlib import ExitStack
from http import HTTPStatus

from twisted_probe.cli.client import Client, NoDaemon, Refused
from twisted_probe.cli.forms import print_json
from twisted_probe.cli.remote import EXIT_NOT_DONE, complain
from twisted_probe.daemon.lock import Lock, SpoolInUse
from twisted_probe.jobs.access import access_at
from twisted_probe.jobs.database import LedgerError
from twisted_probe.jobs.forgetting import (
    Forgetting,
    Forgotten,
    NothingToForget,
    forget_in_backups,
)
from twisted_probe.jobs.rescue import present_ledger
from twisted_probe.jobs.spool import Spool, SpoolError, ledger_path

#: Seconds until the daemon must have answered: it looks through every list in done/.
TIMEOUT = 6 * 3600.0


def forget(arguments: argparse.Namespace) -> int:
    """Forget it; the exit code."""
    spool = os.path.abspath(arguments.spool)
    found, nothing = Forgotten(), ""
    try:
        found = _forgotten(spool, arguments.what)
    except NothingToForget as error:
        # Whoever was interrupted, or met a backup at work, may have erased all else before.
        nothing = str(error)
    except (Refused, SpoolInUse, LedgerError, SpoolError, OSError, sqlite3.Error) as error:
        complain("forget", str(error))
        return EXIT_NOT_DONE
    copies = _in_backups(spool, arguments.what)
    found.left += copies.left
    if nothing and not copies.files:
        for words in (nothing, *found.left):
            complain("forget", words)
        return EXIT_NOT_DONE
    if arguments.json:
        print_json({**found.record(), "backups": copies.files})
    else:
        print(
            f"erased from {_number(len(found.jobs), 'job')}, {_number(len(found.files), 'file')} "
            f"and {_number(len(copies.files), 'backup')}"
        )
    for words in found.left:
        complain("forget", words)
    return EXIT_NOT_DONE if found.left else 0


def _number(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _forgotten(spool: str, what: str) -> Forgotten:
    try:
        answer = Client(spool, timeout=TIMEOUT).switch("forget", os.fsencode(what))
    except Refused as error:
        if error.code == HTTPStatus.NOT_FOUND:
            raise NothingToForget(str(error)) from None
        raise
    except NoDaemon as error:
        if not os.path.isdir(os.path.join(spool, "state")):
            raise SpoolError(str(error)) from None
        return _without_daemon(spool, what)
    return Forgotten(answer["jobs"], answer["files"], answer["left"])


def _without_daemon(path: str, what: str) -> Forgotten:
    with ExitStack() as stack:
        lock = Lock(os.path.join(path, "state", "lock"))
        stack.callback(lock.release)
        lock.sign()
        spool = Spool(path, access=access_at(path))
        stack.callback(spool.close)
        ledger = present_ledger(ledger_path(path))
        stack.callback(ledger.close)
        forgetting = Forgetting(spool, ledger, what)
        for _ in forgetting.steps():
            pass
        return forgetting.found


def _in_backups(spool: str, what: str) -> Forgotten:
    try:
        return forget_in_backups(os.path.join(spool, "state"), what)
    except OSError as error:
        return Forgotten(left=[f"backups are not looked into ({error.strerror})"])
