"""`mailprobe submit`: a list is in the spool whole or not at all, and no daemon is needed."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import MAILPROBE
from twisted_probe.jobs import submission
from twisted_probe.jobs.spool import Spool
from twisted_probe.jobs.submission import NotSubmitted, place_of, rename_to_new_name, submit

LIST = b"ann@quick.example\nben@quick.example\n"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    Spool(path).close()
    return path


def names(spool: Path) -> dict[str, list[str]]:
    """What lies in the spool."""
    return {each.name: sorted(os.listdir(each)) for each in spool.iterdir() if os.listdir(each)}


def refused(spool: Path, name: bytes, content: Any = None) -> str:
    with pytest.raises(NotSubmitted) as caught:
        submit(str(spool), name, content or io.BytesIO(LIST))
    return str(caught.value)


class TestSubmitting:
    def test_it_is_in_new_and_private(self, spool: Path) -> None:
        submit(str(spool), b"list.txt", io.BytesIO(LIST))
        assert names(spool) == {"new": ["list.txt"]}
        path = spool / "new" / "list.txt"
        assert path.read_bytes() == LIST
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_in_a_groups_spool_the_group_reads_it(self, spool: Path) -> None:
        for name in ("tmp", "new"):
            (spool / name).chmod(0o3770)
        submit(str(spool), b"list.txt", io.BytesIO(LIST))
        status = (spool / "new" / "list.txt").stat()
        assert stat.S_IMODE(status.st_mode) == 0o640
        assert status.st_gid == (spool / "tmp").stat().st_gid

    def test_the_order_of_the_steps(self, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        events: list[str] = []
        fsync, rename = os.fsync, rename_to_new_name

        def synced(descriptor: int) -> None:
            where = Path(os.readlink(f"/proc/self/fd/{descriptor}")).relative_to(spool).parts
            size = os.fstat(descriptor).st_size
            events.append(f"fsync {where[0]}" if len(where) == 1 else f"fsync the file of {size}")
            assert not (spool / "new" / "list.txt").exists() or len(where) == 1
            fsync(descriptor)

        def renamed(*arguments: Any) -> None:
            events.append("rename")
            rename(*arguments)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(submission, "rename_to_new_name", renamed)
        submit(str(spool), b"list.txt", io.BytesIO(LIST))
        assert events == [f"fsync the file of {len(LIST)}", "rename", "fsync new", "fsync tmp"]

    @pytest.mark.parametrize("where", ["read", "fsync", "rename"])
    def test_nothing_is_left_of_what_fails(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        def fails(*_: Any) -> Any:
            raise OSError(28, "No space left on device")

        content: Any = io.BytesIO(LIST)
        if where == "read":
            content.read = fails
        elif where == "fsync":
            monkeypatch.setattr(os, "fsync", fails)
        else:
            monkeypatch.setattr(submission, "rename_to_new_name", fails)
        assert refused(spool, b"list.txt", content) == "list.txt: No space left on device"
        assert names(spool) == {}

    def test_what_is_interrupted_is_gone(self, spool: Path) -> None:
        def interrupted(*_: Any) -> Any:
            raise KeyboardInterrupt

        content: Any = io.BytesIO(LIST)
        content.read = interrupted
        with pytest.raises(KeyboardInterrupt):
            submit(str(spool), b"list.txt", content)
        assert names(spool) == {}

    def test_a_name_that_is_taken(self, spool: Path) -> None:
        (spool / "new" / "list.txt").write_bytes(b"first\n")
        assert refused(spool, b"list.txt") == (
            f"list.txt: a list of this name is in {spool}/new already; give it another --name, "
            "or wait until the daemon has taken that one"
        )
        assert names(spool) == {"new": ["list.txt"]}
        assert (spool / "new" / "list.txt").read_bytes() == b"first\n"

    @pytest.mark.parametrize("has_renameat2", [True, False])
    def test_a_name_that_is_taken_while_it_is_copied(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch, has_renameat2: bool
    ) -> None:
        if not has_renameat2:
            monkeypatch.setattr(submission, "_renameat2", lambda: None)

        class Slow(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                (spool / "new" / "list.txt").write_bytes(b"first\n")
                return super().read(size)

        assert "is in" in refused(spool, b"list.txt", Slow(LIST))
        assert (spool / "new" / "list.txt").read_bytes() == b"first\n"
        assert names(spool) == {"new": ["list.txt"]}

    @pytest.mark.parametrize("number", [38, 22])
    def test_where_the_kernel_or_the_file_system_cannot(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.setattr(submission, "_renameat2", lambda: lambda *_: number)
        submit(str(spool), b"list.txt", io.BytesIO(LIST))
        assert names(spool) == {"new": ["list.txt"]}

    def test_another_trouble_of_the_kernel(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(submission, "_renameat2", lambda: lambda *_: 13)
        assert refused(spool, b"list.txt") == "list.txt: Permission denied"
        assert names(spool) == {}

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (b"", "'' is not the name of a file"),
            (b"a/b.txt", "'a/b.txt' is not the name of a file"),
            (b".list.txt", ".list.txt: a name that begins with a full stop, or ends with .tmp"),
            (b"list.part", "is never taken; give it another --name"),
            (b"list~", "is never taken"),
            (b"list.xls", "list.xls: the suffix .xls is not understood"),
            (b"\x1b[2J.xls", "\\x1b[2J.xls: the suffix"),
        ],
    )
    def test_names_that_no_daemon_takes(self, spool: Path, name: bytes, words: str) -> None:
        assert words in refused(spool, name)
        assert names(spool) == {}

    def test_a_name_that_is_too_long(self, spool: Path) -> None:
        assert refused(spool, b"x" * 256).endswith("File name too long")
        assert names(spool) == {}

    def test_what_is_no_spool(self, tmp_path: Path) -> None:
        assert refused(tmp_path, b"list.txt") == (
            f"{tmp_path} is no spool: there is no {tmp_path}/tmp; a daemon makes it on its first "
            "start"
        )

    def test_where_the_results_will_lie(self, spool: Path) -> None:
        done = f"{spool}/done"
        assert place_of(str(spool), b"list.txt") == f"{done}/list.txt.results.csv"
        assert place_of(str(spool), b"list.jsonl") == f"{done}/list.jsonl.results.jsonl"
        assert place_of(str(spool), b"list.CSV.gz") == f"{done}/list.CSV.gz.results.csv"
        (spool / "done" / "list.txt").touch()
        (spool / "active" / "list.txt~2").touch()
        assert place_of(str(spool), b"list.txt") == f"{done}/list.txt~3.results.csv"
        assert place_of(str(spool), b"M\xe4rz.csv") == f"{done}/M\\xe4rz.csv.results.csv"


def mailprobe(*words: str, spool: Path | None = None, given: bytes = b"") -> Any:
    environment = {key: value for key, value in os.environ.items() if key != "MAILPROBE_SPOOL"}
    if spool is not None:
        environment["MAILPROBE_SPOOL"] = str(spool)
    return subprocess.run(
        [MAILPROBE, *words], input=given, capture_output=True, env=environment, timeout=60
    )


class TestTheCommand:
    def test_two_lists(self, spool: Path, tmp_path: Path) -> None:
        for name in ("one.txt", "two.csv"):
            (tmp_path / name).write_bytes(b"address\nann@quick.example\n")
        done = mailprobe(
            "submit", str(tmp_path / "one.txt"), str(tmp_path / "two.csv"), spool=spool
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode() == "".join(
            f"{name} is in the spool; its results will lie in {spool}/done/{name}.results.csv\n"
            for name in ("one.txt", "two.csv")
        )
        assert names(spool) == {"new": ["one.txt", "two.csv"]}

    def test_standard_input(self, spool: Path) -> None:
        done = mailprobe(
            *("submit", "-", "--name", "list.txt", "--json", "--spool", str(spool)), given=LIST
        )
        assert json.loads(done.stdout) == {
            "name": "list.txt",
            "results": f"{spool}/done/list.txt.results.csv",
        }
        assert (spool / "new" / "list.txt").read_bytes() == LIST

    def test_what_cannot_be_read_keeps_nobody_else_out(self, spool: Path, tmp_path: Path) -> None:
        (tmp_path / "one.txt").write_bytes(LIST)
        done = mailprobe(
            *("submit", str(tmp_path / "none.txt"), str(tmp_path)),
            str(tmp_path / "one.txt"),
            spool=spool,
        )
        assert done.returncode == 1
        assert done.stderr.decode().splitlines() == [
            f"mailprobe submit: {tmp_path}/none.txt: No such file or directory",
            f"mailprobe submit: {tmp_path}: Is a directory",
        ]
        assert names(spool) == {"new": ["one.txt"]}

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("-",), "-: a list from standard input needs a --name"),
            (("a", "b", "--name", "c"), "--name: one name is for one list"),
        ],
    )
    def test_wrong_usage(self, spool: Path, words: tuple[str, ...], complaint: str) -> None:
        done = mailprobe("submit", *words, spool=spool)
        assert (done.returncode, done.stderr.decode()) == (2, f"mailprobe submit: {complaint}\n")

    def test_no_spool_is_named(self) -> None:
        done = mailprobe("submit", "list.txt")
        assert done.returncode == 2
        assert done.stderr.decode() == (
            "mailprobe submit: --spool: no directory is given, and MAILPROBE_SPOOL is not set\n"
        )

    def test_it_imports_no_twisted(self, spool: Path, tmp_path: Path) -> None:
        (tmp_path / "list.txt").write_bytes(LIST)
        code = (
            "import sys; from twisted_probe.cli import main;"
            f"assert main(['submit', '--spool', {str(spool)!r}, 'list.txt']) == 0;"
            "assert not [name for name in sys.modules if name.split('.')[0] == 'twisted']"
        )
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=60)
