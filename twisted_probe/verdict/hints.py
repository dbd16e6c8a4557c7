"""What a reply tells beside its yes or no: when to come again, how many are too many, where to
read on.

Knows how such hints are worded; not whether to obey (`verdict.ladder`, `routing.sites`), nor
whether a refusal is about a limit at all (`verdict.classify`, `verdict.transaction`).
"""

from __future__ import annotations

import re

from attrs import frozen

from twisted_probe.verdict.words import folded
from twisted_probe.vocabulary.reply import Reply

#: Seconds; a longer hint is cut to this. It is the deadline of a job (design section 7).
LONGEST_HINT = 86400.0

#: Links kept of one reply. Real ones have one or two: the list's page, the provider's page.
MAX_LINKS = 4
#: Characters; a longer link is left out. Real ones have some 100.
MAX_LINK = 300

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = (
    r"(?:s|secs?|(?:second|sekund|segund)\w{0,2}|m|mins?|minut\w{0,3}|h|hrs?|hours?|heures?|horas?"
    r"|days?)\b"
)
# A duration counts only behind a word that asks to wait: "100 messages per 5 minutes" is none.
_ASKS = (
    r"\b(?:again|retry|retried|retrying|wait|back|return|later|reconnect"
    r"|delay(?:ed)?|defer(?:red)?|blocked for|gr[ae]y-?list(?:ed|ing)"
    r"|erneut|wieder|reessayez|intente|tente|riprovare|opnieuw|ponownie)\b"
)
_GAP = r"\W{1,4}(?:[a-z]+\W{1,4}){0,4}?"
_CLOCK = re.compile(_ASKS + _GAP + r"(?:(\d{1,2}):)?(\d{1,2}):(\d{2})\b")
_WORDED = re.compile(
    _ASKS + _GAP + rf"((?:\d{{1,7}} ?{_UNIT}[ ,]{{0,2}}(?:and )?)+)",
)
_PART = re.compile(r"(\d{1,7}) ?([smhd])")

# What is counted, by the word's first letters.
_THINGS = {
    "rec": "recipients",
    "rcp": "recipients",
    "con": "connections",
    "ses": "connections",
    "mes": "messages",
    "ema": "messages",
    "e-m": "messages",
    "err": "errors",
    "com": "commands",
}
_THING = (
    r"\b(?:recipients?|rcpts?|connections?|sessions?|messages?|e-?mails?|errors?(?!:)|commands?)\b"
)
# A number is a limit only where the reply speaks of one.
_OF_A_LIMIT = re.compile(
    r"\b(?:limit\w*|max\w*|too many|exceed\w*|at most|only|more than|up to|allowed)\b"
)
_NUMBER_FIRST = re.compile(rf"\b(\d{{1,6}})\b\W{{1,3}}(?:[a-z]+ ){{0,2}}({_THING})")
_THING_FIRST = re.compile(rf"({_THING})[^.;\d]{{0,40}}\b(\d{{1,6}})\b(?! ?{_UNIT})")
_PERIOD = re.compile(
    r"\b(?:per|each|an|a|every|this)[ -](second|minute|hour|day)\b|\b(hour|dai)ly\b"
)

_LINK = re.compile(r"(?i)\b(?:https?://|www\.)[^\s<>\"'\\]+")


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


@frozen
class Limit:
    """At most `number` of `things`: recipients, connections, messages, errors or commands.

    `period` is the time, in seconds, that the limit is over; None where it is over a transaction,
    a session, or what the reply does not say.
    """

    number: int
    things: str
    period: float | None = None


def limit_hint(reply: Reply) -> Limit | None:
    """The limit that a refusal names ("at most 25 recipients"), or None.

    The number is what the exchanger wrote, 1 to 999999; nothing was compared with what we did.
    """
    text = folded(reply.text)
    if reply.is_positive or _OF_A_LIMIT.search(text) is None:
        return None
    number, thing = "0", ""
    if (first := _NUMBER_FIRST.search(text)) is not None:
        number, thing = first.groups()
    elif (second := _THING_FIRST.search(text)) is not None:
        thing, number = second.groups()
    if int(number) == 0:
        return None
    over = _PERIOD.search(text)
    period = None if over is None else _SECONDS[(over[1] or over[2])[0]]
    return Limit(int(number), _THINGS[thing[:3]], period)


def links(reply: Reply) -> tuple[str, ...]:
    """The links in the reply, without repetition, as the exchanger wrote them: mostly where to
    ask for delisting. At most `MAX_LINKS`, none longer than `MAX_LINK`; safe to print, never
    opened by us."""
    found = dict.fromkeys(match.rstrip(".,;:)]}") for match in _LINK.findall(reply.text))
    return tuple(link for link in found if len(link) <= MAX_LINK)[:MAX_LINKS]
