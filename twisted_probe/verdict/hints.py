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

# The units of time and their seconds, in English, German, French, Spanish, Italian, Portuguese,
# Dutch, Polish, Czech and Russian.
_UNITS = (
    (1.0, r"s|secs?|(?:second|sekund|segund)\w{0,3}|сек\w*"),
    (60.0, r"m|mins?|minut\w{0,3}|мин\w*"),
    (
        3600.0,
        r"h|hrs?|hours?|stunden?|heures?|horas?|or[ae]|u(?:ur|ren)|[gh]od[zi]{1,2}n\w?|час\w{0,2}",
    ),
    (86400.0, r"d|days?|tagen?|jours?|dias?|giorn[io]|dag(?:en)?|dni|дн\w{1,2}|день"),
)
_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "dai": 86400.0}
_LETTER = r"[^\W\d_]"
_UNIT = rf"(?:{'|'.join(unit for _, unit in _UNITS)})(?!{_LETTER})"
# "5 minutes", "1.5 hours", "1h"; a minus or a dot before it makes it another number.
_PART = re.compile(
    r"(?<![\d.,:-])(\d{1,9}(?:[.,]\d{1,3})?) ?"
    rf"(?:{'|'.join(f'({unit})' for _, unit in _UNITS)})(?!{_LETTER})"
)
_DURATION = (
    rf"(?<![\d.,:-])\d{{1,9}}(?:[.,]\d{{1,3}})? ?{_UNIT}"
    rf"(?:[ ,]{{0,2}}(?:(?:and|und|et|y|e|en|i|a|и) )?\d{{1,9}} ?{_UNIT}){{0,3}}"
)
# A duration counts only beside a word that asks to wait: "100 messages per 5 minutes" is none.
_ASKS = (
    r"\b(?:again|retry|retried|retrying|wait|back|return|later|reconnect|not before|next attempt"
    r"|delay(?:ed)?|defer(?:red)?|blocked for|gr[ae]y-?list(?:ed|ing)"
    r"|erneut|wieder|versuch\w*|warten?|reessay\w+|patiente\w+|attend\w+|intente\w*|reintente\w*"
    r"|espere|tente|aguarde|riprov\w+|opnieuw|wacht|ponownie|sprobuj|odczekaj|znovu|zkuste"
    r"|повторите|попробуите|подождите)\b"
)
_WORDS = rf"(?:{_LETTER}+\W{{1,4}}){{0,4}}?"
_GAP = rf"\W{{1,4}}{_WORDS}"
# "come back in 00:05:00", but "at 12:30" and "12:30 GMT" are moments.
_CLOCK = re.compile(
    rf"{_ASKS}\W{{1,4}}(?:(?!(?:at|until|till|before|um|bis|a|alle|o)\b){_LETTER}+\W{{1,4}}){{0,4}}?"
    r"(?:(\d{1,2}):)?(\d{1,2}):(\d{2})\b(?! ?(?:[ap]m|gmt|utc|uhr|ce[s]?t|[+-]\d))"
)
_WORDED = re.compile(
    rf"{_ASKS}{_GAP}({_DURATION})"
    rf"|\b(?:in|after|nach|dans|en|tra|fra|em|over|na|za|po|через) ({_DURATION}) "
    rf"(?:{_LETTER}+ ){{0,2}}?{_ASKS}"
)
# The words of HTTP, which say seconds.
_BARE = re.compile(r"\bretry[ -]after:? (\d{1,9})\b(?![.:,]?\d)")

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
# Thousands may be set apart: 1,000.
_NUMBER = r"(\d{1,6}|\d{1,3}[,.']\d{3})"
_NUMBER_FIRST = re.compile(rf"\b{_NUMBER}\b\W{{1,3}}(?:[a-z]+ ){{0,2}}({_THING})")
_THING_FIRST = re.compile(rf"({_THING})[^.;\d]{{0,40}}\b{_NUMBER}\b(?![,.']\d)(?! ?{_UNIT})")
_PERIOD = re.compile(
    r"(?:\b(?:per|each|an|a|every|this)[ -]|/ ?)(second|minute|hour|day)\b|\b(hour|dai)ly\b"
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
        seconds = sum(_seconds_of(part) for part in _PART.finditer(worded[1] or worded[2]))
    elif (bare := _BARE.search(text)) is not None:
        seconds = float(bare[1])
    return min(seconds, LONGEST_HINT) if seconds else None


def _seconds_of(part: re.Match[str]) -> float:
    number, *units = part.groups()
    (unit,) = (seconds for (seconds, _), said in zip(_UNITS, units, strict=True) if said)
    return float(number.replace(",", ".")) * unit


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
    most = int(re.sub(r"\D", "", number))
    if most == 0:
        return None
    over = _PERIOD.search(text)
    period = None if over is None else _PERIODS[over[1] or over[2]]
    return Limit(most, _THINGS[thing[:3]], period)


def links(reply: Reply) -> tuple[str, ...]:
    """The links in the reply, without repetition, as the exchanger wrote them: mostly where to
    ask for delisting. At most `MAX_LINKS`, none longer than `MAX_LINK`; safe to print, never
    opened by us."""
    found = dict.fromkeys(match.rstrip(".,;:)]}") for match in _LINK.findall(reply.text))
    return tuple(link for link in found if len(link) <= MAX_LINK)[:MAX_LINKS]
