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
)
from twisted_probe.sandbox.catalogue.oddity import Oddity

#: Every oddity by its name, in the order of the chapters.
CATALOGUE: dict[str, Oddity] = {
    oddity.name: oddity
    for chapter in (greeting, grammar, connection, ehlo, pipelining, recipients)
    for oddity in chapter.ODDITIES
}
