"""Why a reply was read as it was: the rule that decided, and those that nearly did.

Knows how to lay open what `verdict.classify` did; decides nothing itself.
"""

from __future__ import annotations

from itertools import islice

from attrs import frozen

from twisted_probe.verdict.classify import NO_CONTEXT, classify, seen
from twisted_probe.verdict.hints import Limit, limit_hint, links, retry_hint
from twisted_probe.verdict.providers import Provider, provider_of
from twisted_probe.verdict.rules import Rule, Rules, default_rules
from twisted_probe.verdict.words import Context
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.reply import Reply, Stage

#: Rules named beside the one that decided; the last are mostly those of the code alone.
NEARLY = 4


@frozen
class Match:
    """A rule that the reply matches, and by what.

    `shown` are the words of the reply's shape that fulfil the rule, else its enhanced code, else
    its code.
    """

    rule: str
    label: Label
    explicit: bool
    ground: str
    shown: str


@frozen
class Explanation:
    """How one reply was read.

    `text` is its shape, which is all that rules see (`verdict.words.masked`), and empty for a
    2xx, whose words do not count. `decided` is None where no rule matches and the code class
    alone speaks. `nearly` are the next rules that match and would have decided without those
    before them. The rest is what else the reply or the exchanger's name tells: the `provider`
    whose answers are doubted, seconds to wait, a limit, and links for the operator to read.
    """

    finding: Finding
    text: str
    enhanced: str | None
    decided: Match | None
    nearly: tuple[Match, ...]
    provider: Provider | None
    retry_after: float | None
    limit: Limit | None
    links: tuple[str, ...]


def explain(
    stage: Stage, reply: Reply, context: Context = NO_CONTEXT, rules: Rules | None = None
) -> Explanation:
    """What `classify` finds for the same arguments, and why. Pure; never raises."""
    rules = default_rules() if rules is None else rules
    enhanced, text = seen(stage, reply, context, rules)
    matching = rules.matching(stage, reply.code, enhanced, text, context.exchanger)
    matches = [_match(rule, reply, enhanced, text) for rule in islice(matching, NEARLY + 1)]
    return Explanation(
        finding=classify(stage, reply, context, rules),
        text=text,
        enhanced=enhanced,
        decided=matches[0] if matches else None,
        nearly=tuple(matches[1:]),
        provider=provider_of(context.exchanger),
        retry_after=retry_hint(reply),
        limit=limit_hint(reply),
        links=links(reply),
    )


def _match(rule: Rule, reply: Reply, enhanced: str | None, text: str) -> Match:
    words = None if rule.words is None else rule.words.search(text)
    if words is not None:
        shown = words[0]
    else:
        shown = enhanced if rule.enhanced is not None and enhanced else str(reply.code)
    return Match(rule.name, rule.label, rule.explicit, rule.ground, shown)
