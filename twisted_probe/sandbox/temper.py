"""A temper: how an exchanger answers, written down as data.

Knows the words of one exchanger; the order of commands is `visit`'s, what depends on more than
the command in hand is a habit's (`habits`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from twisted_probe.sandbox.answers import Answer, Says, Then, answer_of
from twisted_probe.sandbox.certificates import Certificate

if TYPE_CHECKING:
    from twisted_probe.sandbox.visit import Command, Visit

#: A habit sees the answer that is about to be given and returns it, or another. Habits are asked
#: in order, for the greeting too, and the last one has the last word. They are values: what they
#: remember over sessions stands in `Visit.memory`.
Habit = Callable[["Visit", "Command", Answer], Answer]


@frozen(kw_only=True)
class Temper:
    """How one exchanger answers. The defaults are a Postfix in its usual words.

    `greeting`, `helo`, `mail`, `accepted`: the answers to a connection, HELO, MAIL and a RCPT
    that is taken. `ehlo`: the answer to EHLO; None for a 250 with the `keywords`.
    `mailboxes`: local part in lower case → answer, None for `accepted`.
    `unknown`: the answer for every other local part; None for `accepted`, a catch-all.
    `domains`: those it serves, in lower case; empty for all. `relay`: the answer for others.
    `starttls`: the answer to STARTTLS where the `keywords` have it, behind which a 220 is
    followed by a handshake with the certificate `tls`; without one it is not.
    `encrypted`: how it answers from then on; None for as before, without STARTTLS. `unasked`:
    what it says as soon as TLS stands.
    `habits`: what is asked after all that.
    """

    greeting: Says = "220 {host} ESMTP Postfix"
    ehlo: Says | None = None
    keywords: tuple[str, ...] = ("PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME")
    helo: Says = "250 {host}"
    mail: Says = "250 2.1.0 Ok"
    accepted: Says = "250 2.1.5 Ok"
    mailboxes: Mapping[str, Says | None] = field(factory=dict)
    unknown: Says | None = (
        "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in virtual mailbox table"
    )
    domains: frozenset[str] = frozenset()
    relay: Says = "554 5.7.1 <{recipient}>: Relay access denied"
    starttls: Says = "220 2.0.0 Ready to start TLS"
    tls: Certificate | None = None
    encrypted: Temper | None = None
    unasked: Says | None = None
    habits: tuple[Habit, ...] = ()

    def under_tls(self) -> Temper:
        """How it answers behind the handshake."""
        if self.encrypted is not None:
            return self.encrypted
        return evolve(self, keywords=tuple(each for each in self.keywords if each != "STARTTLS"))

    def answer_to_starttls(self) -> Answer:
        """The answer to STARTTLS, and whether a handshake follows."""
        answer = answer_of(self.starttls)
        if answer.is_positive and self.tls is not None:
            return evolve(answer, then=Then.SHAKE)
        return answer

    def knows(self, keyword: str) -> bool:
        """Whether it offers this keyword in EHLO."""
        return any(offered.split()[0] == keyword for offered in self.keywords)

    def answer_to_ehlo(self) -> Answer:
        """The answer to EHLO."""
        if self.ehlo is not None:
            return answer_of(self.ehlo)
        return Answer("\n".join(("250 {host}", *self.keywords)))

    def answer_to_recipient(self, recipient: str) -> Answer:
        """The answer to RCPT for this address, of an open transaction."""
        local, _, domain = recipient.rpartition("@")
        if self.domains and domain.lower() not in self.domains:
            return answer_of(self.relay)
        says = self.mailboxes.get(_unquoted(local or recipient).lower(), self.unknown)
        return answer_of(self.accepted if says is None else says)


def residents(names: str, **others: Says) -> dict[str, Says | None]:
    """Mailboxes: the `names`, parted by spaces, are taken; the `others` have answers of their own.

    An underscore in a keyword stands for a full stop.
    """
    taken: dict[str, Says | None] = dict.fromkeys(names.split())
    return taken | {name.replace("_", "."): says for name, says in others.items()}


def _unquoted(local: str) -> str:
    if len(local) < 2 or not (local.startswith('"') and local.endswith('"')):
        return local
    kept = iter(local[1:-1])
    return "".join(next(kept, "") if character == "\\" else character for character in kept)
