"""The form of the rules, and the errors that a file of another form gets."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from twisted_probe.verdict.rules import RuleError, default_rules, load_rules, rules_with
from twisted_probe.verdict.words import folded
from twisted_probe.vocabulary.finding import Label, Subject
from twisted_probe.vocabulary.reply import Stage

HEAD = '[[rule]]\nname = "mine"\n'
WHOLE = HEAD + 'label = "policy"\nground = "ours"\n'
ANY = WHOLE + 'stages = ["rcpt"]\n'


def test_the_default_rules_are_read_once() -> None:
    assert default_rules() is default_rules()


def test_the_default_rules_need_no_trust() -> None:
    text = resources.files("twisted_probe.verdict").joinpath("rules.toml").read_text("utf-8")
    assert list(load_rules(text)) == list(default_rules())


def test_what_is_sieved_out_does_not_match() -> None:
    """The words of all that the rules are tested with."""
    rules = default_rules()
    lines = Path(__file__).with_name("replies.txt").read_text("utf-8").splitlines()
    for text in {folded(line[30:]) for line in lines}:
        found = [rule.name for rule in rules.matching(Stage.RCPT, 550, None, text)]
        wanted = [r.name for r in rules if r.concerns(Stage.RCPT, 550) and r.matches(None, text)]
        assert found == wanted


def test_every_label_has_a_rule() -> None:
    assert {rule.label for rule in default_rules()} == set(Label)


def test_names_are_unique_and_grounds_are_given() -> None:
    names = [rule.name for rule in default_rules()]
    assert len(set(names)) == len(names)
    assert all(rule.ground.strip() for rule in default_rules())


def test_a_rule_without_words_is_dead_only_by_an_enhanced_code_or_556() -> None:
    dead = (Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED, Label.NO_SUCH_DOMAIN)
    for rule in default_rules():
        if rule.label in dead and rule.words is None:
            assert rule.enhanced is not None or rule.name == "code-takes-no-mail"


def test_what_is_dead_is_so_only_at_rcpt() -> None:
    dead = (Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED, Label.NO_SUCH_DOMAIN)
    for rule in default_rules():
        if rule.label in dead:
            assert rule.stages
            assert rule.stages <= {Stage.RCPT, Stage.OTHER}


def test_a_whole_rule() -> None:
    (rule,) = load_rules(
        HEAD
        + """
        label = "policy"
        subject = "us"
        stages = ["rcpt", "mail"]
        codes = ["5.."]
        enhanced = ["5.7.*"]
        words = ['Été {who}', 'x']
        unless = ['\\S{9}']
        echoes = ["helo"]
        explicit = false
        ground = "ours"
        [terms]
        who = ['NOW', 'then']
        """
    )
    assert (rule.label, rule.subject, rule.explicit) == (Label.POLICY, Subject.US, False)
    assert rule.concerns(Stage.RCPT, 554)
    assert not rule.concerns(Stage.RCPT, 454)
    assert not rule.concerns(Stage.EHLO, 554)
    assert rule.matches("5.7.1", "ete then _helo")
    assert not rule.matches("5.1.1", "ete now _helo")
    assert not rule.matches(None, "ete now _helo")
    assert not rule.matches("5.7.1", "never _helo")
    assert not rule.matches("5.7.1", "ete now")
    assert not rule.matches("5.7.1", "ete now _helo waywayway")


def test_a_term_may_name_an_earlier_one() -> None:
    (rule,) = load_rules(WHOLE + "words = ['{b}']\n[terms]\na = ['x', 'y']\nb = ['{a}z', 'w']")
    assert [text for text in ("xz", "yz", "w", "z", "x") if rule.matches(None, text)] == [
        "xz",
        "yz",
        "w",
    ]


def test_a_rule_for_some_exchangers() -> None:
    rules = load_rules(
        WHOLE + 'exchangers = ["a.example", "b.example"]\n' + ANY.replace("mine", "any")
    )

    def rule(exchanger: str) -> str | None:
        found = rules.first(Stage.RCPT, 550, None, "no", exchanger)
        return None if found is None else found.rule

    assert rule("mx.a.example") == rule("B.Example.") == "mine"
    assert rule("") == rule("mx.c.example") == rule("xa.example") == "any"


def test_only_a_2xx_is_accepted_and_it_is_nothing_else() -> None:
    (policy,) = load_rules(ANY)
    assert not policy.concerns(Stage.RCPT, 250)
    (accepted,) = load_rules(HEAD + 'label = "accepted"\ncodes = ["25."]\nground = "ours"\n')
    assert accepted.concerns(Stage.RCPT, 250)


def test_the_first_rule_decides() -> None:
    rules = load_rules(ANY + ANY.replace("mine", "other"))
    found = rules.first(Stage.RCPT, 550, None, "")
    assert found is not None
    assert found.rule == "mine"


def test_the_operators_rules_come_first() -> None:
    rules = rules_with(WHOLE + "words = ['unknown']")
    found = [rules.first(Stage.RCPT, 550, "5.1.1", text) for text in ("user unknown", "no user")]
    assert [None if each is None else each.rule for each in found] == [
        "mine",
        "enhanced-no-mailbox",
    ]
    assert list(rules)[1:] == list(default_rules())


def test_the_operators_rules_have_names_of_their_own() -> None:
    with pytest.raises(RuleError, match="rule 'positive', key 'name': the package has one"):
        rules_with(ANY.replace("mine", "positive"))


def test_an_empty_file_has_no_rules() -> None:
    assert not list(load_rules(""))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= 1", "not TOML"),
        ("[rules]", "key 'rules': only"),
        ("rule = 1", "key 'rule': write each rule as [[rule]]"),
        ("rule = [1]", "key 'rule': write each rule as [[rule]]"),
        ("[terms]\nwho = ['{what}']", "term 'who': there is no earlier term {what}"),
        (WHOLE + 'exchangers = ["com"]', "key 'exchangers': 'com' is none; write the end of"),
        ("terms = 1", "key 'terms': write it as [terms]"),
        ("[terms]\nwho = 1", "term 'who': it is not a list of texts"),
        ("[terms]\nwho = [1]", "term 'who': it is not a list of texts"),
        (WHOLE + "lable = 1", "rule 'mine', key 'lable': it is not known"),
        ('[[rule]]\nlabel = "policy"', "rule 1, key 'name': it must be there"),
        (WHOLE.replace("mine", "Mine"), "rule 'Mine', key 'name': write lower-case"),
        (ANY + ANY, "line 7: rule 'mine', key 'name': there is another"),
        (WHOLE, "line 1: rule 'mine', key 'words': without this or another condition"),
        (WHOLE + "unless = ['x']", "line 1: rule 'mine', key 'words': without this or another"),
        (
            WHOLE + "words = ['x', '']",
            "line 5: rule 'mine', key 'words': '' needs no words to match",
        ),
        (WHOLE + "unless = ['x*']", "line 5: rule 'mine', key 'unless': 'x*' needs no words"),
        (
            WHOLE + 'words = ["\\bx"]',
            "key 'words': '\\x08x' holds a control character; write it in",
        ),
        (WHOLE + "words = ['(x+)+']", "key 'words': '(x+)+' repeats a repetition, which may take"),
        (WHOLE + "words = ['({x})*y']\n[terms]\nx = ['a*']", "key 'words': '({x})*y' repeats a"),
        (
            WHOLE + "words = ['{z}']\n[terms]\nwho = ['x',\n'{y}']",
            "line 7: term 'who': there is no",
        ),
        (
            ANY + ANY.replace("mine", "more") + "\nlable = 1",
            "line 12: rule 'more', key 'lable': it is",
        ),
        (WHOLE + "words = [\n'{who}=\n',\n[[rule]]\n", "not TOML"),
        (WHOLE + 'words = ["""\n[[rule]]\nx"""]\ncodes = 1', "rule 'mine', key 'codes': it is not"),
        (WHOLE + "codes = [\n['550'],\n['551']]", "line 5: rule 'mine', key 'codes': it is not a"),
        ("rule = [{name = 'mine'}]", "rule 'mine', key 'label': it must be there"),
        (HEAD + 'ground = "x"', "rule 'mine', key 'label': it must be there"),
        (WHOLE.replace("policy", "dead"), "key 'label': 'dead' is not one of accepted, "),
        (HEAD + 'label = "policy"', "rule 'mine', key 'ground': it must be there"),
        (WHOLE.replace("ours", " "), "rule 'mine', key 'ground': it must be there"),
        (WHOLE + 'subject = "me"', "key 'subject': 'me' is not one of recipient, "),
        (WHOLE + 'stages = ["data"]', "key 'stages': 'data' is not one of connect, "),
        (WHOLE + 'codes = "550"', "key 'codes': it is not a list of texts"),
        (WHOLE + "codes = [550]", "key 'codes': it is not a list of texts"),
        (WHOLE + "codes = []", "key 'codes': the list is empty"),
        (WHOLE + 'codes = ["5xx"]', "key 'codes': '5xx' is none; write three digits"),
        (WHOLE + 'enhanced = ["5.1"]', "key 'enhanced': '5.1' is none; write such as"),
        (WHOLE + 'words = ["("]', "key 'words': '(' is no regular expression: "),
        (WHOLE + 'words = ["{who}"]', "key 'words': there is no term {who}"),
        (WHOLE + 'unless = ["("]', "key 'unless': '(' is no regular expression: "),
        (WHOLE + 'echoes = ["ehlo"]', "key 'echoes': 'ehlo' is not one of source, "),
        (WHOLE + "explicit = 1", "key 'explicit': write true or false"),
        (
            HEAD + 'label = "accepted"\nground = "x"',
            "key 'codes': the label accepted is for codes that begin with 2",
        ),
        (
            HEAD + 'label = "accepted"\nground = "x"\ncodes = ["250", "..."]',
            "key 'codes': the label accepted is for codes that begin with 2",
        ),
    ],
)
def test_an_error_names_the_line_the_rule_and_the_key(text: str, message: str) -> None:
    with pytest.raises(RuleError, match=re.escape(message)):
        load_rules(text)
