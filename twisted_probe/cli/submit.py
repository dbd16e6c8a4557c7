"""`mailprobe submit`: lists into the spool.

Knows files, names and exit codes; how a list comes into a spool is `jobs.submission`'s.
"""

from __future__ import annotations

import argparse
import os
import sys

from twisted_probe.cli.forms import print_json
from twisted_probe.cli.remote import EXIT_NOT_DONE, EXIT_USAGE, complain
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.submission import NotSubmitted, place_of
from twisted_probe.jobs.submission import submit as submit_list


def submit(arguments: argparse.Namespace) -> int:
    """Submit each list; the exit code."""
    files: list[str] = arguments.files
    if arguments.name is not None and len(files) > 1:
        complain("submit", "--name: one name is for one list")
        return EXIT_USAGE
    if "-" in files and arguments.name is None:
        complain("submit", "-: a list from standard input needs a --name")
        return EXIT_USAGE
    spool = os.path.abspath(arguments.spool)
    code = 0
    for path in files:
        name = os.fsencode(os.path.basename(path) if arguments.name is None else arguments.name)
        try:
            place = place_of(spool, name)
            _submit(spool, path, name)
        except NotSubmitted as error:
            complain("submit", str(error))
            code = EXIT_NOT_DONE
            continue
        if arguments.json:
            print_json({"name": printable(name), "results": place})
        else:
            print(f"{printable(name)} is in the spool; its results will lie in {place}")
    return code


def _submit(spool: str, path: str, name: bytes) -> None:
    if path == "-":
        submit_list(spool, name, sys.stdin.buffer)
        return
    try:
        with open(path, "rb") as file:
            submit_list(spool, name, file)
    except OSError as error:
        raise NotSubmitted(f"{printable(os.fsencode(path))}: {error.strerror}") from None
