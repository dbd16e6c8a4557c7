"""When an exchanger says to come again: "in 300 seconds", "after 5 minutes", "00:05:00".

Knows how such hints are worded; not whether to obey (`verdict.ladder`).
"""

from __future__ import annotations

import re

from twisted_probe.verdict.words import folded
from twisted_probe.vocabulary.reply import Reply

#: Seconds; a longer hint is cut to this. It is the deadline of a job (design section 7).
LONGEST_HINT = 86400.0

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|days?)\b"
# A duration counts only behind a word that asks to wait: "100 messages per 5 minutes" is none.
_ASKS = (
    r"\b(?:again|retry|retried|retrying|wait|back|return|later"
    r"|delay(?:ed)?|defer(?:red)?|gr[ae]y-?listed)\b"
)
_GAP = r"\W{1,4}(?:[a-z]+\W{1,4}){0,4}?"
_CLOCK = re.compile(_ASKS + _GAP + r"(?:(\d{1,2}):)?(\d{1,2}):(\d{2})\b")
_WORDED = re.compile(
    _ASKS + _GAP + rf"((?:\d{{1,7}} ?{_UNIT}[ ,]{{0,2}}(?:and )?)+)",
)
_PART = re.compile(r"(\d{1,7}) ?([smhd])")


def retry_hint(reply: Reply) -> float | None:
    """The seconds that the reply asks us to wait, at most `LONGEST_HINT`; None without a hint."""
    text = folded(reply.text)
    seconds = 0.0
    clock = _CLOCK.search(text)
    worded = _WORDED.search(text)
    if clock is not None:
        hours, minutes, rest = (float(part or 0) for part in clock.groups())
        seconds = hours * 3600 + minutes * 60 + rest
    elif worded is not None:
        seconds = sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(worded[1]))
    return min(seconds, LONGEST_HINT) if seconds else None
