"""Why a recipient's outcome is what it is: the account of each of its attempts, as plain data.

Knows how a recipient is found in the ledger, by its address or its line, and what is told of it;
not how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted_probe.jobs.ledger import Job, Ledger
from twisted_probe.verdict.account import account_of
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.address import Address, AddressError, parse_entry
from twisted_probe.vocabulary.excerpt import excerpt
from twisted_probe.vocabulary.hearing import Dialogue, Hearing
from twisted_probe.vocabulary.outcome import Outcome, iso_time

#: Attempts and jobs that are told of; the ladders have fewer steps.
MAX_ATTEMPTS = 20
MAX_JOBS = 20


class NothingKnown(Exception):
    """The ledger has no such recipient; the message says what it looked for."""


def explained(ledger: Ledger, what: str, rules: Rules | None = None) -> dict[str, Any]:
    """What is known of `what`: an address, the newest where it is in several jobs, or JOB:LINE.

    Raises NothingKnown.
    """
    name, _, number = what.rpartition(":")
    if name and number.isascii() and number.isdigit():
        job = ledger.find(name.encode("utf-8", "surrogateescape"))
        if job is not None:
            return _of_line(ledger, job, int(number), rules)
        if "@" not in what:
            raise NothingKnown(f"there is no job {name}")
    try:
        address = parse_entry(what)
    except AddressError as error:
        raise NothingKnown(f"{what} is neither an address nor JOB:LINE: {error}") from None
    return _of_address(ledger, address, rules)


def _of_address(ledger: Ledger, address: Address, rules: Rules | None) -> dict[str, Any]:
    jobs = ledger.jobs_of(address.key, MAX_JOBS)
    if not jobs:
        raise NothingKnown(f"{address} is in no job that the ledger knows")
    line, outcome = ledger.standing(jobs[0].id, address.key)
    return _told(ledger, jobs[0], line, address, outcome, rules, jobs[1:])


def _of_line(ledger: Ledger, job: Job, line: int, rules: Rules | None) -> dict[str, Any]:
    page = ledger.page(job.id, job.title, after=line - 1, limit=1)
    found = next((each for each in page.outcomes if each.line == line), None)
    if found is None:
        raise NothingKnown(
            f"line {line} of {job.title} has no final outcome yet, or is none with an address; "
            "ask by the address"
        )
    try:
        address = parse_entry(found.address)
    except AddressError:
        return _told(ledger, job, line, None, found, rules, [])
    return _told(ledger, job, line, address, found, rules, [])


def _told(
    ledger: Ledger,
    job: Job,
    line: int,
    address: Address | None,
    outcome: Outcome | None,
    rules: Rules | None,
    others: list[Job],
) -> dict[str, Any]:
    attempts: list[dict[str, Any]] = []
    if outcome is not None and address is not None:
        number = outcome.evidence
        if number is None and outcome.retry is not None:
            number = outcome.retry.evidence
        hearings = list(_hearings(ledger, number))[::-1]
        attempts = [
            _attempt(hearing, place, address, rules) for place, hearing in enumerate(hearings, 1)
        ]
    return {
        "address": outcome.address if outcome is not None else str(address),
        "job": job.title,
        "line": line,
        "other_jobs": [other.title for other in others],
        "outcome": None if outcome is None else {**outcome.record(), "job": job.title},
        "attempts": attempts,
    }


def _hearings(ledger: Ledger, number: int | None) -> Iterator[Hearing]:
    """This one and those of the attempts before it that have one, the newest first."""
    for _ in range(MAX_ATTEMPTS):
        hearing = None if number is None else ledger.hearing(number)
        if hearing is None:
            return
        yield hearing
        number = hearing.before


def _attempt(hearing: Hearing, place: int, address: Address, rules: Rules | None) -> dict[str, Any]:
    basis = hearing.bases.get(address.key)
    own = address.forward_path.decode()
    shown = [own] if basis is None else [own, basis.control_recipient, basis.witness]
    dialogues = list(hearing.dialogues)
    if basis is not None and basis.dialogue is not None:
        dialogues = dialogues[basis.dialogue : basis.dialogue + 1]
    return {
        "number": place if hearing.attempt is None else hearing.attempt,
        "sessions": [_session(dialogue, shown) for dialogue in dialogues],
        "account": None if basis is None else account_of(basis, rules),
    }


def _session(dialogue: Dialogue, shown: list[str]) -> dict[str, Any]:
    return {
        "exchanger": dialogue.exchanger,
        "exchanger_address": dialogue.exchanger_address,
        "begun_at": iso_time(dialogue.begun_at),
        "lines": list(excerpt(dialogue.lines, shown)),
        "left_out": dialogue.left_out,
    }
