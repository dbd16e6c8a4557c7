"""`mailprobe backup`: a copy of the ledger.

Knows words and exit codes; how it is copied is `jobs.backup`'s.
"""

from __future__ import annotations

import argparse
import os

from twisted_probe.cli.forms import print_json
from twisted_probe.cli.remote import EXIT_NOT_DONE, complain
from twisted_probe.jobs.backup import NoBackup, back_up, note, refuse_in_spool, unfinished
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.spool import ledger_path


def backup(arguments: argparse.Namespace) -> int:
    """Make the copy; the exit code."""
    ledger = ledger_path(os.path.abspath(arguments.spool))

    def noted(path: str) -> None:
        try:
            note(os.path.dirname(ledger), path)
        except OSError as error:
            # At once: whoever is killed says no more.
            words = f"it could not be noted ({error.strerror}): mailprobe forget will not find it"
            complain("backup", f"{printable(os.fsencode(path))}: {words}")

    try:
        refuse_in_spool(arguments.spool, arguments.file)
        made = back_up(ledger, arguments.file, noted)
    except NoBackup as error:
        complain("backup", str(error))
        return EXIT_NOT_DONE
    name = printable(os.fsencode(arguments.file))
    if made.replaced:
        words = "it was left of a backup that was killed, and is removed"
        complain("backup", f"{unfinished(name)}: {words}")
    if arguments.json:
        print_json({"file": name, "bytes": made.size})
    else:
        print(f"{name} is a copy of the ledger, {made.size} bytes")
    return 0
