"""What happened at an exchanger: who came, from where, what was asked and what was answered.

Knows how to keep and to count; tests and the demo read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from math import inf

from attrs import define, field

#: What a prober may say. Everything else is counted, DATA and VRFY first of all (design rule 9).
ALLOWED_VERBS = frozenset(("EHLO", "HELO", "STARTTLS", "MAIL", "RCPT", "RSET", "NOOP", "QUIT"))


@define
class Exchange:
    """One command and its answer.

    `verb` is in upper case, `argument` as it came; `early` says that the command was sent before
    the answer to the one before it was out, that is: pipelined. `reply` is the text of the
    answer, None when the session ended before it was given. Times are the clock's seconds.
    """

    verb: str
    argument: str
    at: float
    early: bool = False
    reply: str | None = None

    @property
    def code(self) -> int | None:
        """The code of the reply, None without one."""
        return int(self.reply[:3]) if self.reply and self.reply[:3].isdigit() else None

    @property
    def forbidden(self) -> bool:
        """Whether a prober must not say this."""
        return self.verb not in ALLOWED_VERBS


@define
class SessionRecord:
    """One session: the client's address and port, its HELO name, and what was said in order."""

    client: str
    port: int
    started: float
    ended: float | None = None
    helo: str | None = None
    greeting: str | None = None
    exchanges: list[Exchange] = field(factory=list)

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands in order, as (verb, argument)."""
        return [(exchange.verb, exchange.argument) for exchange in self.exchanges]

    @property
    def verbs(self) -> list[str]:
        """The verbs in order."""
        return [exchange.verb for exchange in self.exchanges]

    @property
    def replies(self) -> list[str]:
        """The answers in order, without the greeting and those never given."""
        return [exchange.reply for exchange in self.exchanges if exchange.reply is not None]

    @property
    def pipelined(self) -> bool:
        """Whether any command came before the answer to the one before it."""
        return any(exchange.early for exchange in self.exchanges)

    @property
    def errors(self) -> int:
        """How many commands were answered 4xx or 5xx."""
        return sum(1 for exchange in self.exchanges if (exchange.code or 0) >= 400)


def most_at_once(sessions: Iterable[SessionRecord]) -> int:
    """How many of these were open together, at most, at whichever exchangers."""
    changes = sorted(
        change
        for each in sessions
        for change in ((each.started, 1), (inf if each.ended is None else each.ended, -1))
    )
    return max(accumulate(change for _, change in changes), default=0)


@define
class Record:
    """All sessions of one exchanger, in the order they came."""

    sessions: list[SessionRecord] = field(factory=list)
    #: How many sessions are open, and how many were at most.
    open: int = 0
    most_open: int = 0

    def opened(self, session: SessionRecord) -> None:
        """A session begins."""
        self.sessions.append(session)
        self.open += 1
        self.most_open = max(self.most_open, self.open)

    def closed(self, session: SessionRecord, now: float) -> None:
        """It ends."""
        session.ended = now
        self.open -= 1

    @property
    def clients(self) -> Counter[str]:
        """How many sessions came from each address."""
        return Counter(session.client for session in self.sessions)

    @property
    def helo_names(self) -> dict[str, set[str]]:
        """The names that each client address said in EHLO or HELO."""
        names: dict[str, set[str]] = {}
        for session in self.sessions:
            if session.helo is not None:
                names.setdefault(session.client, set()).add(session.helo)
        return names

    @property
    def forbidden(self) -> int:
        """How many commands came that a prober must never say."""
        return sum(
            exchange.forbidden for session in self.sessions for exchange in session.exchanges
        )

    def asked(self, verb: str = "RCPT") -> list[tuple[str, Exchange]]:
        """Every command of this verb, with the client address that sent it."""
        return [
            (session.client, exchange)
            for session in self.sessions
            for exchange in session.exchanges
            if exchange.verb == verb
        ]
