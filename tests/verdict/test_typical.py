"""The refusals that others read as dead mailboxes, from the reply to the verdict."""

from __future__ import annotations

import pytest

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.judge import Circumstances, judge
from twisted_probe.vocabulary.outcome import Reason, Verdict
from twisted_probe.vocabulary.reply import Reply, Stage

OURS = Context(
    source="192.0.2.1",
    helo="probe.example.org",
    reverse_path="probe@example.org",
    recipient="ann@example.net",
)

#: Beside a control that was refused in plain words, so that nothing hides behind a catch-all.
REFUSED = Reply(550, (b"5.1.1 <x7q2k9@example.net>: User unknown",), stage=Stage.RCPT)

NOT_DEAD = [
    ("rcpt", "450 4.2.0 <ann@example.net>: Recipient address rejected: Greylisted", "greylisted"),
    ("rcpt", "450 4.7.1 <ann@example.net>: Greylisting in action, come back", "greylisted"),
    ("rcpt", "550 5.7.1 Client [192.0.2.1] blocked using zen.spamhaus.org", "blocklisted"),
    ("mail", "550 5.7.1 Client [192.0.2.1] blocked using zen.spamhaus.org", "blocklisted"),
    ("greeting", "554 5.7.1 probe.example.org: Client host rejected: no", "blocklisted"),
    ("rcpt", "554 5.7.1 <probe.example.org[192.0.2.1]>: Client host rejected: no", "blocklisted"),
    ("rcpt", "550 5.1.1 192.0.2.1 is on the blacklist of rbl.example", "blocklisted"),
    ("rcpt", "550 5.7.1 <ann@example.net>: your IP address was blocked", "blocklisted"),
    ("rcpt", "452 4.2.2 The mailbox is over quota", "mailbox_full"),
    ("rcpt", "552 5.2.2 Mailbox full", "mailbox_full"),
    (
        "rcpt",
        "550 5.1.0 <probe@example.org>: Sender address rejected: User unknown",
        "sender_refused",
    ),
    ("rcpt", "450 4.1.8 <probe@example.org>: Sender address rejected: no domain", "sender_refused"),
    ("mail", "550 5.1.1 mailbox unknown", "sender_refused"),
    ("rcpt", "550 5.7.23 the SPF check of example.org failed", "sender_refused"),
    ("rcpt", "530 5.7.1 Authentication required", "sender_refused"),
    ("greeting", "521 mx.example.net takes no mail", "refused"),
    ("greeting", "521 5.3.2 service currently unavailable", "temporary"),
    ("rcpt", "521 5.1.1 mx.example.net takes no mail", "temporary"),
    ("rcpt", "252 2.0.0 cannot tell, will try", "unconfirmed"),
    ("rcpt", "454 4.7.1 <ann@example.net>: Relay access denied", "temporary"),
    ("rcpt", "554 5.7.1 <ann@example.net>: Relay access denied", "temporary"),
    ("rcpt", "450 4.1.1 <ann@example.net>: unverified address: check in progress", "temporary"),
    ("rcpt", "450 4.1.1 <ann@example.net>: User unknown", "temporary"),
    ("rcpt", "451 4.3.0 lookup failure", "temporary"),
    ("rcpt", "452 4.5.3 Too many recipients", "rate_limited"),
    ("rcpt", "421 4.7.0 mx.example.net Error: too many errors", "rate_limited"),
    ("rcpt", "550 5.2.1 the user is receiving mail too quickly", "rate_limited"),
    ("rcpt", "550 5.7.1 a message with such content is refused", "policy"),
    ("rcpt", "550 5.7.133 sender not authenticated for group", "policy"),
    ("rcpt", "550 Requested action not taken: mailbox unavailable", "policy"),
    ("rcpt", "554 Transaction failed", "policy"),
    ("rcpt", "503 5.5.1 need MAIL first", "protocol_error"),
    # What speaks of us or of the moment, beside words that would speak of the mailbox.
    ("rcpt", "550 box for postmaster@example.org not found; callback failed", "sender_refused"),
    ("rcpt", "550 Callout failed: could not find user postmaster", "sender_refused"),
    ("rcpt", "550 5.7.1 Recipient unknown or your host is blacklisted", "blocklisted"),
    ("rcpt", "550 5.2.1 mailbox disabled, because your IP is blocked", "blocklisted"),
    ("rcpt", "550 5.1.1 Utilisateur inconnu; votre IP est bloquée", "blocklisted"),
    ("rcpt", "550 5.1.1 User unknown; try again later", "temporary"),
    ("rcpt", "550 5.1.1 Account temporarily suspended", "temporary"),
    ("rcpt", "550 5.2.1 Account temporarily suspended", "temporary"),
    ("rcpt", "501 5.1.3 Bad address syntax - PIPELINING not allowed", "protocol_error"),
    ("rcpt", "550 5.1.2 bad destination system address for sender", "policy"),
    ("rcpt", "550 invalid recipient count", "policy"),
]

DEAD = [
    ("550 5.4.1 Recipient address rejected: Access denied. [edge.example]", "no_such_mailbox"),
    ("550 5.1.1 <ann@example.net>: Recipient address rejected: User unknown", "no_such_mailbox"),
    ("550 5.7.1 No such user!", "no_such_mailbox"),
    ("550-5.1.1 The account that you tried to reach\n550 5.1.1 does not exist", "no_such_mailbox"),
    ("550 5.2.1 The account that you tried to reach is disabled", "mailbox_disabled"),
    ("556 5.1.10 the domain takes no mail (nullMX)", "no_mail"),
]


def reason(stage: Stage, text: str) -> Reason:
    reply = Reply(int(text[:3]), tuple(t[4:].encode() for t in text.split("\n")), stage=stage)
    control = None if stage is not Stage.RCPT else REFUSED
    finding = classify(stage, reply, OURS)
    circumstances = Circumstances(
        control=control,
        control_finding=None if control is None else classify(Stage.RCPT, control),
        recipient=OURS.recipient,
        control_recipient="x7q2k9@example.net",
    )
    return judge(finding, reply, circumstances).reason


@pytest.mark.parametrize(("stage", "text", "expected"), NOT_DEAD)
def test_not_dead(stage: str, text: str, expected: str) -> None:
    found = reason(Stage(stage), text)
    assert found.value == expected
    assert found.verdict is not Verdict.UNDELIVERABLE


@pytest.mark.parametrize(("text", "expected"), DEAD)
def test_dead(text: str, expected: str) -> None:
    found = reason(Stage.RCPT, text)
    assert found.value == expected
    assert found.verdict is Verdict.UNDELIVERABLE
