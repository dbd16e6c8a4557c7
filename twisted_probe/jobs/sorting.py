"""The mailboxes of a list, brought into the order of their domains.

Knows how more of them are sorted than memory has room for; not where they come from, nor the
tables they go to (`jobs.ledger`).
"""

from __future__ import annotations

import marshal
import os
import tempfile
from collections.abc import Iterator
from heapq import merge

#: Domain, local part, line, and the spelling where it is another.
Mailbox = tuple[str, str, int, str | None]

#: Mailboxes sorted in memory at once: some 20 MB, and some 20 ms in which no other thread runs.
RUN = 50_000
#: Mailboxes of one run in memory while all runs are merged.
SLICE = 250


class Sorter:
    """Takes mailboxes in any order and gives them back in order; in a file without a name in
    `directory`, that nobody has to remove."""

    def __init__(self, directory: str) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by `close`
        self._run: list[Mailbox] = []
        self._runs: list[list[tuple[int, int]]] = []
        self._sorted: Iterator[Mailbox] | None = None

    def add(self, mailboxes: list[Mailbox]) -> None:
        """Take these. Raises OSError when the disk is full."""
        # Sorted by and by, so that sorting the whole run is little more than merging.
        self._run += sorted(mailboxes)
        if len(self._run) >= RUN:
            self._keep()

    def sorted(self) -> Iterator[Mailbox]:
        """All of them, in order; one iterator, however often it is asked for. Nothing may be
        added any more."""
        if self._sorted is None:
            self._keep()
            self._file.flush()
            self._sorted = merge(*map(self._read, self._runs))
        return self._sorted

    def close(self) -> None:
        """Give the disk back."""
        self._sorted = None
        self._file.close()

    def _keep(self) -> None:
        self._run.sort()
        places = []
        for start in range(0, len(self._run), SLICE):
            begin = self._file.tell()
            places.append(
                (begin, self._file.write(marshal.dumps(self._run[start : start + SLICE])))
            )
        self._runs.append(places)
        self._run = []

    def _read(self, run: list[tuple[int, int]]) -> Iterator[Mailbox]:
        for begin, size in run:
            yield from marshal.loads(os.pread(self._file.fileno(), size, begin))  # noqa: S302 - ours
