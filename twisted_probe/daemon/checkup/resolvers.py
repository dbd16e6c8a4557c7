"""The resolvers: whether each one answers, how fast, and whether it tells the truth.

Knows which questions show it; how a question is put is `routing.names`' affair.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.routing.name_servers import DNS_PORT, NameServer, resolver_text
from twisted_probe.routing.names import IdentityNames, NameTrouble, NoSuchName

ANSWERS = "answers"
HONEST = "honest"

#: Seconds that an answer may take. A question is put again after two (`routing.resolver`).
SLOW = 1.0

_ANOTHER = "name another one with --resolver"
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def subject_of(server: NameServer) -> str:
    """How lines name a resolver."""
    address, port = server
    return f"resolver {address if port == DNS_PORT else resolver_text(server)}"


async def resolver_lines(
    names: IdentityNames,
    server: NameServer,
    *,
    seconds: Callable[[], float],
    rng: random.Random,
) -> list[Line]:
    """Ask the one resolver behind `names`; `seconds` is a clock that is never set."""
    subject = subject_of(server)
    started = seconds()
    try:
        await names.name_servers("")
    except NameTrouble as trouble:
        found = str(trouble).lstrip(": ")
        return [Line(subject, ANSWERS, Status.BAD, found, f"see why, or {_ANOTHER}")]
    except NoSuchName:
        return [Line(subject, ANSWERS, Status.BAD, "it denies that the root exists", _ANOTHER)]
    took = seconds() - started
    words = f"in {took * 1000:.0f} ms"
    slow = Line(subject, ANSWERS, Status.NOTE, f"{words}, which is slow", _ANOTHER)
    line = slow if took > SLOW else Line(subject, ANSWERS, Status.OK, words)
    return [line, await _honesty(names, subject, rng)]


async def _honesty(names: IdentityNames, subject: str, rng: random.Random) -> Line:
    """Ask for a name that cannot be there (RFC 6761 section 6.4)."""
    name = "".join(rng.choice(_LETTERS) for _ in range(18)) + ".invalid"
    try:
        addresses = await names.addresses(name, 4)
    except NoSuchName:
        return Line(subject, HONEST, Status.OK, "a name that is not there is NXDOMAIN")
    except NameTrouble as trouble:
        return Line(subject, HONEST, Status.BAD, f"no NXDOMAIN: {trouble}", _ANOTHER)
    if addresses:
        return Line(
            subject,
            HONEST,
            Status.BAD,
            f"it gives {addresses[0]} for a name that is not there: dead domains look alive",
            f"{_ANOTHER}, one that does not rewrite answers",
        )
    return Line(
        subject,
        HONEST,
        Status.NOTE,
        "for a name that is not there it says that the name has no address",
        "no verdict depends on it; the texts will say 'neither MX nor address'",
    )
