"""A scribe: writes down one session, as much of it as is worth keeping.

Knows the bounds of what it holds; not what the lines mean, nor where they are kept.
"""

from __future__ import annotations

from twisted_probe.vocabulary.escaping import cut
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.hearing import Dialogue

#: Characters of one line: RFC 5321 section 4.5.3.1.5 allows a reply's line 512 octets.
MAX_LINE = 512
#: Lines and characters of one session: a hundred recipients with their replies, EHLO's keywords
#: and the rest come to 250 lines of some 60.
MAX_LINES = 1000
MAX_CHARACTERS = 64 * 1024


class Scribe:
    """A `smtp.protocol.Transcript` of a session with `exchanger` that begins at `now`."""

    def __init__(self, exchanger: Exchanger, now: float) -> None:
        self._exchanger = exchanger
        self._begun_at = now
        self._lines: list[str] = []
        self._room = MAX_CHARACTERS
        self._left_out = 0

    def __call__(self, line: str) -> None:
        """Write a line down."""
        if len(line) > MAX_LINE:
            line = cut(line, MAX_LINE)
        room = self._room - len(line)
        if room < 0 or len(self._lines) == MAX_LINES:
            self._left_out += 1
            return
        self._room = room
        self._lines.append(line)

    @property
    def dialogue(self) -> Dialogue | None:
        """What was said, or None where nothing was."""
        if not self._lines:
            return None
        return Dialogue(
            exchanger=self._exchanger.name,
            exchanger_address=self._exchanger.address,
            begun_at=self._begun_at,
            lines=tuple(self._lines),
            left_out=self._left_out,
        )
