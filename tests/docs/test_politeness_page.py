"""The page about politeness: what it shows is so, and it renders."""

from __future__ import annotations

import re
from pathlib import Path

from docutils.core import publish_string

DOCS = Path(__file__).parent.parent.parent / "docs"
TEXT = (DOCS / "politeness.rst").read_text("utf-8")


def test_it_renders_without_a_warning() -> None:
    publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )


def test_its_pictures_are_there() -> None:
    pictures = re.findall(r"image:: (\S+)", TEXT)
    assert len(pictures) == 2
    assert all((DOCS / picture).read_text("utf-8").startswith("<svg") for picture in pictures)


def test_more_sources_are_no_more_pressure() -> None:
    rows = re.findall(r"\* - (\d+)\n +- (\d+)\n", TEXT)
    assert [int(sources) for sources, _ in rows] == [1, 4, 16]
    assert len({most for _, most in rows}) == 1
