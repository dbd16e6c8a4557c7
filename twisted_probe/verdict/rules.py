"""The rules as values: what `rules.toml` says, read and checked.

Knows the form of a rule and whether one matches; not the rules themselves (the data file) nor
what a label leads to (`verdict.judge`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module, resources
from typing import Any, TypeVar

from attrs import frozen

from twisted_probe.verdict import words as masks
from twisted_probe.vocabulary.finding import Finding, Label, Subject
from twisted_probe.vocabulary.reply import Stage

# The same library under two names; in the standard library since Python 3.11.
_toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CODE = re.compile(r"[0-9.]{3}")
_ENHANCED = re.compile(r"(?:[245]|\*)(?:\.(?:\d{1,3}|\*)){2}")
_TERM = re.compile(r"(?<!\\)\{([a-z_]+)\}")
_ESCAPED_OR_PLAIN = re.compile(r"\\.|[^\\]+", re.DOTALL)

#: What `echoes` may name, and the mask that shows it in the text.
_ECHOES = {
    "source": masks.SOURCE,
    "helo": masks.HELO,
    "reverse_path": masks.REVERSE_PATH,
}

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
        "explicit",
        "ground",
    )
)

_Choice = TypeVar("_Choice", Label, Subject, Stage)


class RuleError(ValueError):
    """A file of rules cannot be used; the message names the rule and the key."""


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

    def concerns(self, stage: Stage, code: int) -> bool:
        """Whether stage and code allow this rule.

        A rule of the label `accepted` concerns 2xx replies and no other rule does: a 2xx is
        accepted whatever its words, and nothing else is.
        """
        return (
            (self.label is Label.ACCEPTED) == (code // 100 == 2)
            and (not self.stages or stage in self.stages)
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

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rows)

    def first(self, stage: Stage, code: int, enhanced: str | None, text: str) -> Finding | None:
        """What the first rule that matches finds, or None when none does."""
        return _first(self, stage, code, enhanced, text)


# Masked texts repeat: an exchanger says the same of every recipient that it does not know.
@lru_cache(maxsize=4096)
def _first(
    rules: Rules, stage: Stage, code: int, enhanced: str | None, text: str
) -> Finding | None:
    for rule in _concerned(rules, stage, code):
        if rule.matches(enhanced, text):
            return rule.finding
    return None


@lru_cache(maxsize=512)
def _concerned(rules: Rules, stage: Stage, code: int) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.concerns(stage, code))


@lru_cache(maxsize=1)
def default_rules() -> Rules:
    """The rules that come with the package."""
    return load_rules(resources.files(__package__).joinpath("rules.toml").read_text("utf-8"))


def rules_with(text: str) -> Rules:
    """The rules in `text`, and behind them those of the package: the first that matches decides.

    Raises RuleError as `load_rules` does.
    """
    return Rules((*load_rules(text), *default_rules()))


def load_rules(text: str) -> Rules:
    """Read rules from `text`, a TOML document of the form that rules.toml explains.

    Raises RuleError, naming the rule and the key, for anything that is not of that form.
    """
    try:
        document: dict[str, Any] = _toml.loads(text)
    except ValueError as error:
        raise RuleError(f"not TOML: {error}") from None
    for key in document:
        if key not in ("terms", "rule"):
            raise RuleError(f"key {key!r}: only [terms] and [[rule]] are known")
    terms = _terms(document.get("terms", {}))
    tables = document.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RuleError("key 'rule': write each rule as [[rule]]")
    rows = []
    names: set[str] = set()
    for number, table in enumerate(tables, 1):
        rule = _Reader(table, number, terms).rule()
        if rule.name in names:
            raise RuleError(f"rule {rule.name!r}, key 'name': there is another of this name")
        names.add(rule.name)
        rows.append(rule)
    return Rules(tuple(rows))


def _terms(table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise RuleError("key 'terms': write it as [terms]")
    terms = {}
    for name, value in table.items():
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise RuleError(f"term {name!r}: it is not a list of texts")
        terms[name] = "(?:" + "|".join(value) + ")"
    return terms


@frozen
class _Reader:
    """Reads one table of the file, with errors that name it."""

    table: Mapping[str, Any]
    number: int
    terms: Mapping[str, str]

    def rule(self) -> Rule:
        for key in self.table:
            if key not in _KEYS:
                raise self.error(key, "it is not known")
        name = self.text("name")
        if not _NAME.fullmatch(name):
            raise self.error("name", "write lower-case words joined by hyphens")
        label = self.choice("label", Label, self.text("label"))
        codes = self.texts("codes", _CODE, "three digits, or dots for any digit")
        if label is Label.ACCEPTED and not (codes and all(code[0] == "2" for code in codes)):
            raise self.error("codes", "the label accepted is for codes that begin with 2")
        enhanced = self.texts("enhanced", _ENHANCED, "such as 5.1.1, 5.2.* or *.2.2")
        return Rule(
            name=name,
            label=label,
            subject=self.choice("subject", Subject, self.text("subject", label.subject.value)),
            ground=self.text("ground"),
            explicit=self.explicit(),
            stages=frozenset(self.choice("stages", Stage, value) for value in self.texts("stages")),
            codes=re.compile("|".join(codes)) if codes else None,
            enhanced=_enhanced_pattern(enhanced),
            words=self.pattern("words"),
            unless=self.pattern("unless"),
            echoes=_mask_pattern([self.echo(value) for value in self.texts("echoes")]),
        )

    def text(self, key: str, default: str | None = None) -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, "it must be there and be a text that is not blank")
        return value

    def explicit(self) -> bool:
        value = self.table.get("explicit", True)
        if not isinstance(value, bool):
            raise self.error("explicit", "write true or false")
        return value

    def texts(self, key: str, form: re.Pattern[str] | None = None, wanted: str = "") -> list[str]:
        values = self.table.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.error(key, "it is not a list of texts")
        if key in self.table and not values:
            raise self.error(key, "the list is empty; leave the key out")
        for value in values:
            if form is not None and not form.fullmatch(value):
                raise self.error(key, f"{value!r} is none; write {wanted}")
        return values

    def choice(self, key: str, choices: type[_Choice], value: str) -> _Choice:
        try:
            return choices(value)
        except ValueError:
            known = ", ".join(choice.value for choice in choices)
            raise self.error(key, f"{value!r} is not one of {known}") from None

    def echo(self, value: str) -> str:
        if value not in _ECHOES:
            raise self.error("echoes", f"{value!r} is not one of {', '.join(_ECHOES)}")
        return _ECHOES[value]

    def pattern(self, key: str) -> re.Pattern[str] | None:
        parts = [self.expression(key, value) for value in self.texts(key)]
        return re.compile("|".join(f"(?:{part})" for part in parts)) if parts else None

    def expression(self, key: str, value: str) -> str:
        """`value` with its terms filled in, folded as the text will be, and checked."""

        def fill(match: re.Match[str]) -> str:
            if match[1] not in self.terms:
                raise self.error(key, f"there is no term {match[0]}")
            return self.terms[match[1]]

        expression = _folded_expression(_TERM.sub(fill, value))
        try:
            re.compile(expression)
        except re.error as error:
            raise self.error(key, f"{value!r} is no regular expression: {error}") from None
        return expression

    def error(self, key: str, problem: str) -> RuleError:
        name = self.table.get("name", self.number)
        return RuleError(f"rule {name!r}, key {key!r}: {problem}")


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
