"""The daemon as an operator runs it on the street: from dropped lists to results.

Knows twistd, its spool and its end; not the lists, nor what they should bring.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from types import TracebackType

from . import topology
from .street import Street

#: Seconds until the daemon has made its spool.
START_TIMEOUT = 30.0

#: Seconds for the daemon to end after SIGTERM, as promised.
STOP_TIMEOUT = 30.0

#: Seconds without a word after which the servers have noticed that the last session has ended.
SETTLE = 1.0

#: Characters of each log that a failure repeats.
MAX_WORDS = 4000

Row = dict[str, str]


class DaemonError(Exception):
    """The daemon did not do in time what it was waited for; the message has its words."""


class Daemon:
    """A twistd daemon in the street, from `sources`, as a context manager.

    `settings` is TOML that its configuration begins with. Its files lie in `directory`.
    """

    def __init__(
        self,
        street: Street,
        directory: Path,
        sources: Mapping[str, str] = topology.SOURCES,
        settings: str = "",
    ) -> None:
        self.exit_code: int | None = None
        self.spool = directory / "spool"
        self._output = directory / "twistd.log"
        self._street = street
        (directory / "authority.pem").write_text(street.authority, encoding="utf-8")
        (directory / "mailprobe.toml").write_text(settings, encoding="utf-8")
        with self._output.open("wb") as file:
            self._process = street.run_in(
                _command(directory, sources), cwd=directory, stdout=file, stderr=file
            )

    def __enter__(self) -> Daemon:
        self.wait_until((self.spool / "new").is_dir, START_TIMEOUT, "no spool")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(SIGTERM)
        self.exit_code = self._process.wait(STOP_TIMEOUT)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._output.read_text("utf-8", "replace")

    def drop(self, name: str, text: str) -> None:
        """Write a file, then rename it: the daemon sees all of it or nothing."""
        written = self.spool / "tmp" / name
        written.write_bytes(text.encode())
        written.rename(self.spool / "new" / name)

    def kill(self) -> None:
        """End it as a power failure would."""
        self._process.send_signal(SIGKILL)
        self._process.wait(STOP_TIMEOUT)

    def results(self, name: str, timeout: float) -> list[Row]:
        """The rows for the list that was dropped as `name`, once they are there.

        Raises DaemonError when they are not after `timeout` seconds, or the daemon ended.
        """
        results = self.spool / "done" / f"{name}.results.csv"
        self.wait_until(results.exists, timeout, f"no results for {name}")
        with results.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    def wait_until(self, done: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for `done`; after `timeout` seconds, or when the daemon ends, raise DaemonError."""
        deadline = time.monotonic() + timeout
        while not done():
            late = time.monotonic() > deadline
            if late or self._process.poll() is not None:
                end = f"took over {timeout:.0f} s" if late else f"ended: {self._process.returncode}"
                raise DaemonError(f"{what}: the daemon {end}\n{self.log[-MAX_WORDS:]}")
            time.sleep(0.05)


def _command(directory: Path, sources: Mapping[str, str]) -> list[str | Path]:
    twistd = Path(sys.executable).with_name("twistd")
    return [
        *(twistd, "--pidfile=", "-n", "mailprobe"),
        *("--config", directory / "mailprobe.toml"),
        *("--spool", directory / "spool"),
        *(f"--source={address}={helo}" for address, helo in sources.items()),
        *("--reverse-path", topology.REVERSE_PATH),
        *("--resolver", Street.resolver),
        *("--allow-network", "127.0.0.0/8"),
        *("--allow-network", "fd00::/8"),
    ]


@dataclass(frozen=True)
class Job:
    """A list, and options of its own in TOML."""

    lines: Sequence[topology.Line]
    options: str = ""


@dataclass(frozen=True)
class Visit:
    """What one run of the daemon over some jobs left behind."""

    rows: Sequence[Row]
    """The results, list after list."""
    seconds: float
    words: str
    """What the daemon logged."""
    logs: Mapping[str, str]
    """What the servers logged of it, by file."""


def visit(
    street: Street,
    directory: Path,
    stages: Sequence[Sequence[Job]],
    timeout: float,
    sources: Mapping[str, str] = topology.SOURCES,
    settings: str = "",
) -> Visit:
    """Start the daemon, drop the jobs of one stage after the other's results, each of which may
    take `timeout` seconds, and end it."""
    earlier = {path: len(street.log(path)) for path in street.logs}
    rows: list[Row] = []
    with Daemon(street, directory, sources, settings) as daemon:
        started = time.monotonic()
        for stage, jobs in enumerate(stages, 1):
            names = [f"list{stage}-{number}.txt" for number in range(1, len(jobs) + 1)]
            for name, job in zip(names, jobs, strict=True):
                if job.options:
                    daemon.drop(f"{name}.job.toml", job.options)
                daemon.drop(name, "".join(f"{line.text}\n" for line in job.lines))
            for name in names:
                rows += daemon.results(name, timeout)
        seconds = time.monotonic() - started
    return Visit(rows, seconds, daemon.log, settled_logs(street, earlier))


def settled_logs(street: Street, earlier: Mapping[str, int]) -> dict[str, str]:
    """What the servers have logged since, from these characters on, once they are silent."""
    before = None
    logs = {path: street.log(path) for path in earlier}
    while logs != before:
        time.sleep(SETTLE)
        before, logs = logs, {path: street.log(path) for path in earlier}
    return {path: log[earlier[path] :] for path, log in logs.items()}
