"""One long list, one daemon, four sources: what it finds out, and what the servers say of it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from docutils.core import publish_doctree

from . import conduct, packages, report, topology
from .conduct import Session
from .daemon import Row, Visit
from .long_visit import lines, long_visit
from .parts import exim, postfix
from .street import Street

pytestmark = pytest.mark.interop

#: Sessions at once with one exchanger, as the daemon promises.
MAX_AT_ONCE = 4

#: Postfix answers the tenth refusal of a session, and all that follows, a second late.
MAX_REFUSALS = 9

MAX_EXCEPTIONS = 5

INEVITABLE = {
    # With stress=yes the command behind a refusal is answered 421, QUIT too.
    "too many errors after RCPT": "stress",
    # The first session shows that the third error is the last; no other goes so far.
    "too many errors, breaking connection": "127.0.1.",
    # No handshake with Debian 12's OpenSMTPD has ever come to an end.
    "io-error: error:0A080006:SSL routines::EVP lib": "smtp disconnected",
}
"""What servers complain of, and no client can help: the words, and what else the line says."""

STRESS = "stress.street.example"


@pytest.fixture(scope="module")
def visit(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """What came of the list."""
    return long_visit(street, tmp_path_factory.mktemp("visit"))


@pytest.fixture(scope="module")
def sessions(visit: Visit) -> list[Session]:
    """What the servers say of the daemon's sessions."""
    return conduct.sessions(visit.logs)


def said(row: Row) -> tuple[str, str]:
    return row["probe_verdict"], row["probe_reason"]


def of(visit: Visit, exchanger: str) -> list[Row]:
    return [row for row in visit.rows if row["probe_exchanger"] == exchanger]


# ---------------------------------------------------------------- results


def test_the_list_is_long() -> None:
    asked = [line.text for line in lines()]
    assert len(asked) == len(set(asked)) >= 150


def test_every_verdict_is_the_truth(visit: Visit) -> None:
    found = {row["probe_address"]: said(row) for row in visit.rows}
    truth = {line.text: (line.verdict, line.reason) for line in lines()}
    wrong = {
        address: f"{answer}, not {truth[address]}"
        for address, answer in found.items()
        if answer != topology.EXCEPTIONS.get(address, truth[address])
    }
    assert found.keys() == truth.keys()
    assert wrong == {}


def test_exceptions_are_few_and_none_is_falsely_dead() -> None:
    assert len(topology.EXCEPTIONS) <= MAX_EXCEPTIONS
    assert "undeliverable" not in {verdict for verdict, _ in topology.EXCEPTIONS.values()}


def test_all_rows_are_final(visit: Visit) -> None:
    assert {row["probe_final"] for row in visit.rows} == {"true"}


def test_the_greylisted_are_asked_again_from_the_same_source(visit: Visit) -> None:
    rows = of(visit, "grey.street.example")
    assert len(rows) == 5
    assert {row["probe_attempts"] for row in rows} == {"2"}
    # postgrey knows triplets: another source would have been greylisted once more.
    assert len({row["probe_source"] for row in rows}) == 1


def test_postscreen_lets_the_second_session_pass(visit: Visit) -> None:
    rows = of(visit, "deep.street.example")
    assert {(row["probe_attempts"], row["probe_code"]) for row in rows} == {
        ("2", "250"),
        ("2", "550"),
    }


REFUSED = {
    ("listed.street.example", topology.LISTED): "550 .* blocked using",  # to a recipient
    ("strict.street.example", topology.LISTED): "554 .* blocked using",  # in the greeting
    (topology.EXCHANGER, topology.NAMELESS): "450 .* cannot find your hostname",  # for now
}
"""Who refuses which source, and in what words."""

AS_WELL = ("implicit.example", topology.NAMELESS)
"""The same host by another name is another site, where that source may be next in turn."""


def refusals(visit: Visit) -> list[tuple[str, str, str]]:
    """Site, source and reply of each that the daemon tells of."""
    return re.findall(r": (\S+) has refused (\S+), [^:]*: (.*)", visit.words)


def test_sources_are_benched_where_they_are_refused(visit: Visit) -> None:
    benched = Counter((site, source) for site, source, _ in refusals(visit))
    assert max(benched.values()) == 1
    assert benched.keys() - {AS_WELL} == REFUSED.keys()
    for site, source, reply in refusals(visit):
        if (site, source) != AS_WELL:
            assert re.match(REFUSED[site, source], reply)


@pytest.mark.parametrize(("exchanger", "source"), REFUSED)
def test_a_refused_source_does_not_come_again(
    visit: Visit, sessions: list[Session], exchanger: str, source: str
) -> None:
    knocks = [each for each in sessions if (each.exchanger, each.source) == (exchanger, source)]
    names = {exchanger, AS_WELL[0]} if source == AS_WELL[1] else {exchanger}
    assert len(knocks) == sum(who == source and site in names for site, who, _ in refusals(visit))
    assert source not in {row["probe_source"] for row in of(visit, exchanger)}


@pytest.mark.parametrize(
    "domains", [topology.LISTING_DOMAINS, topology.STRICT_DOMAINS, topology.NAMING_DOMAINS]
)
def test_addresses_go_to_another_source(visit: Visit, domains: Sequence[topology.Domain]) -> None:
    asked = [line.text for line in lines(domains)]
    rows = [row for row in visit.rows if row["probe_address"] in asked]
    assert {row["probe_exchanger"] for row in rows} == {domains[0].exchanger}
    assert {row["probe_stage"] for row in rows} == {"rcpt"}
    assert "2" in {row["probe_attempts"] for row in rows}


def test_what_is_said_of_our_reverse_path_is_said_of_no_mailbox(visit: Visit) -> None:
    texts = {row["probe_address"]: row["probe_text"] for row in visit.rows}
    # Words that are as good as any about a recipient: that these were not taken for it, the
    # verdicts say.
    assert "550 5.1.1" in texts["ann@forgingexim.example"]
    assert "unknown user" in texts["ann@forging.example"]
    assert "Domain not found" in texts["ann@homeless.example"]
    for address in ("ann@forgingexim.example", "ann@forging.example"):
        assert f"<{topology.FORGED}>" in texts[address]


def test_the_daemon_logs_no_trouble_of_its_own(visit: Visit) -> None:
    assert not re.search(r" (?:error|critical) |Traceback|Unhandled", visit.words)


# ---------------------------------------------------------------- what the servers saw


def test_every_exchanger_that_answers_was_visited(sessions: list[Session]) -> None:
    assert {session.exchanger for session in sessions} == topology.TEMPERS.keys()


def test_sessions_come_from_the_chosen_sources_only_and_from_all(sessions: list[Session]) -> None:
    assert {session.source for session in sessions} == topology.ALL_SOURCES.keys()


def test_sources_use_their_own_helo_names(visit: Visit) -> None:
    found = re.findall(
        r"RCPT from \S+\[(127\.0\.1\.\d+)\](?::\d+)?: .* helo=<(\S+)>$",
        visit.logs[postfix.LOG],
        re.MULTILINE,
    )
    assert set(found) == set(topology.ALL_SOURCES.items())


def test_no_message_is_begun_and_nothing_is_verified(sessions: list[Session]) -> None:
    said = {command for session in sessions for command in session.accepted + session.refused}
    assert said <= {"ehlo", "helo", "starttls", "mail", "rcpt", "rset", "quit", "connect"}
    assert not said & conduct.FORBIDDEN


def test_never_more_sessions_at_once_than_the_budget(sessions: list[Session]) -> None:
    by_exchanger = defaultdict(list)
    for session in sessions:
        by_exchanger[session.exchanger].append(session)
    most = {host: conduct.most_at_once(each) for host, each in by_exchanger.items()}
    assert max(most.values()) <= MAX_AT_ONCE, most
    # The slow one has more domains than that, so the budget was needed.
    assert most["slow.street.example"] == MAX_AT_ONCE


def test_two_exchangers_of_one_site_have_one_budget(sessions: list[Session]) -> None:
    twins = [session for session in sessions if session.exchanger in topology.TWINS]
    assert {session.exchanger for session in twins} == set(topology.TWINS)
    # They log to one file, so what is open together can be told.
    assert conduct.most_at_once(twins) == MAX_AT_ONCE


def test_sessions_end_politely_and_before_servers_punish(sessions: list[Session]) -> None:
    for session in sessions:
        assert session.refused.total() <= MAX_REFUSALS, session
    begun = [session for session in sessions if session.has_begun]
    unfinished = Counter(each.exchanger for each in begun if each.accepted["quit"] != 1)
    stress = [each for each in sessions if each.exchanger == STRESS]
    # No more of each than it takes to find out, but where nothing helps.
    assert unfinished.pop(STRESS) == sum(each.refused["rcpt"] for each in stress)
    assert unfinished.pop(topology.OPENSMTPD) == 1
    assert unfinished.pop(topology.CHASQUID, 0) <= 1
    assert not unfinished


def test_servers_complain_of_nothing_that_could_be_helped(
    visit: Visit, sessions: list[Session]
) -> None:
    complaints = Counter[str]()
    for line in conduct.complaints(visit.logs):
        reasons = [words for words, also in INEVITABLE.items() if words in line and also in line]
        assert reasons, line
        complaints.update(reasons)
    refused = sum(each.refused["rcpt"] for each in sessions if each.exchanger == STRESS)
    assert complaints["too many errors after RCPT"] == refused
    assert complaints["too many errors, breaking connection"] <= 1
    assert complaints["io-error: error:0A080006:SSL routines::EVP lib"] == 1


@pytest.mark.parametrize(
    ("exchanger", "words"),
    [
        ("rate.street.example", "Connection rate limit exceeded"),
        ("crowd.street.example", "Recipient address rate limit exceeded"),
    ],
)
def test_those_that_count_are_asked_again_later(visit: Visit, exchanger: str, words: str) -> None:
    assert words in visit.logs[postfix.LOG]
    assert max(row["probe_attempts"] for row in of(visit, exchanger)) > "1"


def test_exim_saw_what_it_was_made_for(visit: Visit) -> None:
    assert "too many recipients: excess temporarily rejected" in visit.logs[exim.LOG]
    assert "Could not complete recipient verify callout" in visit.logs[exim.LOG]
    assert "refused: too many connections" in visit.logs[exim.SINGLE_LOG]


def test_the_report_has_them_all(visit: Visit, street: Street) -> None:
    page = report.page(visit, report.versions(packages.root()))
    publish_doctree(page, settings_overrides={"halt_level": 2, "report_level": 2})
    for text in page, report.PAGE.read_text("utf-8"):
        assert (
            re.findall(r"^(\S+\.street\.example) ", text, re.MULTILINE) == [*topology.TEMPERS] * 2
        )
    told = re.findall(r"^\S+\.street\.example +\d.* (none|\d+)$", page, re.MULTILINE)
    assert len(told) == len(topology.TEMPERS)
    assert sum(int(each) for each in told if each != "none") == len(conduct.complaints(visit.logs))


def test_figures(visit: Visit, sessions: list[Session], capsys: pytest.CaptureFixture[str]) -> None:
    recipients = sum((each.accepted + each.refused)["rcpt"] for each in sessions)
    with capsys.disabled():
        print(
            f"\n{len(visit.rows)} lines in {visit.seconds:.1f} s,"
            f" {recipients} recipients in {len(sessions)} sessions"
        )
    assert recipients >= len(visit.rows) - len(topology.ODD_DOMAINS)
