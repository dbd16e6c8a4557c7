"""Rows 121 to 127 of cases.md, and the addresses' part of 128: what goes on the wire for an
address, and what is shown of it. The grammar itself is in tests/vocabulary/test_address.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.jobs.formats import Format
from twisted_probe.sandbox.catalogue.starttls import GOOD, offering
from twisted_probe.sandbox.temper import Temper
from twisted_probe.vocabulary.address import parse_entry
from twisted_probe.vocabulary.outcome import Outcome, Reason
from twisted_probe.vocabulary.reply import Stage

from ..jobs.reading import reader
from .town_square import Town, town

NAMES = {
    "a.example": ["MX 10 mx1.a.example", "MX 20 mx2.a.example"],
    "mx1.a.example": ["A 192.0.2.1"],
    "mx2.a.example": ["A 192.0.2.2"],
    "alone.example": ["MX 10 mx1.a.example"],
    "xn--bcher-kva.example": ["MX 10 mx1.a.example"],
    "xn--r8jz45g.xn--zckzah": ["MX 10 mx1.a.example"],
}
EVERYBODY = Temper(unknown=None)
PLAIN, WIDE = ("PIPELINING", "8BITMIME"), ("PIPELINING", "8BITMIME", "SMTPUTF8")


def asked(t: Town, *addresses: str) -> list[Outcome]:
    return t.square.wait(t.prober.probe_many(addresses))


def said(record: Any, verb: str) -> list[str]:
    """The arguments of a verb, in all sessions, in order."""
    commands = [each for session in record.sessions for each in session.commands]
    return [argument for name, argument in commands if name == verb]


def on_the_wire(*addresses: str) -> tuple[list[Outcome], list[str]]:
    """What comes of them where everybody is accepted, and what was said to ask."""
    with town(NAMES, control=False) as t:
        record = t.square.settle("192.0.2.1", EVERYBODY)
        outcomes = asked(t, *addresses)
        return outcomes, said(record, "RCPT")


@pytest.mark.parametrize(
    "text",
    [
        "ann\r\nDATA@a.example",
        "ann@a.example\r\nRCPT TO:<ben@a.example>",
        "ann\n@a.example",
        "ann\0@a.example",
        "ann\x1b[31m@a.example",
        "ann> SIZE=1@a.example",
        "<ann@a.example",
        '"ann\r\n"@a.example',
        "ann@a.example>",
    ],
)
def test_row_121_what_could_end_a_command_is_never_dialled_for(text: str) -> None:
    with town(NAMES, control=False) as t:
        (outcome,) = asked(t, text)
        assert (outcome.reason, outcome.final) == (Reason.INVALID_ADDRESS, True)
        assert (outcome.text or "").isprintable()
        assert not t.square.dials
        assert not t.book.asked


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('"a b"@a.example', '"a b"@a.example'),
        (r'"a\"b"@a.example', r'"a\"b"@a.example'),
        (r'"a\\b"@a.example', r'"a\\b"@a.example'),
        ('"user"@a.example', "user@a.example"),
        (r'"u\ser"@a.example', "user@a.example"),
        ('"a@b"@a.example', '"a@b"@a.example'),
        ('"a>b"@a.example', '"a>b"@a.example'),
        ('""@a.example', '""@a.example'),
        ('".a..b."@a.example', '".a..b."@a.example'),
    ],
)
def test_row_122_quoted_only_as_needed(text: str, path: str) -> None:
    (outcome,), recipients = on_the_wire(text)
    assert recipients == [f"TO:<{path}>"]
    assert (outcome.reason, outcome.address) == (Reason.ACCEPTED, text)


@pytest.mark.parametrize(
    "text",
    [
        "-rf@a.example",
        "--help@a.example",
        "user%other.example@a.example",
        "other.example!user@a.example",
        "#$&'*+/=?^_`{|}~@a.example",
        "user+tag@a.example",
        "x" * 64 + "@a.example",
    ],
)
def test_row_123_odd_but_legal_is_sent_exactly(text: str) -> None:
    (outcome,), recipients = on_the_wire(text)
    assert recipients == [f"TO:<{text}>"]
    assert (outcome.reason, outcome.address) == (Reason.ACCEPTED, text)


def test_row_123_a_literal_inside_the_allowed_networks() -> None:
    (outcome,), recipients = on_the_wire("ann@[192.0.2.1]")
    assert recipients == ["TO:<ann@[192.0.2.1]>"]
    assert (outcome.reason, outcome.exchanger) == (Reason.ACCEPTED, "[192.0.2.1]")


@pytest.mark.parametrize(
    "literal", ["127.0.0.1", "10.0.0.1", "169.254.1.1", "IPv6:::1", "IPv6:fe80::1", "0.0.0.0"]
)
def test_row_123_a_literal_outside_of_them(literal: str) -> None:
    with town(NAMES, control=False) as t:
        (outcome,) = asked(t, f"ann@[{literal}]")
        assert outcome.reason in (Reason.FORBIDDEN_EXCHANGER, Reason.SOURCE_UNAVAILABLE)
        assert not t.square.dials


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65 + "@a.example",
        "é" * 33 + "@a.example",
        "ann@" + "x" * 64 + ".example",
        "ann@" + ".".join(["x" * 63] * 4) + ".example",
        "x" * 64 + "@" + ".".join(["y" * 60] * 3) + ".example",
    ],
    ids=["local part", "octets of it", "label", "domain", "path"],
)
def test_row_124_one_octet_too_many(text: str) -> None:
    with town(NAMES, control=False) as t:
        (outcome,) = asked(t, text)
        assert outcome.reason is Reason.INVALID_ADDRESS
        assert not t.square.dials


def test_row_125_the_parameter_only_for_who_needs_it() -> None:
    with town(NAMES, control=False) as t:
        record = t.square.settle("192.0.2.1", Temper(unknown=None, keywords=WIDE))
        outcomes = asked(t, "ann@a.example", "josé@a.example")
        assert [each.reason for each in outcomes] == [Reason.ACCEPTED] * 2
        assert said(record, "MAIL") == [
            "FROM:<probe@example.org>",
            "FROM:<probe@example.org> SMTPUTF8",
        ]
        assert said(record, "RCPT") == ["TO:<ann@a.example>", "TO:<josé@a.example>"]


def test_row_125_an_a_label_needs_none() -> None:
    with town(NAMES, control=False) as t:
        record = t.square.settle("192.0.2.1", Temper(unknown=None, keywords=PLAIN))
        (outcome,) = asked(t, "ann@bücher.example")
        assert outcome.reason is Reason.ACCEPTED
        assert said(record, "MAIL") == ["FROM:<probe@example.org>"]


def test_row_125_unsupported_once_all_were_asked() -> None:
    with town(NAMES, control=False) as t:
        records = [
            t.square.settle(address, Temper(unknown=None, keywords=PLAIN))
            for address in ("192.0.2.1", "192.0.2.2")
        ]
        ann, jose = asked(t, "ann@a.example", "josé@a.example")
        assert ann.reason is Reason.ACCEPTED
        assert (jose.reason, jose.final) == (Reason.SMTPUTF8_UNSUPPORTED, True)
        assert (jose.stage, jose.exchanger) == (Stage.EHLO, "mx2.a.example")
        assert [len(record.sessions) for record in records] == [1, 1]
        assert said(records[1], "MAIL") == []


@pytest.mark.parametrize(
    ("before", "within", "reason"),
    [
        (PLAIN, WIDE, Reason.ACCEPTED),
        (WIDE, PLAIN, Reason.SMTPUTF8_UNSUPPORTED),
    ],
)
def test_row_125_as_it_is_offered_under_tls(
    before: tuple[str, ...], within: tuple[str, ...], reason: Reason
) -> None:
    temper = offering(
        GOOD,
        keywords=(*before, "STARTTLS"),
        unknown=None,
        encrypted=Temper(unknown=None, keywords=within),
    )
    with town(NAMES, control=False) as t:
        record = t.square.settle("192.0.2.1", temper)
        (outcome,) = asked(t, "josé@alone.example")
        assert outcome.reason is reason
        assert outcome.tls is not None
        assert outcome.tls.version == "TLSv1.3"
        wide = ["FROM:<probe@example.org> SMTPUTF8"]
        assert said(record, "MAIL") == (wide if reason is Reason.ACCEPTED else [])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.Example", "ann@xn--bcher-kva.example"),
        ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("ann@a\u3002example", "ann@a.example"),
    ],
)
def test_row_126_a_labels_on_the_wire_and_shown_as_it_was_written(text: str, path: str) -> None:
    (outcome,), recipients = on_the_wire(text)
    assert recipients == [f"TO:<{path}>"]
    assert (outcome.reason, outcome.address) == (Reason.ACCEPTED, text)


@pytest.mark.parametrize("domain", ["xn--a.example", "p\u0430ypal_.example", "a\u200b.\u200b"])
def test_row_126_no_domain_of_idna(domain: str) -> None:
    with town(NAMES, control=False) as t:
        (outcome,) = asked(t, f"ann@{domain}")
        assert outcome.reason is Reason.INVALID_ADDRESS
        assert not t.book.asked


def test_row_127_the_local_part_is_exact_and_each_is_asked_once() -> None:
    texts = ["Ann@A.Example", "ann@a.example", "Ann@a.EXAMPLE"]
    outcomes, recipients = on_the_wire(*texts)
    assert recipients == ["TO:<Ann@a.example>", "TO:<ann@a.example>"]
    assert [outcome.address for outcome in outcomes] == texts


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xef\xbb\xbf# ours\r\n\r\nAnn <ann@a.example>\r\nb\xf6b@a.example\r\n", Format.TXT),
        (
            b"\xef\xbb\xbfname,Email\r\nAnn,Ann <ann@a.example>\r\nBob,b\xf6b@a.example\r\n",
            Format.CSV,
        ),
    ],
)
def test_row_128_what_stands_around_an_address(data: bytes, kind: Format) -> None:
    """Byte order mark, blank line, comment, display name, CRLF, Latin-1: parsed and counted."""
    job = reader(data, kind)
    assert [parse_entry(row.text).text for row in job] == ["ann@a.example", "böb@a.example"]
    assert (job.marked, job.latin1_lines) == (True, 1)


def test_row_128_what_is_no_address_is_answered_by_its_line() -> None:
    job = reader(b"ann@a.example\n\nno address\n", Format.TXT)
    lines = [(row.line, row.text) for row in job]
    assert lines == [(1, "ann@a.example"), (3, "no address")]
    with town(NAMES, control=False) as t:
        (outcome,) = asked(t, "no address")
        assert outcome.reason is Reason.INVALID_ADDRESS
        assert outcome.address == "no address"


def test_no_row_is_without_a_test() -> None:
    named = re.findall(r"def test_row_(\d+)_", Path(__file__).read_text("utf-8"))
    assert {int(number) for number in named} == set(range(121, 129))
