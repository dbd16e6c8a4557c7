"""mailprobe explain, reclassify and status --rules, over a daemon and without one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.daemon.asking import asked
from tests.daemon.running import answered, drop, town_of
from twisted_probe.cli import main
from twisted_probe.cli.explain import lines_of
from twisted_probe.daemon import service
from twisted_probe.daemon.lock import Lock
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.verdict.account import account_of
from twisted_probe.vocabulary.hearing import Basis
from twisted_probe.vocabulary.reply import Reply, Stage

LINES = ["ann@quick.example", "nobody@quick.example", "no address", "ann@vague.example"]
RULES = """
[[rule]]
name = "vague-house"
label = "no_such_mailbox"
codes = ["550"]
words = ["rejected"]
exchangers = ["vague.example"]
ground = "its operator has told us"
"""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SCAN", 0.02)
    monkeypatch.setattr(service, "IDLE", 0.02)


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "spool"
    monkeypatch.setenv("MAILPROBE_SPOOL", str(path))
    return path


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A file with rules of the operator's own."""
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "mailprobe.toml").write_text('rules = "rules.toml"\n')
    return str(tmp_path / "mailprobe.toml")


def houses() -> list[House]:
    return [
        House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann postmaster"))),
        House("mx.vague.example", "127.0.1.3", tempers.vague()),
    ]


async def test_a_daemon_is_asked_and_its_ledger_read_when_it_is_gone(
    spool: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    async with asked(town_of(*houses()), spool) as asker:
        drop(spool, "list.txt", LINES)
        await answered(spool, "list.txt")
        code, told, _ = await asker.within(said, "explain", "nobody@quick.example")
        assert code == 0
        assert "✘ undeliverable, no_such_mailbox" in told
        assert "C: RCPT TO:<nobody@quick.example>" in told
        assert "… 1 other recipient" in told
        assert "rule         no-such-mailbox" in told
        assert max(map(len, told.splitlines())) <= 80
        code, _, err = await asker.within(said, "explain", "dora@quick.example")
        assert (code, err) == (
            1,
            "mailprobe explain: dora@quick.example is in no job that the ledger knows\n",
        )
        code, hits, _ = await asker.within(said, "status", "--rules")
        assert code == 0
        assert "        1  no-such-mailbox  no_such_mailbox\n" in hits
        assert "class-permanent  unknown, vague" in hits
        _, as_json, _ = await asker.within(said, "status", "--rules", "--json")
        assert {"name": "positive", "hits": 1}.items() <= next(
            rule for rule in json.loads(as_json)["rules"] if rule["name"] == "positive"
        ).items()
        # To look disturbs nobody; to apply, nobody may be at work.
        code, out, _ = await asker.within(said, "reclassify", "--config", config)
        assert (code, out) == (
            0,
            "list.txt:4  ann@vague.example  rejects_everyone → ✘ no_such_mailbox  [vague-house]\n"
            "list.txt: 3 judged, 1 would change, 1 without evidence\n",
        )
        code, _, err = await asker.within(said, "reclassify", "--apply")
        assert code == 1
        assert "stop it to apply" in err
    assert said("explain", "nobody@quick.example")[:2] == (0, told)
    code, out, _ = said("explain", "list.txt:2", "--json")
    found = json.loads(out)
    assert (code, found["outcome"]["reason"], found["line"]) == (0, "no_such_mailbox", 2)
    for width in (40, 80, 120):
        lines = list(lines_of(found, width))
        assert max(map(len, lines)) <= width

    code, out, _ = said("reclassify", "list.txt", "--config", config, "--apply")
    assert (code, out.splitlines()[-1]) == (
        0,
        "list.txt: 3 judged, 1 changed, 1 without evidence; its results were written anew",
    )
    assert "ann@vague.example,undeliverable,no_such_mailbox" in (
        spool / "done" / "list.txt.results.csv"
    ).read_text().replace("ann@vague.example,4,", "")
    code, out, _ = said("explain", "ann@vague.example", "--config", config)
    assert "rule         vague-house" in out
    assert "then         class-permanent decided when it was asked" in out

    (spool / "done" / "list.txt").unlink()
    code, out, _ = said("reclassify", "--apply", "--json")
    change, job = map(json.loads, out.splitlines())
    assert (change["before"]["reason"], change["after"]["reason"]) == (
        "no_such_mailbox",
        "rejects_everyone",
    )
    assert job == {
        "job": "list.txt",
        "judged": 3,
        "without_evidence": 1,
        "changed": 1,
        "applied": True,
        "rewritten": False,
    }
    _, out, _ = said("reclassify", "--apply", "--config", config)
    assert "its file is not in done/ any more" in out
    code, _, err = said("reclassify", "other.txt")
    assert (code, err) == (1, "mailprobe reclassify: there is no job other.txt\n")
    # For a daemon that starts meanwhile, and says who has it.
    assert (spool / "state" / "lock").read_text() == f"{os.getpid()}\n"
    lock = Lock(str(spool / "state" / "lock"))
    try:
        code, _, err = said("reclassify", "--apply")
        assert code == 1
        assert "the spool is in use by another process" in err
    finally:
        lock.release()


def test_a_bare_reply(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--reply", "550 5.1.1 no such user"]) == 0
    out = capsys.readouterr().out
    assert "says         no_such_mailbox, explicit, about the recipient" in out
    assert "control      no answer yet that says anything" in out
    assert main(["explain", "--reply", "550-no\\n550 really", "--stage", "mail", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reply"], found["stage"]) == ("550 no really", "mail")
    doubted = "mta7.am0.yahoodns.net"
    assert main(["explain", "--reply", "250 ok", "--exchanger", doubted]) == 0
    assert "judged       ~ risky, unconfirmed" in capsys.readouterr().out


def test_a_bare_reply_by_own_rules(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "--reply", "550 Rejected", "--exchanger", "MX.vague.example"]
    assert main([*words, "--config", config]) == 0
    out = capsys.readouterr().out
    assert "rule         vague-house, by 'rejected'" in out
    assert "its operator has told us" in out


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["explain", "--reply", "nonsense"], 2, "--reply: it has to begin with its code"),
        (["explain", "ann@a.example"], 2, "MAILPROBE_SPOOL is not set"),
        (["reclassify"], 2, "MAILPROBE_SPOOL is not set"),
        (["explain", "--spool", "/nowhere", "ann@a.example"], 1, "unable to open database file"),
        (["reclassify", "--spool", "/nowhere"], 1, "unable to open database file"),
        (["reclassify", "--spool", "/nowhere", "--apply"], 1, "No such file"),
        (["explain", "--config", "/nowhere", "--reply", "550 x"], 2, "/nowhere"),
        (["reclassify", "--config", "/nowhere", "--spool", "x"], 2, "/nowhere"),
    ],
)
def test_what_is_wrong(
    words: list[str],
    code: int,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MAILPROBE_SPOOL", raising=False)
    assert main(words) == code
    assert complaint in capsys.readouterr().err


# --- How it looks -------------------------------------------------------------------------------


def answer_with(**changes: object) -> dict[str, object]:
    """An answer as the API gives it."""
    return {
        "address": "ann@a.example",
        "job": "list.txt",
        "line": 1,
        "other_jobs": [],
        "outcome": None,
        "attempts": [],
        **changes,
    }


def test_who_was_not_asked_yet() -> None:
    assert list(lines_of(answer_with(other_jobs=["old.txt", "older.txt"]))) == [
        "ann@a.example, line 1 of list.txt",
        "  also in      old.txt, older.txt; this is the newest",
        "  outcome      none yet: it was not asked",
    ]


def test_sessions_that_brought_nothing_and_lines_that_were_not_kept() -> None:
    session = {
        "exchanger": "mx.a.example",
        "exchanger_address": "192.0.2.1",
        "begun_at": "2027-01-15T08:00:00.000Z",
        "lines": ["S: 220 mx.a.example"],
        "left_out": 7,
    }
    outcome = {
        "verdict": "unknown",
        "reason": "timeout",
        "final": False,
        "text": "no reply in time",
        "source": None,
        "attempts": 3,
    }
    attempt = {"number": 1, "sessions": [session, session], "account": None}
    assert list(lines_of(answer_with(outcome=outcome, attempts=[attempt])))[1:] == [
        "  outcome      ? unknown, timeout, not final",
        "  text         no reply in time",
        "",
        "Attempt 1 of 3: 2027-01-15T08:00:00.000Z, mx.a.example [192.0.2.1]",
        "  S: 220 mx.a.example",
        "  … 7 lines were not kept",
        "",
        "The next session: 2027-01-15T08:00:00.000Z, mx.a.example [192.0.2.1]",
        "  S: 220 mx.a.example",
        "  … 7 lines were not kept",
        "",
        "  no reply in this attempt was about it",
        "",
        "No session since: the evidence is that of attempt 1, the last that had one",
    ]


def test_a_reply_that_is_not_believed() -> None:
    no = Reply(550, (b"5.1.1 User unknown",), stage=Stage.RCPT)
    basis = Basis(
        reply=no,
        recipient="ann@a.example",
        control=no,
        control_recipient="x7@a.example",
        witness="ben@a.example",
        witness_reply=no,
        held_back="the exchanger refused whom it had accepted",
    )
    attempt = {"number": 1, "sessions": [], "account": account_of(basis)}
    outcome = {"verdict": "unknown", "reason": "policy", "final": False, "text": ""}
    told = answer_with(outcome={**outcome, "source": None, "attempts": 1}, attempts=[attempt])
    lines = "\n".join(lines_of(told))
    for words in (
        "  rule         no-such-mailbox, by",
        "  control      550 5.1.1 User unknown (no_such_mailbox, to x7@a.example)",
        "  witness      550 5.1.1 User unknown (to ben@a.example)",
        "  held back    the exchanger refused whom it had accepted",
        "  judged       ? unknown, policy",
        "  to change it - another session, in which the exchanger is of one mind",
    ):
        assert words in lines
