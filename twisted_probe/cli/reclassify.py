"""`mailprobe reclassify`: kept evidence by today's rules, and what that would change.

Knows how the changes are shown, and that a daemon and this command never write to one ledger; not
how anything is judged (`jobs.reclassify`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import ExitStack
from typing import Any

from twisted_probe.cli.forms import print_json
from twisted_probe.cli.remote import EXIT_NOT_DONE, EXIT_USAGE, SPOOL_VARIABLE, complain
from twisted_probe.cli.table import MARKS
from twisted_probe.daemon.config import ConfigError, Told, read_rules, read_told
from twisted_probe.daemon.lock import Lock, SpoolInUse
from twisted_probe.jobs.access import access_at
from twisted_probe.jobs.ledger import Job, Ledger, LedgerError
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.reclassify import STATES, Change, Reclassification, Reclassified
from twisted_probe.jobs.rescue import present_ledger
from twisted_probe.jobs.results import ChangedJob, DamagedJob
from twisted_probe.jobs.sealing import DamagedText
from twisted_probe.jobs.spool import Spool, SpoolError, ledger_path
from twisted_probe.verdict.rules import Rules

WIDTH = 80


class _NoJob(Exception):
    """There is no such job, or nothing of it can be judged now."""


def reclassify(arguments: argparse.Namespace) -> int:
    """Show what today's rules change, and change it on request; the exit code."""
    if arguments.spool is None:
        complain("reclassify", f"--spool: no directory is given, and {SPOOL_VARIABLE} is not set")
        return EXIT_USAGE
    try:
        told = read_told(file=arguments.config)
        rules = read_rules(told)
    except ConfigError as error:
        complain("reclassify", str(error))
        return EXIT_USAGE
    try:
        _run(arguments, told, rules)
    except SpoolInUse as error:
        complain("reclassify", f"{error}; stop it to apply, or look without --apply")
    except (LedgerError, SpoolError, ChangedJob, DamagedJob, DamagedText, OSError, _NoJob) as error:
        complain("reclassify", str(error))
    else:
        return 0
    return EXIT_NOT_DONE


def _run(arguments: argparse.Namespace, told: Told, rules: Rules | None) -> None:
    path = os.path.abspath(arguments.spool)
    with ExitStack() as stack:
        spool: Spool | None = None
        if arguments.apply:
            lock = Lock(os.path.join(path, "state", "lock"))
            stack.callback(lock.release)
            lock.sign()
            spool = Spool(path, access=access_at(path))
            stack.callback(spool.close)
        where = ledger_path(path)
        ledger = Ledger(where, read_only=True) if spool is None else present_ledger(where)
        stack.callback(ledger.close)
        for job in _jobs(ledger, arguments.name):
            reclassification = Reclassification(ledger, job, rules)
            _show_changes(reclassification, arguments.json)
            if spool is not None:
                options = JobOptions(told["defuse_formulas"], told["flags"])
                for _ in reclassification.apply(spool, job.says.options(options)):
                    pass
            _show_job(reclassification.found, spool is not None, arguments.json)


def _jobs(ledger: Ledger, name: str | None) -> list[Job]:
    if name is None:
        return ledger.jobs(*STATES)
    job = ledger.find(os.fsencode(name))
    if job is None:
        raise _NoJob(f"there is no job {name}")
    if job.state not in STATES:
        raise _NoJob(f"the job {job.title} is {job.state.value}; there is nothing to judge now")
    return [job]


def _show_changes(reclassification: Reclassification, as_json: bool) -> None:
    for change in reclassification.changes():
        if change is None:
            continue
        if as_json:
            print_json(_record(change))
        else:
            print(_line(change))


def _record(change: Change) -> dict[str, Any]:
    return {
        "job": change.job,
        "line": change.line,
        "address": change.after.address,
        "before": {
            "verdict": change.before.verdict.value,
            "reason": change.before.reason.value,
            "catch_all": change.before.catch_all,
            "rule": change.rule_before,
        },
        "after": {
            "verdict": change.after.verdict.value,
            "reason": change.after.reason.value,
            "catch_all": change.after.catch_all,
            "rule": change.rule,
        },
    }


def _line(change: Change) -> str:
    before, after = change.before, change.after
    words = f"{before.reason.value} → {MARKS[after.verdict.value]} {after.reason.value}"
    if before.reason is after.reason:
        words += f" (catch_all {before.catch_all} → {after.catch_all})".lower()
    line = f"{change.job}:{change.line}  {after.address}  {words}  [{change.rule}]"
    if sys.stdout.isatty():
        width = shutil.get_terminal_size((WIDTH, 24)).columns
        line = line if len(line) <= width else f"{line[: width - 1]}…"
    return line


def _show_job(found: Reclassified, is_applied: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "job": found.job,
                "judged": found.judged,
                "without_evidence": found.without,
                "changed": found.changed,
                "applied": is_applied,
                "rewritten": found.rewritten,
            }
        )
        return
    done = "changed" if is_applied else "would change"
    words = f"{found.job}: {found.judged} judged, {found.changed} {done}"
    if found.without:
        words += f", {found.without} without evidence"
    if found.rewritten is False:
        words += "; its file is not in done/ any more, so no results were written"
    elif found.rewritten:
        words += "; its results were written anew"
    print(words)
