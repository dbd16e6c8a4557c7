"""docs/wire.rst: its picture and its tables are those of the code."""

from __future__ import annotations

import re
from html import unescape

from docutils.core import publish_doctree

from docs.make_states import DOT, PAGE, dot, page, table
from twisted_probe.smtp.limits import (
    DEFAULT_TIMEOUTS,
    MAX_ERRORS,
    MAX_LINE,
    MAX_OUTSTANDING,
    MAX_REPLY,
    MAX_REPLY_LINES,
    MAX_SESSION,
)
from twisted_probe.smtp.states import TABLE

TEXT = PAGE.read_text("utf-8")
MAKE = "`make docs` has not been run since the table changed"


def test_the_table_is_that_of_the_code() -> None:
    assert table() in TEXT, MAKE
    assert page(TEXT) == TEXT, MAKE


def test_every_pair_of_the_code_is_in_the_table() -> None:
    told, state = set(), ""
    for row in table().splitlines()[3:-1]:
        begin, words, end = re.split(r"\s{2,}", row)
        state = begin if begin != "\\" else state
        told |= {(state, verb.removesuffix("\\*"), end) for verb in words.split(", ")}
    assert told == {(begin.value, verb.value, end.value) for (begin, verb), end in TABLE.items()}


def test_the_picture_is_that_of_the_code() -> None:
    assert DOT.read_text("utf-8") == dot(), MAKE


def test_the_picture_was_drawn_from_what_is_committed() -> None:
    picture = unescape(DOT.with_suffix(".svg").read_text("utf-8"))
    drawn = re.findall(r'class="edge">\n<title>(\w+)->(\w+)</title>', picture)
    assert sorted(drawn) == sorted(re.findall(r"(\w+) -> (\w+) ", dot())), MAKE
    words = [line for label in re.findall(r'label="(.*?)"', dot()) for line in label.split("\\n")]
    states = re.findall(r"^  (\w+);", dot(), re.MULTILINE)
    assert sorted(re.findall(r"<text .*>(.*)</text>", picture)) == sorted(words + states), MAKE


def test_the_page_is_sound() -> None:
    publish_doctree(TEXT, settings_overrides={"halt_level": 2, "report_level": 2})


def test_the_numbers_are_those_of_the_code() -> None:
    waits = DEFAULT_TIMEOUTS
    for name, seconds in (
        ("connecting", waits.connect),
        ("greeting", waits.greeting),
        ("command", waits.command),
        ("session", waits.session),
        ("QUIT", waits.quit),
    ):
        assert f"\n{name:15}{seconds:.0f} s" in TEXT, name
    assert f"and {waits.recipient:.0f} s more for each recipient" in TEXT
    flat = " ".join(TEXT.split())
    assert f"({MAX_ERRORS} in a session)" in flat
    assert f"at most {MAX_OUTSTANDING} octets" in flat
    assert f"A line may have {MAX_LINE // 1024} KiB" in flat
    assert f"a reply {MAX_REPLY // 1024} KiB and {MAX_REPLY_LINES} lines" in flat
    assert f"a session {MAX_SESSION // 1024} KiB" in flat
