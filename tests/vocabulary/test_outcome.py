"""Verdicts, reasons and the one record."""

from __future__ import annotations

import json

import pytest

from twisted_probe.vocabulary.finding import Label, Subject
from twisted_probe.vocabulary.outcome import (
    FLAT_FIELDS,
    Outcome,
    Reason,
    TlsReport,
    Verdict,
    flat_record,
    iso_time,
)
from twisted_probe.vocabulary.reply import Stage

#: design: nothing else is printed in their place.
REASONS = {
    "deliverable": ["accepted"],
    "risky": ["catch_all", "mailbox_full", "unconfirmed"],
    "undeliverable": [
        *("no_such_mailbox", "mailbox_disabled", "invalid_address", "no_such_domain", "no_mail"),
        "relay_denied",
    ],
    "unknown": [
        *("greylisted", "rate_limited", "temporary", "blocklisted", "sender_refused", "policy"),
        *("refused", "timeout", "connection_lost", "no_route", "protocol_error", "tls_failed"),
        *("dns_error", "forbidden_exchanger", "source_unavailable", "smtputf8_unsupported"),
        *("rejects_everyone", "skipped", "internal_error"),
    ],
}
FIELDS = [
    *("line", "address", "verdict", "reason", "final", "catch_all", "stage", "code", "enhanced"),
    *("text", "exchanger", "exchanger_address", "source", "helo", "tls", "attempts"),
    *("first_attempt_at", "checked_at", "next_attempt_at", "cached", "job"),
    *("disposable", "role_account", "free_provider", "suggestion"),
]


def test_every_reason_belongs_to_its_verdict() -> None:
    found: dict[str, list[str]] = {}
    for reason in Reason:
        found.setdefault(reason.verdict.value, []).append(reason.value)
    assert found == REASONS


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_tells_the_operator_what_to_do(reason: Reason) -> None:
    assert len(reason.__doc__.split()) > 8
    assert reason.__doc__.endswith(".")
    assert Reason(reason.value) is reason


def test_an_empty_record_has_every_field() -> None:
    outcome = Outcome(address="ann@example.org", reason=Reason.DNS_ERROR, checked_at=0.0)
    record = outcome.record()
    assert list(record) == FIELDS
    assert record == {
        **dict.fromkeys(FIELDS),
        "address": "ann@example.org",
        "verdict": "unknown",
        "reason": "dns_error",
        "final": True,
        "attempts": 0,
        "checked_at": "1970-01-01T00:00:00.000Z",
        "cached": False,
    }
    json.dumps(record)


def test_a_full_record() -> None:
    outcome = Outcome(
        address="ann@example.org",
        reason=Reason.ACCEPTED,
        catch_all=False,
        stage=Stage.RCPT,
        code=250,
        tls=TlsReport("TLSv1.3", "TLS_AES_256_GCM_SHA384", verified=True),
        attempts=2,
        first_attempt_at=0.0,
        checked_at=1.5,
        line=7,
        job="list.txt",
    )
    assert outcome.verdict is Verdict.DELIVERABLE
    flat = flat_record(outcome.record())
    assert tuple(flat) == FLAT_FIELDS
    assert flat["tls_version"] == "TLSv1.3"
    assert flat["tls_verified"] == "true"
    assert flat["tls_problem"] == ""
    assert flat["catch_all"] == "false"
    assert flat["line"] == "7"
    assert flat["next_attempt_at"] == ""
    assert flat["checked_at"] == "1970-01-01T00:00:01.500Z"
    assert set(FLAT_FIELDS) == {*FIELDS, *(f"tls_{x}" for x in vars_of_tls())} - {"tls"}


def vars_of_tls() -> list[str]:
    return ["version", "cipher", "verified", "problem"]


def test_without_tls_its_columns_are_empty() -> None:
    outcome = Outcome(address="ann@example.org", reason=Reason.ACCEPTED, checked_at=0.0)
    flat = flat_record(outcome.record())
    assert [flat[f"tls_{name}"] for name in vars_of_tls()] == ["", "", "", ""]


def test_times_are_utc() -> None:
    assert iso_time(1_795_363_080.5) == "2026-11-22T15:58:00.500Z"


def test_every_label_speaks_of_somebody() -> None:
    assert {label.subject for label in Label} <= set(Subject)
    assert Label.NO_SUCH_MAILBOX.subject is Subject.RECIPIENT
    assert Label.BLOCKLISTED.subject is Subject.SOURCE
