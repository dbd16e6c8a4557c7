"""The results of a job: its own file once more, with an outcome behind each line.

Knows the two files that are written and how they are joined; not when (`jobs.intake`) nor where
(`jobs.spool`).
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Any, TextIO

from attrs import Factory, define

from twisted_probe.jobs.formats import JobReader, Row, UnreadableJob
from twisted_probe.jobs.ledger import PAGE, Job, Ledger
from twisted_probe.jobs.names import RESULTS, SUMMARY, printable
from twisted_probe.jobs.spool import Spool
from twisted_probe.vocabulary.outcome import (
    FLAT_FIELDS,
    Outcome,
    Reason,
    Verdict,
    flat_record,
    iso_time,
)

#: What stands before the names of our columns, so that they never meet the user's.
PREFIX = "probe_"


class ChangedJob(Exception):
    """A job's file is not what it was when its addresses were read, so that the outcomes cannot
    be put beside its lines. Drop it again under a new name."""


@define
class Figures:
    """What is counted while the lines go by. Every count is one of lines."""

    reasons: Counter[Reason] = Factory(Counter)
    sources: set[str] = Factory(set)

    def add(self, outcome: Outcome) -> None:
        self.reasons[outcome.reason] += 1
        if outcome.source is not None:
            self.sources.add(outcome.source)


def program_version() -> str:
    """The version of this program, as it was installed."""
    try:
        return version_of("twisted_probe")
    except PackageNotFoundError:
        return "unknown"


def write_results(spool: Spool, ledger: Ledger, job: Job) -> Generator[None, None, None]:
    """Write the results and the summary of a job whose recipients are all settled, and which has
    its `done_name`; what stands under these names already is replaced.

    Yields after some lines, to be run on when others had their turn.

    Raises ChangedJob when the original is not what was imported, MissingJob when it is gone,
    OSError when the disk is full; nothing is left behind then.
    """
    if job.done_name is None or job.finished_at is None:
        raise ValueError(f"the job {job.title} has no place in done/ yet")
    with (
        spool.open_active(job.name) as original,
        spool.result(job.done_name, RESULTS) as results,
        spool.result(job.done_name, SUMMARY) as summary,
    ):
        figures = Figures()
        try:
            reader = JobReader(original, job.name, job.format)
            table = Table(results.text, reader)
            for number, (row, outcome) in enumerate(_joined(job, reader, ledger), 1):
                table.write(row, outcome)
                figures.add(outcome)
                if number % PAGE == 0:
                    yield
        except UnreadableJob:
            raise _changed(job) from None
        if reader.digest != job.digest:
            raise _changed(job)
        json.dump(_summary(job, figures), summary.text, indent=2, ensure_ascii=False)
        summary.text.write("\n")
        results.commit()
        summary.commit()


def _joined(job: Job, reader: JobReader, ledger: Ledger) -> Iterator[tuple[Row, Outcome]]:
    outcomes = ledger.outcomes(job.id)
    for row in reader:
        outcome = next(outcomes, None)
        if outcome is None or outcome.line != row.line:
            raise _changed(job)
        yield row, outcome
    if next(outcomes, None) is not None:
        raise _changed(job)


def _changed(job: Job) -> ChangedJob:
    return ChangedJob(
        f"{printable(job.name)}: the file was changed after it had been read; drop it again"
    )


class Table:
    """The results as CSV, with what separates the columns of the original."""

    def __init__(self, text: TextIO, reader: JobReader) -> None:
        self._width = len(reader.header)
        self._delimiter = reader.delimiter
        self._writer = csv.writer(text, delimiter=reader.delimiter, lineterminator="\n")
        # A bare CR has to be quoted, which the writer does only where it ends the lines.
        self._quoting = csv.writer(
            text, delimiter=reader.delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        self._put((*reader.header, *(PREFIX + name for name in FLAT_FIELDS)))

    def write(self, row: Row, outcome: Outcome) -> None:
        own = (row.text,) if row.fields is None else self._fitted(row.fields)
        self._put((*own, *flat_record(outcome.record()).values()))

    def _fitted(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """As many fields as the header has: those that miss are empty, surplus ones stay in the
        last column, as they stood in the line."""
        surplus = len(fields) - self._width
        if surplus > 0:
            last = self._width - 1
            return (*fields[:last], self._delimiter.join(fields[last:]))
        return fields + ("",) * -surplus

    def _put(self, fields: Sequence[str]) -> None:
        writer = self._quoting if "\r" in "".join(fields) else self._writer
        writer.writerow(fields)


def _summary(job: Job, figures: Figures) -> dict[str, Any]:
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
        "verdicts": {verdict.value: verdicts[verdict] for verdict in Verdict},
        "reasons": {
            reason.value: figures.reasons[reason] for reason in Reason if figures.reasons[reason]
        },
        "started_at": iso_time(job.received_at),
        "finished_at": None if job.finished_at is None else iso_time(job.finished_at),
        "sources": sorted(figures.sources),
        "version": program_version(),
    }
