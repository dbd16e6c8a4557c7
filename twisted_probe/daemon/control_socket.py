"""The UNIX socket in state/ over which the daemon is asked.

Knows its path, its mode and whose it is, and how its connections are ended; not what is said
over it (`daemon.control`). The spool's lock must be held: what lies there of an earlier daemon
is ours to replace.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from twisted_probe.daemon.control import Control, ControlSite
from twisted_probe.jobs.spool import SpoolError

NAME = "control"

#: Bytes of a socket's path; sun_path of Linux has 108, one for the zero at its end.
MAX_PATH = 107
#: Connections at once, and those that came in the same moment; a person needs one.
MAX_GUESTS = 64
#: Connections that wait in the kernel until one of them is gone.
BACKLOG = 256
#: Seconds that the last answers get to be read when the daemon stops.
FAREWELL = 1.0

_PRIVATE = 0o600
_FOR_THE_GROUP = 0o660


class ControlSocket:
    """Lets `control` be asked over the socket in the directory `state`.

    The socket is 0600; where the group may enter `state`, it is that group's and 0660.
    """

    def __init__(self, reactor: Any, state: str, control: Control) -> None:
        self._reactor = reactor
        self._state = state
        self._control = control
        self._guests = _Guests(ControlSite(control, reactor))
        self._port: IListeningPort | None = None
        self._directory = -1

    @property
    def path(self) -> str:
        """Where the socket is."""
        return os.path.join(self._state, NAME)

    def start(self) -> None:
        """Listen. Raises SpoolError when that cannot be."""
        try:
            self._remove_stale()
            group = os.stat(self._state)
            is_shared = bool(group.st_mode & stat.S_IXGRP)
            mode = _FOR_THE_GROUP if is_shared else _PRIVATE
            self._port = self._reactor.listenUNIX(
                self._short_path(), self._guests, backlog=BACKLOG, mode=_PRIVATE
            )
            self._guests.door = self._port
            if is_shared:
                # A service that is shut in may not call chown, not even to change nothing.
                if os.lstat(self.path).st_gid != group.st_gid:
                    os.chown(self.path, -1, group.st_gid)
                os.chmod(self.path, mode)
        except (OSError, CannotListenError) as error:
            raise SpoolError(f"the control socket {self.path}: {error}") from error

    def _remove_stale(self) -> None:
        try:
            mode = os.lstat(self.path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise SpoolError(
                f"the control socket {self.path}: something else has this name; remove it"
            )
        os.unlink(self.path)

    def _short_path(self) -> str:
        """The path, or one by way of the open directory where it is too long for a socket."""
        if len(os.fsencode(self.path)) <= MAX_PATH:
            return self.path
        self._directory = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._directory}/{NAME}"

    def stop(self) -> Deferred[None]:
        """Listen no more, answer what was asked, and close all connections."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        self._guests.door = None
        if port is not None:
            await maybeDeferred(port.stopListening)
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1
        await self._control.idle()
        await self._guests.send_away(self._reactor)


class _Guests(WrappingFactory):
    """Knows who is connected, and lets nobody more in through `door` while these are too many."""

    noisy = False
    #: What the guests come through; None when it is shut for good.
    door: Any = None

    def __init__(self, factory: Any) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self._empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A connection, or none in the end."""
        return None if self._empty is not None else super().buildProtocol(addr)

    def registerProtocol(self, p: ProtocolWrapper) -> None:
        """One is here."""
        super().registerProtocol(p)  # type: ignore[no-untyped-call]
        if self.door is not None and len(self.protocols) >= MAX_GUESTS:
            self.door.stopReading()

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        """One is gone."""
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        if self.door is not None and len(self.protocols) < MAX_GUESTS:
            self.door.startReading()
        if self._empty is not None and not self.protocols and not self._empty.called:
            self._empty.callback(None)

    async def send_away(self, clock: Any) -> None:
        """Close all connections; those that do not read what was said are cut."""
        self._empty = Deferred()
        if not self.protocols:
            return
        for each in list(self.protocols):
            each.loseConnection()
        cut = clock.callLater(FAREWELL, self._cut)
        await self._empty
        if cut.active():
            cut.cancel()

    def _cut(self) -> None:
        for each in list(self.protocols):
            each.transport.abortConnection()
