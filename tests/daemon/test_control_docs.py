"""docs/control.rst says what the API has, no more and no less."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from docutils.core import publish_string

from tests.daemon.asking import asked
from tests.daemon.running import drop, town_of
from twisted_probe.cli import client
from twisted_probe.daemon.control import MAX_BODY, MAX_JOBS, Control, _path
from twisted_probe.daemon.control_socket import MAX_PATH
from twisted_probe.daemon.status import ROOT, limit_of
from twisted_probe.jobs.ledger import State
from twisted_probe.jobs.reading import MAX_PAGE
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.verdict.ladder import Ladder

TEXT = (Path(__file__).parent.parent.parent / "docs" / "control.rst").read_text("utf-8")


def terms_under(heading: str) -> set[str]:
    """What stands in double backquotes in the first column of the table under a heading."""
    section = TEXT.split(f"\n{heading}\n", 1)[1]
    rows = re.split(r"^=+ +=+$", section, maxsplit=2, flags=re.M)[1]
    lines = [line for line in rows.splitlines() if line.startswith("``")]
    return {
        term for line in lines for term in re.findall(r"``([^`]+)``", re.split(r"  +", line)[0])
    }


def test_it_renders_without_a_warning() -> None:
    page = publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )
    assert "Asking and steering" in page


def test_every_path_is_there() -> None:
    nothing: Any = None
    routes = Control(*[nothing] * 8)._routes
    assert set(re.findall(r"^``((?:GET|POST) /v1/[^`]*)``  ", TEXT, re.M)) == set(
        map(_path, routes)
    )


def test_the_client_knows_the_way() -> None:
    assert (client.ROOT, client.MAX_PATH) == (ROOT, MAX_PATH)


async def test_the_keys(tmp_path: Path) -> None:
    temper = tempers.greylisting(residents("ann"), 60.0)
    town = town_of(House("mx.grey.example", "127.0.1.3", temper))
    async with asked(town, tmp_path / "spool", ladder=Ladder(greylist=(3600.0,))) as asker:
        drop(tmp_path / "spool", "list.txt", ["ann@grey.example"])
        job = await asker.job_when("list.txt", lambda job: job["waiting"])
        status = await asker.status()
        page = await asker.results("list.txt")
    assert terms_under("``GET /v1/status``") == set(status)
    assert terms_under("``GET /v1/jobs/NAME``") == set(job) == set(status["jobs"][0])
    for key in page:
        assert f"``{key}``" in TEXT.split("the answer has", 1)[1]


def test_what_limits() -> None:
    source = inspect.getsource(limit_of)
    said = set(re.findall(r'"([a-z]+)", (?:f?"|load)', source))
    assert terms_under("``limit.by`` is one of") == said


def test_the_states() -> None:
    for state in State:
        assert f"``{state.value}``" in TEXT


def test_the_figures() -> None:
    text = " ".join(TEXT.split())
    assert f"more than {MAX_BODY} bytes" in text
    assert f"the last {MAX_JOBS}:" in text
    assert f"from 1 to {MAX_PAGE}; {MAX_PAGE}" in text
