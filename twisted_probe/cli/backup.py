"""`mailprobe backup`: a copy of the ledger.

Knows words and exit codes; how it is copied is `jobs.backup`'s.
"""

from __future__ import annotations

import argparse
import os

from twisted_probe.cli.forms import print_json
from twisted_probe.cli.remote import EXIT_NOT_DONE, complain
from twisted_probe.jobs.backup import NoBackup, back_up, note, unfinished
from twisted_probe.jobs.names import printable


def backup(arguments: argparse.Namespace) -> int:
    """Make the copy; the exit code."""
    ledger = os.path.join(os.path.abspath(arguments.spool), "state", "ledger.sqlite")
    part = unfinished(arguments.file)
    if os.path.lexists(part):
        words = "it is left of a backup that was killed, or works yet; it is replaced"
        complain("backup", f"{printable(os.fsencode(part))}: {words}")
    try:
        size = back_up(ledger, arguments.file)
    except NoBackup as error:
        complain("backup", str(error))
        return EXIT_NOT_DONE
    name = printable(os.fsencode(arguments.file))
    try:
        note(os.path.dirname(ledger), arguments.file)
    except OSError as error:
        words = f"it could not be noted ({error.strerror}): mailprobe forget will not find it"
        complain("backup", f"{name}: {words}")
    if arguments.json:
        print_json({"file": name, "bytes": size})
    else:
        print(f"{name} is a copy of the ledger, {size} bytes")
    return 0
