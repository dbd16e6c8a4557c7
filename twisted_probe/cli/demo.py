"""`mailprobe demo`: the real daemon at work, offline, against exchangers of our own.

Knows how to set the stage and what to show; the service is the one that twistd runs.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.task import deferLater

from twisted_probe.cli import EXIT_USAGE
from twisted_probe.cli.showing import complain, shown
from twisted_probe.cli.table import print_table
from twisted_probe.daemon.preparation import prepare
from twisted_probe.daemon.service import ProbeService
from twisted_probe.sandbox.town import Town
from twisted_probe.tap import Options
from twisted_probe.verdict.ladder import Ladder

#: Seconds. The real ladder begins with five minutes; nobody watches a demo that long.
DEMO_LADDER = Ladder(greylist=(2.5, 2.5), temporary=(1.5,))
#: Seconds that an exchanger is left alone after it has complained; a minute otherwise.
DEMO_REST = 1.0
#: Seconds between two looks at the progress.
_LOOK = 0.25
_LIST = "sample.txt"


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 when the list was answered."""
    if arguments.keep is not None and _holds_something(Path(arguments.keep)):
        complain(f"--keep {arguments.keep}: it is not empty")
        return EXIT_USAGE
    spool = arguments.keep or tempfile.mkdtemp(prefix="mailprobe-demo-")
    answered = False
    try:
        answered = shown(lambda reactor: _Demo(reactor, Path(spool)).run())
    finally:
        if arguments.keep is None and not answered:
            shutil.rmtree(spool, ignore_errors=True)
    return 0 if answered else 1


def _holds_something(path: Path) -> bool:
    return path.is_dir() and any(path.iterdir())


class _Demo:
    def __init__(self, reactor: Any, spool: Path) -> None:
        self._reactor = reactor
        self._spool = spool
        self._town = Town()
        self._service: ProbeService | None = None

    async def run(self) -> None:
        await self._town.start(self._reactor)
        try:
            self._start_daemon()
            self._drop_list()
            await self._watch()
            self._show_results()
        finally:
            if self._service is not None:
                await self._service.stopService()
            await self._town.stop()

    def _start_daemon(self) -> None:
        """The options are those of the command line; only the waiting is shorter."""
        town = self._town
        words = ["--spool", str(self._spool), "--reverse-path", town.reverse_path]
        words += ["--port", str(town.port), "--resolver", town.resolver]
        for source in town.sources:
            words += ["--source", f"{source.address}={source.helo}"]
        for network in town.networks:
            words += ["--allow-network", network]
        options = Options()
        options.parseOptions(words)  # type: ignore[no-untyped-call]
        config = options.config()
        config = evolve(config, ladder=DEMO_LADDER, limits=evolve(config.limits, rest=DEMO_REST))
        print(f"The daemon:  twistd --pidfile= mailprobe {' '.join(words)}")
        self._service = ProbeService(self._reactor, config, prepare(config))
        self._service.startService()

    def _drop_list(self) -> None:
        (self._spool / "tmp" / _LIST).write_text(self._town.sample, "utf-8")
        os.rename(self._spool / "tmp" / _LIST, self._spool / "new" / _LIST)
        print(f"The list:    {_LIST}, dropped into {self._spool / 'new'}\n")

    async def _watch(self) -> None:
        """Show how far it is until the results lie in done/."""
        assert self._service is not None
        last = ""
        while not self._results.exists():
            await deferLater(self._reactor, _LOOK)
            words = await self._progress()
            if words and words != last:
                print(words if not sys.stdout.isatty() else f"\r\x1b[K{words}", end="", flush=True)
                print(end="" if sys.stdout.isatty() else "\n")
                last = words
        print("\n" if sys.stdout.isatty() else "")

    async def _progress(self) -> str:
        assert self._service is not None
        jobs = await self._service.progress()
        if not jobs or not jobs[0].job.lines:
            return ""
        job = jobs[0]
        settled = sum(job.settled.values())
        whole = settled + job.pending + job.out + job.waiting
        filled = round(24 * settled / max(whole, 1))
        return (
            f"[{'#' * filled}{'.' * (24 - filled)}] {settled}/{whole} settled, "
            f"{job.out} being asked, {job.waiting} to be asked again"
        )

    @property
    def _results(self) -> Path:
        return self._spool / "done" / f"{_LIST}.results.csv"

    def _show_results(self) -> None:
        with self._results.open(encoding="utf-8", newline="") as file:
            records = [
                {name.removeprefix("probe_"): value for name, value in row.items()}
                for row in csv.DictReader(file)
            ]
        asked = Counter(record["source"] for record in records if record["source"])
        by_source = ", ".join(f"{source} asked {asked[source]}" for source in sorted(asked))
        print_table(
            records,
            sys.stdout,
            notes=[
                "",
                f"By source:   {by_source}",
                f"Results:     {self._results}",
                f"Summary:     {self._spool / 'done' / f'{_LIST}.summary.json'}",
                "",
                "For real use, with addresses, names and a reverse-path of your own:",
                "  twistd --pidfile= mailprobe --spool /var/spool/mailprobe \\",
                "      --source 192.0.2.10=probe1.example.org --reverse-path probe@example.org",
            ],
        )
