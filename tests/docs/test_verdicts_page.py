"""docs/verdicts.rst: it is what its maker makes today, and its examples are true."""

from __future__ import annotations

import pytest
from docutils import nodes
from docutils.core import publish_doctree, publish_string

from docs import make_verdicts
from docs.make_verdicts import Example
from twisted_probe.vocabulary.outcome import Reason, Verdict

TEXT = make_verdicts.PAGE.read_text("utf-8")
EXAMPLES = list(make_verdicts.examples())

#: Where no reply decides.
WITHOUT_REPLY = {
    *(Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.NO_ROUTE, Reason.DNS_ERROR),
    *(Reason.FORBIDDEN_EXCHANGER, Reason.SOURCE_UNAVAILABLE, Reason.SMTPUTF8_UNSUPPORTED),
    *(Reason.SKIPPED, Reason.INTERNAL_ERROR),
}


def test_it_is_current() -> None:
    assert make_verdicts.page() == TEXT, "run: python docs/make_verdicts.py"


def test_it_renders_without_a_warning() -> None:
    publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"{each.reason}-{each.reply.code}")
def test_an_example_comes_to_its_reason(example: Example) -> None:
    assert example.judgement.reason is example.reason


def test_every_reason_that_a_reply_can_decide_has_an_example() -> None:
    assert {example.reason for example in EXAMPLES} == set(Reason) - WITHOUT_REPLY


def test_every_verdict_and_reason_has_its_section() -> None:
    titles = [title.astext() for title in publish_doctree(TEXT).findall(nodes.title)]
    wanted: list[str] = []
    for verdict in Verdict:
        wanted += [verdict.value, *(each.value for each in Reason if each.verdict is verdict)]
    assert titles == ["Verdicts and their reasons", *wanted, "Asked again", "Vague refusals"]


def test_a_verdict_knows_what_to_make_of_it() -> None:
    for verdict in Verdict:
        assert Verdict(verdict.value) is verdict
        assert verdict.__doc__.endswith(".")
