"""The catalogue of oddities: exchangers that are odd, broken or hostile, and what a correct
prober says of those who live there.

Knows the whole; each chapter of the project's matrix of situations is a module.
"""

from __future__ import annotations

from twisted_probe.sandbox.catalogue import (
    connection,
    ehlo,
    grammar,
    greeting,
    pipelining,
    recipients,
    starttls,
)
from twisted_probe.sandbox.catalogue.oddity import Oddity

#: The chapters, each with its oddities in the order of its rows.
CHAPTERS: dict[str, tuple[Oddity, ...]] = {
    "A. Greeting": greeting.ODDITIES,
    "B. Grammar of replies": grammar.ODDITIES,
    "C. Life of a connection": connection.ODDITIES,
    "D. EHLO, HELO and RSET": ehlo.ODDITIES,
    "E. STARTTLS": starttls.ODDITIES,
    "F. Pipelining": pipelining.ODDITIES,
    "G. MAIL and RCPT": recipients.ODDITIES,
}

#: Every oddity by its name.
CATALOGUE: dict[str, Oddity] = {
    oddity.name: oddity for oddities in CHAPTERS.values() for oddity in oddities
}
