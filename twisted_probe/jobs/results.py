"""The results of a job: its own file once more, with an outcome behind each line.

Knows the two files that are written and how they are joined; not when (`jobs.intake`) nor where
(`jobs.spool`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any, BinaryIO

from attrs import Factory, define

from twisted_probe.jobs.formats import JobReader, Row, UnreadableJob
from twisted_probe.jobs.formats.output import output
from twisted_probe.jobs.ledger import Job, Ledger
from twisted_probe.jobs.names import SUMMARY, printable
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.jobs.sealing import DamagedText
from twisted_probe.jobs.spool import Spool
from twisted_probe.vocabulary.address import AddressError, parse_entry
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict, iso_time

#: Lines written before others have their turn: some 50 ms.
PAGE = 1000


class ChangedJob(Exception):
    """A job's file is not what it was when its addresses were read, so that the outcomes cannot
    be put beside its lines. Drop it again under a new name."""


class DamagedJob(Exception):
    """What the ledger has of a job is not what was put there; it has to be read and asked again.
    The message says what was found, and names nobody."""


class _Apart(Exception):
    """A line and what is said of it do not belong together."""


@define
class Figures:
    """What is counted while the lines go by. Every count is one of lines."""

    reasons: Counter[Reason] = Factory(Counter)
    sources: set[str] = Factory(set)
    cached: int = 0

    def add(self, outcome: Outcome) -> None:
        self.reasons[outcome.reason] += 1
        self.cached += outcome.cached
        if outcome.source is not None:
            self.sources.add(outcome.source)


def program_version() -> str:
    """The version of this program, as it was installed."""
    try:
        return version_of("twisted_probe")
    except PackageNotFoundError:
        return "unknown"


def write_results(
    spool: Spool,
    ledger: Ledger,
    job: Job,
    options: JobOptions = DEFAULTS,
    *,
    original: Callable[[], BinaryIO] | None = None,
    outcomes: Iterator[Outcome] | None = None,
) -> Generator[None, None, None]:
    """Write the results and the summary of a job whose recipients are all settled, and which has
    its `done_name`; what stands under these names already is replaced.

    `original` opens the job's file (in active/), `outcomes` are those of its lines (the ledger's).

    Yields after some lines, to be run on when others had their turn.

    Of a job that was cancelled while it was read the lines are answered that were read.

    Raises ChangedJob when the original is not what was imported, DamagedJob when the outcomes are
    not what was kept, or another's, MissingJob when the original is gone, StrangeFile when it is no
    plain file any more, OSError when the disk is full; nothing is left behind then.
    """
    if job.done_name is None or job.finished_at is None:
        raise ValueError(f"the job {job.title} has no place in done/ yet")
    with (
        spool.open_active(job.name) if original is None else original() as file,
        spool.result(job.done_name, job.format.results) as results,
        spool.result(job.done_name, SUMMARY) as summary,
    ):
        figures = Figures()
        joined = ledger.outcomes(job.id) if outcomes is None else outcomes
        try:
            reader = JobReader(file, job.name, job.format)
            written = output(results.text, job.format, reader, options)
            rows = _rows(job, reader)
            try:
                for number, found in enumerate(_joined(rows, joined), 1):
                    if found is not None:
                        written.write(*found)
                        figures.add(found[1])
                    if found is None or number % PAGE == 0:
                        yield
            except (DamagedText, _Apart) as error:
                # The file to its end: its digest tells which of both was changed.
                for number, _ in enumerate(rows):
                    if number % PAGE == 0:
                        yield
                if job.digest is None or reader.digest == job.digest:
                    raise DamagedJob(str(error)) from None
                raise _changed(job) from None
        except UnreadableJob:
            raise _changed(job) from None
        if job.digest is not None and reader.digest != job.digest:
            raise _changed(job)
        json.dump(_summary(job, figures, reader), summary.text, indent=2, ensure_ascii=False)
        summary.text.write("\n")
        # Whoever sees the results has all of them (`Spool.is_answered`).
        summary.commit()
        results.commit()


def _joined(
    rows: Iterator[Row | None], outcomes: Iterator[Outcome]
) -> Iterator[tuple[Row, Outcome] | None]:
    """Each row and its outcome; None where others may have their turn."""
    for row in rows:
        if row is None:
            yield None
            continue
        outcome = next(outcomes, None)
        if outcome is None or not _is_of(outcome, row):
            raise _Apart(f"line {row.line} has another's outcome, or none")
        yield row, outcome
    if next(outcomes, None) is not None:
        raise _Apart("there is an outcome of no line")


def _is_of(outcome: Outcome, row: Row) -> bool:
    """Whether an outcome speaks of what this row names: what was asked stands in it."""
    text = row.text.strip()
    if outcome.line != row.line:
        return False
    if outcome.address == text:
        return True
    if outcome.reason is Reason.INVALID_ADDRESS:
        return outcome.address == escaped(text)
    try:
        return parse_entry(text).key == parse_entry(outcome.address).key
    except AddressError:
        return False


def _rows(job: Job, reader: JobReader) -> Iterator[Row | None]:
    """What was read once, again: all, or no more than when the job was cancelled."""
    rows = reader.turns()
    if job.digest is not None:
        yield from rows
        return
    left = job.lines
    while left:
        try:
            row = next(rows)
        except StopIteration:
            return
        left -= row is not None
        yield row


def _changed(job: Job) -> ChangedJob:
    return ChangedJob(
        f"{printable(job.name)}: the file was changed after it had been read; drop it again"
    )


def _summary(job: Job, figures: Figures, reader: JobReader) -> dict[str, Any]:
    verdicts: Counter[Verdict] = Counter()
    for reason, number in figures.reasons.items():
        verdicts[reason.verdict] += number
    return {
        "job": job.title,
        "cancelled": job.cancelled_at is not None,
        "lines": job.lines,
        "recipients": job.recipients,
        "duplicates": job.lines - job.recipients - job.invalid,
        "invalid": job.invalid,
        "cached": figures.cached,
        "latin1_lines": reader.latin1_lines,
        "first_latin1_lines": reader.first_latin1_lines,
        "verdicts": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "reasons": {
            reason.value: figures.reasons[reason] for reason in Reason if figures.reasons[reason]
        },
        "started_at": iso_time(job.received_at),
        "finished_at": None if job.finished_at is None else iso_time(job.finished_at),
        "sources": sorted(figures.sources),
        "version": program_version(),
    }
