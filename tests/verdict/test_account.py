"""What was kept, judged again and explained; and what would change it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from twisted_probe.verdict.account import account_of, hits_of
from twisted_probe.verdict.basis import control_finding_of, judgement_of
from twisted_probe.verdict.remedy import remedies
from twisted_probe.verdict.rules import default_rules, rules_with
from twisted_probe.vocabulary.finding import Label
from twisted_probe.vocabulary.hearing import Basis
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply, Stage

YES, NO, VAGUE = "250 2.1.5 Ok", "550 5.1.1 User unknown", "550 Rejected"
OF_A_BOX = "550 Mailbox unavailable"
GREY = "450 4.2.0 Greylisted, try again in 300 seconds"


def reply(text: str, stage: Stage = Stage.RCPT) -> Reply:
    code, _, words = text.partition(" ")
    return Reply(int(code), (words.encode(),), stage=stage)


def basis(text: str, control: str | None = None, **more: Any) -> Basis:
    stage = more.pop("stage", Stage.RCPT)
    return Basis(
        reply=reply(text, stage),
        recipient="ann@a.example",
        source="192.0.2.1",
        exchanger="mx.a.example",
        control=None if control is None else reply(control),
        control_recipient="x7k2m9@a.example",
        **more,
    )


@pytest.mark.parametrize(
    ("kept", "reason", "words"),
    [
        (basis(YES, NO), Reason.ACCEPTED, "the random recipient accepted too"),
        (basis(YES, YES), Reason.CATCH_ALL, "the random recipient refused"),
        (basis(YES), Reason.UNCONFIRMED, "a clear answer to the random recipient"),
        (basis(YES, NO, best=False), Reason.UNCONFIRMED, "an answer of a best exchanger"),
        (basis("252 2.5.2 cannot", NO), Reason.UNCONFIRMED, "a 250 in the place of the 252"),
        (basis(NO, NO), Reason.NO_SUCH_MAILBOX, "a rule of your own"),
        (basis(VAGUE), Reason.POLICY, "which this refusal can be compared with"),
        (basis(VAGUE, GREY), Reason.POLICY, "which this refusal can be compared with"),
        (basis(VAGUE, control_wanted=False), Reason.POLICY, "control = true"),
        (basis(VAGUE, YES), Reason.POLICY, "a random recipient is accepted, and this one is not"),
        (basis(VAGUE, NO), Reason.POLICY, "refused in other words"),
        (basis(VAGUE, "550 Refused"), Reason.POLICY, "refused in other words"),
        (basis(VAGUE, VAGUE), Reason.REJECTS_EVERYONE, "one of known_good; then"),
        (basis(VAGUE, VAGUE), Reason.REJECTS_EVERYONE, "postmaster is not enough"),
        (basis(OF_A_BOX, OF_A_BOX), Reason.REJECTS_EVERYONE, "one of known_good, or postmaster;"),
        (basis(OF_A_BOX, OF_A_BOX, exempt_accepted=True), Reason.NO_SUCH_MAILBOX, "nobody else"),
        (basis(NO, NO, held_back="flipped"), Reason.POLICY, "another session"),
        (
            basis(VAGUE, VAGUE, another_accepted=True),
            Reason.NO_SUCH_MAILBOX,
            "nobody else of the domain is accepted",
        ),
        (basis("554 5.7.1 Relay access denied"), Reason.TEMPORARY, "an exchanger of the domain"),
        (
            basis("554 5.7.1 Relay access denied", every_exchanger_refused_relay=True),
            Reason.RELAY_DENIED,
            "an exchanger of the domain",
        ),
        (basis(GREY), Reason.GREYLISTED, "another answer later, in 300 s"),
        (basis("451 4.3.0 Local error"), Reason.TEMPORARY, "another answer later: a 4xx"),
        (
            basis(
                "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; "
                "https://www.spamhaus.org/query/ip/192.0.2.1"
            ),
            Reason.BLOCKLISTED,
            "what is said at https://www.spamhaus.org",
        ),
        (
            basis("550 5.7.1 no", stage=Stage.MAIL),
            Reason.SENDER_REFUSED,
            "an answer to its own RCPT",
        ),
    ],
)
def test_what_would_change_it(kept: Basis, reason: Reason, words: str) -> None:
    assert judgement_of(kept).reason is reason
    said = remedies(kept)
    assert any(words in each for each in said), said


def test_an_account_is_plain_data() -> None:
    account = account_of(basis(NO, VAGUE, rule="older"))
    assert (account["verdict"], account["reason"]) == ("undeliverable", "no_such_mailbox")
    assert (account["label"], account["about"]) == ("no_such_mailbox", "recipient")
    assert account["rule"]["name"] == "no-such-mailbox"
    assert account["rule"]["ground"]
    assert account["rule_then"] == "older"
    assert [rule["name"] for rule in account["nearly"]][-1] == "class-permanent"
    assert account["control"] == {
        "recipient": "x7k2m9@a.example",
        "reply": VAGUE,
        "label": "unknown",
    }
    assert account["provider"] is account["limit"] is None


def test_an_account_of_a_reply_that_is_not_believed() -> None:
    witness = {"witness": "ben@a.example", "witness_reply": reply(NO)}
    account = account_of(basis(NO, NO, held_back="flipped", **witness))
    assert (account["reason"], account["held_back"]) == ("policy", "flipped")
    assert account["witness"] == {"recipient": "ben@a.example", "reply": NO}
    assert (account["rule"]["name"], account["control"]["reply"]) == ("no-such-mailbox", NO)


def test_an_account_names_provider_and_limit() -> None:
    doubted = evolve(basis(YES), exchanger="mta7.am0.yahoodns.net")
    assert account_of(doubted)["control"] is None
    limited = account_of(basis("452 4.5.3 Too many recipients, limit is 20 per message"))
    assert limited["limit"] is not None
    named = evolve(basis(YES), exchanger="mx1.hc1.iphmx.com")
    assert account_of(named)["provider"] is None or account_of(named)["provider"]["said"]


def test_no_rule_at_all() -> None:
    nothing = rules_with("")
    assert account_of(basis("599 odd"), evolve(nothing, rows=()))["rule"] is None


def test_the_control_is_read_by_the_same_rules() -> None:
    own = rules_with(
        '[[rule]]\nname = "own"\nlabel = "no_such_mailbox"\ncodes = ["550"]\n'
        'words = ["^rejected$"]\nground = "seen"\n'
    )
    kept = basis(VAGUE, VAGUE)
    assert judgement_of(kept, own).reason is Reason.NO_SUCH_MAILBOX
    found = control_finding_of(kept, own)
    assert found is not None
    assert (found.label, found.rule) == (Label.NO_SUCH_MAILBOX, "own")
    assert control_finding_of(basis(VAGUE)) is None


def test_hits_name_their_rules() -> None:
    first, second, gone = hits_of(
        default_rules(), {"positive": 7, "no-such-mailbox": 9, "not-there-any-more": 1}
    )
    assert (first["name"], first["hits"], first["label"]) == (
        "no-such-mailbox",
        9,
        "no_such_mailbox",
    )
    assert (second["name"], second["explicit"]) == ("positive", True)
    assert (gone["label"], gone["ground"], gone["explicit"]) == (None, None, None)
