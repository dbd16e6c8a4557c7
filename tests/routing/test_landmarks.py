"""Site after site fails: whether it is this machine shows where it was answered before."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail

from twisted_probe.routing.customs import Override
from twisted_probe.routing.landmarks import LOOK, TOGETHER
from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.names import NameTrouble
from twisted_probe.routing.pauses import HOLD, Pauses
from twisted_probe.routing.sites import Limits
from twisted_probe.routing.watchdog import CANARY, MAX_RUN, SURE
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.vocabulary.outcome import Reason

from .town_square import ONE, REVERSE_PATH, TWO, Book, Square, Town, prober_in, town

ANN = tempers.postfix(residents("ann"))
LIVING, DEAD = 5, 3 * MAX_RUN
NAMES: Names = {
    **{f"l{n}.example": [f"MX 10 mx.l{n}.example"] for n in range(LIVING)},
    **{f"mx.l{n}.example": [f"A 192.0.2.{n + 1}"] for n in range(LIVING)},
    **{f"d{n}.example": [f"MX 10 mx.d{n}.example"] for n in range(DEAD)},
    **{f"mx.d{n}.example": [f"A 192.0.2.{n + 101}"] for n in range(DEAD)},
    **{f"s{n}.example": Trouble.SERVFAIL for n in range(DEAD)},
}
DEAD_HOSTS = [f"ann@d{n}.example" for n in range(DEAD)]
DEAD_NAMES = [f"ann@s{n}.example" for n in range(DEAD)]


def living(t: Town, number: int = LIVING) -> list[Any]:
    """Settle so many, and have them answer once; their records."""
    records = [t.square.settle(f"192.0.2.{n + 1}", ANN) for n in range(number)]
    asking = t.prober.probe_many([f"ann@l{n}.example" for n in range(number)])
    assert {each.reason for each in t.square.wait(asking)} == {Reason.ACCEPTED}
    return records


def visits(records: list[Any]) -> list[list[str]]:
    """What was said in the sessions in which nobody was asked."""
    sessions = [session.verbs for record in records for session in record.sessions]
    return [verbs for verbs in sessions if "RCPT" not in verbs]


def test_a_list_that_ends_in_dead_hosts_raises_no_alarm() -> None:
    with town(NAMES) as t:
        records = living(t)
        begun = t.square.seconds()
        outcomes = t.square.wait(t.prober.probe_many(DEAD_HOSTS))
        assert {(each.reason, each.final) for each in outcomes} == {(Reason.TIMEOUT, False)}
        assert t.prober.alarm is None
        assert t.square.seconds() - begun < SURE + HOLD
        seen = visits(records)
        assert seen == [["EHLO", "QUIT"]] * TOGETHER
        assert sum(bool(visits([record])) for record in records) == TOGETHER


def test_nor_one_that_ends_in_dead_names() -> None:
    with town(NAMES) as t:
        records = living(t)
        t.book.asked.clear()
        outcomes = t.square.wait(t.prober.probe_many(DEAD_NAMES))
        assert {(each.reason, each.final) for each in outcomes} == {(Reason.DNS_ERROR, False)}
        assert t.prober.alarm is None
        assert not visits(records)
        looks = [name for name, _ in t.book.asked if ".mx.l" in name]
        assert len(set(looks)) == len(looks) == TOGETHER


def test_those_who_were_seen_are_believed_for_a_while() -> None:
    """However many dead ones there are, sites that work are not pressed for them."""
    with town(NAMES) as t:
        records = living(t)
        for _ in range(4):
            t.square.wait(t.prober.probe_many(DEAD_HOSTS))
        begun = min(
            session.started
            for record in records
            for session in record.sessions
            if "RCPT" not in session.verbs
        )
        times = (t.square.seconds() - begun) / SURE + 1
        assert len(visits(records)) <= TOGETHER * times


def test_what_fails_where_it_worked_is_our_own(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    with town(NAMES) as t:
        living(t)
        t.square.houses.clear()
        asking = t.prober.probe_many(DEAD_HOSTS)
        while t.prober.alarm is None:
            t.square.step()
        t.square.advance(5 * CANARY)
        assert not asking.called
        # It works again, at a site where nobody is left to be asked.
        record = t.square.settle("192.0.2.3", ANN)
        begun = t.square.seconds()
        while t.prober.alarm is not None:
            t.square.step()
        assert t.square.seconds() - begun <= LOOK + CANARY + HOLD
        assert visits([record]) == [["EHLO", "QUIT"]]
        assert {each.reason for each in t.square.wait(asking)} == {Reason.TIMEOUT}


class Deaf(Book):
    """Names, as long as the DNS answers anything."""

    is_deaf = False

    def _answer(self, name: str, type_: str, of_words: Any) -> Deferred[Any]:
        if self.is_deaf:
            return fail(NameTrouble(f"{name}: no usable answer"))
        return super()._answer(name, type_, of_words)


def test_the_dns_too(expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    square, book = Square(), Deaf(NAMES)
    prober = prober_in(square, book)
    square.settle("192.0.2.1", ANN)
    assert square.wait(prober.probe("ann@l0.example")).reason is Reason.ACCEPTED
    book.is_deaf = True
    asking = prober.probe_many(DEAD_NAMES)
    while prober.alarm is None:
        square.step()
    book.is_deaf = False
    while prober.alarm is not None:
        square.step()
    assert {each.reason for each in square.wait(asking)} == {Reason.DNS_ERROR}


@pytest.mark.parametrize("why", ["paused", "skipped", "forbidden"])
def test_nobody_is_looked_at_who_must_be_left_alone(why: str, expect_errors: object) -> None:
    expect_errors(1)  # type: ignore[operator]
    pauses = Pauses()
    with town(NAMES, pauses=pauses, sources=[ONE]) as t:
        records = living(t)
        sessions = [len(record.sessions) for record in records]
        if why == "paused":
            pauses.sites.update(f"mx.l{n}.example" for n in range(LIVING))
        t.prober.reconfigure(
            sources=[ONE],
            reverse_path=REVERSE_PATH,
            allow_networks=["192.0.2.64/26", "192.0.2.128/25"]
            if why == "forbidden"
            else ["192.0.2.0/24"],
            sites=[Override(name=".example", skip=True)] if why == "skipped" else [],
        )
        asking = t.prober.probe_many(DEAD_HOSTS if why != "skipped" else DEAD_NAMES)
        assert len(t.square.wait(asking)) == DEAD
        assert [len(record.sessions) for record in records] == sessions


@pytest.mark.parametrize("ends", ["cancel", "close"])
def test_whoever_goes_away_meanwhile_leaves_nothing(ends: str) -> None:
    with town(NAMES) as t:
        living(t)
        t.square.houses.clear()
        asking = t.prober.probe_many(DEAD_HOSTS)
        while f"192.0.2.{LIVING}" not in t.square.dialled[LIVING:]:
            t.square.step()
        assert t.prober.alarm is None
        if ends == "cancel":
            asking.cancel()
        t.square.wait(t.prober.close())
        with pytest.raises(CancelledError):
            t.square.wait(asking)


def test_nothing_leaves_from_a_source_that_is_removed_meanwhile() -> None:
    limits = Limits(starts_per_second=0.02, first_sessions=4)
    with town(NAMES, sources=[ONE], limits=limits) as t:
        records = living(t, 1)
        t.square.advance(60.0)
        # One session of its site, so that the look has to wait for the next.
        t.square.wait(t.prober.probe("ann@l0.example"))
        asking = t.prober.probe_many(DEAD_HOSTS[: MAX_RUN + 5])
        while not t.prober.sites.waiting:
            t.square.step()
        t.prober.reconfigure(
            sources=[TWO],
            reverse_path=REVERSE_PATH,
            allow_networks=["192.0.2.0/24"],
            limits=limits,
        )
        since = len(t.square.dials)
        t.square.wait(asking)
        assert ONE.address not in t.square.sources[since:]
        assert not visits(records)
        t.square.wait(t.prober.close())


def test_they_are_known_after_a_restart() -> None:
    memory = MemoryInRam()
    with town(NAMES, memory=memory) as t:
        living(t)
    with town(NAMES, memory=memory) as t:
        records = [t.square.settle(f"192.0.2.{n + 1}", ANN) for n in range(LIVING)]
        t.square.wait(Deferred.fromCoroutine(t.prober.recall_benches()))
        outcomes = t.square.wait(t.prober.probe_many(DEAD_HOSTS))
        assert {each.reason for each in outcomes} == {Reason.TIMEOUT}
        assert t.prober.alarm is None
        assert visits(records) == [["EHLO", "QUIT"]]  # one a minute is kept


def test_sites_that_are_too_busy_to_be_looked_at_raise_no_alarm() -> None:
    """Their sessions are open, and will show what they show."""
    with town(NAMES, limits=Limits(per_site=1, first_sessions=1, errors_per_session=20)) as t:
        slow = tempers.postfix(residents("ann"), Tarpits(20.0))
        for n in range(LIVING):
            t.square.settle(f"192.0.2.{n + 1}", slow)
        first = t.prober.probe_many([f"ann@l{n}.example" for n in range(LIVING)])
        t.square.wait(first)
        busy = [f"x{each}@l{n}.example" for n in range(LIVING) for each in range(60)]
        asking = t.prober.ask(busy)
        t.square.advance(60.0)
        outcomes = t.square.wait(t.prober.probe_many(DEAD_HOSTS))
        assert {each.reason for each in outcomes} == {Reason.TIMEOUT}
        assert t.prober.alarm is None
        assert not asking.called
        asking.addErrback(lambda failure: failure.trap(CancelledError))
        asking.cancel()
        t.square.wait(t.prober.close())
