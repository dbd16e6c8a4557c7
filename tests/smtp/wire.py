"""Sessions of these tests: a wire in each state, and a clock that counts."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from twisted_probe.smtp import commands
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.states import State
from twisted_probe.testing import results_of as outcome_of
from twisted_probe.testing import wire as testing
from twisted_probe.testing.wire import HELO, HOST

__all__ = [
    "HELO",
    "HOST",
    "IN_STATE",
    "Wire",
    "closed",
    "dismissed",
    "greeted",
    "in_transaction",
    "outcome_of",
    "rcpt",
    "ready",
]


class Wire(testing.Wire):
    """A wire that knows how many timers were ever set, and when it was greeted."""

    clock: _CountingClock

    def __init__(self, **options: Any) -> None:
        super().__init__(clock=_CountingClock(), **options)
        self.greeted = outcome_of(self.session.greeted)


class _CountingClock(Clock):
    """A clock that knows how many timers were ever set on it."""

    timers_set = 0

    def callLater(self, *args: Any, **kwargs: Any) -> Any:
        self.timers_set += 1
        return super().callLater(*args, **kwargs)


def greeted(**options: Any) -> Wire:
    """A session that was greeted."""
    wire = Wire(**options)
    wire.server("220 mx.example.net ESMTP")
    assert wire.greeted == [wire.session]
    return wire


def ready(*keywords: str, **options: Any) -> Wire:
    """A session that has said EHLO to a server with these keywords."""
    wire = greeted(**options)
    done = outcome_of(wire.session.helo())
    wire.client(f"EHLO {HELO}")
    lines = ["mx.example.net", *keywords]
    wire.server(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")
    assert done[0].code == 250
    return wire


def in_transaction(*keywords: str, **options: Any) -> Wire:
    """A session whose MAIL was accepted."""
    wire = ready(*keywords, **options)
    done = outcome_of(wire.session.mail(""))
    wire.client("MAIL FROM:<>")
    wire.server("250 2.1.0 Ok")
    assert done[0].code == 250
    return wire


def dismissed(**options: Any) -> Wire:
    """A session whose greeting said no."""
    wire = Wire(**options)
    wire.server("554 mx.example.net No SMTP service here")
    return wire


def closed(**options: Any) -> Wire:
    """A session that has said QUIT and got its answer."""
    wire = greeted(**options)
    done = outcome_of(wire.session.command(b"QUIT"))
    wire.client("QUIT")
    wire.server("221 Bye")
    assert done[0].code == 221
    return wire


#: How a session gets into each state.
IN_STATE = {
    State.CONNECTED: Wire,
    State.GREETED: greeted,
    State.READY: ready,
    State.TRANSACTION: in_transaction,
    State.DISMISSED: dismissed,
    State.CLOSED: closed,
}


def rcpt(name: str) -> Command:
    """RCPT for a mailbox of example.net."""
    return commands.Command(f"RCPT TO:<{name}@example.net>".encode())
