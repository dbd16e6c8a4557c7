"""What a job says for itself: what is understood, and the words for what is not."""

from __future__ import annotations

from typing import Any

import pytest

from twisted_probe.jobs.formats import UnreadableJob
from twisted_probe.jobs.job_file import (
    MAX_JOB_FILE,
    SAYS_NOTHING,
    JobFile,
    decode,
    read_job_file,
)
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

ONE = Source("192.0.2.10", helo="probe1.example.org")
SIX = Source("2001:db8::10", helo="probe6.example.org")
FILE = "list.csv.job.toml"

ALL = """
# Whose survey it is.
reverse_path = "survey@example.org"
sources = ["PROBE1.example.org", "2001:DB8:0::10"]
deadline = 7200
control = false
defuse_formulas = true
flags = false
"""


def read(text: str) -> JobFile:
    return read_job_file(text.encode(), FILE, [ONE, SIX])


def refusal(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(UnreadableJob) as caught:
        read_job_file(data, FILE, [ONE, SIX])
    return str(caught.value)


def test_all_keys() -> None:
    says = read(ALL)
    assert says == JobFile(
        reverse_path="survey@example.org",
        sources=("probe1.example.org", "2001:db8::10"),
        deadline=7200.0,
        control=False,
        defuse_formulas=True,
        flags=False,
    )
    assert says.wishes == Wishes(
        "survey@example.org", frozenset(("probe1.example.org", "2001:db8::10")), False
    )
    assert says.wishes.allow(ONE)
    assert says.wishes.allow(SIX)


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
def test_nothing_is_said(text: str) -> None:
    assert read(text) == SAYS_NOTHING
    assert read(text).wishes == NO_WISHES
    assert SAYS_NOTHING.encode() is None


def test_the_null_reverse_path() -> None:
    assert read('reverse_path = ""').reverse_path == ""


@pytest.mark.parametrize("text", ["", ALL, "control = false", 'reverse_path = ""'])
def test_the_ledger_gives_back_what_it_was_given(text: str) -> None:
    says = read(text)
    assert decode(says.encode()) == says


ADDRESS_WORDS = 'expected an e-mail address of yours that receives mail, or "" for the null one'
DEADLINE_WORDS = (
    "expected a number of seconds of at least 1 and at most 2592000 (30 days; what was learned "
    "earlier is not true any more)"
)
SOURCE_WORDS = (
    "expected a list that is not empty, each the address or HELO name of a source of this daemon: "
    '"192.0.2.10" (probe1.example.org), "2001:db8::10" (probe6.example.org)'
)

WRONG = {
    "no TOML": ("control = false\ncontrol : true\n", f"{FILE}, line 2, column 9: it is not TOML: "),
    "a text that is not closed": ('reverse_path = "a', f"{FILE}, line 1, column 18: it is not TO"),
    "no UTF-8": (b"# \xff\ncontrol = false", f"{FILE}, line 1, column 3: it is not UTF-8"),
    "a key twice": ("control = true\ncontrol = true", f"{FILE}, line 2, column 15: it is not TOML"),
    "an unknown key": (
        'source = ["192.0.2.10"]',
        f"{FILE}: source: there is no such key; did you mean sources?",
    ),
    "a key that is like no other": (
        "xyzzy = 1",
        f"{FILE}: xyzzy: there is no such key; expected cache, control, deadline, "
        "defuse_formulas, flags, reverse_path, sources",
    ),
    "a table": (
        "[limits]\nper_site = 9",
        f"{FILE}: limits: there is no such key; expected cache",
    ),
    "no address": (
        'reverse_path = "probe"',
        f'{FILE}: reverse_path = "probe": {ADDRESS_WORDS} (it has no @)',
    ),
    "an address beyond ASCII": (
        'reverse_path = "žofie@example.org"',
        f'{FILE}: reverse_path = "žofie@example.org": {ADDRESS_WORDS} (the part before the @ has '
        "to be ASCII, since not every exchanger offers SMTPUTF8)",
    ),
    "an address that ends a line": (
        'reverse_path = "a@example.org>\\r\\nRSET"',
        f'{FILE}: reverse_path = "a@example.org>\\r\\nRSET": {ADDRESS_WORDS}',
    ),
    "a source of another machine": (
        'sources = ["192.0.2.10", "192.0.2.99"]',
        f'{FILE}: sources = ["192.0.2.10", "192.0.2.99"]: {SOURCE_WORDS} (number 2 is none)',
    ),
    "no list": ('sources = "192.0.2.10"', f'{FILE}: sources = "192.0.2.10": {SOURCE_WORDS}'),
    "an empty list": ("sources = []", f"{FILE}: sources = []: {SOURCE_WORDS}"),
    "a number in the list": ("sources = [1]", f"{FILE}: sources = [1]: {SOURCE_WORDS} (number 1"),
    "a deadline in words": ('deadline = "24h"', f'{FILE}: deadline = "24h": {DEADLINE_WORDS}'),
    "a deadline that is past": ("deadline = 0", f"{FILE}: deadline = 0: {DEADLINE_WORDS}"),
    "a deadline in years": ("deadline = 1e9", f"{FILE}: deadline = 1000000000.0: {DEADLINE_WORDS}"),
    "no number": ("deadline = nan", f"{FILE}: deadline = nan: {DEADLINE_WORDS}"),
    "never": ("deadline = inf", f"{FILE}: deadline = inf: {DEADLINE_WORDS}"),
    "a flag as a number": ("control = 0", f"{FILE}: control = 0: expected true or false"),
    "a flag in quotes": ('control = "no"', f'{FILE}: control = "no": expected true or false'),
    "a number as a flag": ("deadline = true", f"{FILE}: deadline = true: {DEADLINE_WORDS}"),
    "too long": ("#" * (MAX_JOB_FILE + 1), f"{FILE}: it is longer than 65536 bytes"),
    "nested too deeply": ("a = " + "[" * 5000, f"{FILE}: "),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_words_for_what_is_wrong(text: str | bytes, words: str) -> None:
    assert refusal(text).startswith(words)


def test_a_daemon_without_sources_offers_none() -> None:
    with pytest.raises(UnreadableJob, match="sources"):
        read_job_file(b'sources = ["192.0.2.10"]', FILE, [])


def test_words_are_safe_to_print() -> None:
    said: Any = refusal('reverse_path = "\\u001b[2J\\u202e"')
    assert said.isprintable()
