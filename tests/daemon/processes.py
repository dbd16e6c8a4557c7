"""Real processes: started, waited for in the reactor, and never left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from tests.daemon.running import until

#: The programs of this installation.
TWISTD = str(Path(sys.executable).with_name("twistd"))
MAILPROBE = str(Path(sys.executable).with_name("mailprobe"))


@frozen
class Ended:
    """How a process ended: its exit code, or minus the signal, and what it said."""

    code: int
    out: str
    err: str


class Process:
    """A running program. What it says goes to files in `directory`: no pipe can fill."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        number = len(list(directory.glob("*.stdout")))
        self._out = directory / f"{number}.stdout"
        self._err = directory / f"{number}.stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )
        self._name = " ".join(command)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_over(self) -> bool:
        return self._popen.poll() is not None

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8")

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    async def end(self) -> Ended:
        """Wait for the end."""
        await until(lambda: self.is_over, f"the end of {self._name}; it says: {self.err}")
        return Ended(self._popen.wait(), self.out, self.err)

    def kill(self) -> None:
        if not self.is_over:
            self._popen.kill()
            self._popen.wait()


@asynccontextmanager
async def running(
    *command: str, directory: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """A program that runs in the block and not beyond it."""
    process = Process(command, directory, environment)
    try:
        yield process
    finally:
        process.kill()


async def run(
    *command: str, directory: Path, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end."""
    async with running(*command, directory=directory, environment=environment) as process:
        return await process.end()


def processes_with(words: str) -> list[int]:
    """The processes that have `words` in their command line, this one aside."""
    found = []
    for directory in Path("/proc").iterdir():
        if re.fullmatch("[0-9]+", directory.name) and int(directory.name) != os.getpid():
            try:
                line = (directory / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if words.encode() in line:
                found.append(int(directory.name))
    return found
