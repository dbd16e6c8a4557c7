"""What a stranger may send, and in what pieces. Rows are those of cases.md."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.smtp.errors import ProtocolViolation
from twisted_probe.smtp.limits import (
    KEPT_LEAST,
    KEPT_REPLY,
    LINE_COST,
    MAX_ANSWER,
    MAX_LINE,
    MAX_REPLY,
    MAX_REPLY_LINES,
    MAX_SESSION,
)

from .wire import Wire, in_transaction, outcome_of, rcpt

KIB = 1024


def violated(results: list[Any], words: str) -> None:
    (error,) = results
    assert isinstance(error, ProtocolViolation)
    assert words in str(error)


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n220 ok\r\n"])
@pytest.mark.parametrize("packet", [64 * KIB, 4 * KIB])
def test_a_line_without_an_end(packet: int, end: bytes) -> None:
    """Rows 12 and 13."""
    wire = Wire()
    data = b"220 " + b"x" * (64 * KIB) + end
    wire.feed(*(data[n : n + packet] for n in range(0, len(data), packet)))
    violated(wire.greeted, f"a line of more than {MAX_LINE} octets")
    assert wire.is_cut


def test_no_more_than_a_line_is_waited_for() -> None:
    wire = Wire()
    wire.feed(b"x" * MAX_LINE)
    assert wire.greeted == []
    wire.feed(b"x")
    violated(wire.greeted, f"a line of more than {MAX_LINE} octets")


def test_the_longest_line() -> None:
    """Row 35: cut, not failed."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    wire.server(b"550 " + b"x" * (MAX_LINE - 5))
    assert reply[0].lines == (b"x" * (KEPT_REPLY - LINE_COST),)


def test_an_endless_reply_of_short_lines() -> None:
    """Row 14."""
    wire = Wire()
    for n in range(MAX_REPLY_LINES):
        assert wire.greeted == []
        wire.server(f"220-{n}")
    wire.server("220-one too many")
    violated(wire.greeted, f"a reply of more than {MAX_REPLY_LINES} lines")


def test_an_endless_reply_of_long_lines() -> None:
    wire = Wire()
    for _ in range(MAX_REPLY // KIB):
        assert wire.greeted == []
        wire.server(b"220-" + b"x" * (KIB - 4))
    wire.server("220-one too many")
    violated(wire.greeted, f"a reply of more than {MAX_REPLY} octets")


def test_a_packet_of_thousands_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 15: what is behind the first trouble is thrown away and not parsed."""
    wire = in_transaction()
    reply = outcome_of(wire.session.rcpt("ann@example.net"))
    lines: list[bytes] = []
    line_received = wire.session.lineReceived

    def counted(line: bytes) -> None:
        lines.append(line)
        line_received(line)

    monkeypatch.setattr(wire.session, "lineReceived", counted)
    wire.feed(b"250 x\n" * 10_000)
    violated(reply, "a reply that nobody asked for")
    assert len(lines) == 2


def test_a_session_has_an_end() -> None:
    """It grows with those that are asked."""
    wire = in_transaction(max_recipients=0)
    lines = b"550-" + b"x" * (KIB - 6) + b"\r\n"
    said = 0
    for n in range(1, 1000):
        reply = outcome_of(wire.session.rcpt("ann@example.net"))
        wire.feed(lines * 7 + b"550 no\r\n")
        said += 7 * KIB + 8
        if said > MAX_SESSION + n * MAX_ANSWER - KIB:
            break
        assert reply[0].code == 550
    violated(reply, f"more than {MAX_SESSION + n * MAX_ANSWER} octets in a session")
    assert wire.is_cut
    assert 11 < n < 14


def test_the_texts_that_are_kept_have_an_end() -> None:
    """The first long ones are kept, and of every other one as much as says what it is."""
    wire = in_transaction(max_recipients=0)
    kept = []
    for _ in range(100):
        reply = outcome_of(wire.session.rcpt("ann@example.net"))
        wire.server(b"550-" + b"x" * KIB, b"550 " + b"x" * (KIB - 30))
        kept.append(sum(map(len, reply[0].lines)))
    assert kept[0] > 1900
    assert min(kept) == KEPT_LEAST - LINE_COST
    assert sum(kept) < 32 * KIB


def test_a_packet_beyond_the_session_is_not_even_parsed() -> None:
    wire = Wire()
    wire.feed(b"220 ok\r\n" + b"x" * MAX_SESSION)
    violated(wire.greeted, "octets in a session")
    assert wire.session.greeting is None


# --- Pieces ------------------------------------------------------------------------------------

ANSWERS = st.lists(
    st.tuples(
        st.sampled_from([250, 251, 252, 450, 452, 550, 551]),
        st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"")), min_size=1),
        st.sampled_from([b"\r\n", b"\n"]),
    ),
    min_size=1,
    max_size=6,
)


def rendered(answers: list[tuple[int, list[bytes], bytes]]) -> bytes:
    return b"".join(
        b"%d%s%s%s" % (code, b" " if n == len(texts) - 1 else b"-", text, end)
        for code, texts, end in answers
        for n, text in enumerate(texts)
    )


def asked(number: int) -> tuple[Wire, list[Any]]:
    """A session that has asked about so many recipients at once."""
    wire = in_transaction("PIPELINING")
    return wire, outcome_of(wire.session.group([rcpt(f"u{n}") for n in range(number)]))


@given(ANSWERS, st.data())
def test_the_same_bytes_in_any_pieces_are_the_same_replies(
    answers: list[tuple[int, list[bytes], bytes]], data: st.DataObject
) -> None:
    said = rendered(answers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=10)))
    whole, expected = asked(len(answers))
    whole.feed(said)
    wire, replies = asked(len(answers))
    wire.feed(*(said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)))
    assert replies == expected
    assert [reply.code for reply in replies[0]] == [code for code, _, _ in answers]
    assert not wire.is_cut


@given(ANSWERS, st.data())
def test_no_reply_comes_of_a_part_of_one(
    answers: list[tuple[int, list[bytes], bytes]], data: st.DataObject
) -> None:
    """Rows 43 and 44."""
    said = rendered(answers)
    part = said[: data.draw(st.integers(0, len(said) - 1))]
    complete = sum(part.startswith(rendered(answers[: n + 1])) for n in range(len(answers)))
    wire, replies = asked(len(answers))
    wire.feed(part)
    wire.closes()
    (error,) = replies
    assert [reply.code for reply in error.replies] == [code for code, _, _ in answers[:complete]]


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"220 mx\r\n", b"250 Ok\r\n"])))
def test_whatever_comes_the_session_ends_or_waits(packets: list[bytes]) -> None:
    wire = Wire()
    wire.feed(*packets)
    assert wire.timers == (0 if wire.is_cut else 1)
    wire.seconds_pass(600)
    assert wire.transport.gone
    assert wire.timers == 0
    assert len(wire.greeted) == 1
