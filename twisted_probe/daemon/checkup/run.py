"""The checkup as a whole: what is looked at, in which order, and what may go on at once.

Knows no check itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import DeferredLock

from twisted_probe.daemon.checkup import identity, machine, resolvers
from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.daemon.checkup.session import (
    SESSION,
    HostAndPort,
    no_exchanger_line,
    session_line,
)
from twisted_probe.daemon.checkup.together import together
from twisted_probe.routing.names import DnsNames, IdentityNames
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.sites import DEFAULT_LIMITS, Limits
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.source import Source

#: Every check there is.
CHECKS = (
    *(identity.BINDABLE, identity.REVERSE_DNS, identity.HELO, identity.SPF, SESSION),
    *(identity.TAKES_MAIL, resolvers.ANSWERS, resolvers.HONEST),
    *(machine.WRITABLE, machine.FILE_SYSTEM, machine.DISK, machine.INODES),
    *(machine.CLOCK, machine.OPEN_FILES, machine.PORTS, machine.LISTS),
)

Tell = Callable[[Line], None]


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


@frozen(kw_only=True)
class Checkup:
    """What to look at. Without a `spool` or an `exchanger` these are left alone."""

    sources: tuple[Source, ...]
    reverse_path: str
    resolvers: tuple[tuple[str, int], ...]
    allow_networks: tuple[str, ...] = ()
    spool: Path | None = field(default=None, converter=_absolute)
    exchanger: HostAndPort | None = None
    limits: Limits = DEFAULT_LIMITS
    timeouts: Timeouts = DEFAULT_TIMEOUTS

    @property
    def subjects(self) -> list[str]:
        """The subjects that lines of this checkup will have, safe to print."""
        return [
            escaped(subject)
            for subject in (
                *map(identity.subject_of, self.sources),
                identity.subject_of_path(self.reverse_path),
                *map(resolvers.subject_of, self.resolvers),
                machine.subject_of(self.spool),
                machine.MACHINE,
                no_exchanger_line().subject,
            )
        ]


async def examine(reactor: Any, checkup: Checkup, tell: Tell) -> None:
    """Look at everything; `tell` gets the lines in their order, as soon as they are there.

    What waits for others goes on at once, but sessions with the test exchanger one by one.
    Cancelling ends all of it.
    """
    clock = time.time() - time.monotonic()
    names = DnsNames(reactor, checkup.resolvers)
    greeting = DeferredLock()
    groups = [
        *(_source_lines(reactor, checkup, names, greeting, each) for each in checkup.sources),
        _common_lines(checkup, names),
        *(_resolver_lines(reactor, server) for server in checkup.resolvers),
    ]
    with together(groups) as going_on:
        for group in going_on:
            for line in await group:
                tell(line)
    for line in _machine_lines(checkup, clock):
        tell(line)


async def _source_lines(
    reactor: Any,
    checkup: Checkup,
    names: IdentityNames,
    greeting: DeferredLock,
    source: Source,
) -> list[Line]:
    lines = [identity.bindable(source)]
    lines += await identity.dns_lines(names, source, checkup.reverse_path)
    if checkup.exchanger is None:
        return lines
    if lines[0].status is Status.BAD:
        found = "not tried: nothing can be sent from here"
        return [*lines, Line(identity.subject_of(source), SESSION, Status.NOTE, found)]
    await greeting.acquire()
    try:
        session = await session_line(
            reactor,
            source,
            checkup.exchanger,
            names=names,
            allow_networks=checkup.allow_networks,
            timeouts=checkup.timeouts,
        )
    finally:
        greeting.release()
    return [*lines, session]


async def _common_lines(checkup: Checkup, names: IdentityNames) -> list[Line]:
    """What all sources have in common."""
    networks = Networks(checkup.allow_networks)
    lines = [] if checkup.exchanger is not None else [no_exchanger_line()]
    return [*lines, await identity.takes_mail(names, checkup.reverse_path, networks)]


async def _resolver_lines(reactor: Any, server: tuple[str, int]) -> list[Line]:
    return await resolvers.resolver_lines(
        DnsNames(reactor, [server]), server, seconds=time.monotonic, rng=random.SystemRandom()
    )


def _machine_lines(checkup: Checkup, clock: float) -> list[Line]:
    now = time.time()
    return [
        *(
            [machine.no_spool_line()]
            if checkup.spool is None
            else machine.spool_lines(checkup.spool)
        ),
        machine.clock_line(now, now - time.monotonic() - clock, machine.kernel_clock()),
        machine.open_files_line(checkup.limits.sessions),
        machine.ports_line(checkup.limits.sessions),
        machine.lists_line(),
    ]
