"""The street as plain data: hosts, names, mailboxes, and the truth about every line of the lists.

Everything is a name below `example.` (RFC 2606) and an address of 127.0.0.0/8 or fd00::/8 in a
network namespace of its own. `servers` makes the real servers behave so; the tests hold what is
found out against what is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# ---------------------------------------------------------------- hosts

RESOLVER, AUTHORITY = "127.0.0.53", "127.0.0.54"
"""dnsdist, whom all ask; nsd behind it, who knows the names."""

OPENSMTPD, CHASQUID = "open.street.example", "chasquid.street.example"
SENDMAIL = "sm.street.example"

EXCHANGER, BACKUP, DEAD = "mx.street.example", "backup.street.example", "dead.street.example"
"""Postfix; the same Postfix without STARTTLS; nobody listens."""

_POSTFIX = (
    (EXCHANGER, "127.0.2.1", "refuses who has no name; a certificate without any name"),
    (BACKUP, "127.0.2.2", "the second best of a domain"),
    ("plain.street.example", "127.0.2.10", "nothing but what Postfix ships with"),
    ("strict.street.example", "127.0.2.11", "all that can be asked of a client, and at once"),
    ("good.street.example", "127.0.2.12", "TLS: a certificate of the street's authority"),
    ("wrong.street.example", "127.0.2.13", "TLS: one for another name"),
    ("expired.street.example", "127.0.2.14", "TLS: one of long ago"),
    ("selfsigned.street.example", "127.0.2.15", "TLS: a self-signed one"),
    ("tlsonly.street.example", "127.0.2.16", "takes no mail without TLS"),
    ("deep.street.example", "127.0.2.17", "postscreen, with the tests behind the greeting"),
    ("listed.street.example", "127.0.2.18", "postscreen, which asks a block list"),
    ("verify.street.example", "127.0.2.19", "asks behind each recipient; 450 for the unknown"),
    ("sure.street.example", "127.0.2.20", "asks behind each recipient; 550 for the unknown"),
    ("stress.street.example", "127.0.2.21", "stress=yes: the first error is the last"),
    ("few.street.example", "127.0.2.22", "five recipients in a transaction"),
    ("rate.street.example", "127.0.2.23", "one connection in five seconds from an address"),
    ("helo.street.example", "127.0.2.24", "refuses our HELO names"),
    ("nosender.street.example", "127.0.2.25", "refuses our reverse-path"),
    ("ascii.street.example", "127.0.2.26", "without SMTPUTF8"),
    ("grey.street.example", "127.0.2.27", "postgrey, two seconds"),
    ("norelay.street.example", "127.0.2.28", "refuses to relay for good, not for now"),
    ("sender.street.example", "127.0.2.29", "asks behind each reverse-path; 550 for the unknown"),
    ("crowd.street.example", "127.0.2.30", "five recipients in five seconds from an address"),
    ("gate.street.example", "127.0.2.31", "knows no mailboxes, and takes them all"),
    ("later.street.example", "127.0.2.32", "puts everybody off"),
    ("footer.street.example", "127.0.2.33", "says with each refusal whom to call, and from where"),
)
_EXIM = (
    ("exim.street.example", "127.0.3.1", "GnuTLS, callouts, ten recipients in a transaction"),
    ("hello.street.example", "127.0.3.2", "refuses EHLO and HELO"),
    ("slow.street.example", "127.0.3.3", "a second for the greeting and each recipient"),
    ("castor.street.example", "127.0.3.4", "one of two for the same domains, and as slow"),
    ("pollux.street.example", "127.0.3.5", "the other"),
    ("single.street.example", "127.0.3.9", "another one: a single connection at a time"),
)
_OTHERS = (
    (OPENSMTPD, "127.0.4.1", "Debian 12's, whose handshakes all fail"),
    (CHASQUID, "127.0.4.2", "three errors in a session"),
    (SENDMAIL, "127.0.4.3", "as it comes"),
)

POSTFIX = {name: address for name, address, _ in _POSTFIX}
"""One Postfix, many tempers."""

EXIM = {name: address for name, address, _ in _EXIM}

TWINS = "castor.street.example", "pollux.street.example"
"""Two exchangers of the same domains, neither of them preferred: one site."""

CROWDED = (*TWINS, "slow.street.example", "single.street.example")
"""Where more sessions are wanted than may be."""

TWINNED = tuple(f"twins{number}.example" for number in range(1, 13))
"""Their domains: three times as many as a site may be asked about at once."""

TEMPERS = {name: words for name, _, words in (*_POSTFIX, *_EXIM, *_OTHERS)}
"""All who listen, and what is particular about each."""

SIX = "six.street.example"
"""A name of plain.street.example that has no IPv4 address."""

SOURCES = {
    "127.0.1.1": "probe1.prober.example",
    "127.0.1.2": "probe2.prober.example",
}
"""The prober's own addresses, each with its HELO name."""

LISTED, NAMELESS = "127.0.1.3", "127.0.1.4"
"""One that stands on the street's block list; one whose address has no name."""

ALL_SOURCES = {
    **SOURCES,
    LISTED: "probe3.prober.example",
    NAMELESS: "probe4.prober.example",
}

SIX_SOURCES = {
    "fd00:1::1": "probe5.prober.example",
    "fd00:1:0:1::1": "probe6.prober.example",
}

HOSTS = {
    "ns.street.example": RESOLVER,
    DEAD: "127.0.2.9",
    **POSTFIX,
    **EXIM,
    **{name: address for name, address, _ in _OTHERS},
    **{name: address for address, name in ALL_SOURCES.items()},
}
"""Each with an address record, and, but for the nameless one, a name for its address."""

HOSTS_SIX = {
    "plain.street.example": "fd00:2::10",
    SIX: "fd00:2::10",
    **{name: address for address, name in SIX_SOURCES.items()},
}

BLOCK_LIST = "dnsbl.street.example"

REVERSE_PATH = "probe@prober.example"

FORGED, HOMELESS = "absent@prober.example", "probe@nowhere.example"
"""Reverse-paths that nobody has: one in a domain that there is, one in none."""

# ---------------------------------------------------------------- domains

MX: dict[str, dict[str, int]] = {
    "boxes.example": {EXCHANGER: 10},
    "catchall.example": {EXCHANGER: 10},
    "xn--mnchen-3ya.example": {EXCHANGER: 10},  # münchen.example
    "elsewhere.example": {EXCHANGER: 10},  # which does not serve it
    "fallback.example": {DEAD: 10, BACKUP: 20},
    "nomail.example": {".": 0},  # null MX, RFC 7505
    "prober.example": {EXCHANGER: 10},
    "forbidden.example": {"inside.example": 10, "metadata.example": 20},
    "halfway.example": {"inside.example": 10, "plain.street.example": 20},
    "thirty.example": {
        "plain.street.example": 1,
        # More than one packet of UDP holds.
        **{f"exchanger-number-{number}.thirty.example": 50 for number in range(2, 31)},
    },
    "void.example": {"nowhere.example": 10},
    "literal.example": {HOSTS["plain.street.example"]: 10},
    "notonlynull.example": {".": 0, "plain.street.example": 10},
    "renamed.example": {"oldname.street.example": 10},
    "closed.example": {DEAD: 10},
    **dict.fromkeys(TWINNED, dict.fromkeys(TWINS, 10)),
    "sixonly.example": {SIX: 10},
    "servfail.example": {"plain.street.example": 10},
    "refused.example": {"plain.street.example": 10},
    "lazy.example": {"plain.street.example": 10},
    "dropped.example": {"plain.street.example": 10},
}
"""The domains with MX records: exchanger and preference. Those of `STREET` are added below."""

ADDRESSED = {
    "implicit.example": HOSTS[EXCHANGER],
    "inside.example": "10.1.2.3",
    "metadata.example": "169.254.169.254",
}
"""The names with an address but no MX record: as domains, the address is the exchanger."""

BARE = ("bare.example",)
"""The domains with neither. All other names do not exist at all."""

CNAMES = {"alias.example": "plain.example", "oldname.street.example": "plain.street.example"}

ODD_ANSWERS = {
    "servfail.example": "SERVFAIL",
    "refused.example": "REFUSED",
    "lazy.example": "slow",  # two seconds and a half: the first question goes unanswered
    "dropped.example": "dropped",
}
"""What dnsdist does with questions about these, instead of asking nsd."""

# ---------------------------------------------------------------- mailboxes

MAILBOXES = (
    "postmaster@boxes.example",
    "ann@boxes.example",
    "bob@boxes.example",
    "o'neil@boxes.example",
    "jürg@boxes.example",
    "full@boxes.example",
    "disabled@boxes.example",
    "stuffed@boxes.example",
    "moved@boxes.example",
    "@catchall.example",  # all of them
    "ann@xn--mnchen-3ya.example",
    "ann@fallback.example",
    "ann@implicit.example",
    "probe@prober.example",
    "somebody@gate.example",
    "somebody@later.example",
    "ann@halfway.example",
    "ann@sixonly.example",
)
"""Those of the first lists; their domains are Postfix's. Those of `STREET` are added below."""

REFUSALS = {
    "full@boxes.example": "452 4.2.2 Mailbox full",
    "disabled@boxes.example": "550 5.2.1 Mailbox disabled, not accepting messages",
    "stuffed@boxes.example": "552 5.2.2 Mailbox is full",  # as Dovecot's quota-status has it
}
"""Mailboxes that are there and take nothing."""

MOVED = {"moved@boxes.example": "somebody@elsewhere.example"}
"""Mailboxes that are somewhere else now."""

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
        "stuffed@boxes.example": "552 5.2.2 <stuffed@boxes.example>: Recipient address rejected: "
        "Mailbox is full",
        "moved@boxes.example": "550 5.1.6 <moved@boxes.example>: Recipient address rejected: "
        "User has moved to somebody@elsewhere.example",
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

# ---------------------------------------------------------------- the whole street

OK = "deliverable", "accepted"
GONE = "undeliverable", "no_such_mailbox"
INVALID = "undeliverable", "invalid_address"
NO_RELAY = "undeliverable", "relay_denied"
LATER = "unknown", "temporary"
SENDER_REFUSED = "unknown", "sender_refused"
ASCII_ONLY = "unknown", "smtputf8_unsupported"
DNS_ERROR = "unknown", "dns_error"
FORBIDDEN = "unknown", "forbidden_exchanger"
REFUSED = "unknown", "refused"
UNREACHABLE = "unknown", "source_unavailable"


@dataclass(frozen=True)
class Domain:
    """A domain of the long list: its exchanger, and what has to be found out of its recipients.

    `there` are its mailboxes and `absent` names that are none: local parts between spaces.
    `others` are names with a truth of their own, which are no mailboxes.
    """

    name: str
    exchanger: str | None = None  # None where `MX` and its kin say so
    there: str = ""
    absent: str = ""
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def lines(self) -> list[Line]:
        """What the list asks of it."""
        truth = {
            **dict.fromkeys(self.there.split(), OK),
            **dict.fromkeys(self.absent.split(), GONE),
            **self.others,
        }
        return [Line(f"{local}@{self.name}", *answer) for local, answer in truth.items()]

    @property
    def mailboxes(self) -> list[str]:
        """What there is."""
        return [f"{local}@{self.name}" for local in self.there.split()]


def _numbered(name: str, count: int) -> str:
    return " ".join(f"{name}{number}" for number in range(1, count + 1))


def _refused(names: str) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(names.split(), SENDER_REFUSED)


LISTING_DOMAINS = tuple(
    Domain(f"listed{number}.example", "listed.street.example", "ann bob", "nobody")
    for number in range(1, 5)
)
"""As many as there are sources, so that each of them knocks there."""

RATING_DOMAINS = tuple(
    Domain(f"rate{number}.example", "rate.street.example", "ann bob", _numbered("nobody", 8))
    for number in range(1, 3)
)
"""More than fit into one session."""

CROWDING_DOMAINS = tuple(
    Domain(f"crowd{number}.example", "crowd.street.example", "ann bob", "nobody")
    for number in range(1, 3)
)
"""More than one source may ask about at once, and each of them less."""

STRICT_DOMAINS = (
    Domain("strict.example", "strict.street.example", "ann bob carl", "nobody nemo"),
    Domain("strict2.example", "strict.street.example", "ann", "nobody"),
)
NAMING_DOMAINS = tuple(
    Domain(f"naming{number}.example", EXCHANGER, "ann", "nobody") for number in (1, 2)
)
"""Those where a source is refused as soon as it knocks; as many as knock."""

FORGING_DOMAINS = (
    Domain("forging.example", "sender.street.example", others=_refused("ann nobody")),
    Domain("forgingexim.example", "exim.street.example", others=_refused("ann nobody")),
)
"""Asked from `FORGED`, which the exchangers look after."""

HOMELESS_DOMAINS = (Domain("homeless.example", EXCHANGER, others=_refused("ann nobody")),)
"""Asked from `HOMELESS`."""

POSTFIX_DOMAINS = (
    Domain(
        "plain.example", "plain.street.example", "ann bob δοκιμή", "nobody nemo", {"-ann": INVALID}
    ),
    Domain("many.example", "plain.street.example", _numbered("box", 12), _numbered("nobody", 22)),
    Domain("alias.example", None, "ann", "nobody"),
    Domain("renamed.example", None, "ann", "nobody"),
    Domain("notonlynull.example", None, "ann", "nobody"),
    Domain("thirty.example", None, "ann", "nobody"),
    Domain("lazy.example", None, "ann", "nobody"),
    Domain("halfway.example", None, "", "nobody", {"ann": UNCONFIRMED}),
    *STRICT_DOMAINS,
    *NAMING_DOMAINS,
    Domain("good.example", "good.street.example", "ann bob", "nobody"),
    Domain("wrong.example", "wrong.street.example", "ann bob", "nobody"),
    Domain("expired.example", "expired.street.example", "ann bob", "nobody"),
    Domain("selfsigned.example", "selfsigned.street.example", "ann bob", "nobody"),
    Domain("tlsonly.example", "tlsonly.street.example", "ann bob", "nobody"),
    Domain("deep.example", "deep.street.example", "ann bob carl", "nobody nemo"),
    *LISTING_DOMAINS,
    Domain("verify.example", "verify.street.example", "ann", "nobody"),
    Domain("sure.example", "sure.street.example", "ann bob", "nobody nemo"),
    Domain("stress.example", "stress.street.example", "ann bob", "nobody nemo nihil"),
    Domain("few.example", "few.street.example", _numbered("box", 12), "nobody nemo"),
    *RATING_DOMAINS,
    Domain("helo.example", "helo.street.example", others={"ann": SENDER_REFUSED}),
    Domain("nosender.example", "nosender.street.example", others={"ann": SENDER_REFUSED}),
    Domain("ascii.example", "ascii.street.example", "ann", "nobody", {"jürg": ASCII_ONLY}),
    Domain("grey.example", "grey.street.example", "ann bob carl", "nobody nemo"),
    Domain("sender.example", "sender.street.example", "ann", "nobody"),
    *CROWDING_DOMAINS,
    Domain(
        "gate.example", "gate.street.example", others=dict.fromkeys(("ann", "nobody"), CATCH_ALL)
    ),
    Domain("footer.example", "footer.street.example", "ann bob", "nobody nemo"),
    Domain("later.example", "later.street.example", others={"ann": LATER, "nobody": LATER}),
    FORGING_DOMAINS[0],
    *HOMELESS_DOMAINS,
)
EXIM_DOMAINS = (
    Domain("exim.example", "exim.street.example", "ann bob carl", _numbered("nobody", 14)),
    Domain("manyexim.example", "exim.street.example", _numbered("box", 14), "nobody"),
    Domain("deferred.example", "exim.street.example", others={"ann": LATER, "nobody": LATER}),
    Domain("callout.example", "exim.street.example", "ann bob", "nobody nemo"),
    Domain("callback.example", "exim.street.example", "ann", "nobody"),
    FORGING_DOMAINS[1],
    Domain("nobodybehind.example", "exim.street.example", others={"ann": LATER, "nobody": LATER}),
    Domain("hello.example", "hello.street.example", others={"ann": SENDER_REFUSED}),
    Domain("slow.example", "slow.street.example", "ann bob", "nobody"),
    # More than may be asked at once.
    *(Domain(f"slow{n}.example", "slow.street.example", "ann", "nobody") for n in range(2, 8)),
    *(Domain(name, None, "ann", "nobody") for name in TWINNED),
    *(Domain(f"single{n}.example", "single.street.example", "ann", "nobody") for n in range(1, 4)),
)
OPENSMTPD_DOMAINS = (Domain("open.example", OPENSMTPD, "ann bob carl", "nobody nemo nihil"),)
CHASQUID_DOMAINS = (Domain("chasquid.example", CHASQUID, "ann bob carl", _numbered("nobody", 5)),)
SENDMAIL_DOMAINS = (Domain("sendmail.example", SENDMAIL, "ann bob carl", _numbered("nobody", 5)),)
ODD_DOMAINS = (
    Domain("catchall.example", others=dict.fromkeys(("who", "ever", "asks"), CATCH_ALL)),
    Domain("elsewhere.example", others={"ann": LATER}),
    Domain("nowhere2.example", "norelay.street.example", others={"ann": NO_RELAY}),
    Domain("fallback.example", others={"ann": UNCONFIRMED, "nobody": GONE}),
    Domain("implicit.example", others={"ann": OK, "nobody": GONE}),
    Domain("münchen.example", others={"ann": OK, "nobody": GONE}),
    Domain(
        "boxes.example",
        others={
            **dict.fromkeys(("ann", "bob", "o'neil", "jürg"), OK),
            "nobody": GONE,
            "full": FULL,
            "disabled": DISABLED,
            "stuffed": FULL,
            "moved": DISABLED,
        },
    ),
    Domain("nomail.example", others={"ann": NO_MAIL}),
    Domain("bare.example", others={"ann": NO_DOMAIN}),
    Domain("nowhere.example", others={"ann": NO_DOMAIN}),
    Domain("void.example", others={"ann": NO_DOMAIN}),
    Domain("literal.example", others={"ann": NO_DOMAIN}),
    Domain("forbidden.example", others={"ann": FORBIDDEN, "bob": FORBIDDEN}),
    Domain("closed.example", others={"ann": REFUSED}),
    Domain("sixonly.example", others={"ann": UNREACHABLE}),
    Domain("servfail.example", others={"ann": DNS_ERROR}),
    Domain("refused.example", others={"ann": DNS_ERROR}),
    Domain("dropped.example", others={"ann": DNS_ERROR}),
)
BEHIND = "callout.example"
"""The domain that Exim passes on to plain.street.example, and asks there who is known."""

STREET = (
    *POSTFIX_DOMAINS,
    *EXIM_DOMAINS,
    *OPENSMTPD_DOMAINS,
    *CHASQUID_DOMAINS,
    *SENDMAIL_DOMAINS,
    *ODD_DOMAINS,
)
MX.update({each.name: {each.exchanger: 10} for each in STREET if each.exchanger is not None})

EXCEPTIONS = {"ann@verify.example": UNCONFIRMED, "nobody@verify.example": LATER}
"""What is found out instead of the truth, where an exchanger does not own to it."""

WHY = {
    "ann@verify.example": "accepted, as everybody else may be: of the random recipient\n"
    "  Postfix says 450 to the end (unverified_recipient_reject_code), neither yes nor no.",
    "nobody@verify.example": "refused with 450 to the end, which is never the end of\n  a mailbox.",
}

# ---------------------------------------------------------------- TLS

TLS = {
    "good.street.example": None,
    "tlsonly.street.example": None,
    "exim.street.example": None,  # GnuTLS
    CHASQUID: None,  # Go
    "wrong.street.example": "it is for right.street.example, not for wrong.street.example",
    "expired.street.example": "it expired on 2020-05-02",
    "selfsigned.street.example": "it is self-signed",
    EXCHANGER: "it is self-signed; it names no host, and a common name does not count",
}
"""Those with whom a handshake comes to its end, and what is wrong with their certificates."""
