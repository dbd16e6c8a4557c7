"""Tempers of exchangers that are out there, ready to use; what they say was seen or documented.

Knows words and settings only. Each function takes who lives there and gives a `Temper`; for
another shade of one, `attrs.evolve` it.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted_probe.sandbox.answers import Answer, Says
from twisted_probe.sandbox.habits import (
    Blocks,
    DropsAfter,
    Greylists,
    LimitsErrors,
    LimitsRecipients,
    RefusesPipelining,
)
from twisted_probe.sandbox.temper import Habit, Temper
from twisted_probe.vocabulary.reply import Stage

Mailboxes = Mapping[str, Says | None]

#: A mailbox over its quota, and one that was switched off, as Postfix passes them on.
FULL = "452 4.2.2 <{recipient}>: Recipient address rejected: Mailbox is full"
DISABLED = "550 5.2.1 <{recipient}>: Recipient address rejected: Mailbox disabled"


def postfix(mailboxes: Mailboxes, *habits: Habit) -> Temper:
    """Postfix with its error limits; known mailboxes, `User unknown` for all others."""
    return Temper(
        greeting="220 {host} ESMTP Postfix (Debian/GNU)",
        mailboxes=mailboxes,
        habits=(*habits, LimitsErrors()),
    )


def exim(mailboxes: Mailboxes) -> Temper:
    """Exim: no enhanced codes, a multi-line greeting, `Unrouteable address`."""
    return Temper(
        greeting="220 {host} ESMTP Exim 4.96\nNo unsolicited bulk mail, please.",
        keywords=("SIZE 52428800", "8BITMIME", "PIPELINING", "HELP"),
        helo="250 {host} Hello {helo} [{client}]",
        mail="250 OK",
        accepted="250 Accepted",
        mailboxes=mailboxes,
        unknown="550 Unrouteable address",
    )


def old(mailboxes: Mailboxes) -> Temper:
    """A host of before ESMTP: knows HELO only, and ends a session that does not wait."""
    return Temper(
        greeting="220 {host} Simple Mail Transfer Service Ready",
        ehlo="500 Command unrecognized",
        keywords=(),
        helo="250 {host} Hello {helo}, pleased to meet you",
        mail="250 <{sender}>... Sender ok",
        accepted="250 <{recipient}>... Recipient ok",
        mailboxes=mailboxes,
        unknown="550 <{recipient}>... User unknown",
        habits=(RefusesPipelining(),),
    )


def catch_all() -> Temper:
    """Takes every recipient."""
    return Temper(unknown=None)


def greylisting(mailboxes: Mailboxes, delay: float = 300.0) -> Temper:
    """Postfix behind postgrey: every new triplet waits for `delay` seconds."""
    return postfix(mailboxes, Greylists(delay))


def blocking(mailboxes: Mailboxes, *clients: str, stage: Stage = Stage.RCPT) -> Temper:
    """Refuses these clients at that stage, because Spamhaus lists them."""
    return postfix(mailboxes, Blocks(frozenset(clients), stage))


def small_transactions(mailboxes: Mailboxes, most: int) -> Temper:
    """Takes no more than `most` recipients in a transaction."""
    return postfix(mailboxes, LimitsRecipients(most))


def relay_denying() -> Temper:
    """Does not serve the domain that points to it."""
    return Temper(unknown="554 5.7.1 <{recipient}>: Relay access denied")


def sender_refusing() -> Temper:
    """Refuses our reverse-path."""
    return Temper(mail="550 5.1.8 <{sender}>: Sender address rejected: Domain not found")


def vague() -> Temper:
    """Refuses everybody in the same words that say nothing."""
    return Temper(keywords=("PIPELINING",), mail="250 Ok", unknown="550 Rejected")


def turning_away() -> Temper:
    """Greets with a 554: no service here, or none for us."""
    return Temper(greeting="554 {host} No SMTP service here")


def rate_limiting() -> Temper:
    """Greets with a 421: we are too many or too fast."""
    return Temper(greeting="421 4.7.0 {host} Error: too many connections from {client}")


def troubled() -> Temper:
    """Has trouble of its own and answers every recipient 451."""
    return Temper(unknown="451 4.3.0 <{recipient}>: Temporary lookup failure")


def dropping(commands: int = 2) -> Temper:
    """Answers this many commands and hangs up."""
    return Temper(habits=(DropsAfter(commands),))


def not_smtp() -> Temper:
    """Speaks another protocol on the port."""
    return Temper(
        greeting=Answer(raw=(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",)),
        habits=(DropsAfter(0),),
    )
