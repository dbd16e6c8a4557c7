"""Which name server is asked, how often, and how many questions are on their way at once.

Knows servers that are silent or in trouble; not how a question travels (`routing.question`), nor
what an answer means (`routing.answer`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.names import dns

from twisted_probe.routing.name_servers import NameServer
from twisted_probe.routing.question import Question, by_datagram, by_stream, is_exhaustion
from twisted_probe.vocabulary.dns import NameTrouble, NoSocket

_log = Logger()

#: Seconds for each try of one question; all servers are asked in turn before the next one.
TRIES = (2.0, 4.0, 6.0)
#: Seconds to connect for TCP, and seconds for the answer then.
TCP_TIME = 6.0
#: Questions on their way at once. Each has a socket of its own, and a list can begin with
#: thousands of domains.
MAX_ASKED = 100
#: Seconds for which a server that did not answer is asked last; an answer ends them.
REST = 30.0
#: Seconds until another look whether this machine has a socket left, and how many looks: sessions
#: end meanwhile, and their sockets come free.
LOOK_AGAIN = 1.0
LOOKS = 30

#: Codes that answer a question; all others are about the server or the moment.
_ANSWERS = (dns.OK, dns.ENAME)
_CODES = {
    dns.EFORMAT: "FORMERR",
    dns.ESERVER: "SERVFAIL",
    dns.ENOTIMP: "NOTIMP",
    dns.EREFUSED: "REFUSED",
}
#: RFC 1035 section 2.3.4. A backslash is in our own text for what cannot be printed.
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[!-\-/-\[\]-~]{1,63}\.)*[!-\-/-\[\]-~]{1,63}", re.ASCII)


class Resolver:
    """Asks the `servers`, v4 or v6, of which the first one that is well has most of the work.

    `rng` numbers the questions. At most `MAX_ASKED` are on their way, and others wait.
    """

    def __init__(self, reactor: Any, servers: Iterable[NameServer], rng: random.Random) -> None:
        self._reactor = reactor
        self._servers = tuple(servers)
        self._rng = rng
        self._resting: dict[NameServer, float] = {}
        self._warned_until = 0.0
        self._places = DeferredSemaphore(MAX_ASKED)

    def ask(self, name: str, kind: int) -> Deferred[dns.Message]:
        """Fires with an answer, which says OK or NXDOMAIN.

        Errbacks with NameTrouble: a name that cannot be asked about, servers that fail, are
        silent or speak garbage, a network that is not there; NoSocket where this machine has had
        no socket left for `LOOKS` looks. Cancelling gives the question up.
        """
        return self._places.run(lambda: Deferred.fromCoroutine(self._answer(name, kind)))

    async def _answer(self, name: str, kind: int) -> dns.Message:
        if name and not _NAME.fullmatch(name):
            raise trouble(name, "it cannot be asked about")
        query = dns.Query(name.encode("ascii"), kind, dns.IN)
        words = "no answer in time"
        for seconds in TRIES:
            is_answered = False
            for server in self._in_turn():
                try:
                    message = await self._ask_in_time(server, query, seconds)
                except (CancelledError, NoSocket):
                    raise
                except Exception as error:
                    # Whatever the network can raise: this server is none for the moment.
                    self._resting[server] = self._reactor.seconds() + REST
                    words = _words(error)
                    continue
                self._resting.pop(server, None)
                if message.rCode in _ANSWERS:
                    return message
                # The next one may know better; that all are in trouble needs no second look.
                is_answered = True
                words = _CODES.get(message.rCode, f"code {message.rCode}")
            if is_answered:
                break
        raise trouble(name, words)

    def _in_turn(self) -> list[NameServer]:
        now = self._reactor.seconds()
        return sorted(self._servers, key=lambda server: self._resting.get(server, 0.0) > now)

    async def _ask_in_time(
        self, server: NameServer, query: dns.Query, seconds: float
    ) -> dns.Message:
        """Ask, as soon as this machine has a socket for it: that it has none is not the server's
        trouble."""
        for _ in range(LOOKS):
            try:
                return await self._ask(server, query, seconds)
            except Exception as error:
                if not is_exhaustion(error):
                    raise
                self._warn(error)
            await deferLater(self._reactor, LOOK_AGAIN)
        raise NoSocket("this machine has no socket left to ask the DNS with")

    def _warn(self, error: Exception) -> None:
        """Tell the operator, once in a while."""
        now = self._reactor.seconds()
        if now >= self._warned_until:
            self._warned_until = now + REST
            _log.warn("no socket is left to ask the DNS with: {why}", why=error)

    async def _ask(self, server: NameServer, query: dns.Query, seconds: float) -> dns.Message:
        question = Question(self._rng.getrandbits(16), query)
        message = await by_datagram(self._reactor, server, question, seconds)
        if message.trunc:
            message = await by_stream(self._reactor, server, question, TCP_TIME)
        return message


def trouble(name: str, words: str) -> NameTrouble:
    """The one form in which trouble with a question is told."""
    return NameTrouble(f"{name}: no usable answer from the DNS ({words})")


def _words(error: Exception) -> str:
    return "no answer in time" if isinstance(error, defer.TimeoutError) else type(error).__name__
