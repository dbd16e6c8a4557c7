"""From what sessions brought to outcomes: pure. Rows are those of cases.md."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from twisted_probe.routing.evidence import Evidence, Request, Trouble
from twisted_probe.routing.memory import Known
from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import (
    ConnectTimeout,
    LocalExhaustion,
    NoRoute,
    ProtocolViolation,
    Refused,
    ReplyTimeout,
    SessionError,
    SessionLost,
    SourceUnavailable,
)
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, TlsReport
from twisted_probe.vocabulary.reply import Reply, Stage

from .town_square import ONE, REVERSE_PATH

NOW = 1_800_000_000.0
ANN, BEN, CARL = (parse_address(f"{name}@a.example") for name in ("ann", "ben", "carl"))
POSTMASTER = parse_address("postmaster@a.example")
CONTROL = parse_address("k7qzxv2m9w4d8j3fsp@a.example")
BEST = Exchanger("mx1.a.example", "192.0.2.1", 10)
OTHER_BEST = Exchanger("mx0.a.example", "192.0.2.10", 10)
BACKUP = Exchanger("mx2.a.example", "192.0.2.2", 20, best=False)

YES = "250 2.1.5 Ok"
NO = "550 5.1.1 User unknown"
VAGUE = "550 Rejected"
OF_A_BOX = "550 Mailbox unavailable"
UNSEEN = "252 2.1.5 cannot verify"
RELAY = "554 5.7.1 Relay access denied"
BLOCKED = "554 5.7.1 Client host [198.51.100.1] blocked using zen.spamhaus.org"
GREY = "450 4.2.0 Greylisted, try again in 20 minutes"


def reply(text: str, stage: Stage = Stage.RCPT) -> Reply:
    code, _, words = text.partition(" ")
    return Reply(int(code), (words.encode(),), stage=stage)


def report(answers: dict[Any, str] | None = None, **more: Any) -> SessionReport:
    return SessionReport(
        answers={address: reply(text) for address, text in (answers or {}).items()}, **more
    )


def evidence(*, control: bool = True, **more: Any) -> Evidence:
    return Evidence(
        source=ONE,
        reverse_path=REVERSE_PATH,
        known=Known(CONTROL.local) if control else None,
        exchangers=frozenset(("mx1.a.example",)),
        **more,
    )


def outcome(found: Evidence, retry: Retry | None = None, **more: Any) -> Outcome:
    ladder = Ladder(greylist=(300.0, 600.0), temporary=(60.0,))
    request = Request(more.pop("address", ANN), retry)
    return found.outcome(request, now=NOW, started=NOW - 5, ladder=ladder)


# --- Answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "control", "reason", "final", "catch_all"),
    [
        (YES, NO, Reason.ACCEPTED, True, False),
        (YES, YES, Reason.CATCH_ALL, True, True),
        (YES, GREY, Reason.UNCONFIRMED, False, None),
        (YES, BLOCKED, Reason.UNCONFIRMED, False, None),
        (YES, None, Reason.UNCONFIRMED, False, None),
        ("252 2.1.5 cannot verify", NO, Reason.UNCONFIRMED, True, False),
        (NO, YES, Reason.NO_SUCH_MAILBOX, True, True),
        (NO, None, Reason.NO_SUCH_MAILBOX, True, None),
        (VAGUE, VAGUE, Reason.REJECTS_EVERYONE, True, False),
        (VAGUE, NO, Reason.POLICY, True, False),
        (VAGUE, YES, Reason.POLICY, True, True),
        (VAGUE, None, Reason.POLICY, False, None),
        (GREY, NO, Reason.GREYLISTED, False, False),
        (RELAY, None, Reason.RELAY_DENIED, True, None),
        (BLOCKED, None, Reason.BLOCKLISTED, False, None),
        ("452 4.2.2 over quota", NO, Reason.MAILBOX_FULL, True, False),
    ],
)
def test_an_answer_and_the_control(
    answer: str, control: str | None, reason: Reason, final: bool, catch_all: bool | None
) -> None:
    found = evidence()
    answers = {ANN: answer} if control is None else {ANN: answer, CONTROL: control}
    found.note(report(answers), BEST, NOW)
    said = outcome(found)
    assert (said.reason, said.final, said.catch_all) == (reason, final, catch_all)
    assert CONTROL not in found.answers


@pytest.mark.parametrize(
    ("exchanger", "answer", "reason"),
    [
        ("mx.a.example", YES, Reason.ACCEPTED),
        ("mta5.am0.yahoodns.net", YES, Reason.UNCONFIRMED),
        ("mfsmax.docomo.ne.jp", NO, Reason.POLICY),
        (
            "mx00.gmx.net",
            "550 Requested action not taken: mailbox unavailable",
            Reason.NO_SUCH_MAILBOX,
        ),
        ("mx.a.example", "550 Requested action not taken: mailbox unavailable", Reason.POLICY),
        ("mx.blacklist.example", "550 5.1.1 mx.blacklist.example: no user", Reason.NO_SUCH_MAILBOX),
    ],
)
def test_an_exchangers_name_tells_its_provider(exchanger: str, answer: str, reason: Reason) -> None:
    found = evidence(control=False)
    found.note(report({ANN: answer}), Exchanger(exchanger, "192.0.2.1", 10), NOW)
    assert outcome(found).reason is reason


def test_who_was_asked_and_what_was_said() -> None:
    found = evidence()
    tls = TlsReport(version="TLSv1.3")
    found.note(report({ANN: YES, CONTROL: NO}, tls=tls), BEST, NOW)
    said = outcome(found)
    assert (said.stage, said.code, said.enhanced, said.text) == (Stage.RCPT, 250, "2.1.5", "Ok")
    assert (said.exchanger, said.exchanger_address) == (BEST.name, BEST.address)
    assert (said.source, said.helo) == (ONE.address, ONE.helo)
    assert (said.first_attempt_at, said.checked_at, said.attempts) == (NOW - 5, NOW, 1)
    assert said.tls is tls
    assert said.retry is None


def test_our_own_name_is_not_the_exchangers_word() -> None:
    found = evidence()
    found.source = evolve(ONE, helo="zen.spamhaus.org")
    found.note(report({ANN: "550 5.1.1 User unknown, zen.spamhaus.org"}), BEST, NOW)
    assert outcome(found).reason is Reason.NO_SUCH_MAILBOX
    found.source = evolve(ONE, helo="probe1.example.org")
    found.note(report({ANN: "550 5.1.1 User unknown, zen.spamhaus.org"}), BEST, NOW)
    assert outcome(found).reason is Reason.BLOCKLISTED


def test_what_is_remembered() -> None:
    found = evidence()
    found.note(report({ANN: YES, BEN: NO, CONTROL: NO}), BEST, NOW)
    assert found.known == Known(CONTROL.local, reply(NO), NOW, accepted_at=NOW)
    assert found.control_reply(BEST) == reply(NO)
    assert found.control_reply(BACKUP) is None


@pytest.mark.parametrize("control", [GREY, BLOCKED, "552 5.2.2 full", "450 too fast"])
def test_a_control_that_stays_undecided(control: str) -> None:
    found = evidence()
    found.note(report({ANN: NO, CONTROL: control}), BEST, NOW)
    assert found.known == Known(CONTROL.local)


def test_a_backup_adds_nothing_to_what_is_remembered() -> None:
    """Row 143."""
    found = evidence()
    found.note(report({ANN: YES, BEN: NO, CONTROL: YES}), BACKUP, NOW)
    assert found.known == Known(CONTROL.local)
    assert found.control_reply(BACKUP) == reply(YES)
    assert found.control_reply(BEST) is None
    assert outcome(found).reason is Reason.CATCH_ALL
    assert outcome(found, address=BEN).reason is Reason.NO_SUCH_MAILBOX
    found.note(report({ANN: YES}), BEST, NOW)
    assert outcome(found).reason is Reason.UNCONFIRMED


def test_who_was_accepted_vouches_for_the_one_who_accepted() -> None:
    found = evidence()
    found.note(report({BEN: VAGUE, ANN: YES, CONTROL: VAGUE}), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.NO_SUCH_MAILBOX
    found.note(report({CARL: VAGUE, CONTROL: VAGUE}), BACKUP, NOW)
    assert outcome(found, address=CARL).reason is Reason.REJECTS_EVERYONE


def witnesses(found: Evidence, answers: dict[Any, str], exchanger: Exchanger = BEST) -> list[str]:
    said = {address: reply(text) for address, text in answers.items()}
    return [each.text for each in found.witnesses(said, exchanger)]


def heard(answers: dict[Any, str], witness: dict[Any, str]) -> SessionReport:
    return report(answers, witnesses={who: reply(text) for who, text in witness.items()})


def test_who_was_accepted_before_a_vague_refusal_is_asked_once_more() -> None:
    """Row 100: the exchanger may have begun to refuse everybody."""
    answers = {ANN: YES, BEN: VAGUE, CONTROL: VAGUE}
    found = evidence()
    assert witnesses(found, answers) == ["ann@a.example"]
    found.note(report(answers), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.REJECTS_EVERYONE
    found = evidence()
    found.note(heard(answers, {ANN: YES}), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.NO_SUCH_MAILBOX
    assert outcome(found, address=ANN).reason is Reason.ACCEPTED


def test_who_is_refused_the_second_time_shows_a_change_of_mind() -> None:
    found = evidence()
    grey = {ANN: YES, BEN: NO, CARL: GREY, CONTROL: NO}
    found.note(heard(grey, {ANN: NO}), BEST, NOW)
    for address in (ANN, BEN):
        said = outcome(found, address=address)
        assert (said.reason, said.final, said.catch_all) == (Reason.POLICY, False, None)
        assert (
            said.text
            == "the exchanger refused at the end of the session whom it had accepted before"
        )
    assert outcome(found, address=CARL).reason is Reason.GREYLISTED
    assert found.control_reply(BEST) is None


def test_who_is_held_back_is_told_of_the_session_that_did_it() -> None:
    tls = TlsReport(version="TLSv1.3", verified=True)
    found = evidence()
    found.note(report({ANN: YES}, witnesses={ANN: reply(NO)}, tls=tls), BEST, NOW)
    said = outcome(found, address=ANN)
    assert (said.reason, said.tls) == (Reason.POLICY, tls)


def test_a_later_acceptance_is_as_good_as_a_witness() -> None:
    assert witnesses(evidence(), {BEN: VAGUE, ANN: YES, CONTROL: VAGUE}) == []
    assert witnesses(evidence(), {ANN: YES, BEN: NO, CONTROL: VAGUE}) == []
    assert witnesses(evidence(), {ANN: YES, BEN: VAGUE, CONTROL: NO}) == []
    assert witnesses(evidence(), {ANN: YES, BEN: VAGUE, CONTROL: YES}) == []
    assert witnesses(evidence(), {ANN: YES, BEN: VAGUE}) == []


def test_nobody_was_accepted_postmaster_is_asked() -> None:
    """RFC 5321 section 4.5.1."""
    answers = {BEN: OF_A_BOX, CONTROL: OF_A_BOX}
    assert witnesses(evidence(), answers) == ["postmaster@a.example"]
    assert witnesses(evidence(good=(CARL,)), answers) == ["carl@a.example"]
    assert witnesses(evidence(good=(parse_address("x@b.example"),)), answers) == [
        "postmaster@a.example"
    ]
    assert witnesses(evidence(), answers, BACKUP) == []
    asked = POSTMASTER
    assert witnesses(evidence(), {asked: OF_A_BOX, **answers}) == []
    for said, reason in (
        (YES, Reason.NO_SUCH_MAILBOX),
        ("251 2.1.5 will forward", Reason.NO_SUCH_MAILBOX),
        (UNSEEN, Reason.REJECTS_EVERYONE),
        (NO, Reason.REJECTS_EVERYONE),
    ):
        found = evidence()
        found.note(heard(answers, {asked: said}), BEST, NOW)
        assert outcome(found, address=BEN).reason is reason


@pytest.mark.parametrize("local", ["postmaster", "Postmaster", "abuse"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (OF_A_BOX, Reason.NO_SUCH_MAILBOX),
        ("550 Requested action not taken: mailbox unavailable", Reason.NO_SUCH_MAILBOX),
        ("550 5.0.0 Recipient not accepted", Reason.REJECTS_EVERYONE),
        (VAGUE, Reason.REJECTS_EVERYONE),
        ("554 Denied", Reason.REJECTS_EVERYONE),
        ("550 Refused", Reason.REJECTS_EVERYONE),
        ("550", Reason.REJECTS_EVERYONE),
        ("550 5.7.1 Recipient rejected", Reason.REJECTS_EVERYONE),
        ("550 5.7.1 Rejected", Reason.POLICY),
        ("550 Access denied", Reason.POLICY),
    ],
)
def test_who_is_often_exempt_explains_only_words_about_a_mailbox(
    local: str, text: str, reason: Reason
) -> None:
    """A block may say the rest as well, and take mail for postmaster all the same."""
    found = evidence()
    exempt = parse_address(f"{local}@a.example")
    found.note(report({BEN: text, exempt: YES, CONTROL: text}), BEST, NOW)
    assert outcome(found, address=BEN).reason is reason
    # Anybody else explains both.
    if reason is not Reason.POLICY:
        found.note(report({BEN: text, exempt: YES, ANN: YES, CONTROL: text}), BEST, NOW)
        assert outcome(found, address=BEN).reason is Reason.NO_SUCH_MAILBOX


def test_who_is_often_exempt_is_a_witness_only_where_nobody_better_is_there() -> None:
    assert witnesses(evidence(), {BEN: VAGUE, CONTROL: VAGUE}) == []
    both = {ANN: YES, POSTMASTER: YES, BEN: VAGUE, CONTROL: VAGUE}
    assert witnesses(evidence(), both) == ["ann@a.example"]
    only = {POSTMASTER: YES, BEN: OF_A_BOX, CONTROL: OF_A_BOX}
    assert witnesses(evidence(), only) == ["postmaster@a.example"]
    assert witnesses(evidence(good=(CARL,)), only) == ["carl@a.example"]
    last = {BEN: OF_A_BOX, POSTMASTER: YES, CONTROL: OF_A_BOX}
    assert witnesses(evidence(), last) == []
    assert witnesses(evidence(good=(CARL,)), last) == ["carl@a.example"]
    # Whoever is wary is content with anybody who can show a change of mind.
    explicit = {POSTMASTER: YES, BEN: NO, CONTROL: NO}
    assert witnesses(evidence(is_wary=True), explicit) == ["postmaster@a.example"]


def test_who_is_known_to_be_there_and_refused_shows_that_all_are() -> None:
    answers = {BEN: OF_A_BOX, CARL: OF_A_BOX, CONTROL: OF_A_BOX}
    for more in ({}, {POSTMASTER: YES}, {ANN: YES}):
        found = evidence(good=(CARL,))
        assert witnesses(found, answers | more) == []
        found.note(report(answers | more), BEST, NOW)
        for address in (BEN, CARL):
            assert outcome(found, address=address).reason is Reason.REJECTS_EVERYONE
    # As a witness, too; and one who is refused in plain words has only left.
    found = evidence(good=(CARL,))
    del answers[CARL]
    found.note(heard(answers, {CARL: OF_A_BOX}), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.REJECTS_EVERYONE
    gone = evidence(good=(CARL,))
    assert witnesses(gone, {**answers, CARL: NO}) == ["postmaster@a.example"]


def test_a_control_that_is_refused_in_vaguer_words_than_before_is_not_compared_with() -> None:
    """With a second control: the exchanger may have begun to refuse everybody."""
    found = evidence(is_wary=True)
    found.known = Known(CONTROL.local, control_reply=reply(NO), control_at=NOW)
    answers = {ANN: VAGUE, BEN: VAGUE, CONTROL: VAGUE, CARL: YES}
    found.note(report(answers), BEST, NOW)
    assert found.control_reply(BEST) == reply(NO)
    for address in (ANN, BEN):
        assert outcome(found, address=address).reason is Reason.POLICY
    # Plainer words take the place of vague ones.
    found.known = Known(CONTROL.local, control_reply=reply(VAGUE), control_at=NOW)
    found.note(report({CARL: YES, CONTROL: NO}), BEST, NOW)
    assert found.control_reply(BEST) == reply(NO)


def test_what_was_accepted_a_moment_ago_vouches_for_nobody() -> None:
    """Row 100: the source may have been shut out since."""
    lately = evidence()
    lately.known = Known(CONTROL.local, accepted_at=NOW)
    answers = {ANN: OF_A_BOX, BEN: OF_A_BOX, CONTROL: OF_A_BOX}
    assert witnesses(lately, answers) == ["postmaster@a.example"]
    lately.note(report(answers), BEST, NOW)
    for address in (ANN, BEN):
        assert outcome(lately, address=address).reason is Reason.REJECTS_EVERYONE


def test_an_earlier_session_of_the_attempt_vouches_for_nobody() -> None:
    found = evidence()
    found.note(report({ANN: YES, CONTROL: VAGUE}), BEST, NOW)
    found.note(report({BEN: VAGUE}), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.REJECTS_EVERYONE


def test_a_252_vouches_for_nobody() -> None:
    found, answers = evidence(), {BEN: OF_A_BOX, ANN: UNSEEN, CONTROL: OF_A_BOX}
    assert witnesses(found, answers) == ["postmaster@a.example"]
    found.note(report(answers), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.REJECTS_EVERYONE
    # Nor does it when it comes first: the next session asks somebody else.
    assert witnesses(found, {CARL: OF_A_BOX}) == ["postmaster@a.example"]
    # Whoever took a 252 before a refusal can still show a change of mind.
    wary = evidence(is_wary=True)
    assert witnesses(wary, {ANN: UNSEEN, BEN: NO, CONTROL: NO}) == ["ann@a.example"]
    wary.note(heard({ANN: UNSEEN, BEN: NO, CONTROL: NO}, {ANN: NO}), BEST, NOW)
    assert outcome(wary, address=BEN).reason is Reason.POLICY


def test_nobody_vouches_for_the_control_or_for_themselves() -> None:
    found = evidence()
    found.note(heard({BEN: VAGUE, ANN: YES, CONTROL: VAGUE}, {ANN: YES}), BEST, NOW)
    assert {who.local for who, answer in found.answers.items() if answer.is_vouched} == {"ben"}
    # Nor does the control for anybody.
    found = evidence()
    found.note(report({BEN: VAGUE, CONTROL: YES}), BEST, NOW)
    assert not found.answers[BEN].is_vouched


def test_what_was_accepted_some_days_ago_saves_from_relay_denied() -> None:
    found = evidence()
    found.known = Known(CONTROL.local, accepted_at=NOW)
    found.note(report({ANN: RELAY}), BEST, NOW)
    assert (outcome(found).reason, outcome(found).final) == (Reason.TEMPORARY, False)


@pytest.mark.parametrize("control", [True, False])
def test_who_is_accepted_now_saves_the_others_from_relay_denied(control: bool) -> None:
    found = evidence(control=control)
    found.note(report({ANN: RELAY, BEN: YES}), BEST, NOW)
    assert (outcome(found).reason, outcome(found).final) == (Reason.TEMPORARY, False)


def test_who_was_accepted_in_an_earlier_session_is_asked_in_the_next() -> None:
    found = evidence()
    found.note(report({ANN: YES, CONTROL: VAGUE}), BEST, NOW)
    assert witnesses(found, {BEN: VAGUE}) == ["ann@a.example"]
    found.note(heard({BEN: VAGUE}, {ANN: VAGUE}), BEST, NOW)
    assert outcome(found, address=BEN).reason is Reason.POLICY
    assert outcome(found, address=ANN).reason is Reason.ACCEPTED


def test_the_wary_look_behind_every_refusal() -> None:
    """The second control: an exchanger that judges otherwise at the end is not believed."""
    answers = {ANN: YES, BEN: NO, CONTROL: NO}
    assert witnesses(evidence(is_wary=True), answers) == ["ann@a.example"]
    assert witnesses(evidence(is_wary=True), {ANN: YES, CONTROL: NO}) == ["ann@a.example"]
    assert witnesses(evidence(is_wary=True), {BEN: NO, CONTROL: NO}) == []
    assert witnesses(evidence(is_wary=True), {ANN: YES, CONTROL: YES}) == []


def test_a_control_that_is_accepted_now_shows_a_change_of_mind() -> None:
    found = evidence(is_wary=True)
    found.known = Known(CONTROL.local, control_reply=reply(NO), control_at=NOW)
    found.note(report({ANN: YES, CONTROL: YES}), BEST, NOW)
    said = outcome(found)
    assert (said.reason, said.final) == (Reason.POLICY, False)
    found.note(report({ANN: YES, CONTROL: YES}), BEST, NOW)
    assert outcome(found).reason is Reason.CATCH_ALL


def test_without_a_control() -> None:
    found = evidence(control=False)
    found.note(report({ANN: YES}), BEST, NOW)
    assert (found.known, found.control, found.control_reply(BEST)) == (None, None, None)
    assert (outcome(found).reason, outcome(found).catch_all) == (Reason.ACCEPTED, None)


# --- Elsewhere --------------------------------------------------------------------------------


def test_who_is_to_be_asked_elsewhere() -> None:
    """Rows 107, 125, 144."""
    found = evidence()
    elsewhere = found.note(report({ANN: NO, BEN: RELAY}, without_smtputf8=(CARL,)), BEST, NOW)
    assert elsewhere == [CARL, BEN]
    said = outcome(found, address=CARL)
    assert (said.reason, said.final, said.stage) == (
        Reason.SMTPUTF8_UNSUPPORTED,
        True,
        Stage.EHLO,
    )


def test_only_all_exchangers_together_deny_relay() -> None:
    found = evidence()
    found.exchangers = frozenset((BEST.name, OTHER_BEST.name))
    found.note(report({ANN: RELAY}), BEST, NOW)
    found.note(report({ANN: RELAY}), BEST, NOW)
    assert (outcome(found).reason, outcome(found).final) == (Reason.TEMPORARY, False)
    found.note(report({ANN: "450 4.7.1 Relay access denied"}), OTHER_BEST, NOW)
    assert outcome(found).final is False
    found.note(report({ANN: RELAY}), OTHER_BEST, NOW)
    assert (outcome(found).reason, outcome(found).final) == (Reason.RELAY_DENIED, True)


def test_a_later_answer_takes_the_place_of_a_relay_refusal() -> None:
    found = evidence()
    found.note(report({ANN: RELAY}), BEST, NOW)
    found.note(report({ANN: NO}), BACKUP, NOW)
    assert outcome(found).reason is Reason.NO_SUCH_MAILBOX
    # But what does not answer says nothing.
    found.note(report(unanswered=(ANN,), failure=SessionLost("gone")), OTHER_BEST, NOW)
    assert outcome(found).reason is Reason.NO_SUCH_MAILBOX


# --- Blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("brought", "is_blocked"),
    [
        (report({ANN: BLOCKED}), True),
        (report({ANN: BLOCKED, BEN: NO}), True),
        (report({ANN: GREY, CONTROL: BLOCKED}), True),
        (report({ANN: BLOCKED, BEN: YES}), False),
        (report({ANN: BLOCKED, CONTROL: YES}), False),
        (report({ANN: NO}), False),
        (report(refusal=reply(BLOCKED, Stage.GREETING), unanswered=(ANN,)), True),
        (report(refusal=reply(BLOCKED, Stage.MAIL), unanswered=(ANN,)), True),
        (report(refusal=reply("554 no service here", Stage.GREETING), unanswered=(ANN,)), False),
        (report({ANN: BLOCKED}, refusal=reply("421 4.7.0 bye"), unanswered=(BEN,)), True),
        (report(failure=Refused("nobody"), unanswered=(ANN,)), False),
    ],
)
def test_whether_the_source_is_refused(brought: SessionReport, is_blocked: bool) -> None:
    found = evidence()
    found.note(brought, BEST, NOW)
    assert found.is_blocked is is_blocked


def test_a_block_is_not_forgotten() -> None:
    found = evidence()
    found.note(report({ANN: BLOCKED}), BEST, NOW)
    found.note(report({BEN: YES}), BACKUP, NOW)
    assert found.is_blocked


# --- Troubles ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ConnectTimeout("no connection within 30 s"), Reason.TIMEOUT),
        (ReplyTimeout("no reply in time", stage=Stage.RCPT), Reason.TIMEOUT),
        (NoRoute("no route"), Reason.NO_ROUTE),
        (Refused("refused"), Reason.REFUSED),
        (SessionLost("lost", stage=Stage.GREETING), Reason.CONNECTION_LOST),
        (ProtocolViolation("what", stage=Stage.EHLO), Reason.PROTOCOL_ERROR),
        (SourceUnavailable("not here"), Reason.SOURCE_UNAVAILABLE),
        (LocalExhaustion("too many files"), Reason.INTERNAL_ERROR),
    ],
)
def test_failures(failure: SessionError, reason: Reason) -> None:
    found = evidence()
    assert found.note(report(unanswered=(ANN,), failure=failure), BEST, NOW) == []
    said = outcome(found)
    assert (said.reason, said.stage, said.text) == (reason, failure.stage, str(failure))
    assert (said.final, said.next_attempt_at) == (False, NOW + 60.0)
    assert (said.code, said.enhanced, said.catch_all, said.tls) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "stage", "reason", "final"),
    [
        ("554 no SMTP service here", Stage.GREETING, Reason.REFUSED, False),
        ("421 4.7.0 too many connections", Stage.GREETING, Reason.RATE_LIMITED, False),
        ("421 4.3.2 shutting down", Stage.RCPT, Reason.TEMPORARY, False),
        (BLOCKED, Stage.EHLO, Reason.BLOCKLISTED, False),
        ("550 5.1.8 domain of sender not found", Stage.MAIL, Reason.SENDER_REFUSED, True),
        ("550 5.1.1 User unknown", Stage.MAIL, Reason.SENDER_REFUSED, True),
        (GREY, Stage.MAIL, Reason.GREYLISTED, False),
    ],
)
def test_refusals(text: str, stage: Stage, reason: Reason, final: bool) -> None:
    """Rows 4 to 8, 62 to 64, 84 to 86."""
    found = evidence()
    refusal = reply(text, stage)
    found.note(report(unanswered=(ANN,), refusal=refusal), BEST, NOW)
    said = outcome(found)
    assert (said.reason, said.final, said.stage, said.code) == (
        reason,
        final,
        stage,
        refusal.code,
    )


def test_a_session_that_ended_before_all_were_asked() -> None:
    found = evidence()
    found.note(report({ANN: YES}, unanswered=(BEN,)), BEST, NOW)
    said = outcome(found, address=BEN)
    assert (said.reason, said.stage, said.final) == (Reason.TEMPORARY, Stage.RCPT, False)


def test_the_last_trouble_is_told() -> None:
    found = evidence()
    found.note(report(unanswered=(ANN,), failure=Refused("refused")), BEST, NOW)
    found.note(report(unanswered=(ANN,), failure=SessionLost("lost")), BACKUP, NOW)
    assert (outcome(found).reason, outcome(found).exchanger) == (
        Reason.CONNECTION_LOST,
        BACKUP.name,
    )


# --- When to ask again ------------------------------------------------------------------------


def test_the_hint_wins_where_it_is_longer() -> None:
    """Row 94."""
    found = evidence()
    found.note(report({ANN: GREY, BEN: "451 4.7.1 Greylisted, wait 5 seconds"}), BEST, NOW)
    assert outcome(found).next_attempt_at == NOW + 1200.0
    assert outcome(found, address=BEN).next_attempt_at == NOW + 300.0


def test_what_a_retry_repeats() -> None:
    found = evidence()
    found.note(report({ANN: GREY}), BEST, NOW)
    assert outcome(found).retry == Retry(
        source=ONE.address,
        helo=ONE.helo,
        reverse_path=REVERSE_PATH,
        control=CONTROL.local,
        attempts=1,
        first_attempt_at=NOW - 5,
    )


def test_attempts_are_counted_to_the_end_of_the_ladder() -> None:
    found = evidence()
    found.note(report({ANN: GREY}), BEST, NOW)
    retry = outcome(found).retry
    second = outcome(found, retry)
    assert second.retry is not None
    assert (second.attempts, second.retry.attempts, second.first_attempt_at) == (2, 2, NOW - 5)
    third = outcome(found, second.retry)
    assert (third.reason, third.attempts, third.final) == (Reason.GREYLISTED, 3, True)
    assert (third.retry, third.next_attempt_at) == (None, None)


def test_nobody_was_asked_and_the_triplet_stays() -> None:
    found = Evidence(source=None, reverse_path=REVERSE_PATH)
    found.troubles[ANN] = Trouble(reason=Reason.DNS_ERROR, text="fog")
    before = Retry(ONE.address, ONE.helo, REVERSE_PATH, "k", 1, NOW - 400)
    said = outcome(found, before)
    assert said.final  # the temporary ladder of these tests has one step
    found.troubles[ANN] = Trouble(reason=Reason.GREYLISTED)
    assert outcome(found, before).retry == Retry(
        ONE.address, ONE.helo, REVERSE_PATH, "k", 2, NOW - 400
    )
    assert outcome(found).retry == Retry(None, None, REVERSE_PATH, None, 1, NOW - 5)


def test_a_source_that_cannot_be_used_is_not_repeated() -> None:
    found = evidence()
    found.note(report(unanswered=(ANN,), failure=SourceUnavailable("not here")), BEST, NOW)
    said = outcome(found)
    assert said.source == ONE.address
    assert said.retry == Retry(None, None, REVERSE_PATH, None, 1, NOW - 5)
