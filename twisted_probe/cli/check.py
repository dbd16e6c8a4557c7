"""`mailprobe check`: some addresses, asked now.

Knows how long to wait and which exit code it comes to; the asking is the prober's.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater, react

from twisted_probe.cli import EXIT_USAGE, settings_of
from twisted_probe.cli.forms import TABLE, print_record
from twisted_probe.cli.table import print_table
from twisted_probe.daemon.config import ConfigError, check_sources, probing_of, read_told
from twisted_probe.daemon.settings import SOURCE
from twisted_probe.jobs.formats.output import record_of
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.routing.prober import Prober
from twisted_probe.vocabulary.outcome import Outcome, Verdict, iso_time

EXIT_NOT_ALL = 1


def check(arguments: argparse.Namespace) -> int:
    """Ask, print, and give the exit code."""
    try:
        told = read_told(**settings_of(arguments))
        settings = probing_of(told)
        check_sources(settings["sources"], told.named(SOURCE))
    except ConfigError as error:
        print(f"mailprobe check: {error}", file=sys.stderr)
        return EXIT_USAGE
    outcomes: list[Outcome] = []

    def run(reactor: Any) -> Deferred[None]:
        async def ask() -> None:
            prober = Prober(reactor, **settings)
            with suppress(CancelledError):
                outcomes.extend(await _ask(reactor, prober, arguments.addresses, arguments.wait))
            await prober.close()

        asking = Deferred.fromCoroutine(ask())

        def end() -> Deferred[None]:
            asking.cancel()
            return asking

        # Ctrl-C: what the sessions would say of their own end is no outcome. The reactor waits
        # until nothing is left of them.
        reactor.addSystemEventTrigger("before", "shutdown", end)
        return asking

    try:
        react(run)
    except SystemExit as end:
        if end.code not in (0, None):
            raise
    if not outcomes:
        print("mailprobe check: interrupted", file=sys.stderr)
        return EXIT_NOT_ALL
    _print(outcomes, arguments.format, JobOptions(flags=told["flags"]))
    all_deliverable = all(outcome.verdict is Verdict.DELIVERABLE for outcome in outcomes)
    return 0 if all_deliverable else EXIT_NOT_ALL


async def _ask(reactor: Any, prober: Prober, addresses: list[str], wait: bool) -> list[Outcome]:
    """Ask once, or until every outcome is final."""
    outcomes = await prober.probe_many(addresses)
    while wait and not all(outcome.final for outcome in outcomes):
        first = min(outcome.next_attempt_at or 0.0 for outcome in outcomes if not outcome.final)
        later = [place for place, each in enumerate(outcomes) if _is_due(each, first)]
        due = max(outcomes[place].next_attempt_at or 0.0 for place in later)
        print(
            f"{len(later)} to be asked again at {iso_time(due)}: "
            + ", ".join(sorted({outcomes[place].reason.value for place in later})),
            file=sys.stderr,
        )
        await deferLater(reactor, max(0.0, due - reactor.seconds()))
        again = await prober.probe_many(
            [addresses[place] for place in later], [outcomes[place].retry for place in later]
        )
        for place, outcome in zip(later, again, strict=True):
            outcomes[place] = outcome
    return outcomes


def _is_due(outcome: Outcome, moment: float) -> bool:
    """Whether it is asked again at that moment, or within a second of it."""
    return not outcome.final and (outcome.next_attempt_at or 0.0) <= moment + 1.0


def _print(outcomes: list[Outcome], form: str, options: JobOptions = DEFAULTS) -> None:
    records = [record_of(outcome, options) for outcome in outcomes]
    if form != TABLE:
        for record in records:
            print_record(record, form)
        return
    waiting = [outcome for outcome in outcomes if not outcome.final]
    notes = []
    if waiting:
        due = min(outcome.next_attempt_at or 0.0 for outcome in waiting)
        notes = ["", f"… not final: ask again after {iso_time(due)}, or use --wait"]
    texts = [
        f"  {outcome.address}: {outcome.text}"
        for outcome in outcomes
        if outcome.text and outcome.verdict is not Verdict.DELIVERABLE
    ]
    texts += [f"  {record['address']}: {words}" for record in records if (words := _flags(record))]
    print_table(records, sys.stdout, notes=[*notes, *([""] if texts else []), *texts])


def _flags(record: dict[str, Any]) -> str:
    """The flags that make somebody look again, in words; a free provider does not."""
    words = ["disposable"] if record["disposable"] else []
    words += ["role account"] if record["role_account"] else []
    words += [f"did you mean {record['suggestion']}?"] if record["suggestion"] else []
    return ", ".join(words)
