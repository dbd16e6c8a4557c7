"""For the tests of programs that embed the prober: no network, and no time that passes.

Four ways in, from the outside to the inside:

* `FakeProber` stands in for a `Prober` and answers what it was told to; `outcome` and `later`
  make the outcomes.
* `Town` is a street of real exchangers of all tempers on loopback, with its own name server; a
  real `Prober` with `options_for(town)` asks them over sockets. `hostile_town` is one of the odd,
  broken and hostile exchangers of the `CATALOGUE`; `meet` asks at one of them, `meet_all` at
  all, and with `HASTE` a prober sees the end of it in some seconds.
* `FakeNames` answers for the DNS out of a dictionary.
* `Wire` is one session without a socket: the test says what the exchanger says, and looks at
  what was said to it.
"""

from __future__ import annotations

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.catalogue import CATALOGUE
from twisted_probe.sandbox.catalogue.oddity import Oddity
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.hostile import HASTE, Encounter, hostile_town, meet, meet_all
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Trouble
from twisted_probe.testing.names import FakeNames
from twisted_probe.testing.outcomes import later, outcome
from twisted_probe.testing.prober import HOLD, Asked, FakeProber, options_for
from twisted_probe.testing.wire import Wire, results_of

__all__ = [
    "CATALOGUE",
    "HASTE",
    "HOLD",
    "Answer",
    "Asked",
    "Encounter",
    "ExchangerFactory",
    "FakeNames",
    "FakeProber",
    "House",
    "Oddity",
    "Temper",
    "Then",
    "Town",
    "Trouble",
    "Wire",
    "hostile_town",
    "later",
    "meet",
    "meet_all",
    "options_for",
    "outcome",
    "residents",
    "results_of",
    "tempers",
]
