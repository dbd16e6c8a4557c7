"""What one reply says, and about whom.

Knows how a reply is laid before the rules; not the rules (`rules.toml`), and not what becomes
of the recipient (`verdict.judge`).
"""

from __future__ import annotations

import re

from twisted_probe.verdict.rules import Rules, default_rules
from twisted_probe.verdict.words import (
    Context,
    enhanced_code,
    masked,
    without_links,
    without_local_part,
)
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.reply import Reply, Stage

__all__ = ["Context", "classify", "classify_text"]

NO_CONTEXT = Context()

# What is found where no rule matches: the code class alone, which is never explicit.
_ACCEPTED = Finding(Label.ACCEPTED, Label.ACCEPTED.subject, "no-rule", explicit=False)
_UNKNOWN = Finding(Label.UNKNOWN, Label.UNKNOWN.subject, "no-rule", explicit=False)


def classify(
    stage: Stage, reply: Reply, context: Context = NO_CONTEXT, rules: Rules | None = None
) -> Finding:
    """What `reply`, said at `stage`, says. Pure; the first rule that matches decides.

    `context` holds our own values, which the rules must not read as the exchanger's words.
    A 2xx is accepted whatever its words. Never raises, whatever the bytes.
    """
    rules = default_rules() if rules is None else rules
    return _found(rules, stage, reply, *seen(stage, reply, context, rules), context.exchanger)


def seen(stage: Stage, reply: Reply, context: Context, rules: Rules) -> tuple[str | None, str]:
    """What rules see of a reply beside its code: the enhanced code, and the shape of its words.

    Where the recipient's local part stands alone it may be a word of the reply's or the local
    part: unknown@example.net in "user unknown". The words in a link may be a page's name:
    "…/user-unknown". What is dead must be so in every reading.
    """
    enhanced = enhanced_code(reply)
    if reply.is_positive:
        return enhanced, ""

    def is_dead(way: str, explicit: bool = False) -> bool:
        found = _found(rules, stage, reply, enhanced, way, context.exchanger)
        return found.label in _DEAD and (found.explicit or not explicit)

    text = masked(reply, context)
    plain = without_links(text)
    if plain != text and is_dead(text):
        text = plain
    other = without_local_part(text, context.recipient)
    if other != text and is_dead(text) and not is_dead(other, explicit=True):
        text = other
    return enhanced, text


# What may end as undeliverable in so many words.
_DEAD = frozenset((Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED, Label.NO_SUCH_DOMAIN))


def _found(
    rules: Rules, stage: Stage, reply: Reply, enhanced: str | None, text: str, exchanger: str
) -> Finding:
    found = rules.first(stage, reply.code, enhanced, text, exchanger)
    if found is not None:
        return found
    return _ACCEPTED if reply.is_positive else _UNKNOWN


_STAGES = {
    **{stage.value: stage for stage in Stage},
    "connect": Stage.GREETING,
    "banner": Stage.GREETING,
    "helo": Stage.EHLO,
    "lhlo": Stage.EHLO,
}
_STAGE = re.compile(r"[a-z]+")
_CODE = re.compile(r"\s*([2-5]\d\d)(?:[ -]|$)")
_ENHANCED = re.compile(r"\W*([245]\.\d{1,3}\.\d{1,3})\W*")


def classify_text(
    stage: str | None, code: int | str | None, enhanced: str | None, text: str | bytes | None
) -> str:
    """The label of a reply out of a log or a corpus, where it is raw text; for scoring.

    `text` may have several lines and repeat the code before each; `code` and `enhanced` may be
    missing; the enhanced code may stand in brackets or behind a "#". The stage is known by its
    first word in any case: greeting (connect, banner), ehlo (helo), starttls, mail (MAIL FROM),
    rcpt (RCPT TO), other; any other (data, unknown) is read as rcpt, a missing code as 554,
    the one that says least, or as the enhanced code's class. Logs guess stages: a reply whose
    words say nothing at the stage given is read as one to rcpt. Bytes are read as UTF-8, with
    marks in place of what is none. Never raises.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    lines = (text or "").splitlines() or [""]
    said = _CODE.match(str(code or "")) or _CODE.match(lines[0])
    given = _ENHANCED.fullmatch(enhanced or "")
    enhanced = None if given is None else given[1]
    guess = f"{enhanced[0]}50" if enhanced else "554"
    number = said[1] if said is not None else guess
    lines = [line.strip().removeprefix(number).lstrip(" -") for line in lines]
    name = _STAGE.search((stage or "").lower())
    asked = _STAGES.get(name[0], Stage.RCPT) if name else Stage.RCPT
    reply = _reply(number, lines, asked)
    if enhanced and reply.enhanced is None:
        reply = _reply(number, [f"{enhanced} {lines[0]}", *lines[1:]], asked)
    found = classify(asked, reply)
    if found.label is Label.UNKNOWN:
        found = classify(Stage.RCPT, reply)
    return found.label.value


def _reply(number: str, lines: list[str], stage: Stage) -> Reply:
    return Reply(int(number), tuple(line.encode("utf-8", "replace") for line in lines), stage=stage)
