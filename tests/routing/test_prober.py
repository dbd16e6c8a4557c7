"""A prober in a town without a network: who is asked, from where, and what comes of it.

Rows are those of cases.md.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectBindError, ConnectError, NoRouteError
from twisted.internet.testing import MemoryReactorClock

from twisted_probe.routing.memory import Known, MemoryInRam
from twisted_probe.routing.pauses import Held
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.habits import DropsAfter, Greylists
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.smtp.limits import MAX_ERRORS, MAX_RECIPIENTS, Timeouts
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.outcome import FLAT_FIELDS, Outcome, Reason, Retry, Verdict
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

from .town_square import (
    NETWORKS,
    ONE,
    REFUSED,
    REVERSE_PATH,
    SIX,
    START,
    THREE,
    TWO,
    Book,
    Square,
    prober_in,
    town,
)

ANN = residents("ann ben carl postmaster")

#: a.example with one exchanger.
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
#: a.example with a best exchanger and a backup.
AB = {
    "a.example": ["MX 10 mx1.a.example", "MX 20 mx2.a.example"],
    "mx1.a.example": ["A 192.0.2.1"],
    "mx2.a.example": ["A 192.0.2.2"],
}


def in_a_row(number: int) -> dict[str, list[str]]:
    """a.example with so many exchangers, each less preferred than the one before it."""
    hosts = {f"mx{n}.a.example": [f"A 192.0.2.{n}"] for n in range(1, number + 1)}
    return {"a.example": [f"MX {n} {host}" for n, host in enumerate(hosts)], **hosts}


def reasons(outcomes: list[Outcome]) -> list[Reason]:
    return [outcome.reason for outcome in outcomes]


def rcpts(record: Any) -> list[str]:
    """The recipients that were asked, in order, without the controls."""
    asked = [exchange.argument[4:-1] for _, exchange in record.asked("RCPT")]
    return [recipient for recipient in asked if len(recipient.split("@")[0]) != 18]


def controls(record: Any) -> list[str]:
    asked = [exchange.argument[4:-1] for _, exchange in record.asked("RCPT")]
    return [recipient for recipient in asked if len(recipient.split("@")[0]) == 18]


# --- What an outcome says ---------------------------------------------------------------------


def test_an_accepted_recipient() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcome = t.square.wait(t.prober.probe("Ann <ann@A.example>"))
        assert outcome == Outcome(
            address="ann@A.example",
            reason=Reason.ACCEPTED,
            catch_all=False,
            stage=Stage.RCPT,
            code=250,
            enhanced="2.1.5",
            text="Ok",
            exchanger="mx.a.example",
            exchanger_address="192.0.2.1",
            source=ONE.address,
            helo=ONE.helo,
            attempts=1,
            first_attempt_at=START,
            checked_at=START,
        )
        (session,) = record.sessions
        assert session.verbs == ["EHLO", "MAIL", "RCPT", "RCPT", "QUIT"]
        assert session.commands[1] == ("MAIL", "FROM:<probe@example.org>")
        assert t.square.dials[0].port == 25
        assert record.forbidden == 0
        assert not t.prober._running


def test_the_record_has_one_shape() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcomes = t.square.wait(
            t.prober.probe_many(["ann@a.example", "no address", "ann@nowhere.example"])
        )
        accepted, invalid, nowhere = (outcome.record() for outcome in outcomes)
        assert accepted == {
            "line": None,
            "address": "ann@a.example",
            "verdict": "deliverable",
            "reason": "accepted",
            "final": True,
            "catch_all": False,
            "stage": "rcpt",
            "code": 250,
            "enhanced": "2.1.5",
            "text": "Ok",
            "exchanger": "mx.a.example",
            "exchanger_address": "192.0.2.1",
            "source": "198.51.100.1",
            "helo": "probe1.example.org",
            "tls": None,
            "attempts": 1,
            "first_attempt_at": "2027-01-15T08:00:00.000Z",
            "checked_at": "2027-01-15T08:00:00.000Z",
            "next_attempt_at": None,
            "cached": False,
            "job": None,
            "disposable": None,
            "role_account": None,
            "free_provider": None,
            "suggestion": None,
        }
        assert accepted.keys() == invalid.keys() == nowhere.keys()
        assert [key for key in accepted if key != "tls"] == [
            name for name in FLAT_FIELDS if not name.startswith("tls_")
        ]
        assert nowhere["reason"] == "no_such_domain"
        assert nowhere["source"] is nowhere["exchanger"] is nowhere["stage"] is None


def test_a_text_that_is_no_address_is_answered() -> None:
    """Row 121: before anything is sent or asked."""
    with town({}) as t:
        texts = ["", "ann", "ann@@a.example", "ann@a.example\r\nDATA", "a@b.example, c@d.example"]
        outcomes = t.square.wait(t.prober.probe_many(texts))
        assert [outcome.address for outcome in outcomes] == [escaped(text) for text in texts]
        assert set(reasons(outcomes)) == {Reason.INVALID_ADDRESS}
        assert all(outcome.final and outcome.text for outcome in outcomes)
        assert all(outcome.checked_at == START and not outcome.attempts for outcome in outcomes)
        assert not t.book.asked
        assert not t.square.dials


@pytest.mark.parametrize(
    ("domain", "reason", "final"),
    [
        ("nowhere.example", Reason.NO_SUCH_DOMAIN, True),
        ("nomail.example", Reason.NO_MAIL, True),
        ("fog.example", Reason.DNS_ERROR, False),
        ("six.example", Reason.SOURCE_UNAVAILABLE, False),
        ("cellar.example", Reason.FORBIDDEN_EXCHANGER, True),
        ("[127.0.0.1]", Reason.FORBIDDEN_EXCHANGER, True),
        ("ours.example", Reason.FORBIDDEN_EXCHANGER, True),
    ],
)
def test_nobody_to_ask(domain: str, reason: Reason, final: bool) -> None:
    names: Names = {
        "nomail.example": ["MX 0 ."],
        "fog.example": Trouble.SERVFAIL,
        "six.example": ["AAAA 2001:db8:25::1"],
        "cellar.example": ["MX 10 mx1.cellar.example", "MX 10 mx2.cellar.example"],
        "mx1.cellar.example": ["A 10.11.12.13", "A 169.254.169.254"],
        "mx2.cellar.example": ["A 127.0.0.1"],
        "ours.example": [f"A {ONE.address}"],
    }
    with town(names) as t:
        outcome = t.square.wait(t.prober.probe(f"ann@{domain}"))
        assert (outcome.reason, outcome.final) == (reason, final)
        assert outcome.text
        assert outcome.source is None
        assert (outcome.retry is None) is final
        assert not t.square.dials


def test_forbidden_addresses_are_named() -> None:
    with town({"a.example": ["A 10.11.12.13", "A 127.0.0.1"]}) as t:
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.text == (
            "never dialled: a.example at 10.11.12.13 (private); a.example at 127.0.0.1 (loopback)"
        )


def test_a_forbidden_address_is_never_dialled_by_a_real_connector() -> None:
    """Row 140, on the reactor that Twisted has for this."""
    reactor: Any = MemoryReactorClock()
    book = Book(
        {
            "a.example": ["MX 10 mx1.a.example", "MX 20 mx2.a.example"],
            "mx1.a.example": ["A 10.0.0.1", "A 0.0.0.0", "A 127.0.0.1"],
            "mx2.a.example": ["A 8.8.8.8"],
        }
    )
    prober = prober_in(reactor, book)
    asking = prober.probe("ann@a.example")
    assert [(host, port) for host, port, *_ in reactor.tcpClients] == [("8.8.8.8", 25)]
    assert reactor.tcpClients[0][4] == (ONE.address, 0)
    asking.addErrback(lambda failure: failure.trap(CancelledError))
    asking.cancel()
    assert len(reactor.tcpClients) == 1


def test_others_go_on_where_one_is_forbidden() -> None:
    with town({**AB, "mx1.a.example": ["A 10.0.0.1"]}) as t:
        t.square.settle("192.0.2.2", tempers.postfix(ANN))
        outcome = t.square.wait(t.prober.probe("nobody@a.example"))
        assert outcome.reason is Reason.NO_SUCH_MAILBOX
        assert t.square.dialled == ["192.0.2.2"]


# --- From where -------------------------------------------------------------------------------


def test_sources_in_turn_each_with_its_own_name() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        for _ in range(4):
            t.square.wait(t.prober.probe("ann@a.example"))
        assert t.square.sources == [ONE.address, TWO.address] * 2
        assert record.helo_names == {ONE.address: {ONE.helo}, TWO.address: {TWO.helo}}


def test_a_source_of_the_exchangers_family() -> None:
    names = {
        "four.example": ["A 192.0.2.1"],
        "six.example": ["AAAA 2001:db8:25::1"],
        "both.example": ["A 192.0.2.1", "AAAA 2001:db8:25::1"],
    }
    with town(names, sources=[ONE, SIX]) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.settle("2001:db8:25::1", tempers.postfix(ANN))
        for domain in ("six", "four", "both", "both"):
            t.square.wait(t.prober.probe(f"ann@{domain}.example"))
        assert [(dial.source, dial.host) for dial in t.square.dials] == [
            (SIX.address, "2001:db8:25::1"),
            (ONE.address, "192.0.2.1"),
            (SIX.address, "2001:db8:25::1"),
            (ONE.address, "192.0.2.1"),
        ]


def test_a_retry_leaves_from_its_own_source_with_the_same_triplet() -> None:
    """Row 94 and design rule 6."""
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.greylisting(ANN, 300.0))
        first = t.square.wait(t.prober.probe("ann@a.example"))
        assert (first.reason, first.final) == (Reason.GREYLISTED, False)
        assert first.next_attempt_at == START + 300.0
        assert first.retry is not None
        assert (first.retry.source, first.retry.helo) == (ONE.address, ONE.helo)
        assert (first.retry.attempts, first.retry.first_attempt_at) == (1, START)
        t.square.advance(300.0)
        second = t.square.wait(t.prober.probe("ann@a.example", retry=first.retry))
        assert (second.reason, second.final) == (Reason.ACCEPTED, True)
        assert (second.attempts, second.first_attempt_at) == (2, START)
        assert second.checked_at == START + 300.0
        assert second.retry is None
        assert record.sessions[0].commands == record.sessions[1].commands
        assert {session.client for session in record.sessions} == {ONE.address}
        assert controls(record) == [f"{first.retry.control}@a.example"] * 2


def test_the_triplet_outlives_the_process() -> None:
    """Row 164: a new prober, without any memory, repeats what the outcome says."""
    square, book = Square(), Book(A)
    record = square.settle("192.0.2.1", tempers.greylisting(ANN, 300.0))
    first = square.wait(
        prober_in(square, book, reverse_path="first@example.org").probe("ann@a.example")
    )
    square.advance(300.0)
    renamed = [TWO, Source(ONE.address, helo="renamed.example.org")]
    other = prober_in(square, book, sources=renamed, rng=random.Random(7))
    outcome = square.wait(other.probe("ann@a.example", retry=first.retry))
    assert outcome.reason is Reason.ACCEPTED
    assert outcome.helo == ONE.helo
    assert record.sessions[0].commands == record.sessions[1].commands
    assert "first@example.org" in record.sessions[1].commands[1][1]


def test_a_retry_whose_source_is_gone_takes_another() -> None:
    square, book = Square(), Book(A)
    record = square.settle("192.0.2.1", tempers.postfix(ANN))
    retry = Retry("198.51.100.77", "gone.example.org", REVERSE_PATH, "x" * 18, 1, START)
    outcome = square.wait(prober_in(square, book).probe("ann@a.example", retry=retry))
    assert (outcome.source, outcome.helo, outcome.attempts) == (ONE.address, ONE.helo, 2)
    assert outcome.reason is Reason.ACCEPTED
    # And that source's own control: the other one is another source's secret.
    assert controls(record) != ["x" * 18 + "@a.example"]
    assert outcome.text == "Ok (the source of the attempts before, 198.51.100.77, is gone)"


def test_that_a_source_is_gone_is_said_to_the_end() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.greylisting(ANN, 300.0))
        retry = Retry("198.51.100.77", "gone.example.org", REVERSE_PATH, "x" * 18, 1, START)
        waits = t.square.wait(t.prober.probe("ann@a.example", retry=retry))
        assert waits.reason is Reason.GREYLISTED
        assert waits.retry is not None
        assert (waits.retry.source, waits.retry.gone) == (ONE.address, retry.source)
        t.square.advance(300.0)
        outcome = t.square.wait(t.prober.probe("ann@a.example", retry=waits.retry))
        for each in (waits, outcome):
            assert str(each.text).count("(the source of the attempts before, 198.51.100.77,") == 1
        assert outcome.reason is Reason.ACCEPTED


def test_a_source_that_goes_in_the_midst_of_its_retry_is_not_gone_before() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.greylisting(ANN, 300.0))
        first = t.square.wait(t.prober.probe("ann@a.example"))
        t.square.advance(300.0)
        asking = t.prober.probe("ann@a.example", retry=first.retry)
        while not t.square.dials[1:]:
            t.square.step()
        t.prober.reconfigure(sources=[TWO], reverse_path=REVERSE_PATH, allow_networks=NETWORKS)
        outcome = t.square.wait(asking)
        assert (outcome.reason, outcome.source) == (Reason.ACCEPTED, ONE.address)
        assert "is gone" not in str(outcome.text)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (
            NO_WISHES,
            "a.example is reached over IPv4, and no source that may go has such an address",
        ),
        (
            Wishes(sources=["192.0.2.77"]),
            "none of the sources that it may be asked from is there any more",
        ),
    ],
)
def test_none_is_left_where_the_source_is_gone(wishes: Wishes, words: str) -> None:
    retry = Retry("192.0.2.77", "gone.example.org", REVERSE_PATH, "x" * 18, 1, START)
    with town(A, sources=[SIX]) as t:
        outcome = t.square.wait(t.prober.probe("ann@a.example", retry, wishes))
        assert (outcome.reason, outcome.final) == (Reason.SOURCE_UNAVAILABLE, False)
        assert outcome.text == f"{words} (the source of the attempts before, 192.0.2.77, is gone)"
        # Where it comes back, it is the one that is known there.
        assert outcome.retry == evolve(retry, attempts=2)


def test_a_retry_whose_source_is_of_the_other_family_takes_another() -> None:
    with town(A, sources=[ONE, SIX]) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        retry = Retry(SIX.address, SIX.helo, REVERSE_PATH, "x" * 18, 1, START)
        assert t.square.wait(t.prober.probe("ann@a.example", retry)).source == ONE.address


def test_the_triplet_survives_an_attempt_that_came_to_nobody() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.greylisting(ANN, 300.0))
        first = t.square.wait(t.prober.probe("ann@a.example"))
        fog = prober_in(t.square, Book({"a.example": Trouble.SERVFAIL}))
        second = t.square.wait(fog.probe("ann@a.example", first.retry))
        assert (second.reason, second.source) == (Reason.DNS_ERROR, None)
        assert first.retry is not None
        assert second.retry == evolve(first.retry, attempts=2)


@pytest.mark.parametrize("error", [ConnectBindError(99, "no such address"), ConnectBindError(-9)])
def test_a_source_that_is_not_on_this_machine(error: Exception) -> None:
    """Row 55: no other address in its place, and another source the next time."""
    with town(AB) as t:
        t.square.houses["192.0.2.1"] = error
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.SOURCE_UNAVAILABLE, False)
        assert outcome.source == ONE.address
        assert outcome.retry is not None
        assert (outcome.retry.source, outcome.retry.attempts) == (None, 1)
        assert len(t.square.dials) == 1
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        assert t.square.wait(t.prober.probe("ann@a.example", outcome.retry)).source == TWO.address


def test_the_machines_own_want_is_nobodys_fault() -> None:
    """Rows 56 and 58."""
    with town(AB) as t:
        t.square.houses["192.0.2.1"] = ConnectError(24, "too many open files")
        with pytest.raises(Held, match="too many open files"):
            t.square.wait(t.prober.ask(["ann@a.example"]))
        assert t.square.dialled == ["192.0.2.1"]
        asking = t.prober.probe("ann@a.example")
        while len(t.square.dials) < 2:
            t.square.step()
        t.square.turn()
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcome = t.square.wait(asking)
        assert (outcome.reason, outcome.attempts) == (Reason.ACCEPTED, 1)
        assert len(t.square.dials) == 3


# --- Blocked sources --------------------------------------------------------------------------


def test_a_blocked_source_is_benched_and_the_other_one_goes() -> None:
    """Row 101."""
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address))
        blocked = t.square.wait(t.prober.probe("ann@a.example"))
        assert (blocked.reason, blocked.final) == (Reason.BLOCKLISTED, False)
        assert (blocked.verdict, blocked.source) == (Verdict.UNKNOWN, ONE.address)
        outcome = t.square.wait(t.prober.probe("ann@a.example", blocked.retry))
        assert (outcome.reason, outcome.source) == (Reason.ACCEPTED, TWO.address)
        for _ in range(3):
            assert t.square.wait(t.prober.probe("ann@a.example")).source == TWO.address
        t.square.advance(24 * 3600)
        t.square.wait(t.prober.probe("ann@a.example"))
        assert t.square.sources[-1] == ONE.address


@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.EHLO, Stage.MAIL, Stage.RCPT])
def test_two_blocked_sources_pause_the_site(stage: Stage) -> None:
    """Rows 5, 63 and 118; design rule 5."""
    with town({**A, "b.example": ["A 192.0.2.9"]}, sources=[ONE, TWO, THREE]) as t:
        blocking = tempers.blocking(ANN, ONE.address, TWO.address, stage=stage)
        t.square.settle("192.0.2.1", blocking)
        t.square.settle("192.0.2.9", tempers.postfix(ANN))
        for _ in range(2):
            outcome = t.square.wait(t.prober.probe("ann@a.example"))
            assert outcome.reason is Reason.BLOCKLISTED
        assert t.square.sources == [ONE.address, TWO.address]
        for retry in (None, outcome.retry):
            paused = t.square.wait(t.prober.probe("ann@a.example", retry))
            assert (paused.reason, paused.final) == (Reason.BLOCKLISTED, False)
            assert paused.text == "the site has refused our sources and is left alone for a day"
        assert len(t.square.dials) == 2
        assert t.square.wait(t.prober.probe("ann@b.example")).reason is Reason.ACCEPTED


def test_those_who_wait_for_their_turn_are_told_of_the_pause() -> None:
    """One batch after the other would else run into the same wall."""
    limits = Limits(per_site=1)
    with town(A, sources=[ONE, TWO, THREE], limits=limits) as t:
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address, TWO.address, THREE.address))
        asking = [t.prober.probe(f"ann{number}@a.example") for number in range(9)]
        outcomes = [t.square.wait(each) for each in asking]
        assert set(reasons(outcomes)) == {Reason.BLOCKLISTED}
        assert t.square.sources == [ONE.address, TWO.address]
        assert not any(outcome.final for outcome in outcomes)


def test_the_only_source_of_a_family_is_blocked() -> None:
    with town(A, sources=[ONE, SIX]) as t:
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address))
        t.square.wait(t.prober.probe("ann@a.example"))
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.BLOCKLISTED, False)
        assert len(t.square.dials) == 1


def test_one_recipient_who_wants_nothing_from_us_is_no_block() -> None:
    mailboxes = {**ANN, "grim": "550 5.7.1 Client host [198.51.100.1] blocked using our own list"}
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(mailboxes))
        grim, ann = t.square.wait(t.prober.probe_many(["grim@a.example", "ann@a.example"]))
        assert (grim.reason, ann.reason) == (Reason.BLOCKLISTED, Reason.ACCEPTED)
        t.square.wait(t.prober.probe("ann@a.example"))
        t.square.wait(t.prober.probe("ann@a.example"))
        assert t.square.sources == [ONE.address, TWO.address, ONE.address]


def test_a_refusal_of_the_sender_ends_it() -> None:
    """Row 103: it is about us, so the next exchanger is not asked."""
    with town(AB) as t:
        t.square.settle("192.0.2.1", tempers.sender_refusing())
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.SENDER_REFUSED, True)
        assert outcome.stage is Stage.MAIL
        assert t.square.dialled == ["192.0.2.1"]


# --- The control ------------------------------------------------------------------------------


class Careful(MemoryInRam):
    """A memory that takes its time; `events` has what was kept, and what waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Known] = []
        self.waiting: list[Deferred[Any]] = []
        self.holds = False

    def recall(self, domain: str, source: str, control: str) -> Deferred[Known]:
        return super().recall(domain, source, control).addCallback(self._keep)

    def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
        super().remember(domain, source, known)
        return succeed(known).addCallback(self._keep).addCallback(lambda _: None)

    def _keep(self, known: Known) -> Known | Deferred[Known]:
        self.kept.append(known)
        if not self.holds:
            return known
        self.waiting.append(Deferred())
        return self.waiting[-1].addCallback(lambda _: known)


def test_the_control_is_kept_before_it_is_sent() -> None:
    memory = Careful()
    memory.holds = True
    with town(A, memory=memory) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = t.prober.probe("ann@a.example")
        t.square.turn()
        assert not t.square.dials
        assert memory.kept == [Known(memory.kept[0].control)]
        memory.waiting.pop().callback(None)
        while not memory.waiting:
            t.square.step()
        # What it showed is kept before anybody hears of it.
        assert not asking.called
        assert controls(record) == [f"{memory.kept[0].control}@a.example"]
        assert memory.kept[1].control_reply is not None
        memory.waiting.pop().callback(None)
        assert t.square.wait(asking).reason is Reason.ACCEPTED


def test_the_control_is_asked_last_once_and_of_each_source() -> None:
    """Row 89 and 112."""
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        for _ in range(4):
            t.square.wait(t.prober.probe_many(["ann@a.example", "ben@a.example"]))
        first, second, *others = record.sessions
        assert [len(session.verbs) for session in (first, second)] == [6, 6]
        assert "ann" not in first.commands[-2][1]
        assert first.commands[-2] != second.commands[-2]
        assert [session.verbs.count("RCPT") for session in others] == [2, 2]
        t.square.advance(3 * 3600 + 1)
        t.square.wait(t.prober.probe("ann@a.example"))
        assert controls(record)[2:] == controls(record)[:1]


def test_catch_all() -> None:
    """Row 112: and for seven days everybody knows."""
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.catch_all())
        for _ in range(3):
            outcome = t.square.wait(t.prober.probe("ann@a.example"))
            assert (outcome.reason, outcome.catch_all) == (Reason.CATCH_ALL, True)
            assert outcome.final
        t.square.advance(6 * 24 * 3600)
        t.square.wait(t.prober.probe("ben@a.example"))
        assert len(controls(record)) == 2
        t.square.advance(24 * 3600)
        t.square.wait(t.prober.probe("ben@a.example"))
        assert len(controls(record)) == 3


def test_without_a_control_a_catch_all_goes_unnoticed() -> None:
    memory = Careful()
    with town(A, control=False, memory=memory) as t:
        record = t.square.settle("192.0.2.1", tempers.catch_all())
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.catch_all) == (Reason.ACCEPTED, None)
        assert record.sessions[0].verbs == ["EHLO", "MAIL", "RCPT", "QUIT"]
        assert not memory.kept


def test_an_undecided_control_is_asked_again_to_the_end_of_the_ladder() -> None:
    undecided = Temper(mailboxes=ANN, unknown="450 4.2.0 Greylisted, try again later")
    with town(A, ladder=Ladder(greylist=(60.0, 60.0))) as t:
        record = t.square.settle("192.0.2.1", undecided)
        outcomes = [t.square.wait(t.prober.probe("ann@a.example"))]
        while not outcomes[-1].final:
            t.square.advance(60.0)
            outcomes.append(t.square.wait(t.prober.probe("ann@a.example", outcomes[-1].retry)))
        assert reasons(outcomes) == [Reason.UNCONFIRMED] * 3
        assert [outcome.catch_all for outcome in outcomes] == [None] * 3
        assert outcomes[0].next_attempt_at == START + 60.0
        assert outcomes[-1].retry is None
        assert len(set(controls(record))) == 1
        assert len(controls(record)) == 3


def test_greylisting_hides_a_control_only_for_a_while() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", Temper(unknown=None, habits=(Greylists(300.0),)))
        known = t.square.wait(t.prober.probe("ann@a.example"))
        t.square.advance(300.0)
        outcome = t.square.wait(t.prober.probe("ann@a.example", known.retry))
        assert outcome.reason is Reason.CATCH_ALL


def test_a_refusal_of_ourselves_decides_no_control() -> None:
    unknown = "554 5.7.1 Client host [198.51.100.1] blocked using zen.spamhaus.org"
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        record_of = t.square.houses["192.0.2.1"]
        record_of.temper = Temper(mailboxes=ANN, unknown=unknown)  # type: ignore[union-attr]
        first = t.square.wait(t.prober.probe("ann@a.example"))
        assert (first.reason, first.final) == (Reason.UNCONFIRMED, False)
        record_of.temper = tempers.postfix(ANN)  # type: ignore[union-attr]
        second = t.square.wait(t.prober.probe("ann@a.example", first.retry))
        assert second.reason is Reason.ACCEPTED
        assert len(controls(record)) == 2


def test_a_vague_refusal_of_everybody() -> None:
    """Row 100."""
    with town(A, sources=[ONE]) as t:
        t.square.settle("192.0.2.1", tempers.vague())
        outcome = t.square.wait(t.prober.probe("nobody@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.REJECTS_EVERYONE, True)
        t.square.settle("192.0.2.1", evolve(tempers.vague(), mailboxes=residents("postmaster")))
        outcome = t.square.wait(t.prober.probe("nobody@a.example"))
        assert outcome.reason is Reason.REJECTS_EVERYONE


def test_postmaster_explains_a_vague_refusal_that_names_a_mailbox() -> None:
    """Row 100."""
    with town(A, sources=[ONE]) as t:
        words = "550 Requested action not taken: mailbox unavailable"
        t.square.settle("192.0.2.1", Temper(mailboxes=residents("postmaster"), unknown=words))
        outcome = t.square.wait(t.prober.probe("nobody@a.example"))
        assert outcome.reason is Reason.NO_SUCH_MAILBOX


@pytest.mark.parametrize("days", [0.0, 3.0])
@pytest.mark.parametrize(
    "refusal",
    [
        *("550", "550 Rejected", "550 not allowed", "550 5.7.1", "554 5.0.0 Not today"),
        *("550 5.7.1 Administrative prohibition", "550 administrative prohibition"),
        "554 5.7.1 Relay access denied",
    ],
)
def test_a_source_that_was_shut_out_since_makes_nobody_dead(refusal: str, days: float) -> None:
    """Row 100: whoever was accepted before."""
    living = residents("ann ben")  # without a postmaster, who is often taken from everywhere
    with town(A, sources=[ONE]) as t:
        t.square.settle("192.0.2.1", Temper(mailboxes=living, unknown=refusal))
        ann = t.square.wait(t.prober.probe("ann@a.example"))
        assert ann.reason is Reason.ACCEPTED
        t.square.advance(days * 24 * 3600)
        t.square.settle("192.0.2.1", Temper(unknown=refusal))
        wanted = ["ann@a.example", "ben@a.example"]
        together = t.square.wait(t.prober.probe_many(wanted))
        alone = t.square.wait(t.prober.probe(wanted[0]))
        assert {each.verdict for each in (*together, alone)} == {Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("wanted", "ben"),
    [
        (("ann", "ben"), Reason.NO_SUCH_MAILBOX),
        (("ben", "ann"), Reason.NO_SUCH_MAILBOX),
        (("ben",), Reason.REJECTS_EVERYONE),
    ],
)
def test_whoever_is_accepted_beside_it_explains_a_vague_refusal(
    wanted: tuple[str, ...], ben: Reason
) -> None:
    with town(A, sources=[ONE]) as t:
        temper = Temper(mailboxes=residents("ann"), unknown="550 Rejected")
        record = t.square.settle("192.0.2.1", temper)
        outcomes = t.square.wait(t.prober.probe_many([f"{name}@a.example" for name in wanted]))
        assert dict(zip(wanted, reasons(outcomes), strict=True))["ben"] is ben
        # Ann, who was taken before ben was refused, is asked once more.
        often = 2 if wanted == ("ann", "ben") else len(wanted) - 1
        assert rcpts(record).count("ann@a.example") == often


def test_a_recipient_that_nobody_looked_at_explains_nothing() -> None:
    """A 252."""
    with town(A, sources=[ONE]) as t:
        temper = Temper(
            mailboxes=residents("ann"), accepted="252 2.1.5 Will try", unknown="550 Rejected"
        )
        t.square.settle("192.0.2.1", temper)
        ben, ann = t.square.wait(t.prober.probe_many(["ben@a.example", "ann@a.example"]))
        assert (ben.reason, ann.reason) == (Reason.REJECTS_EVERYONE, Reason.UNCONFIRMED)


# --- The walk over exchangers -----------------------------------------------------------------


def test_what_a_backup_accepts_is_unconfirmed() -> None:
    """Row 143."""
    with town(AB) as t:
        t.square.houses["192.0.2.1"] = REFUSED
        t.square.settle("192.0.2.2", tempers.postfix(ANN))
        ann, nobody = t.square.wait(t.prober.probe_many(["ann@a.example", "nobody@a.example"]))
        assert (ann.reason, ann.final) == (Reason.UNCONFIRMED, True)
        assert ann.exchanger == "mx2.a.example"
        assert nobody.reason is Reason.NO_SUCH_MAILBOX


def test_a_backup_that_takes_everybody_says_nothing_of_the_domain() -> None:
    with town(AB, sources=[ONE]) as t:
        t.square.houses["192.0.2.1"] = REFUSED
        t.square.settle("192.0.2.2", tempers.catch_all())
        t.square.wait(t.prober.probe("ann@a.example"))
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.catch_all) == (Reason.ACCEPTED, False)


def test_those_whom_the_best_accepted_do_not_vouch_for_a_backups_refusals() -> None:
    with town(AB, sources=[ONE]) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.settle("192.0.2.2", tempers.vague())
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.ACCEPTED
        t.square.houses["192.0.2.1"] = REFUSED
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.verdict is Verdict.UNKNOWN


def test_a_refusal_of_the_best_is_final() -> None:
    """Row 144."""
    with town(AB) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        backup = t.square.settle("192.0.2.2", tempers.catch_all())
        outcome = t.square.wait(t.prober.probe("nobody@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.NO_SUCH_MAILBOX, True)
        assert not backup.sessions


@pytest.mark.parametrize(
    "house",
    [
        REFUSED,
        NoRouteError(113, "no route to host"),
        None,
        ConnectError(104, "connection reset by peer"),
        tempers.turning_away(),
        tempers.rate_limiting(),
        tempers.not_smtp(),
        tempers.dropping(0),
        Temper(greeting="521 no mail here"),
        Temper(greeting=Answer(then=Then.ABORT)),
        Temper(ehlo="421 4.3.2 going down"),
        Temper(ehlo="550 no", helo="550 no"),
    ],
)
def test_where_the_best_one_has_no_ear_the_backup_is_asked(house: Any) -> None:
    """Rows 4 to 9, 40, 41, 52 to 54, 142."""
    with town(AB) as t:
        if isinstance(house, Temper):
            t.square.settle("192.0.2.1", house)
        elif house is not None:
            t.square.houses["192.0.2.1"] = house
        t.square.settle("192.0.2.2", tempers.postfix(ANN))
        outcome = t.square.wait(t.prober.probe("nobody@a.example"))
        assert outcome.reason is Reason.NO_SUCH_MAILBOX
        with_helo = ["192.0.2.1"] if house == tempers.dropping(0) else []
        assert t.square.dialled == ["192.0.2.1", *with_helo, "192.0.2.2"]


@pytest.mark.parametrize(
    ("house", "reason", "stage"),
    [
        (REFUSED, Reason.REFUSED, Stage.CONNECT),
        (NoRouteError(113, "no route to host"), Reason.NO_ROUTE, Stage.CONNECT),
        (None, Reason.TIMEOUT, Stage.CONNECT),
        (tempers.turning_away(), Reason.REFUSED, Stage.GREETING),
        (tempers.rate_limiting(), Reason.RATE_LIMITED, Stage.GREETING),
        (tempers.not_smtp(), Reason.PROTOCOL_ERROR, Stage.GREETING),
        (tempers.dropping(0), Reason.CONNECTION_LOST, Stage.EHLO),
        (tempers.dropping(1), Reason.CONNECTION_LOST, Stage.MAIL),
        (Temper(greeting=Answer()), Reason.TIMEOUT, Stage.GREETING),
        (Temper(unknown=Answer()), Reason.TIMEOUT, Stage.RCPT),
        (tempers.troubled(), Reason.TEMPORARY, Stage.RCPT),
        (Temper(mail="451 4.7.1 Greylisted, try again later"), Reason.GREYLISTED, Stage.MAIL),
    ],
)
def test_trouble_is_never_dead(house: Any, reason: Reason, stage: Stage) -> None:
    with town(A) as t:
        if isinstance(house, Temper):
            t.square.settle("192.0.2.1", house)
        elif house is not None:
            t.square.houses["192.0.2.1"] = house
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.stage, outcome.final) == (reason, stage, False)
        assert outcome.verdict is Verdict.UNKNOWN
        assert outcome.next_attempt_at == outcome.checked_at + 300.0
        assert (outcome.exchanger, outcome.exchanger_address) == ("mx.a.example", "192.0.2.1")


def test_addresses_that_do_not_answer_cost_nothing() -> None:
    with town(in_a_row(5), timeouts=Timeouts(connect=30.0)) as t:
        t.square.settle("192.0.2.5", tempers.postfix(ANN))
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.UNCONFIRMED
        assert t.square.dialled == [f"192.0.2.{number}" for number in range(1, 6)]
        assert outcome.checked_at == START + 4 * 30.0


def test_at_most_two_troubled_sessions() -> None:
    """Row 141: and five addresses."""
    with town(in_a_row(6)) as t:
        t.square.houses["192.0.2.1"] = REFUSED
        for number in range(2, 7):
            t.square.settle(f"192.0.2.{number}", tempers.turning_away())
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.REFUSED
        assert t.square.dialled == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_at_most_five_addresses() -> None:
    names = {"a.example": [f"A 192.0.2.{number}" for number in range(1, 9)]}
    with town(names) as t:
        t.square.houses.update({f"192.0.2.{number}": REFUSED for number in range(1, 9)})
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.REFUSED
        assert len(t.square.dials) == 5


def test_relay_denied_goes_on() -> None:
    """Row 107."""
    with town(AB) as t:
        t.square.settle("192.0.2.1", tempers.relay_denying())
        t.square.settle("192.0.2.2", tempers.postfix(ANN))
        ann, nobody = t.square.wait(t.prober.probe_many(["ann@a.example", "nobody@a.example"]))
        assert ann.reason is Reason.UNCONFIRMED
        assert nobody.reason is Reason.NO_SUCH_MAILBOX


def test_relay_denied_by_everybody() -> None:
    with town(AB) as t:
        for number in (1, 2):
            t.square.settle(f"192.0.2.{number}", tempers.relay_denying())
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.RELAY_DENIED, True)
        assert t.square.dialled == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize("mx1", [["A 192.0.2.1"], Trouble.SERVFAIL, ["AAAA 2001:db8:25::1"]])
def test_relay_denied_by_all_but_one_who_was_not_heard(mx1: Any) -> None:
    with town({**AB, "mx1.a.example": mx1}) as t:
        t.square.houses["192.0.2.1"] = REFUSED
        t.square.settle("192.0.2.2", tempers.relay_denying())
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.TEMPORARY, False)


def test_smtputf8_is_looked_for_elsewhere() -> None:
    """Row 125."""
    with town(AB) as t:
        wide = Temper(keywords=("SMTPUTF8",), mailboxes=residents("žofie ann"))
        t.square.settle("192.0.2.1", tempers.exim(ANN))
        outcome = t.square.wait(t.prober.probe("žofie@a.example"))
        t.square.settle("192.0.2.2", wide)
        ann, zofie = t.square.wait(t.prober.probe_many(["ann@a.example", "žofie@a.example"]))
        assert ann.reason is Reason.ACCEPTED
        assert zofie.reason is Reason.UNCONFIRMED  # a backup's word
        assert zofie.exchanger == "mx2.a.example"
    assert outcome.reason is Reason.TIMEOUT  # the backup was not there


def test_smtputf8_that_nobody_offers() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.exim(ANN))
        outcome = t.square.wait(t.prober.probe("žofie@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.SMTPUTF8_UNSUPPORTED, True)
        assert outcome.stage is Stage.EHLO


# --- Many recipients --------------------------------------------------------------------------


def test_recipients_beyond_nine_rejections_go_to_a_new_session() -> None:
    """Row 115: before exchangers begin to punish."""
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        wanted = [f"no{number}@a.example" for number in range(25)]
        outcomes = t.square.wait(t.prober.probe_many(wanted))
        assert reasons(outcomes) == [Reason.NO_SUCH_MAILBOX] * 25
        assert rcpts(record) == wanted
        assert [session.errors for session in record.sessions] == [MAX_ERRORS, MAX_ERRORS, 8]
        assert set(t.square.sources) == {ONE.address}
        assert len(controls(record)) == 1


def test_a_hundred_recipients_and_the_control() -> None:
    """The control is the hundred and first."""
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.catch_all())
        wanted = [f"u{number}@a.example" for number in range(MAX_RECIPIENTS)]
        outcomes = t.square.wait(t.prober.probe_many(wanted))
        assert reasons(outcomes) == [Reason.CATCH_ALL] * MAX_RECIPIENTS
        assert sorted(rcpts(record)) == sorted(wanted)
        assert all(s.verbs.count("RCPT") <= MAX_RECIPIENTS for s in record.sessions)


def test_small_transactions() -> None:
    """Row 97."""
    everybody = residents(" ".join(f"u{number}" for number in range(MAX_RECIPIENTS)))
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.small_transactions(everybody, 3))
        wanted = [f"u{number}@a.example" for number in range(MAX_RECIPIENTS)]
        outcomes = t.square.wait(t.prober.probe_many(wanted))
        assert reasons(outcomes) == [Reason.ACCEPTED] * MAX_RECIPIENTS
        assert all(s.verbs.count("RCPT") <= MAX_RECIPIENTS for s in record.sessions)


def test_more_than_a_session_takes() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.catch_all())
        wanted = [f"u{number}@a.example" for number in range(2 * MAX_RECIPIENTS + 1)]
        outcomes = t.square.wait(t.prober.probe_many(wanted))
        assert [outcome.address for outcome in outcomes] == wanted
        assert sorted(rcpts(record)) == sorted(wanted)


def test_order_and_duplicates() -> None:
    names = {**A, "b.example": ["A 192.0.2.9"]}
    with town(names) as t:
        a = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        b = t.square.settle("192.0.2.9", tempers.postfix(ANN))
        wanted = [
            "ann@a.example",
            "nobody@b.example",
            "no address",
            "ann@b.example",
            "ann@a.example",
            "nobody@a.example",
            "ann@a.example",
        ]
        outcomes = t.square.wait(t.prober.probe_many(wanted))
        assert [outcome.address for outcome in outcomes] == wanted
        assert [outcome.verdict.value for outcome in outcomes] == [
            "deliverable",
            "undeliverable",
            "undeliverable",
            "deliverable",
            "deliverable",
            "undeliverable",
            "deliverable",
        ]
        assert rcpts(a) == ["ann@a.example", "nobody@a.example"]
        assert rcpts(b) == ["nobody@b.example", "ann@b.example"]


def test_addresses_as_values_and_retries_beside_them() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        ann, ben = parse_address("ann@a.example"), parse_address("ben@a.example")
        retry = Retry(TWO.address, TWO.helo, REVERSE_PATH, None, 3, START - 1000)
        outcomes = t.square.wait(t.prober.probe_many([ann, ben, ann], [None, retry, retry]))
        assert [outcome.source for outcome in outcomes] == [ONE.address, TWO.address, TWO.address]
        assert [outcome.attempts for outcome in outcomes] == [1, 4, 4]
        assert record.clients == {ONE.address: 1, TWO.address: 1}


def test_nothing_to_ask() -> None:
    with town({}) as t:
        assert t.square.wait(t.prober.probe_many([])) == []


def test_a_session_that_ends_in_the_middle_is_taken_up_again() -> None:
    """Rows 42 and 46: who was answered keeps the answer."""
    with town(A, control=False) as t:
        temper = evolve(tempers.postfix(ANN), keywords=(), habits=(DropsAfter(3),))
        record = t.square.settle("192.0.2.1", temper)
        outcomes = t.square.wait(t.prober.probe_many(["nobody@a.example", "ann@a.example"]))
        assert reasons(outcomes) == [Reason.NO_SUCH_MAILBOX, Reason.ACCEPTED]
        assert rcpts(record) == ["nobody@a.example", "ann@a.example", "ann@a.example"]


def test_a_session_that_ends_in_the_middle_again_and_again() -> None:
    with town(A, control=False) as t:
        temper = evolve(tempers.postfix(ANN), keywords=(), habits=(DropsAfter(3),))
        t.square.settle("192.0.2.1", temper)
        outcomes = t.square.wait(
            t.prober.probe_many([f"{name}@a.example" for name in ("ann", "ben", "carl")])
        )
        assert reasons(outcomes) == [Reason.ACCEPTED, Reason.ACCEPTED, Reason.CONNECTION_LOST]
        assert len(t.square.dials) == 2


def test_421_in_the_middle() -> None:
    """Row 47."""
    mailboxes = {**ANN, "ben": "421 4.7.0 too many of you"}
    with town(A, control=False) as t:
        record = t.square.settle("192.0.2.1", evolve(tempers.postfix(mailboxes), keywords=()))
        outcomes = t.square.wait(
            t.prober.probe_many([f"{name}@a.example" for name in ("ann", "ben", "carl")])
        )
        assert reasons(outcomes)[0] is Reason.ACCEPTED
        assert [outcome.final for outcome in outcomes] == [True, False, False]
        assert outcomes[1].reason is outcomes[2].reason is Reason.RATE_LIMITED
        assert len(record.sessions) == 2


def test_the_pace_is_kept_over_all_sources() -> None:
    names = {f"{name}.example": ["MX 10 mx.a.example"] for name in "abcdefgh"}
    limits = Limits(first_sessions=4, recipients_per_session=2)
    with town({**names, "mx.a.example": ["A 192.0.2.1"]}, limits=limits) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcomes = t.square.wait(
            t.prober.probe_many([f"ann@{name}.example" for name in "abcdefgh"])
        )
        assert set(reasons(outcomes)) == {Reason.ACCEPTED}
        starts = [session.started - START for session in record.sessions]
        assert starts == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
        assert record.clients == {ONE.address: 4, TWO.address: 4}


# --- Faults of our own, and the end -----------------------------------------------------------


def test_a_fault_of_ours_is_an_outcome(expect_errors: Any) -> None:
    """Row 178."""

    class Broken(Book):
        def mail_exchangers(self, domain: str) -> Any:
            if domain == "a.example":
                raise ZeroDivisionError
            return super().mail_exchangers(domain)

    expect_errors(1)
    square, book = Square(), Broken({**A, "b.example": ["A 192.0.2.1"]})
    square.settle("192.0.2.1", tempers.postfix(ANN))
    outcomes = square.wait(prober_in(square, book).probe_many(["ann@a.example", "ann@b.example"]))
    assert reasons(outcomes) == [Reason.INTERNAL_ERROR, Reason.ACCEPTED]
    assert not outcomes[0].final
    assert outcomes[0].retry is not None
    assert outcomes[0].text == "a fault of the prober"


def test_answers_survive_a_fault_of_ours(expect_errors: Any) -> None:
    class Full(MemoryInRam):
        def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
            if known.control_reply is not None:
                raise OSError("disk full")
            return super().remember(domain, source, known)

    expect_errors(1)
    with town(A, memory=Full()) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.ACCEPTED


def test_a_retry_that_cannot_be_said_reaches_nobody(expect_errors: Any) -> None:
    expect_errors(1)
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        retry = Retry(None, None, "no reverse-path", None, 1, START)
        outcome = t.square.wait(t.prober.probe("ann@a.example", retry))
        assert outcome.reason is Reason.INTERNAL_ERROR
        assert not t.square.dials


@pytest.mark.parametrize("steps", range(9))
def test_cancelling_ends_the_session_and_frees_the_slot(steps: int) -> None:
    with town(A, limits=Limits(sessions=1, starts_per_second=1e9)) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        t.square.latency = 0.01
        asking = t.prober.probe("ann@a.example")
        for _ in range(steps):
            t.square.step()
        assert not asking.called
        asking.cancel()
        with pytest.raises(CancelledError):
            t.square.wait(asking)
        assert t.square.wait(t.prober.probe("ann@a.example")).reason is Reason.ACCEPTED
        assert record.open == 0


def test_cancelling_while_the_names_are_looked_up() -> None:
    with town({"a.example": Trouble.SILENCE}) as t:
        asking = t.prober.probe("ann@a.example")
        assert t.book.silent
        asking.cancel()
        with pytest.raises(CancelledError):
            t.square.wait(asking)


def test_cancelling_while_waiting_for_a_slot() -> None:
    with town(A, limits=Limits(per_site=1)) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        first, second, third = (t.prober.probe(f"{n}@a.example") for n in ("ann", "ben", "carl"))
        second.cancel()
        with pytest.raises(CancelledError):
            t.square.wait(second)
        assert reasons([t.square.wait(first), t.square.wait(third)]) == [Reason.ACCEPTED] * 2
        assert len(t.square.dials) == 2


def test_close_cuts_everything() -> None:
    names: Names = {**A, "b.example": ["A 192.0.2.9"], "c.example": Trouble.SILENCE}
    with town(names) as t:
        t.square.settle("192.0.2.1", Temper(greeting=Answer()))
        asking = [t.prober.probe(f"ann@{name}.example") for name in "abc"]
        t.square.turn()
        assert t.square.open == 1
        closing = t.prober.close()
        t.square.wait(closing)
        assert t.square.open == 0
        for each in asking:
            with pytest.raises(CancelledError):
                t.square.wait(each)
        for ask in (t.prober.probe, t.prober.probe_many):
            with pytest.raises(RuntimeError, match="the prober is closed"):
                ask("ann@a.example")
        t.square.wait(t.prober.close())


def test_closing_from_within_a_callback() -> None:
    with town(A, limits=Limits(per_site=1)) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        first, second = t.prober.probe("ann@a.example"), t.prober.probe("ben@a.example")
        first.addCallback(lambda outcome: t.prober.close().addCallback(lambda _: outcome))
        assert t.square.wait(first).reason is Reason.ACCEPTED
        with pytest.raises(CancelledError):
            t.square.wait(second)
        assert len(t.square.dials) == 1


# --- Setting it up ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"sources": []},
        {"sources": [ONE, ONE]},
        {"reverse_path": "nobody"},
        {"allow_networks": ["10.0.0.1/8"]},
        {"resolvers": [("dns.example", 53)], "names": None},
    ],
)
def test_what_makes_no_prober(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        prober_in(Square(), Book({}), **wrong)


def test_defaults() -> None:
    prober = Prober(Square(), sources=[ONE], reverse_path="")
    tools = prober._tools
    assert (tools.port, tools.control) == (25, True)
    assert tools.networks.why_forbidden(ONE.address) == "our own"
    assert tools.networks.why_forbidden(NETWORKS[0].partition("/")[0]) == "documentation"


def test_the_null_reverse_path() -> None:
    """Row 117."""
    with town(A, reverse_path="") as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.ACCEPTED
        assert record.sessions[0].commands[1] == ("MAIL", "FROM:<>")
