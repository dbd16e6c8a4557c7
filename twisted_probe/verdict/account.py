"""An account of one judgement, as plain data: what was said, which rule decided, about whom.

Knows what `explain` and `remedies` give, and the names that it has for programs; not how it is
shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict

from twisted_probe.verdict.basis import context_of, control_finding_of, judgement_of
from twisted_probe.verdict.explain import Match, explain
from twisted_probe.verdict.remedy import remedies
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.hearing import Basis


def account_of(basis: Basis, rules: Rules | None = None) -> dict[str, Any]:
    """How these rules (None: the package's) judge. Pure."""
    explanation = explain(basis.reply.stage, basis.reply, context_of(basis), rules)
    finding, judgement = explanation.finding, judgement_of(basis, rules)
    control_finding = control_finding_of(basis, rules)
    provider = explanation.provider
    return {
        "reply": str(basis.reply),
        "stage": basis.reply.stage.value,
        "seen": explanation.text,
        "label": finding.label.value,
        "about": finding.subject.value,
        "explicit": finding.explicit,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason.value,
        "advice": judgement.reason.__doc__,
        "rule": None if explanation.decided is None else _match(explanation.decided),
        "nearly": [_match(match) for match in explanation.nearly],
        "rule_then": basis.rule or None,
        "control": None
        if basis.control is None or control_finding is None
        else {
            "recipient": basis.control_recipient,
            "reply": str(basis.control),
            "label": control_finding.label.value,
        },
        "control_wanted": basis.control_wanted,
        "witness": None
        if basis.witness_reply is None
        else {"recipient": basis.witness, "reply": str(basis.witness_reply)},
        "held_back": basis.held_back or None,
        "best_exchanger": basis.best,
        "another_was_accepted": basis.another_accepted,
        "exempt_was_accepted": basis.exempt_accepted,
        "provider": None
        if provider is None
        else {"name": provider.name, "doubts": provider.doubts.value, "said": provider.said},
        "retry_after": explanation.retry_after,
        "limit": None if explanation.limit is None else asdict(explanation.limit),
        "links": list(explanation.links),
        "would_change_it": list(remedies(basis, rules)),
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "name": match.rule,
        "label": match.label.value,
        "explicit": match.explicit,
        "ground": match.ground,
        "shown": match.shown,
    }


def hits_of(rules: Rules, hits: Mapping[str, int]) -> list[dict[str, Any]]:
    """The rules that have decided, the most frequent first, and how often; those that are not in
    force any more have no label and no ground."""
    by_name = {rule.name: rule for rule in rules}
    return [
        {
            "name": name,
            "hits": number,
            "label": by_name[name].label.value if name in by_name else None,
            "explicit": by_name[name].explicit if name in by_name else None,
            "ground": by_name[name].ground if name in by_name else None,
        }
        for name, number in sorted(hits.items(), key=lambda item: (-item[1], item[0]))
    ]
