"""Jobs in hand: how many, which, and what comes when one is done."""

from __future__ import annotations

from typing import cast

from attrs import frozen
from twisted.internet.defer import Deferred

from twisted_probe.jobs.hands import Hands
from twisted_probe.jobs.ledger import Job


@frozen
class Numbered:
    id: int


def jobs(*numbers: int) -> list[Job]:
    return [cast(Job, Numbered(number)) for number in numbers]


class Desk:
    """Work that is done when told so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.open: dict[int, Deferred[None]] = {}

    async def work(self, job: Job) -> None:
        self.begun.append(job.id)
        self.open[job.id] = Deferred()
        await self.open[job.id]

    def end(self, number: int) -> None:
        self.open[number].callback(None)


def test_a_hand_that_is_free_takes_the_next() -> None:
    hands, desk = Hands(2), Desk()
    hands.take(jobs(1, 2, 3, 4), desk.work)
    assert desk.begun == [1, 2]
    assert 2 in hands
    assert 3 not in hands
    desk.end(2)
    assert desk.begun == [1, 2, 3]
    desk.end(1)
    desk.end(3)
    assert desk.begun == [1, 2, 3, 4]


def test_what_is_told_last_holds() -> None:
    hands, desk = Hands(1), Desk()
    hands.take(jobs(1, 2), desk.work)
    hands.take(jobs(1, 3), desk.work)
    desk.end(1)
    assert desk.begun == [1, 3]


def test_in_the_end_nothing_more_is_begun() -> None:
    hands, desk = Hands(1), Desk()
    hands.take(jobs(1, 2), desk.work)
    done = hands.done()
    assert not done.called
    desk.end(1)
    assert done.called
    assert desk.begun == [1]
