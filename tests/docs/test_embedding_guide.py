"""docs/embedding.rst: it renders, and what it shows is what the examples do."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from docutils.core import publish_string
from twisted.internet import task

import twisted_probe
from tests.docs.running import EXAMPLES, ROOT, in_town, reactor
from twisted_probe import Prober
from twisted_probe.testing import FakeNames, options_for

GUIDE = ROOT / "docs" / "embedding.rst"
_BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)

#: Who serves the domain of the guide, in a town.
NAMES = {"example.net": ["MX 10 mx.example.net"], "mx.example.net": ["A 127.0.1.1"]}


def blocks_of(path: Path) -> list[str]:
    found = _BLOCK.findall(path.read_text("utf-8"))
    return [textwrap.dedent(block).strip("\n") for block in found]


def test_it_renders_without_a_warning() -> None:
    page = publish_string(
        GUIDE.read_text("utf-8"),
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )
    assert "Embedding" in page


def test_all_code_but_the_first_is_taken_from_the_examples() -> None:
    examples = [path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.py"))]
    first, *others = blocks_of(GUIDE)
    assert first.startswith("from twisted_probe import")
    assert len(others) == 8
    for block in others:
        assert any(
            textwrap.indent(block, " " * indent) in example
            for example in examples
            for indent in (0, 4, 8)
        ), block


@pytest.fixture
def in_the_guides_world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a prober that is made as in the guide ask in a town."""

    def move(town: Any) -> None:
        def made(reactor: Any, **given: Any) -> Prober:
            assert [source.address for source in given["sources"]] == ["192.0.2.10"]
            Prober(reactor, **given)
            return Prober(reactor, **options_for(town), names=FakeNames(NAMES))

        monkeypatch.setattr(twisted_probe, "Prober", made)

    return move


async def test_the_first_is_a_program(
    in_the_guides_world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with in_town() as town:
        in_the_guides_world(town)
        namespace: dict[str, Any] = {}
        exec(blocks_of(GUIDE)[0], namespace)
        await namespace["main"](reactor)
    assert capsys.readouterr().out.splitlines() == [
        "ann@example.net deliverable accepted",
        "nobody@example.net undeliverable no_such_mailbox",
    ]


async def test_so_is_that_of_the_readme(
    in_the_guides_world: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mains: list[Any] = []
    monkeypatch.setattr(task, "react", mains.append)
    async with in_town() as town:
        in_the_guides_world(town)
        exec(blocks_of(ROOT / "README.rst")[0], {})
        await mains[0](reactor)
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ["ann@example.net", "deliverable", "accepted"],
        ["bob@example.net", "undeliverable", "no_such_mailbox"],
    ]
