"""What a handshake costs us in CPU: with the shared context, with a context for each session, and
resumed.

    python -m benchmarks.handshakes

Knows both ends of a handshake in memory, and counts our end only; sockets, Twisted and the dialogue
around it are not in it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from time import process_time

import trustme
from OpenSSL import SSL

from twisted_probe.smtp.tls import DEFAULT_TLS, Handshake, TlsClient

NAME = "mx.example.net"
HANDSHAKES = 100
ROUNDS = 7
#: Octets that one end takes at a time: all that there are.
_ALL = 1 << 16

#: What makes the next handshake, and a session of the last one to resume, or None.
Way = Callable[[], tuple[Handshake, SSL.Session | None]]


class Prober:
    """Our end, and how it may be made. Its authorities are this machine's."""

    def __init__(self) -> None:
        self._client = TlsClient()
        self.last: SSL.Connection | None = None

    def shared(self) -> tuple[Handshake, SSL.Session | None]:
        """As it is: one context for all."""
        return self._client.handshake(NAME), None

    def own(self) -> tuple[Handshake, SSL.Session | None]:
        """A context for each session."""
        return TlsClient(DEFAULT_TLS).handshake(NAME), None

    def resumed(self) -> tuple[Handshake, SSL.Session | None]:
        """With the ticket of the session before."""
        ticket = None if self.last is None else self.last.get_session()
        return self._client.handshake(NAME), ticket


def exchanger(newest: int) -> SSL.Context:
    """The other end: an RSA key of 2048 bits, as most exchangers have."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(newest)
    context.set_session_id(b"benchmark")
    rsa = trustme.KeyType.RSA
    trustme.CA(key_type=rsa).issue_cert(NAME, key_type=rsa).configure_cert(context)
    return context


def shake(context: SSL.Context, way: Way) -> tuple[float, SSL.Connection]:
    """One handshake, until each has read all that the other had to say, and its report; seconds of
    CPU of our end."""
    theirs = SSL.Connection(context, None)
    theirs.set_accept_state()
    begun = process_time()
    handshake, ticket = way()
    # Twisted's protocol is not looked at.
    ours = handshake.clientConnectionForTLS(None)  # type: ignore[arg-type]
    ours.set_connect_state()
    if ticket is not None:
        ours.set_session(ticket)
    _go_on(ours)
    spent = process_time() - begun
    while (said := _said(ours)) is not None:
        theirs.bio_write(said)
        _go_on(theirs)
        answer = _said(theirs)
        if answer is None:
            break
        begun = process_time()
        ours.bio_write(answer)
        _go_on(ours)
        spent += process_time() - begun
    begun = process_time()
    assert handshake.report().version is not None
    return spent + process_time() - begun, ours


def _go_on(end: SSL.Connection) -> None:
    with suppress(SSL.WantReadError):
        end.do_handshake()
        end.recv(1)


def _said(end: SSL.Connection) -> bytes | None:
    try:
        return end.bio_read(_ALL)
    except SSL.WantReadError:
        return None


def milliseconds(context: SSL.Context, prober: Prober, way: Way) -> float:
    """Of CPU, for one of many handshakes."""
    spent, prober.last = 0.0, None
    for _ in range(HANDSHAKES):
        seconds, prober.last = shake(context, way)
        spent += seconds
    return 1000 * spent / HANDSHAKES


def main() -> None:
    """All ways in turn, round after round; prints their medians."""
    print(f"Python {platform.python_version()}, {SSL.SSLeay_version(0).decode()}")
    for version, number in (("TLSv1.3", SSL.TLS1_3_VERSION), ("TLSv1.2", SSL.TLS1_2_VERSION)):
        context, prober = exchanger(number), Prober()
        ways: dict[str, Way] = {
            "shared": prober.shared,
            "own": prober.own,
            "resumed": prober.resumed,
        }
        figures: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                figures[name].append(milliseconds(context, prober, way))
        for name, each in figures.items():
            spread = f"{min(each):.2f} … {max(each):.2f}"
            print(f"{version}  {name:8}  {median(each):.2f} ms  {spread}")


if __name__ == "__main__":
    main()
