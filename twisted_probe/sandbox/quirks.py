"""Quirks: habits of exchangers that are broken, overrun or mean harm.

Knows how an answer is lost, torn, doubled or turned round; what is a custom of sound exchangers
stands in `habits`. Values too, for `Temper.habits`.
"""

from __future__ import annotations

from attrs import evolve, frozen

from twisted_probe.sandbox.answers import Answer, Says, answer_of, wire
from twisted_probe.sandbox.visit import Command, Visit
from twisted_probe.vocabulary.reply import Stage

#: Seconds; nobody waits that long.
FOREVER = 86400.0


@frozen
class FallsSilent:
    """Answers no more from this verb on; the empty one is the connection itself."""

    verb: str

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The answer that never comes, and holds up those behind it."""
        return Answer(delay=FOREVER) if command.verb == self.verb else answer


@frozen
class Mirrors:
    """Greets clients with the names that they go by, as if these were its own.

    `names` are pairs of a client's address and its name.
    """

    names: tuple[tuple[str, str], ...]

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The greeting in the client's own name."""
        name = dict(self.names).get(visit.client)
        if name is None or command.stage is not Stage.GREETING:
            return answer
        return Answer(f"220 {name} ESMTP")


@frozen
class InPieces:
    """Sends what it says in pieces of `size` octets, `pause` seconds apart."""

    size: int = 1
    pause: float = 0.0

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The same octets, in pieces."""
        octets = _octets(visit, command, answer)
        pieces = [octets[at : at + self.size] for at in range(0, len(octets), self.size)]
        return evolve(answer, raw=tuple(step for piece in pieces for step in (piece, self.pause)))


@frozen
class EndsLinesWith:
    """Has another end of line than CRLF."""

    end: bytes

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The same lines, with that end."""
        return evolve(answer, raw=(_octets(visit, command, answer).replace(b"\r\n", self.end),))


@frozen
class SaysMore:
    """Says `more` (octets, and seconds between them) behind its answer to a verb; with `code`
    only behind the answers that have it."""

    verb: str
    more: tuple[bytes | float, ...]
    code: int | None = None

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The answer, and what nobody asked for."""
        if command.verb != self.verb or self.code not in (None, answer.code):
            return answer
        return evolve(answer, raw=(_octets(visit, command, answer), *self.more))


@frozen
class TurnsAfter:
    """Says the same to every recipient of a session after the first `recipients`, whoever it
    is."""

    recipients: int
    says: Says

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The recipient's own answer, or the one for all."""
        if command.stage is Stage.RCPT and visit.asked >= self.recipients:
            return answer_of(self.says)
        return answer


@frozen
class LosesEarly:
    """Loses commands that did not wait for the answer before them: all, or only the recipient
    whose `place` in the session that is (from 0)."""

    place: int | None = None

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """Nothing, for what it has not heard."""
        if not command.early:
            return answer
        is_lost = self.place is None or (command.stage is Stage.RCPT and visit.asked == self.place)
        return Answer() if is_lost else answer


def _octets(visit: Visit, command: Command, answer: Answer) -> bytes:
    """The answer as it would have been sent."""
    said = answer.said(visit.places(command))
    return wire(said) if said else b""
