"""Towns, and examples as programs."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor

from tests.daemon.processes import Ended, running
from tests.daemon.running import until
from twisted_probe.testing import Town

reactor: Any = _reactor

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"

ME = "127.0.0.21=probe1.example.org"


@asynccontextmanager
async def in_town(town: Town | None = None) -> AsyncIterator[Town]:
    town = await (Town() if town is None else town).start(reactor)
    try:
        yield town
    finally:
        await town.stop()


async def run(*words: str, directory: Path, interrupted: Callable[[], bool] | None = None) -> Ended:
    """Run Python with these words, in development mode: it tells of what was never closed.
    With a Ctrl-C as soon as `interrupted` is true."""
    command = (sys.executable, "-X", "dev", *words)
    environment = {"PYTHONPATH": str(ROOT)}
    async with running(*command, directory=directory, environment=environment) as process:
        if interrupted is not None:
            await until(interrupted, "the moment to interrupt")
            process.signal(signal.SIGINT)
        return await process.end()
