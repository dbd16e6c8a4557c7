"""The controls of a daemon: switchboard, figures, API and socket, put together.

Knows which part needs which; each part knows its own work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted_probe.daemon.control import Control
from twisted_probe.daemon.control_socket import ControlSocket
from twisted_probe.daemon.forgetter import Forgetter
from twisted_probe.daemon.status import Figures, Meter
from twisted_probe.daemon.switchboard import Switchboard
from twisted_probe.jobs.ledger import Job, Ledger
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.spool import Spool
from twisted_probe.jobs.writer import Run
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.pauses import Pauses
from twisted_probe.routing.prober import Prober


async def controls_of(
    reactor: Any,
    *,
    spool: Spool,
    ledger: Ledger,
    options_of: Callable[[Job], JobOptions],
    run: Run,
    engine: Engine,
    prober: Prober,
    pauses: Pauses,
    meter: Meter,
) -> ControlSocket:
    """The socket over which these are controlled, not listening yet; everything is switched as
    the ledger says. `options_of` has the options of a job, `pauses` are the prober's, `meter`
    counts the engine's work."""
    switchboard = Switchboard(ledger, run, reactor, engine, prober, pauses)
    await switchboard.load()
    figures = Figures(
        spool=spool,
        started_at=reactor.seconds(),
        ledger=ledger,
        run=run,
        clock=reactor,
        engine=engine,
        prober=prober,
        meter=meter,
        switchboard=switchboard,
    )
    forgetter = Forgetter(spool, ledger, run)
    control = Control(figures, switchboard, spool, ledger, run, options_of, prober, forgetter)
    return ControlSocket(reactor, os.path.join(spool.path, "state"), control)
