"""A whole conversation in pieces: what is believed does not depend on how the octets arrive, nor
on what would have come behind them; and little is held at any moment."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.limits import MAX_LINE, MAX_REPLY
from twisted_probe.vocabulary.address import parse_address

from .holding import MOST, held
from .talk import ANN, BOB, CONTROL, CY, DAN, PROBE
from .wire import Wire, in_transaction, outcome_of, rcpt

PEOPLE = [ANN, BOB, CY, DAN]

TEXTS = st.binary(max_size=20).map(lambda text: text.replace(b"\n", b""))
LINES = st.lists(TEXTS, min_size=1, max_size=4)
ANSWERS = st.lists(
    st.tuples(st.sampled_from([250, 250, 252, 450, 452, 550, 551]), LINES), min_size=12, max_size=12
)
KEYWORDS = st.sampled_from([[b"mx"], [b"mx", b"PIPELINING"], [b"mx", b"SIZE 9", b"PIPELINING"]])


def rendered(code: int, lines: list[bytes]) -> bytes:
    return b"".join(
        b"%d%s%s\r\n" % (code, b" " if n == len(lines) - 1 else b"-", line)
        for n, line in enumerate(lines)
    )


def conversation(
    keywords: list[bytes],
    answers: list[tuple[int, list[bytes]]],
    pieces: list[int],
    octets: int | None = None,
) -> tuple[SessionReport, int]:
    """The report, and how many octets the server had to say. It says each time what is due, in
    pieces of these sizes, over and over; after so many `octets` it closes."""
    wire = Wire()
    replies = iter([(250, keywords), (250, [b"ok"]), *answers])
    said = 0
    sizes = iter(pieces * 100_000)

    def say(data: bytes) -> None:
        nonlocal said
        if octets is not None:
            data = data[: octets - said]
        said += len(data)
        while data and wire.is_open:
            size = next(sizes)
            wire.feed(data[:size])
            data = data[size:]
            assert held(wire.session) <= MOST

    say(b"220 mx.example.net\r\n")
    if said == octets:
        wire.closes()
        return SessionReport(answers={}), said
    reports = outcome_of(converse(wire.session, PEOPLE, PROBE, control=CONTROL))
    while not reports:
        due = [
            b"221 bye\r\n" if line == "QUIT" else rendered(*next(replies))
            for line in wire.client_said()
        ]
        say(b"".join(due))
        if not due or said == octets:
            wire.closes()
    (report,) = reports
    assert isinstance(report, SessionReport)
    return report, said


PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@settings(deadline=None)
@given(KEYWORDS, ANSWERS, PIECES)
def test_any_pieces_are_the_same_conversation(
    keywords: list[bytes], answers: list[tuple[int, list[bytes]]], pieces: list[int]
) -> None:
    assert conversation(keywords, answers, pieces) == conversation(keywords, answers, [1 << 20])


@settings(deadline=None)
@given(KEYWORDS, ANSWERS, PIECES, st.data())
def test_no_answer_comes_of_a_part_that_the_whole_does_not_have(
    keywords: list[bytes],
    answers: list[tuple[int, list[bytes]]],
    pieces: list[int],
    data: st.DataObject,
) -> None:
    """Rows 43 and 44."""
    whole, octets = conversation(keywords, answers, [1 << 20])
    part, _ = conversation(keywords, answers, pieces, data.draw(st.integers(1, octets - 1)))
    assert part.answers.items() <= whole.answers.items()


# --- Large ones --------------------------------------------------------------------------------

LARGE = st.tuples(
    st.sampled_from([250, 450, 550]),
    st.lists(st.integers(0, MAX_LINE).map(lambda size: b"x" * size), min_size=1, max_size=128),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(LARGE, min_size=1, max_size=30), st.integers(1, 5000))
def test_little_is_held_of_much(answers: list[tuple[int, list[bytes]]], size: int) -> None:
    wire = in_transaction("PIPELINING")
    people = [parse_address(f"u{n}@example.net") for n in range(len(answers))]
    results = outcome_of(wire.session.group([rcpt(each.local) for each in people]))
    data = b"".join(rendered(*answer) for answer in answers)
    for start in range(0, len(data), size):
        wire.feed(data[start : start + size])
        replies = results[0] if results and isinstance(results[0], tuple) else ()
        assert held(wire.session, replies) <= MOST
    wire.closes()


def test_the_most_that_can_be_held() -> None:
    """A hundred long answers, a long reply that is not finished, and a line that is not."""
    wire = in_transaction("PIPELINING", *(f"X-{n} " + "y" * 100 for n in range(60)))
    outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(100)]))
    for n in range(99):
        wire.feed(b"550-%04d" % n + b"x" * 996 + b"\r\n550 " + b"x" * 1000 + b"\r\n")
    wire.feed(*[b"550-" + b"x" * 2000 + b"\r\n"] * (MAX_REPLY // 2100), b"550 " + b"x" * 8000)
    assert not wire.is_cut
    assert MOST * 3 // 4 < held(wire.session) <= MOST


@pytest.mark.parametrize("size", [1024, 8192, 65536])
def test_the_work_grows_with_the_packet_and_no_faster(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 15: LineReceiver would copy what is left of a packet for each line of it."""
    wire = in_transaction("PIPELINING", max_recipients=0)
    outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(90)]))
    copied = 0
    line_received = wire.session.lineReceived

    def counted(line: bytes) -> None:
        nonlocal copied
        copied += len(wire.session._buffer)
        line_received(line)

    monkeypatch.setattr(wire.session, "lineReceived", counted)
    data = (b"250-x\n" * 127 + b"250 x\n") * 90
    wire.feed(data[:size])
    assert not wire.is_cut
    assert copied <= size
