"""The judgement of what was kept: the same for a reply that came just now and for one of long ago.

Knows how a `Basis` is laid before `classify` and `judge`; not where it comes from.
"""

from __future__ import annotations

from attrs import evolve

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.judge import Circumstances, Judgement, judge
from twisted_probe.verdict.providers import provider_of
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.finding import Finding
from twisted_probe.vocabulary.hearing import Basis
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Stage


def context_of(basis: Basis) -> Context:
    """Our own values, as the reply may repeat them."""
    return Context(
        source=basis.source,
        helo=basis.helo,
        reverse_path=basis.reverse_path,
        recipient=basis.recipient,
        exchanger=basis.exchanger,
    )


def finding_of(basis: Basis, rules: Rules | None = None) -> Finding:
    """What the reply says, by these rules (None: the package's own)."""
    return classify(basis.reply.stage, basis.reply, context_of(basis), rules)


def control_finding_of(basis: Basis, rules: Rules | None = None) -> Finding | None:
    """What the control's reply says, if there is one."""
    control = basis.control
    if control is None:
        return None
    return classify(control.stage, control, evolve(context_of(basis), recipient=""), rules)


def judgement_of(basis: Basis, rules: Rules | None = None) -> Judgement:
    """What becomes of the recipient by these rules. Pure."""
    return judged(basis, finding_of(basis, rules), control_finding_of(basis, rules))


def judged(basis: Basis, finding: Finding, control_finding: Finding | None) -> Judgement:
    """The same where it is known what the reply says, and what the control's says."""
    if basis.held_back:
        return Judgement(Reason.POLICY, None, retry=True)
    if basis.reply.stage is not Stage.RCPT:
        return judge(finding, basis.reply)
    return judge(
        finding,
        basis.reply,
        Circumstances(
            control=basis.control,
            control_finding=control_finding,
            control_wanted=basis.control_wanted,
            best=basis.best,
            every_exchanger_refused_relay=basis.every_exchanger_refused_relay,
            another_accepted=basis.another_accepted,
            exempt_accepted=basis.exempt_accepted,
            provider=provider_of(basis.exchanger),
            recipient=basis.recipient,
            control_recipient=basis.control_recipient,
        ),
    )
