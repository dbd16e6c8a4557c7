"""The sample street: who has which temper, at which address, and what the DNS says of them.

Knows data only; `town` builds it, `sample.txt` lists who is asked for.
"""

from __future__ import annotations

from attrs import frozen

from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.vocabulary.source import Source

#: The sources that the street knows; castle.example refuses the second.
SOURCES = (
    Source("127.0.0.21", helo="probe1.example.org"),
    Source("127.0.0.22", helo="probe2.example.org"),
)

REVERSE_PATH = "probe@example.org"

#: What a prober must be allowed to dial here, and never elsewhere.
NETWORKS = ("127.0.0.0/8",)

#: Seconds that library.example lets a new triplet wait.
GREYLIST_DELAY = 2.0

#: Nobody listens here: the exchanger that is down.
VACANT_ADDRESS = "127.0.1.70"


@frozen
class House:
    """An exchanger of a street: its name in the DNS, its loopback address, its temper."""

    name: str
    address: str
    temper: Temper


def houses(greylist_delay: float = GREYLIST_DELAY) -> tuple[House, ...]:
    """The exchangers of the sample list."""
    ann = residents("ann postmaster")
    orchard = residents(
        "ann ben zoe first.last+news postmaster",
        hoarder=tempers.FULL,
        former=tempers.DISABLED,
    )
    library = residents("ann ben postmaster")
    hamlet = residents("ann ben carl dora postmaster")
    return (
        House("mx.orchard.example", "127.0.1.1", tempers.postfix(orchard)),
        House("mx.brewery.example", "127.0.1.2", tempers.exim(ann)),
        House("mx.oldmill.example", "127.0.1.3", tempers.old(residents("miller postmaster"))),
        House("mx.harbour.example", "127.0.1.4", tempers.catch_all()),
        House("mx.library.example", "127.0.1.5", tempers.greylisting(library, greylist_delay)),
        House("mx.castle.example", "127.0.1.6", tempers.blocking(ann, SOURCES[1].address)),
        House("mx2.mountain.example", "127.0.1.7", tempers.postfix(ann)),
        House("cottage.example", "127.0.1.8", tempers.postfix(ann)),
        House("mx.xn--bcher-kva.example", "127.0.1.9", tempers.postfix(residents("leser"))),
        House("mx.hamlet.example", "127.0.1.10", tempers.small_transactions(hamlet, 3)),
        House("mx.moved.example", "127.0.1.11", tempers.relay_denying()),
        House("mx.guild.example", "127.0.1.12", tempers.sender_refusing()),
        House("mx.tower.example", "127.0.1.13", tempers.vague()),
        House("mx.fortress.example", "127.0.1.14", tempers.turning_away()),
        House("mx.market.example", "127.0.1.15", tempers.rate_limiting()),
        House("mx.bakery.example", "127.0.1.16", tempers.troubled()),
        House("mx.drawbridge.example", "127.0.1.17", tempers.dropping()),
        House("mx.embassy.example", "127.0.1.18", tempers.not_smtp()),
    )


#: Ours: HELO names that lead to the sources and back, and a reverse-path that exists.
OURS: Names = {
    "example.org": ["MX 10 probe1.example.org", "TXT v=spf1 mx a:probe2.example.org -all"],
    "probe1.example.org": ["A 127.0.0.21"],
    "probe2.example.org": ["A 127.0.0.22"],
    "21.0.0.127.in-addr.arpa": ["PTR probe1.example.org"],
    "22.0.0.127.in-addr.arpa": ["PTR probe2.example.org"],
}

#: What the DNS says beside the addresses of the houses.
NAMES: Names = {
    "orchard.example": ["MX 10 mx.orchard.example"],
    "brewery.example": ["MX 10 mx.brewery.example"],
    "oldmill.example": ["MX 10 mx.oldmill.example"],
    "harbour.example": ["MX 10 mx.harbour.example"],
    "library.example": ["MX 10 mx.library.example"],
    "castle.example": ["MX 10 mx.castle.example"],
    "mountain.example": ["MX 10 mx1.mountain.example", "MX 20 mx2.mountain.example"],
    "mx1.mountain.example": [f"A {VACANT_ADDRESS}"],
    "xn--bcher-kva.example": ["MX 10 mx.xn--bcher-kva.example"],
    "hamlet.example": ["MX 10 mx.hamlet.example"],
    "moved.example": ["MX 10 mx.moved.example"],
    "guild.example": ["MX 10 mx.guild.example"],
    "tower.example": ["MX 10 mx.tower.example"],
    "fortress.example": ["MX 10 mx.fortress.example"],
    "market.example": ["MX 10 mx.market.example"],
    "bakery.example": ["MX 10 mx.bakery.example"],
    "drawbridge.example": ["MX 10 mx.drawbridge.example"],
    "embassy.example": ["MX 10 mx.embassy.example"],
    "nomail.example": ["MX 0 ."],
    "empty.example": ["TXT a name with neither MX nor address"],
    "fog.example": Trouble.SERVFAIL,
    # Private networks: never dialled, whatever the DNS says.
    "cellar.example": ["MX 10 mx1.cellar.example", "MX 20 mx2.cellar.example"],
    "mx1.cellar.example": ["A 10.11.12.13"],
    "mx2.cellar.example": ["A 192.168.1.25"],
    **OURS,
}
