"""Outcomes as a prober gives them, made up.

Knows what usually stands in an outcome of each reason; every field can be given another value.
"""

from __future__ import annotations

from typing import Any

from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Stage

#: The moment of made-up outcomes: 2027-01-15T08:00:00Z.
NOW = 1_800_000_000.0
SOURCE = "198.51.100.10"
HELO = "probe1.example.org"
REVERSE_PATH = "probe@example.org"
EXCHANGER_ADDRESS = "192.0.2.25"

#: What an exchanger usually says to RCPT: code, enhanced code, words.
_REPLIES = {
    Reason.ACCEPTED: (250, "2.1.5", "Ok"),
    Reason.CATCH_ALL: (250, "2.1.5", "Ok"),
    Reason.UNCONFIRMED: (252, "2.1.5", "Cannot verify the user"),
    Reason.MAILBOX_FULL: (452, "4.2.2", "Mailbox is full"),
    Reason.NO_SUCH_MAILBOX: (550, "5.1.1", "User unknown"),
    Reason.MAILBOX_DISABLED: (550, "5.2.1", "Mailbox disabled"),
    Reason.RELAY_DENIED: (554, "5.7.1", "Relay access denied"),
    Reason.GREYLISTED: (450, "4.2.0", "Greylisted, come again later"),
    Reason.RATE_LIMITED: (451, "4.7.1", "Too many recipients from you"),
    Reason.TEMPORARY: (451, "4.3.0", "Temporary failure"),
    Reason.BLOCKLISTED: (554, "5.7.1", f"Client host [{SOURCE}] blocked"),
    Reason.SENDER_REFUSED: (550, "5.1.8", "Sender address rejected"),
    Reason.POLICY: (550, "5.7.1", "Rejected by policy"),
    Reason.REJECTS_EVERYONE: (550, None, "Rejected"),
}
#: Where nobody was asked, and why.
_NOBODY_ASKED = {
    Reason.INVALID_ADDRESS: "it has no @",
    Reason.NO_SUCH_DOMAIN: "the domain does not exist",
    Reason.NO_MAIL: "the domain takes no mail (null MX)",
    Reason.DNS_ERROR: "no usable answer from the DNS (SERVFAIL)",
    Reason.FORBIDDEN_EXCHANGER: "never dialled: mx at 10.0.0.1 (private)",
    Reason.SOURCE_UNAVAILABLE: "no source may talk to an exchanger of this domain",
}
_CATCH_ALL = {Reason.ACCEPTED: False, Reason.NO_SUCH_MAILBOX: False, Reason.CATCH_ALL: True}


def outcome(address: str, reason: Reason = Reason.ACCEPTED, **fields: Any) -> Outcome:
    """The last word on `address`, as it usually looks. `fields` are those of `Outcome`."""
    code, enhanced, text = _REPLIES.get(reason, (None, None, _NOBODY_ASKED.get(reason)))
    made: dict[str, Any] = {
        "address": address,
        "reason": reason,
        "catch_all": _CATCH_ALL.get(reason),
        "stage": None if code is None else Stage.RCPT,
        "code": code,
        "enhanced": enhanced,
        "text": text,
        "attempts": 1,
        "first_attempt_at": fields.get("checked_at", NOW),
        "checked_at": NOW,
    }
    if reason not in _NOBODY_ASKED:
        made |= {
            "exchanger": f"mx.{address.rpartition('@')[2]}",
            "exchanger_address": EXCHANGER_ADDRESS,
            "source": SOURCE,
            "helo": HELO,
        }
    return Outcome(**{**made, **fields})


def later(
    address: str, reason: Reason = Reason.GREYLISTED, *, after: float = 300.0, **fields: Any
) -> Outcome:
    """An outcome that is not final: it is to be asked again `after` seconds, with its `retry`."""
    made = outcome(address, reason, **fields)
    assert made.first_attempt_at is not None
    return outcome(
        address,
        reason,
        **{
            "final": False,
            "next_attempt_at": made.checked_at + after,
            "retry": Retry(
                source=made.source,
                helo=made.helo,
                reverse_path=REVERSE_PATH,
                control="k3qz7m2x9w4v8t5r6p",
                attempts=made.attempts,
                first_attempt_at=made.first_attempt_at,
            ),
            **fields,
        },
    )
