"""What would change a verdict, in words that an operator can act on.

Knows which circumstance each judgement hangs on; not how anything is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from twisted_probe.verdict.basis import finding_of, judgement_of
from twisted_probe.verdict.hints import links, retry_hint
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.finding import Subject
from twisted_probe.vocabulary.hearing import Basis
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage

_VAGUE = frozenset((Reason.POLICY, Reason.REJECTS_EVERYONE, Reason.NO_SUCH_MAILBOX))


def remedies(basis: Basis, rules: Rules | None = None) -> tuple[str, ...]:
    """What would have to be otherwise for another verdict, the likeliest first. Pure."""
    return tuple(_remedies(basis, rules))


def _remedies(basis: Basis, rules: Rules | None) -> Iterator[str]:
    if basis.held_back:
        yield "another session, in which the exchanger is of one mind from beginning to end"
        return
    finding, reason = finding_of(basis, rules), judgement_of(basis, rules).reason
    if basis.reply.is_positive:
        yield from _of_acceptance(basis, reason)
        return
    if basis.reply.stage is not Stage.RCPT:
        yield "an answer to its own RCPT: this reply ended the session for everybody"
    elif not finding.explicit and reason in _VAGUE:
        yield from _of_vague_refusal(basis, rules)
    if reason is Reason.RELAY_DENIED or (
        reason is Reason.TEMPORARY and finding.subject is Subject.DOMAIN
    ):
        yield "an exchanger of the domain that serves it: only when all refuse is it dead"
    if basis.reply.code_class == 4:
        wait = retry_hint(basis.reply)
        when = "" if wait is None else f", in {wait:g} s as the reply says"
        yield f"another answer later{when}: a 4xx is never the last word"
    if finding.subject in (Subject.SOURCE, Subject.SENDER, Subject.US):
        yield f"a mended {_OURS[finding.subject]}: the mailbox was not judged"
    for link in links(basis.reply):
        yield f"what is said at {link}"
    yield (
        f"a rule of your own that reads the reply otherwise than {finding.rule}; it comes before "
        "the package's (the setting rules), and mailprobe reclassify shows what it would change"
    )


_OURS = {
    Subject.SOURCE: "source (block list, reverse DNS, reputation), or another source",
    Subject.SENDER: "reverse-path, SPF or HELO name (mailprobe doctor)",
    Subject.US: "way of asking",
}


def _of_acceptance(basis: Basis, reason: Reason) -> Iterator[str]:
    control = basis.control
    if reason is Reason.ACCEPTED:
        yield "the random recipient accepted too: then it is catch_all"
        return
    if basis.reply.code == 252:
        yield "a 250 in the place of the 252, which promises nothing"
    if not basis.best:
        yield "an answer of a best exchanger: a backup takes what it cannot check"
    if control is not None and control.is_positive:
        yield "the random recipient refused; a domain that took it is asked again after 7 days"
    elif control is None and basis.control_wanted:
        yield "a clear answer to the random recipient, which has none yet (a 4xx is none)"


def _of_vague_refusal(basis: Basis, rules: Rules | None) -> Iterator[str]:
    control, judgement = basis.control, judgement_of(basis, rules)
    if not basis.control_wanted:
        yield "a random recipient to compare it with: control = true"
    elif control is None or judgement.retry:
        yield "a clear answer to the random recipient, which this refusal can be compared with"
    elif control.is_positive:
        yield "nothing that we can do: a random recipient is accepted, and this one is not"
    elif judgement.reason is Reason.POLICY:
        yield "nothing that we can do: unknown recipients are refused in other words"
    elif judgement.reason is Reason.NO_SUCH_MAILBOX:
        yield (
            "a session in which nobody else of the domain is accepted: one was, behind this "
            "refusal, so that the refusal is of this mailbox; alone it would fit a block as well"
        )
    else:
        explained = judgement_of(evolve(basis, exempt_accepted=True), rules)
        is_enough = explained.reason is Reason.NO_SUCH_MAILBOX
        yield (
            "a recipient of the domain that is accepted, after this one: one of known_good"
            + (", or postmaster; " if is_enough else "; ")
            + "then the refusal is meant, and the mailbox is dead"
        )
        if not is_enough:
            yield (
                "postmaster is not enough: such words fit a block of the source as well, and many "
                "exempt postmaster from blocks"
            )
