"""Job files from bytes, and what becomes of them."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from twisted_probe.jobs.formats import Format, JobReader, Row, UnreadableJob
from twisted_probe.jobs.formats.output import output
from twisted_probe.jobs.options import DEFAULTS, JobOptions
from twisted_probe.vocabulary.outcome import Outcome, Reason

NAMES = {Format.TXT: b"list", Format.CSV: b"list.csv", Format.JSONL: b"list.jsonl"}

ACCEPTED = Outcome(address="a@b.example", reason=Reason.ACCEPTED, checked_at=0.0)


def reader(data: bytes, kind: Format, name: bytes = b"list") -> JobReader:
    return JobReader(io.BytesIO(data), name, kind)


def rows(data: bytes, kind: Format) -> list[Row]:
    return list(reader(data, kind))


def texts(data: bytes, kind: Format = Format.TXT) -> list[tuple[int, str]]:
    return [(row.line, row.text) for row in reader(data, kind)]


def complaint(data: bytes, kind: Format, name: bytes = b"list") -> str:
    """Why a file cannot be read, behind its name."""
    with pytest.raises(UnreadableJob) as caught:
        list(reader(data, kind, name))
    return str(caught.value)


def written(
    data: bytes, kind: Format, outcome: Outcome = ACCEPTED, options: JobOptions = DEFAULTS
) -> str:
    """The results of a file, every line of which has the same outcome."""
    text = io.StringIO(newline="")
    job = reader(data, kind)
    results = output(text, kind, job, options)
    for row in job:
        results.write(row, outcome)
    return text.getvalue()


class Endless(io.RawIOBase):
    """A file of so many bytes, made of one piece again and again."""

    def __init__(self, size: int, piece: bytes = b"x") -> None:
        self._left = size
        self._piece = piece * (65536 // len(piece))

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._piece[: min(size, self._left)]
        self._left -= len(data)
        return data


def peak(work: Callable[[], object]) -> int:
    """The most bytes that Python held at once during the work, beyond those before it."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))
