"""How often each rule has decided, over all restarts.

Knows the table `rule_hits`; not what a rule says, nor when outcomes are counted
(`routing.evidence`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from twisted_probe.jobs.database import transaction


class RuleHits:
    """The counters in `_database`."""

    _database: sqlite3.Connection

    def add_hits(self, hits: Sequence[tuple[str, int]]) -> None:
        """Add these, by the rules' names. They have been committed when it returns."""
        with transaction(self._database) as database:
            database.executemany(
                "INSERT INTO rule_hits VALUES (?, ?)"
                " ON CONFLICT (rule) DO UPDATE SET hits = hits + excluded.hits",
                hits,
            )

    def rule_hits(self) -> Counter[str]:
        """All of them."""
        return Counter(dict(self._database.execute("SELECT rule, hits FROM rule_hits")))
