"""A prober that is told anew while it works."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits, Sites
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import rules_with
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.wishes import Wishes

from .town_square import ONE, REVERSE_PATH, THREE, TWO, town

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
