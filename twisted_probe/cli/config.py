"""`mailprobe config`: whether a configuration is good, and what is in force.

Knows how settings are shown; what they are is in `daemon.settings`, and what wins in
`daemon.config`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

from twisted_probe.cli import EXIT_USAGE, settings_of
from twisted_probe.cli.cells import cells, padded, wrapped
from twisted_probe.daemon.checkup.line import Status
from twisted_probe.daemon.checkup.machine import writable_line
from twisted_probe.daemon.config import (
    DEFAULT,
    Config,
    ConfigError,
    Told,
    check_sources,
    read_config,
    read_told,
)
from twisted_probe.daemon.settings import REPEATED, SETTINGS, SITE, SOURCE
from twisted_probe.routing.customs import Override
from twisted_probe.routing.name_servers import resolver_text, system_resolvers
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.toml_text import written

EXIT_BAD = 1
#: The file is good, and this machine is not the one for it.
EXIT_NOT_HERE = 3

#: What is shown of a setting that nobody has set and that has no default.
NOT_SET = "-"
_HEAD = ("setting", "value", "from")
_GAP = "  "
#: Columns that a value has, however narrow the terminal.
_MIN_VALUE = 20


def config(arguments: argparse.Namespace) -> int:
    """Check or show; gives the exit code."""
    settings = {
        **settings_of(arguments),
        "spool": arguments.spool,
        "spool_group": arguments.spool_group,
        "log_format": arguments.log_format,
        "log_addresses": arguments.log_addresses,
    }
    if arguments.checked is None:
        return _show(settings, as_json=arguments.json)
    if arguments.config is not None or arguments.json:
        _complain("--check FILE names the file itself, and goes without --config and --json")
        return EXIT_USAGE
    return _check({**settings, "file": arguments.checked})


def _complain(words: str) -> None:
    for line in words.split("\n"):
        print(f"mailprobe config: {line}", file=sys.stderr)


def _check(settings: dict[str, Any]) -> int:
    try:
        read = read_config(**settings)
    except ConfigError as error:
        _complain(str(error))
        return EXIT_BAD
    troubles = list(_troubles_here(read))
    if not troubles:
        print(f"{settings['file']}: it is good, and a daemon would start with it here")
        return 0
    print(f"{settings['file']}: it is good; on this machine a daemon would not start with it")
    for trouble in troubles:
        _complain(f"on this machine: {trouble}")
    return EXIT_NOT_HERE


def _troubles_here(read: Config) -> Iterator[str]:
    """What this machine, and the user who asks, have against it."""
    for source in read.sources:
        try:
            check_sources([source], read.named(SOURCE))
        except ConfigError as error:
            yield str(error)
    line = writable_line(read.spool)
    if line.status is Status.BAD:
        yield f"{read.named('spool')} {escaped(str(read.spool))}: {line.found}; {line.advice}"


def _show(settings: dict[str, Any], *, as_json: bool) -> int:
    try:
        told = read_told(**settings)
    except ConfigError as error:
        _complain(str(error))
        return EXIT_BAD
    if as_json:
        found = {name: {"value": value, "from": origin} for name, value, origin in _found(told)}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print_table(told)
    try:
        read_config(**settings)
    except ConfigError as error:
        _complain(f"a daemon would refuse this: {error}")
        return EXIT_BAD
    return 0


def _found(told: Told) -> Iterator[tuple[str, Any, str]]:
    """Every setting by its name, its value as the file would have it, and where it came from."""
    shown = set()
    for setting in SETTINGS:
        if setting.table not in REPEATED:
            yield setting.name, _plain(told, setting.name), _origin(told, setting.name)
        elif setting.table not in shown:
            shown.add(setting.table)
            entries = [_ENTRIES[setting.table](entry) for entry in told[setting.table]]
            yield setting.table, entries, told.values[setting.table].origin


def _plain(told: Told, name: str) -> Any:
    value = told[name]
    if name == "resolvers":
        return [resolver_text(server) for server in value or system_resolvers()]
    return [_short(each) for each in value] if isinstance(value, tuple) else _short(value)


def _short(value: Any) -> Any:
    """Seconds are floats inside, and nobody writes 60.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_source(source: Source) -> dict[str, Any]:
    return {"address": source.address, "helo": source.helo, "port": source.port}


def _of_site(site: Override) -> dict[str, Any]:
    return {"name": site.name} | ({} if site.tls is None else {"tls": site.tls.value})


_ENTRIES: dict[str, Callable[[Any], dict[str, Any]]] = {SOURCE: _of_source, SITE: _of_site}


def _origin(told: Told, name: str) -> str:
    origin = told.values[name].origin
    if origin == DEFAULT and name == "resolvers":
        return f"{origin}: this machine's"
    return origin


def _short_origin(origin: str) -> str:
    return os.path.basename(origin).removeprefix(f"{DEFAULT}: ")


def _print_table(told: Told) -> None:
    """A line for each setting. On a terminal that is too narrow a file goes by its last name, and
    long values are broken at blanks."""
    rows = [_HEAD]
    for name, value, origin in _found(told):
        if name in REPEATED and value:
            # One is told from another by its address; a long line of them is not read by anybody.
            rows += [
                (f"{name}[{number}]", written(entry), origin)
                for number, entry in enumerate(value, 1)
            ]
        else:
            is_set = value is not None and (name not in REPEATED or value)
            rows.append((name, written(value), origin) if is_set else (name, NOT_SET, NOT_SET))
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if columns is not None and sum(widths) + 2 * len(_GAP) > columns:
        rows = [(name, value, _short_origin(origin)) for name, value, origin in rows]
        widths[2] = max(cells(origin) for _, _, origin in rows)
        widths[1] = max(_MIN_VALUE, columns - widths[0] - widths[2] - 2 * len(_GAP))
    for name, value, origin in rows:
        first, *rest = wrapped(value, widths[1]) if columns is not None else [value]
        line = (padded(name, widths[0]), padded(first, widths[1]), origin)
        print(_GAP.join(line).rstrip())
        for part in rest:
            print(" " * (widths[0] + len(_GAP)) + part)
