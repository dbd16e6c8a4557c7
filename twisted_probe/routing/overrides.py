"""What holds at some sites otherwise than at all others: the operator's own word.

Knows which override an exchanger falls under; not what is done by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from twisted_probe.smtp.tls import TlsMode


@frozen(kw_only=True)
class Override:
    """What is otherwise at the exchangers called `name`, or, where it begins with a full stop,
    at all whose names end so. What is None holds as everywhere."""

    name: str
    tls: TlsMode | None = None


class Overrides:
    """The overrides of one configuration; the longest name that fits wins."""

    def __init__(self, overrides: Iterable[Override] = ()) -> None:
        self._by_name = {override.name: override for override in overrides}

    def at(self, exchanger: str) -> Override | None:
        """The override for an exchanger's name, in lower case and without the final dot."""
        name, rest = exchanger, exchanger
        while name not in self._by_name:
            _, dot, rest = rest.partition(".")
            if not dot:
                return None
            name = f".{rest}"
        return self._by_name[name]
