"""The table: rows for people, plain where nobody watches, in colours where somebody does."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

from twisted_probe.cli.cells import cells
from twisted_probe.cli.table import COLUMNS, MAX_WIDTH, print_table

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """Somebody watches."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    return Terminal()


def record(address: str, verdict: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"address": address, "verdict": verdict, "reason": reason, "final": True, **more}


RECORDS = [
    record(
        "ann@example.net",
        "deliverable",
        "accepted",
        code=250,
        exchanger="mx.example.net",
        source="192.0.2.10",
    ),
    record("nobody@example.net", "undeliverable", "no_such_mailbox", code=550),
    record("eve@example.net", "unknown", "greylisted", code=450, final=False),
    record("[red]max@example.net", "risky", "catch_all", code=250),
]


def test_plain() -> None:
    out = io.StringIO()
    print_table(RECORDS, out, notes=["", "A note."])
    assert out.getvalue().splitlines() == [
        "address               verdict          reason           code  exchanger       source",
        "--------------------  ---------------  ---------------  ----  --------------  ----------",
        "ann@example.net       ✔ deliverable    accepted         250   mx.example.net  192.0.2.10",
        "nobody@example.net    ✘ undeliverable  no_such_mailbox  550",
        "eve@example.net       ? unknown        greylisted …     450",
        "[red]max@example.net  ~ risky          catch_all        250",
        "",
        "✔ 1 deliverable   ~ 1 risky   ✘ 1 undeliverable   ? 1 unknown",
        "",
        "A note.",
    ]


def test_rows_of_a_result_file() -> None:
    """There all is text."""
    out = io.StringIO()
    row = {"address": "ann@example.net", "verdict": "deliverable", "reason": "accepted"}
    print_table([{**row, "final": "true"}, {**row, "final": "false", "code": ""}], out)
    assert [line.split()[1:] for line in out.getvalue().splitlines()[2:4]] == [
        ["✔", "deliverable", "accepted"],
        ["✔", "deliverable", "accepted", "…"],
    ]


def test_a_long_address_is_cut() -> None:
    out = io.StringIO()
    print_table([record("a" * 64 + "@example.net", "deliverable", "accepted")], out)
    assert out.getvalue().splitlines()[2].split()[0] == "a" * (MAX_WIDTH - 1) + "…"


def test_nothing_to_show() -> None:
    out = io.StringIO()
    print_table([], out)
    assert out.getvalue().splitlines()[0].split() == list(COLUMNS)


def test_colours_on_a_terminal(terminal: Terminal) -> None:
    print_table(RECORDS, terminal, notes=["A note."])
    assert ESCAPE.search(terminal.getvalue())
    text = ESCAPE.sub("", terminal.getvalue())
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines[0] == list(COLUMNS)
    assert lines[2:6] == [
        ["ann@example.net", "✔", "deliverable", "accepted", "250", "mx.example.net", "192.0.2.10"],
        ["nobody@example.net", "✘", "undeliverable", "no_such_mailbox", "550"],
        ["eve@example.net", "?", "unknown", "greylisted", "…", "450"],
        # What looks like markup is an address.
        ["[red]max@example.net", "~", "risky", "catch_all", "250"],
    ]
    assert " ".join(lines[6]) == "✔ 1 deliverable ~ 1 risky ✘ 1 undeliverable ? 1 unknown"
    assert lines[7] == ["A", "note."]


def test_no_colours_where_none_are_wanted(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(RECORDS, terminal)
    colours = {code for code in ESCAPE.findall(terminal.getvalue()) if re.search(r"[34]\d", code)}
    assert colours == set()


def test_no_colours_in_a_file() -> None:
    out = io.StringIO()
    print_table(RECORDS, out)
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("width", "dropped"),
    [(89, ""), (88, "exchanger"), (72, "exchanger code"), (60, "exchanger code source")],
)
def test_a_narrow_terminal_has_fewer_columns(
    width: int, dropped: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(RECORDS, terminal)
    lines = ESCAPE.sub("", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= width
    assert next(line.split() for line in lines if line.strip()) == [
        column for column in COLUMNS if column not in dropped.split()
    ]
    # What is shown is whole; the ellipsis means that there is more to come.
    assert [line.strip() for line in lines if "…" in line] == [
        line.strip() for line in lines if "greylisted …" in line
    ]


def test_a_very_narrow_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table(RECORDS, terminal)
    lines = [line for line in ESCAPE.sub("", terminal.getvalue()).splitlines() if line.strip()]
    assert max(map(len, lines)) <= 30
    assert [line.split()[0][:4] for line in lines[2:6]] == ["ann@", "nobo", "eve@", "[red"]


def test_without_rich_it_is_plain_on_a_terminal_too(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    plain = io.StringIO()
    print_table(RECORDS, plain)
    print_table(RECORDS, terminal)
    assert terminal.getvalue() == plain.getvalue()


def test_an_address_is_cut_before_its_source_goes(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = {**record("a" * 40 + "@example.net", "deliverable", "accepted"), "source": "192.0.2.10"}
    print_table([long], terminal)
    row = ESCAPE.sub("", terminal.getvalue()).splitlines()[2].split()
    assert row[0].endswith("…")
    assert row[-1] == "192.0.2.10"


def test_notes_are_broken_at_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    note = "  ann@example.net: 450 come again a little later"
    out = Terminal()
    print_table(RECORDS, out, notes=[note])
    assert out.getvalue().splitlines()[-2:] == [
        "  ann@example.net: 450 come",
        "  again a little later",
    ]
    plain = io.StringIO()
    print_table(RECORDS, plain, notes=[note])
    assert plain.getvalue().splitlines()[-1] == note


def test_wide_addresses_stand_in_their_column() -> None:
    out = io.StringIO()
    records = [{**RECORDS[0], "address": address} for address in ("名簿@例え.jp", "ann@a.example")]
    print_table(records, out)
    lines = out.getvalue().splitlines()
    marks = [line.index("✔ deliverable") for line in lines[2:4]]
    assert [cells(line[:mark]) for line, mark in zip(lines[2:4], marks, strict=True)] == [15, 15]
