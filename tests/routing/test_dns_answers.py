"""What a message says, and what strangers can write into one. Rows are those of cases.md."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.names import dns

from twisted_probe.routing.answer import MAX_RECORDS, Answer, NoAnswer, read_answer
from twisted_probe.routing.question import Question
from twisted_probe.vocabulary.dns import MailExchanger

from .dns_wire import record, start_of_authority, written

NAME = "host.example"
KINDS = (dns.A, dns.AAAA, dns.MX, dns.NS, dns.PTR, dns.TXT)


def message(
    *answers: dns.RRHeader, code: int = dns.OK, authority: tuple[dns.RRHeader, ...] = ()
) -> dns.Message:
    made = dns.Message(7, answer=1, rCode=code)
    made.answers, made.authority = list(answers), list(authority)
    return made


def read(*answers: dns.RRHeader, kind: int = dns.A, **options: Any) -> Answer:
    return read_answer(message(*answers, **options), NAME, kind)


def cname(name: str, target: str) -> dns.RRHeader:
    return record(name, dns.Record_CNAME(target))


NS = record("example", dns.Record_NS("ns.example"))


def test_a_referral_is_no_empty_answer() -> None:
    """Row 132: who was told to ask others was not told that there is nothing."""
    with pytest.raises(NoAnswer):
        read(authority=(NS,))
    assert read(authority=(NS, start_of_authority())).records == ()
    assert read().records == ()
    assert not read(code=dns.ENAME, authority=(NS,)).exists


def test_what_is_said_of_something_else() -> None:
    other = record("other.example", dns.Record_A("192.0.2.1"))
    with pytest.raises(NoAnswer):
        read(other)
    assert read(other, authority=(start_of_authority(),)).records == ()


def test_records_of_another_class() -> None:
    chaos = record(NAME, dns.Record_A("192.0.2.1"))
    chaos.cls = dns.CH
    with pytest.raises(NoAnswer):
        read(chaos)


def test_an_end_that_was_not_given_has_to_be_asked_for() -> None:
    """Row 136."""
    answer = read(cname(NAME, "b.example"), cname("b.example", "C.example"))
    assert (answer.alias_of, answer.aliases, answer.records) == ("c.example", 2, ())
    # A start of authority may be that of the name at the beginning.
    again = read(cname(NAME, "b.example"), authority=(start_of_authority(),))
    assert (again.alias_of, again.exists) == ("b.example", True)
    # RFC 6604 section 3: the code is that of the end.
    nothing = read(cname(NAME, "b.example"), code=dns.ENAME)
    assert (nothing.alias_of, nothing.exists) == (None, False)


def test_records_that_are_there_are_no_no() -> None:
    assert read(record(NAME, dns.Record_A("192.0.2.1")), code=dns.ENAME).records == ("192.0.2.1",)


def test_the_best_exchangers_are_kept() -> None:
    """Row 141."""
    crowd = [
        record(NAME, dns.Record_MX(1000 - number, f"mx{number}.example")) for number in range(500)
    ]
    kept = read(*crowd, kind=dns.MX).records
    assert len(kept) == MAX_RECORDS
    assert kept[0] == MailExchanger(501, "mx499.example")
    addresses = [record(NAME, dns.Record_A(f"192.0.{n // 256}.{n % 256}")) for n in range(500)]
    assert read(*addresses).records[-1] == f"192.0.0.{MAX_RECORDS - 1}"


# --- Strangers --------------------------------------------------------------------------------

QUESTION = Question(7, dns.Query(NAME.encode(), dns.MX))
ASKED = QUESTION.written()[12:]


def heard(data: bytes) -> dns.Message | None:
    """What is made of a datagram; it never raises, and nothing in it can be read wrongly."""
    answer = QUESTION.answer_in(data)
    if answer is not None:
        for kind in KINDS:
            try:
                read = read_answer(answer, NAME, kind)
            except NoAnswer:
                continue
            assert len(read.records) <= MAX_RECORDS
            assert all(str(each).isprintable() for each in read.records)
            assert read.ttl >= 0
    return answer


def whole() -> bytes:
    asked = dns.Message(7)
    asked.queries = [QUESTION.query]
    return written(
        asked,
        [
            cname(NAME, "b.example"),
            record("b.example", dns.Record_MX(10, "mx.example")),
            record("b.example", dns.Record_TXT(b"v=spf1", b"-all")),
            record("b.example", dns.Record_AAAA("2001:db8::1")),
        ],
        authority=[start_of_authority(), NS],
    )


@pytest.mark.parametrize("length", range(len(whole())))
def test_what_was_cut_off_is_no_answer(length: int) -> None:
    """Row 132: else it would be an empty one, and the domain dead."""
    assert heard(whole()[:length]) is None


def test_what_was_not_cut_off_is_one() -> None:
    assert heard(whole()) is not None
    assert heard(whole() + b"more") is not None


@given(st.binary(max_size=600))
@example(b"\0\7\x80\0" + b"\0" * 8)
def test_noise(data: bytes) -> None:
    heard(data)


@given(st.lists(st.tuples(st.integers(0, len(whole()) - 1), st.integers(0, 255)), max_size=8))
def test_an_answer_with_some_octets_changed(changes: list[tuple[int, int]]) -> None:
    data = bytearray(whole())
    for place, octet in changes:
        data[place] = octet
    heard(bytes(data))


_labels = st.lists(st.binary(min_size=1, max_size=63), max_size=5)
_pointers = st.integers(0, 0x3FFF).map(lambda place: struct.pack("!H", 0xC000 | place))


def _name(labels: list[bytes], end: bytes) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + end


_names = st.one_of(
    st.just(b"\xc0\x0c"),  # the name that was asked about
    st.builds(_name, _labels, st.one_of(st.just(b"\0"), _pointers)),
)


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from((*KINDS, dns.CNAME, dns.SOA, dns.DNAME, 41, 250, 65280)))
    data = draw(st.one_of(st.binary(max_size=40), _names, _names.map(lambda n: b"\0\x0a" + n)))
    length = draw(st.one_of(st.just(len(data)), st.integers(0, 0xFFFF)))
    ttl = draw(st.integers(0, 2**32 - 1))
    owner = draw(_names)
    return owner + struct.pack("!HHIH", kind, draw(st.sampled_from((1, 3))), ttl, length) + data


@given(st.lists(_records(), max_size=6), st.lists(_records(), max_size=2), st.integers(0, 15))
def test_records_as_nobody_means_them(
    answers: list[bytes], authority: list[bytes], code: int
) -> None:
    header = struct.pack("!6H", 7, 0x8180 | code, 1, len(answers), len(authority), 0)
    heard(header + ASKED + b"".join(answers) + b"".join(authority))


def test_pointers_that_lead_to_pointers_cost_little() -> None:
    """The largest message there is, each of whose names would take 16,000 steps to read."""
    start = struct.pack("!6H", 7, 0x8180, 1, 4000, 0, 0) + ASKED
    links = (0x3FFE - len(start) - 13) // 2
    body = bytearray()
    place = len(start) + 11
    before = 12
    for _ in range(links):
        body += struct.pack("!H", 0xC000 | before)
        before, place = place, place + 2
    data = start + b"\0" + struct.pack("!HHIH", 10, 1, 60, len(body)) + bytes(body)
    while len(data) < 65000:
        data += struct.pack("!HHHIH", 0xC000 | before, 10, 1, 60, 0)
    assert heard(data) is None
