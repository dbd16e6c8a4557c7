"""The benchmarks do what they say, with a handful of recipients; nothing is timed here."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import sink as sink_module
from benchmarks.errand import Errand, recipients
from benchmarks.run import CONTENDERS, Effort, Miscounted, run
from benchmarks.sink import HOST, NoSink, Sink, find_sink
from benchmarks.table import table

ROOT = Path(__file__).parents[2]

needs_a_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler"
)


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Sink:
    return find_sink(tmp_path_factory.mktemp("sink"))


@needs_a_compiler
@pytest.mark.parametrize("name", CONTENDERS)
@pytest.mark.parametrize(("number", "per_session"), [(7, 1), (25, 10)])
def test_a_contender_asks_what_it_was_told(
    sink: Sink, name: str, number: int, per_session: int
) -> None:
    assert run(sink, name, number, per_session).recipients == number


@needs_a_compiler
def test_the_profile_shows_functions_of_ours() -> None:
    code = "from benchmarks.hotspots import hotspots; hotspots(2, 10).print_stats()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "protocol.py" in done.stdout, done.stderr


def _talk(sink: Sink, said: bytes) -> tuple[bytes, dict[str, float]]:
    """What the sink answered until it closed, and what it has counted."""
    with sink() as running:
        with socket.create_connection((HOST, running.port), 10) as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            answers = b"".join(iter(lambda: client.recv(65536), b""))
        return answers, dict(running.counts())


@needs_a_compiler
def test_the_sink_counts_what_must_never_be_said(sink: Sink) -> None:
    said = b"EHLO a.example\r\nVRFY ann\r\nDATA\r\nBDAT 3\r\nRCPT TO:<a@b.example>\r\nhello\r\n"
    answers, counts = _talk(sink, said)
    assert (counts["forbidden"], counts["disorder"], counts["recipients"]) == (3, 2, 0)
    assert answers.count(b"\r\n5") == 5


@needs_a_compiler
def test_the_sink_answers_all_of_a_flood_that_its_buffers_do_not_hold(sink: Sink) -> None:
    said = b"EHLO a.example\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<a@b.example>\r\n" * 50_000
    answers, counts = _talk_while_reading(sink, said + b"QUIT\r\n")
    assert counts["recipients"] == answers.count(b"250 2.1.5") == 50_000
    assert answers.endswith(b"221 2.0.0 Bye\r\n")


def _talk_while_reading(sink: Sink, said: bytes) -> tuple[bytes, dict[str, float]]:
    answers = b""
    with sink() as running:
        with socket.create_connection((HOST, running.port), 10) as client:
            for start in range(0, len(said), 4096):
                client.sendall(said[start : start + 4096])
                answers += client.recv(65536)
            answers += b"".join(iter(lambda: client.recv(65536), b""))
        return answers, dict(running.counts())


@needs_a_compiler
def test_the_sink_hangs_up_on_an_endless_line(sink: Sink) -> None:
    with sink() as running, socket.create_connection((HOST, running.port), 10) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            while True:
                client.sendall(b"x" * 4096)
        assert running.counts()["sessions"] == 1


@needs_a_compiler
def test_a_count_that_is_not_as_asked_is_an_error(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.run.LATE", 0.0)
    monkeypatch.setattr("benchmarks.run.WARMING_SESSIONS", 49)
    with pytest.raises(Miscounted, match="blocking: the sink has counted"):
        run(sink, "blocking", 1, 1)


def test_without_compiler_and_postfix_the_words_are_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "_ALSO_IN", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSink, match="neither a C compiler nor Postfix's smtp-sink"):
        find_sink(tmp_path)


def test_an_errand_has_no_more_recipients_in_a_session_than_told() -> None:
    errand = Errand(HOST, 25, recipients(5), per_session=2)
    sessions = list(errand.sessions())
    assert [len(batch) for _, batch in sessions] == [2, 2, 1]
    assert len({source for source, _ in sessions}) == 3
    assert sum((batch for _, batch in sessions), ()) == errand.recipients


def test_the_table_has_medians_spread_and_ratios() -> None:
    def efforts(*seconds: float) -> list[Effort]:
        return [
            Effort(recipients=1000, user=each / 2, system=each / 2, wall=2 * each, sink=each / 2)
            for each in seconds
        ]

    rows = table({("blocking", 1): efforts(1, 2, 4), ("ours", 100): efforts(0.05)}).splitlines()
    assert rows[3].split() == ["blocking", "1", "500", "250", "…", "1,000", "1.00", "50%", "25%"]
    assert rows[4].split() == [
        "ours",
        "100",
        "20,000",
        "20,000",
        "…",
        "20,000",
        "40.00",
        "50%",
        "25%",
    ]
