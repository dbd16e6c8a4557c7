"""Hearings as compressed bytes and back.

Knows every field of a hearing, and how much of its dialogues is kept; not where they lie
(`jobs.hearings`). A recipient's own reply stands in its basis, which is never cut.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, fields

from twisted_probe.vocabulary.escaping import cut
from twisted_probe.vocabulary.hearing import Basis, Dialogue, Hearing
from twisted_probe.vocabulary.reply import Reply, Stage

#: Bytes of a session's lines when they are packed: a hundred recipients and their replies have
#: some 3 KiB.
MAX_DIALOGUE = 16 * 1024
#: Characters of a line that are kept, the first that suffices; the last ones show who was asked
#: and the code of the answer.
_LINE_LENGTHS = (256, 128, 64, 32)
#: Lines of the opening that are kept where even short lines are too many, and of the end.
_OPENING = 50
#: zlib: 9 would gain a hundredth and cost twice the time.
_LEVEL = 6
# A window of 8 KiB, and 64 KiB of memory: no hearing gets larger for it. With zlib's own 256 KiB
# the system gives and takes the memory each time, which costs a small one seven times as much.
_WINDOW = 13
_MEMORY = 6

# What the bases of one attempt mostly share stands once, and in a basis where it is otherwise.
_SHARED = (
    *("source", "helo", "reverse_path", "exchanger", "control", "control_recipient"),
    *("witness", "witness_reply"),
)
_REPLIES = ("control", "witness_reply")
_DEFAULTS = {each.name: each.default for each in fields(Basis) if each.name != "reply"}
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class DamagedHearing(Exception):
    """The bytes are none that `packed` has made. The message names nobody."""


def packed(hearing: Hearing) -> bytes:
    """`hearing` as bytes: at most MAX_DIALOGUE for each of its sessions, and its bases."""
    bases = hearing.bases
    first = next(iter(bases.values()), None)
    shared = {} if first is None else {name: getattr(first, name) for name in _SHARED}
    plain = {
        "before": hearing.before,
        "attempt": hearing.attempt,
        "shared": _plain(shared),
        "bases": [
            [*key, _reply(basis.reply), _plain(_differences(basis, shared))]
            for key, basis in bases.items()
        ],
        "dialogues": [_bounded(each) for each in hearing.dialogues],
    }
    pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
    return pack.compress(_to_json(plain).encode()) + pack.flush()


def text_of(data: bytes) -> bytes:
    """All words of the hearing that `packed` was given, to be searched. Raises DamagedHearing."""
    try:
        return zlib.decompress(data)
    except (zlib.error, TypeError) as error:
        raise DamagedHearing(f"it cannot be unpacked: {type(error).__name__}") from None


def unpacked(data: bytes) -> Hearing:
    """The hearing that `packed` was given, but for what it left out.

    Raises DamagedHearing.
    """
    try:
        return _hearing(json.loads(text_of(data)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedHearing(f"it is no hearing: {type(error).__name__}") from None


def _hearing(plain: dict[str, Any]) -> Hearing:
    shared = {**_DEFAULTS, **_values(plain["shared"])}
    for *_, more in plain["bases"]:
        # Written until an acceptance of up to 7 days before vouched, too: not to be told from one
        # in the same session.
        more.pop("recipient_accepted_lately", None)
        # And until postmaster alone vouched less than others: nobody else did where it was asked.
        witness = more.get("witness", shared["witness"])
        if more.get("another_accepted") and witness.startswith("postmaster@"):
            more["exempt_accepted"] = more.pop("another_accepted")
    return Hearing(
        before=plain["before"],
        attempt=plain.get("attempt"),
        dialogues=[
            Dialogue(
                exchanger=name,
                exchanger_address=address,
                begun_at=begun_at,
                lines=tuple(lines.split("\n")),
                left_out=left_out,
            )
            for name, address, begun_at, lines, left_out in plain["dialogues"]
        ],
        bases={
            (domain, local): Basis(reply=_a_reply(reply), **{**shared, **_values(more)})
            for domain, local, reply, more in plain["bases"]
        },
    )


def _differences(basis: Basis, shared: Mapping[str, Any]) -> dict[str, Any]:
    usual = {**_DEFAULTS, **shared}
    return {name: value for name in _DEFAULTS if (value := getattr(basis, name)) != usual[name]}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _reply(value) if isinstance(value, Reply) else value for name, value in values.items()
    }


def _values(plain: Mapping[str, Any]) -> dict[str, Any]:
    replies = {name: _a_reply(plain[name]) for name in _REPLIES if plain.get(name) is not None}
    return {**plain, **replies}


def _reply(reply: Reply) -> list[Any]:
    lines = [line.decode("latin-1") for line in reply.lines]
    return [reply.code, lines, reply.host, reply.stage.value]


def _a_reply(plain: Sequence[Any]) -> Reply:
    code, lines, host, stage = plain
    return Reply(code, (line.encode("latin-1") for line in lines), host, Stage(stage))


def _bounded(dialogue: Dialogue) -> list[Any]:
    """A session whose lines are no longer than they may be when packed."""
    for length in _LINE_LENGTHS:
        text = "\n".join(cut(line, length) for line in dialogue.lines)
        data = text.encode()
        if len(data) <= MAX_DIALOGUE or len(zlib.compress(data, 1)) <= MAX_DIALOGUE:
            return _fields(dialogue, text)
    lines = dialogue.lines
    kept = evolve(
        dialogue,
        lines=(*lines[:_OPENING], *lines[-_OPENING:]),
        left_out=dialogue.left_out + len(lines) - 2 * _OPENING,
    )
    return _fields(kept, "\n".join(cut(line, _LINE_LENGTHS[-1]) for line in kept.lines))


def _fields(dialogue: Dialogue, text: str) -> list[Any]:
    return [
        dialogue.exchanger,
        dialogue.exchanger_address,
        dialogue.begun_at,
        text,
        dialogue.left_out,
    ]
