"""All contenders in turn, round after round, and the table of what they took.

Knows the order of the runs: A B C D A B C D …, so that whatever else the machine does meets all.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.run import CONTENDERS, WORK, Effort, run
from benchmarks.sink import NoSink, find_sink
from benchmarks.table import table

ROUNDS = 7


def main(arguments: Sequence[str]) -> None:
    """Run all rounds, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    rounds = parser.parse_args(arguments).rounds
    runs: dict[tuple[str, int], list[Effort]] = {
        (name, per_session): [] for per_session in WORK for name in CONTENDERS
    }
    with TemporaryDirectory() as directory:
        try:
            sink = find_sink(Path(directory))
        except NoSink as error:
            parser.exit(1, f"{error}\n")
        for number in range(rounds):
            for (name, per_session), efforts in runs.items():
                print(f"round {number + 1}: {name}, {per_session}", end="\r", file=sys.stderr)
                efforts.append(run(sink, name, WORK[per_session], per_session))
    print(circumstances(rounds))
    print(table(runs))


def circumstances(rounds: int) -> str:
    """When, where and with what."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("Twisted", "attrs", "aiosmtplib"))
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d}, {rounds} rounds; Python"
        f" {platform.python_version()}, {packages}; {platform.system()} on"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
