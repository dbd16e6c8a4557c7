"""The grammar of replies (RFC 5321 section 4.2): lines in, complete replies out. Pure.

Knows what a reply looks like and how large it may be; not what was asked, nor any clock.
"""

from __future__ import annotations

import re

from attrs import define, field

from twisted_probe.smtp.limits import (
    KEPT_KEYWORDS,
    KEPT_LINE,
    KEPT_UNFINISHED,
    LINE_COST,
    MAX_REPLY,
    MAX_REPLY_LINES,
)
from twisted_probe.vocabulary.escaping import decoded

# Looked up, never int(): int() takes b"+25", b" 25" and b"2_5", str.isdigit() full-width digits.
# RFC 5321 section 4.2.1: first digit 2 to 5, second 0 to 5, then a space, a hyphen or the end.
_CODES = {b"%d" % code: code for code in range(200, 600) if code // 10 % 10 <= 5}
# Postfix too takes blanks, tabs and the old `AUTH=` form behind a keyword.
_KEYWORD = re.compile(rb"[ \t]*([^ \t=]+)[ \t=]*(.*)", re.DOTALL)


class GrammarError(ValueError):
    """What came is no reply; the message is safe to print."""


@define
class ReplyAssembler:
    """Puts lines together. One assembler serves a whole session.

    A reply that breaks the grammar or a limit raises GrammarError, after which the assembler
    must not be used again: there is no telling where the next reply would begin.
    """

    _code: int | None = None
    _lines: list[bytes] = field(factory=list)
    _size: int = 0
    _count: int = 0
    _room: int = KEPT_UNFINISHED

    @property
    def is_between_replies(self) -> bool:
        """Whether no reply is half read."""
        return self._code is None

    def line(self, line: bytes) -> tuple[int, tuple[bytes, ...]] | None:
        """Take one line, without its line end. The code and texts of a reply when this line
        ends one, else None."""
        code, separator = _CODES.get(line[:3]), line[3:4]
        if code is None or separator not in (b" ", b"-", b""):
            raise GrammarError(f"not an SMTP reply: '{decoded(line, 80)}'")
        if self._code is None and separator != b"-" and len(line) <= MAX_REPLY:
            # Nearly all replies have one line, which always fits.
            return code, (line[4 : 4 + KEPT_LINE],)
        if self._code is not None and code != self._code:
            raise GrammarError(f"the code changes inside a reply: {self._code} then {code}")
        self._size += len(line)
        if self._size > MAX_REPLY:
            raise GrammarError(f"a reply of more than {MAX_REPLY} octets")
        self._count += 1
        if self._count > MAX_REPLY_LINES:
            raise GrammarError(f"a reply of more than {MAX_REPLY_LINES} lines")
        self._code = code
        self._keep(line[4:])
        if separator == b"-":
            return None
        complete = code, tuple(self._lines)
        self._code, self._lines = None, []
        self._size, self._count, self._room = 0, 0, KEPT_UNFINISHED
        return complete

    def _keep(self, text: bytes) -> None:
        """What does not fit is counted and not kept; the first line always fits."""
        text = text[:KEPT_LINE]
        self._room -= len(text) + LINE_COST
        if self._room >= 0:
            self._lines.append(text)


def ehlo_keywords(lines: tuple[bytes, ...]) -> dict[str, str]:
    """The keywords of an EHLO reply (RFC 5321 section 4.1.1.1) in upper case, with their
    parameters as they came. The first line is the exchanger's name; a repeated keyword and the
    old `AUTH=` form are tolerated. Those beyond `KEPT_KEYWORDS` octets are left out."""
    keywords: dict[str, str] = {}
    room = KEPT_KEYWORDS
    for line in lines[1:]:
        match = _KEYWORD.match(line)
        if match is not None:
            keyword, parameters = decoded(match[1].upper()), decoded(match[2].strip())
            room -= len(keyword) + len(parameters) + LINE_COST
            if room < 0:
                break
            keywords.setdefault(keyword, parameters)
    return keywords
