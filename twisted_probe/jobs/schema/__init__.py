"""The versions of the ledger's tables, as numbered SQL files.

Knows how a database comes from any older version to the newest; not what the tables mean.
"""

from __future__ import annotations

import sqlite3
from importlib.resources import files


class NewerSchema(Exception):
    """The database was written by a newer version of this program. Nothing was changed."""


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
    """Raises NewerSchema when a database of this version is beyond what we know."""
    known = newest()
    if version > known:
        raise NewerSchema(
            f"its schema is version {version}, this program knows versions up to {known}"
        )


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
    known = steps()
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    for number in range(version, len(known)):
        try:
            database.executescript(
                f"BEGIN IMMEDIATE;\n{known[number]}\nPRAGMA user_version = {number + 1};\nCOMMIT;"
            )
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
