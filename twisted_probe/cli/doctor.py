"""`mailprobe doctor`: whether this machine can ask as it is told to.

Knows how the lines are shown and which exit code they come to; what is looked at is
`daemon.checkup`'s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater, react

from twisted_probe.cli import EXIT_USAGE, is_about_output, settings_of
from twisted_probe.cli.cells import cells, padded, wrapped
from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.daemon.checkup.run import CHECKS, Checkup, examine
from twisted_probe.daemon.checkup.session import HostAndPort
from twisted_probe.daemon.config import ConfigError, probing_of, read_told

EXIT_BAD = 1

_MARKS = {Status.OK: "ok", Status.NOTE: "note", Status.BAD: "BAD"}
_MARK_WIDTH = max(map(len, _MARKS.values()))
_CHECK_WIDTH = max(map(len, CHECKS))
_COLOURS = {Status.OK: "32", Status.NOTE: "33", Status.BAD: "1;31"}
#: Columns that words need beside the rest; where a terminal has fewer, they stand below it.
_MIN_WORDS = 30
_GAP = "  "


def doctor(arguments: argparse.Namespace) -> int:
    """Look at everything, print, and give the exit code."""
    try:
        checkup = _checkup(arguments)
    except ConfigError as error:
        print(f"mailprobe doctor: {error}", file=sys.stderr)
        return EXIT_USAGE
    counts: Counter[Status] = Counter()
    show = (
        _as_json if arguments.json else _Columns(max(map(cells, checkup.subjects)), sys.stdout).show
    )
    is_done = False
    unwritten: OSError | None = None

    def tell(line: Line) -> None:
        counts[line.status] += 1
        show(line)

    def run(reactor: Any) -> Deferred[None]:
        async def look() -> None:
            nonlocal is_done, unwritten
            try:
                await examine(reactor, checkup, tell)
                is_done = True
            except CancelledError:
                pass
            except OSError as error:
                if not is_about_output(error):
                    raise
                unwritten = error

        looking = Deferred.fromCoroutine(look())

        def end() -> Deferred[None]:
            looking.cancel()
            # What was given up is closed in the reactor's next turn; that has to come.
            return deferLater(reactor, 0.01)

        reactor.addSystemEventTrigger("before", "shutdown", end)  # Ctrl-C
        return looking

    try:
        react(run)
    except SystemExit as end:
        if end.code not in (0, None):
            raise
    if unwritten is not None:
        raise unwritten
    if not is_done:
        print("mailprobe doctor: interrupted", file=sys.stderr)
        return EXIT_BAD
    if not arguments.json:
        print(f"\n{counts[Status.OK]} ok, {counts[Status.NOTE]} to note, {counts[Status.BAD]} bad")
    return EXIT_BAD if counts[Status.BAD] else 0


def _checkup(arguments: argparse.Namespace) -> Checkup:
    told = read_told(**settings_of(arguments), spool=arguments.spool)
    probing = probing_of(told)
    exchanger, spool = arguments.exchanger, told["spool"]
    return Checkup(
        sources=probing["sources"],
        reverse_path=probing["reverse_path"],
        resolvers=probing["resolvers"],
        allow_networks=probing["allow_networks"],
        spool=None if spool is None else Path(spool),
        exchanger=None if exchanger is None else HostAndPort.parse(exchanger, probing["port"]),
    )


def _as_json(line: Line) -> None:
    print(json.dumps(line.record(), ensure_ascii=False), flush=True)


class _Columns:
    """Aligned lines. On a terminal they are coloured and broken at its width, with the words in
    lines of their own where it is narrow; elsewhere each is one line, for grep."""

    def __init__(self, subject_width: int, out: TextIO) -> None:
        self._subject_width = subject_width
        self._out = out
        self._is_terminal = out.isatty()
        self._has_colours = self._is_terminal and "NO_COLOR" not in os.environ

    def show(self, line: Line) -> None:
        mark = _MARKS[line.status].ljust(_MARK_WIDTH)
        subject = padded(line.subject, self._subject_width)
        head = _GAP.join((mark, subject, line.check.ljust(_CHECK_WIDTH)))
        words = line.found if line.advice is None else f"{line.found}; {line.advice}"
        for number, text in enumerate(self._broken(head + _GAP, words)):
            if not number and self._has_colours:
                text = text.replace(mark, f"\x1b[{_COLOURS[line.status]}m{mark}\x1b[0m", 1)
            self._out.write(f"{text}\n")
        self._out.flush()

    def _broken(self, head: str, words: str) -> list[str]:
        if not self._is_terminal:
            return [head + words]
        width, lines = shutil.get_terminal_size().columns, []
        indent = " " * cells(head)
        if width - len(indent) < _MIN_WORDS:
            lines, indent = [head.rstrip()], " " * (_MARK_WIDTH + len(_GAP))
        below = wrapped(indent + words, width)
        return [*lines, *below] if lines else [head + below[0].lstrip(), *below[1:]]
