"""What the attempts of one prober share.

Knows which parts there are; not what any of them does.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from attrs import Factory, define, field

from twisted_probe.routing.appointments import Appointments
from twisted_probe.routing.controls import DEFAULT_CONTROLS, Controls
from twisted_probe.routing.customs import Customs
from twisted_probe.routing.families import Families
from twisted_probe.routing.life import Life
from twisted_probe.routing.limits import DEFAULT_LIMITS, Limits
from twisted_probe.routing.memory import Memory
from twisted_probe.routing.names import Names
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.opt_out import NOBODY, OptOut
from twisted_probe.routing.pauses import Pauses
from twisted_probe.routing.ports import Ports
from twisted_probe.routing.sites import Sites
from twisted_probe.routing.sources import Sources
from twisted_probe.routing.turns import Turns
from twisted_probe.routing.watchdog import Watchdog
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.smtp.tls import TlsClient
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import Rules


@define(kw_only=True, eq=False)
class Tools:
    """What the attempts of one prober share, as it is in force now: a reconfiguration changes it
    in place, so that it binds those too that have begun. To be looked up, and never kept."""

    reactor: Any
    names: Names
    sources: Sources
    sites: Sites
    networks: Networks
    memory: Memory
    reverse_path: str
    port: int
    control: bool
    timeouts: Timeouts
    ladder: Ladder
    rng: random.Random
    rules: Rules
    watchdog: Watchdog
    ports: Ports = field(factory=Ports)
    pauses: Pauses = field(factory=Pauses)
    life: Life | None = None
    limits: Limits = DEFAULT_LIMITS
    tls: TlsClient = field(factory=TlsClient)
    customs: Customs = field(factory=Customs)
    controls: Controls = DEFAULT_CONTROLS
    evidence: bool = False
    hits: Counter[str] = field(factory=Counter)
    opt_out: OptOut = NOBODY
    max_waiting: int | None = None
    turns: Turns = field(default=Factory(lambda self: Turns(self.reactor), takes_self=True))
    appointments: Appointments = field(factory=Appointments)
    families: Families = field(factory=Families)

    def now(self) -> float:
        """Seconds of the reactor's clock."""
        return float(self.reactor.seconds())

    @property
    def is_over(self) -> bool:
        """Whether the reactor has stopped: nothing may be asked or dialled any more."""
        return self.life is not None and self.life.is_over
