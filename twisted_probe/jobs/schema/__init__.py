"""The versions of the ledger's tables, as numbered SQL files.

Knows how a database comes from any older version to the newest, and how each looks; not what the
tables mean.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib.resources import files

#: Versions beyond the newest that a later program may have reached; a number beyond them, or below
#: 0, was never written by any.
_TO_COME = 1000


class NewerSchema(Exception):
    """The database was written by a newer version of this program. Nothing was changed."""


class StrangeSchema(Exception):
    """The database is of no version, or not what its version has. Nothing was changed."""


class OlderSchema(Exception):
    """The database was written by an older version of this program, and nobody may change it."""


def steps() -> list[str]:
    """The SQL of each version, the first one first."""
    found = sorted(
        (entry for entry in files(__name__).iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    for number, entry in enumerate(found, 1):
        if not entry.name.startswith(f"{number:04d}_"):
            raise ValueError(f"{entry.name} is not number {number}")
    return [entry.read_text("utf-8") for entry in found]


def newest() -> int:
    """The version of a ledger that is up to date."""
    return len(steps())


def check(version: int) -> None:
    """Raises NewerSchema when a database of this version is beyond what we know, StrangeSchema when
    there is no such version."""
    known = newest()
    if not 0 <= version <= known + _TO_COME:
        raise StrangeSchema(f"its schema is called version {version}, which there is not")
    if version > known:
        raise NewerSchema(
            f"its schema is version {version}, this program knows versions up to {known}"
        )


def check_shape(database: sqlite3.Connection, version: int) -> None:
    """Raises StrangeSchema when `database` has other tables than a ledger of this version."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        _climb(model, 0, version)
        wanted = _shape(model)
    if _shape(database) != wanted:
        raise StrangeSchema(f"its tables are not those of version {version}, which it says it is")


def _shape(database: sqlite3.Connection) -> set[tuple[str, ...]]:
    """The tables and what belongs to them, as they were made, but for comments and spaces."""
    rows = database.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return {(*names, re.sub(r"--[^\n]*|\s+", "", sql)) for *names, sql in rows}


def check_current(version: int) -> None:
    """Raises NewerSchema or OlderSchema when a database of this version is not up to date."""
    check(version)
    known = newest()
    if version < known:
        raise OlderSchema(
            f"its schema is version {version}, this program knows version {known}; start the "
            "daemon on it once"
        )


def migrate(database: sqlite3.Connection) -> None:
    """Bring `database` to the newest version, each step whole or not at all."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    _climb(database, version, newest())


def _climb(database: sqlite3.Connection, version: int, target: int) -> None:
    known = steps()
    for number in range(version, target):
        try:
            database.executescript(
                f"BEGIN IMMEDIATE;\n{known[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;"
            )
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
