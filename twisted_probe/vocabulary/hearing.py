"""A hearing: what was said in one attempt, kept so that it can be read and judged again.

Knows the values only: `routing` makes them, `verdict.basis` judges them, `jobs` keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from twisted_probe.vocabulary.reply import Reply


@frozen(kw_only=True)
class Dialogue:
    """One session as it was spoken: who was asked, when it began (POSIX seconds), and its lines
    ("S: 220 …", "C: EHLO …"), safe to print. `left_out` counts those that were too many."""

    exchanger: str
    exchanger_address: str
    begun_at: float
    lines: tuple[str, ...]
    left_out: int = 0


@frozen(kw_only=True)
class Basis:
    """All that one recipient's judgement rests on, beside the rules.

    `reply` is what was said to `recipient`, or of everybody where a session was refused (then it
    is not of the stage RCPT). `control` is the reply that is known of `control_recipient`.
    `witness` was asked at the end of the session, because the reply's worth depended on it, and
    was answered `witness_reply`. `held_back` says why the reply is not believed at all, empty
    where it is: the exchanger has changed its mind in the session.
    `dialogue` is the place of the session among those of the attempt, `rule` the one that has
    decided. For the others see `verdict.judge.Circumstances`.
    """

    reply: Reply
    recipient: str = ""
    source: str = ""
    helo: str = ""
    reverse_path: str = ""
    exchanger: str = ""
    best: bool = True
    control: Reply | None = None
    control_recipient: str = ""
    control_wanted: bool = True
    every_exchanger_refused_relay: bool = False
    another_accepted: bool = False
    exempt_accepted: bool = False
    witness: str = ""
    witness_reply: Reply | None = None
    held_back: str = ""
    dialogue: int | None = None
    rule: str = ""


@frozen(kw_only=True, eq=False)
class Hearing:
    """What the recipients of one attempt share: its sessions in order, and the basis of each that
    was answered, by its key (`Address.key`). `attempt` counts from 1 (None: kept before that was
    told), `before` is the ledger's number of the hearing of the last attempt before that has one.
    """

    dialogues: Sequence[Dialogue]
    bases: Mapping[tuple[str, str], Basis]
    before: int | None = None
    attempt: int | None = None
