"""The last gate before the wire: how commands are spelt, and what is never sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.smtp import commands
from twisted_probe.smtp.commands import MAX_COMMAND, Command
from twisted_probe.smtp.errors import ForbiddenCommand, Misuse, UnsafeCommand
from twisted_probe.smtp.states import Verb
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.reply import Stage

ANN = parse_address("ann@example.net")
JOSE = parse_address("josé@example.net")


@pytest.mark.parametrize(
    ("command", "line", "verb", "stage"),
    [
        (commands.ehlo("p.example.org"), "EHLO p.example.org", Verb.EHLO, Stage.EHLO),
        (commands.helo("p.example.org"), "HELO p.example.org", Verb.HELO, Stage.EHLO),
        (commands.mail(ANN), "MAIL FROM:<ann@example.net>", Verb.MAIL, Stage.MAIL),
        (commands.mail(None), "MAIL FROM:<>", Verb.MAIL, Stage.MAIL),
        (commands.mail(None, smtputf8=True), "MAIL FROM:<> SMTPUTF8", Verb.MAIL, Stage.MAIL),
        (commands.rcpt(ANN), "RCPT TO:<ann@example.net>", Verb.RCPT, Stage.RCPT),
        (commands.rcpt(JOSE), "RCPT TO:<josé@example.net>", Verb.RCPT, Stage.RCPT),
        (commands.RSET, "RSET", Verb.RSET, Stage.OTHER),
        (commands.QUIT, "QUIT", Verb.QUIT, Stage.OTHER),
        (Command(b"NOOP"), "NOOP", Verb.NOOP, Stage.OTHER),
        (Command(b"HELP"), "HELP", Verb.OTHER, Stage.OTHER),
        (Command(b"rcpt to:<x@example.net>"), "rcpt to:<x@example.net>", Verb.RCPT, Stage.RCPT),
        (Command(b" MAIL FROM:<>"), " MAIL FROM:<>", Verb.MAIL, Stage.MAIL),
        (Command(b"(greeting)"), "(greeting)", Verb.OTHER, Stage.OTHER),
        (Command(b"OTHER"), "OTHER", Verb.OTHER, Stage.OTHER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_how_a_command_is_spelt(command: Command, line: str, verb: Verb, stage: Stage) -> None:
    assert command.line == line.encode()
    assert command.verb is verb
    assert command.stage is stage


def test_a_quoted_local_part_is_quoted_again() -> None:
    """Row 122."""
    recipient = parse_address(r'"a\"b c"@example.net')
    assert commands.rcpt(recipient).line == rb'RCPT TO:<"a\"b c"@example.net>'


@pytest.mark.parametrize("verb", [b"DATA", b"BDAT", b"VRFY"])
@pytest.mark.parametrize(
    "form", [b"%s", b"%s ", b" %s", b"%s ann", b"%s 5 LAST", b"%s:", b"  %s\xa0x"]
)
@pytest.mark.parametrize("case", [bytes.upper, bytes.lower, bytes.title, bytes.swapcase])
def test_what_is_never_sent(verb: bytes, form: bytes, case: object) -> None:
    """Rows 119 and 120."""
    line = form % verb
    assert callable(case)
    with pytest.raises(ForbiddenCommand):
        Command(case(line))


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"NOOP\r\nDATA", id="CRLF"),
        pytest.param(b"NOOP\nDATA", id="LF"),
        pytest.param(b"NOOP\rDATA", id="CR"),
        pytest.param(b"NOOP\r\n", id="CRLF at the end"),
        pytest.param(b"NOOP\n", id="LF at the end"),
        pytest.param(b"RCPT TO:<a\x00@example.net>", id="NUL"),
        pytest.param(b"DA\x00TA", id="NUL inside a verb"),
        pytest.param(b"NOOP\tx", id="tab"),
        pytest.param(b"\x1b[2J", id="escape"),
        pytest.param(b"NOOP \x7f", id="delete"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"   ", id="blanks"),
        pytest.param(b"NOOP " + b"x" * MAX_COMMAND, id="too long"),
    ],
)
def test_what_is_unsafe(line: bytes) -> None:
    """Row 121."""
    with pytest.raises(UnsafeCommand) as caught:
        Command(line)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_the_longest_command() -> None:
    assert Command(b"NOOP " + b"x" * (MAX_COMMAND - 5)).verb is Verb.NOOP


@given(st.binary(max_size=20) | st.sampled_from([b"DATA", b"bdat 1", b"vrfy x"]))
def test_whatever_passes_is_one_harmless_line(line: bytes) -> None:
    try:
        command = Command(line)
    except Misuse:
        return
    assert not any(octet < 0x20 or octet == 0x7F for octet in command.line)
    assert command.line.split()[0].upper() not in (b"DATA", b"BDAT", b"VRFY")


@pytest.mark.parametrize(("line", "kind"), [("NOOP", "str"), (None, "NoneType"), (5, "int")])
def test_a_line_that_is_not_bytes(line: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f'a command is bytes, such as b"NOOP", and not {kind}'):
        Command(line)
