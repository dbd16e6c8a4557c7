"""What of a session's lines concerns one recipient.

Knows that replies come in the order of their commands; not what any of them means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.mention import Mention, folded

_CLIENT, _SERVER = "C: ", "S: "
_RCPT = "C: RCPT TO:<"


def excerpt(lines: Sequence[str], recipients: Collection[str]) -> Iterator[str]:
    """The lines of a session without those about other recipients than these (forward-paths);
    "… 3 other recipients" in their place. Commands that left together are shown with their
    replies."""
    others = 0
    for exchange in _exchanges(lines):
        if _is_about_another(exchange[0], recipients):
            others += 1
            continue
        yield from _others(others)
        others = 0
        yield from exchange
    yield from _others(others)


def _others(number: int) -> Iterator[str]:
    if number:
        yield f"… {number} other recipient" + ("s" if number > 1 else "")


def _is_about_another(line: str, recipients: Collection[str]) -> bool:
    if not line.startswith(_RCPT):
        return False
    # A line that was cut ends with an ellipsis.
    begun = line[len(_RCPT) :].rstrip(">").rstrip("…")
    return not any(
        each.startswith(begun) if line.endswith("…") else each == begun for each in recipients
    )


def without(lines: Sequence[str], mention: Mention) -> Iterator[str]:
    """The lines of a session, in their order, without all that concerns this recipient: the
    command, its reply, and whatever else names it."""
    path = folded(escaped(mention.address.forward_path.decode()))
    about = {
        number
        for exchange in _numbered_exchanges(lines)
        if (first := lines[exchange[0]]).startswith(_RCPT)
        and not _is_about_another(_RCPT + folded(first[len(_RCPT) :]), (path,))
        for number in exchange
    }
    return (
        line for number, line in enumerate(lines) if number not in about and not mention.is_in(line)
    )


def _exchanges(lines: Sequence[str]) -> list[list[str]]:
    return [[lines[number] for number in each] for each in _numbered_exchanges(lines)]


def _numbered_exchanges(lines: Sequence[str]) -> list[list[int]]:
    """Each command with the lines of its reply, by their numbers; what was said unasked by
    itself."""
    found: list[list[int]] = []
    waiting: list[list[int]] = []
    current: list[int] | None = None
    for number, line in enumerate(lines):
        if line.startswith(_CLIENT):
            found.append([number])
            waiting.append(found[-1])
            continue
        if current is None:
            if waiting:
                current = waiting.pop(0)
            else:
                current = []
                found.append(current)
        current.append(number)
        if line[len(_SERVER) + 3 : len(_SERVER) + 4] != "-":
            current = None
    return found
