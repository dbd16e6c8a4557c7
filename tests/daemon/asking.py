"""A daemon of the test's own reactor, asked from another thread, as other processes ask."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from tests.daemon.running import LOOK, PATIENCE, config_for, daemon_of, reactor, until, up
from twisted_probe.cli.client import Client, Refused
from twisted_probe.sandbox.town import Town


class Asker:
    """Asks over the socket of a spool. Every method waits in a thread, not in the reactor."""

    def __init__(self, spool: Path, pool: ThreadPool) -> None:
        self.spool = spool
        self.client = Client(str(spool), timeout=PATIENCE)
        self._pool = pool

    def within(self, function: Callable[..., Any], *arguments: Any, **more: Any) -> Deferred[Any]:
        """Call a function that blocks."""
        return deferToThreadPool(reactor, self._pool, function, *arguments, **more)

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.within(self.client.status)
        return found

    async def job(self, name: str | bytes) -> dict[str, Any]:
        found: dict[str, Any] = await self.within(self.client.job, os.fsencode(name))
        return found

    async def results(self, name: str, **query: int) -> dict[str, Any]:
        found: dict[str, Any] = await self.within(self.client.results, name.encode(), **query)
        return found

    async def switch(self, *parts: str | bytes) -> dict[str, Any]:
        found: dict[str, Any] = await self.within(self.client.switch, *parts)
        return found

    async def job_when(
        self, name: str | bytes, condition: Callable[[dict[str, Any]], Any]
    ) -> dict[str, Any]:
        """The job, once it is there and as it should be."""
        deadline = reactor.seconds() + PATIENCE
        found: dict[str, Any] = {}
        while True:
            with suppress(Refused):
                if condition(found := await self.job(name)):
                    return found
            assert reactor.seconds() < deadline, f"it never came: {name!r}, {found}"
            await deferLater(reactor, LOOK)

    async def status_when(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The status, once it is as it should be."""
        deadline = reactor.seconds() + PATIENCE
        while not condition(found := await self.status()):
            assert reactor.seconds() < deadline, f"it never came: {found}"
            await deferLater(reactor, LOOK)
        return found

    async def raw(self, data: bytes, then: Callable[[socket.socket], Any] | None = None) -> bytes:
        """Send bytes and read to the end, as no client of ours would."""

        def talk() -> bytes:
            with self.connected() as connection:
                connection.sendall(data)
                if then is not None:
                    then(connection)
                parts = []
                while part := connection.recv(65536):
                    parts.append(part)
                return b"".join(parts)

        found: bytes = await self.within(talk)
        return found

    def connected(self) -> socket.socket:
        """A connection, to be closed by the caller."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.spool / "state" / "control"))
        return connection


@asynccontextmanager
async def asking(spool: Path, is_up: bool = True) -> AsyncIterator[Asker]:
    """Somebody who asks the daemon on this spool; from when on it can be asked, if it is up."""
    pool = ThreadPool(0, 8, name="asking")
    pool.start()
    asker = Asker(spool, pool)
    try:
        if is_up:
            await until(lambda: _is_open(spool / "state" / "control"), "the control socket")
        yield asker
    finally:
        pool.stop()


def _is_open(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        return connection.connect_ex(str(path)) == 0


@asynccontextmanager
async def asked(town: Town, spool: Path, **changes: Any) -> AsyncIterator[Asker]:
    """A town, a daemon in it, and somebody who asks that daemon."""
    async with up(town), daemon_of(config_for(town, spool, **changes)), asking(spool) as asker:
        yield asker
