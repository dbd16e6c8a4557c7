"""What a daemon is told, and everything that can be wrong with it before it starts.

Knows each setting, its default and the words for a bad one; not where a setting was written
(`tap` reads the command line).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from twisted_probe.jobs.access import group_number
from twisted_probe.jobs.deadline import JOB_DEADLINE
from twisted_probe.routing.names import parse_resolver, system_resolvers
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.sites import DEFAULT_LIMITS, Limits
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.verdict.ladder import DEFAULT_LADDER, Ladder
from twisted_probe.vocabulary.address import AddressError, parse_reverse_path
from twisted_probe.vocabulary.exchanger import SMTP_PORT
from twisted_probe.vocabulary.source import Source, helo_name_problem

#: How the log is written: lines for people, or a JSON object a line.
LOG_FORMATS = ("text", "json")


class ConfigError(ValueError):
    """A setting that the daemon will not start with; the message names it and its value."""


def _absolute(path: Path) -> Path:
    return path.absolute()


@frozen(kw_only=True)
class Config:
    """Everything that a daemon is told. Times are in seconds.

    `spool` is kept as an absolute path: twistd may change the directory later. `spool_group` is
    the name or number of the group whose users may drop jobs; None leaves them to the daemon's
    own user.
    """

    spool: Path = field(converter=_absolute)
    sources: tuple[Source, ...]
    reverse_path: str
    resolvers: tuple[tuple[str, int], ...]
    port: int = SMTP_PORT
    allow_networks: tuple[str, ...] = ()
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    limits: Limits = DEFAULT_LIMITS
    ladder: Ladder = DEFAULT_LADDER
    deadline: float = JOB_DEADLINE
    spool_group: str | None = None
    log_format: str = "text"
    log_addresses: bool = False


def read_config(
    *,
    spool: str | None,
    sources: Sequence[str],
    helo: str | None,
    reverse_path: str | None,
    resolvers: Sequence[str] = (),
    port: str | int = SMTP_PORT,
    allow_networks: Sequence[str] = (),
    spool_group: str | None = None,
    log_format: str = "text",
    log_addresses: bool = False,
) -> Config:
    """Check the settings as they were written and make a Config of them.

    Raises ConfigError with what is wrong, with which setting, and what it was.
    """
    if not spool:
        raise ConfigError("--spool: no directory is given")
    if spool_group is not None:
        read_group(spool_group)
    identity = read_identity(sources=sources, helo=helo, reverse_path=reverse_path)
    return Config(
        spool=Path(spool),
        sources=identity[0],
        reverse_path=identity[1],
        resolvers=read_resolvers(resolvers),
        port=read_port(port),
        allow_networks=read_networks(allow_networks),
        spool_group=spool_group,
        log_format=read_log_format(log_format),
        log_addresses=log_addresses,
    )


def read_identity(
    *, sources: Sequence[str], helo: str | None, reverse_path: str | None
) -> tuple[tuple[Source, ...], str]:
    """Who we are: the sources, each with a HELO name, and the reverse-path."""
    if helo is not None:
        problem = helo_name_problem(helo)
        if problem is not None:
            raise ConfigError(f"--helo {helo!r}: {problem}")
    if not sources:
        raise ConfigError(
            "--source: no source address is given; nothing is ever sent from an address that "
            "was not chosen"
        )
    made = []
    for text in sources:
        if helo is None and "=" not in text:
            raise ConfigError(
                f"--source {text!r}: it has no HELO name; write --source ADDRESS=NAME or "
                "--helo NAME with a name that resolves to this address"
            )
        try:
            made.append(Source.parse(text, helo))
        except ValueError as error:
            raise ConfigError(f"--{error}") from None
    for source in made:
        if sum(source.address == other.address for other in made) > 1:
            raise ConfigError(f"--source {source.address}: it is named twice")
    if reverse_path is None:
        raise ConfigError(
            "--reverse-path: none is given; set an address of yours that receives mail"
        )
    try:
        path = parse_reverse_path(reverse_path)
    except AddressError as error:
        raise ConfigError(f"--reverse-path {reverse_path!r}: {error}") from None
    if path is not None and path.needs_smtputf8:
        raise ConfigError(
            f"--reverse-path {reverse_path!r}: the part before the @ has to be ASCII, since not "
            "every exchanger offers SMTPUTF8"
        )
    return tuple(made), reverse_path


def read_resolvers(resolvers: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The resolvers given, or the machine's own."""
    try:
        given = tuple(parse_resolver(text) for text in resolvers)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    return given or tuple(system_resolvers())


def read_port(port: str | int) -> int:
    """The exchangers' port."""
    try:
        number = int(port)
    except ValueError:
        raise ConfigError(f"--port {port!r}: it is not a number") from None
    if not 0 < number < 65536:
        raise ConfigError(f"--port {number}: it is not between 1 and 65535")
    return number


def read_networks(networks: Sequence[str]) -> tuple[str, ...]:
    """Networks that may be dialled although they are not public."""
    for network in networks:
        try:
            Networks([network])
        except ValueError as error:
            raise ConfigError(f"--allow-network {network!r}: {error}") from None
    return tuple(networks)


def read_group(group: str) -> int:
    """The number of the spool group."""
    try:
        return group_number(group)
    except KeyError:
        raise ConfigError(f"--spool-group {group!r}: there is no such group") from None


def read_log_format(log_format: str) -> str:
    """How the log is written."""
    if log_format not in LOG_FORMATS:
        raise ConfigError(f"--log-format {log_format!r}: it is not {' or '.join(LOG_FORMATS)}")
    return log_format


#: RFC 863; nothing is sent there.
_DISCARD_PORT = 9


def check_sources(sources: Sequence[Source]) -> None:
    """Bind to each source once and close at once: the kernel knows which addresses are ours.

    Raises ConfigError naming the address that is not.
    """
    for source in sources:
        family = socket.AF_INET if source.family == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((source.address, source.port))
            if source.family == 4:
                # Linux binds to a broadcast address and then sends from another one; to connect
                # to it (which sends nothing) is what it does not allow.
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.connect((source.address, _DISCARD_PORT))
        except OSError as error:
            raise ConfigError(
                f"--source {source.address}: this machine cannot send from it ({error.strerror}); "
                "give one of its own addresses"
            ) from None
