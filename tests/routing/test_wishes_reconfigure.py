"""A prober that is told anew while it works."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from twisted_probe.routing.attempt import CONTROL_LENGTH
from twisted_probe.routing.customs import Override
from twisted_probe.routing.names import MailExchanger
from twisted_probe.routing.opt_out import OptOut
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits, Sites
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.zone import Trouble
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import rules_with
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.wishes import Wishes

from .town_square import ONE, REFUSED, REVERSE_PATH, THREE, TWO, town

ANN = residents("ann ben carl")
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}


def mails(record: Any) -> list[str]:
    return [exchange.argument for _, exchange in record.asked("MAIL")]


def rcpts(record: Any) -> list[str]:
    return [exchange.argument for _, exchange in record.asked("RCPT")]


def told(t: Any, **changes: Any) -> None:
    settings: dict[str, Any] = {
        "sources": [ONE, TWO],
        "reverse_path": REVERSE_PATH,
        "allow_networks": ["192.0.2.0/24"],
        "limits": Limits(starts_per_second=1000.0, first_sessions=4),
        **changes,
    }
    t.prober.reconfigure(**settings)


def test_what_begins_from_now_on_is_as_told() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.greylisting(ANN, delay=10.0))
        told(
            t,
            sources=[THREE],
            reverse_path="new@example.org",
            port=2525,
            control=False,
            ladder=Ladder(greylist=(7.0,)),
            timeouts=Timeouts(command=5.0),
        )
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.source == THREE.address
        assert outcome.next_attempt_at == outcome.checked_at + 7.0
        assert mails(record) == ["FROM:<new@example.org>"]
        assert len(rcpts(record)) == 1
        assert [dial.port for dial in t.square.dials] == [2525]


def test_networks_are_told_anew() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.postfix(ANN))
        told(t, allow_networks=[])
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.FORBIDDEN_EXCHANGER


def test_sessions_go_on_and_none_begins_from_a_source_that_is_gone() -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        people = [f"u{number}@a.example" for number in range(12)]
        asking = t.prober.probe_many(people, wishes=Wishes(sources=[ONE.address]))
        while not rcpts(record):
            t.square.step()
        told(t, sources=[TWO])
        outcomes = t.square.wait(asking)
        reasons = [outcome.reason for outcome in outcomes]
        # The first session has brought what it could; the second one was not begun.
        assert reasons.count(Reason.NO_SUCH_MAILBOX) == 8
        assert reasons.count(Reason.SOURCE_UNAVAILABLE) == 4
        assert t.square.sources == [ONE.address]
        late = [each for each in outcomes if each.reason is Reason.SOURCE_UNAVAILABLE]
        assert not any(outcome.final for outcome in late)
        again = t.square.wait(
            t.prober.probe_many([each.address for each in late], [each.retry for each in late])
        )
        assert {(each.reason, each.source) for each in again} == {
            (Reason.NO_SUCH_MAILBOX, TWO.address)
        }


def test_who_waits_for_a_source_that_is_gone_goes_from_another() -> None:
    source = evolve(ONE, ceiling=1)
    names = {"a.example": ["A 192.0.2.1"], "b.example": ["A 192.0.2.2"]}
    with town(names, sources=[source]) as t:
        t.square.houses["192.0.2.1"] = REFUSED
        t.square.settle("192.0.2.2", tempers.postfix(ANN))
        t.square.latency = 0.1
        asking = t.prober.probe_many(["ann@a.example", "ann@b.example"])
        t.square.turn()
        assert t.square.dialled == ["192.0.2.1"]
        told(t, sources=[TWO])
        outcomes = t.square.wait(asking)
        assert [(each.reason, each.source, each.attempts) for each in outcomes] == [
            (Reason.REFUSED, ONE.address, 1),
            (Reason.ACCEPTED, TWO.address, 1),
        ]
        # One that comes back is as good as it was.
        assert not t.prober.sources.is_suspended(ONE, t.square.seconds())
        told(t, sources=[ONE])
        outcome = t.square.wait(t.prober.probe("ann@b.example"))
        assert (outcome.reason, outcome.source) == (Reason.ACCEPTED, ONE.address)


def test_who_waits_goes_by_the_new_name_and_ceiling_of_its_source() -> None:
    renamed = evolve(ONE, helo="renamed.example.org", ceiling=1)
    with town(A, sources=[ONE], limits=few()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = begun(t, record)
        began_before = [each.port for each in record.sessions]
        assert len(began_before) == 4
        told(t, sources=[renamed], limits=few())
        most = 0
        while not asking.called:
            t.square.step()
            late = [each for each in record.sessions if each.port not in began_before]
            if late:
                most = max(most, t.square.open)
        outcomes = t.square.wait(asking)
        assert {each.reason for each in outcomes} == {Reason.NO_SUCH_MAILBOX}
        assert most == 1
        assert {each.helo for each in late} == {"renamed.example.org"}
        assert {each.helo for each in outcomes} == {ONE.helo, "renamed.example.org"}
        assert {each.attempts for each in outcomes} == {1}
        assert len(asked(record)) == len(PEOPLE)


def test_a_block_outlives_a_change_of_sources() -> None:
    with town(A) as t:
        t.square.settle("192.0.2.1", tempers.blocking(ANN, ONE.address, TWO.address, THREE.address))
        told(t, sources=[ONE])
        t.square.wait(t.prober.probe("ann@a.example"))
        told(t, sources=[TWO])
        t.square.wait(t.prober.probe("ann@a.example"))
        told(t, sources=[THREE])
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.reason is Reason.BLOCKLISTED
        assert t.square.sources == [ONE.address, TWO.address]


def test_rules_of_the_operators_own_come_first() -> None:
    says = Temper(mailboxes=ANN, unknown="550 5.7.999 the moon is full")
    rules = rules_with(
        """
        [[rule]]
        name = "moon"
        label = "no_such_mailbox"
        words = ['the moon is full']
        ground = "our own exchangers"
        """
    )
    with town(A) as t:
        t.square.settle("192.0.2.1", says)
        first = t.square.wait(t.prober.probe("eve@a.example"))
        assert first.reason is not Reason.NO_SUCH_MAILBOX
        told(t, rules=rules)
        second = t.square.wait(t.prober.probe("eve@a.example"))
        assert second.reason is Reason.NO_SUCH_MAILBOX


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": []},
        {"sources": [TWO, TWO]},
        {"reverse_path": "nobody"},
        {"allow_networks": ["intranet"]},
    ],
    ids=str,
)
def test_what_is_wrong_changes_nothing(changes: dict[str, Any]) -> None:
    with town(A) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        with pytest.raises(ValueError, match=r"\w"):
            told(t, **{"sources": [THREE], **changes})
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert outcome.source == ONE.address
        assert mails(record) == [f"FROM:<{REVERSE_PATH}>"]


def test_a_resolver_that_is_wrong_changes_nothing() -> None:
    clock: Any = Clock()
    prober = Prober(clock, sources=[ONE], reverse_path=REVERSE_PATH, resolvers=[("127.0.0.1", 53)])
    names = prober._tools.names
    with pytest.raises(ValueError, match="dns"):
        prober.reconfigure(sources=[TWO], reverse_path=REVERSE_PATH, resolvers=[("dns", 53)])
    assert prober._tools.names is names
    assert prober._tools.sources.addresses == {ONE.address}
    prober.reconfigure(sources=[TWO], reverse_path=REVERSE_PATH, resolvers=[("127.0.0.1", 53)])
    assert prober._tools.names is names  # questions that are on their way are shared on
    prober.reconfigure(sources=[TWO], reverse_path=REVERSE_PATH, resolvers=[("127.0.0.2", 53)])
    assert prober._tools.names is not names


# ---------------------------------------------------------------- those who are in hand

PEOPLE = [f"u{number}@a.example" for number in range(40)]
TWICE = {
    "a.example": ["MX 10 mx.a.example", "MX 20 mx2.a.example"],
    "mx.a.example": ["A 192.0.2.1"],
    "mx2.a.example": ["A 192.0.2.2"],
}


def asked(record: Any) -> list[str]:
    """Recipients, without the control."""
    words = [text.removeprefix("TO:<").removesuffix(">") for text in rcpts(record)]
    return [word for word in words if len(word.partition("@")[0]) < CONTROL_LENGTH]


def begun(t: Any, record: Any) -> Any:
    """Ask, until the first recipient was asked; the others wait for their sessions."""
    t.square.latency = 0.1
    asking = t.prober.probe_many(PEOPLE)
    while not asked(record):
        t.square.step()
    return asking


def few(**more: Any) -> Limits:
    """Five recipients a session, so that most of them wait."""
    told = {"starts_per_second": 1000.0, "first_sessions": 4, "recipients_per_session": 5}
    return Limits(**{**told, **more})


def test_who_waits_for_a_slot_has_it_by_the_new_ceilings() -> None:
    with town(A, limits=few()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = begun(t, record)
        assert t.square.open == 4
        told(t, limits=few(per_site=1, starts_per_second=0.5))
        dials, moments, most = len(t.square.dials), [], 0
        while not asking.called:
            t.square.step()
            if len(t.square.dials) > dials:
                moments += [t.square.seconds()] * (len(t.square.dials) - dials)
                dials = len(t.square.dials)
                most = max(most, t.square.open)
        assert {each.reason for each in t.square.wait(asking)} == {Reason.NO_SUCH_MAILBOX}
        assert most <= 1
        assert len(moments) >= 4
        assert min(b - a for a, b in pairwise(moments)) >= 2.0


def test_who_waits_for_a_slot_is_asked_in_the_new_portions() -> None:
    with town(A, limits=few(per_site=1, first_sessions=1)) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(residents("u0 u1 u2")))
        asking = begun(t, record)
        before = len(record.sessions)
        told(t, limits=few(recipients_per_session=2, errors_per_session=2))
        t.square.wait(asking)
        assert sorted(set(asked(record))) == sorted(PEOPLE)
        sizes = [sum(e.verb == "RCPT" for e in each.exchanges) for each in record.sessions]
        assert max(sizes[:before]) == 5
        assert max(sizes[before:]) == 2


def test_a_site_that_is_skipped_now_is_asked_no_more() -> None:
    with town(A, limits=few()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = begun(t, record)
        sessions = len(t.square.dials)
        told(t, limits=few(), sites=[Override(name="mx.a.example", skip=True)])
        moment = t.square.seconds()
        outcomes = t.square.wait(asking)
        assert t.square.seconds() - moment < 10  # nobody waited for a turn
        assert len(t.square.dials) == sessions
        was_asked = {*asked(record)}
        for each in outcomes:
            is_skipped = each.reason is Reason.SKIPPED
            assert is_skipped is (each.address not in was_asked)
            assert each.final
        late = next(each for each in outcomes if each.reason is Reason.SKIPPED)
        assert late.text == "mx.a.example is never asked ([[site]] skip)"
        assert late.retry is None


@pytest.mark.parametrize("entry", ["a.example", ".a.example", "u39@a.example"])
def test_who_is_opted_out_now_is_asked_no_more(entry: str) -> None:
    with town(A, limits=few(per_site=1, first_sessions=1)) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = begun(t, record)
        told(t, limits=few(per_site=1, first_sessions=1), opt_out=OptOut([entry]))
        outcomes = t.square.wait(asking)
        skipped = {each.address for each in outcomes if each.reason is Reason.SKIPPED}
        assert "u39@a.example" in skipped
        assert skipped == {*PEOPLE} - {*asked(record)}
        if "@" in entry:
            assert skipped == {entry}
        assert all(each.final for each in outcomes)
        assert len(asked(record)) == len({*asked(record)})


def test_who_is_opted_out_while_the_names_are_asked_for_is_not_asked() -> None:
    with town({**A, "a.example": Trouble.SILENCE}) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = t.prober.probe_many(["ann@a.example", "ben@a.example"])
        told(t, opt_out=OptOut(["ben@a.example"]))
        t.book.silent[0].callback([MailExchanger(10, "mx.a.example")])
        ann, ben = t.square.wait(asking)
        assert (ann.reason, ben.reason) == (Reason.ACCEPTED, Reason.SKIPPED)
        assert asked(record) == ["ann@a.example"]


def test_a_network_that_is_taken_out_is_dialled_no_more() -> None:
    with town(A, limits=few()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = begun(t, record)
        sessions = len(t.square.dials)
        told(t, limits=few(), allow_networks=[])
        outcomes = t.square.wait(asking)
        assert len(t.square.dials) == sessions
        late = [each for each in outcomes if each.address not in asked(record)]
        assert {(each.reason, each.final) for each in late} == {(Reason.FORBIDDEN_EXCHANGER, True)}
        assert late[0].text == "never dialled: mx.a.example at 192.0.2.1 (documentation)"
        assert t.prober.alarm is None


def test_an_exchanger_that_is_still_allowed_is_asked_instead() -> None:
    with town(TWICE, limits=few()) as t:
        first = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        second = t.square.settle("192.0.2.2", tempers.postfix(ANN))
        asking = begun(t, first)
        told(t, limits=few(), allow_networks=["192.0.2.2/32"])
        reasons = {each.reason for each in t.square.wait(asking)}
        assert reasons == {Reason.NO_SUCH_MAILBOX}
        assert {*asked(first), *asked(second)} == {*PEOPLE}
        assert asked(second)


def test_evidence_that_is_wanted_now_disturbs_nobody_in_hand() -> None:
    with town(A, limits=few()) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(ANN))
        asking = begun(t, record)
        told(t, limits=few(), evidence=True)
        outcomes = t.square.wait(asking)
        assert {each.reason for each in outcomes} == {Reason.NO_SUCH_MAILBOX}
        assert t.square.wait(t.prober.probe("ann@a.example")).hearing is not None


# ---------------------------------------------------------------- sites that are told anew


def test_sites_keep_their_counts() -> None:
    clock = Clock()
    sites = Sites(clock, Limits(sessions=9, per_site=2, first_sessions=9, starts_per_second=1e9))
    granted: list[Any] = []
    for _ in range(6):
        sites.slot("a", "192.0.2.1").addCallback(granted.append)
        clock.advance(0.001)
    assert len(granted) == 2
    sites.limit(Limits(sessions=9, per_site=3, first_sessions=9, starts_per_second=1e9))
    clock.advance(0.001)
    assert len(granted) == 3
    sites.limit(Limits(sessions=9, per_site=1, first_sessions=9, starts_per_second=1e9))
    for slot in granted[:2]:
        slot.release()
        clock.advance(0.001)
    assert len(granted) == 3  # one is still more than nobody
    granted[2].release()
    clock.advance(0.001)
    assert len(granted) == 4
