"""The fuzzer's kept inputs, replayed without it; and the fuzzer itself, for a short while."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.session_target import MAX_HELD, check_session
from tests.fuzz.targets import TARGETS, WORDS, corpus

ROOT = Path(__file__).parent.parent.parent
#: Seconds that each target is fuzzed, and until it must have ended.
SECONDS = {"grammar": 5, "session": 15}
PATIENCE = 120

KEPT = [(name, path) for name in TARGETS for path in sorted(corpus(name).iterdir())]


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{n}-{p.name[:8]}" for n, p in KEPT])
def test_a_kept_input(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


#: Replies of 32 KiB each to one group of RCPTs, in full within every limit.
LONG_REPLIES = (
    b"9@|220 mx\r\n|250-mx\r\n250 PIPELINING\r\n|250 ok\r\n"
    + (b"|*6550-" + b"y" * 490 + b"\r\n|550 x\r\n") * 7
)


def test_long_replies_are_not_all_held() -> None:
    assert check_session(LONG_REPLIES) <= MAX_HELD


def test_the_corpus_is_small() -> None:
    assert {name for name, _ in KEPT} == TARGETS.keys()
    assert sum(path.stat().st_size for _, path in KEPT) < 200_000


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="no wheel of atheris for this Python"
)
@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_finds_nothing_in_a_short_while(name: str, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "tests.fuzz", name),
            f"-max_total_time={SECONDS[name]}",
            *("-max_len=1024", "-timeout=20", f"-dict={WORDS}", f"-artifact_prefix={tmp_path}/"),
            *(str(found), str(corpus(name))),
        ],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    words = done.stderr.decode("utf-8", "replace")
    culprits = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    assert not done.returncode, f"{culprits}\n{words[-4000:]}"
    assert "Done " in words, words[-4000:]
