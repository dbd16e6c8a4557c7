"""An errand: the recipients that a contender shall ask about, and where.

Knows what every contender is told, and takes what it was answered; not how any of them asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import cycle, islice

from attrs import define, field

#: Loopback addresses that the sessions leave from in turn, as they do in the daemon.
SOURCES = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
#: What every contender says.
HELO = "probe1.example.org"
REVERSE_PATH = "probe@example.org"
#: Seconds; every contender has its timeouts on, as it must against strangers.
TIMEOUT = 30.0


@define
class Errand:
    """Ask the exchanger at `host` and `port` about `recipients` (text, as a list has them),
    `per_session` of them in each session, with one MAIL. `codes` counts the replies to RCPT."""

    host: str
    port: int
    recipients: tuple[str, ...]
    per_session: int
    codes: Counter[int] = field(factory=Counter)

    def sessions(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The source and the recipients of each session."""
        recipients, sources = iter(self.recipients), cycle(SOURCES)
        while batch := tuple(islice(recipients, self.per_session)):
            yield next(sources), batch

    def answered(self, codes: Iterable[int]) -> None:
        """The contender hands over the codes of the replies to its RCPTs."""
        self.codes.update(codes)


def recipients(number: int) -> tuple[str, ...]:
    """So many addresses, each another one."""
    return tuple(f"user{each:07}@example.net" for each in range(number))
