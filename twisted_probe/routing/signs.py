"""Whether a session shows that its exchanger has had enough of us.

Knows the signs: 421, 4.7.x about nobody else, words about pace, refusals where there were none
before; not what is done about them (`routing.tempo`). That a session had too many errors is none:
the next one has fewer (`smtp.manner`), and another pace would change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import frozen

from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import ConnectTimeout, Refused, SessionError
from twisted_probe.verdict.hints import retry_hint
from twisted_probe.verdict.words import enhanced_code
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.finding import Finding, Label, Subject
from twisted_probe.vocabulary.reply import Reply, Stage

#: RFC 5321 section 3.8: service not available, closing transmission channel.
CLOSING = 421
# Postfix: "Error: too many errors"; Exim: "too many syntax or protocol errors".
_OF_ERRORS = re.compile(r"\btoo many (?:[\w-]+ ){0,5}errors\b", re.IGNORECASE)

Classify = Callable[[Reply, Address | None], Finding]


@frozen
class Complaint:
    """Why an exchanger is to be asked less, in its own words or ours, and for how many seconds
    it wants not to be asked at all, if it says so."""

    words: str
    hint: float | None = None


def complaint_of(report: SessionReport, classify: Classify, *, has_borne: bool) -> Complaint | None:
    """What the session complains of; None where it was calm, or brought nothing.

    `classify` reads its replies; `has_borne` says whether calm sessions went before: only then a
    refused connection, or a greeting that says no, may be an answer to our number.
    """
    for recipient, reply in _noes(report):
        finding = classify(reply, recipient)
        if finding.label is Label.GREYLISTED or _is_of_errors(reply.text, report):
            continue
        is_about_pace = finding.label is Label.RATE_LIMITED or reply.code == CLOSING
        is_about_them = finding.subject is Subject.SITE
        if is_about_pace or (is_about_them and (enhanced_code(reply) or "").startswith("4.7.")):
            return Complaint(str(reply), retry_hint(reply))
        if has_borne and reply.stage is Stage.GREETING:
            return Complaint(str(reply), retry_hint(reply))
    failure = report.failure
    if failure is None or _is_of_errors(failure.text, report):
        return None
    if failure.code == CLOSING or (has_borne and _is_closed_door(failure)):
        return Complaint(str(failure))
    return None


def _noes(report: SessionReport) -> Iterator[tuple[Address | None, Reply]]:
    if report.refusal is not None:
        yield None, report.refusal
    for recipient, reply in (*report.answers.items(), *report.witnesses.items()):
        if not reply.is_positive:
            yield recipient, reply


def _is_of_errors(words: str, report: SessionReport) -> bool:
    """Whether a no is about the rejections of this session, of which there were some."""
    return bool(report.errors) and _OF_ERRORS.search(words) is not None


def _is_closed_door(failure: SessionError) -> bool:
    return isinstance(failure, Refused | ConnectTimeout)
