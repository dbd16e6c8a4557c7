"""`mailprobe status`: the daemon's figures, for people.

Knows how they look, in 80 columns, with colours where rich is installed and somebody is watching;
not what they mean (docs/control.rst).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO

from twisted_probe.cli.cells import cells, padded, shortened, wrapped
from twisted_probe.cli.client import Client
from twisted_probe.cli.forms import print_json
from twisted_probe.cli.table import MARKS, STYLES

#: Seconds between two looks, or so many times as long as the last one took if that is more.
LOOK = 1.0
REST = 9.0
#: Columns of a bar, and of a line that is not told how wide it may be.
BAR = 24
WIDTH = 80
_LABEL = 11
#: Columns that a job's name has at least.
_NAME = 8
#: How the two parts of a bar look.
_DONE = "green"
_TO_DO = "bright_black"

#: A piece of a line: its text, and how it looks where it can.
Piece = tuple[str, str]
Line = list[Piece]


def status(client: Client, arguments: argparse.Namespace) -> int:
    """Show the figures once, or until somebody has seen enough."""
    if not arguments.watch:
        _show(client.status(), as_json=arguments.json)
        return 0
    with suppress(KeyboardInterrupt):
        _watch(client, as_json=arguments.json)
    return 0


def _show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    lines = list(lines_of(answer, _width(sys.stdout)))
    if not (sys.stdout.isatty() and _print_rich(lines)):
        for line in lines:
            print(plain(line))


def _watch(client: Client, *, as_json: bool) -> None:
    if as_json or not sys.stdout.isatty():
        for answer in _answers(client):
            _show(answer, as_json=as_json)
            if not as_json:
                print(flush=True)
        return
    show, end = _screen()
    try:
        for answer in _answers(client):
            show(list(lines_of(answer, _width(sys.stdout))))
    finally:
        end()


def _answers(client: Client) -> Iterator[dict[str, Any]]:
    while True:
        began = time.monotonic()
        yield client.status()
        time.sleep(max(LOOK, REST * (time.monotonic() - began)))


def _width(out: TextIO) -> int:
    return shutil.get_terminal_size((WIDTH, 24)).columns if out.isatty() else WIDTH


# -- what is shown


def lines_of(answer: dict[str, Any], width: int = WIDTH) -> Iterator[Line]:
    """The lines that show an answer to `GET /v1/status`."""
    now = _moment(answer["now"])
    name = f"mailprobe {answer['version']}"
    process = f", process {answer['pid']}"
    age = f", up {duration(now - _moment(answer['started_at']))}"
    spool, room = answer["spool"], max(8, width - len(f"{name} on {process}{age}"))
    if cells(spool) > room:
        # Its end tells more; read from there, it is shortened as all else.
        spool = shortened(spool[::-1], room)[::-1]
    yield _cut([(name, "bold"), (f" on {spool}{process}", ""), (age, "dim")], width)
    for alarm in answer["alarms"]:
        yield from _labelled("alarm", [(alarm, "red")], width)
    limit = answer["limit"]
    style = "yellow" if limit["by"] in ("paused", "sessions") else ""
    words = _with_relative_time(limit["words"], now)
    yield from _labelled("limited by", [(words, style)], width)
    sessions = answer["sessions"]
    yield from _labelled(
        "at work",
        [
            (f"{answer['rate']:.1f} settled/s, {answer['in_hand']} in hand, ", ""),
            (f"{sessions['open']} of {sessions['most']} sessions open", ""),
        ],
        width,
    )
    yield from _sources_lines(answer["sources"], now, width)
    paused = [one["site"] for one in answer["sites"]["paused"]]
    if paused:
        yield from _labelled("paused", [(f"sites {', '.join(paused)}", "yellow")], width)
    if answer["new"]:
        yield from _labelled("in new/", [(f"{', '.join(answer['new'])}: not taken yet", "")], width)
    tails = [_tail(job) for job in answer["jobs"]]
    # All bars begin in the same column.
    widest = max((cells(job["name"]) for job in answer["jobs"]), default=0)
    room = max(_NAME, width - BAR - 3 - max(map(len, tails), default=0))
    for job, tail in zip(answer["jobs"], tails, strict=True):
        yield []
        yield from _job_lines(job, tail, now, width, min(room, widest))
    if not answer["jobs"]:
        yield []
        yield [("no jobs", "dim")]


def _sources_lines(sources: Sequence[dict[str, Any]], now: float, width: int) -> Iterator[Line]:
    widest = max((len(source["address"]) for source in sources), default=0)
    for number, source in enumerate(sources):
        line: Line = [(f"{source['address'].ljust(widest)}  {source['helo']}", "")]
        if source["paused"]:
            line.append(("  paused", "yellow"))
        if source["unplumbed"]:
            line.append(("  cannot be sent from", "red"))
        yield from _labelled("sources" if not number else "", line, width)
        for refusal in source["refused_by"]:
            left = duration(_moment(refusal["until"]) - now)
            site = refusal["site"]
            whom = "so many sites that it leaves all" if site == "*" else f"{site}, which it leaves"
            words = f"  refused by {whom} alone for {left}"
            yield from _labelled("", [(words, "red")], width)


def _share(job: dict[str, Any]) -> float:
    whole = job["recipients"]
    if whole:
        return float(job["settled"] / whole)
    return float(job["state"] not in ("claimed", "importing"))


def _states(job: dict[str, Any]) -> list[str]:
    if job["state"] == "open":
        return [word for word in ("cancelled", "paused") if job[word]]
    return [{"claimed": "to be read", "importing": "being read"}.get(job["state"], job["state"])]


def _tail(job: dict[str, Any]) -> str:
    """What stands behind a job's bar."""
    tail = f" {int(100 * _share(job)):3d} %  {job['settled']} of {job['recipients']}"
    if states := _states(job):
        tail += f"  {', '.join(states)}"
    elif job["settled"] == job["recipients"]:
        tail += "  results are being written"
    elif job["eta"] is not None:
        tail += f"  {duration(job['eta'])} left"
    return tail


def _job_lines(job: dict[str, Any], tail: str, now: float, width: int, room: int) -> Iterator[Line]:
    filled = int(BAR * _share(job))
    yield _cut(
        [
            (padded(shortened(job["name"], room), room), "bold"),
            (" [", "dim"),
            ("#" * filled, _DONE),
            ("." * (BAR - filled), _TO_DO),
            ("]", "dim"),
            (tail, "yellow" if _states(job) else ""),
        ],
        width,
    )
    counts: Line = []
    for verdict, mark in MARKS.items():
        number = job["verdicts"][verdict]
        style = STYLES[verdict] if number else "dim"
        counts.append((f"{'  ' if counts else ''}{mark} {number} {verdict}", style))
    yield _cut([("  ", ""), *counts], width)
    parts = []
    if job["asking"]:
        parts.append(f"{job['asking']} being asked")
    if job["pending"]:
        parts.append(f"{job['pending']} to be asked")
    if job["waiting"]:
        next_at = duration(_moment(job["next_attempt_at"]) - now)
        parts.append(f"{job['waiting']} to be asked again, the first in {next_at}")
    if not job["cancelled"]:
        parts.append(f"{duration(_moment(job['deadline']) - now)} to the deadline")
    for line in wrapped(", ".join(parts), width - 2, cut=True) if parts else ():
        yield [("  " + line, "dim")]


def _labelled(label: str, pieces: Line, width: int) -> Iterator[Line]:
    text = "".join(text for text, _ in pieces)
    if _LABEL + 2 + cells(text) <= width:
        yield [("  " + label.ljust(_LABEL), "dim"), *pieces]
        return
    style = pieces[-1][1]
    for number, line in enumerate(wrapped(text, width - _LABEL - 2, cut=True)):
        yield [("  " + (label if not number else "").ljust(_LABEL), "dim"), (line, style)]


def _cut(line: Line, width: int) -> Line:
    """`line` in at most `width` columns."""
    left = width
    cut: Line = []
    for text, style in line:
        cut.append((shortened(text, left), style))
        left -= cells(cut[-1][0])
        if left <= 0:
            break
    return cut


def plain(line: Line) -> str:
    """A line without its looks."""
    return "".join(text for text, _ in line).rstrip()


# -- times


def duration(seconds: float) -> str:
    """A length of time in at most two units: `4 min 10 s`, `23 h 5 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _with_relative_time(words: str, now: float) -> str:
    """A time at the end of `words` as how long that is from now."""
    start, _, last = words.rpartition(" ")
    try:
        return f"{start.removesuffix(' until')}, the first in {duration(_moment(last) - now)}"
    except ValueError:
        return words


# -- on a terminal


def _print_rich(lines: Sequence[Line]) -> bool:
    try:
        from rich.console import Console
    except ImportError:
        return False
    console = Console(file=sys.stdout, highlight=False)
    console.print(_rich_text(lines))
    return True


def _rich_text(lines: Sequence[Line]) -> Any:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    for number, line in enumerate(lines):
        text.append("\n" if number else "")
        for piece, style in line:
            is_bar = style in (_DONE, _TO_DO) and piece and not piece.strip("#.")
            text.append(piece.replace("#", "━").replace(".", "┄") if is_bar else piece, style)
    return text


def _screen() -> tuple[Callable[[Sequence[Line]], None], Callable[[], None]]:
    """Shows lines in the place of those before; and how to end that."""
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:

        def show_plain(lines: Sequence[Line]) -> None:
            text = "\n".join(map(plain, lines))
            print(f"\x1b[H\x1b[2J{text}", flush=True)

        return show_plain, lambda: None
    live = Live(console=Console(file=sys.stdout, highlight=False), auto_refresh=False)
    live.start()

    def show(lines: Sequence[Line]) -> None:
        live.update(_rich_text(lines), refresh=True)

    return show, live.stop
