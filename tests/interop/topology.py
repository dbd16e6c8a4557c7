"""The street as plain data: hosts, names, mailboxes, and the truth about every line of the lists.

Everything is a name below `example.` (RFC 2606) and an address of 127.0.0.0/8 in a network
namespace of its own. `servers` makes the real servers behave so; the tests hold what is found out
against what is written here.
"""

from __future__ import annotations

from dataclasses import dataclass

# ---------------------------------------------------------------- hosts

RESOLVER = "127.0.0.53"

HOSTS = {
    "ns.street.example": RESOLVER,
    "mx.street.example": "127.0.2.1",
    "backup.street.example": "127.0.2.2",
    "dead.street.example": "127.0.2.9",
    "probe1.prober.example": "127.0.1.1",
    "probe2.prober.example": "127.0.1.2",
}
"""Each with an address record and a name for its address."""

EXCHANGER, BACKUP, DEAD = "mx.street.example", "backup.street.example", "dead.street.example"
"""Postfix; the same Postfix without STARTTLS; nobody listens."""

SOURCES = {
    "127.0.1.1": "probe1.prober.example",
    "127.0.1.2": "probe2.prober.example",
}
"""The prober's own addresses, each with its HELO name."""

REVERSE_PATH = "probe@prober.example"

# ---------------------------------------------------------------- domains

MX: dict[str, dict[str, int]] = {
    "boxes.example": {EXCHANGER: 10},
    "catchall.example": {EXCHANGER: 10},
    "xn--mnchen-3ya.example": {EXCHANGER: 10},  # münchen.example
    "elsewhere.example": {EXCHANGER: 10},  # which does not serve it
    "fallback.example": {DEAD: 10, BACKUP: 20},
    "nomail.example": {".": 0},  # null MX, RFC 7505
    "prober.example": {EXCHANGER: 10},
}
"""The domains with MX records: exchanger and preference."""

ADDRESSED = {"implicit.example": HOSTS[EXCHANGER]}
"""The domains with an address but no MX record: the address is the exchanger."""

BARE = ("bare.example",)
"""The domains with neither. All other names do not exist at all."""

# ---------------------------------------------------------------- mailboxes

MAILBOXES = (
    "postmaster@boxes.example",
    "ann@boxes.example",
    "bob@boxes.example",
    "o'neil@boxes.example",
    "jürg@boxes.example",
    "full@boxes.example",
    "disabled@boxes.example",
    "@catchall.example",  # all of them
    "ann@xn--mnchen-3ya.example",
    "ann@fallback.example",
    "ann@implicit.example",
    "probe@prober.example",
)
"""All that there are; their domains are those that Postfix serves."""

REFUSALS = {
    "full@boxes.example": "452 4.2.2 Mailbox full",
    "disabled@boxes.example": "550 5.2.1 Mailbox disabled, not accepting messages",
}
"""Mailboxes that are there and take nothing."""

REPLIES = {
    EXCHANGER: {
        "ann@boxes.example": "250 2.1.5 Ok",
        "ann+news@boxes.example": "250 2.1.5 Ok",
        "nobody@boxes.example": "550 5.1.1 <nobody@boxes.example>: Recipient address rejected: "
        "User unknown in virtual mailbox table",
        "full@boxes.example": "452 4.2.2 <full@boxes.example>: Recipient address rejected: "
        "Mailbox full",
        "disabled@boxes.example": "550 5.2.1 <disabled@boxes.example>: Recipient address "
        "rejected: Mailbox disabled, not accepting messages",
        "whoever@catchall.example": "250 2.1.5 Ok",
        "ann@xn--mnchen-3ya.example": "250 2.1.5 Ok",
        "nobody@xn--mnchen-3ya.example": "550 5.1.1 <nobody@xn--mnchen-3ya.example>: Recipient "
        "address rejected: User unknown in virtual mailbox table",
        "ann@elsewhere.example": "454 4.7.1 <ann@elsewhere.example>: Relay access denied",
        "ann@implicit.example": "250 2.1.5 Ok",
    },
    BACKUP: {
        "ann@fallback.example": "250 2.1.5 Ok",
        "nobody@fallback.example": "550 5.1.1 <nobody@fallback.example>: Recipient address "
        "rejected: User unknown in virtual mailbox table",
    },
}
"""What the exchangers say to RCPT, word for word."""

# ---------------------------------------------------------------- lists


@dataclass(frozen=True)
class Line:
    """One line of a list, and what has to be found out about it."""

    text: str
    verdict: str
    reason: str


def _alive(text: str) -> Line:
    return Line(text, "deliverable", "accepted")


def _dead(text: str) -> Line:
    return Line(text, "undeliverable", "no_such_mailbox")


def _malformed(text: str) -> Line:
    return Line(text, "undeliverable", "invalid_address")


CATCH_ALL = "risky", "catch_all"
FULL = "risky", "mailbox_full"
UNCONFIRMED = "risky", "unconfirmed"
DISABLED = "undeliverable", "mailbox_disabled"
NO_MAIL = "undeliverable", "no_mail"
NO_DOMAIN = "undeliverable", "no_such_domain"

LIST: tuple[Line | str, ...] = (
    "# What is there, what is not, and what only looks like an address.",
    "",
    _alive("ann@boxes.example"),
    _dead("nobody@boxes.example"),
    _alive("bob@boxes.example"),
    _alive("postmaster@boxes.example"),
    _alive("o'neil@boxes.example"),
    _alive("ann+news@boxes.example"),
    _alive("jürg@boxes.example"),
    Line("full@boxes.example", *FULL),
    Line("disabled@boxes.example", *DISABLED),
    "   ",
    "# More of the dead than Postfix hears of in one session without getting slow.",
    *(_dead(f"nobody{number}@boxes.example") for number in range(1, 15)),
    _dead('"no body"@boxes.example'),
    "# The same again: once as it was, once in capitals, once with a name in front.",
    _alive("ann@boxes.example"),
    _alive("ANN@Boxes.EXAMPLE"),
    _alive("Ann Example <ann@boxes.example>"),
    _alive('"Example, Bob" <bob@boxes.example>'),
    _dead("nobody@boxes.example"),
    _dead("Nobody <nobody1@boxes.example>"),
    "# Domains of other tempers.",
    Line("whoever@catchall.example", *CATCH_ALL),
    Line("whatever@catchall.example", *CATCH_ALL),
    _alive("ann@münchen.example"),
    _dead("nobody@münchen.example"),
    _alive("ann@xn--mnchen-3ya.example"),
    _alive("ann@implicit.example"),
    _dead("nobody@implicit.example"),
    Line("ann@fallback.example", *UNCONFIRMED),
    _dead("nobody@fallback.example"),
    Line("ann@nomail.example", *NO_MAIL),
    Line("ann@bare.example", *NO_DOMAIN),
    Line("ann@nowhere.example", *NO_DOMAIN),
    Line("ann@no.where.at.all", *NO_DOMAIN),
    "# No addresses.",
    _malformed("no-at-sign"),
    _malformed("two@@boxes.example"),
    _malformed(".ann@boxes.example"),
    _malformed("ann@boxes..example"),
    _malformed("ann smith@boxes.example"),
)
"""The list without columns: its lines, and between them what is to be skipped."""

COLUMNS = ("id", "Name", "E-Mail", "note")

TABLE: tuple[tuple[tuple[str, str], Line, str], ...] = (
    (("7", "Example, Ann"), _alive("ann@boxes.example"), "first"),
    (("7", "Nobody"), _dead("nobody20@boxes.example"), ""),
    (("9", "Jürg “Full” Exämple"), Line("full@boxes.example", *FULL), "a, b"),
    (("", ""), Line("someone@catchall.example", *CATCH_ALL), '"quoted"'),
    (("11", "=1+1"), Line("ann@nowhere.example", *NO_DOMAIN), " kept as it is "),
    (("12", "Broken"), _malformed("broken"), "-"),
)
"""The list with columns: the user's cells before the address, its line, and the cell behind."""
