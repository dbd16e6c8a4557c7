"""What replies say: a table of typical ones, and what must hold for any."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe import verdict
from twisted_probe.verdict.classify import Context, classify, classify_text
from twisted_probe.verdict.explain import explain
from twisted_probe.verdict.judge import judge
from twisted_probe.verdict.rules import default_rules, load_rules
from twisted_probe.vocabulary.finding import Finding, Label, Subject
from twisted_probe.vocabulary.outcome import Verdict
from twisted_probe.vocabulary.reply import Reply, Stage

OURS = Context(
    source="192.0.2.1",
    helo="probe.example.org",
    reverse_path="probe@example.org",
    recipient="ann@example.net",
)

DEAD = (Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED, Label.NO_SUCH_DOMAIN, Label.RELAY_DENIED)


def table() -> list[tuple[str, str, str]]:
    text = Path(__file__).with_name("replies.txt").read_text("utf-8")
    rows = (line.split(None, 2) for line in text.splitlines() if line and line[0] != "#")
    return [(stage, label, reply.replace("\\n", "\n")) for stage, label, reply in rows]


def said(text: str) -> Reply:
    return Reply(int(text[:3]), tuple(line[4:].encode() for line in text.split("\n")))


@pytest.mark.parametrize(("stage", "label", "text"), table())
def test_a_typical_reply(stage: str, label: str, text: str) -> None:
    assert classify(Stage(stage), said(text), OURS).label.value == label


# Raw text comes without our own values, so that nothing in it can be known to repeat them.
RAW = [
    (stage, label, text)
    for stage, label, text in table()
    if not classify(Stage(stage), said(text), OURS).rule.endswith("-repeated")
]


@pytest.mark.parametrize(("stage", "label", "text"), RAW)
def test_the_same_as_raw_text(stage: str, label: str, text: str) -> None:
    assert classify_text(stage, text[:3], None, text) == label


def test_the_table_has_every_label() -> None:
    assert {label for _, label, _ in table()} == {label.value for label in Label}


@pytest.mark.parametrize("code", [550, 551, 553, 554])
@pytest.mark.parametrize("words", [b"", b"rejected", b"no"])
def test_a_vague_refusal_is_not_explicit(code: int, words: bytes) -> None:
    found = classify(Stage.RCPT, Reply(code, (words,)), OURS)
    assert (found.label, found.explicit) == (Label.UNKNOWN, False)


@pytest.mark.parametrize(
    "words", ["mailbox unavailable", "Recipient address rejected.", "<ann@example.net> user denied"]
)
def test_a_guess_is_not_explicit(words: str) -> None:
    """The label is the likeliest one, the control decides what comes of it."""
    found = classify(Stage.RCPT, said(f"550 {words}"), OURS)
    assert (found.label, found.explicit) == (Label.NO_SUCH_MAILBOX, False)


def test_a_promise_that_is_none() -> None:
    found = classify(Stage.RCPT, said("252 will try"))
    assert found == Finding(Label.ACCEPTED, Subject.RECIPIENT, "cannot-vrfy", explicit=False)


@pytest.mark.parametrize(
    "recipient",
    ["blocked@ip.example", "greylist@blacklist.example", "spamhaus@dnsbl.example"],
)
def test_our_own_recipient_does_not_speak(recipient: str) -> None:
    domain = recipient.partition("@")[2]
    context = Context(recipient=recipient)
    for text in (f"550 5.1.1 <{recipient}>: sorry", f"550 5.1.1 mx.{domain} says no"):
        assert classify(Stage.RCPT, said(text), context).label is Label.NO_SUCH_MAILBOX


def test_our_own_helo_name_and_reverse_path_do_not_speak() -> None:
    context = Context(helo="greylist.example.org", reverse_path="blacklist@spamhaus.example")
    text = "550 5.1.1 user unknown (greylist.example.org, blacklist@spamhaus.example)"
    assert classify(Stage.RCPT, said(text), context).label is Label.NO_SUCH_MAILBOX


@pytest.mark.parametrize(
    ("local", "text", "dead"),
    [
        ("nosuchuser", "550 nosuchuser: Access denied", False),
        ("nosuchuser", "550 5.7.1 <nosuchuser@example.net>: Access denied", False),
        ("user.unknown", "550 mailbox user.unknown refuses", False),
        ("invalid-recipient", "550 invalid-recipient: blocked", False),
        ("disabled", "550 delivery for user disabled is not possible", False),
        ('"user unknown"', "550 user unknown: access denied", False),
        ("rusr", "550 rusr refused", False),
        ("unknown", "550 5.1.1 user unknown", True),
        ("unknown", "550 no such user: unknown", True),
        ("unknown", "550 user unknown", False),
        ("user", "550 user unknown", True),
        ("user", "550 no such user", True),
        ("mailbox", "550 mailbox not found", True),
        ("sender", "550 sender unknown", False),
        ("spam", "550 5.1.1 this is spam", False),
        ("ann", "550 user ann unknown", True),
    ],
)
def test_a_local_part_does_not_speak(local: str, text: str, dead: bool) -> None:
    """Where it may be a word of the reply's, both ways of reading have to be dead."""
    context = Context(recipient=f"{local}@example.net")
    found = classify(Stage.RCPT, said(text), context)
    assert (found.label in DEAD and found.explicit) is dead
    told = explain(Stage.RCPT, said(text), context)
    assert told.decided is not None
    assert (told.finding.rule, told.decided.rule) == (found.rule, found.rule)


@pytest.mark.parametrize(
    ("recipient", "reverse_path", "text"),
    [
        ("be@sub.example", "probe@sub.example", "550 5.1.1 <probe@sub.example>: user unknown"),
        ("ann@a.example", "bounce-ann@a.example", "550 <bounce-ann@a.example> does not exist"),
        ("ann@a.example", "probe@b.example", "550 invalid user 'probe'"),
        ("ann@a.example", "probe@b.example", "550 user probe unknown"),
        ("ann@a.example", "probe@b.example", "550 no such recipient: probe"),
        ("ann@a.example", "probe@b.example", "550 probe... User unknown"),
    ],
)
def test_our_reverse_path_is_not_the_recipient(
    recipient: str, reverse_path: str, text: str
) -> None:
    context = Context(recipient=recipient, reverse_path=reverse_path)
    assert classify(Stage.RCPT, said(text), context).label not in DEAD


@pytest.mark.parametrize(
    "text",
    [
        "550 Invalid address [IPv6:2001:db8::10]",
        "550 2001:0db8:0000:0000:0000:0000:0000:0010 is an unknown address",
        "550 5.1.1 Mailbox unavailable, [IPv6:2001:db8::10] blocked",
    ],
)
def test_an_ipv6_source_in_the_place_of_the_recipient(text: str) -> None:
    context = Context(source="2001:db8::10", recipient="ann@example.net")
    assert classify(Stage.RCPT, said(text), context).label is Label.BLOCKLISTED


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("550 no, 192.0.2.1", Label.BLOCKLISTED),
        ("550 mailbox refuses: 192.0.2.1", Label.BLOCKLISTED),
        ("550 5.1.1 Benutzer unbekannt (192.0.2.1)", Label.NO_SUCH_MAILBOX),
        ("550 no, 192.0.2.2", Label.UNKNOWN),
        ("550 no, probe@example.org", Label.SENDER_REFUSED),
        ("550 no, probe.example.org", Label.SENDER_REFUSED),
        ("550 no, ann@example.net for probe.example.org", Label.UNKNOWN),
        ("550 no such user, 192.0.2.1", Label.NO_SUCH_MAILBOX),
    ],
)
def test_a_reply_that_repeats_us_is_about_us(text: str, label: Label) -> None:
    assert classify(Stage.RCPT, said(text), OURS).label is label


@pytest.mark.parametrize(
    "text",
    [
        "550 5.7.1 Recipient address rejected: sender blocked",
        "550 5.7.1 Recipient address rejected: message blocked by spam filter",
        "550 5.7.1 Recipient address rejected: your ip is blocked",
        "550 5.7.1 Recipient address rejected: invalid HELO name",
        "550 5.7.1 Recipient address rejected: client hostname not found",
        "550 5.7.1 user account: relay access denied, unknown client",
        "550 5.7.1 recipient no longer accepts mail from you",
        "554 5.7.1 Recipient address rejected: Access denied",
        "550 SMTP service is administratively disabled",
        "554 TLSv1 is now disabled",
        "550 your certificate is no longer valid",
        "554 192.0.2.1 is not a known mail server",
        "550 cannot resolve your address",
        "550 your host is not on our system",
        "550 the user cannot receive mail from your IP",
        "550 message rejected by mail user",
        "550 this message has been blocked because the return email domain is invalid",
        "550-mailbox unavailable\n550 Reject due to policy restrictions",
        "550 the reason is unknown",
        "550 invalid ID, please log in",
    ],
)
def test_what_only_sounds_dead(text: str) -> None:
    found = classify(Stage.RCPT, said(text), OURS)
    assert found.label not in DEAD[:3] or not found.explicit


def test_other_rules() -> None:
    rules = load_rules(
        '[[rule]]\nname = "mine"\nlabel = "policy"\nwords = ["magic"]\nground = "ours"\n'
    )
    assert classify(Stage.RCPT, said("550 Magic"), rules=rules).rule == "mine"
    unknown = classify(Stage.RCPT, said("550 5.1.1 user unknown"), rules=rules)
    assert unknown == Finding(Label.UNKNOWN, Subject.SITE, "no-rule", explicit=False)
    accepted = classify(Stage.RCPT, said("250 magic"), rules=rules)
    assert (accepted.label, accepted.rule) == (Label.ACCEPTED, "no-rule")


@given(st.sampled_from(list(Stage)), st.integers(), st.lists(st.binary()))
def test_it_never_raises(stage: Stage, code: int, lines: list[bytes]) -> None:
    found = classify(stage, Reply(code, tuple(lines)), OURS)
    assert (found.label is Label.ACCEPTED) == (code // 100 == 2)


_WORDS = sorted({word for _, _, text in table() for word in text[4:].split()})


@given(
    st.sampled_from([stage for stage in Stage if stage is not Stage.RCPT]),
    st.integers(400, 599),
    st.lists(st.sampled_from(_WORDS), max_size=8),
)
def test_only_rcpt_knows_of_mailboxes(stage: Stage, code: int, words: list[str]) -> None:
    """Raw commands (other) may ask about a mailbox; `judge` draws no verdict from them."""
    found = classify(stage, Reply(code, (" ".join(words).encode(),)), OURS)
    if stage is not Stage.OTHER:
        assert found.label not in DEAD[:3]


@given(st.integers(500, 599), st.lists(st.sampled_from(_WORDS), max_size=8))
def test_the_code_alone_is_never_dead(code: int, words: list[str]) -> None:
    reply = Reply(code, (" ".join(words).encode(),), stage=Stage.RCPT)
    found = classify(Stage.RCPT, reply, OURS)
    if not found.explicit:
        assert judge(found, reply).verdict is not Verdict.UNDELIVERABLE


class TestRawText:
    @pytest.mark.parametrize(
        ("stage", "code", "enhanced", "text", "label"),
        [
            ("rcpt", 550, "5.1.1", "sorry", "no_such_mailbox"),
            ("rcpt", "550", "5.1.1", "550 5.1.1 sorry", "no_such_mailbox"),
            ("rcpt", None, None, "550-5.1.1 one\n550 5.1.1 two", "no_such_mailbox"),
            ("rcpt", None, None, "550 User unknown", "no_such_mailbox"),
            ("rcpt", None, "5.1.1", "sorry", "no_such_mailbox"),
            ("rcpt", None, "4.1.1", "sorry", "temporary"),
            ("rcpt", None, None, "sorry", "unknown"),
            ("rcpt", 550, "rubbish", "sorry", "unknown"),
            ("rcpt", 550, "4.1.1", "sorry", "unknown"),
            ("rcpt", 550, None, "", "unknown"),
            ("rcpt", "", None, "", "unknown"),
            ("data", 550, "5.1.1", "sorry", "no_such_mailbox"),
            ("unknown", 250, None, "ok", "accepted"),
            ("connect", 554, None, "Access denied", "blocklisted"),
            ("mail", 550, None, "Access denied", "sender_refused"),
            ("ehlo", 550, None, "User unknown", "no_such_mailbox"),
            ("ehlo", 550, None, "no", "unknown"),
            ("MAIL FROM", 550, None, "Access denied", "sender_refused"),
            ("Mail", 550, None, "Access denied", "sender_refused"),
            ("RCPT TO", 550, None, "Access denied", "policy"),
            (" banner ", 554, None, "Access denied", "blocklisted"),
            ("GREETING", 554, None, "Access denied", "blocklisted"),
            ("HELO", 504, None, "need fully-qualified", "sender_refused"),
            ("", 550, None, "User unknown", "no_such_mailbox"),
            (None, 550, None, "User unknown", "no_such_mailbox"),
            ("rcpt", 550, " 5.1.1 ", "sorry", "no_such_mailbox"),
            ("rcpt", 550, "#5.1.1", "sorry", "no_such_mailbox"),
            ("rcpt", 550, "(#5.1.1)", "sorry", "no_such_mailbox"),
            ("rcpt", 550, None, None, "unknown"),
            ("rcpt", 550, None, b"User unknown", "no_such_mailbox"),
            ("rcpt", 550, None, b"\xff User unknown", "no_such_mailbox"),
        ],
    )
    def test_is_read(
        self,
        stage: str | None,
        code: int | str | None,
        enhanced: str | None,
        text: str | bytes | None,
        label: str,
    ) -> None:
        assert classify_text(stage, code, enhanced, text) == label

    @given(
        st.none() | st.text(),
        st.none() | st.text() | st.integers(),
        st.none() | st.text(),
        st.none() | st.text() | st.binary(),
    )
    def test_never_raises(
        self,
        stage: str | None,
        code: int | str | None,
        enhanced: str | None,
        text: str | bytes | None,
    ) -> None:
        assert Label(classify_text(stage, code, enhanced, text))


def test_every_rule_can_be_reached() -> None:
    """A rule that no reply of the table meets is either superfluous or untested."""
    met = {classify(Stage(stage), said(text), OURS).rule for stage, _, text in table()}
    met |= {rule.name for rule in default_rules() if rule.exchangers}  # test_providers.py
    missing = [rule.name for rule in default_rules() if rule.name not in met]
    assert not missing


def test_the_adaptor_is_at_the_front_door() -> None:
    assert verdict.classify_text is classify_text
