"""`mailprobe backup`: a copy of the ledger, whether a daemon works or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twisted_probe.cli import main
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    made = Spool(path)
    Ledger(made.ledger_path).close()
    made.close()
    return path


def test_the_copy(spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    assert main(["backup", "--spool", str(spool), str(copy)]) == 0
    size = copy.stat().st_size
    assert capsys.readouterr().out == f"{copy} is a copy of the ledger, {size} bytes\n"
    Ledger(copy).close()

    assert main(["backup", "--spool", str(spool), "--json", str(copy) + "2"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": f"{copy}2", "bytes": size}


def test_no_copy(spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "--spool", str(spool), str(spool)]) == 1
    assert "it is there already" in capsys.readouterr().err
    assert main(["backup", "--spool", str(tmp_path), str(tmp_path / "copy")]) == 1
    assert "there is no ledger" in capsys.readouterr().err


def test_what_a_killed_one_has_left(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, part = tmp_path / "copy", tmp_path / "copy.part"
    for path in (part, tmp_path / "copy.part-journal"):
        path.write_bytes(b"half of it")
    assert main(["backup", "--spool", str(spool), str(copy)]) == 0
    said = capsys.readouterr()
    assert said.err == (
        f"mailprobe backup: {part}: it is left of a backup that was killed, or works yet; it is "
        "replaced\n"
    )
    assert said.out.startswith(f"{copy} is a copy of the ledger")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "spool"]
    Ledger(copy).close()
