"""A conversation for these tests: its exchanger is the test, its people live at example.net."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.vocabulary.address import Address, parse_address

from .wire import HELO, Wire, outcome_of

PROBE = parse_address("probe@example.org")
EHLO, MAIL, RSET, QUIT = f"EHLO {HELO}", "MAIL FROM:<probe@example.org>", "RSET", "QUIT"
MAIL_UTF8 = f"{MAIL} SMTPUTF8"
SENDER_OK = "250 2.1.0 Ok"
OK, NO, BYE = "250 2.1.5 Ok", "550 5.1.1 no such user", "221 2.0.0 Bye"
FEWER = "452 4.5.3 too many recipients"


def person(name: str) -> Address:
    return parse_address(f"{name}@example.net")


def to(name: str) -> str:
    """What is said to ask about a person."""
    return f"RCPT TO:<{name}@example.net>"


ANN, BOB, CY, DAN = map(person, ("ann", "bob", "cy", "dan"))
CONTROL = person("x7k2m9")
TO_CONTROL = to("x7k2m9")
JOSE, ZOE = person("josé"), person("zoë")


class Talk(Wire):
    """A conversation with a server that offers `keywords`, up to the end of its EHLO reply."""

    def __init__(self, keywords: str, *recipients: Address, **options: Any) -> None:
        self._control = options.pop("control", None)
        wishes = {
            key: options.pop(key) for key in ("max_errors", "manner", "witnesses") if key in options
        }
        super().__init__(**options)
        self.server("220 mx.example.net ESMTP")
        self.running = Deferred.fromCoroutine(
            converse(self.session, recipients, PROBE, control=self._control, **wishes)
        )
        self.reports = outcome_of(self.running)
        self.client(EHLO)
        lines = ["mx.example.net", *keywords.split()]
        self.server(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")

    def goes(self, *steps: tuple[str, str]) -> None:
        """Client says …, server says …, one by one."""
        for said, answer in steps:
            self.client(said)
            self.server(answer)

    @property
    def report(self) -> SessionReport:
        """The report that the conversation ended with."""
        (report,) = self.reports
        assert isinstance(report, SessionReport)
        return report

    def says_goodbye(self) -> SessionReport:
        """Client and server part as they should."""
        self.client(QUIT)
        self.server(BYE)
        return self.report


def codes(report: SessionReport) -> dict[str, int]:
    """What was answered to whom."""
    return {recipient.local: reply.code for recipient, reply in report.answers.items()}
