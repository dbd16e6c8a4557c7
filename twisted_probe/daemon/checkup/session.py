"""A session with an exchanger of the operator's choice: whether we are let in at all.

Knows how far it goes: connect, greeting, EHLO, QUIT. No MAIL and no RCPT are ever said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError

from twisted_probe.daemon.checkup.identity import subject_of
from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.daemon.config import ConfigError, read_port
from twisted_probe.routing.names import Names, NameTrouble, NoSuchName
from twisted_probe.routing.opening import open_session
from twisted_probe.smtp.errors import ConnectTimeout, NoRoute, Refused, SessionError
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.judge import judge
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply, Stage
from twisted_probe.vocabulary.source import Source

SESSION = "session"

_ADVICE: tuple[tuple[type[SessionError], str], ...] = (
    (
        ConnectTimeout,
        "if no exchanger answers, the port is closed on your side: ask your provider to open it",
    ),
    (Refused, "nothing listens there; see that host and port are right"),
    (NoRoute, "see the machine's routes; if the network is yours, allow it with --allow-network"),
)


@frozen
class HostAndPort:
    """Whom to greet: `host` is a name or a literal address."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, default_port: int) -> HostAndPort:
        """Read `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. Raises ConfigError."""
        host, separator, port = text.rpartition(":")
        if not separator or (text.count(":") > 1 and not host.endswith("]")):
            host, separator = text, ""
        try:
            if ":" in host or host.startswith("["):
                host = str(ip_address(host.removeprefix("[").removesuffix("]")))
            number = read_port(port) if separator else default_port
        except ValueError as error:
            raise ConfigError(f"--exchanger {text!r}: {str(error).removeprefix('--')}") from None
        if not host or not host.isascii():
            raise ConfigError(f"--exchanger {text!r}: write HOST or HOST:PORT")
        return cls(host, number)


def no_exchanger_line() -> Line:
    """What to say where none was named."""
    return Line("exchanger", SESSION, Status.NOTE, "not tried", "name one with --exchanger HOST")


async def session_line(
    reactor: Any,
    source: Source,
    exchanger: HostAndPort,
    *,
    names: Names,
    allow_networks: Sequence[str],
    timeouts: Timeouts,
) -> Line:
    """Greet `exchanger` from `source` and take leave again."""
    subject, host = subject_of(source), exchanger.host
    try:
        if not await _has_family(names, host, source.family):
            return Line(
                subject,
                SESSION,
                Status.NOTE,
                f"not tried: {host} has no IPv{source.family} address",
                "name one with --exchanger that has",
            )
        session = await open_session(
            reactor,
            host,
            exchanger.port,
            source=source,
            resolver=names,
            allow_networks=allow_networks,
            timeout=timeouts,
        )
        reply = await _greet(session)
    except NoSuchName:
        found = f"the DNS has no {host}"
        return Line(subject, SESSION, Status.BAD, found, "see that its name is spelt right")
    except NameTrouble as error:
        found = f"{host}: its address cannot be looked up ({error})"
        return Line(subject, SESSION, Status.BAD, found, "mend the resolvers; see their lines")
    except SessionError as error:
        advice = next((words for kind, words in _ADVICE if isinstance(error, kind)), None)
        # The docstring of a reason is what an operator should do.
        return Line(subject, SESSION, Status.BAD, str(error), advice or error.reason.__doc__)
    who = host if host == session.host else f"{host} at {session.host}"
    if reply.is_positive:
        return Line(subject, SESSION, Status.OK, f"{who} takes our EHLO")
    name = host.rstrip(".").lower()
    context = Context(source=source.address, helo=source.helo, exchanger=name)
    reason = judge(classify(reply.stage, reply, context), reply).reason
    found = f"{who} {_STEPS[reply.stage]} {reply}"
    what_to_do = _TURNED_AWAY if reason is Reason.REFUSED else reason.__doc__
    return Line(subject, SESSION, Status.BAD, found, what_to_do)


_STEPS = {Stage.GREETING: "greets us with", Stage.EHLO: "answers our EHLO with"}
_TURNED_AWAY = (
    "it talks to nobody, or not to this source; try another exchanger, and if that says the same, "
    "look the source up at the DNS blocklists"
)


async def _greet(session: ProbeProtocol) -> Reply:
    """The reply that decides; the session is over then."""
    reply = session.greeting
    assert reply is not None
    try:
        if reply.is_positive:
            reply = await session.helo()
        await session.quit()
    except CancelledError:
        session.abort()
        raise
    return reply


async def _has_family(names: Names, host: str, family: int) -> bool:
    """Whether the host has an address that a source of `family` can dial. Raises NoSuchName, and
    NameTrouble."""
    try:
        return ip_address(host).version == family
    except ValueError:
        pass
    return bool(await names.addresses(host.rstrip(".").lower(), family))
