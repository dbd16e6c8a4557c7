"""What exchangers look up about a client."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred

from twisted_probe.daemon.checkup import identity
from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.routing.networks import Networks
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.testing import FakeNames
from twisted_probe.vocabulary.source import Source

ME = Source("198.51.100.10", helo="probe1.example.org")
SIX = Source("2001:db8:10::25", helo="probe1.example.org")
PRIVATE = Source("10.0.0.5", helo="probe1.example.org")
POINTER = "10.100.51.198.in-addr.arpa"

#: All is well.
NAMES: Names = {
    "probe1.example.org": ["A 198.51.100.10", "AAAA 2001:db8:10::25"],
    POINTER: ["PTR probe1.example.org"],
    "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [
        "PTR probe1.example.org"
    ],
    "example.org": ["MX 10 mx.example.org", "TXT v=spf1 ip4:198.51.100.10 ip6:2001:db8:10::/64"],
    "mx.example.org": ["A 192.0.2.25"],
}

_Result = TypeVar("_Result")


def now(awaitable: Awaitable[_Result]) -> _Result:
    """The result of what has nothing to wait for."""

    async def run() -> _Result:
        return await awaitable

    results: list[_Result] = []
    Deferred.fromCoroutine(run()).addCallback(results.append)
    return results[0]


def looked(names: Names, source: Source = ME, reverse_path: str = "probe@example.org") -> Any:
    """The lines about a source by their check, in a world that is well but for these names."""
    lines = now(identity.dns_lines(FakeNames({**NAMES, **names}), source, reverse_path))
    assert [line.check for line in lines] == ["reverse DNS", "HELO", "SPF"]
    assert {line.subject for line in lines} == {f"source {source.address}"}
    return {line.check: line for line in lines}


def said(line: Line) -> tuple[str, str, str | None]:
    return line.status.value, line.found, line.advice


@pytest.mark.parametrize("source", [ME, SIX])
def test_all_is_well(source: Source) -> None:
    lines = looked({}, source)
    assert [line.status for line in lines.values()] == [Status.OK] * 3
    assert said(lines["reverse DNS"]) == (
        "ok",
        f"{source.address} is called probe1.example.org, which leads back",
        None,
    )
    assert said(lines["HELO"]) == ("ok", f"probe1.example.org leads to {source.address}", None)


# --- Reverse DNS ------------------------------------------------------------------------------


@pytest.mark.parametrize("records", [["TXT nothing"], None])
def test_no_pointer(records: list[str] | None) -> None:
    book = {name: held for name, held in NAMES.items() if name != POINTER}
    if records is not None:
        book[POINTER] = records
    lines = now(identity.dns_lines(FakeNames(book), ME, "probe@example.org"))
    assert said(lines[0]) == (
        "bad",
        "198.51.100.10 has no PTR",
        "ask your provider to set it to probe1.example.org",
    )
    # The name itself is right, and there is no other.
    assert said(lines[1]) == ("ok", "probe1.example.org leads to 198.51.100.10", None)


@pytest.mark.parametrize(
    ("records", "leads"),
    [
        (["A 192.0.2.1"], "leads to 192.0.2.1"),
        ([f"A 192.0.2.{n}" for n in range(5)], "leads to 192.0.2.0, 192.0.2.1, 192.0.2.2 …"),
        (["AAAA 2001:db8::1"], "has no A record"),
        ([], "has no A record"),
    ],
)
def test_a_pointer_that_does_not_lead_back(records: list[str], leads: str) -> None:
    lines = looked({POINTER: ["PTR host.example.net"], "host.example.net": records})
    assert said(lines["reverse DNS"]) == (
        "bad",
        f"198.51.100.10 is called host.example.net, which {leads}",
        "set the A record of host.example.net to 198.51.100.10, or ask your provider to set the "
        "PTR to probe1.example.org",
    )


def test_several_pointers() -> None:
    lines = looked({POINTER: ["PTR host.example.net", "PTR probe1.example.org"]})
    assert said(lines["reverse DNS"]) == (
        "note",
        "198.51.100.10 has 2 names: host.example.net, probe1.example.org",
        "some exchangers look at one of them only; ask your provider to leave one",
    )
    assert lines["HELO"].status is Status.OK


def test_a_crowd_of_pointers_is_not_looked_at_whole() -> None:
    names = [f"PTR host{n}.example.net" for n in range(1000)]
    book = FakeNames({**NAMES, POINTER: names})
    line = now(identity.reverse_dns(book, ME))
    assert line.status is Status.BAD
    assert len(book.asked) == 1 + identity.MAX_POINTERS


# --- HELO -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([], "has no A record"),
        (["A 192.0.2.1"], "leads to 192.0.2.1"),
    ],
)
def test_a_name_that_leads_elsewhere(records: list[str], found: str) -> None:
    lines = looked(
        {
            "probe1.example.org": records,
            POINTER: ["PTR host.example.net"],
            "host.example.net": ["A 198.51.100.10"],
        }
    )
    assert said(lines["HELO"]) == (
        "bad",
        f"probe1.example.org {found}",
        "set its A record to 198.51.100.10, or say --source 198.51.100.10=host.example.net",
    )
    assert lines["reverse DNS"].status is Status.OK


def test_a_name_that_is_not_the_one_of_the_address() -> None:
    lines = looked({POINTER: ["PTR host.example.net"], "host.example.net": ["A 198.51.100.10"]})
    assert said(lines["HELO"]) == (
        "bad",
        "we say probe1.example.org, and the address is called host.example.net",
        "ask your provider to set the PTR to probe1.example.org, or say "
        "--source 198.51.100.10=host.example.net",
    )


def test_case_is_of_no_account() -> None:
    lines = looked({}, Source("198.51.100.10", helo="Probe1.Example.ORG"))
    assert lines["HELO"].status is Status.OK


def test_a_defective_dns_is_bad() -> None:
    lines = looked({POINTER: Trouble.SERVFAIL})
    for check in ("reverse DNS", "HELO"):
        assert lines[check].status is Status.BAD
        assert "SERVFAIL" in lines[check].found
        assert "resolvers" in lines[check].advice


# --- SPF --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "status", "found", "advice"),
    [
        ("v=spf1 ip4:198.51.100.10 -all", "ok", "pass: 'ip4:198.51.100.10' of example.org", None),
        (
            "v=spf1 mx -all",
            "bad",
            "fail: '-all' of example.org",
            "put ip4:198.51.100.10 into the record of example.org",
        ),
        (
            "v=spf1 mx ~all",
            "bad",
            "softfail: '~all' of example.org",
            "put ip4:198.51.100.10 into the record of example.org",
        ),
        (
            "v=spf1 mx",
            "note",
            "neutral: no term of example.org covers it",
            "put ip4:198.51.100.10 into the record of example.org",
        ),
        (
            "nothing",
            "note",
            "none: example.org has no SPF record",
            "publish a TXT record of example.org that names all who send for it, such as "
            '"v=spf1 mx ip4:198.51.100.10 ~all"',
        ),
        (
            "v=spf1 mxx",
            "bad",
            "permerror: the record of example.org: 'mxx' is no term of SPF",
            "mend the record; exchangers may take it for a fail",
        ),
        (
            "v=spf1 include:fog.example",
            "bad",
            "temperror: fog.example: no usable answer from the DNS (SERVFAIL)",
            "see what is said of the resolvers, and ask again later",
        ),
    ],
)
def test_spf(record: str, status: str, found: str, advice: str | None) -> None:
    lines = looked(
        {"example.org": ["MX 10 mx.example.org", f"TXT {record}"], "fog.example": Trouble.SERVFAIL}
    )
    assert said(lines["SPF"]) == (status, found, advice)


def test_spf_of_the_null_reverse_path() -> None:
    assert said(looked({}, reverse_path="<>")["SPF"]) == (
        "note",
        "none: probe1.example.org has no SPF record",
        'publish a TXT record of probe1.example.org: "v=spf1 a -all"',
    )


# --- Behind a NAT -----------------------------------------------------------------------------


def test_a_private_address_is_not_what_others_see() -> None:
    lines = looked({"example.org": ["TXT v=spf1 -all"]}, PRIVATE)
    assert [line.status for line in lines.values()] == [Status.NOTE] * 3
    assert said(lines["reverse DNS"])[1:] == (
        "10.0.0.5 has no PTR; but it is a private address, and exchangers see another one",
        "look at the same for the address that your NAT puts in its place",
    )


# --- The source and the reverse-path ----------------------------------------------------------


def test_bindable() -> None:
    assert said(identity.bindable(Source("127.0.0.21", helo="probe1.example.org"))) == (
        "ok",
        "an address of this machine",
        None,
    )
    assert said(identity.bindable(ME)) == (
        "bad",
        "this machine cannot send from it (Cannot assign requested address)",
        "give one of its own addresses",
    )


def takes_mail(names: Names, reverse_path: str = "probe@example.org") -> tuple[Any, ...]:
    book = FakeNames({**NAMES, **names})
    line = now(identity.takes_mail(book, reverse_path, Networks(["192.0.2.0/24"])))
    assert line.check == "takes mail"
    return line.subject, *said(line)


def test_a_domain_that_takes_mail() -> None:
    assert takes_mail({}) == (
        "reverse-path probe@example.org",
        "ok",
        "example.org is served by mx.example.org",
        None,
    )
    assert takes_mail({}, "<ann@mx.example.org>")[2] == "mx.example.org is served by mx.example.org"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["MX 0 ."], "the domain takes no mail (null MX)"),
        (["TXT nothing"], "neither MX nor address"),
        (["MX 10 nowhere.example"], "no exchanger of the domain has an address"),
    ],
)
def test_a_domain_that_takes_none(records: list[str], found: str) -> None:
    _, status, words, advice = takes_mail({"example.org": records})
    assert (status, words) == ("bad", f"example.org: {found}")
    assert advice.startswith("set a reverse-path that receives mail")


def test_a_domain_that_is_not_there() -> None:
    assert takes_mail({}, "probe@nowhere.example")[1:3] == (
        "bad",
        "nowhere.example: the domain does not exist",
    )


def test_a_domain_that_cannot_be_looked_up() -> None:
    _, status, words, advice = takes_mail({"example.org": Trouble.SERVFAIL})
    assert status == "bad"
    assert words == "example.org: no usable answer from the DNS (SERVFAIL)"
    assert "resolvers" in advice


def test_a_domain_whose_exchangers_nobody_can_reach() -> None:
    assert takes_mail({"mx.example.org": ["A 10.0.0.1", "A 127.0.0.1"]})[1:] == (
        "bad",
        "its exchangers have no public address (loopback, private)",
        "give the domain an exchanger that others can reach",
    )


def test_the_null_reverse_path() -> None:
    assert takes_mail({}, "") == (
        "reverse-path <>",
        "note",
        "it is the null one: nobody can answer you, and some exchangers refuse it here",
        "set an address of yours that receives mail",
    )


def test_lines_are_safe_to_print() -> None:
    line = Line("a\x1b", "b", Status.OK, "c\n", "d\u202e")
    assert line.record() == {
        "subject": "a\\x1b",
        "check": "b",
        "status": "ok",
        "found": "c\\x0a",
        "advice": "d\\u202e",
    }
