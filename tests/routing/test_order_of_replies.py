"""Exchangers that leave doubts about the order of their replies: the next session dispels them.

`smtp.belief` has the reasons; here the attempt has to come to its end within its sessions.
"""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.habits import AlwaysSays, DropsAfter, LimitsErrors, LimitsRecipients
from twisted_probe.sandbox.temper import Habit, Temper, residents
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.outcome import Reason

from .town_square import town

A = {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}
#: One that names nobody, and says the same to MAIL and RCPT, as qmail does.
TERSE = Temper(
    mail="250 ok",
    accepted="250 ok",
    mailboxes=residents("ann ben carl"),
    unknown="550 5.1.1 no mailbox here by that name",
)
YES, NO = Reason.ACCEPTED, Reason.NO_SUCH_MAILBOX
CLOSES = Answer("", then=Then.CLOSE)


def asked(names: str, temper: Temper, **options: Any) -> tuple[list[Reason], Any, Any]:
    """What came of it, what the exchanger has seen, and what is remembered of it."""
    memory = MemoryInRam()
    with town(A, memory=memory, **options) as t:
        record = t.square.settle("192.0.2.1", temper)
        outcomes = t.square.wait(
            t.prober.probe_many([f"{name}@a.example" for name in names.split()])
        )
        learned = t.square.wait(memory.learned("192.0.2.1"))
        return [each.reason for each in outcomes], record, learned and learned.manner


@pytest.mark.parametrize("keywords", [(), ("PIPELINING",)])
@pytest.mark.parametrize(
    "habit",
    [
        pytest.param(AlwaysSays("QUIT", CLOSES), id="a close"),
        pytest.param(AlwaysSays("QUIT", "250 ok"), id="a 250"),
        pytest.param(AlwaysSays("QUIT", "421 4.3.2 bye"), id="a 421"),
    ],
)
def test_one_that_never_says_goodbye(habit: Habit, keywords: tuple[str, ...]) -> None:
    temper = evolve(TERSE, keywords=keywords, habits=(habit,))
    reasons, record, manner = asked("ann nobody ben nemo", temper)
    assert reasons == [YES, NO, YES, NO]
    assert len(record.sessions) == 2
    names = [each.verbs.count("EHLO") + each.verbs.count("HELO") for each in record.sessions]
    assert names == [1, 3]
    assert not manner.goodbye


@pytest.mark.parametrize("keywords", [(), ("PIPELINING",)])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_one_that_says_421_behind_rejections(limit: int, keywords: tuple[str, ...]) -> None:
    """Rows 46, 47 and 115."""
    temper = evolve(TERSE, keywords=keywords, habits=(LimitsErrors(hard=limit),))
    names = "n1 n2 ann n3 n4 ben n5 n6"
    reasons, _, manner = asked(names, temper, control=False)
    assert reasons == [NO, NO, YES, NO, NO, YES, NO, NO]
    assert manner.error_limit is not None
    assert manner.error_limit <= limit


@pytest.mark.parametrize(
    "says", ["502 no", "500 what?", "550 5.5.1 no", "451 4.3.0 x", "503 5.5.1 x", "554 x"]
)
def test_one_that_refuses_reset(says: str) -> None:
    """Row 66: a session for each transaction, and nobody is asked twice once that is known."""
    habits = (LimitsRecipients(1), AlwaysSays("RSET", says))
    reasons, record, manner = asked("ann n1 ben n2", evolve(TERSE, habits=habits), control=False)
    assert reasons == [YES, NO, YES, NO]
    assert not manner.reset
    assert sum(each.verbs.count("RSET") for each in record.sessions) == 1


def test_one_that_hangs_up_upon_ehlo() -> None:
    """HELO is tried once, and remembered because it worked."""
    temper = evolve(TERSE, habits=(AlwaysSays("EHLO", CLOSES),))
    reasons, record, manner = asked("ann nobody", temper)
    assert reasons == [YES, NO]
    assert [each.verbs[0] for each in record.sessions] == ["EHLO", "HELO"]
    assert manner == Manner(extended=False)


def test_one_that_hangs_up_upon_helo_too() -> None:
    """Nothing is remembered of what may have been the network's doing."""
    reasons, record, manner = asked("ann", evolve(tempers.postfix({}), habits=(DropsAfter(0),)))
    assert reasons == [Reason.CONNECTION_LOST]
    assert [each.verbs for each in record.sessions] == [["EHLO"], ["HELO"]]
    assert manner is None
