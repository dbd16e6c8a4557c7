"""Log events as lines: text for people, JSON for programs.

Knows what of an event is shown and how it is made safe: nothing that a stranger has said can end
a line, begin another, or move a terminal's cursor. Not where lines go (`daemon.logfile`) nor how
many (`daemon.flood`).
"""

from __future__ import annotations

import json
import string
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import islice
from math import isfinite
from typing import Any

from attrs import frozen
from twisted.internet.error import ReactorNotRunning
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from twisted_probe.daemon.flood import Kind
from twisted_probe.vocabulary.escaping import cut, escaped
from twisted_probe.vocabulary.outcome import iso_time

#: Characters of a message, of a field's value and of a traceback.
MAX_MESSAGE = 4096
MAX_VALUE = 2048
MAX_TRACEBACK = 16384
#: Entries of a list or a mapping, and how deep they may lie in one another.
MAX_ENTRIES = 50
MAX_DEPTH = 4

#: Our own modules are named without it.
_OURS = "twisted_probe."
#: What `twisted.python.log` puts into its events beside the message.
_LEGACY = frozenset(
    ("debug", "failure", "format", "isError", "message", "printed", "system", "time", "why")
)
#: Formats that say nothing of their own: the text is the kind.
_BARE_FORMATS = frozenset(("{log_text}", "{log_io}", "{message}"))
_FACTORIES = frozenset(("Starting factory {factory!r}", "Stopping factory {factory!r}"))
#: Fields that set events of one kind apart.
_ABOUT = ("site", "source", "job", "name", "path", "what")

Mask = Callable[[str], str]


@frozen
class Record:
    """What is written of one event. `fields` are plain values; `shown` names those of them that
    the message has already."""

    time: float
    level: str
    namespace: str
    kind: str
    message: str
    fields: dict[str, Any]
    shown: frozenset[str] = frozenset()
    error: str | None = None
    traceback: str | None = None


def is_noise(event: LogEvent) -> bool:
    """Whether nobody would miss it: Twisted's own comings and goings, each port and each factory
    of each session and of each question to the DNS."""
    level = _level(event)
    if level == "debug" or event.get("log_format") in _FACTORIES:
        return True
    failure = event.get("log_failure")
    if isinstance(failure, Failure) and failure.check(ReactorNotRunning):
        return True  # we were asked to stop twice
    if level != "info":
        return False
    # Who has ended us is worth a line: "Received SIGTERM, shutting down."
    if _format(event).startswith("Received SIG"):
        return False
    return _namespace(event).startswith(("twisted.", "log_legacy"))


def kind_of(event: LogEvent) -> Kind:
    """What the event is an example of. Each failure is told apart by its type and its place."""
    name: tuple[object, ...] = (_namespace(event), _level(event), _format(event))
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        place = failure.frames[-1][:3] if failure.frames else ()
        name = (*name, str(failure.type), tuple(map(str, place)))
    about = tuple(safe_str(event[key]) for key in _ABOUT if event.get(key) is not None)
    return Kind(name, about or None)


def record_of(event: LogEvent, mask: Mask) -> Record:
    """What to write of an event; `mask` is put over every text in it."""
    legacy = _LEGACY if _namespace(event) == "log_legacy" else ()
    fields = {
        key: plain(value, mask)
        for key, value in event.items()
        if not key.startswith("log_") and key not in legacy
    }
    failure = event.get("log_failure")
    error = traceback = None
    if isinstance(failure, Failure):
        kind = getattr(failure.type, "__name__", str(failure.type))
        error = cut(mask(f"{kind}: {failure.getErrorMessage()}"), MAX_VALUE)
        traceback = _cut_inside(mask(failure.getTraceback()), MAX_TRACEBACK)
    when = event.get("log_time")
    return Record(
        time=when if isinstance(when, int | float) else time.time(),
        level=_level(event),
        namespace=_namespace(event).removeprefix(_OURS),
        kind=cut(mask(_format(event)), MAX_VALUE),
        message=cut(mask(formatEvent(event)), MAX_MESSAGE) or (error or ""),
        fields=fields,
        shown=_named_in(event.get("log_format")),
        error=error,
        traceback=traceback,
    )


def as_text(record: Record, *, dated: bool = True) -> list[str]:
    """One line, and after it the indented lines of a traceback; without time and level where
    whoever gets them keeps those himself."""
    parts = [iso_time(record.time), f"{record.level:<8}"] if dated else []
    parts += [escaped(f"{record.namespace}: {record.message}")]
    parts += [
        f"{escaped(key)}={_quoted(value)}"
        for key, value in record.fields.items()
        if key not in record.shown
    ]
    if record.error is not None and record.error not in record.message:
        parts.append(f"error={_quoted(record.error)}")
    lines = [" ".join(parts)]
    if record.traceback is not None:
        # No line of a log begins so, whatever the exception's text has in it.
        lines += ["\t" + escaped(line) for line in record.traceback.rstrip().split("\n")]
    return lines


def as_json(record: Record) -> list[str]:
    """One object on one line, in ASCII."""
    known: dict[str, Any] = {
        "time": iso_time(record.time),
        "level": record.level,
        "namespace": record.namespace,
        "kind": record.kind,
        "message": record.message,
    }
    if record.error is not None:
        known |= {"error": record.error, "traceback": record.traceback}
    for key, value in record.fields.items():
        known[f"{key}_" if key in known else key] = value
    # json leaves DEL as it is.
    return [json.dumps(known, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")]


def plain(value: object, mask: Mask, depth: int = MAX_DEPTH) -> Any:
    """A value as JSON has it, its texts masked and cut."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping) and depth:
        return {
            cut(mask(safe_str(key)), MAX_VALUE): plain(entry, mask, depth - 1)
            for key, entry in islice(value.items(), MAX_ENTRIES)
        }
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [plain(entry, mask, depth - 1) for entry in islice(value, MAX_ENTRIES)]
    return cut(mask(value if isinstance(value, str) else safe_str(value)), MAX_VALUE)


def _quoted(value: object) -> str:
    """A value that ends where the next space is."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = escaped(text)
    if text and not any(character in text for character in ' "='):
        return text
    return json.dumps(text, ensure_ascii=False).replace("\\\\", "\\")


def _level(event: LogEvent) -> str:
    return getattr(event.get("log_level"), "name", "info")


def _namespace(event: LogEvent) -> str:
    return str(event.get("log_namespace") or "-")


def _format(event: LogEvent) -> str:
    words = event.get("log_format")
    if words in _BARE_FORMATS:
        words = cut(safe_str(event.get("log_text") or event.get("log_io") or ""), 80)
    return str(words or "")


def _named_in(words: object) -> frozenset[str]:
    """The fields that a format shows."""
    if not isinstance(words, str):
        return frozenset()
    try:
        names: Iterable[str | None] = [name for _, name, _, _ in string.Formatter().parse(words)]
    except ValueError:
        return frozenset()
    return frozenset(name.split(".")[0].split("[")[0].removesuffix("()") for name in names if name)


def _cut_inside(text: str, limit: int) -> str:
    """`text` without its middle where it is too long: it begins with how we came there, and ends
    with what happened."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}\n…\n{text[head - limit :]}"
