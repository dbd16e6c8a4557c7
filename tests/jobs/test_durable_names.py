"""A name never leads out of its directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from twisted_probe.jobs.durable import DurableFile, exists, remove, rename


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "inner").mkdir()
    (tmp_path / "precious").write_text("x")
    (tmp_path / "inner" / "file").write_text("y")
    descriptor = os.open(tmp_path / "inner", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)
    assert (tmp_path / "precious").read_text() == "x"
    assert (tmp_path / "inner" / "file").read_text() == "y"


@pytest.mark.parametrize("name", [b"../precious", b"%s/precious", b"", b".", b"..", b"a\0", b"a/b"])
def test_names_that_are_none(directory: int, tmp_path: Path, name: bytes) -> None:
    name = name.replace(b"%s", os.fsencode(tmp_path))
    assert not exists(directory, name)
    for call in (
        lambda: remove(directory, name),
        lambda: rename(directory, name, directory, b"new"),
        lambda: rename(directory, b"file", directory, name),
        lambda: DurableFile(directory, name),
    ):
        with pytest.raises(ValueError, match="is no name of a file in a directory"):
            call()
