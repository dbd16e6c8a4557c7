"""Postfix behind postgrey, asked by the daemon as an operator runs it: who is greylisted is
answered in the end, though the daemon is killed while they wait."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import pytest

from twisted_probe.jobs.ledger import Ledger

from . import topology
from .daemon import Daemon, Row, settled_logs
from .parts import postfix
from .street import Street

pytestmark = pytest.mark.interop

EXCHANGER = "grey.street.example"
(DOMAIN,) = (each for each in topology.POSTFIX_DOMAINS if each.name == "grey.example")

#: Seconds on the ladder: more than postgrey wants, and enough to kill a daemon and start another.
WAIT = postfix.GREY + 6
SETTINGS = f"[retry]\ngreylist = [{WAIT}]\n"
#: Seconds for the list to have been asked, and to be done.
TIMEOUT = 60.0

_RCPT = re.compile(
    r": reject: RCPT from \S+\[(?P<source>[0-9.]+)\](?::[0-9]+)?: (?P<code>[0-9]{3}) .*"
    r"from=<(?P<sender>.*?)> to=<(?P<recipient>.*?)> .*helo=<(?P<helo>.*?)>"
)


@dataclass(frozen=True)
class Asked:
    """A recipient that Postfix has refused, and who asked."""

    code: str
    recipient: str
    triplet: tuple[str, str, str]


@dataclass(frozen=True)
class Visit:
    """What came of the list, and what was seen on the way."""

    rows: Sequence[Row]
    asked: Sequence[Asked]
    due: Sequence[dict[str, float]]
    """When each recipient is due: before the kill, behind it, and with the next daemon up."""
    seconds: float
    """Between the first answers and the last."""


def due_in(daemon: Daemon) -> dict[str, float]:
    """Who waits, and until when."""
    with closing(Ledger(daemon.spool / "state" / "ledger.sqlite", read_only=True)) as ledger:
        return dict(
            ledger._database.execute(
                "SELECT local || '@' || domain, due FROM recipients WHERE due IS NOT NULL"
            ).fetchall()
        )


def all_wait(daemon: Daemon) -> bool:
    return len(due_in(daemon)) == len(DOMAIN.lines)


@pytest.fixture(scope="module")
def visit(street: Street, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """One list and two daemons, the first of which is killed when everybody has to come again."""
    directory = tmp_path_factory.mktemp("postgrey")
    earlier = {postfix.LOG: len(street.log(postfix.LOG))}
    first = Daemon(street, directory, settings=SETTINGS)
    with first:
        first.drop("list.txt", "".join(f"{line.text}\n" for line in DOMAIN.lines))
        first.wait_until(lambda: "works on" in first.log, TIMEOUT, "it did not start")
        first.wait_until(lambda: all_wait(first), TIMEOUT, "not all wait")
        began = time.monotonic()
        before = due_in(first)
        first.kill()
    assert first.exit_code == -SIGKILL
    assert list((first.spool / "done").iterdir()) == []
    behind = due_in(first)
    with Daemon(street, directory, settings=SETTINGS) as second:
        second.wait_until(lambda: "works on" in second.log, TIMEOUT, "it did not start")
        again = due_in(second)
        rows = second.results("list.txt", TIMEOUT)
        seconds = time.monotonic() - began
    words = settled_logs(street, earlier)[postfix.LOG]
    asked = [
        Asked(found["code"], found["recipient"], (found["source"], found["helo"], found["sender"]))
        for found in map(_RCPT.search, words.splitlines())
        if found is not None and f"/{EXCHANGER.partition('.')[0]}/" in found.string
    ]
    return Visit(rows, asked, [before, behind, again], seconds)


def test_they_end_as_what_they_are(visit: Visit) -> None:
    truth = {line.text: (line.verdict, line.reason) for line in DOMAIN.lines}
    found = {
        row["probe_address"]: (row["probe_verdict"], row["probe_reason"]) for row in visit.rows
    }
    assert found == truth
    assert set(found.values()) == {
        ("deliverable", "accepted"),
        ("undeliverable", "no_such_mailbox"),
    }
    assert {row["probe_final"] for row in visit.rows} == {"true"}


def test_the_control_was_greylisted_like_them_and_is_unknown(visit: Visit) -> None:
    accepted = [row for row in visit.rows if row["probe_reason"] == "accepted"]
    assert {row["probe_catch_all"] for row in accepted} == {"false"}
    listed = {line.text for line in DOMAIN.lines}
    (control,) = {each.recipient for each in visit.asked} - listed
    assert control.endswith("@grey.example")
    # Asked under the same name both times: greylisted, then refused.
    assert [each.code for each in visit.asked if each.recipient == control] == ["450", "550"]


def test_each_is_asked_twice_and_alike(visit: Visit) -> None:
    assert {row["probe_attempts"] for row in visit.rows} == {"2"}
    greylisted = [each.recipient for each in visit.asked if each.code == "450"]
    assert sorted(greylisted) == sorted(set(greylisted))
    ((source, helo, sender),) = {each.triplet for each in visit.asked}
    assert sender == topology.REVERSE_PATH
    assert topology.SOURCES[source] == helo
    assert {(row["probe_source"], row["probe_helo"]) for row in visit.rows} == {(source, helo)}


def test_the_wait_survives_the_kill(visit: Visit) -> None:
    before, behind, again = visit.due
    assert before == behind == again
    assert len(before) == len(DOMAIN.lines)
    assert visit.seconds >= WAIT - 1


# ---------------------------------------------------------------- a source that is unplumbed

#: Addresses that can be taken away, unlike those of 127.0.0.0/8; postgrey takes them for strangers.
LOOSE = {"10.9.8.7": "probe1.prober.example", "10.7.8.9": "probe2.prober.example"}
#: The first retry finds its address gone; the next comes from the other one, as a stranger.
STEPS = "[retry]\ngreylist = [4, 4, 4, 4]\ntemporary = [1, 1, 1, 1]\n"


def test_the_retries_of_a_source_that_is_unplumbed_move(street: Street, tmp_path: Path) -> None:
    for address in LOOSE:
        plumb(street, "add", address)
    earlier = {postfix.LOG: len(street.log(postfix.LOG))}
    with Daemon(street, tmp_path, LOOSE, STEPS) as daemon:
        daemon.drop("list.txt", "carl@grey.example\nnemo@grey.example\n")
        daemon.wait_until(lambda: "works on" in daemon.log, TIMEOUT, "it did not start")
        daemon.wait_until(lambda: len(due_in(daemon)) == 2, TIMEOUT, "not all wait")
        (first,) = sources(settled_logs(street, earlier)[postfix.LOG])
        plumb(street, "del", first)
        rows = daemon.results("list.txt", TIMEOUT)
    (other,) = LOOSE.keys() - {first}
    try:
        assert [row["probe_reason"] for row in rows] == ["accepted", "no_such_mailbox"]
        assert {(row["probe_source"], row["probe_helo"]) for row in rows} == {(other, LOOSE[other])}
        assert {row["probe_catch_all"] for row in rows} == {"false"}
        # Greylisted, not here any more, greylisted as another, accepted.
        assert {row["probe_attempts"] for row in rows} == {"3"}
        assert sources(settled_logs(street, earlier)[postfix.LOG]) == [first, other]
    finally:
        plumb(street, "del", other)


def plumb(street: Street, what: str, address: str) -> None:
    assert street.run_in(["ip", "address", what, f"{address}/32", "dev", "lo"]).wait(TIMEOUT) == 0


def sources(words: str) -> list[str]:
    """Who has come to the exchanger, the first one first."""
    found = re.findall(r"postfix/grey/smtpd\[[0-9]+\]: connect from \S+\[([0-9.]+)\]", words)
    return list(dict.fromkeys(found))
