"""How `mailprobe status` looks: in 80 columns, and in fewer."""

from __future__ import annotations

import io
from typing import Any

import pytest

from twisted_probe.cli import status as status_module
from twisted_probe.cli.cells import cells
from twisted_probe.cli.status import duration, lines_of, plain

JOB: dict[str, Any] = {
    "name": "list.txt",
    "path": "/v1/jobs/list.txt",
    "state": "open",
    "paused": False,
    "cancelled": False,
    "received_at": "2027-01-15T08:00:00.000Z",
    "deadline": "2027-01-16T08:00:00.000Z",
    "finished_at": None,
    "lines": 110,
    "invalid": 2,
    "recipients": 100,
    "settled": 42,
    "pending": 30,
    "asking": 20,
    "waiting": 8,
    "next_attempt_at": "2027-01-15T08:12:00.000Z",
    "verdicts": {"deliverable": 20, "risky": 2, "undeliverable": 19, "unknown": 3},
    "reasons": {"accepted": 20},
    "rate": 1.5,
    "eta": 250.0,
}
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4711,
    "spool": "/var/spool/mailprobe",
    "started_at": "2027-01-15T05:05:00.000Z",
    "now": "2027-01-15T08:10:00.000Z",
    "paused": False,
    "alarms": [],
    "limit": {"by": "sites", "words": "the budget of sites: mx.a.example (12 sessions waiting)"},
    "sessions": {"open": 3, "most": 500},
    "in_hand": 57,
    "rate": 12.34,
    "sources": [
        {
            "address": "192.0.2.9",
            "helo": "a.example.org",
            "paused": False,
            "refused_by": [],
            "unplumbed": False,
        },
        {
            "address": "192.0.2.10",
            "helo": "b.example.org",
            "paused": True,
            "refused_by": [{"site": "mx.b.example", "until": "2027-01-16T02:10:00.000Z"}],
            "unplumbed": False,
        },
    ],
    "sites": {"paused": [], "waiting": []},
    "jobs": [JOB],
    "new": [],
}


def shown(width: int = 80, **changes: Any) -> str:
    return "\n".join(plain(line) for line in lines_of({**STATUS, **changes}, width)) + "\n"


def job_shown(**changes: Any) -> list[str]:
    """The lines of one job."""
    return shown(jobs=[{**JOB, **changes}]).split("\n\n")[1].splitlines()


def test_all_of_it() -> None:
    assert (
        shown()
        == """\
mailprobe 0.1.0 on /var/spool/mailprobe, process 4711, up 3 h 5 min
  limited by the budget of sites: mx.a.example (12 sessions waiting)
  at work    12.3 settled/s, 57 in hand, 3 of 500 sessions open
  sources    192.0.2.9   a.example.org
             192.0.2.10  b.example.org  paused
               refused by mx.b.example, which it leaves alone for 18 h 0 min

list.txt [##########..............]  42 %  42 of 100  4 min 10 s left
  ✔ 20 deliverable  ~ 2 risky  ✘ 19 undeliverable  ? 3 unknown
  20 being asked, 30 to be asked, 8 to be asked again, the first in 2 min 0 s,
  23 h 50 min to the deadline
"""
    )


def test_an_alarm() -> None:
    lines = shown(alarms=["the ledger was damaged"]).splitlines()
    assert "alarm" in lines[1]
    assert lines[1].endswith("the ledger was damaged")


def test_nothing_to_do() -> None:
    text = shown(jobs=[], limit={"by": "nothing", "words": "nothing to do"})
    assert text.endswith("\n\nno jobs\n")
    assert "  limited by nothing to do\n" in text


def test_the_time_of_the_next_retry_is_told_from_now() -> None:
    words = "waiting for retries until 2027-01-15T08:14:10.000Z"
    text = shown(limit={"by": "retries", "words": words})
    assert "  limited by waiting for retries, the first in 4 min 10 s\n" in text


def test_sites_that_are_paused() -> None:
    sites = [{"site": f"mx.{name}.example", "since": "2027-01-15T08:00:00.000Z"} for name in "ab"]
    text = shown(sites={"paused": sites, "waiting": []})
    assert "  paused     sites mx.a.example, mx.b.example\n" in text


@pytest.mark.parametrize(
    ("changes", "tail"),
    [
        ({}, " 42 %  42 of 100  4 min 10 s left"),
        ({"eta": None}, " 42 %  42 of 100"),
        ({"paused": True, "eta": None}, " 42 %  42 of 100  paused"),
        ({"cancelled": True, "paused": True}, " 42 %  42 of 100  cancelled, paused"),
        ({"settled": 100, "eta": 0.0}, "100 %  100 of 100  results are being written"),
        ({"state": "finished", "settled": 100}, "100 %  100 of 100  finished"),
        (
            {"state": "importing", "recipients": 0, "settled": 0, "eta": None},
            "  0 %  0 of 0  being read",
        ),
        (
            {"state": "claimed", "recipients": 0, "settled": 0, "eta": None},
            "  0 %  0 of 0  to be read",
        ),
        # Nobody is told that it is done before it is.
        (
            {"recipients": 100_000, "settled": 99_999, "eta": 1.0},
            " 99 %  99999 of 100000  1 s left",
        ),
    ],
)
def test_how_far_a_job_is(changes: dict[str, Any], tail: str) -> None:
    assert job_shown(**changes)[0].endswith(f"] {tail}")


def test_a_list_of_lines_that_are_no_address() -> None:
    job = job_shown(recipients=0, settled=0, pending=0, asking=0, waiting=0, eta=0.0)
    assert job[0] == f"list.txt [{'#' * 24}] 100 %  0 of 0  results are being written"
    assert job[2] == "  23 h 50 min to the deadline"


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_no_line_is_too_long(width: int) -> None:
    name = "a-very-long-name-" * 10
    text = shown(
        width,
        spool="/srv/" + "deep/" * 40,
        jobs=[{**JOB, "name": name}, JOB],
        limit={"by": "sites", "words": "the budget of sites: " + "mx.somewhere.example, " * 9},
        sites={"paused": [{"site": "x" * 200, "since": ""}], "waiting": []},
    )
    assert max(map(len, text.splitlines())) <= width
    assert "…" in text


def test_the_bars_of_several_jobs_stand_in_one_column() -> None:
    text = shown(jobs=[JOB, {**JOB, "name": "a-longer-name.csv"}])
    bars = [line.index("[") for line in text.splitlines() if "[" in line]
    assert len(bars) == 2
    assert bars[0] == bars[1]


def test_the_bars_stand_in_one_column_whatever_the_names_are() -> None:
    """A name of wide characters, one that is cut, and tails of all lengths."""
    jobs = [
        {**JOB, "name": "名簿.csv"},
        {**JOB, "name": "cafe\u0301.csv", "settled": 100},
        {**JOB, "name": "名" * 60, "eta": None},
        {**JOB, "name": "a-very-long-name-" * 9, "recipients": 10_000_000},
    ]
    lines = [line for line in shown(jobs=jobs).splitlines() if "[" in line]
    assert len({cells(line.partition("[")[0]) for line in lines}) == 1
    assert max(map(cells, lines)) <= 80
    assert lines[2].count("…") == lines[3].count("…") == 1


def test_a_cancelled_job_has_no_deadline_any_more() -> None:
    waiting = {"pending": 0, "asking": 0, "waiting": 0, "next_attempt_at": None}
    assert len(job_shown(cancelled=True, **waiting)) == 2
    assert job_shown(cancelled=True)[2:] == [
        "  20 being asked, 30 to be asked, 8 to be asked again, the first in 2 min 0 s"
    ]


def test_lists_that_are_not_taken_yet() -> None:
    assert "\n  in new/    a.csv, b: not taken yet\n" in shown(new=["a.csv", "b"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (250, "4 min 10 s"),
        (3599.7, "1 h 0 min"),
        (86399, "23 h 59 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return out


def test_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    out = on_a_terminal(monkeypatch)
    status_module._show(STATUS, as_json=False)
    text = out.getvalue()
    assert "\x1b[32m━━━━━━━━━━\x1b[0m" in text
    assert "┄" * 14 in text
    assert "\x1b[33m  paused" in text
    assert "#" not in text


def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    out = on_a_terminal(monkeypatch)
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    status_module._show(STATUS, as_json=False)
    assert out.getvalue() == shown()
    show, end = status_module._screen()
    show(list(lines_of(STATUS)))
    end()
    assert out.getvalue().endswith("\x1b[H\x1b[2J" + shown())


def test_a_screen_that_is_shown_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    out = on_a_terminal(monkeypatch)
    show, end = status_module._screen()
    show(list(lines_of(STATUS)))
    first = len(out.getvalue())
    show(list(lines_of({**STATUS, "jobs": []})))
    end()
    second = out.getvalue()[first:]
    # It goes back over what stands there.
    assert "\x1b[1A" in second
    assert "no jobs" in second
