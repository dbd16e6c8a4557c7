"""Why a reply was read as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.explain import NEARLY, Match, explain
from twisted_probe.verdict.hints import Limit
from twisted_probe.verdict.providers import provider_of
from twisted_probe.verdict.rules import default_rules, load_rules
from twisted_probe.vocabulary.finding import Label
from twisted_probe.vocabulary.reply import Reply, Stage


def said(text: str) -> Reply:
    return Reply(int(text[:3]), tuple(line[4:].encode() for line in text.split("\n")))


def test_the_rule_that_decided_and_those_that_nearly_did() -> None:
    reply = said("550 5.1.1 192.0.2.1 is listed at zen.spamhaus.org; no such user")
    told = explain(Stage.RCPT, reply)
    assert told.finding == classify(Stage.RCPT, reply)
    assert told.text == "_ip is listed at zen.spamhaus.org; no such user"
    assert told.enhanced == "5.1.1"
    decided = told.decided
    assert decided is not None
    assert (decided.rule, decided.label, decided.shown) == (
        "block-list-by-name",
        Label.BLOCKLISTED,
        "zen",
    )
    assert decided.explicit
    assert "the lists' own names" in decided.ground
    nearly = {match.rule: match for match in told.nearly}
    assert len(told.nearly) == NEARLY
    assert nearly["enhanced-no-mailbox"].shown == "5.1.1"
    assert nearly["enhanced-no-mailbox"].label is Label.NO_SUCH_MAILBOX


def test_the_code_alone() -> None:
    told = explain(Stage.RCPT, said("550 no"))
    assert told.decided == Match(
        "class-permanent",
        Label.UNKNOWN,
        False,
        "RFC 5321 4.2.1: permanent negative completion, of what nobody says",
        "550",
    )
    assert told.nearly == ()


def test_a_rule_that_takes_any_enhanced_code_or_none() -> None:
    rules = load_rules(
        '[[rule]]\nname = "mine"\nlabel = "policy"\nground = "ours"\nstages = ["rcpt"]\n'
    )
    decided = explain(Stage.RCPT, said("550 5.7.1 no"), rules=rules).decided
    assert decided is not None
    assert decided.shown == "550"


def test_no_rule_at_all() -> None:
    told = explain(Stage.RCPT, said("550 no"), rules=load_rules(""))
    assert told.decided is None
    assert told.finding.rule == "no-rule"


def test_a_yes_has_no_words() -> None:
    told = explain(Stage.RCPT, said("250 no such user"))
    assert (told.text, told.finding.label) == ("", Label.ACCEPTED)
    assert told.decided is not None
    assert told.decided.rule == "positive"


def test_what_else_is_told() -> None:
    name = "mta7.am0.yahoodns.net"
    told = explain(
        Stage.RCPT,
        said(
            "421 too many messages, at most 20 messages an hour; try again in 300 seconds, "
            "see https://example.net/why?a=b."
        ),
        Context(exchanger=name),
    )
    assert told.provider is provider_of(name) is not None
    assert told.retry_after == 300
    assert told.limit == Limit(20, "messages", 3600)
    assert told.links == ("https://example.net/why?a=b",)


@given(
    st.sampled_from(["", "mx1.gmx.net", "mx.example"]),
    st.sampled_from(list(Stage)),
    st.integers(),
    st.lists(st.binary()),
)
def test_it_agrees_with_classify_and_never_raises(
    exchanger: str, stage: Stage, code: int, lines: list[bytes]
) -> None:
    context = Context(exchanger=exchanger)
    reply = Reply(code, tuple(lines))
    told = explain(stage, reply, context)
    found = classify(stage, reply, context)
    assert told.finding == found
    assert found.rule == ("no-rule" if told.decided is None else told.decided.rule)


def test_what_is_memoised_is_what_would_be_found() -> None:
    """The shape is all that rules see, so that one look-up may stand for all of a shape."""
    rules = default_rules()
    for number in range(3):
        text = f"550 5.1.1 <u{number}@a.example>: 192.0.2.{number} listed by mx{number}.b.example"
        context = Context(recipient=f"u{number}@a.example")
        decided = explain(Stage.RCPT, said(text), context, rules).decided
        assert decided is not None
        assert classify(Stage.RCPT, said(text), context, rules).rule == decided.rule
