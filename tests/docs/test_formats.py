"""docs/formats.rst: its examples are dropped, answered and compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from docutils import nodes
from docutils.core import publish_doctree, publish_string

from tests.docs.programs import DOCS
from tests.flags.small_lists import installed
from tests.jobs.conftest import Daemon
from twisted_probe.jobs.formats import COLUMNS, MAX_ENTRY, MAX_RECORD
from twisted_probe.jobs.formats.lines import HEAD, NAMED
from twisted_probe.jobs.formats.output import FORMULA
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.results import program_version
from twisted_probe.vocabulary.outcome import Outcome, Reason, TlsReport
from twisted_probe.vocabulary.reply import Stage

TEXT = (DOCS / "formats.rst").read_text("utf-8")
#: The examples by their names, as they would stand in a file.
BLOCKS = {
    block["names"][0]: block.astext() + "\n"
    for block in publish_doctree(TEXT).findall(nodes.literal_block)
    if block["names"]
}


@pytest.fixture(autouse=True)
def _lists() -> Iterator[None]:
    """The examples do not depend on what the packages have today."""
    with installed():
        yield


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "spool")
    yield daemon
    daemon.close()


def answer(daemon: Daemon, name: str) -> None:
    """Drop the example of this name; Ann is alive, Bob is not."""
    daemon.drop(name, BLOCKS[name])
    daemon.tick(2)
    for task in daemon.take():
        if task.address.local == "ann":
            daemon.answer(task, **ANSWER)
        else:
            daemon.answer(task, reason=Reason.NO_SUCH_MAILBOX)
    daemon.tick()


ANSWER: dict[str, Any] = {
    "catch_all": False,
    "stage": Stage.RCPT,
    "code": 250,
    "enhanced": "2.1.5",
    "text": "Ok",
    "exchanger": "mx.example.org",
    "exchanger_address": "192.0.2.25",
    "source": "192.0.2.10",
    "helo": "probe1.example.org",
    "tls": TlsReport(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", verified=True),
    "attempts": 1,
    "first_attempt_at": 1_800_000_002.0,
}


def test_it_renders_without_a_warning() -> None:
    publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )


@pytest.mark.parametrize(("name", "delimiter"), [("friends.txt", ","), ("customers.csv", ";")])
def test_tables(daemon: Daemon, name: str, delimiter: str) -> None:
    answer(daemon, name)

    shown = BLOCKS[f"{name}.results.csv"]
    wanted = list(csv.reader(io.StringIO(shown), delimiter=delimiter, strict=True))
    width = len(wanted[0])
    lines = daemon.read("done", f"{name}.results.csv").splitlines()
    found = [row[:width] for row in csv.reader(lines, delimiter=delimiter, strict=True)]
    assert found == wanted
    for line, whole in zip(shown.splitlines(), lines, strict=True):
        assert whole.startswith(line)


def test_objects(daemon: Daemon) -> None:
    answer(daemon, "users.jsonl")

    shown = BLOCKS["users.jsonl.results.jsonl"].splitlines()
    for line, whole in zip(shown, daemon.objects("users.jsonl"), strict=True):
        begin, _, end = line.partition(" …")
        assert whole.startswith(begin)
        assert whole.endswith(end)
        json.loads(whole)


def test_the_outcome(daemon: Daemon) -> None:
    answer(daemon, "users.jsonl")

    shown = json.loads(BLOCKS["outcome"])
    first, *_ = daemon.objects("users.jsonl")
    assert json.loads(first)["probe"] == shown
    assert list(json.loads(first)["probe"]) == list(shown)
    for name in (field.name for field in fields(TlsReport)):
        assert f"``probe_tls_{name}``" in TEXT


def test_the_summary(daemon: Daemon) -> None:
    answer(daemon, "friends.txt")

    shown = json.loads(BLOCKS["friends.txt.summary.json"])
    assert daemon.summary("friends.txt") == {**shown, "version": program_version()}
    assert list(daemon.summary("friends.txt")) == list(shown)


def test_the_numbers_and_names() -> None:
    assert (MAX_ENTRY, MAX_RECORD, HEAD) == (4096, 1024 * 1024, 64 * 1024)
    assert csv.field_size_limit() == 128 * 1024
    assert NAMED == 10
    assert COLUMNS == ("email", "e-mail", "mail", "address")
    assert FORMULA == ("=", "+", "-", "@", "\t", "\r")
    assert "``defuse_formulas``" in TEXT
    assert "``flags = false``" in TEXT
    assert JobOptions() == JobOptions(defuse_formulas=False, flags=True)
    assert len(fields(JobOptions)) == 2


def test_an_outcome_has_no_field_that_is_not_shown() -> None:
    assert list(json.loads(BLOCKS["outcome"])) == list(
        Outcome(address="", reason=Reason.ACCEPTED, checked_at=0).record()
    )
