"""What of a dialogue concerns one recipient."""

from __future__ import annotations

from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.excerpt import excerpt, without
from twisted_probe.vocabulary.mention import Mention

BEN = Mention(parse_address("ben@a.example"))

PIPELINED = (
    "S: 220-mx.a.example",
    "S: 220 ESMTP",
    "C: EHLO probe.example.org",
    "S: 250-mx.a.example",
    "S: 250 PIPELINING",
    "C: MAIL FROM:<p@example.org>",
    "C: RCPT TO:<ann@a.example>",
    "C: RCPT TO:<ben@a.example>",
    "C: RCPT TO:<carl@a.example>",
    "S: 250 Ok",
    "S: 250 Ok ann",
    "S: 550-no ben",
    "S: 550 no",
    "S: 250 Ok carl",
    "C: QUIT",
    "S: 221 Bye",
)


def test_each_command_stands_with_its_reply() -> None:
    assert list(excerpt(PIPELINED, ["ben@a.example"])) == [
        *PIPELINED[:6],
        "S: 250 Ok",
        "… 1 other recipient",
        "C: RCPT TO:<ben@a.example>",
        "S: 550-no ben",
        "S: 550 no",
        "… 1 other recipient",
        "C: QUIT",
        "S: 221 Bye",
    ]


def test_others_are_counted() -> None:
    assert list(excerpt(PIPELINED[5:9], [])) == [PIPELINED[5], "… 3 other recipients"]


def test_what_is_said_unasked_stands_by_itself() -> None:
    lines = ("S: 220 x", "S: 421 bye", "C: QUIT")
    assert list(excerpt(lines, [])) == list(lines)


def test_a_line_that_was_cut_is_known_by_its_beginning() -> None:
    lines = ("C: RCPT TO:<annabel…", "S: 250 Ok")
    assert list(excerpt(lines, ["annabella@a.example"])) == list(lines)
    assert list(excerpt(lines, ["ben@a.example"])) == ["… 1 other recipient"]


def test_without_one_recipient_all_else_stands_where_it_stood() -> None:
    assert list(without(PIPELINED, BEN)) == [
        line for line in PIPELINED if "ben" not in line and line != "S: 550 no"
    ]


def test_without_one_whoever_names_them() -> None:
    lines = ["S: 220 mx", "C: EHLO h", "S: 421 Ben@A.example was here", "S: 250 Ok"]
    assert list(without(lines, BEN)) == ["S: 220 mx", "C: EHLO h", "S: 250 Ok"]
    assert list(without([], BEN)) == []


def test_without_one_in_any_case_and_nobody_whose_name_ends_so() -> None:
    lines = [
        "C: RCPT TO:<Ben@a.example>",
        "S: 250 Ok",
        "C: RCPT TO:<reuben@a.example>",
        "S: 550 no",
    ]
    assert list(without(lines, BEN)) == lines[2:]
