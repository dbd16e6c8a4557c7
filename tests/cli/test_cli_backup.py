"""`mailprobe backup`: a copy of the ledger, whether a daemon works or not."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from twisted_probe.cli import main
from twisted_probe.jobs.directories import DIRECTORIES
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


@pytest.mark.parametrize("name", DIRECTORIES)
@pytest.mark.parametrize("spelled", ["plainly", "with dots", "by a link", "below", "where we are"])
def test_no_copy_in_the_spool(
    spool: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    spelled: str,
) -> None:
    """It would be taken for a list, or for a part of the ledger."""
    own = spool / name
    (own / "below").mkdir()
    (tmp_path / "link").symlink_to(own / "below")
    monkeypatch.chdir(own)
    before = sorted(spool.rglob("*"))
    directory = {
        "plainly": f"{own}/",
        "with dots": f"{spool}/done/../{name}/",
        "by a link": f"{tmp_path}/link/../",
        "below": f"{own}/below/",
        "where we are": "",
    }[spelled]
    file = f"{directory}ledger.sqlite-journal"
    assert main(["backup", "--spool", str(spool), file]) == 1
    assert capsys.readouterr().err == (
        f"mailprobe backup: {file}: it would lie in the spool's own {name}/; name a file "
        "somewhere else\n"
    )
    assert sorted(spool.rglob("*")) == before


def test_a_copy_beside_the_spools_directories(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spool)
    assert main(["backup", "--spool", ".", "copy"]) == 0
    (spool / "state2").mkdir()
    assert main(["backup", "--spool", ".", "state2/copy"]) == 0
    assert main(["backup", "--spool", "nowhere", "copy"]) == 1


def test_no_copy_that_would_be_taken_for_half_of_one(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "copy.part"
    assert main(["backup", "--spool", str(spool), str(part)]) == 1
    assert capsys.readouterr().err == (
        f"mailprobe backup: {part}: .part is how one ends that is not whole; name another file\n"
    )
    assert not part.exists()


def test_another_to_the_same_file(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "copy.part"
    part.write_bytes(b"half of it")
    with part.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert main(["backup", "--spool", str(spool), str(tmp_path / "copy")]) == 1
    assert capsys.readouterr() == (
        "",
        f"mailprobe backup: {tmp_path}/copy: another backup to it is at work\n",
    )
    assert part.read_bytes() == b"half of it"


def test_a_file_of_somebody_elses_in_its_way(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "copy.part"
    part.write_text("my own notes")
    assert main(["backup", "--spool", str(spool), str(tmp_path / "copy")]) == 1
    assert capsys.readouterr().err == (
        f"mailprobe backup: {tmp_path}/copy: [Errno 22] what is there is no copy of a ledger: "
        f"'{part}'\n"
    )
    assert part.read_text() == "my own notes"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.part", "spool"]


def test_what_a_killed_one_has_left(
    spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, part = tmp_path / "copy", tmp_path / "copy.part"
    for path in (part, tmp_path / "copy.part-journal"):
        path.write_bytes(b"SQLite format 3\0half of it")
    assert main(["backup", "--spool", str(spool), str(copy)]) == 0
    said = capsys.readouterr()
    assert said.err == (
        f"mailprobe backup: {part}: it was left of a backup that was killed, and is removed\n"
    )
    assert said.out.startswith(f"{copy} is a copy of the ledger")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "spool"]
    Ledger(copy).close()
