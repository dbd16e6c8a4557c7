"""The verdict's logic, branch by branch: which reply makes which judgement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.judge import Circumstances, Judgement, is_acceptance, judge
from twisted_probe.verdict.providers import Doubt, Provider
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.outcome import Reason, Verdict
from twisted_probe.vocabulary.reply import Reply, Stage

ANN = "ann@example.net"
CONTROL = "x7q2k9@example.net"


def said(text: str, stage: Stage = Stage.RCPT) -> Reply:
    return Reply(int(text[:3]), tuple(text[4:].encode().split(b"\n")), stage=stage)


def judged(
    text: str,
    control: str | None = "550 5.1.1 <x7q2k9@example.net>: User unknown",
    *,
    stage: Stage = Stage.RCPT,
    **circumstances: object,
) -> tuple[Reason, bool | None, bool]:
    """The judgement of `text` beside a control that got `control` (None: no answer)."""
    reply = said(text, stage)
    other = None if control is None else said(control)
    result = judge(
        classify(stage, reply, Context(recipient=ANN)),
        reply,
        Circumstances(
            control=other,
            control_finding=None
            if other is None
            else classify(Stage.RCPT, other, Context(recipient=CONTROL)),
            recipient=ANN,
            control_recipient=CONTROL,
            **circumstances,  # type: ignore[arg-type]
        ),
    )
    return result.reason, result.catch_all, result.retry


TAKES_ALL = Provider("all", Doubt.ACCEPTANCE, "takes everybody", "ours")
HIDES = Provider("hides", Doubt.REFUSAL, "calls everybody unknown", "ours")


class TestAccepted:
    def test_with_a_refused_control(self) -> None:
        assert judged("250 ok") == (Reason.ACCEPTED, False, False)

    def test_with_a_vaguely_refused_control(self) -> None:
        assert judged("250 ok", "550 no") == (Reason.ACCEPTED, False, False)

    def test_for_forwarding(self) -> None:
        assert judged("251 will forward") == (Reason.ACCEPTED, False, False)

    def test_whatever_the_words(self) -> None:
        assert judged("250 no such user") == (Reason.ACCEPTED, False, False)

    def test_with_an_accepted_control(self) -> None:
        assert judged("250 ok", "250 ok") == (Reason.CATCH_ALL, True, False)

    def test_with_a_control_that_252_takes(self) -> None:
        assert judged("250 ok", "252 will try") == (Reason.CATCH_ALL, True, False)

    @pytest.mark.parametrize(
        "control",
        [
            None,
            "450 4.2.0 Greylisted",
            "451 later",
            "354 go on",
            "550 5.7.1 192.0.2.1 is on a blacklist",
            "550 5.5.3 too many recipients",
            "550 5.7.1 greylisted",
            "554 5.3.0 internal error",
            "550 5.1.8 sender refused",
            "503 5.5.1 bad sequence",
            "552 5.2.2 mailbox full",
            "521 no",
        ],
    )
    def test_with_an_undecided_control(self, control: str | None) -> None:
        assert judged("250 ok", control) == (Reason.UNCONFIRMED, None, True)

    def test_with_a_refused_control_that_nobody_classified(self) -> None:
        result = judge(
            Finding(Label.ACCEPTED, Label.ACCEPTED.subject, "positive"),
            said("250 ok"),
            Circumstances(control=said("550 5.7.1 blacklisted")),
        )
        assert result == Judgement(Reason.ACCEPTED, False, False)

    def test_without_a_wanted_control(self) -> None:
        assert judged("250 ok", None, control_wanted=False) == (Reason.ACCEPTED, None, False)

    def test_with_a_remembered_catch_all(self) -> None:
        assert judged("250 ok", None, catch_all=True) == (Reason.CATCH_ALL, True, False)
        assert judged("250 ok", None, catch_all=False) == (Reason.ACCEPTED, False, False)

    def test_the_control_beats_what_is_remembered(self) -> None:
        assert judged("250 ok", "250 ok", catch_all=False) == (Reason.CATCH_ALL, True, False)

    def test_without_a_promise(self) -> None:
        assert judged("252 will try") == (Reason.UNCONFIRMED, False, False)
        assert judged("252 will try", "250 ok") == (Reason.UNCONFIRMED, True, False)
        assert judged("252 will try", None) == (Reason.UNCONFIRMED, None, False)

    def test_by_a_backup(self) -> None:
        assert judged("250 ok", best=False) == (Reason.UNCONFIRMED, False, False)
        assert judged("250 ok", None, best=False) == (Reason.UNCONFIRMED, None, False)
        assert judged("250 ok", "250 ok", best=False) == (Reason.CATCH_ALL, True, False)
        assert judged("250 ok", None, best=False, control_wanted=False) == (
            Reason.UNCONFIRMED,
            None,
            False,
        )

    def test_by_a_provider_that_takes_everybody(self) -> None:
        """A refused control shows that this time it looked; without one its yes is no promise."""
        assert judged("250 ok", provider=TAKES_ALL) == (Reason.ACCEPTED, False, False)
        assert judged("250 ok", "250 ok", provider=TAKES_ALL) == (Reason.CATCH_ALL, True, False)
        assert judged("250 ok", None, provider=TAKES_ALL) == (Reason.UNCONFIRMED, None, True)
        unwanted = judged("250 ok", None, control_wanted=False, provider=TAKES_ALL)
        assert unwanted == (Reason.UNCONFIRMED, None, False)
        other = judged("250 ok", None, control_wanted=False, provider=HIDES)
        assert other == (Reason.ACCEPTED, None, False)

    def test_the_verdicts(self) -> None:
        assert Judgement(Reason.ACCEPTED, None, False).verdict is Verdict.DELIVERABLE
        assert Judgement(Reason.UNCONFIRMED, None, True).verdict is Verdict.RISKY


@pytest.mark.parametrize("code", [200, 220, 250, 251, 252, 450, 550])
def test_which_replies_take_mail_for_the_mailbox(code: int) -> None:
    assert is_acceptance(said(f"{code} x")) is (code in (250, 251))


EXPLICIT = [
    ("550 5.1.1 User unknown", Reason.NO_SUCH_MAILBOX),
    ("550 Unrouteable address", Reason.NO_SUCH_MAILBOX),
    ("550 5.2.1 mailbox disabled", Reason.MAILBOX_DISABLED),
    ("553 5.1.3 sorry", Reason.INVALID_ADDRESS),
    ("501 5.1.3 Bad recipient address syntax", Reason.INVALID_ADDRESS),
    ("550 5.1.2 Domain not found", Reason.NO_SUCH_DOMAIN),
    ("556 sorry", Reason.NO_MAIL),
    ("556 5.1.10 Domain does not accept mail (nullMX)", Reason.NO_MAIL),
    ("550 5.1.10 sorry", Reason.NO_MAIL),
]


class TestExplicitRefusal:
    @pytest.mark.parametrize(("text", "reason"), EXPLICIT)
    @pytest.mark.parametrize(
        ("control", "catch_all"),
        [("250 ok", True), ("550 5.1.1 unknown user", False), ("450 later", None), (None, None)],
    )
    def test_decides_whatever_the_control_says(
        self, text: str, reason: Reason, control: str | None, catch_all: bool | None
    ) -> None:
        assert judged(text, control) == (reason, catch_all, False)

    @pytest.mark.parametrize("best", [True, False])
    def test_by_a_backup_too(self, best: bool) -> None:
        assert judged("550 5.1.1 no such user", best=best)[0] is Reason.NO_SUCH_MAILBOX

    @pytest.mark.parametrize(
        "text",
        ["450 4.1.1 User unknown", "450 4.2.1 mailbox disabled", "450 4.1.2 Domain not found"],
    )
    def test_by_4xx_is_temporary(self, text: str) -> None:
        assert judged(text) == (Reason.TEMPORARY, False, True)

    def test_in_brackets_behind_the_words(self) -> None:
        assert judged("550 no mail for that domain, unknown domain (#5.1.10)")[0] is Reason.NO_MAIL

    @pytest.mark.parametrize("text", ["550 5.1.1 User unknown", "550 account disabled"])
    @pytest.mark.parametrize("control", ["250 ok", "550 5.1.1 User unknown", None])
    def test_by_a_provider_whose_no_may_be_its_users_filter(
        self, text: str, control: str | None
    ) -> None:
        for lately in (True, False):
            result = judged(text, control, provider=HIDES, another_accepted=lately)
            assert (result[0], result[2]) == (Reason.POLICY, False)
        assert judged(text, control, provider=TAKES_ALL)[0].verdict is Verdict.UNDELIVERABLE

    def test_a_domain_that_is_not_there_is_no_filter(self) -> None:
        assert judged("550 5.1.2 Domain not found", provider=HIDES)[0] is Reason.NO_SUCH_DOMAIN

    def test_by_521_is_about_the_host(self) -> None:
        assert judged("521 5.1.1 no such user") == (Reason.TEMPORARY, False, True)
        assert judged("521 sorry") == (Reason.TEMPORARY, False, True)


class TestOtherLabels:
    @pytest.mark.parametrize(
        ("text", "reason", "retry"),
        [
            ("452 4.2.2 full", Reason.MAILBOX_FULL, False),
            ("552 5.2.2 over quota", Reason.MAILBOX_FULL, False),
            ("450 4.2.0 Greylisted", Reason.GREYLISTED, True),
            ("550 5.7.1 Greylisted", Reason.GREYLISTED, True),
            ("452 4.5.3 too many recipients", Reason.RATE_LIMITED, True),
            ("550 5.7.1 too many connections", Reason.RATE_LIMITED, True),
            ("451 4.3.0 later", Reason.TEMPORARY, True),
            ("550 5.3.5 internal error", Reason.TEMPORARY, True),
            ("450 4.7.1 your host is on our blacklist", Reason.BLOCKLISTED, True),
            ("550 5.1.1 your host is on our blacklist", Reason.BLOCKLISTED, True),
            ("450 4.1.8 sender refused", Reason.SENDER_REFUSED, True),
            ("550 5.1.8 sender refused", Reason.SENDER_REFUSED, False),
            ("450 4.7.1 local policy", Reason.POLICY, True),
            ("550 5.7.1 local policy", Reason.POLICY, False),
            ("503 5.5.1 need MAIL command", Reason.PROTOCOL_ERROR, True),
            ("354 go on", Reason.PROTOCOL_ERROR, True),
        ],
    )
    def test_at_rcpt(self, text: str, reason: Reason, retry: bool) -> None:
        assert judged(text) == (reason, False, retry)

    @pytest.mark.parametrize("code", ["554", "454"])
    def test_relay_denied_by_one_exchanger(self, code: str) -> None:
        text = f"{code} {code[0]}.7.1 Relay access denied"
        assert judged(text) == (Reason.TEMPORARY, False, True)

    def test_relay_denied_by_all_of_them(self) -> None:
        assert judged("554 5.7.1 Relay access denied", every_exchanger_refused_relay=True) == (
            Reason.RELAY_DENIED,
            False,
            False,
        )

    def test_relay_denied_for_now_is_never_dead(self) -> None:
        assert judged("454 4.7.1 Relay access denied", every_exchanger_refused_relay=True) == (
            Reason.TEMPORARY,
            False,
            True,
        )

    @pytest.mark.parametrize("label", [Label.UNKNOWN, Label.ACCEPTED])
    def test_a_4xx_that_nobody_understands(self, label: Label) -> None:
        result = judge(Finding(label, label.subject, "x"), said("450 x"))
        assert result == Judgement(Reason.TEMPORARY, None, True)


class TestVagueRefusal:
    VAGUE = "550 <ann@example.net> rejected, session 4f3a2b-0c1d22"
    ALIKE = "550 <x7q2k9@example.net> rejected, session 5b7c9e-1f2a23"

    def test_like_the_control(self) -> None:
        assert judged(self.VAGUE, self.ALIKE) == (Reason.REJECTS_EVERYONE, False, False)

    def test_like_the_control_where_somebody_is_accepted(self) -> None:
        assert judged(self.VAGUE, self.ALIKE, another_accepted=True) == (
            Reason.NO_SUCH_MAILBOX,
            False,
            False,
        )

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("550 Mailbox unavailable", Reason.NO_SUCH_MAILBOX),
            ("550 Recipient not available", Reason.NO_SUCH_MAILBOX),
            ("550 Recipient rejected", Reason.REJECTS_EVERYONE),
            ("550 Recipient not accepted", Reason.REJECTS_EVERYONE),
            ("550 Address rejected", Reason.REJECTS_EVERYONE),
            ("550 5.7.1 Mailbox unavailable", Reason.REJECTS_EVERYONE),
            ("550 Rejected", Reason.REJECTS_EVERYONE),
            ("550", Reason.REJECTS_EVERYONE),
        ],
    )
    def test_like_the_control_where_only_one_is_accepted_who_is_often_exempt(
        self, text: str, reason: Reason
    ) -> None:
        assert judged(text, text, exempt_accepted=True) == (reason, False, False)
        assert judged(text, text, another_accepted=True)[0] is Reason.NO_SUCH_MAILBOX

    @pytest.mark.parametrize(
        "control",
        [
            "550 5.1.1 User unknown",
            "550 <x7q2k9@example.net> refused in other words",
            "553 <x7q2k9@example.net> rejected, session 5b7c9e-1f2a23",
            "550 5.7.1 <x7q2k9@example.net> rejected, session 5b7c9e-1f2a23",
        ],
    )
    def test_unlike_the_control(self, control: str) -> None:
        assert judged(self.VAGUE, control, another_accepted=True) == (
            Reason.POLICY,
            False,
            False,
        )

    def test_with_an_accepted_control(self) -> None:
        assert judged(self.VAGUE, "250 ok", another_accepted=True) == (
            Reason.POLICY,
            True,
            False,
        )

    @pytest.mark.parametrize("control", [None, "450 later", "550 5.7.1 blacklisted"])
    def test_with_an_undecided_control(self, control: str | None) -> None:
        assert judged(self.VAGUE, control) == (Reason.POLICY, None, True)

    def test_without_a_wanted_control(self) -> None:
        assert judged(self.VAGUE, None, control_wanted=False) == (Reason.POLICY, None, False)

    def test_with_a_remembered_control(self) -> None:
        assert judged(self.VAGUE, None, catch_all=True) == (Reason.POLICY, True, False)
        assert judged(self.VAGUE, None, catch_all=False) == (Reason.POLICY, False, True)

    @pytest.mark.parametrize(
        "label",
        [Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED, Label.NO_SUCH_DOMAIN, Label.RELAY_DENIED],
    )
    def test_a_finding_that_is_not_explicit(self, label: Label) -> None:
        result = judge(
            Finding(label, label.subject, "x", explicit=False),
            said("550 no"),
            Circumstances(control=said("550 no"), every_exchanger_refused_relay=True),
        )
        assert result == Judgement(Reason.REJECTS_EVERYONE, False, False)

    @pytest.mark.parametrize("code", ["550", "551", "553", "554"])
    def test_a_bare_code(self, code: str) -> None:
        assert judged(code, code) == (Reason.REJECTS_EVERYONE, False, False)


class TestSession:
    @pytest.mark.parametrize(
        ("stage", "text", "reason", "retry"),
        [
            ("greeting", "554 no", Reason.REFUSED, True),
            ("greeting", "554 5.7.1 local policy", Reason.REFUSED, True),
            ("greeting", "550 5.1.1 no such user", Reason.REFUSED, True),
            ("greeting", "521 no", Reason.REFUSED, True),
            ("greeting", "521 5.3.2 service unavailable", Reason.TEMPORARY, True),
            ("greeting", "521 listed at zen.spamhaus.org", Reason.BLOCKLISTED, True),
            ("greeting", "421 come back", Reason.TEMPORARY, True),
            ("greeting", "450 4.1.1 user unknown", Reason.TEMPORARY, True),
            ("greeting", "450 4.7.1 local policy", Reason.TEMPORARY, True),
            ("greeting", "421 too many connections", Reason.RATE_LIMITED, True),
            ("greeting", "450 greylisted", Reason.GREYLISTED, True),
            ("greeting", "554 your helo was refused", Reason.SENDER_REFUSED, False),
            ("greeting", "554 protocol error", Reason.PROTOCOL_ERROR, True),
            ("greeting", "250 ok", Reason.PROTOCOL_ERROR, True),
            ("greeting", "354 ok", Reason.PROTOCOL_ERROR, True),
            ("ehlo", "550 no", Reason.REFUSED, True),
            ("ehlo", "421 no", Reason.TEMPORARY, True),
            ("ehlo", "550 5.7.1 local policy", Reason.POLICY, False),
            ("ehlo", "502 not implemented", Reason.PROTOCOL_ERROR, True),
            ("ehlo", "504 5.5.2 need fully-qualified hostname", Reason.SENDER_REFUSED, False),
            ("starttls", "454 not now", Reason.TEMPORARY, True),
            ("starttls", "554 no", Reason.TLS_FAILED, False),
            ("mail", "550 5.1.1 user unknown", Reason.SENDER_REFUSED, False),
            ("mail", "554 no", Reason.SENDER_REFUSED, False),
            ("mail", "552 5.2.2 mailbox full", Reason.SENDER_REFUSED, False),
            ("mail", "554 relay access denied", Reason.SENDER_REFUSED, False),
            ("mail", "450 4.7.1 local policy", Reason.POLICY, True),
            ("mail", "550 5.7.1 blacklisted", Reason.BLOCKLISTED, True),
            ("mail", "451 4.7.1 greylisted", Reason.GREYLISTED, True),
            ("other", "550 5.1.1 user unknown", Reason.REFUSED, True),
        ],
    )
    def test_is_never_about_the_mailbox(
        self, stage: str, text: str, reason: Reason, retry: bool
    ) -> None:
        assert judged(text, None, stage=Stage(stage)) == (reason, None, retry)

    def test_keeps_what_is_remembered(self) -> None:
        assert judged("554 no", None, stage=Stage.GREETING, catch_all=True)[1] is True


replies = st.builds(
    Reply,
    st.integers(200, 599),
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([text[4:].encode() for text, _ in EXPLICIT]),
            st.sampled_from([b"5.7.1 Relay access denied", b"5.2.2 full", b"rejected"]),
        ),
        max_size=3,
    ).map(tuple),
    stage=st.sampled_from(list(Stage)),
)
findings = st.builds(
    Finding, st.sampled_from(list(Label)), st.just(Label.UNKNOWN.subject), st.text()
)
circumstances = st.builds(
    Circumstances,
    control=st.none() | replies,
    control_finding=st.none() | findings,
    control_wanted=st.booleans(),
    catch_all=st.none() | st.booleans(),
    best=st.booleans(),
    every_exchanger_refused_relay=st.booleans(),
    another_accepted=st.booleans(),
    exempt_accepted=st.booleans(),
)


@given(replies, st.none() | findings, circumstances)
def test_only_a_5xx_at_rcpt_is_ever_dead(
    reply: Reply, finding: Finding | None, known: Circumstances
) -> None:
    result = judge(finding or classify(reply.stage, reply), reply, known)
    if result.verdict is Verdict.UNDELIVERABLE:
        assert reply.stage is Stage.RCPT
        assert reply.code_class == 5
        assert reply.code != 521
    if result.verdict is Verdict.DELIVERABLE:
        assert reply.stage is Stage.RCPT
        assert reply.code_class == 2
        assert known.best


@given(replies, circumstances)
def test_a_blocked_source_is_never_dead(reply: Reply, known: Circumstances) -> None:
    blocked = Finding(Label.BLOCKLISTED, Label.BLOCKLISTED.subject, "x")
    assert judge(blocked, reply, known).verdict is not Verdict.UNDELIVERABLE
