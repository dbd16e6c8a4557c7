"""A finding: what one reply says, and about whom.

Knows the fourteen labels and whom each speaks of; not how a reply is read (`verdict.classify`)
nor what becomes of it (`verdict.judge`).
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Subject(str, Enum):
    """Whom a reply speaks of. Only the recipient and the domain may end as undeliverable."""

    RECIPIENT = "recipient"
    DOMAIN = "domain"
    SOURCE = "source"
    SENDER = "sender"
    SITE = "site"
    NETWORK = "network"
    US = "us"


class Label(str, Enum):
    """What a reply says."""

    ACCEPTED = "accepted"
    NO_SUCH_MAILBOX = "no_such_mailbox"
    MAILBOX_DISABLED = "mailbox_disabled"
    MAILBOX_FULL = "mailbox_full"
    GREYLISTED = "greylisted"
    BLOCKLISTED = "blocklisted"
    SENDER_REFUSED = "sender_refused"
    POLICY = "policy"
    RATE_LIMITED = "rate_limited"
    RELAY_DENIED = "relay_denied"
    NO_SUCH_DOMAIN = "no_such_domain"
    TEMPORARY = "temporary"
    PROTOCOL = "protocol"
    UNKNOWN = "unknown"

    @property
    def subject(self) -> Subject:
        """Whom this label speaks of, unless a rule says otherwise."""
        return _SUBJECTS[self]


_SUBJECTS = {
    Label.ACCEPTED: Subject.RECIPIENT,
    Label.NO_SUCH_MAILBOX: Subject.RECIPIENT,
    Label.MAILBOX_DISABLED: Subject.RECIPIENT,
    Label.MAILBOX_FULL: Subject.RECIPIENT,
    Label.GREYLISTED: Subject.SITE,
    Label.BLOCKLISTED: Subject.SOURCE,
    Label.SENDER_REFUSED: Subject.SENDER,
    Label.POLICY: Subject.SITE,
    Label.RATE_LIMITED: Subject.SITE,
    Label.RELAY_DENIED: Subject.DOMAIN,
    Label.NO_SUCH_DOMAIN: Subject.DOMAIN,
    Label.TEMPORARY: Subject.SITE,
    Label.PROTOCOL: Subject.US,
    Label.UNKNOWN: Subject.SITE,
}


@frozen
class Finding:
    """What one reply says (`label`), about whom (`subject`), and which `rule` said so.

    `explicit` is true where the reply's own words or enhanced code decide; a finding that rests
    on the code alone is vague, and a vague refusal never makes an address dead by itself.
    """

    label: Label
    subject: Subject
    rule: str
    explicit: bool = True
