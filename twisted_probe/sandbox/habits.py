"""Habits: what an exchanger's answer depends on beyond the command in hand.

Each knows one custom of real exchangers, as a value; put them into `Temper.habits`. A habit
that speaks of recipients keeps out of what is refused for its form or order.
"""

from __future__ import annotations

from attrs import evolve, frozen

from twisted_probe.sandbox.answers import Answer, Says, Then, answer_of
from twisted_probe.sandbox.visit import Command, Visit
from twisted_probe.vocabulary.reply import Stage


@frozen
class AlwaysSays:
    """Says the same to a verb, whatever its form and order: `AlwaysSays("RSET", "502 no")`."""

    verb: str
    says: Says

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The set words for that verb."""
        return answer_of(self.says) if command.verb == self.verb else answer


@frozen
class Blocks:
    """Refuses some client addresses at one stage, in the words of a block list."""

    clients: frozenset[str]
    stage: Stage = Stage.RCPT
    says: Says = (
        "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org; "
        "https://www.spamhaus.org/query/ip/{client}"
    )

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The refusal for those."""
        if visit.client in self.clients and command.stage is self.stage and visit.admits(command):
            return answer_of(self.says)
        return answer


@frozen
class Greylists:
    """Takes a triplet of client, reverse-path and recipient only `delay` seconds after it was
    first seen (RFC 6647); the recipient's own answer is given from then on."""

    delay: float = 300.0
    says: Says = (
        "450 4.2.0 <{recipient}>: Recipient address rejected: Greylisted, "
        "see http://postgrey.schweikert.ch/help/{domain}.html"
    )

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The refusal while the triplet is young."""
        if command.stage is not Stage.RCPT or not visit.admits(command):
            return answer
        seen: dict[tuple[str, str | None, str | None], float]
        seen = visit.memory.setdefault(self, {})
        first = seen.setdefault((visit.client, visit.sender, command.path), visit.now())
        return answer if visit.now() - first >= self.delay else answer_of(self.says)


@frozen
class LimitsRecipients:
    """Takes no more than `most` recipients in a transaction."""

    most: int
    says: Says = "452 4.5.3 Error: too many recipients"

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The refusal from then on, of bad recipients too."""
        full = len(visit.recipients) >= self.most
        if full and command.stage is Stage.RCPT and visit.admits(command):
            return answer_of(self.says)
        return answer


@frozen
class LimitsErrors:
    """Slows down after `soft` errors of a session and ends it with the error after `hard`.

    Postfix: smtpd_soft_error_limit 10, smtpd_error_sleep_time 1 s, smtpd_hard_error_limit 20;
    every command waits then, the good ones too.
    """

    soft: int = 10
    hard: int = 20
    pause: float = 1.0
    says: Says = "421 4.7.0 {host} Error: too many errors"

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The answer, later, or the last one."""
        if visit.errors + answer.is_error > self.hard:
            answer = answer_of(self.says)
        if visit.errors >= self.soft:
            return evolve(answer, delay=answer.delay + self.pause)
        return answer


@frozen
class LimitsSessions:
    """Turns a connection away while more than `most` are open."""

    most: int
    says: Says = "421 4.7.0 {host} Error: too many connections from {client}"

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The greeting that is none."""
        if command.stage is Stage.GREETING and visit.company > self.most:
            return answer_of(self.says)
        return answer


@frozen
class Tarpits:
    """Lets `delay` seconds pass before each answer, or before those of one stage."""

    delay: float
    stage: Stage | None = None

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The same answer, later."""
        if self.stage in (None, command.stage):
            return evolve(answer, delay=answer.delay + self.delay)
        return answer


@frozen
class DropsAfter:
    """Answers this many commands and ends the connection in place of the next answer, without a
    word unless it `says` one."""

    commands: int
    then: Then = Then.CLOSE
    says: Says = ""

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The last word, and the end."""
        if command.stage is not Stage.GREETING and visit.commands >= self.commands:
            return evolve(answer_of(self.says), then=self.then)
        return answer


_NOT_SUPPORTED = Answer("500 5.5.1 Invalid command: Pipelining not supported", then=Then.CLOSE)


@frozen
class RefusesPipelining:
    """Ends the session of a client that does not wait for its answers, as OpenSMTPD does."""

    says: Says = _NOT_SUPPORTED

    def __call__(self, visit: Visit, command: Command, answer: Answer) -> Answer:
        """The refusal of a command that came too early."""
        return answer_of(self.says) if command.early else answer
