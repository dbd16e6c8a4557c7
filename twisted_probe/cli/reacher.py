"""An outcome in the form of check-if-email-exists (Reacher), for programs that read that.

Knows what each reason is called there (docs/reacher.rst); nothing is claimed that the outcome
does not say: what is unknown is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from twisted_probe.vocabulary.address import AddressError, parse_address
from twisted_probe.vocabulary.outcome import Reason, Verdict


@frozen
class Mailbox:
    """What a reason says of the mailbox."""

    is_deliverable: bool | None = None
    has_full_inbox: bool | None = None
    is_disabled: bool | None = None


_ABSENT = Mailbox(is_deliverable=False, has_full_inbox=False, is_disabled=False)
_NOT_TAKEN = Mailbox(is_deliverable=False)

#: Every reason; None where there is an error in the mailbox's place.
MAILBOXES: dict[Reason, Mailbox | None] = {
    Reason.ACCEPTED: Mailbox(is_deliverable=True, has_full_inbox=False, is_disabled=False),
    Reason.CATCH_ALL: Mailbox(),
    Reason.MAILBOX_FULL: Mailbox(is_deliverable=False, has_full_inbox=True, is_disabled=False),
    Reason.UNCONFIRMED: Mailbox(),
    Reason.NO_SUCH_MAILBOX: _ABSENT,
    Reason.MAILBOX_DISABLED: Mailbox(is_deliverable=False, is_disabled=True),
    Reason.INVALID_ADDRESS: _ABSENT,
    Reason.NO_SUCH_DOMAIN: _ABSENT,
    Reason.NO_MAIL: _NOT_TAKEN,
    Reason.RELAY_DENIED: _NOT_TAKEN,
    Reason.GREYLISTED: None,
    Reason.RATE_LIMITED: None,
    Reason.TEMPORARY: None,
    Reason.BLOCKLISTED: None,
    Reason.SENDER_REFUSED: None,
    Reason.POLICY: None,
    Reason.REFUSED: None,
    Reason.TIMEOUT: None,
    Reason.CONNECTION_LOST: None,
    Reason.NO_ROUTE: None,
    Reason.PROTOCOL_ERROR: None,
    Reason.TLS_FAILED: None,
    Reason.DNS_ERROR: None,
    Reason.FORBIDDEN_EXCHANGER: None,
    Reason.SOURCE_UNAVAILABLE: None,
    Reason.SMTPUTF8_UNSUPPORTED: None,
    Reason.REJECTS_EVERYONE: None,
    Reason.SKIPPED: None,
    Reason.INTERNAL_ERROR: None,
}

_REACHABLE = {
    Verdict.DELIVERABLE: "safe",
    Verdict.RISKY: "risky",
    Verdict.UNDELIVERABLE: "invalid",
    Verdict.UNKNOWN: "unknown",
}
#: Reasons that are also the DNS's word on the domain, or the exchanger's.
_TAKES_NO_MAIL = (Reason.NO_SUCH_DOMAIN, Reason.NO_MAIL)


def reacher(record: Mapping[str, Any]) -> dict[str, Any]:
    """The object for a record (`Outcome.record()`)."""
    reason = Reason(record["reason"])
    return {
        "input": record["address"],
        "is_reachable": _reachable(reason, record),
        "misc": {
            "is_disposable": record["disposable"],
            "is_role_account": record["role_account"],
            "is_b2c": record["free_provider"],
            "gravatar_url": None,
            "haveibeenpwned": None,
        },
        "mx": _mx(reason, record),
        "smtp": _smtp(reason, record),
        "syntax": _syntax(record),
        "debug": _debug(record),
    }


def _reachable(reason: Reason, record: Mapping[str, Any]) -> str:
    if reason.verdict is Verdict.DELIVERABLE and (record["disposable"] or record["role_account"]):
        return "risky"
    return _REACHABLE[reason.verdict]


def _mx(reason: Reason, record: Mapping[str, Any]) -> dict[str, Any]:
    exchanger = record["exchanger"]
    if reason in _TAKES_NO_MAIL:
        accepts: bool | None = False
    else:
        accepts = None if exchanger is None else True
    records: list[str] | None = None if accepts is None else []
    if exchanger is not None:
        # They write names with the root's dot; the address out of a literal has none.
        records = [f"{exchanger}." if exchanger[-1].isalpha() else exchanger]
    return {"accepts_mail": accepts, "records": records}


def _smtp(reason: Reason, record: Mapping[str, Any]) -> dict[str, Any]:
    mailbox = MAILBOXES[reason]
    if mailbox is None:
        said = (record["code"], record["enhanced"], record["text"])
        words = " ".join(str(each) for each in said if each is not None)
        message = f"{reason.value}: {words}" if words else reason.value
        return {"error": {"type": "SmtpError", "message": message}}
    return {
        "can_connect_smtp": None if record["code"] is None else True,
        "has_full_inbox": mailbox.has_full_inbox,
        "is_catch_all": record["catch_all"],
        "is_deliverable": mailbox.is_deliverable,
        "is_disabled": mailbox.is_disabled,
    }


def _syntax(record: Mapping[str, Any]) -> dict[str, Any]:
    try:
        address = parse_address(record["address"])
    except AddressError:
        found: dict[str, Any] = {"address": None, "domain": "", "is_valid_syntax": False}
        return {**found, "username": "", "normalized_email": None, "suggestion": None}
    return {
        "address": address.text,
        "domain": address.domain,
        "is_valid_syntax": True,
        "username": address.local,
        "normalized_email": None,
        "suggestion": record["suggestion"],
    }


def _debug(record: Mapping[str, Any]) -> dict[str, Any]:
    end = record["checked_at"]
    start = record["first_attempt_at"] or end
    milliseconds = round((_moment(end) - _moment(start)).total_seconds() * 1000)
    return {
        "start_time": start,
        "end_time": end,
        "duration": {"secs": milliseconds // 1000, "nanos": milliseconds % 1000 * 1_000_000},
        "server_name": record["helo"],
        "smtp": {"verif_method": {"type": "Skipped" if record["source"] is None else "Smtp"}},
    }


def _moment(text: str) -> datetime:
    # Python 3.10 reads no "Z".
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
