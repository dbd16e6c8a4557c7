"""Wishes: what one question wants otherwise than its prober does.

Knows the values only: `jobs` has them out of a job's options, `routing` obeys them.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from attrs import field, frozen

from twisted_probe.vocabulary.source import Source


def source_key(text: str) -> str:
    """An address in its canonical spelling, or a HELO name in lower case."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text.lower()


def _keys(texts: Iterable[str] | None) -> frozenset[str] | None:
    return None if texts is None else frozenset(map(source_key, texts))


@frozen
class Wishes:
    """What is asked for; None leaves it to the prober.

    `reverse_path` is said in MAIL FROM, `sources` are addresses or HELO names of sources: no
    other source is used. `control` says whether a random recipient is asked too. `origin` is
    whose question it is, by any number: where a site has no time for all, each origin gets its
    share of it.
    """

    reverse_path: str | None = None
    sources: frozenset[str] | None = field(default=None, converter=_keys)
    control: bool | None = None
    origin: int | None = None

    def allow(self, source: Source) -> bool:
        """Whether this source may be used."""
        return self.sources is None or not self.sources.isdisjoint(
            (source.address, source.helo.lower())
        )


#: Everything as the prober has it.
NO_WISHES = Wishes()
