"""The configuration file: TOML on disk, held against the table of settings.

Knows how the file is read and where its tables belong; not what wins over it (`daemon.config`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from twisted_probe.daemon.settings import BY_NAME, SOURCE, TABLES, ConfigError, kinds_of
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.toml_text import (
    MAX_DOCUMENT,
    TomlProblem,
    parsed,
    read_table,
    wrong_value,
)

#: The settings that are paths: relative ones are looked for beside the file that names them.
_PATHS = ("spool", "rules")


@frozen
class FileSource:
    """One [[source]], as it stands in the file."""

    address: str
    helo: str | None = None
    port: int = 0


@frozen
class ConfigFile:
    """What a file says: values by the full name of their setting, and the sources, None where it
    names none. `title` is how messages call the file."""

    title: str
    values: dict[str, Any]
    sources: tuple[FileSource, ...] | None


def read_file(path: Path) -> ConfigFile:
    """Read a configuration file. Raises ConfigError naming file, place and what is expected."""
    title = escaped(str(path))
    data = read_bytes(path)
    try:
        document = parsed(data, title)
        plain = {key: value for key, value in document.items() if key not in (*TABLES, SOURCE)}
        values = read_table(plain, kinds_of(""), title, known=(*BY_NAME, *TABLES, SOURCE))
        for table in TABLES:
            values |= _read_table(document, table, title)
        sources = _read_sources(document, title)
    except TomlProblem as problem:
        raise ConfigError(str(problem)) from None
    for name in _PATHS:
        if name in values:
            values[name] = str(path.absolute().parent / values[name])
    return ConfigFile(title, values, sources)


def read_bytes(path: Path) -> bytes:
    """A small file. Raises ConfigError naming it."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise ConfigError(
            f"{escaped(str(path))}: it cannot be read: {error.strerror or error}"
        ) from None


def _read_table(document: dict[str, Any], table: str, title: str) -> dict[str, Any]:
    if table not in document:
        return {}
    found = document[table]
    if not isinstance(found, dict):
        raise wrong_value(title, table, found, f"[{table}] on a line of its own, its keys below")
    values = read_table(found, kinds_of(table), title, f"{table}.", BY_NAME)
    return {f"{table}.{key}": value for key, value in values.items()}


def _read_sources(document: dict[str, Any], title: str) -> tuple[FileSource, ...] | None:
    if SOURCE not in document:
        return None
    return tuple(_each_source(document[SOURCE], title))


def _each_source(found: object, title: str) -> Iterator[FileSource]:
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        expected = "[[source]] on a line of its own for each source, and its keys below"
        raise wrong_value(title, SOURCE, found, expected)
    for number, entry in enumerate(found, 1):
        values = read_table(entry, kinds_of(SOURCE), title, f"{SOURCE}[{number}].")
        if "address" not in values:
            raise TomlProblem(
                f'{title}: {SOURCE}[{number}]: it has no address; expected address = "ADDRESS", '
                "one of this machine's"
            )
        yield FileSource(**values)
