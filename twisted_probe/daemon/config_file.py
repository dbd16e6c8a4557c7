"""The configuration file: TOML on disk, held against the table of settings.

Knows how the file is read and where its tables belong; not what wins over it (`daemon.config`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from attrs import frozen

from twisted_probe.daemon.settings import (
    BY_NAME,
    REPEATED,
    SITE,
    SOURCE,
    TABLES,
    ConfigError,
    kinds_of,
)
from twisted_probe.routing.customs import Override
from twisted_probe.smtp.tls import TlsMode
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.toml_text import (
    MAX_DOCUMENT,
    Problems,
    TomlProblem,
    parsed,
    read_table,
    wrong_value,
)

#: The settings that are paths: relative ones are looked for beside the file that names them.
_PATHS = ("spool", "rules", "opt_out", "stop_file", "tls.ca_file")


@frozen
class FileSource:
    """One [[source]], as it stands in the file."""

    address: str
    helo: str | None = None
    port: int = 0
    weight: int = 1
    ceiling: int | None = None


@frozen
class ConfigFile:
    """What a file says: values by the full name of their setting, and the sources and sites,
    None where it names none. `title` is how messages call the file."""

    title: str
    values: dict[str, Any]
    sources: tuple[FileSource, ...] | None
    sites: tuple[Override, ...] | None


def read_file(path: Path) -> ConfigFile:
    """Read a configuration file. Raises ConfigError naming file, place and what is expected, a line
    for each thing that is wrong."""
    title = escaped(str(path))
    data = read_bytes(path)
    try:
        document = parsed(data, title)
        plain = {key: value for key, value in document.items() if key not in (*TABLES, *REPEATED)}
        values: dict[str, Any] = {}
        sources = sites = None
        problems = Problems()
        with problems.met():
            values = read_table(plain, kinds_of(""), title, known=(*BY_NAME, *TABLES, *REPEATED))
        for table in TABLES:
            with problems.met():
                values |= _read_table(document, table, title)
        with problems.met():
            sources = _read_sources(document, title)
        with problems.met():
            sites = _read_sites(document, title)
        problems.tell()
    except TomlProblem as problem:
        raise ConfigError(str(problem)) from None
    for name in _PATHS:
        if name in values:
            values[name] = str(path.absolute().parent / values[name])
    return ConfigFile(title, values, sources, sites)


def read_bytes(path: Path, most: int = MAX_DOCUMENT) -> bytes:
    """A small file; of one that is longer than `most`, a byte more. Raises ConfigError naming
    it."""
    try:
        # Whoever opens a named pipe else waits for somebody who writes.
        with open(path, "rb", opener=_open_at_once) as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{escaped(str(path))}: it is a pipe, and has to be a file")
            return file.read(most + 1)
    except OSError as error:
        raise ConfigError(
            f"{escaped(str(path))}: it cannot be read: {error.strerror or error}"
        ) from None


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _read_table(document: dict[str, Any], table: str, title: str) -> dict[str, Any]:
    if table not in document:
        return {}
    found = document[table]
    if not isinstance(found, dict):
        raise wrong_value(title, table, found, f"[{table}] on a line of its own, its keys below")
    values = read_table(found, kinds_of(table), title, f"{table}.", BY_NAME)
    return {f"{table}.{key}": value for key, value in values.items()}


def _read_sources(document: dict[str, Any], title: str) -> tuple[FileSource, ...] | None:
    found = _read_repeated(document, SOURCE, "address", "one of this machine's", title)
    return None if found is None else tuple(FileSource(**values) for values in found)


def _read_sites(document: dict[str, Any], title: str) -> tuple[Override, ...] | None:
    found = _read_repeated(document, SITE, "name", "of an exchanger or of many", title)
    if found is None:
        return None
    names = [values["name"] for values in found]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise TomlProblem(f"{title}: {SITE}[{number}] ({name}): it is named twice")
    for values in found:
        if "tls" in values:
            values["tls"] = TlsMode(values["tls"])
    return tuple(Override(**values) for values in found)


def _read_repeated(
    document: dict[str, Any], table: str, key: str, which: str, title: str
) -> list[dict[str, Any]] | None:
    """The values of each [[table]], all of which have the `key`; None where there is none."""
    if table not in document:
        return None
    found = document[table]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        expected = f"[[{table}]] on a line of its own for each {table}, and its keys below"
        raise wrong_value(title, table, found, expected)
    read = []
    problems = Problems()
    for number, entry in enumerate(found, 1):
        with problems.met():
            values = read_table(entry, kinds_of(table), title, f"{table}[{number}].")
            if key not in values:
                raise TomlProblem(
                    f"{title}: {table}[{number}]: it has no {key}; expected "
                    f'{key} = "{key.upper()}", {which}'
                )
            read.append(values)
    problems.tell()
    return read
