"""`mailprobe results`: what has settled of a job, now or as it goes on.

Knows how the pages of the API are read so that each line comes once, and how outcomes are shown
as they come; the table is `cli.table`'s.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from twisted_probe.cli.cells import shortened
from twisted_probe.cli.client import Client
from twisted_probe.cli.forms import TABLE, print_record
from twisted_probe.cli.remote import EXIT_NOT_DONE, complain
from twisted_probe.cli.table import MARKS, print_table

#: Seconds between two looks at a job that is followed, or so many times as long as the last one
#: took if that is more.
LOOK = 0.5
REST = 9.0
#: Outcomes that are shown as one table; more of them come as they are read.
MAX_TABLE = 1000

_WIDTH = 80
#: Characters of the longest verdict with its mark, and of the longest reason.
_VERDICT = 15
_REASON = 20

#: States of a job in which its lines are not all known yet.
_UNREAD = ("claimed", "importing")
_OVER = ("done", "failed")

Record = dict[str, Any]


def results(client: Client, arguments: argparse.Namespace) -> int:
    """Show them; the exit code."""
    name = os.fsencode(arguments.name)
    reading = Reading(client, name)
    if arguments.follow:
        return _follow(reading, _printer(arguments.format))
    records = reading.records()
    if arguments.format != TABLE:
        for record in records:
            print_record(record, arguments.format)
        return reading.code()
    first = list(islice(records, MAX_TABLE + 1))
    if len(first) <= MAX_TABLE:
        print_table(first, sys.stdout, notes=reading.notes())
    else:
        show = _Lines()
        for record in first:
            show(record)
        for record in records:
            show(record)
        show.total(reading.notes())
    return reading.code()


class Reading:
    """Reads the pages of one job; `last` is the last one. One round reads what was settled when
    it began and had not been when the round before began."""

    def __init__(self, client: Client, name: bytes) -> None:
        self._client = client
        self._name = name
        self._since: int | None = None
        self.last: dict[str, Any] = {}

    def records(self) -> Iterator[Record]:
        """One round. Of a job that is not read to its end, nothing is taken for known."""
        after: int | None = 0
        until: int | None = None
        while after is not None:
            page = self._client.results(self._name, after=after, since=self._since, until=until)
            if until is None:
                until, state = page["settled"], page["state"]
            yield from page["outcomes"]
            after = page["after"]
            self.last = page
        if state not in _UNREAD:
            self._since = until

    def look(self) -> bool:
        """Whether all lines of the job are known, so that none will be read twice."""
        return self._client.job(self._name)["state"] not in _UNREAD

    @property
    def is_over(self) -> bool:
        """Whether the job is over, and all of it was read."""
        page = self.last
        return page["state"] in _OVER and (
            self._since == page["settled"] or page["state"] == "failed"
        )

    def code(self) -> int:
        """The exit code; what it means is said where it is not 0."""
        if self.last["state"] != "failed":
            return 0
        complain("results", f"the job {self.last['job']} failed; SPOOL/failed has the reason")
        return EXIT_NOT_DONE

    def notes(self) -> list[str]:
        """What is to be said behind the last one."""
        page = self.last
        if page["state"] in _UNREAD:
            return ["", "… the list is being read"]
        left = page["recipients"] - page["settled"]
        return ["", f"… {left} of {page['recipients']} recipients are still open"] if left else []


def _printer(form: str) -> Callable[[Record], None]:
    return _Lines() if form == TABLE else partial(print_record, form=form)


def _follow(reading: Reading, show: Callable[[Record], None]) -> int:
    """Show what settles until the job is over."""
    while True:
        began = time.monotonic()
        if reading.look():
            for record in reading.records():
                show(record)
            if reading.is_over:
                break
        time.sleep(max(LOOK, REST * (time.monotonic() - began)))
    if isinstance(show, _Lines):
        show.total([])
    return reading.code()


class _Lines:
    """Shows outcomes as they come, a line each, as wide as the terminal is."""

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        is_terminal = sys.stdout.isatty()
        self._width = shutil.get_terminal_size((_WIDTH, 24)).columns if is_terminal else None

    def __call__(self, record: Record) -> None:
        verdict = record["verdict"]
        self._totals[verdict] += 1
        words = [f"{MARKS[verdict]} {verdict}".ljust(_VERDICT), record["reason"].ljust(_REASON)]
        line = "  ".join([*words, record["address"]])
        if record["text"] and verdict != "deliverable":
            line += f"  {record['text']}"
        print(line if self._width is None else shortened(line, self._width), flush=True)

    def total(self, notes: list[str]) -> None:
        """The last line."""
        words = [
            f"{mark} {self._totals[name]} {name}"
            for name, mark in MARKS.items()
            if self._totals[name]
        ]
        print("\n" + "   ".join(words))
        for note in notes:
            print(note)
