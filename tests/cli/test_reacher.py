"""The form of check-if-email-exists, against docs/reacher.rst."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import asdict
from docutils import nodes
from docutils.core import publish_doctree, publish_string

from tests.docs.programs import DOCS
from twisted_probe.cli.reacher import MAILBOXES, reacher
from twisted_probe.testing import outcome
from twisted_probe.vocabulary.flags import Flags
from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict

TEXT = (DOCS / "reacher.rst").read_text("utf-8")
TREE = publish_doctree(TEXT)
BLOCKS = {
    block["names"][0]: json.loads(block.astext())
    for block in TREE.findall(nodes.literal_block)
    if block["names"]
}
NO_FLAGS_SET = Flags(disposable=False, role_account=False, free_provider=False)


def table() -> dict[str, list[str]]:
    """The reasons of the page, with the cells behind each."""
    first = next(iter(TREE.findall(nodes.table)))
    rows = [[cell.astext() for cell in row] for row in first.findall(nodes.row)]
    return {name: cells for name, *cells in rows[1:]}


def as_json(value: Any) -> str:
    return json.dumps(value)


def test_it_renders_without_a_warning() -> None:
    publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )


def test_every_reason_has_a_row() -> None:
    assert list(MAILBOXES) == list(Reason)
    assert list(table()) == [reason.value for reason in Reason]


@pytest.mark.parametrize("reason", Reason)
def test_the_row_is_what_comes_out(reason: Reason) -> None:
    found = reacher(outcome("ann@example.org", reason).record(NO_FLAGS_SET))
    reachable, *mailbox = table()[reason.value]

    assert found["is_reachable"] == reachable
    smtp = found["smtp"]
    if mailbox[0] == "error":
        assert list(smtp) == ["error"]
        assert smtp["error"]["type"] == "SmtpError"
        assert smtp["error"]["message"].startswith(reason.value)
    else:
        keys = ("is_deliverable", "has_full_inbox", "is_disabled")
        assert [as_json(smtp[key]) for key in keys] == mailbox


@pytest.mark.parametrize("reason", Reason)
def test_nothing_is_claimed_that_the_verdict_does_not_say(reason: Reason) -> None:
    mailbox = MAILBOXES[reason]
    said = None if mailbox is None else mailbox.is_deliverable
    assert (said is True) is (reason.verdict is Verdict.DELIVERABLE)
    assert (said is False) is (
        reason.verdict is Verdict.UNDELIVERABLE or reason is Reason.MAILBOX_FULL
    )
    assert (mailbox is None) is (reason.verdict is Verdict.UNKNOWN)
    if mailbox is not None and said:
        assert asdict(mailbox) == {**dict.fromkeys(asdict(mailbox), False), "is_deliverable": True}


@pytest.mark.parametrize("reason", Reason)
def test_the_keys_are_always_there(reason: Reason) -> None:
    found = reacher(outcome("ann@example.org", reason).record())
    wanted = BLOCKS["accepted"]
    assert list(found) == list(wanted)
    for key in ("misc", "mx", "syntax", "debug"):
        assert list(found[key]) == list(wanted[key])
    assert list(found["smtp"]) in (list(wanted["smtp"]), ["error"])


def test_the_examples() -> None:
    accepted = outcome("ann@example.org", checked_at=1_800_000_001.5)
    accepted = outcome(
        "ann@example.org", checked_at=accepted.checked_at, first_attempt_at=1_800_000_000.0
    )
    assert reacher(accepted.record(NO_FLAGS_SET)) == BLOCKS["accepted"]
    greylisted = outcome("ann@example.org", Reason.GREYLISTED)
    assert reacher(greylisted.record())["smtp"] == BLOCKS["greylisted"]


@pytest.mark.parametrize(
    ("reason", "flags", "reachable"),
    [
        (Reason.ACCEPTED, Flags(disposable=True), "risky"),
        (Reason.ACCEPTED, Flags(role_account=True), "risky"),
        (Reason.ACCEPTED, Flags(free_provider=True), "safe"),
        (Reason.ACCEPTED, Flags(), "safe"),
        (Reason.NO_SUCH_MAILBOX, Flags(disposable=True, role_account=True), "invalid"),
        (Reason.GREYLISTED, Flags(disposable=True, role_account=True), "unknown"),
    ],
)
def test_flags_make_an_accepted_address_risky(reason: Reason, flags: Flags, reachable: str) -> None:
    found = reacher(outcome("ann@example.org", reason).record(flags))
    assert found["is_reachable"] == reachable
    assert list(found["misc"].values()) == [
        *(flags.disposable, flags.role_account, flags.free_provider, None, None)
    ]


@pytest.mark.parametrize(
    ("made", "accepts", "records", "connected"),
    [
        (outcome("a@b.example", Reason.NO_SUCH_DOMAIN), False, [], None),
        (
            outcome("a@b.example", Reason.NO_MAIL, code=556, exchanger="mx.b.example"),
            *(False, ["mx.b.example."], True),
        ),
        (outcome("a@b.example", exchanger="192.0.2.1"), True, ["192.0.2.1"], True),
        (outcome("a@b.example", Reason.INVALID_ADDRESS), None, None, None),
    ],
)
def test_mx(made: Outcome, accepts: Any, records: Any, connected: Any) -> None:
    found = reacher(made.record())
    assert found["mx"] == {"accepts_mail": accepts, "records": records}
    assert found["smtp"]["can_connect_smtp"] is connected


def test_an_error_without_a_reply() -> None:
    found = reacher(outcome("a@b.example", Reason.TIMEOUT, text=None).record())
    assert found["smtp"]["error"]["message"] == "timeout"
    assert found["debug"]["smtp"]["verif_method"]["type"] == "Smtp"
    nowhere = reacher(outcome("a@b.example", Reason.DNS_ERROR).record())
    assert nowhere["debug"]["smtp"]["verif_method"]["type"] == "Skipped"
    assert nowhere["mx"] == {"accepts_mail": None, "records": None}


def test_syntax() -> None:
    flags = Flags(suggestion="ann@gmail.com")
    found = reacher(outcome("ann@gmial.com").record(flags))
    assert found["syntax"]["suggestion"] == "ann@gmail.com"
    wrong = reacher(outcome("no address", Reason.INVALID_ADDRESS).record())
    assert wrong["input"] == "no address"
    assert wrong["syntax"] == {
        "address": None,
        "domain": "",
        "is_valid_syntax": False,
        "username": "",
        "normalized_email": None,
        "suggestion": None,
    }
