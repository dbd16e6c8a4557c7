"""Towns, and examples as programs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from twisted_probe.testing import Town

reactor: Any = _reactor

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
#: Seconds until a program that does not end is killed.
TIMEOUT = 60.0

ME = "127.0.0.21=probe1.example.org"


@asynccontextmanager
async def in_town(town: Town | None = None) -> AsyncIterator[Town]:
    town = await (Town() if town is None else town).start(reactor)
    try:
        yield town
    finally:
        await town.stop()


async def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these words, in development mode, while the reactor goes on."""
    return await deferToThread(_run, words, None)


async def interrupt(is_time: Callable[[], bool], *words: str) -> subprocess.CompletedProcess[str]:
    """The same, with a Ctrl-C as soon as it is time for it."""
    processes: list[subprocess.Popen[str]] = []
    running = deferToThread(_run, words, processes)
    while not (is_time() and processes):
        await deferLater(reactor, 0.01)
    processes[0].send_signal(signal.SIGINT)
    return await running


def _run(
    words: tuple[str, ...], processes: list[subprocess.Popen[str]] | None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", *words]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if processes is not None:
            processes.append(process)
        try:
            out, err = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, out, err)
