"""Makes docs/verdicts.rst out of the docstrings of Verdict and Reason and docs/verdicts.toml.

Knows the page; the words are those of `vocabulary/outcome.py`, and what a reply comes to is
`verdict`'s to say. Run it after a change of either: python docs/make_verdicts.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from attrs import frozen

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.judge import Circumstances, Judgement, judge
from twisted_probe.vocabulary.outcome import Reason, Verdict
from twisted_probe.vocabulary.reply import Reply, Stage
from twisted_probe.vocabulary.toml_text import parsed

HERE = Path(__file__).parent
PAGE = HERE / "verdicts.rst"
EXAMPLES = HERE / "verdicts.toml"
WIDTH = 99

RECIPIENT = "ann@example.net"
CONTROL = "k3qz7m2x9w4v@example.net"
OURS = Context(
    source="192.0.2.10",
    helo="probe1.example.org",
    reverse_path="probe@example.org",
    recipient=RECIPIENT,
)

HEAD = """\
==========================
Verdicts and their reasons
==========================

.. Made by make_verdicts.py out of twisted_probe/vocabulary/outcome.py and verdicts.toml.

Every address gets one of four verdicts, with the reason for it. Nothing else is ever printed in
their place. ``code``, ``enhanced`` and ``text`` have what the exchanger said; where the source of
earlier attempts is not configured any more and another had to go on, the ``text`` ends with *(the
source of the attempts before, ADDRESS, is gone)*.

Below a reason stand replies that come to it, in our own words; where nothing else is said, they
answer RCPT. A reason without any comes without a reply, and its ``text`` says what happened.

"""
TAIL = """\
Asked again
===========

*Asked again later* means: from the same source, with the same names, at ``next_attempt_at``; until
then the outcome has ``final`` false. The daemon does it by itself, until something is said for
good, the steps of ``[retry]`` are used up or the job's deadline has come; its results hold final
outcomes only. ``mailprobe check`` does it with ``--wait``.

A reply with a 4 at its front is never taken for the end of a mailbox, whatever its words.

Nor is one with a 5 where words beside "unknown" or "disabled" take them back: that it is so for
now, that a directory was not reached, that others may write to the mailbox, or that it is our
source or sender that is meant. Where a reply repeats our source's address, only plain words for
an unknown user still count, and "your IP" only behind 5.1.1; a recipient whose local part is such
a word itself (``unknown@example.net``) has to be refused in words that are dead without it.


Vague refusals
==============

A reply with a 5 at its front that does not say what it is about, in the same words for a random
recipient, means a missing mailbox only where the same exchanger accepts another recipient of the
domain, with 250 or 251, to the same source, behind the refusal and in the same session. Somebody
who was accepted before may be asked once more for that (docs/evidence.rst). Nothing that was
accepted in an earlier session counts, for the source may have been shut out since; so a missing
mailbox that is refused vaguely where nobody else is accepted stays ``unknown``, and a living one is
not called dead.

Postmaster and abuse are accepted by many exchangers that refuse everybody else who comes from a
source. Alone they suffice where the refusal's words name a mailbox ("mailbox unavailable",
"recipient not accepted"); not where the words would fit a block as well ("rejected", "denied",
a bare 550, any 5.7.x).

The same words means: all of them, and the same numbers. ``(E17)`` and ``(E42)`` are two reasons;
only what is long and mixed enough for a queue id may differ.
"""


_WHERE = {
    Stage.GREETING: "for a greeting: ",
    Stage.EHLO: "to EHLO: ",
    Stage.STARTTLS: "to STARTTLS: ",
    Stage.MAIL: "to MAIL: ",
    Stage.RCPT: "",
}


@frozen
class Example:
    """A reply, what else was known when it came, and the reason that it comes to."""

    reason: Reason
    reply: Reply
    control: Reply | None = None
    backup: bool = False
    everyone: bool = False
    accepted: bool = False
    exempt: bool = False

    @property
    def judgement(self) -> Judgement:
        """What the program says of it."""
        control = self.control
        return judge(
            classify(self.reply.stage, self.reply, OURS),
            self.reply,
            Circumstances(
                control=control,
                control_finding=None if control is None else classify(Stage.RCPT, control, OURS),
                best=not self.backup,
                every_exchanger_refused_relay=self.everyone,
                another_accepted=self.accepted,
                exempt_accepted=self.exempt,
                recipient=RECIPIENT,
                control_recipient=CONTROL,
            ),
        )

    def words(self) -> str:
        """The example as a sentence."""
        words = f"{_WHERE[self.reply.stage]}``{_said(self.reply)}``"
        if self.backup:
            words += " from a backup exchanger"
        if self.everyone:
            words += " from every exchanger"
        if self.control is not None:
            alike = _said(self.control) == _said(self.reply)
            said = "the same" if alike else f"``{_said(self.control)}``"
            words += f", while a random recipient gets {said}"
        if self.accepted:
            words += " and another recipient is accepted behind it in the same session"
        if self.exempt:
            words += " and only postmaster is accepted behind it in the same session"
        return f"{words}. Asked again later." if self.judgement.retry else f"{words}."


def _said(reply: Reply) -> str:
    return f"{reply.code} {reply.lines[0].decode('ascii')}"


def _reply(text: str, stage: Stage = Stage.RCPT) -> Reply:
    return Reply(int(text[:3]), (text[4:].encode("ascii"),), stage=stage)


def examples() -> Iterator[Example]:
    """Those of verdicts.toml."""
    for table in parsed(EXAMPLES.read_bytes(), EXAMPLES.name)["example"]:
        control = table.pop("control", None)
        yield Example(
            Reason(table.pop("reason")),
            _reply(table.pop("reply"), Stage(table.pop("stage", Stage.RCPT.value))),
            None if control is None else _reply(control),
            **table,
        )


def page() -> str:
    """The whole page."""
    shown = list(examples())
    return HEAD + "".join(_of_verdict(verdict, shown) for verdict in Verdict) + TAIL


def _of_verdict(verdict: Verdict, shown: list[Example]) -> str:
    parts = [_title(verdict.value, "="), _filled(verdict.__doc__)]
    for reason in Reason:
        if reason.verdict is verdict:
            parts += [_title(reason.value, "-"), _filled(reason.__doc__)]
            replies = [each for each in shown if each.reason is reason]
            parts.append("".join(_filled(each.words(), "* ") for each in replies))
    return "".join(f"{part}\n" for part in parts if part) + "\n"


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _filled(text: str, bullet: str = "") -> str:
    lines = wrap(
        text,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
