"""What a daemon is told, and everything that can be wrong with it before it starts.

Knows which of the file and the command line wins, and the words for what is wrong; not how either
is read (`daemon.config_file`, `tap`), nor which settings there are (`daemon.settings`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, field, fields, frozen

from twisted_probe.daemon.config_file import ConfigFile, read_bytes, read_file
from twisted_probe.daemon.settings import (
    BY_NAME,
    LOG_FORMATS,
    REPEATED,
    SETTINGS,
    SITE,
    SOURCE,
    ConfigError,
    kinds_of,
    path_text,
)
from twisted_probe.jobs.access import group_number
from twisted_probe.jobs.caching import DEFAULT_CACHING, Caching
from twisted_probe.jobs.deadline import JOB_DEADLINE
from twisted_probe.jobs.job_file import reverse_path_text
from twisted_probe.jobs.purging import KEPT
from twisted_probe.routing.controls import DEFAULT_CONTROLS, Controls
from twisted_probe.routing.customs import Override
from twisted_probe.routing.name_servers import parse_resolver, system_resolvers
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.opt_out import NOBODY, OptOut, entries_of
from twisted_probe.routing.sites import DEFAULT_LIMITS, Limits
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.smtp.tls import DEFAULT_TLS, Tls, TlsClient, TlsMode
from twisted_probe.verdict.ladder import DEFAULT_LADDER, Ladder
from twisted_probe.verdict.rules import RuleError, Rules, rules_with
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.exchanger import SMTP_PORT
from twisted_probe.vocabulary.source import Source, helo_name_problem
from twisted_probe.vocabulary.toml_text import MAX_DOCUMENT

__all__ = [
    "COMMAND_LINE",
    "DEFAULT",
    "Config",
    "ConfigError",
    "Told",
    "Value",
    "check_sources",
    "probing_of",
    "read_config",
    "read_group",
    "read_port",
    "read_told",
]

#: Where a value came from that is not out of a file.
DEFAULT = "default"
COMMAND_LINE = "command line"
#: Bytes of a list of those who are never asked: two million of them.
MAX_OPT_OUT = 64 << 20
#: What `timeouts.rfc` gives to the timeouts that are not set themselves.
_RFC = "timeouts.rfc"

#: What the prober is told, of all that a Config has.
_PROBING = (
    "sources",
    "reverse_path",
    "resolvers",
    "port",
    "allow_networks",
    "control",
    "timeouts",
    "limits",
    "ladder",
    "rules",
    "tls",
    "sites",
    "controls",
    "evidence",
    "opt_out",
)


def _absolute(path: Path) -> Path:
    return path.absolute()


@frozen(kw_only=True)
class Config:
    """Everything that a daemon is told. Times are in seconds.

    `spool` is kept as an absolute path: twistd may change the directory later. `spool_group` is
    the name or number of the group whose users may drop jobs; None leaves them to the daemon's
    own user. `rules` are the package's with the operator's own before them; None are the
    package's. `opt_out` are those who are never asked; `stop_file` halts everything as long as it
    is there. `sites` is what holds at some exchangers otherwise than at all. `told` has where each
    value came from, None where the Config was not read.
    """

    spool: Path = field(converter=_absolute)
    sources: tuple[Source, ...]
    reverse_path: str
    resolvers: tuple[tuple[str, int], ...]
    port: int = SMTP_PORT
    allow_networks: tuple[str, ...] = ()
    control: bool = True
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    limits: Limits = DEFAULT_LIMITS
    ladder: Ladder = DEFAULT_LADDER
    deadline: float = JOB_DEADLINE
    keep: float = KEPT
    caching: Caching = DEFAULT_CACHING
    rules: Rules | None = None
    tls: Tls = DEFAULT_TLS
    sites: tuple[Override, ...] = ()
    controls: Controls = DEFAULT_CONTROLS
    evidence: bool = True
    opt_out: OptOut = NOBODY
    stop_file: str | None = None
    spool_group: str | None = None
    log_format: str = "text"
    log_addresses: bool = False
    defuse_formulas: bool = False
    flags: bool = True
    told: Told | None = field(default=None, eq=False, repr=False)

    @property
    def probing(self) -> dict[str, Any]:
        """What a Prober is told, as the arguments of its constructor."""
        return {name: getattr(self, name) for name in _PROBING}

    def named(self, setting: str) -> str:
        """How messages call a setting: by the place where it was told."""
        return Told({}).named(setting) if self.told is None else self.told.named(setting)


@frozen
class Value:
    """A value that is in force, and where it came from: `DEFAULT`, `COMMAND_LINE`, or a file."""

    value: Any
    origin: str = DEFAULT


@frozen
class Told:
    """What is in force: a `Value` for each setting by its name, one for all of "source" and one
    for all of "site".

    `file` is the configuration file as messages call it, None where there is none.
    """

    values: Mapping[str, Value]
    file: str | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def named(self, name: str) -> str:
        """How messages call a setting: `--port`, or `FILE: port`. What was told nowhere would
        have been in the file, if there is one."""
        value = self.values.get(name)
        option = "--source" if name == SOURCE else BY_NAME[name].option
        from_file = value is not None and value.origin not in (DEFAULT, COMMAND_LINE, _RFC)
        is_missing = value is None or value.origin == DEFAULT
        if self.file is not None and (from_file or is_missing):
            return f"{self.file}: {name}"
        return option or name


def read_config(
    *,
    spool: str | None = None,
    sources: Sequence[str] = (),
    helo: str | None = None,
    reverse_path: str | None = None,
    resolvers: Sequence[str] = (),
    port: str | int | None = None,
    allow_networks: Sequence[str] = (),
    spool_group: str | None = None,
    log_format: str | None = None,
    log_addresses: bool | None = None,
    file: str | os.PathLike[str] | None = None,
) -> Config:
    """Check the settings as the command line has them, and those of `file`, and make a Config.

    What the command line has wins, key by key; a list replaces the whole list. Raises ConfigError
    with what is wrong, with which setting, and what it was.
    """
    told = read_told(
        spool=spool,
        sources=sources,
        helo=helo,
        reverse_path=reverse_path,
        resolvers=resolvers,
        port=port,
        allow_networks=allow_networks,
        spool_group=spool_group,
        log_format=log_format,
        log_addresses=log_addresses,
        file=file,
    )
    if not told["spool"]:
        raise ConfigError(f"{told.named('spool')}: no directory is given")
    if told["spool_group"] is not None:
        read_group(told["spool_group"], told.named("spool_group"))
    return Config(
        spool=Path(told["spool"]),
        deadline=told["deadline"],
        keep=told["keep"],
        caching=Caching(**{key: told[f"cache.{key}"] for key in kinds_of("cache")}),
        spool_group=told["spool_group"],
        log_format=told["log_format"],
        log_addresses=told["log_addresses"],
        defuse_formulas=told["defuse_formulas"],
        flags=told["flags"],
        evidence=told["evidence"],
        stop_file=told["stop_file"],
        told=told,
        **probing_of(told),
    )


def read_told(
    *,
    file: str | os.PathLike[str] | None = None,
    sources: Sequence[str] = (),
    resolvers: Sequence[str] = (),
    port: str | int | None = None,
    allow_networks: Sequence[str] = (),
    log_addresses: bool | None = None,
    **texts: str | None,
) -> Told:
    """What is in force of these settings, whether it is enough for a daemon or not.

    The arguments are those of `read_config`. Raises ConfigError for what is wrong.
    """
    said: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    if resolvers:
        said["resolvers"] = _read_resolvers(resolvers)
    if port is not None:
        said["port"] = read_port(port)
    if allow_networks:
        said["allow_networks"] = _read_networks(allow_networks)
    if log_addresses is not None:
        said["log_addresses"] = log_addresses
    _check_texts(said)
    read = None if file is None else read_file(Path(file))
    values = {
        setting.name: Value(setting.default)
        for setting in SETTINGS
        if setting.table not in REPEATED
    }
    if read is not None:
        values |= {name: Value(value, read.title) for name, value in read.values.items()}
    values |= {name: Value(value, COMMAND_LINE) for name, value in said.items()}
    if values[_RFC].value:
        _apply_rfc(values)
    helo = values["helo"].value
    if sources:
        values[SOURCE] = Value(_read_sources(sources, helo), COMMAND_LINE)
    elif read is not None and read.sources is not None:
        values[SOURCE] = Value(_file_sources(read, helo), read.title)
    else:
        values[SOURCE] = Value(())
    if read is not None and read.sites is not None:
        values[SITE] = Value(read.sites, read.title)
    else:
        values[SITE] = Value(())
    return Told(values, None if read is None else read.title)


def _apply_rfc(values: dict[str, Value]) -> None:
    minimums = Timeouts.rfc()
    for each in fields(Timeouts):
        name = f"timeouts.{each.name}"
        minimum = getattr(minimums, each.name)
        if values[name].origin == DEFAULT and values[name].value != minimum:
            values[name] = Value(minimum, _RFC)


def probing_of(told: Told) -> dict[str, Any]:
    """What a Prober is told, as the arguments of its constructor. Raises ConfigError where
    something is missing, and for files of rules or authorities that cannot be read."""
    if not told[SOURCE]:
        raise ConfigError(
            f"{told.named(SOURCE)}: no source address is given; nothing is ever sent from an "
            "address that was not chosen"
        )
    if told["reverse_path"] is None:
        raise ConfigError(
            f"{told.named('reverse_path')}: none is given; set an address of yours that receives "
            "mail"
        )
    return {
        "sources": told[SOURCE],
        "reverse_path": told["reverse_path"],
        "resolvers": told["resolvers"] or tuple(system_resolvers()),
        "port": told["port"],
        "allow_networks": told["allow_networks"],
        "control": told["control"],
        "timeouts": _made(Timeouts, told, "timeouts"),
        "limits": _made(Limits, told, "limits"),
        "ladder": _made(Ladder, told, "retry"),
        "rules": read_rules(told),
        "tls": _read_tls(told),
        "sites": told[SITE],
        "controls": _made(Controls, told, "controls"),
        "opt_out": _read_opt_out(told),
    }


def _made(kind: Any, told: Told, table: str) -> Any:
    return kind(**{each.name: told[f"{table}.{each.name}"] for each in fields(kind)})


def read_rules(told: Told) -> Rules | None:
    """The operator's own rules before the package's; None where there are none of theirs."""
    path = told["rules"]
    if path is None:
        return None
    try:
        return rules_with(_read_text(path))
    except RuleError as error:
        raise ConfigError(f"{escaped(path)}: {error}") from None


def _read_text(path: str, most: int = MAX_DOCUMENT) -> str:
    data = read_bytes(Path(path), most)
    if len(data) > most:
        raise ConfigError(f"{escaped(path)}: it is longer than {most} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{escaped(path)}: it is not UTF-8") from None


def _read_opt_out(told: Told) -> OptOut:
    path = told["opt_out"]
    if path is None:
        return NOBODY
    try:
        return OptOut(entries_of(_read_text(path, MAX_OPT_OUT)))
    except ValueError as error:
        raise ConfigError(f"{escaped(path)}: {escaped(str(error))}") from None


def _read_tls(told: Told) -> Tls:
    path = told["tls.ca_file"]
    tls = Tls(TlsMode(told["tls.mode"]), path, told["tls.allow_old"])
    try:
        TlsClient(tls)
    except OSError as error:
        raise ConfigError(
            f"{escaped(path)}: it cannot be read: {error.strerror or error}"
        ) from None
    except ValueError as error:
        raise ConfigError(escaped(str(error))) from None
    return tls


# --- What the command line says ----------------------------------------------------------------


def _check_texts(said: Mapping[str, Any]) -> None:
    if "helo" in said:
        problem = helo_name_problem(said["helo"])
        if problem is not None:
            raise ConfigError(f"--helo {said['helo']!r}: {problem}")
    if "spool" in said:
        # An empty one is none.
        try:
            path_text(said["spool"] or ".")
        except ValueError as error:
            raise ConfigError(f"--spool {said['spool']!r}: {error}") from None
    if "reverse_path" in said:
        try:
            reverse_path_text(said["reverse_path"])
        except ValueError as error:
            raise ConfigError(f"--reverse-path {said['reverse_path']!r}: {error}") from None
    log_format = said.get("log_format")
    if log_format is not None and log_format not in LOG_FORMATS:
        raise ConfigError(f"--log-format {log_format!r}: it is not {' or '.join(LOG_FORMATS)}")


def _read_sources(texts: Sequence[str], helo: str | None) -> tuple[Source, ...]:
    made = []
    for text in texts:
        if helo is None and "=" not in text:
            raise ConfigError(
                f"--source {text!r}: it has no HELO name; write --source ADDRESS=NAME or "
                "--helo NAME with a name that resolves to this address"
            )
        try:
            made.append(Source.parse(text, helo))
        except ValueError as error:
            raise ConfigError(f"--{error}") from None
    return _distinct(made, "--source")


def _file_sources(read: ConfigFile, helo: str | None) -> tuple[Source, ...]:
    made = []
    for number, source in enumerate(read.sources or (), 1):
        name = source.helo or helo
        if name is None:
            raise ConfigError(
                f"{read.title}: {SOURCE}[{number}] ({source.address}): it has no HELO name; write "
                'helo = "NAME" with a name that resolves to this address'
            )
        made.append(Source(**{**asdict(source), "helo": name}))
    return _distinct(made, f"{read.title}: {SOURCE}")


def _distinct(sources: Sequence[Source], named: str) -> tuple[Source, ...]:
    for source in sources:
        if sum(source.address == other.address for other in sources) > 1:
            raise ConfigError(f"{named} {source.address}: it is named twice")
    return tuple(sources)


def _read_resolvers(resolvers: Sequence[str]) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(parse_resolver(text) for text in resolvers)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None


def read_port(port: str | int) -> int:
    """The exchangers' port."""
    try:
        number = int(port)
    except ValueError:
        raise ConfigError(f"--port {port!r}: it is not a number") from None
    if not 0 < number < 65536:
        raise ConfigError(f"--port {number}: it is not between 1 and 65535")
    return number


def _read_networks(networks: Sequence[str]) -> tuple[str, ...]:
    for network in networks:
        try:
            Networks([network])
        except ValueError as error:
            raise ConfigError(f"--allow-network {network!r}: {error}") from None
    return tuple(networks)


def read_group(group: str, named: str = "--spool-group") -> int:
    """The number of the spool group, a setting that messages call `named`."""
    try:
        return group_number(group)
    except KeyError:
        raise ConfigError(f"{named} {group!r}: there is no such group") from None


# --- What the machine says ---------------------------------------------------------------------


#: RFC 863; nothing is sent there.
_DISCARD_PORT = 9


def check_sources(sources: Sequence[Source], named: str = "--source") -> None:
    """Bind to each source once and close at once: the kernel knows which addresses are ours.

    Raises ConfigError naming the address that is not; `named` is what sources are called there.
    """
    for source in sources:
        family = socket.AF_INET if source.family == 4 else socket.AF_INET6
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if source.port:
                    # As its sessions do: those that have just ended do not hold it.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((source.address, source.port))
            if source.family == 4:
                # Linux binds to a broadcast address and then sends from another one; to connect
                # to it (which sends nothing) is what it does not allow.
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.connect((source.address, _DISCARD_PORT))
        except OSError as error:
            raise ConfigError(
                f"{named} {source.address}: this machine cannot send from it ({error.strerror}); "
                "give one of its own addresses"
            ) from None
