"""A session report as lines that people read and tests compare.

Knows every field of the report: what is new in it and not as by default shows by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import NOTHING, AttrsInstance, fields, has

from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import SessionError
from twisted_probe.vocabulary.reply import Reply

#: Fields that are told in words of their own.
_TOLD = frozenset(("answers", "unanswered", "refusal", "failure", "witnesses"))


def report_lines(report: SessionReport) -> list[str]:
    """`report`, a line for each answer and for each other thing that it says."""
    lines = [f"{who}: {_codes(reply)}" for who, reply in report.answers.items()]
    lines += [f"witness {who}: {_codes(reply)}" for who, reply in report.witnesses.items()]
    if report.unanswered:
        lines.append("back: " + " ".join(map(str, report.unanswered)))
    if report.refusal is not None:
        lines.append(f"refusal: {report.refusal.stage.value} {_codes(report.refusal)}")
    if report.failure is not None:
        lines.append(f"failure: {_trouble(report.failure)}")
    return [*lines, *_others(report)]


def _others(thing: AttrsInstance) -> Iterator[str]:
    """What is not as by default, in a value of its own as well."""
    for each in fields(type(thing)):
        value = getattr(thing, each.name)
        if each.name in _TOLD or each.default is NOTHING or value == each.default:
            continue
        if has(type(value)):
            yield from _others(value)
        else:
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield f"{each.name.replace('_', ' ')}: {shown}"


def _codes(reply: Reply) -> str:
    return f"{reply.code} {reply.enhanced or ''}".strip()


def _trouble(failure: SessionError) -> str:
    code = "" if failure.code is None else f" {failure.code}"
    return f"{type(failure).__name__}{code} at {failure.stage.value}"
