"""What of a session's lines concerns one recipient.

Knows that replies come in the order of their commands; not what any of them means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

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


def _exchanges(lines: Sequence[str]) -> list[list[str]]:
    """Each command with the lines of its reply; what was said unasked by itself."""
    found: list[list[str]] = []
    waiting: list[list[str]] = []
    current: list[str] | None = None
    for line in lines:
        if line.startswith(_CLIENT):
            found.append([line])
            waiting.append(found[-1])
            continue
        if current is None:
            if waiting:
                current = waiting.pop(0)
            else:
                current = []
                found.append(current)
        current.append(line)
        if line[len(_SERVER) + 3 : len(_SERVER) + 4] != "-":
            current = None
    return found
