"""The servers' words do tell of bad manners: what is asserted of the daemon could be seen."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from . import conduct, rude, topology
from .daemon import settled_logs
from .rude import LISTEN
from .street import Street

pytestmark = pytest.mark.interop

#: Seconds for one visit.
TIMEOUT = 20.0

SOURCE, NAME = next(iter(topology.SOURCES.items()))
EHLO, QUIT = f"EHLO {NAME}\r\n", "QUIT\r\n"
MAIL, RCPT = f"MAIL FROM:<{topology.REVERSE_PATH}>\r\n", "RCPT TO:<ann@open.example>\r\n"


def visit(street: Street, exchanger: str, *steps: str) -> dict[str, str]:
    """What the servers log of it."""
    earlier = {path: len(street.log(path)) for path in street.logs}
    process = street.run_in(
        [sys.executable, rude.__file__, SOURCE, topology.HOSTS[exchanger], *steps]
    )
    assert process.wait(TIMEOUT) == 0
    return settled_logs(street, earlier)


@pytest.mark.parametrize(
    ("exchanger", "steps", "words"),
    [
        ("plain.street.example", [LISTEN, EHLO, LISTEN], "lost connection after EHLO"),
        ("strict.street.example", [LISTEN, EHLO + MAIL, LISTEN, QUIT], "improper command pipelin"),
        ("deep.street.example", [EHLO, LISTEN], "PREGREET"),
        ("slow.street.example", [EHLO, *[LISTEN] * 3], "synchronization error"),
        ("exim.street.example", [LISTEN, EHLO + MAIL, LISTEN, QUIT], "synchronization error"),
        ("exim.street.example", [LISTEN, EHLO, LISTEN], "connection-lost"),
        (
            "exim.street.example",
            [LISTEN, EHLO, LISTEN, "VRFY ann\r\n", LISTEN, QUIT],
            "unqualified",
        ),
        ("exim.street.example", [LISTEN, EHLO, LISTEN, "DATA\r\n", LISTEN, QUIT], '"DATA"'),
        (topology.OPENSMTPD, [LISTEN, EHLO, LISTEN, MAIL + RCPT, LISTEN], "Pipelining not suppor"),
        (topology.OPENSMTPD, [LISTEN, EHLO, LISTEN], "reason="),
        (topology.SENDMAIL, [LISTEN, EHLO + MAIL, LISTEN, QUIT], "protocol error"),
        (topology.CHASQUID, [LISTEN, "WHAT\r\n" * 3, LISTEN], "breaking connection"),
    ],
)
def test_servers_complain(street: Street, exchanger: str, steps: Sequence[str], words: str) -> None:
    logs = visit(street, exchanger, *steps)
    assert any(words in line for line in conduct.complaints(logs)), logs


@pytest.mark.parametrize(
    ("exchanger", "command", "seen"),
    [
        ("plain.street.example", "VRFY ann", "vrfy"),
        ("plain.street.example", "DATA", "data"),
        ("plain.street.example", "BDAT 1 LAST\r\n1", "bdat"),
        ("exim.street.example", "VRFY ann@exim.example", "forbidden"),
        (topology.OPENSMTPD, "VRFY ann", "vrfy"),
        (topology.CHASQUID, "VRFY ann", "vrfy"),
        (topology.SENDMAIL, "VRFY ann", "vrfy"),
        (topology.SENDMAIL, "DATA", "data"),
    ],
)
def test_forbidden_commands_are_seen(
    street: Street, exchanger: str, command: str, seen: str
) -> None:
    logs = visit(street, exchanger, LISTEN, EHLO, LISTEN, f"{command}\r\n", LISTEN, QUIT)
    (session,) = conduct.sessions(logs)
    assert (session.exchanger, session.source) == (exchanger, SOURCE)
    assert conduct.FORBIDDEN & {*session.accepted, *session.refused} == {seen}


def test_sessions_at_once_are_counted(street: Street) -> None:
    earlier = {path: len(street.log(path)) for path in street.logs}
    address = topology.HOSTS["plain.street.example"]
    visits = [
        street.run_in([sys.executable, rude.__file__, SOURCE, address, LISTEN, EHLO, LISTEN, QUIT])
        for _ in range(3)
    ]
    assert [process.wait(TIMEOUT) for process in visits] == [0, 0, 0]
    sessions = conduct.sessions(settled_logs(street, earlier))
    assert len(sessions) == 3
    assert conduct.most_at_once(sessions) > 1
