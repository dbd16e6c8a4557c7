"""A visit: one session as the exchanger sees it, what was said and what the answer is.

Knows the order of commands (RFC 5321 section 4.1.4) and their form, pure; not the transport
(`exchanger`) nor the exchanger's words (`temper`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any

from attrs import define, field, frozen

from twisted_probe.sandbox.answers import Answer, Then, answer_of
from twisted_probe.sandbox.temper import Temper
from twisted_probe.vocabulary.reply import Stage

_STAGES = {
    "EHLO": Stage.EHLO,
    "HELO": Stage.EHLO,
    "STARTTLS": Stage.STARTTLS,
    "MAIL": Stage.MAIL,
    "RCPT": Stage.RCPT,
}

# A quoted local part may hold what would end the path.
_PATH = r'\s*<((?:"(?:\\.|[^"\\])*"|[^<>"])*)>(?:\s+(.*?))?\s*'
_MAIL = re.compile("FROM:" + _PATH, re.IGNORECASE)
_RCPT = re.compile("TO:" + _PATH, re.IGNORECASE)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@frozen
class Command:
    """One command as it came: `verb` in upper case, `argument` as written.

    `early` says that it was sent before the answer to the one before it was out.
    """

    verb: str
    argument: str = ""
    stage: Stage = Stage.OTHER
    early: bool = False

    @classmethod
    def parse(cls, line: bytes, *, early: bool = False) -> Command:
        """The command in this line; one without a verb where it has none."""
        text = line.decode("utf-8", "surrogateescape").rstrip("\r")
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        return cls(verb, argument, _STAGES.get(verb, Stage.OTHER), early)

    @property
    def path(self) -> str | None:
        """The address of a MAIL or RCPT, empty for `<>`; None where there is none."""
        match = self._match()
        return None if match is None else match[1]

    @property
    def parameters(self) -> list[str]:
        """The ESMTP parameters of a MAIL or RCPT."""
        match = self._match()
        return [] if match is None else (match[2] or "").split()

    def _match(self) -> re.Match[str] | None:
        if _CONTROL.search(self.argument):
            return None
        pattern = {"MAIL": _MAIL, "RCPT": _RCPT}.get(self.verb)
        return None if pattern is None else pattern.fullmatch(self.argument)


#: The connection itself, which is answered with the greeting.
CONNECTION = Command("", stage=Stage.GREETING)


@define
class Visit:
    """One session at an exchanger.

    `host` is the exchanger's name, `client` and `port` where the visitor comes from, `number`
    which visit of this exchanger it is (from 1), `company` how many are open, this one included.
    `now` is the clock and `memory` what the exchanger's habits remember over all visits.
    """

    temper: Temper
    host: str
    client: str
    port: int
    now: Callable[[], float]
    memory: dict[Hashable, Any] = field(factory=dict)
    number: int = 1
    company: int = 1

    helo: str | None = None
    #: The reverse-path of the open transaction, None without one, and who was taken in it.
    sender: str | None = None
    recipients: list[str] = field(factory=list)
    #: Commands, recipients asked and errors before the command in hand.
    commands: int = 0
    asked: int = 0
    errors: int = 0
    #: The greeting said no; only QUIT is left (RFC 5321 section 3.1).
    turned_away: bool = False

    def answer(self, command: Command) -> Answer:
        """The answer to this command, and the state that it leads to."""
        answer = self._regular(command)
        for habit in self.temper.habits:
            answer = habit(self, command, answer)
        self._settle(command, answer)
        return answer

    def admits(self, command: Command) -> bool:
        """Whether the command is well-formed and in order, so that the temper is asked."""
        return self._complaint(command) is None

    def places(self, command: Command) -> dict[str, str]:
        """What may stand in braces in an answer's text."""
        path = command.path or ""
        recipient = path if command.stage is Stage.RCPT else ""
        sender = path if command.stage is Stage.MAIL else self.sender or ""
        helo = command.argument.strip() if command.stage is Stage.EHLO else self.helo or ""
        return {
            "host": self.host,
            "client": self.client,
            "helo": helo,
            "sender": sender,
            "recipient": recipient,
            "domain": recipient.rpartition("@")[2],
            "verb": command.verb,
        }

    def _regular(self, command: Command) -> Answer:
        """The answer by the order and form of commands, else the temper's."""
        complaint = self._complaint(command)
        if complaint is not None:
            return self._in_style(complaint)
        if command.stage is Stage.GREETING:
            return answer_of(self.temper.greeting)
        if command.stage is Stage.MAIL:
            return answer_of(self.temper.mail)
        if command.stage is Stage.RCPT:
            return self.temper.answer_to_recipient(command.path or "")
        if command.verb == "EHLO":
            return self.temper.answer_to_ehlo()
        if command.verb == "HELO":
            return answer_of(self.temper.helo)
        if command.verb == "STARTTLS":
            return self.temper.answer_to_starttls()
        return self._in_style(_OTHERS[command.verb])

    def _complaint(self, command: Command) -> str | None:
        """What is wrong with the command, by its order or its form; None where nothing is."""
        if command.stage is Stage.GREETING:
            return None
        if self.turned_away and command.verb != "QUIT":
            return "503 5.5.1 Error: no service here, only QUIT"
        if command.stage is Stage.EHLO:
            return self._complaint_of_ehlo(command)
        if command.stage is Stage.MAIL:
            return self._complaint_of_mail(command)
        if command.stage is Stage.RCPT:
            return self._complaint_of_rcpt(command)
        if command.verb == "STARTTLS":
            return self._complaint_of_starttls(command)
        return None if command.verb in _OTHERS else "502 5.5.2 Error: command not recognized"

    def _complaint_of_ehlo(self, command: Command) -> str | None:
        if not command.argument.strip() or _CONTROL.search(command.argument):
            return "501 5.5.4 Syntax: {verb} hostname"
        return None

    def _complaint_of_mail(self, command: Command) -> str | None:
        if self.helo is None:
            return "503 5.5.1 Error: send HELO/EHLO first"
        if self.sender is not None:
            return "503 5.5.1 Error: nested MAIL command"
        if command.path is None:
            return "501 5.5.4 Syntax: MAIL FROM:<address>"
        if not all(self._understands(parameter) for parameter in command.parameters):
            return "555 5.5.4 Unsupported option"
        return None

    def _complaint_of_rcpt(self, command: Command) -> str | None:
        if self.sender is None:
            return "503 5.5.1 Error: need MAIL command"
        if not command.path:
            return "501 5.5.4 Syntax: RCPT TO:<address>"
        if command.parameters:
            return "555 5.5.4 Unsupported option"
        return None

    def _complaint_of_starttls(self, command: Command) -> str | None:
        if not self.temper.knows("STARTTLS"):
            return "502 5.5.1 Error: command not implemented"
        if command.argument:
            return "501 5.5.4 Syntax: STARTTLS"
        return None

    def _understands(self, parameter: str) -> bool:
        """Whether this parameter of a MAIL belongs to a keyword that was offered."""
        name = parameter.partition("=")[0].upper()
        return self.temper.knows({"BODY": "8BITMIME"}.get(name, name))

    def _in_style(self, words: str) -> Answer:
        """Our own words, with an enhanced code only where the temper uses them."""
        answer = Answer(words)
        if self.temper.knows("ENHANCEDSTATUSCODES"):
            return answer
        return answer.without_enhanced_code()

    def _settle(self, command: Command, answer: Answer) -> None:
        """What the answer that is given makes of the session."""
        if command.stage is Stage.GREETING:
            self.turned_away = not answer.is_positive
            return
        self.commands += 1
        self.asked += command.stage is Stage.RCPT
        self.errors += answer.is_error
        if not answer.is_positive:
            return
        if command.stage is Stage.EHLO or command.verb == "RSET":
            self.sender = None
            self.recipients = []
            if command.stage is Stage.EHLO:
                self.helo = command.argument.strip()
        elif command.stage is Stage.MAIL:
            self.sender = command.path or ""
        elif command.stage is Stage.RCPT and command.path:
            self.recipients.append(command.path)
        elif answer.then is Then.SHAKE:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """RFC 3207 section 4.2: of what the client said before TLS, nothing counts."""
        self.temper = self.temper.under_tls()
        self.helo = self.sender = None
        self.recipients = []


_OTHERS = {
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}
