"""The transcript: what was said, line by line, and nothing where nobody wants it."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_probe.smtp import commands
from twisted_probe.smtp.errors import ProtocolViolation
from twisted_probe.smtp.limits import MAX_LINE
from twisted_probe.vocabulary.escaping import MAX_TEXT

from .wire import HELO, Wire, outcome_of, rcpt, ready


def test_a_dialogue() -> None:
    said: list[str] = []
    wire = ready("PIPELINING", transcript=said.append)
    outcome_of(wire.session.group([commands.mail(None), rcpt("ann")]))
    wire.server("250 2.1.0 Ok", "550-5.1.1 <ann@example.net>:", "550 5.1.1 User unknown")
    outcome_of(wire.session.quit())
    wire.server("221 2.0.0 Bye")
    assert said == [
        "S: 220 mx.example.net ESMTP",
        f"C: EHLO {HELO}",
        "S: 250-mx.example.net",
        "S: 250 PIPELINING",
        "C: MAIL FROM:<>",
        "C: RCPT TO:<ann@example.net>",
        "S: 250 2.1.0 Ok",
        "S: 550-5.1.1 <ann@example.net>:",
        "S: 550 5.1.1 User unknown",
        "C: QUIT",
        "S: 221 2.0.0 Bye",
    ]


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (b"220 \x1b[31mred\x1b[0m", "S: 220 \\x1b[31mred\\x1b[0m"),
        (b"220 a\rS: 250 forged", "S: 220 a\\x0dS: 250 forged"),
        (b"220 \xff\xe2\x80\xae", "S: 220 �\\u202e"),
        ("220 Grüß Gott".encode(), "S: 220 Grüß Gott"),
        (b"220 " + b"x" * MAX_TEXT, "S: 220 " + "x" * (MAX_TEXT - 5) + "…"),
    ],
    ids=["ANSI", "a bare CR", "bytes and bidi", "UTF-8", "a long one"],
)
def test_it_is_safe_to_print(line: bytes, written: str) -> None:
    said: list[str] = []
    Wire(transcript=said.append).server(line)
    assert said == [written]


@pytest.mark.parametrize("line", ["SSH-2.0-OpenSSH_9.2", "x" * (MAX_LINE + 1)])
def test_what_is_no_reply_is_written_down_too(line: str) -> None:
    said: list[str] = []
    wire = Wire(transcript=said.append)
    wire.server(line)
    assert isinstance(wire.greeted[0], ProtocolViolation)
    assert len(said) == 1
    assert said[0].startswith(f"S: {line[:10]}")


def test_a_transcript_that_fails_does_not_take_the_session_along(expect_errors: Any) -> None:
    expect_errors(1)
    tries: list[str] = []

    def fails(line: str) -> None:
        tries.append(line)
        raise OSError("no space left on device")

    wire = ready(transcript=fails)
    assert tries == ["S: 220 mx.example.net ESMTP"]
    assert not wire.is_cut
