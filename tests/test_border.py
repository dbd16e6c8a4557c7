"""The border where a stranger's bytes become text: escaped when they come in, and never again.

What becomes of them in files is in tests/jobs/test_jobs_results.py.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from twisted_probe.cli.check import _print
from twisted_probe.cli.forms import FORMS, JSON, REACHER
from twisted_probe.routing.prober import Prober
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.errors import UnsafeCommand
from twisted_probe.smtp.grammar import GrammarError, ReplyAssembler, ehlo_keywords
from twisted_probe.vocabulary.escaping import MAX_TEXT, decoded, escaped
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply
from twisted_probe.vocabulary.source import Source

#: ANSI escapes, a bidi override, a line separator, NUL, no UTF-8, C1, and a backslash of its own.
WILD = b"\x1b[2J\xe2\x80\xae\xe2\x80\xa8\x00\xff\xc2\x9b\\x1b"
TAME = r"\x1b[2J\u202e\u2028\x00" + "\ufffd" + r"\x9b\x1b"


def test_one_look_at_all_of_them() -> None:
    assert decoded(WILD) == TAME
    assert escaped(TAME) == TAME


@given(st.binary())
def test_what_is_escaped_stays_as_it_is(data: bytes) -> None:
    text = decoded(data)

    assert escaped(text) == text
    assert len(text) <= MAX_TEXT


def test_a_reply() -> None:
    assert Reply(550, [b"5.1.1 " + WILD, WILD]).text == f"{TAME} {TAME}"
    assert ehlo_keywords((b"mx", b"X " + WILD)) == {"X": TAME}


def test_what_is_no_reply() -> None:
    with pytest.raises(GrammarError) as caught:
        ReplyAssembler().line(WILD)

    assert str(caught.value) == f"not an SMTP reply: '{TAME}'"


def test_a_command_of_our_own_that_is_refused() -> None:
    with pytest.raises(UnsafeCommand) as caught:
        Command(WILD)

    assert str(caught.value).endswith(f" in '{TAME}'")


@pytest.mark.parametrize("form", FORMS)
async def test_an_address_that_is_none(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """It is typed by somebody, and printed on a terminal."""
    prober = Prober(
        Clock(), sources=[Source("192.0.2.1", "p.example.org")], reverse_path="p@example.org"
    )

    outcome = await prober.probe(WILD.decode("utf-8", "replace"))

    assert outcome.reason is Reason.INVALID_ADDRESS
    assert outcome.address == TAME
    assert outcome.text == r"'\x1b' at position 1: not allowed there"
    _print([outcome], form)
    printed = capsys.readouterr().out
    assert escaped(printed) == printed.replace("\n", r"\x0a")
    if form == JSON:
        assert json.loads(printed) == outcome.record()
    elif form == REACHER:
        assert json.loads(printed)["input"] == TAME
    else:
        assert f"\n{TAME}  ✘ undeliverable" in printed
        assert f"\n  {TAME}: '\\x1b' at position 1" in printed
