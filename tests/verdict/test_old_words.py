"""The word lists of the old class live on as rules whose ground names it.

It looked for them in any reply but a 2xx; the rules look first for what says better what is
wrong.
"""

from __future__ import annotations

import pytest

from twisted_probe.verdict.classify import classify
from twisted_probe.verdict.rules import default_rules
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.reply import Reply, Stage

FROM_THE_OLD_CLASS = {rule.name: rule for rule in default_rules() if "old class" in rule.ground}


def found(line: str, stage: Stage = Stage.RCPT) -> Finding:
    return classify(stage, Reply(int(line[:3]), (line[4:].encode(),)))


def test_the_rules_say_where_they_come_from() -> None:
    assert {rule.label for rule in FROM_THE_OLD_CLASS.values()} == {
        Label.GREYLISTED,
        Label.BLOCKLISTED,
    }


@pytest.mark.parametrize("stage", [Stage.MAIL, Stage.RCPT])
@pytest.mark.parametrize(
    "line",
    [
        "450 greylist",
        "451 4.7.1 Greylisted",
        "450 too busy",
        "452 We are Too Busy now",
        "450 try later",
        "451 please try later",
        "450 try again in 300 seconds",
        "451 4.7.1 Please try again in a few minutes",
    ],
)
def test_greylisted(line: str, stage: Stage) -> None:
    finding = found(line, stage)
    assert finding.label is Label.GREYLISTED
    assert finding.rule in FROM_THE_OLD_CLASS


@pytest.mark.parametrize("stage", [Stage.GREETING, Stage.EHLO, Stage.MAIL, Stage.RCPT])
@pytest.mark.parametrize(
    "line",
    [
        "550 blacklist",
        "554 5.7.1 You are on our Blacklist",
        "421 blacklisted",
        "550 your IP is blocked",
        "450 IP address blocked",
        "554 blocked: bad IP",
    ],
)
def test_blacklisted(line: str, stage: Stage) -> None:
    finding = found(line, stage)
    assert finding.label is Label.BLOCKLISTED
    assert finding.rule in FROM_THE_OLD_CLASS


@pytest.mark.parametrize(
    "line",
    [
        "550 5.1.1 blacklist@example.net does not exist",
        "550 mailbox blacklist: does not exist",
        "550 IP blocked? no: the user does not exist",
        "550 message blocked",
        "550 shipping address blocked",  # the old class found an "ip" in it
    ],
)
def test_not_blacklisted(line: str) -> None:
    assert found(line).label is not Label.BLOCKLISTED


@pytest.mark.parametrize("line", ["250 greylist", "250 try again in 5 minutes", "250 blacklist ip"])
def test_a_yes_is_a_yes(line: str) -> None:
    assert found(line).label is Label.ACCEPTED


@pytest.mark.parametrize("line", ["450 too busy", "450 try again in 300 seconds"])
def test_before_mail_there_is_nobody_to_be_greylisted(line: str) -> None:
    """The old class called it greylisting at every step."""
    assert found(line, Stage.GREETING).label is Label.TEMPORARY


@pytest.mark.parametrize(
    ("line", "label"),
    [
        ("550 5.1.1 too busy: no such user", Label.NO_SUCH_MAILBOX),
        ("451 4.3.0 lookup failure, try later", Label.TEMPORARY),
        ("452 4.2.2 mailbox full, try again in an hour", Label.MAILBOX_FULL),
        ("450 too many connections, try again in 60 seconds", Label.RATE_LIMITED),
    ],
)
def test_what_says_more_comes_first(line: str, label: Label) -> None:
    assert found(line).label is label
