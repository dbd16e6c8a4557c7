"""A reply's readings: class, enhanced status code, text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.vocabulary.escaping import MAX_TEXT, cut, decoded, escaped
from twisted_probe.vocabulary.reply import Reply, Stage


@pytest.mark.parametrize(
    ("code", "lines", "enhanced", "text"),
    [
        (550, [b"5.1.1 No such user"], "5.1.1", "No such user"),
        (250, [b"2.1.5 Ok"], "2.1.5", "Ok"),
        (250, [b"Ok"], None, "Ok"),
        # row 26: no text at all
        (250, [b""], None, ""),
        (250, [b"2.0.0"], "2.0.0", ""),
        # row 37: the classes disagree, so the enhanced code is text and no evidence
        (550, [b"2.1.5 Ok"], None, "2.1.5 Ok"),
        (450, [b"5.1.1 later"], None, "5.1.1 later"),
        # in each line of several, or in the last one only
        (550, [b"5.1.1 one", b"5.1.1 two"], "5.1.1", "one two"),
        (550, [b"callout failed", b"5.1.1 said so"], "5.1.1", "callout failed said so"),
        # numbers that only look like one
        (550, [b"5.1.1234 x"], None, "5.1.1234 x"),
        (550, [b"5.1 x"], None, "5.1 x"),
        (550, [b"5.1.1x"], None, "5.1.1x"),
        # rows 10, 11 and 38: nothing of it reaches a terminal or a log as it came
        (550, [b"\x1b[2Jgone\x00"], None, "\\x1b[2Jgone\\x00"),
        (550, ["é\u202e".encode()], None, "é\\u202e"),
        (550, [b"\xff\xfe"], None, "\ufffd\ufffd"),
    ],
)
def test_readings(code: int, lines: list[bytes], enhanced: str | None, text: str) -> None:
    reply = Reply(code, lines, host="192.0.2.25", stage=Stage.RCPT)
    assert (reply.enhanced, reply.text) == (enhanced, text)
    assert reply.code_class == code // 100
    assert reply.is_positive == (code == 250)


def test_it_prints_as_a_person_would_write_it() -> None:
    assert str(Reply(550, (b"5.1.1 No such user",))) == "550 5.1.1 No such user"
    assert str(Reply(250, (b"",))) == "250"


def test_text_is_cut() -> None:
    text = Reply(550, (b"x" * 2000, b"y" * 2000)).text
    assert len(text) == MAX_TEXT
    assert text.endswith("…")


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.integers(200, 599))
def test_any_bytes_are_safe_to_print(lines: list[bytes], code: int) -> None:
    text = str(Reply(code, tuple(lines)))
    # Blanks of other scripts are harmless, and all that is left of what does not print.
    assert all(character.isprintable() or character.isspace() for character in text)
    assert not set(text) & set("\r\n\x0b\x0c\x1b\x85\u2028\u2029\u202e")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("naïve", "naïve"),
        ("a\nb", "a\\x0ab"),
        ("\x9b31m", "\\x9b31m"),
        ("\u2028", "\\u2028"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_escaped(text: str, safe: str) -> None:
    assert escaped(text) == safe


def test_decoded_and_cut() -> None:
    assert decoded(b"caf\xc3\xa9") == "café"
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"
