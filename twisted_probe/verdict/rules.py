"""The rules as values: what `rules.toml` says, read and checked.

Knows the form of a rule and whether one matches; not the rules themselves (the data file) nor
what a label leads to (`verdict.judge`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from itertools import chain

from attrs import field, frozen

from twisted_probe.verdict import words as masks
from twisted_probe.verdict.expressions import MOST_REPEATED, Sieve, runs_away
from twisted_probe.verdict.tables import (
    Row,
    RuleError,
    at_line,
    lines_of,
    read_rows,
    suffixes_of,
)
from twisted_probe.vocabulary.finding import Finding, Label, Subject
from twisted_probe.vocabulary.reply import Stage

__all__ = ["Rule", "RuleError", "Rules", "default_rules", "load_rules", "rules_with"]

_CODE = re.compile(r"[0-9.]{3}")
_ENHANCED = re.compile(r"(?:[245]|\*)(?:\.(?:\d{1,3}|\*)){2}")
_TERM = re.compile(r"(?<!\\)\{([a-z_]+)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPED_OR_PLAIN = re.compile(r"\\.|[^\\]+", re.DOTALL)

#: What `echoes` may name, and the mask that shows it in the text.
_ECHOES = {
    "source": masks.SOURCE,
    "helo": masks.HELO,
    "reverse_path": masks.REVERSE_PATH,
}

#: Of which a rule has at least one; `unless` alone is none.
_CONDITIONS = frozenset(("stages", "codes", "enhanced", "words", "echoes", "exchangers"))

_KEYS = frozenset(
    (
        "name",
        "label",
        "subject",
        "stages",
        "codes",
        "enhanced",
        "words",
        "unless",
        "echoes",
        "exchangers",
        "explicit",
        "ground",
    )
)


@frozen
class Rule:
    """One row: all its conditions must hold; within one condition, any of the list.

    An empty condition always holds. `words` and `unless` are matched in the masked text
    (`verdict.words.masked`), and so is `echoes`, which looks for the masks.
    """

    name: str
    label: Label
    subject: Subject
    ground: str
    explicit: bool = True
    exchangers: frozenset[str] = frozenset()
    stages: frozenset[Stage] = frozenset()
    codes: re.Pattern[str] | None = None
    enhanced: re.Pattern[str] | None = None
    words: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    echoes: re.Pattern[str] | None = None

    @property
    def finding(self) -> Finding:
        """What this rule finds."""
        return Finding(self.label, self.subject, self.name, self.explicit)

    def concerns(self, stage: Stage, code: int, suffixes: frozenset[str] = frozenset()) -> bool:
        """Whether stage, code and the exchanger, by the `suffixes` of its name, allow this rule.

        A rule of the label `accepted` concerns 2xx replies and no other rule does: a 2xx is
        accepted whatever its words, and nothing else is.
        """
        return (
            (self.label is Label.ACCEPTED) == (code // 100 == 2)
            and (not self.stages or stage in self.stages)
            and (not self.exchangers or not self.exchangers.isdisjoint(suffixes))
            and (self.codes is None or self.codes.fullmatch(f"{code:03}") is not None)
        )

    def matches(self, enhanced: str | None, text: str) -> bool:
        """Whether the enhanced code and the masked `text` fulfil this rule."""
        return (
            (self.enhanced is None or self.enhanced.fullmatch(enhanced or "") is not None)
            and (self.words is None or self.words.search(text) is not None)
            and (self.unless is None or self.unless.search(text) is None)
            and (self.echoes is None or self.echoes.search(text) is not None)
        )


@frozen(eq=False)
class Rules:
    """Rules in order; the first that matches decides."""

    rows: tuple[Rule, ...]
    # Made at once: it takes longer than a reactor may be kept from its work.
    _sieve: Sieve = field(init=False, repr=False)
    # The suffixes that any rule names: exchangers without one of them share what is memoised.
    _suffixes: frozenset[str] = field(init=False)

    @_sieve.default
    def _made(self) -> Sieve:
        wanted = (rule.words or rule.echoes for rule in self.rows)
        return Sieve([None if one is None else one.pattern for one in wanted])

    @_suffixes.default
    def _named(self) -> frozenset[str]:
        return frozenset(chain.from_iterable(rule.exchangers for rule in self.rows))

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rows)

    def first(
        self, stage: Stage, code: int, enhanced: str | None, text: str, exchanger: str = ""
    ) -> Finding | None:
        """What the first rule that matches finds, or None when none does. Memoised."""
        return _first(self, stage, code, enhanced, text, self._suffixes_of(exchanger))

    def matching(
        self, stage: Stage, code: int, enhanced: str | None, text: str, exchanger: str = ""
    ) -> Iterator[Rule]:
        """Every rule that matches, in order."""
        return _matching(self, stage, code, enhanced, text, self._suffixes_of(exchanger))

    def _suffixes_of(self, exchanger: str) -> frozenset[str]:
        return self._suffixes.intersection(suffixes_of(exchanger))


def _matching(
    rules: Rules,
    stage: Stage,
    code: int,
    enhanced: str | None,
    text: str,
    suffixes: frozenset[str],
) -> Iterator[Rule]:
    possible = rules._sieve.may_match(text)
    for bit, rule in _concerned(rules, stage, code, suffixes):
        if possible & bit and rule.matches(enhanced, text):
            yield rule


# Shapes repeat: an exchanger says the same of every recipient that it does not know. 4096 of them
# are less than 1 MiB of real ones, and at most 16 MiB where all are as long as MAX_SHAPE allows.
@lru_cache(maxsize=4096)
def _first(
    rules: Rules,
    stage: Stage,
    code: int,
    enhanced: str | None,
    text: str,
    suffixes: frozenset[str],
) -> Finding | None:
    rule = next(_matching(rules, stage, code, enhanced, text, suffixes), None)
    return None if rule is None else rule.finding


@lru_cache(maxsize=512)
def _concerned(
    rules: Rules, stage: Stage, code: int, suffixes: frozenset[str]
) -> tuple[tuple[int, Rule], ...]:
    """The rules that may decide, each with its bit in what the sieve says."""
    return tuple(
        (1 << number, rule)
        for number, rule in enumerate(rules)
        if rule.concerns(stage, code, suffixes)
    )


@lru_cache(maxsize=1)
def default_rules() -> Rules:
    """The rules that come with the package."""
    text = resources.files(__package__).joinpath("rules.toml").read_text("utf-8")
    return load_rules(text, trusted=True)


def rules_with(text: str) -> Rules:
    """The rules in `text`, and behind them those of the package: the first that matches decides.

    Raises RuleError as `load_rules` does, and for a name that the package has used already: an
    explanation must tell whose rule decided.
    """
    own, ours = load_rules(text), default_rules()
    for name in {rule.name for rule in own} & {rule.name for rule in ours}:
        raise RuleError(f"rule {name!r}, key 'name': the package has one of this name")
    return Rules((*own, *ours))


def load_rules(text: str, *, trusted: bool = False) -> Rules:
    """Read rules from `text`, a TOML document of the form that rules.toml explains.

    Raises RuleError, naming the line, the rule and the key, for anything that is not of that form.
    The expressions of a `trusted` text are not looked at one by one, which takes longer than all
    the rest: the tests have read the package's own without trust.
    """
    tables, table = read_rows(text, "rule", beside="terms")
    places = lines_of(text, "[terms]")
    terms = _terms(table, places[0] if places else {})
    rules: dict[str, Rule] = {}
    for row in tables:
        rule = _rule(row, terms, trusted)
        if rule.name in rules:
            raise row.error("name", "there is another of this name")
        rules[rule.name] = rule
    return Rules(tuple(rules.values()))


def _terms(table: object, lines: Mapping[str, int]) -> dict[str, str]:
    if not isinstance(table, dict):
        raise RuleError("key 'terms': write it as [terms]")
    terms: dict[str, str] = {}
    for name, value in table.items():
        where = f"{at_line(lines.get(name))}term {name!r}"
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise RuleError(f"{where}: it is not a list of texts")

        def fill(match: re.Match[str], where: str = where) -> str:
            if match[1] not in terms:
                raise RuleError(f"{where}: there is no earlier term {match[0]}")
            return terms[match[1]]

        terms[name] = "(?:" + _TERM.sub(fill, "|".join(value)) + ")"
    return terms


def _rule(row: Row, terms: Mapping[str, str], trusted: bool) -> Rule:
    name = row.name(_KEYS)
    label = row.choice("label", Label, row.text("label"))
    codes = row.texts("codes", _CODE, "three digits, or dots for any digit")
    if label is Label.ACCEPTED and not (codes and all(code[0] == "2" for code in codes)):
        raise row.error("codes", "the label accepted is for codes that begin with 2")
    enhanced = row.texts("enhanced", _ENHANCED, "such as 5.1.1, 5.2.* or *.2.2")
    rule = Rule(
        name=name,
        label=label,
        subject=row.choice("subject", Subject, row.text("subject", label.subject.value)),
        ground=row.text("ground"),
        explicit=row.flag("explicit", True),
        exchangers=row.suffixes("exchangers"),
        stages=frozenset(row.choice("stages", Stage, value) for value in row.texts("stages")),
        codes=re.compile("|".join(codes)) if codes else None,
        enhanced=_enhanced_pattern(enhanced),
        words=_pattern(row, "words", terms, trusted),
        unless=_pattern(row, "unless", terms, trusted),
        echoes=_mask_pattern([_echo(row, value) for value in row.texts("echoes")]),
    )
    if not _CONDITIONS & row.values.keys():
        raise row.error("words", "without this or another condition the rule decides everything")
    return rule


def _echo(row: Row, value: str) -> str:
    if value not in _ECHOES:
        raise row.error("echoes", f"{value!r} is not one of {', '.join(_ECHOES)}")
    return _ECHOES[value]


def _pattern(row: Row, key: str, terms: Mapping[str, str], trusted: bool) -> re.Pattern[str] | None:
    parts = []
    for value in row.texts(key):
        expression = _expression(row, key, value, terms)
        if not trusted:
            _check(row, key, value, expression)
        parts.append(expression)
    return re.compile("|".join(f"(?:{part})" for part in parts)) if parts else None


def _expression(row: Row, key: str, value: str, terms: Mapping[str, str]) -> str:
    """`value` with its terms filled in, folded as the text will be."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in terms:
            raise row.error(key, f"there is no term {match[0]}")
        return terms[match[1]]

    return _folded_expression(_TERM.sub(fill, value))


def _check(row: Row, key: str, value: str, expression: str) -> None:
    """Raises RuleError for what is no expression, always matches, or may run away."""
    if _CONTROL.search(value):
        # "\b" in double quotes.
        raise row.error(key, f"{value!r} holds a control character; write it in single quotes")
    try:
        matches_nothing = re.compile(expression).search("") is not None
    except re.error as error:
        raise row.error(key, f"{value!r} is no regular expression: {error}") from None
    if matches_nothing:
        raise row.error(key, f"{value!r} needs no words to match, so it always does")
    if runs_away(expression):
        raise row.error(
            key,
            f"{value!r} repeats a repetition, which may take for ever; repeat it"
            f" {{0,{MOST_REPEATED}}} times at most",
        )


def _folded_expression(expression: str) -> str:
    """Lower-cased but for what follows a backslash (\\S is not \\s), accents taken off.

    The text is folded the same way, which is cheaper than to ignore case at each match.
    """
    lower = _ESCAPED_OR_PLAIN.sub(
        lambda match: match[0] if match[0][0] == "\\" else match[0].lower(), expression
    )
    return masks.unaccented(lower)


def _mask_pattern(masks_wanted: list[str]) -> re.Pattern[str] | None:
    return re.compile(rf"\b(?:{'|'.join(masks_wanted)})\b") if masks_wanted else None


def _enhanced_pattern(values: list[str]) -> re.Pattern[str] | None:
    parts = [re.escape(value).replace(r"\*", r"\d+") for value in values]
    return re.compile("|".join(parts)) if parts else None
