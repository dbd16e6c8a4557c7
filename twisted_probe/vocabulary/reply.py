"""A reply: what an exchanger answered to one command (RFC 5321 section 4.2).

Knows the value and its readings; `smtp.grammar` makes it out of lines, `verdict` says what it
means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from attrs import field, frozen

from twisted_probe.vocabulary.escaping import cut, decoded

# RFC 3463 section 2: class "." subject "." detail; only 2, 4 and 5 are classes.
_ENHANCED = re.compile(rb"([245])\.(\d{1,3})\.(\d{1,3})(?:[ \t]+|$)")


class Stage(str, Enum):
    """The step of a session that a reply, or a failure, belongs to."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    MAIL = "mail"
    RCPT = "rcpt"
    #: Commands that speak of no address: RSET, NOOP, QUIT and raw ones.
    OTHER = "other"


def _frozen(lines: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(lines)


@frozen
class Reply:
    """One complete reply.

    `code` is the three-digit code, `lines` the text of each line behind the code, as bytes.
    `host` (the exchanger's address) and `stage` tell where it was said, as plain values.
    """

    code: int
    lines: tuple[bytes, ...] = field(converter=_frozen)
    host: str = ""
    stage: Stage = Stage.OTHER

    @property
    def code_class(self) -> int:
        """2 for accepted, 3 for go on, 4 for not now, 5 for no."""
        return self.code // 100

    @property
    def is_positive(self) -> bool:
        """Whether the command was accepted (2xx)."""
        return self.code_class == 2

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code (RFC 3463), or None.

        One whose class disagrees with the code is no evidence of anything and is ignored
        (RFC 2034 section 4; Postfix calls it out of sync).
        """
        for line in self.lines:
            match = _ENHANCED.match(line)
            if match is not None and int(match[1]) == self.code_class:
                return b".".join(match.groups()).decode("ascii")
        return None

    @property
    def text(self) -> str:
        """The words, without codes, lines joined by a space, safe to print and store."""
        return cut(" ".join(filter(None, (decoded(self._words(line)) for line in self.lines))))

    def _words(self, line: bytes) -> bytes:
        match = _ENHANCED.match(line)
        if match is not None and int(match[1]) == self.code_class:
            line = line[match.end() :]
        return line.strip()

    def __str__(self) -> str:
        parts = (str(self.code), self.enhanced, self.text)
        return " ".join(part for part in parts if part)
