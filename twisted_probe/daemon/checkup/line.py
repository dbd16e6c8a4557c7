"""A line of the checkup: what was looked at, how it is, and what to do about it.

Knows the value and its record; not how anything is looked at, nor how a line is printed.
"""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen

from twisted_probe.vocabulary.escaping import escaped


class Status(str, Enum):
    """How it is. Only BAD makes a checkup fail."""

    OK = "ok"
    #: Worth knowing, or not to be told from here.
    NOTE = "note"
    BAD = "bad"


def _escaped(text: str | None) -> str | None:
    return None if text is None else escaped(text)


@frozen
class Line:
    """One line: `check` of `subject` is as `status` says. `found` is what was seen, `advice` what
    to do about it. All of it is safe to print."""

    subject: str = field(converter=escaped)
    check: str
    status: Status
    found: str = field(converter=escaped)
    advice: str | None = field(default=None, converter=_escaped)

    def record(self) -> dict[str, str | None]:
        """The one shape for programs, null where there is nothing."""
        return {
            "subject": self.subject,
            "check": self.check,
            "status": self.status.value,
            "found": self.found,
            "advice": self.advice,
        }
