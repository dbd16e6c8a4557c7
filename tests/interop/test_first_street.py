"""The daemon as an operator runs it, from dropped list to results, against Postfix and nsd."""

from __future__ import annotations

import csv
import io
import re
import time
from dataclasses import dataclass
from signal import SIGTERM
from typing import Any

import pytest

from . import topology
from .daemon import STOP_TIMEOUT, Daemon, Row
from .street import Street

pytestmark = pytest.mark.interop

#: Seconds for both lists. A site hears of two new sessions a second at most.
LISTS_TIMEOUT = 120.0

#: Postfix answers the tenth refusal of a session, and all that follows, a second late.
MAX_REFUSALS = 9

LIST, TABLE = "first.txt", "second.csv"

#: What Postfix says of clients that misbehave, of a source it does not like, and of itself.
COMPLAINT = re.compile(
    r"improper command pipelining|non-SMTP command|too many errors|lost connection|timeout after"
    r"|reject: (?!RCPT)|cannot find your|warning:|error:|fatal:|panic:"
)


@dataclass(frozen=True)
class Session:
    """One session as Postfix counted it: how often it took each command, and how often not.

    `commands` is the sum of all.
    """

    name: str
    source: str
    accepted: dict[str, int]
    refused: dict[str, int]


@dataclass(frozen=True)
class Visit:
    """What one run of the daemon left behind."""

    rows: list[Row]
    table: list[Row]
    log: str
    seconds: float
    exit_code: int | None

    @property
    def sessions(self) -> list[Session]:
        """All sessions that ended, in the order of their ends."""
        return [_session(*found) for found in _DISCONNECT.findall(self.log)]


_CONNECT = re.compile(r"smtpd\[\d+\]: connect from (\S+)\[(\S+)\]$", re.MULTILINE)
_DISCONNECT = re.compile(r"smtpd\[\d+\]: disconnect from (\S+)\[(\S+)\] (.+)$", re.MULTILINE)


def _session(name: str, source: str, counts: str) -> Session:
    accepted, refused = {}, {}
    for count in counts.split():  # such as "mail=1 rcpt=3/12 quit=1": accepted/all
        command, _, figures = count.partition("=")
        good, _, total = figures.partition("/")
        accepted[command] = int(good)
        refused[command] = int(total or good) - int(good)
    return Session(name, source, accepted, refused)


@pytest.fixture(scope="module")
def visit(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """The daemon, started, given both lists, and stopped once both are answered."""
    earlier = len(street.postfix_log())
    with Daemon(street, tmp_path_factory.mktemp("visit")) as daemon:
        started = time.monotonic()
        daemon.drop(LIST, _list())
        daemon.drop(TABLE, _table())
        rows, table = (daemon.results(name, LISTS_TIMEOUT) for name in (LIST, TABLE))
        seconds = time.monotonic() - started
    log = _settled_log(street, earlier)
    return Visit(rows, table, log, seconds, daemon.exit_code)


def _list() -> str:
    lines = [line if isinstance(line, str) else line.text for line in topology.LIST]
    return "".join(f"{line}\n" for line in lines)


def _table() -> str:
    """As spreadsheets write it: CRLF, and quotes where they are needed."""
    with io.StringIO(newline="") as file:
        writer = csv.writer(file)
        writer.writerow(topology.COLUMNS)
        writer.writerows((*before, line.text, after) for before, line, after in topology.TABLE)
        return file.getvalue()


def _settled_log(street: Street, earlier: int) -> str:
    """Postfix's log of the run, once it has noticed the end of every session."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while True:
        log = street.postfix_log()[earlier:]
        if len(_CONNECT.findall(log)) == len(_DISCONNECT.findall(log)):
            return log
        assert time.monotonic() < deadline, log
        time.sleep(0.05)


def _said(row: Row) -> str:
    return f"{row['probe_verdict']}/{row['probe_reason']}"


# ---------------------------------------------------------------- results


def test_each_line_of_the_list_is_answered_in_order(visit: Visit) -> None:
    assert [f"{row['probe_line']} {_said(row)}" for row in visit.rows] == [
        f"{number} {line.verdict}/{line.reason}"
        for number, line in enumerate(topology.LIST, 1)
        if not isinstance(line, str)
    ]


def test_each_row_of_the_table_is_answered_and_keeps_its_cells(visit: Visit) -> None:
    assert tuple(visit.table[0])[: len(topology.COLUMNS)] == topology.COLUMNS
    found = [(*(row[name] for name in topology.COLUMNS), _said(row)) for row in visit.table]
    assert found == [
        (*before, line.text, after, f"{line.verdict}/{line.reason}")
        for before, line, after in topology.TABLE
    ]


def test_rows_repeat_the_reply(visit: Visit) -> None:
    replies = {
        recipient: (exchanger, *reply.split()[:2])
        for exchanger, said in topology.REPLIES.items()
        for recipient, reply in said.items()
        if not recipient.endswith("@implicit.example")  # whose exchanger has another name
    }
    found = [
        (row["address"], row["probe_exchanger"], row["probe_code"], row["probe_enhanced"])
        for row in visit.rows
        if row["address"] in replies
    ]
    assert found == [(address, *replies[address]) for address, *_ in found]
    assert len(found) >= 10


def test_rows_tell_the_way(visit: Visit) -> None:
    asked = [row for row in visit.rows if row["probe_stage"] == "rcpt"]
    assert len(asked) >= 30
    for row in asked:
        assert topology.SOURCES[row["probe_source"]] == row["probe_helo"]
        is_backup = row["probe_exchanger"] == topology.BACKUP
        host = topology.BACKUP if is_backup else topology.EXCHANGER
        assert row["probe_exchanger_address"] == topology.HOSTS[host]


def test_all_rows_are_final(visit: Visit) -> None:
    assert {row["probe_final"] for row in visit.rows + visit.table} == {"true"}


# ---------------------------------------------------------------- what Postfix saw


def test_sessions_come_from_the_chosen_sources_only_and_from_all(visit: Visit) -> None:
    assert {(source, name) for name, source in _CONNECT.findall(visit.log)} == set(
        topology.SOURCES.items()
    )


def test_sources_use_their_own_helo_names(visit: Visit) -> None:
    found = re.findall(r"RCPT from \S+\[(\S+)\]: .* helo=<(\S+)>$", visit.log, re.MULTILINE)
    assert set(found) == set(topology.SOURCES.items())


def test_no_message_is_ever_begun(visit: Visit) -> None:
    used = {command for session in visit.sessions for command in session.accepted}
    assert used <= {"ehlo", "helo", "starttls", "mail", "rcpt", "rset", "noop", "quit", "commands"}


def test_sessions_end_with_quit_and_stay_within_the_error_limit(visit: Visit) -> None:
    for session in visit.sessions:
        assert session.accepted.get("quit") == 1, session
        assert session.refused["commands"] <= MAX_REFUSALS, session


def test_postfix_has_nothing_to_complain_of(visit: Visit) -> None:
    assert [line for line in visit.log.splitlines() if COMPLAINT.search(line)] == []


# ---------------------------------------------------------------- the end


def test_the_daemon_ends_by_the_signal(visit: Visit) -> None:
    assert visit.exit_code == -SIGTERM


def test_figures(visit: Visit, capsys: pytest.CaptureFixture[Any]) -> None:
    lines, sessions = len(visit.rows) + len(visit.table), visit.sessions
    recipients = sum(
        session.accepted.get("rcpt", 0) + session.refused.get("rcpt", 0) for session in sessions
    )
    with capsys.disabled():
        print(
            f"\n{lines} lines in {visit.seconds:.1f} s,"
            f" {recipients} recipients in {len(sessions)} sessions"
        )
    assert lines >= 30
