"""A session report as lines that people read and tests compare.

Knows every field of the report: what is new in it and not as by default shows by itself.
"""

from __future__ import annotations

from attrs import NOTHING, fields

from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import SessionError
from twisted_probe.vocabulary.reply import Reply

#: Fields that are told in words of their own.
_TOLD = frozenset(("answers", "unanswered", "refusal", "failure"))


def report_lines(report: SessionReport) -> list[str]:
    """`report`, a line for each answer and for each other thing that it says."""
    lines = [f"{who}: {_codes(reply)}" for who, reply in report.answers.items()]
    if report.unanswered:
        lines.append("back: " + " ".join(map(str, report.unanswered)))
    if report.refusal is not None:
        lines.append(f"refusal: {report.refusal.stage.value} {_codes(report.refusal)}")
    if report.failure is not None:
        lines.append(f"failure: {_trouble(report.failure)}")
    for each in fields(SessionReport):
        value = getattr(report, each.name)
        if each.name not in _TOLD and value != each.default and each.default is not NOTHING:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            lines.append(f"{each.name.replace('_', ' ')}: {shown}")
    return lines


def _codes(reply: Reply) -> str:
    return f"{reply.code} {reply.enhanced or ''}".strip()


def _trouble(failure: SessionError) -> str:
    code = "" if failure.code is None else f" {failure.code}"
    return f"{type(failure).__name__}{code} at {failure.stage.value}"
