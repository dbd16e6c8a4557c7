"""What outlives a session, in the ledger.

Knows the tables `known`, `learned`, `tempos`, `pressures`, `benches` and `landmarks`; not what is
made of them (`routing.memory`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from attrs import asdict, astuple

from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.sealing import sealed, unsealed
from twisted_probe.routing.memory import MAX_LANDMARKS, Benched, Known, Landmark, Learned, Pressure
from twisted_probe.routing.tempo import Tempo
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.reply import Reply, Stage

#: Seconds after which what was not used again is dropped: settled jobs are kept as long.
KEPT = 30 * 86400.0

_Value = TypeVar("_Value")


class Remembering:
    """The memory in `_database`. Every method has committed when it returns. What is damaged there
    is not known any more."""

    _database: sqlite3.Connection

    def recall(self, domain: str, source: str, control: str, now: float) -> Known:
        """What is known of a domain; where that is nothing, `control` is kept as its control."""
        with transaction(self._database) as database:
            known = self._known(domain, source)
            if known is None:
                known = Known(control)
                database.execute(
                    "INSERT OR REPLACE INTO known (domain, source, control, kept_at)"
                    " VALUES (?, ?, ?, ?)",
                    (domain, source, control, now),
                )
        return known

    def remember(self, domain: str, source: str, known: Known, now: float) -> None:
        """Keep it, joined with what was known."""
        with transaction(self._database) as database:
            before = self._known(domain, source)
            joined = known if before is None else before.joined(known)
            if joined != before:
                reply = None if joined.control_reply is None else _reply_text(joined.control_reply)
                database.execute(
                    "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(domain, source, joined.control, reply),
                        *(joined.control_at, joined.accepted_at, now),
                    ),
                )

    def learned(self, address: str) -> Learned | None:
        """What an exchanger has taught."""
        row = self._database.execute(
            "SELECT manner, at FROM learned WHERE address = ?", (address,)
        ).fetchone()
        manner = None if row is None else _read(row[0], lambda plain: Manner(**plain))
        return None if manner is None else Learned(manner, row[1])

    def learn(self, address: str, learned: Learned) -> None:
        """Keep what an exchanger has taught."""
        manner = sealed(asdict(learned.manner))
        with transaction(self._database) as database:
            database.execute(
                "INSERT OR REPLACE INTO learned VALUES (?, ?, ?)", (address, manner, learned.at)
            )

    def tempo(self, site: str) -> Tempo | None:
        """How fast a site was asked last."""
        row = self._database.execute("SELECT tempo FROM tempos WHERE site = ?", (site,)).fetchone()
        return None if row is None else _read(row[0], lambda plain: Tempo(**plain))

    def keep_tempo(self, site: str, tempo: Tempo) -> None:
        """Keep how fast a site was asked last."""
        with transaction(self._database) as database:
            database.execute(
                "INSERT OR REPLACE INTO tempos VALUES (?, ?, ?)",
                (site, sealed(asdict(tempo)), tempo.at),
            )

    def pressures(self, now: float) -> list[Pressure]:
        """What was borne that says something at `now`."""
        rows = self._database.execute("SELECT * FROM pressures WHERE until > ?", (now,))
        # A damaged one is none.
        return [Pressure(*row) for row in rows if all(isinstance(each, float) for each in row[2:])]

    def keep_pressures(self, pressures: Sequence[Pressure]) -> None:
        """Keep what sites and addresses have borne."""
        rows = [astuple(each) for each in pressures]
        with transaction(self._database) as database:
            database.executemany("INSERT OR REPLACE INTO pressures VALUES (?, ?, ?, ?, ?, ?)", rows)

    def landmarks(self) -> list[Landmark]:
        """Exchangers that answered lately, the latest first."""
        rows = self._database.execute(
            "SELECT site, exchanger, address, at FROM landmarks ORDER BY at DESC LIMIT ?",
            (MAX_LANDMARKS,),
        )
        found = []
        for site, name, address, at in rows.fetchall():
            with suppress(ValueError):  # a damaged one is none
                found.append(Landmark(site, Exchanger(name, address), at))
        return found

    def keep_landmark(self, landmark: Landmark) -> None:
        """Keep an exchanger that has answered."""
        site, exchanger = landmark.site, landmark.exchanger
        with transaction(self._database) as database:
            database.execute(
                "INSERT OR REPLACE INTO landmarks VALUES (?, ?, ?, ?)",
                (site, exchanger.name, exchanger.address, landmark.at),
            )
            database.execute(
                "DELETE FROM landmarks WHERE site NOT IN"
                " (SELECT site FROM landmarks ORDER BY at DESC LIMIT ?)",
                (MAX_LANDMARKS,),
            )

    def bench(self, benched: Benched) -> None:
        """Keep that a site has refused a source."""
        with transaction(self._database) as database:
            database.execute(
                "INSERT OR REPLACE INTO benches VALUES (?, ?, ?)",
                (benched.source, benched.site, benched.until),
            )

    def benches(self, now: float) -> list[Benched]:
        """All that last beyond `now`. What nobody needs any more is dropped."""
        with transaction(self._database) as database:
            database.execute("DELETE FROM benches WHERE until <= ?", (now,))
            database.execute("DELETE FROM known WHERE kept_at <= ?", (now - KEPT,))
            database.execute("DELETE FROM learned WHERE at <= ?", (now - KEPT,))
            database.execute("DELETE FROM tempos WHERE at <= ?", (now - KEPT,))
            database.execute("DELETE FROM pressures WHERE until <= ?", (now,))
            database.execute("DELETE FROM landmarks WHERE at <= ?", (now - KEPT,))
            rows = database.execute("SELECT source, site, until FROM benches").fetchall()
        return [Benched(*row) for row in rows]

    def _known(self, domain: str, source: str) -> Known | None:
        row = self._database.execute(
            "SELECT control, reply, control_at, accepted_at FROM known"
            " WHERE domain = ? AND source = ?",
            (domain, source),
        ).fetchone()
        if row is None:
            return None
        control, text, control_at, accepted_at = row
        if text is None:
            return Known(control, None, control_at, accepted_at)
        reply = _read(text, _reply)
        # A control whose answer is not known is asked once more, as the same one.
        return Known(control) if reply is None else Known(control, reply, control_at, accepted_at)


def _read(text: str, reading: Callable[[dict[str, Any]], _Value]) -> _Value | None:
    """What was kept as `text`; None where that is damaged."""
    try:
        return reading(unsealed(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _reply_text(reply: Reply) -> str:
    # Each byte of a stranger's words is one character.
    lines = [line.decode("latin-1") for line in reply.lines]
    return sealed({"reply": [reply.code, lines, reply.host, reply.stage.value]})


def _reply(plain: dict[str, Any]) -> Reply:
    code, lines, host, stage = plain["reply"]
    return Reply(code, [line.encode("latin-1") for line in lines], host, Stage(stage))
