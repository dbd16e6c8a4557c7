"""What a prober keeps of its sessions, and what is asked beside the recipients."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from twisted_probe.routing.controls import Controls
from twisted_probe.routing.scribe import MAX_CHARACTERS, MAX_LINE, MAX_LINES, Scribe
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.quirks import TurnsAfter
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.verdict.basis import judgement_of
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.outcome import Outcome, Reason

from .town_square import REFUSED, Town, town

A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
HERE = residents("ann ben")


def asked(t: Town, *names: str) -> list[Outcome]:
    wanted: Any = t.prober.probe_many([f"{name}@a.example" for name in names])
    found: list[Outcome] = t.square.wait(wanted)
    return found


def reasons(outcomes: list[Outcome]) -> list[Reason]:
    return [outcome.reason for outcome in outcomes]


# --- Hearings ---------------------------------------------------------------------------------


def test_the_recipients_of_an_attempt_share_what_was_said() -> None:
    with town(A, evidence=True) as t:
        t.square.settle("192.0.2.1", tempers.postfix(HERE))
        outcomes = asked(t, "ann", "nobody")
        hearing = outcomes[0].hearing
        assert hearing is not None
        assert outcomes[1].hearing is hearing
        (dialogue,) = hearing.dialogues
        assert dialogue.lines[0].startswith("S: 220 ")
        assert "C: RCPT TO:<nobody@a.example>" in dialogue.lines
        assert dialogue.lines[-1].startswith("S: 221 ")
        assert (dialogue.exchanger, dialogue.exchanger_address) == ("mx.a.example", "192.0.2.1")
        for outcome in outcomes:
            basis = hearing.bases[parse_address(outcome.address).key]
            assert basis.dialogue == 0
            assert judgement_of(basis).reason is outcome.reason
        assert t.prober.rule_hits["positive"] == 1
        assert sum(t.prober.rule_hits.values()) == 2
        assert {rule.name for rule in t.prober.rules} >= set(t.prober.rule_hits)
        assert "hearing" not in outcomes[0].record()


def test_nothing_is_kept_unless_it_is_wanted() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(HERE))
        (outcome,) = asked(t, "ann")
        assert outcome.hearing is None
        assert t.prober.rule_hits["positive"] == 1


def test_a_session_that_ends_for_all_is_heard_too() -> None:
    with town(A, evidence=True) as t:
        t.square.settle("192.0.2.1", tempers.sender_refusing())
        outcomes = asked(t, "ann", "ben")
        hearing = outcomes[0].hearing
        assert hearing is not None
        assert {basis.recipient for basis in hearing.bases.values()} == {""}
        assert len(hearing.bases) == 2


def test_nobody_was_met_nothing_was_heard() -> None:
    with town({}, evidence=True) as t:
        (outcome,) = asked(t, "ann")
        assert (outcome.reason, outcome.hearing) == (Reason.NO_SUCH_DOMAIN, None)


def test_a_scribe_has_its_bounds() -> None:
    exchanger = Exchanger("mx.a.example", "192.0.2.1")
    assert Scribe(exchanger, 1.0).dialogue is None
    chatty = Scribe(exchanger, 1.0)
    for _ in range(MAX_LINES + 5):
        chatty("S: 250-x")
    found = chatty.dialogue
    assert found is not None
    assert (len(found.lines), found.left_out, found.begun_at) == (MAX_LINES, 5, 1.0)
    endless = Scribe(exchanger, 1.0)
    for _ in range(200):
        endless("S: 250-" + "x" * 5000)
    found = endless.dialogue
    assert found is not None
    assert {len(line) for line in found.lines} == {MAX_LINE}
    assert sum(map(len, found.lines)) <= MAX_CHARACTERS
    assert len(found.lines) + found.left_out == 200


# --- Controls ---------------------------------------------------------------------------------


def test_catch_all_domains_are_skipped_where_that_is_wanted() -> None:
    with town(A, controls=Controls(skip_catch_all=True), sources=town_sources()) as t:
        record = t.square.settle("192.0.2.1", tempers.catch_all())
        assert reasons(asked(t, "ann")) == [Reason.CATCH_ALL]
        (skipped,) = asked(t, "ben")
        assert (skipped.reason, skipped.catch_all, skipped.final) == (Reason.CATCH_ALL, True, True)
        assert skipped.text == "not asked: the domain accepts a random recipient"
        assert (skipped.code, len(record.sessions)) == (None, 1)


def test_others_are_not_skipped() -> None:
    with town(A, controls=Controls(skip_catch_all=True), sources=town_sources()) as t:
        t.square.settle("192.0.2.1", tempers.postfix(HERE))
        assert reasons(asked(t, "ann")) == [Reason.ACCEPTED]
        assert reasons(asked(t, "ben")) == [Reason.ACCEPTED]


def test_the_second_control_unmasks_who_accepts_everybody_later() -> None:
    """The domain was known to refuse a random recipient; in this session it accepts one."""
    with town(A, controls=Controls(second_control=True), sources=town_sources()) as t:
        t.square.settle("192.0.2.1", tempers.postfix(HERE))
        assert reasons(asked(t, "ann")) == [Reason.ACCEPTED]
        soft = Temper(mailboxes=HERE, habits=(TurnsAfter(1, "250 2.1.5 Ok"),))
        t.square.settle("192.0.2.1", soft)
        held, ben = asked(t, "ben", "nobody")
        assert (held.reason, held.final, ben.reason) == (Reason.POLICY, False, Reason.POLICY)
        again = t.square.wait(t.prober.probe("ben@a.example", retry=held.retry))
        assert again.reason is Reason.CATCH_ALL


def test_the_second_control_unmasks_who_refuses_everybody_later() -> None:
    """In explicit words, which would else make the living dead."""
    hard = Temper(mailboxes=HERE, habits=(TurnsAfter(1, "550 5.1.1 User unknown"),))
    with town(A, controls=Controls(second_control=True), sources=town_sources()) as t:
        t.square.settle("192.0.2.1", hard)
        assert reasons(asked(t, "ann", "ben")) == [Reason.POLICY, Reason.POLICY]


def test_somebody_known_to_be_there_explains_vague_refusals() -> None:
    temper = Temper(mailboxes=HERE, unknown="550 Rejected")
    known = Controls(known_good=("ben@a.example",))
    with town(A, controls=known, sources=town_sources(), evidence=True) as t:
        record = t.square.settle("192.0.2.1", temper)
        (outcome,) = asked(t, "nobody")
        assert outcome.reason is Reason.NO_SUCH_MAILBOX
        assert record.sessions[0].verbs.count("RCPT") == 3
        assert outcome.hearing is not None
        (basis,) = outcome.hearing.bases.values()
        assert (basis.witness, basis.another_accepted) == ("ben@a.example", True)
    with town(A, sources=town_sources()) as t:
        t.square.settle("192.0.2.1", temper)
        assert reasons(asked(t, "nobody")) == [Reason.REJECTS_EVERYONE]


def town_sources() -> list[Any]:
    """One source: what is known of a domain is known as one source sees it."""
    from .town_square import ONE

    return [ONE]


def test_the_last_evidence_stays_where_a_later_attempt_has_no_session() -> None:
    with town(A, evidence=True) as t:
        t.square.settle("192.0.2.1", tempers.greylisting(HERE))
        (first,) = asked(t, "ann")
        assert first.retry is not None
        assert first.hearing is not None
        assert first.hearing.attempt == 1
        t.square.houses["192.0.2.1"] = REFUSED
        kept = evolve(first.retry, evidence=7)
        later = t.square.wait(t.prober.probe("ann@a.example", retry=kept))
        assert (later.hearing, later.evidence, later.attempts) == (None, 7, 2)
        assert later.retry is not None
        assert later.retry.evidence == 7
        t.square.settle("192.0.2.1", tempers.postfix(HERE))
        last = t.square.wait(t.prober.probe("ann@a.example", retry=later.retry))
        assert last.hearing is not None
        assert (last.hearing.attempt, last.hearing.before) == (3, 7)
