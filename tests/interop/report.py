"""The conduct report: what the long visit cost each server, as a page of the documentation.

Knows how figures become a table. Run as a program, as by `make conduct`, it makes the visit and
writes the page.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from . import conduct, packages, topology
from .conduct import Session
from .daemon import Row, Visit
from .long_visit import lines, long_visit
from .street import Street, unavailable
from .topology import TEMPERS

#: Where it is kept.
PAGE = Path(__file__).parents[2] / "docs" / "conduct.rst"

_PREFACE = """\
.. Written by "make conduct"; do not edit.

=======
Conduct
=======

What a list of {lines} addresses costs real exchangers, and what is found out. One daemon with the
limits that it ships with asks them from four sources, one of which stands on a block list and one
of which has no name; its waits between attempts are shortened to seconds. It takes {seconds:.0f} s.

The figures are read back from the servers' own logs, which every run of the interop tests holds
against the promises: no message is begun and nothing is verified (DATA, BDAT, VRFY and EXPN are
never said), nothing is said before the greeting, nothing is pipelined where that is not offered,
at most four sessions are open at once with an exchanger, or with two that are one site, at most
nine recipients are refused in a session, and no server complains of anything that could be helped.


What they are, and what is found out
====================================

*Right* are answers that are the truth, of as many as have their last word from this exchanger.

"""

_FIGURES = """

What it costs them
==================

*At once* are sessions, *refused* are commands refused in a session: most, and on average. *Seconds*
pass from the first attempt to the last answer, waits between attempts included.

"""

_COMPLAINTS = """

What they complain of
=====================

"""

_EXCEPTIONS = """

What is not the truth
=====================

"""

_WORDS = {
    "stress.street.example": "``stress=yes`` leaves one error to a session: the command behind\n"
    "  the first refusal, QUIT too, is answered 421 and logged as *too many errors*.",
    topology.OPENSMTPD: "Debian 12's OpenSMTPD offers STARTTLS, and fails in every handshake\n"
    "  (*SSL routines::EVP lib*). One is tried in seven days; all is asked in plaintext.",
    topology.CHASQUID: "the third refusal of a session is the last that chasquid bears (*too many\n"
    "  errors*). The first session shows it, later ones end before.",
}

_SOFTWARE = {
    "postfix": ("Postfix", tuple(topology.POSTFIX)),
    "exim4-daemon-light": ("Exim", tuple(topology.EXIM)),
    "opensmtpd": ("OpenSMTPD", (topology.OPENSMTPD,)),
    "chasquid": ("chasquid", (topology.CHASQUID,)),
    "sendmail-bin": ("sendmail", (topology.SENDMAIL,)),
}


def versions(root: Path) -> dict[str, str]:
    """The software of each exchanger, with its version."""
    return {
        host: f"{name} {packages.version(root, package)}"
        for package, (name, hosts) in _SOFTWARE.items()
        for host in hosts
    }


def page(visit: Visit, software: Mapping[str, str]) -> str:
    """The page, in reStructuredText."""
    sessions: dict[str, list[Session]] = defaultdict(list)
    for session in conduct.sessions(visit.logs):
        sessions[session.exchanger].append(session)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in visit.rows:
        rows[row["probe_exchanger"]].append(row)
    complaints = conduct.complaints(visit.logs)
    tempers = [(host, software[host], words, _right(rows[host])) for host, words in TEMPERS.items()]
    figures = [
        (host, *_figures(sessions[host], rows[host]), str(_about(host, complaints) or "none"))
        for host in TEMPERS
    ]
    return "".join(
        (
            _PREFACE.format(lines=len(visit.rows), seconds=visit.seconds),
            _table(("Exchanger", "Software", "Particular", "Right"), tempers),
            _FIGURES,
            _table(_HEADERS, figures),
            _COMPLAINTS,
            *(f"* {host}: {_WORDS[host]}\n" for host in TEMPERS if _about(host, complaints)),
            _EXCEPTIONS,
            *(
                f"* {address}: {verdict}/{reason}, {topology.WHY[address]}\n"
                for address, (verdict, reason) in topology.EXCEPTIONS.items()
            ),
        )
    )


_HEADERS = (
    *("Exchanger", "Sessions", "At once", "Transactions", "Recipients", "Refused", "Seconds"),
    "Complaints",
)


def _right(rows: Sequence[Row]) -> str:
    truth = {line.text: (line.verdict, line.reason) for line in lines()}
    right = [
        row
        for row in rows
        if (row["probe_verdict"], row["probe_reason"]) == truth[row["probe_address"]]
    ]
    return f"{len(right)} of {len(rows)}"


def _figures(sessions: Sequence[Session], rows: Sequence[Row]) -> tuple[str, ...]:
    said = [session.accepted + session.refused for session in sessions]
    refused = [session.refused.total() for session in sessions]
    return (
        str(len(sessions)),
        str(conduct.most_at_once(sessions)),
        str(sum(counts["mail"] for counts in said)),
        str(sum(counts["rcpt"] for counts in said)),
        f"{max(refused)}, {sum(refused) / len(refused):.1f}",
        f"{_seconds(rows):.1f}",
    )


def _seconds(rows: Sequence[Row]) -> float:
    if not rows:  # all have their last word from another exchanger
        return 0.0
    begun = min(_moment(row["probe_first_attempt_at"]) for row in rows)
    ended = max(_moment(row["probe_checked_at"]) for row in rows)
    return (ended - begun).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _about(host: str, complaints: Sequence[str]) -> int:
    """How many of the complaints are this host's."""
    marks = {
        topology.OPENSMTPD: " smtp disconnected ",
        topology.CHASQUID: "SMTP.Conn ",
    }
    mark = marks.get(host, f" postfix/{host.partition('.')[0]}/")
    return sum(mark in line for line in complaints)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A simple table."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headers, *rows)
    ]
    return "\n".join((rule, lines[0], rule, *lines[1:], rule, ""))


def main() -> None:
    """Make the visit, write the page."""
    if reason := unavailable():
        sys.exit(f"there is no street to be had: {reason}")
    with Street() as street, tempfile.TemporaryDirectory() as directory:
        visit = long_visit(street, Path(directory))
    PAGE.write_text(page(visit, versions(packages.root())), encoding="utf-8")


if __name__ == "__main__":
    main()
