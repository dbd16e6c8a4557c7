"""The prober that asks nobody is used as the one that asks."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from twisted_probe import Outcome, Prober, Reason, Retry, Verdict, parse_address
from twisted_probe.testing import HOLD, Asked, FakeProber, later, outcome, results_of
from twisted_probe.testing.outcomes import NOW


@pytest.mark.parametrize("method", ["probe", "probe_many", "close"])
def test_it_is_called_as_a_prober_is(method: str) -> None:
    assert inspect.signature(getattr(FakeProber, method)) == inspect.signature(
        getattr(Prober, method)
    )


def test_outcomes_and_reasons() -> None:
    ann = outcome("ann@example.net", text="told")
    prober = FakeProber({"ann@example.net": ann, "ben@example.net": Reason.NO_SUCH_MAILBOX})
    assert results_of(prober.probe("ann@example.net")) == [ann]
    (ben,) = results_of(prober.probe("ben@example.net"))
    assert (ben.address, ben.verdict, ben.code) == ("ben@example.net", Verdict.UNDELIVERABLE, 550)
    assert prober.asked == [Asked("ann@example.net"), Asked("ben@example.net")]


def test_one_after_the_other() -> None:
    first = later("ann@example.net")
    prober = FakeProber({"ann@example.net": [first, Reason.ACCEPTED]})
    assert results_of(prober.probe("ann@example.net")) == [first]
    for _ in range(2):
        (again,) = results_of(prober.probe("ann@example.net", retry=first.retry))
        assert again.reason is Reason.ACCEPTED
    assert [asked.retry for asked in prober.asked] == [None, first.retry, first.retry]


def test_many_in_order() -> None:
    retry = Retry(None, None, "probe@example.org", None, 1, NOW)
    prober = FakeProber({"ann@example.net": Reason.CATCH_ALL}, others=Reason.ACCEPTED)
    (outcomes,) = results_of(
        prober.probe_many(["ben@example.net", parse_address("ann@example.net")], [None, retry])
    )
    assert [each.reason for each in outcomes] == [Reason.ACCEPTED, Reason.CATCH_ALL]
    assert prober.asked == [Asked("ben@example.net"), Asked("ann@example.net", retry)]
    assert results_of(prober.probe_many([])) == [[]]


def test_what_it_was_told_nothing_of() -> None:
    with pytest.raises(LookupError, match="told nothing of 'ann@"):
        FakeProber().probe("ann@example.net")
    with pytest.raises(LookupError, match="told nothing of 'ann@"):
        FakeProber({"ann@example.net": []}).probe("ann@example.net")


def test_entries_of_a_list() -> None:
    """As a prober reads them."""
    prober = FakeProber({"ann@example.net": Reason.ACCEPTED, "n.n.": Reason.POLICY})
    for text, address, reason in (
        ("Ann <ann@example.net>", "ann@example.net", Reason.ACCEPTED),
        ("no address", "no address", Reason.INVALID_ADDRESS),
        ("ann@example.net\r\nDATA", "ann@example.net\\x0d\\x0aDATA", Reason.INVALID_ADDRESS),
        # Unless the test wants it otherwise.
        ("n.n.", "n.n.", Reason.POLICY),
    ):
        (said,) = results_of(prober.probe(text))
        assert (said.address, said.reason, said.final) == (address, reason, True)


def test_holding_and_answering() -> None:
    prober = FakeProber({"ann@example.net": HOLD}, others=Reason.ACCEPTED)
    one = results_of(prober.probe("ann@example.net"))
    many = results_of(prober.probe_many(["ann@example.net", "ben@example.net"]))
    assert (one, many) == ([], [])
    assert prober.waiting == ["ann@example.net"] * 2
    prober.answer("ann@example.net", Reason.MAILBOX_FULL)
    assert prober.waiting == []
    assert one[0].reason is Reason.MAILBOX_FULL
    assert [each.reason for each in many[0]] == [Reason.MAILBOX_FULL, Reason.ACCEPTED]
    with pytest.raises(LookupError, match="nobody waits for 'ann@"):
        prober.answer("ann@example.net", outcome("ann@example.net"))


def test_cancelling() -> None:
    prober = FakeProber(others=HOLD)
    one, many = prober.probe("ann@example.net"), prober.probe_many(["ben@example.net", "c@d.e"])
    results = [results_of(one), results_of(many)]
    one.cancel()
    many.cancel()
    assert [type(result[0]) for result in results] == [CancelledError] * 2
    assert prober.cancelled == ["ann@example.net", "ben@example.net", "c@d.e"]
    assert prober.waiting == []


def test_closing() -> None:
    prober = FakeProber(others=HOLD)
    waiting = results_of(prober.probe("ann@example.net"))
    assert not prober.is_closed
    assert results_of(prober.close()) == [None]
    assert prober.is_closed
    assert isinstance(waiting[0], CancelledError)
    for ask in (prober.probe, prober.probe_many):
        with pytest.raises(RuntimeError, match="the prober is closed"):
            ask("ann@example.net")
    assert results_of(prober.close()) == [None]


# --- Outcomes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(Reason))
def test_made_up_outcomes_look_real(reason: Reason) -> None:
    made = outcome("ann@example.net", reason)
    assert (made.address, made.reason, made.final) == ("ann@example.net", reason, True)
    assert made.next_attempt_at is None
    assert made.retry is None
    assert (made.exchanger is None) is (made.source is None)
    assert (made.code is None) is (made.stage is None)
    assert made.record()["verdict"] == reason.verdict.value
    if made.code is not None and made.enhanced is not None:
        assert made.enhanced[0] == str(made.code)[0]


def test_fields_of_their_own() -> None:
    made = outcome("ann@example.net", code=251, checked_at=NOW + 5, job="a.txt", line=7)
    assert (made.code, made.checked_at, made.first_attempt_at) == (251, NOW + 5, NOW + 5)
    assert (made.job, made.line) == ("a.txt", 7)
    with pytest.raises(TypeError):
        outcome("ann@example.net", no_such_field=1)


def test_later() -> None:
    made = later("ann@example.net", after=600, attempts=2, source="198.51.100.11")
    assert (made.reason, made.final) == (Reason.GREYLISTED, False)
    assert made.next_attempt_at == made.checked_at + 600
    retry: Any = made.retry
    assert (retry.source, retry.helo, retry.attempts) == ("198.51.100.11", made.helo, 2)
    assert retry.first_attempt_at == made.first_attempt_at
    assert later("ann@example.net", Reason.DNS_ERROR).source is None
    assert isinstance(made, Outcome)
