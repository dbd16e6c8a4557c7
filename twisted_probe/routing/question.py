"""One question to one name server: by datagram, and as a stream.

Knows the two transports of RFC 1035 section 4.2 and which message answers a question (RFC 5452);
not which server is asked, nor when (`routing.resolver`), nor what an answer means
(`routing.answer`). Nothing of a question outlives it, be it answered, given up or cancelled:
Twisted's own resolver asks over IPv4 only, does not hear that nobody is there, and leaves streams
open and timers running.
"""

from __future__ import annotations

import errno
from struct import Struct
from typing import Any

from attrs import frozen
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from twisted_probe.routing.name_servers import NameServer, is_ipv6
from twisted_probe.smtp.factory import EXHAUSTED

#: RFC 1035 section 4.1.1: the number, the flags, and how many records each part has.
_HEADER = Struct("!6H")


class Garbage(Exception):
    """What came as a stream is no answer to the question."""


def is_exhaustion(trouble: Exception) -> bool:
    """Whether it came to no question, because this machine has no socket or port left."""
    if isinstance(trouble, error.CannotListenError):
        number = getattr(trouble.socketError, "errno", None)
        return number in EXHAUSTED or number == errno.EADDRINUSE
    number = trouble.osError if isinstance(trouble, error.ConnectError) else None
    return (number or getattr(trouble, "errno", None)) in EXHAUSTED


@frozen
class Question:
    """What is asked, under a number that nobody can guess."""

    id: int
    query: dns.Query

    def written(self) -> bytes:
        """The message. Raises ValueError for a name that cannot be written."""
        message = dns.Message(self.id, recDes=1)
        message.queries = [self.query]
        return bytes(message.toStr())

    def answer_in(self, data: bytes) -> dns.Message | None:
        """The answer to this question that a stranger's bytes are, or None.

        Another number or another question is somebody's guess (RFC 5452 section 4); names are
        equal whatever their case (RFC 4343).
        """
        message = dns.Message()
        try:
            message.fromStr(data)
        except Exception:
            # Whatever twisted.names can raise: it is no message of the DNS.
            return None
        is_ours = message.id == self.id and message.answer and message.queries == [self.query]
        return message if is_ours and _is_whole(message, data) else None


def _is_whole(message: dns.Message, data: bytes) -> bool:
    """Whether all records that it announces have come. twisted.names takes what there is, and an
    answer that was cut off would be an empty one."""
    _, _, _, answers, authority, _ = _HEADER.unpack_from(data)
    return (len(message.answers), len(message.authority)) == (answers, authority)


class _Datagram(DatagramProtocol):
    """Waits for the one datagram that answers."""

    noisy = False

    def __init__(self, question: Question) -> None:
        self._question = question
        self.answered: Deferred[dns.Message] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = self._question.answer_in(datagram)
        if message is not None and not self.answered.called:
            self.answered.callback(message)

    def connectionRefused(self) -> None:
        if not self.answered.called:
            self.answered.errback(Failure(error.ConnectionRefusedError()))


async def by_datagram(
    reactor: Any, server: NameServer, question: Question, seconds: float
) -> dns.Message:
    """Ask `server`, and wait so long for its answer; it may say that it is truncated.

    Raises TimeoutError, and what the network does.
    """
    asking = _Datagram(question)
    # A port of its own for each question makes its number as hard to guess as the ID.
    port = reactor.listenUDP(0, asking, interface="::" if is_ipv6(server[0]) else "")
    try:
        # The kernel hands over what comes from there, and nothing else; and it tells when nobody
        # is there, which needs no waiting.
        port.connect(*server)
        port.write(question.written())
        return await asking.answered.addTimeout(seconds, reactor)
    finally:
        port.stopListening()


class _Stream(Int16StringReceiver):
    """Asks as soon as it is connected, and waits for the one message that answers."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self.answered: Deferred[dns.Message] = Deferred()

    def connectionMade(self) -> None:
        self.sendString(self._question.written())  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        if self.answered.called:
            return
        message = self._question.answer_in(string)
        if message is None or message.trunc:
            self.answered.errback(Failure(Garbage()))
        else:
            self.answered.callback(message)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if not self.answered.called:
            self.answered.errback(reason)


async def by_stream(
    reactor: Any, server: NameServer, question: Question, seconds: float
) -> dns.Message:
    """Ask `server` what is too long for a datagram (RFC 7766); connecting and the answer may take
    so long each.

    Raises TimeoutError, Garbage, and what the network does.
    """
    endpoint = TCP6ClientEndpoint if is_ipv6(server[0]) else TCP4ClientEndpoint
    stream: Any = _Stream(question)
    try:
        await connectProtocol(endpoint(reactor, *server, timeout=seconds), stream)
    except error.ConnectingCancelledError:
        raise CancelledError from None
    try:
        message: dns.Message = await stream.answered.addTimeout(seconds, reactor)
    finally:
        stream.transport.abortConnection()
    return message
