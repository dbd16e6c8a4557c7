"""One question to the DNS: over UDP, and over TCP where the answer is too long for it.

Knows twisted.names' protocols and when a question is put again; not what an answer means
(`routing.names`). Nothing of a question outlives it, be it answered, given up or cancelled:
Twisted's own resolver leaves its TCP connections open and a cancelled question's timer running.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.names import dns
from twisted.names.error import DNSQueryTimeoutError

#: Seconds for each try of one question; all servers are asked in turn before the next one.
TRIES = (2.0, 4.0, 6.0)
#: Seconds to connect for TCP, and seconds for the answer then.
TCP_TIME = 6.0
#: Questions on their way at once. Each has a socket of its own, and a list can begin with
#: thousands of domains.
MAX_ASKED = 100


class NoAnswer(Exception):
    """No server answered the question in time."""


class Resolver:
    """Asks the servers given as (address, port), IPv4 only.

    A question that is on its way already is not asked twice: all who want it share the answer.
    Others wait while there are `MAX_ASKED` of them.
    """

    def __init__(self, reactor: Any, servers: Sequence[tuple[str, int]]) -> None:
        self._reactor = reactor
        self._servers = tuple(servers)
        self._asked: dict[dns.Query, _Question] = {}
        self._places = DeferredSemaphore(MAX_ASKED)

    def ask(self, query: dns.Query) -> Deferred[dns.Message]:
        """Fires with the whole answer to `query`, whatever its code.

        Errbacks with NoAnswer, or with what the network or a broken message has raised.
        Cancelling gives the question up once nobody waits for it any more.
        """
        if query in self._asked:
            return self._asked[query].wait()
        question = self._asked[query] = _Question()
        waiting = question.wait()
        question.asking = self._places.run(
            lambda: Deferred.fromCoroutine(self._answer(query))
        ).addBoth(self._answered, query)
        return waiting

    def _answered(self, answer: Any, query: dns.Query) -> None:
        self._asked.pop(query).answered(answer)

    async def _answer(self, query: dns.Query) -> dns.Message:
        for seconds in TRIES:
            for server in self._servers:
                try:
                    message = await self._over_udp(server, query, seconds)
                    if message.trunc:
                        message = await self._over_tcp(server, query)
                except DNSQueryTimeoutError:
                    continue
                # A question, or the answer to another one, is none (RFC 5452 section 4.2).
                if message.answer and query in message.queries and not message.trunc:
                    return message
        raise NoAnswer(f"{query.name}: no answer in time")

    async def _over_udp(
        self, server: tuple[str, int], query: dns.Query, seconds: float
    ) -> dns.Message:
        # A port of its own for each question makes its number as hard to guess as the ID.
        protocol = dns.DNSDatagramProtocol(self, self._reactor)
        protocol.noisy = False
        try:
            return await protocol.query(server, [query], seconds)
        finally:
            if protocol.transport is not None:
                _forget_questions(protocol)
                protocol.transport.stopListening()

    async def _over_tcp(self, server: tuple[str, int], query: dns.Query) -> dns.Message:
        endpoint = TCP4ClientEndpoint(self._reactor, *server, timeout=TCP_TIME)
        protocol: Any = dns.DNSProtocol(self, self._reactor)
        await connectProtocol(endpoint, protocol)
        try:
            message: dns.Message = await protocol.query([query], TCP_TIME)
        finally:
            _forget_questions(protocol)
            protocol.transport.abortConnection()
        return message

    # --- What twisted.names tells whoever owns a protocol ------------------------------------

    def connectionMade(self, protocol: dns.DNSProtocol) -> None:
        """A TCP connection stands."""

    def connectionLost(self, protocol: dns.DNSProtocol) -> None:
        """A TCP connection has ended."""

    def messageReceived(self, message: dns.Message, *where: Any) -> None:
        """A message that answers nothing of ours: not looked at."""


class _Question:
    """A question on its way, and those who wait for its answer."""

    asking: Deferred[Any]

    def __init__(self) -> None:
        self._waiting: list[Deferred[dns.Message]] = []

    def wait(self) -> Deferred[dns.Message]:
        waiting: Deferred[dns.Message] = Deferred(self._leave)
        self._waiting.append(waiting)
        return waiting

    def answered(self, answer: Any) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(answer)

    def _leave(self, waiting: Deferred[dns.Message]) -> None:
        self._waiting.remove(waiting)
        if not self._waiting:
            self.asking.cancel()


def _forget_questions(protocol: dns.DNSMixin) -> None:
    """Stop the timers of questions that are not awaited any more."""
    for _, timer in protocol.liveMessages.values():
        timer.cancel()
