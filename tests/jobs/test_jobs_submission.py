"""Where the results of a submitted list will lie."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pytest

from twisted_probe.jobs.names import DERIVED, plain
from twisted_probe.jobs.submission import NotSubmitted, place_of, submit

from .conftest import Daemon


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("list", "list.results.csv"),
        ("list.csv.gz", "list.csv.gz.results.csv"),
        ("list.jsonl", "list.jsonl.results.jsonl"),
        ("List.JSONL.GZ", "List.JSONL.GZ.results.jsonl"),
        ("list.jsonl~2", "list.jsonl~2.results.jsonl"),
    ],
)
def test_in_every_format(tmp_path: Path, name: str, results: str) -> None:
    assert place_of(os.fspath(tmp_path), name.encode()) == f"{tmp_path}/done/{results}"


@pytest.mark.parametrize("derived", ["", *map(os.fsdecode, DERIVED)])
def test_where_the_name_is_taken(tmp_path: Path, derived: str) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / f"list.jsonl{derived}").touch()

    place = place_of(os.fspath(tmp_path), b"list.jsonl")

    assert place == f"{tmp_path}/done/list.jsonl~2.results.jsonl"


@pytest.mark.parametrize(
    "name",
    [
        b"a" * 247 + b".txt",
        b"a" * 255,
        b"a" + "\u00e4".encode() * 120 + b".txt",
        b"a" * 242 + b".jsonl.gz",
        b"a" * 4 + b"~" + b"1" * 240,
        "\u540d".encode() * 80 + b".csv~22",
    ],
)
def test_long_names_twice(daemon: Daemon, name: bytes) -> None:
    """What is promised is what comes, and its name can be printed."""
    content = {b".gz": gzip.compress(b'{"email": "a@b.example"}'), b".csv": b"email\na@b.example\n"}
    for _ in range(2):
        place = place_of(os.fspath(daemon.path), name)
        suffix = os.path.splitext(plain(name))[1]
        submit(os.fspath(daemon.path), name, io.BytesIO(content.get(suffix, b"a@b.example\n")))
        daemon.tick(2)
        daemon.answer_all()
        daemon.tick()

        assert os.path.isfile(place)
    assert "~" in place


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"list.pdf", "list.pdf: the suffix .pdf is not understood"),
        (b".list", ".list: a name that begins with a full stop"),
        (b"a\x1b\\x/b", r"'a\x1b\x/b' is not the name of a file"),
    ],
)
def test_a_name_that_no_daemon_takes(tmp_path: Path, name: bytes, words: str) -> None:
    with pytest.raises(NotSubmitted) as caught:
        place_of(os.fspath(tmp_path), name)

    assert str(caught.value).startswith(words)
