"""What a fuzzer's bytes must never do to the grammar of replies.

Knows RFC 5321 section 4.2.1 a second time, written differently; not how the bytes were made.
"""

from __future__ import annotations

from twisted_probe.smtp.grammar import GrammarError, ReplyAssembler, ehlo_keywords
from twisted_probe.smtp.limits import KEPT_LINE, MAX_REPLY, MAX_REPLY_LINES
from twisted_probe.vocabulary.escaping import escaped


def check_grammar(data: bytes) -> None:
    """Read `data` as lines. AssertionError where a reply comes out that the lines do not say;
    any other exception is a fault as well."""
    assembler = ReplyAssembler()
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        lines.append(line)
        complete, trouble = _taken(assembler, line)
        if trouble is not None:
            assert escaped(str(trouble)) == str(trouble), trouble
            return
        assert assembler.is_between_replies is (complete is not None)
        if complete is not None:
            _check_reply(lines, *complete)
            lines = []


_Complete = tuple[int, tuple[bytes, ...]]


def _taken(assembler: ReplyAssembler, line: bytes) -> tuple[_Complete | None, GrammarError | None]:
    try:
        return assembler.line(line), None
    except GrammarError as error:
        return None, error


def _check_reply(lines: list[bytes], code: int, texts: tuple[bytes, ...]) -> None:
    digits = b"%d" % code
    assert 200 <= code <= 559
    assert digits[1:2] <= b"5"
    assert all(line[:3] == digits for line in lines), lines
    assert all(line[3:4] == b"-" for line in lines[:-1]), lines
    assert lines[-1][3:4] in (b" ", b""), lines
    assert texts == tuple(line[4:][:KEPT_LINE] for line in lines), lines
    assert len(texts) <= MAX_REPLY_LINES
    assert sum(map(len, texts)) <= MAX_REPLY
    _check_round_trip(code, texts)
    for keyword, parameters in ehlo_keywords(texts).items():
        assert keyword, texts
        assert escaped(keyword) == keyword, texts
        assert escaped(parameters) == parameters, texts


def _check_round_trip(code: int, texts: tuple[bytes, ...]) -> None:
    """What was read, written down again, reads the same."""
    again = ReplyAssembler()
    for text in texts[:-1]:
        assert again.line(b"%d-%b" % (code, text)) is None
    assert again.line(b"%d %b" % (code, texts[-1])) == (code, texts)
