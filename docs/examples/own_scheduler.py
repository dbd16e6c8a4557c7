"""A scheduler of one's own over the wire: which exchanger is asked next, and how fast.

    python docs/examples/own_scheduler.py --source 192.0.2.10=probe1.example.org \
        --reverse-path probe@example.org --pace 2 \
        192.0.2.25=ann@example.net,ben@example.net 192.0.2.26=carl@example.com

One recipient in all every two seconds, the exchangers in turn; each has one session, which stays
open between its turns. Exchangers are literal addresses here: who has names looks them up, or
takes `open_session`. What a reply means for a mailbox is left to the reader of the lines:
`Prober` knows better.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from twisted_probe import AddressError, ProbeFactory, ProbeProtocol, Source, raise_for_refusal
from twisted_probe.smtp.errors import Refusal, SessionError

Tell = Callable[[str, str], None]


class Scheduler:
    """Asks the exchangers in turn, with `pace` seconds between two questions and at most `most`
    recipients in a session."""

    def __init__(
        self, reactor: Any, source: Source, reverse_path: str, *, port: int, pace: float, most: int
    ) -> None:
        self._reactor = reactor
        self._source = source
        self._reverse_path = reverse_path
        self._port = port
        self._pace = pace
        self._most = most
        self._sessions: dict[str, ProbeProtocol] = {}

    async def run(self, queues: dict[str, deque[str]], tell: Tell) -> None:
        """Ask until the queues (exchanger's address → recipients) are empty. `tell` gets each
        recipient and what was said. Cancelling ends the sessions."""
        try:
            while queues:
                for host in list(queues):
                    await self._turn(host, queues[host], tell)
                    if not queues[host]:
                        del queues[host]
                        await self._leave(host)
                    await deferLater(self._reactor, self._pace)
        finally:
            for host in list(self._sessions):
                await self._leave(host)

    async def _turn(self, host: str, queue: deque[str], tell: Tell) -> None:
        """One recipient. Whatever is wrong with the exchanger ends its whole queue for today."""
        try:
            session = self._sessions.get(host) or await self._open(host)
            reply = await session.rcpt(queue[0])
            tell(queue.popleft(), str(reply))
            if not session.recipients_left:
                await self._leave(host)
        except AddressError as error:
            tell(queue.popleft(), f"no address: {error}")
        except (SessionError, Refusal) as trouble:
            while queue:
                tell(queue.popleft(), f"not answered: {trouble}")

    async def _open(self, host: str) -> ProbeProtocol:
        factory = ProbeFactory(self._source, timeout=30, max_recipients=self._most)
        session = await factory.connect(self._reactor, host, self._port)
        self._sessions[host] = session
        assert session.greeting is not None
        raise_for_refusal(session.greeting)
        raise_for_refusal(await session.helo())
        raise_for_refusal(await session.mail(self._reverse_path))
        return session

    async def _leave(self, host: str) -> None:
        session = self._sessions.pop(host, None)
        if session is not None:
            # QUIT, and the end of the connection; one that is lost already is no error.
            await session.quit()


async def main(reactor: Any, *argv: str) -> None:
    """Ask all recipients of the command line and print what was said."""
    options = read(argv)
    scheduler = Scheduler(
        reactor,
        Source.parse(options.source),
        options.reverse_path,
        port=options.port,
        pace=options.pace,
        most=options.most,
    )
    queues = {}
    for text in options.queues:
        host, _, recipients = text.partition("=")
        queues[host] = deque(recipients.split(","))
    await scheduler.run(queues, lambda recipient, said: print(f"{recipient}: {said}"))


def read(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("queues", nargs="+", metavar="EXCHANGER=RECIPIENT,…")
    parser.add_argument("--source", required=True, metavar="ADDRESS=HELO")
    parser.add_argument("--reverse-path", required=True, metavar="ADDRESS")
    parser.add_argument("--pace", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--most", type=int, default=20, metavar="RECIPIENTS")
    parser.add_argument("--port", type=int, default=25)
    return parser.parse_args(argv)


if __name__ == "__main__":
    react(lambda reactor, *argv: Deferred.fromCoroutine(main(reactor, *argv)), sys.argv[1:])
