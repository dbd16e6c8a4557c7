"""Those who are never asked."""

from __future__ import annotations

import pytest

from twisted_probe.routing.customs import Override
from twisted_probe.routing.opt_out import OptOut, entries_of
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.temper import residents
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Reason

from .town_square import town

LIST = """
# asked by telephone
Ann@A.example   # and her sister
b.example
.c.example
"""
A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}


@pytest.mark.parametrize(
    ("address", "is_on_it"),
    [
        ("ann@a.example", True),
        ("ANN@a.example", True),
        ("ben@a.example", False),
        ("ben@b.example", True),
        ("ben@mail.b.example", False),
        ("ben@c.example", True),
        ("ben@mail.c.example", True),
        ("ben@notc.example", False),
    ],
)
def test_who_is_on_it(address: str, is_on_it: bool) -> None:
    assert OptOut(entries_of(LIST)).has(parse_address(address)) is is_on_it


def test_an_entry_that_is_none() -> None:
    with pytest.raises(ValueError, match="no such thing: it is neither"):
        OptOut(["no such thing"])


def test_nobody_on_it_is_asked() -> None:
    with town(A, opt_out=OptOut(["ann@a.example"])) as t:
        record = t.square.settle("192.0.2.1", tempers.postfix(residents("ann ben")))
        ann, ben = t.square.wait(t.prober.probe_many(["ann@a.example", "ben@a.example"]))
        assert (ann.reason, ann.final, ann.text) == (Reason.SKIPPED, True, "it is opted out")
        assert ben.reason is Reason.ACCEPTED
        assert "ann" not in str([each.commands for each in record.sessions])


def test_an_exchanger_that_is_skipped() -> None:
    with town(A, sites=[Override(name=".a.example", skip=True)]) as t:
        outcome = t.square.wait(t.prober.probe("ann@a.example"))
        assert (outcome.reason, outcome.final) == (Reason.SKIPPED, True)
        assert outcome.text == "mx.a.example is never asked ([[site]] skip)"
        assert not t.square.dials
