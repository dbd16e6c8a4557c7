"""STARTTLS with real servers: each certificate in each mode, three TLS libraries and one that
never brings a handshake to its end; SMTPUTF8 where it is offered and where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import conduct, topology
from .daemon import Job, Row, Visit, visit
from .parts import opensmtpd, postfix
from .street import Street

pytestmark = pytest.mark.interop

#: Seconds for one list.
TIMEOUT = 60.0

_PLAIN = ("plain.example", "ascii.example", "sendmail.example")
DOMAINS = {
    each.name: each
    for each in topology.STREET
    if each.name in (*_PLAIN, "boxes.example", "open.example", "chasquid.example", "exim.example")
    or each.name.removesuffix(".example") in ("good", "wrong", "expired", "selfsigned", "tlsonly")
}

#: Nobody is asked twice: the first answer is what is looked at.
SETTINGS = """
[tls]
mode = "{mode}"
{more}
[retry]
greylist = []
temporary = []
"""
TRUST = 'ca_file = "authority.pem"'

OVERRIDES = """
[[site]]
name = ".street.example"
tls = "opportunistic"
[[site]]
name = "wrong.street.example"
tls = "required"
[[site]]
name = "good.street.example"
tls = "never"
"""

POLICY = "unknown", "policy"
TLS_FAILED = "unknown", "tls_failed"

NO_TLS = "", "", ""


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for each daemon."""
    return (tmp_path_factory.mktemp("visit") for _ in iter(int, 1))


def ask(street: Street, directory: Path, mode: str, more: str = TRUST, after: str = "") -> Visit:
    lines = [line for domain in DOMAINS.values() for line in domain.lines]
    settings = SETTINGS.format(mode=mode, more=more) + after
    return visit(street, directory, [[Job(lines)]], TIMEOUT, settings=settings)


@pytest.fixture(scope="module")
def never(street: Street, directories: Iterator[Path]) -> Visit:
    return ask(street, next(directories), "never")


@pytest.fixture(scope="module")
def opportunistic(street: Street, directories: Iterator[Path]) -> Visit:
    return ask(street, next(directories), "opportunistic")


@pytest.fixture(scope="module")
def required(street: Street, directories: Iterator[Path]) -> Visit:
    return ask(street, next(directories), "required")


@pytest.fixture(scope="module")
def overridden(street: Street, directories: Iterator[Path]) -> Visit:
    return ask(street, next(directories), "required", after=OVERRIDES)


def said(row: Row) -> tuple[str, str]:
    return row["probe_verdict"], row["probe_reason"]


def tls(row: Row) -> tuple[str, str, str]:
    return row["probe_tls_version"], row["probe_tls_verified"], row["probe_tls_problem"]


def exchanger_of(row: Row) -> str:
    domain = row["probe_address"].rpartition("@")[2]
    return next(iter(topology.MX[domain]))


def truth(row: Row) -> tuple[str, str]:
    domain = DOMAINS[row["probe_address"].rpartition("@")[2]]
    return next(
        (line.verdict, line.reason) for line in domain.lines if line.text == row["probe_address"]
    )


def found(exchanger: str) -> tuple[str, str, str]:
    """The report of a handshake that came to its end."""
    problem = topology.TLS[exchanger]
    return "TLSv1.3", "true" if problem is None else "false", problem or ""


# ---------------------------------------------------------------- the modes


def test_never(never: Visit) -> None:
    for row in never.rows:
        is_unwanted = exchanger_of(row) == "tlsonly.street.example"
        assert said(row) == (POLICY if is_unwanted else truth(row)), row
        assert tls(row) == NO_TLS
    assert not any(session.accepted["starttls"] for session in conduct.sessions(never.logs))


def test_opportunistic_judges_nobody_by_it(opportunistic: Visit) -> None:
    assert [said(row) for row in opportunistic.rows] == [truth(row) for row in opportunistic.rows]


def test_opportunistic_tells_what_was_found(opportunistic: Visit) -> None:
    rows = [row for row in opportunistic.rows if exchanger_of(row) in topology.TLS]
    assert [tls(row) for row in rows] == [found(exchanger_of(row)) for row in rows]
    assert all(row["probe_tls_cipher"] for row in rows)
    assert {exchanger_of(row) for row in rows} == topology.TLS.keys()


def test_opportunistic_tells_nothing_where_nothing_is_offered(opportunistic: Visit) -> None:
    rows = [row for row in opportunistic.rows if row["probe_address"].endswith(_PLAIN)]
    assert len(rows) >= 10
    assert {tls(row) for row in rows} == {NO_TLS}


def test_required_asks_only_where_the_certificate_verifies(required: Visit) -> None:
    for row in required.rows:
        is_good = topology.TLS.get(exchanger_of(row), "not offered") is None
        assert said(row) == (truth(row) if is_good else TLS_FAILED), row
        if exchanger_of(row) in topology.TLS:
            assert tls(row) == found(exchanger_of(row)), row


def test_required_says_why_nobody_was_asked(required: Visit) -> None:
    words = {exchanger_of(row): row["probe_text"] for row in required.rows}
    for exchanger, problem in topology.TLS.items():
        if problem is not None:
            assert words[exchanger].endswith(f"TLS is required, and {problem}")
    assert words["plain.street.example"].endswith("the exchanger offers no STARTTLS")
    assert words[topology.OPENSMTPD].endswith("the handshake failed: tlsv1 alert internal error")


def test_required_speaks_of_nobody_in_plaintext(required: Visit) -> None:
    for session in conduct.sessions(required.logs):
        if not session.accepted["starttls"]:
            assert not session.accepted["mail"] + session.refused["mail"], session


def test_the_longest_name_of_a_site_wins(overridden: Visit) -> None:
    for row in overridden.rows:
        exchanger = exchanger_of(row)
        is_wrong = exchanger == "wrong.street.example"
        assert said(row) == (TLS_FAILED if is_wrong else truth(row)), row
        if exchanger == "good.street.example":
            assert tls(row) == NO_TLS
        elif exchanger in topology.TLS and not is_wrong:
            assert tls(row) == found(exchanger)


def test_an_authority_that_nobody_told_of(street: Street, directories: Iterator[Path]) -> None:
    rows = ask(street, next(directories), "opportunistic", more="").rows
    good = [row for row in rows if topology.TLS.get(exchanger_of(row), "") is None]
    assert {said(row) == truth(row) for row in good} == {True}
    assert {tls(row) for row in good} == {("TLSv1.3", "false", "its authority is unknown")}


# ---------------------------------------------------------------- what the servers saw


def test_opensmtpd_is_asked_once_more_in_plaintext(opportunistic: Visit) -> None:
    rows = [row for row in opportunistic.rows if exchanger_of(row) == topology.OPENSMTPD]
    assert len(rows) == 6
    assert {row["probe_attempts"] for row in rows} == {"1"}
    problem = "the handshake failed: tlsv1 alert internal error"
    assert {tls(row) for row in rows} == {("", "false", problem)}
    first, second = (
        session
        for session in conduct.sessions(opportunistic.logs)
        if session.exchanger == topology.OPENSMTPD
    )
    assert (first.accepted["starttls"], first.accepted["mail"]) == (1, 0)
    assert (second.accepted["starttls"], second.accepted["quit"]) == (0, 1)
    assert "Pipelining not supported" not in opportunistic.logs[opensmtpd.LOG]


def test_sessions_say_who_they_are_again_and_end_with_quit(opportunistic: Visit) -> None:
    encrypted = [
        session
        for session in conduct.sessions(opportunistic.logs)
        if session.accepted["starttls"] and session.exchanger != topology.OPENSMTPD
    ]
    assert {session.exchanger for session in encrypted} == topology.TLS.keys()
    for session in encrypted:
        assert session.accepted["ehlo"] == 2, session
        # chasquid hangs up after the third error.
        assert session.accepted["quit"] == 1 or session.exchanger == topology.CHASQUID, session


def test_nobody_is_left_waiting_for_the_end(opportunistic: Visit) -> None:
    lost = [
        line
        for line in conduct.complaints(opportunistic.logs)
        if "postfix/" in line or "exim" in line
    ]
    assert lost == []
    assert "TLS connection established" in opportunistic.logs[postfix.LOG]


# ---------------------------------------------------------------- SMTPUTF8


def test_smtputf8_where_it_is_offered_and_only_there(opportunistic: Visit) -> None:
    rows = {row["probe_address"]: (said(row), row["probe_code"]) for row in opportunistic.rows}
    assert rows["δοκιμή@plain.example"] == (topology.OK, "250")
    assert rows["jürg@boxes.example"] == (topology.OK, "250")  # offered once more under TLS
    assert rows["jürg@ascii.example"] == (topology.ASCII_ONLY, "")
    assert rows["ann@ascii.example"] == (topology.OK, "250")
