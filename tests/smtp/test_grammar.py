"""The grammar of replies: which lines are one, which are none, and how large one may be.

Rows are those of cases.md.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.smtp.grammar import GrammarError, ReplyAssembler, ehlo_keywords
from twisted_probe.smtp.limits import (
    KEPT_KEYWORDS,
    KEPT_LINE,
    KEPT_UNFINISHED,
    LINE_COST,
    MAX_LINE,
    MAX_REPLY,
    MAX_REPLY_LINES,
)

Parsed = tuple[int, tuple[bytes, ...]]


def parse(*lines: bytes) -> list[Parsed]:
    """The replies that these lines are."""
    assembler = ReplyAssembler()
    return [reply for reply in map(assembler.line, lines) if reply is not None]


def render(code: int, texts: tuple[bytes, ...]) -> list[bytes]:
    """The lines of a reply."""
    *before, last = texts
    return [*(b"%d-%s" % (code, text) for text in before), b"%d %s" % (code, last)]


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        pytest.param([b"250 Ok"], (250, (b"Ok",)), id="one line"),
        pytest.param([b"250"], (250, (b"",)), id="row 26: no text, no space"),
        pytest.param([b"250 "], (250, (b"",)), id="row 26: no text behind the space"),
        pytest.param([b"250-", b"250"], (250, (b"", b"")), id="row 26: in the last of two lines"),
        pytest.param([b"220-a", b"220-b", b"220 c"], (220, (b"a", b"b", b"c")), id="three lines"),
        pytest.param([b"550  two"], (550, (b" two",)), id="only one space separates"),
        pytest.param([b"250 -250 x"], (250, (b"-250 x",)), id="a hyphen in the text"),
        pytest.param([b"200 low"], (200, (b"low",)), id="row 22: the lowest code"),
        pytest.param([b"559 high"], (559, (b"high",)), id="row 22: the highest code"),
        pytest.param([b"354 go on"], (354, (b"go on",)), id="row 39: 3xx is a reply, if no answer"),
        pytest.param([b"220 \x00\x1b[2J\xff"], (220, (b"\x00\x1b[2J\xff",)), id="rows 10, 11, 38"),
        pytest.param([b"220 a\rb"], (220, (b"a\rb",)), id="row 21: a bare CR is text"),
        pytest.param([b"220 a\nb"], (220, (b"a\nb",)), id="whatever the text is made of"),
    ],
)
def test_what_is_a_reply(lines: list[bytes], reply: Parsed) -> None:
    assert parse(*lines) == [reply]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="row 25: an empty line"),
        pytest.param(b"000 x", id="row 22: 000"),
        pytest.param(b"999 x", id="row 22: 999"),
        pytest.param(b"150 x", id="row 22: 1xx"),
        pytest.param(b"600 x", id="row 22: 6xx"),
        pytest.param(b"260 x", id="row 22: second digit above 5"),
        pytest.param(b"25 x", id="row 23: two digits"),
        pytest.param(b"25", id="row 23: two digits and nothing"),
        pytest.param(b"2500 x", id="row 23: four digits"),
        pytest.param(b"OK", id="row 23: letters"),
        pytest.param(b"25O x", id="row 23: a letter O"),
        pytest.param(b"+25 x", id="row 23: a sign"),
        pytest.param(b" 25 x", id="row 23: a space before two digits"),
        pytest.param(b" 250 x", id="row 23: a space before three digits"),
        pytest.param(b"2_5 x", id="row 23: an underscore"),
        pytest.param("\uff12\uff15\uff10 x".encode(), id="row 24: full-width digits"),
        pytest.param(b"250OK", id="row 27: nothing between code and text"),
        pytest.param(b"250\tOk", id="row 27: a tab"),
        pytest.param(b"250\r", id="row 21: a second CR"),
        pytest.param(b"\xef\xbb\xbf250 x", id="a byte order mark"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2", id="row 9: SSH"),
        pytest.param(b"HTTP/1.1 400 Bad Request", id="row 9: HTTP"),
    ],
)
def test_what_is_no_reply(line: bytes) -> None:
    with pytest.raises(GrammarError, match="not an SMTP reply"):
        parse(line)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param([b"250-a", b"550 b"], "250 then 550", id="row 28: a yes becomes a no"),
        pytest.param([b"550-a", b"250 b"], "550 then 250", id="row 29: a no becomes a yes"),
        pytest.param([b"550-a", b"551-b"], "550 then 551", id="row 28: before the last line"),
    ],
)
def test_the_code_may_not_change(lines: list[bytes], words: str) -> None:
    with pytest.raises(GrammarError, match=words):
        parse(*lines)


def test_what_is_said_of_garbage_is_short_and_printable() -> None:
    with pytest.raises(GrammarError) as caught:
        parse(b"\x1b]0;owned\x07\r" + b"x" * MAX_LINE)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_one_assembler_serves_many_replies() -> None:
    lines = [b"220-mx", b"220 ESMTP", b"250 Ok", b"550-5.1.1 no", b"550 5.1.1 such user"]
    assert parse(*lines) == [
        (220, (b"mx", b"ESMTP")),
        (250, (b"Ok",)),
        (550, (b"5.1.1 no", b"5.1.1 such user")),
    ]


def test_it_tells_whether_a_reply_is_half_read() -> None:
    assembler = ReplyAssembler()
    assert assembler.is_between_replies
    assembler.line(b"250-first")
    assert not assembler.is_between_replies
    assembler.line(b"250 last")
    assert assembler.is_between_replies


# --- How large a reply may be ------------------------------------------------------------------


def test_a_long_line_is_cut_and_not_failed() -> None:
    """Row 35."""
    assert parse(b"550 " + b"x" * 5000) == [(550, (b"x" * KEPT_LINE,))]


def test_a_hundred_lines_are_joined() -> None:
    """Row 36."""
    texts = (b"no",) * 100
    assert parse(*render(550, texts)) == [(550, texts)]


def test_as_many_lines_as_may_be() -> None:
    texts = (b"",) * MAX_REPLY_LINES
    assert parse(*render(250, texts), *render(250, texts)) == [(250, texts)] * 2


def test_one_line_too_many() -> None:
    """Row 14."""
    with pytest.raises(GrammarError, match=f"more than {MAX_REPLY_LINES} lines"):
        parse(*render(250, (b"",) * (MAX_REPLY_LINES + 1)))


def test_as_many_octets_as_may_be() -> None:
    lines = [b"250-" + b"x" * (MAX_LINE - 4)] * (MAX_REPLY // MAX_LINE)
    assert parse(*lines[1:], b"250 " + b"x" * (MAX_LINE - 4))
    with pytest.raises(GrammarError, match=f"more than {MAX_REPLY} octets"):
        parse(*lines, b"250")


def test_what_is_kept_of_a_reply_that_is_not_finished_has_an_end() -> None:
    """What does not fit is counted and not kept."""
    texts = (b"x" * 230,) * MAX_REPLY_LINES
    ((code, kept),) = parse(*render(250, texts))
    assert code == 250
    assert len(kept) == KEPT_UNFINISHED // (230 + LINE_COST)
    assert parse(*render(250, texts), b"250 short")[1] == (250, (b"short",))


def test_the_keywords_that_are_kept_have_an_end() -> None:
    lines = (b"mx.example.net", *(b"X-%03d " % n + b"y" * 100 for n in range(100)))
    keywords = ehlo_keywords(lines)
    assert len(keywords) == KEPT_KEYWORDS // (105 + LINE_COST)
    assert "X-000" in keywords


# --- What holds for all of them ----------------------------------------------------------------

CODES = st.builds(
    lambda first, second, third: first * 100 + second * 10 + third,
    st.integers(2, 5),
    st.integers(0, 5),
    st.integers(0, 9),
)
TEXTS = st.lists(
    st.binary(max_size=40).filter(lambda text: b"\n" not in text), min_size=1, max_size=8
).map(tuple)


@given(CODES, TEXTS)
def test_what_is_rendered_is_read_again(code: int, texts: tuple[bytes, ...]) -> None:
    assert parse(*render(code, texts)) == [(code, texts)]


@given(CODES, TEXTS)
def test_no_reply_comes_of_a_part_of_one(code: int, texts: tuple[bytes, ...]) -> None:
    assembler = ReplyAssembler()
    for line in render(code, texts)[:-1]:
        assert assembler.line(line) is None
        assert not assembler.is_between_replies


@given(st.lists(st.binary(max_size=12) | st.just(b"250-more") | st.just(b"250 end")))
def test_any_lines_are_replies_or_an_error(lines: list[bytes]) -> None:
    assembler = ReplyAssembler()
    for line in lines:
        try:
            reply = assembler.line(line)
        except GrammarError:
            return
        assert reply is None or (line.startswith(b"%d" % reply[0]) and 200 <= reply[0] <= 559)


@given(st.integers(0, MAX_LINE - 4))
def test_no_reply_is_endless(width: int) -> None:
    line = b"250-" + b"x" * width
    most = min(MAX_REPLY_LINES, MAX_REPLY // len(line))
    assert parse(*[line] * most) == []
    with pytest.raises(GrammarError):
        parse(*[line] * (most + 1))


# --- The keywords of EHLO ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "keyword", "parameters"),
    [
        (b"PIPELINING", "PIPELINING", ""),
        (b"pipelining", "PIPELINING", ""),
        (b"SIZE 10240000", "SIZE", "10240000"),
        (b"SIZE\t10240000", "SIZE", "10240000"),
        (b"  Size   10 ", "SIZE", "10"),
        (b"AUTH PLAIN LOGIN", "AUTH", "PLAIN LOGIN"),
        (b"AUTH=PLAIN LOGIN", "AUTH", "PLAIN LOGIN"),
        (b"LIMITS RCPTMAX=20 MAILMAX=5", "LIMITS", "RCPTMAX=20 MAILMAX=5"),
        (b"X\x1bY \x1b[2J", "X\\x1bY", "\\x1b[2J"),
    ],
)
def test_a_keyword_and_its_parameters(line: bytes, keyword: str, parameters: str) -> None:
    """Row 65."""
    assert ehlo_keywords((b"mx.example.net", line)) == {keyword: parameters}


def test_sixty_keywords() -> None:
    """Row 65."""
    lines = [b"x-%d %d" % (n, n) for n in range(60)]
    assert ehlo_keywords((b"mx", *lines)) == {f"X-{n}": str(n) for n in range(60)}


@pytest.mark.parametrize("line", [b"", b"   ", b" = "])
def test_a_line_without_a_keyword(line: bytes) -> None:
    assert ehlo_keywords((b"mx.example.net PIPELINING", line)) == {}


def test_the_first_of_two_equal_keywords_counts() -> None:
    assert ehlo_keywords((b"mx", b"SIZE 1", b"size 2", b"AUTH=LOGIN", b"AUTH PLAIN")) == {
        "SIZE": "1",
        "AUTH": "LOGIN",
    }
