"""Ours: protocol, factory and conversation, many sessions at once on Twisted's reactor.

Knows the wire's own calls; resolver, politeness and ledger are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from benchmarks.errand import HELO, REVERSE_PATH, SOURCES, TIMEOUT, Errand
from twisted_probe.smtp.conversation import converse
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.vocabulary.address import parse_address, parse_reverse_path
from twisted_probe.vocabulary.source import Source

#: Sessions at once.
WORKERS = 200


def contend(errands: Iterable[Errand]) -> None:
    """Do the errands, as many sessions at once as there are workers."""
    from twisted.internet import reactor as _reactor

    reactor: Any = _reactor
    failures: list[Failure] = []

    def start() -> None:
        doing = Deferred.fromCoroutine(_contend(reactor, errands))
        doing.addErrback(failures.append)
        doing.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(start)
    reactor.run()
    for failure in failures:
        failure.raiseException()


async def _contend(reactor: Any, errands: Iterable[Errand]) -> None:
    sources = {address: Source(address, helo=HELO) for address in SOURCES}
    for errand in errands:
        sessions = errand.sessions()
        await gatherResults(
            (
                Deferred.fromCoroutine(_work(reactor, errand, sessions, sources))
                for _ in range(WORKERS)
            ),
            consumeErrors=True,
        )


async def _work(
    reactor: Any,
    errand: Errand,
    sessions: Iterator[tuple[str, tuple[str, ...]]],
    sources: dict[str, Source],
) -> None:
    reverse_path = parse_reverse_path(REVERSE_PATH)
    for source, batch in sessions:
        factory = ProbeFactory(sources[source], timeout=TIMEOUT)
        session = await factory.connect(reactor, errand.host, errand.port)
        report = await converse(session, [parse_address(each) for each in batch], reverse_path)
        errand.answered(reply.code for reply in report.answers.values())
