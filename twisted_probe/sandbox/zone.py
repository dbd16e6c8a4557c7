"""A zone: names and their records in memory, written down as text.

Knows what the answer to a question is (RFC 1034 section 4.3.2), pure; `names` speaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

# A chain of aliases longer than this is a loop; BIND follows 16.
MAX_ALIASES = 16

#: How many words each type of record has behind it.
_WORDS = {"MX": 2, "A": 1, "AAAA": 1, "CNAME": 1, "NS": 1, "PTR": 1, "TXT": None}

#: What the first of them has to be.
_CHECKS: dict[str, Callable[[str], object]] = {
    "MX": int,
    "A": IPv4Address,
    "AAAA": IPv6Address,
}


class Trouble(Enum):
    """What a name has that has no records but a defect."""

    #: The server fails: SERVFAIL.
    SERVFAIL = "servfail"
    #: The server never answers.
    SILENCE = "silence"


class ZoneError(ValueError):
    """A record is not written as it should be; the message says which and why."""


#: Name → records, each as in a zone file ("MX 10 mx.example.net", "A 127.0.1.1"), or a trouble.
Names = Mapping[str, Sequence[str] | Trouble]


@frozen
class ResourceRecord:
    """One record: its owner as it was asked for, its type, and the words behind it."""

    owner: str
    type: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, owner: str, text: str) -> ResourceRecord:
        """Read `text`, for instance "MX 10 mx.example.net". Raises ZoneError."""
        type_, *words = text.split() or [""]
        if type_ not in _WORDS:
            raise ZoneError(f"{owner}: {text!r}: the type is none of {', '.join(_WORDS)}")
        if _WORDS[type_] not in (None, len(words)):
            raise ZoneError(f"{owner}: {text!r}: {type_} takes {_WORDS[type_]} words")
        if not (owner + text).isascii():
            raise ZoneError(f"{owner}: {text!r}: write international names as A-labels (xn--…)")
        try:
            _CHECKS.get(type_, str)(words[0])
        except ValueError as error:
            raise ZoneError(f"{owner}: {text!r}: {error}") from None
        return cls(owner, type_, tuple(words))


@frozen
class Found:
    """What there is for one question.

    `exists` is false for a name that does not exist (NXDOMAIN); a name without records of the
    type exists and has no answers (NODATA). `trouble` says that there is no such answer at all.
    """

    answers: tuple[ResourceRecord, ...] = ()
    exists: bool = True
    trouble: Trouble | None = None


class Zone:
    """The authority for all names: those that it does not hold do not exist.

    Raises ZoneError for a record that cannot be read.
    """

    def __init__(self, names: Names) -> None:
        self._held: dict[str, tuple[ResourceRecord, ...] | Trouble] = {
            _key(name): held
            if isinstance(held, Trouble)
            else tuple(ResourceRecord.parse(name, text) for text in held)
            for name, held in names.items()
        }
        # Those that exist because others stand below them (empty non-terminals), the root too.
        self._above = {above for name in self._held for above in _parents(name)}

    def find(self, name: str, type_: str) -> Found:
        """The records of this type and the aliases that lead to them."""
        answers: list[ResourceRecord] = []
        for _ in range(MAX_ALIASES):
            held = self._held.get(_key(name), ())
            if isinstance(held, Trouble):
                return Found(trouble=held)
            matching = [record for record in held if type_ in (record.type, "ANY")]
            aliases = [record for record in held if record.type == "CNAME"]
            answers += [
                ResourceRecord(name, found.type, found.words) for found in matching or aliases
            ]
            if matching or not aliases:
                return Found(tuple(answers), exists=self._exists(name))
            name = aliases[0].words[0]
        return Found(trouble=Trouble.SERVFAIL)

    def addresses(self) -> Iterator[str]:
        """Every IPv4 address that a name here has."""
        for held in self._held.values():
            if not isinstance(held, Trouble):
                yield from (record.words[0] for record in held if record.type == "A")

    def _exists(self, name: str) -> bool:
        return _key(name) in self._held or _key(name) in self._above


def _key(name: str) -> str:
    return name.rstrip(".").lower()


def _parents(name: str) -> Iterator[str]:
    while name:
        name = name.partition(".")[2]
        yield name
