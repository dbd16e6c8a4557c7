"""docs/tempers.rst: it renders, and is that of the catalogue as it is."""

from __future__ import annotations

import re

from docutils.core import publish_string

from tests.docs.running import ROOT
from tests.sandbox.oddities import KNOWN_FAULTS
from twisted_probe.sandbox.catalogue import CATALOGUE

PAGE = (ROOT / "docs" / "tempers.rst").read_text("utf-8")
_ROW = re.compile(r"^   \* - ``(.+)``\n((?:     - .*\n)+)", re.MULTILINE)


def test_it_renders_without_a_warning() -> None:
    page = publish_string(
        PAGE,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )
    assert "Tempers" in page


def test_it_was_written_since_the_catalogue_or_the_prober_changed() -> None:
    """Else write it anew: python -m benchmarks.tempers."""
    rows = {name: re.findall(r"- (.*)\n", cells) for name, cells in _ROW.findall(PAGE)}
    assert list(rows) == list(CATALOGUE)
    for name, oddity in CATALOGUE.items():
        numbers, words, expected, observed, *_ = rows[name]
        assert numbers == ", ".join(map(str, oddity.rows))
        assert (words, expected) == (oddity.words, oddity.expected_in_words)
        assert observed.endswith(" ✘") == (name in KNOWN_FAULTS)
