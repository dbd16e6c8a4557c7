"""SPF: sections are those of RFC 7208."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from twisted_probe.routing.spf import MAX_TERMS, Spf, SpfResult, check_host
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.testing import FakeNames

FOUR = "192.0.2.10"
SIX = "2001:db8:10::25"
HELO = "probe1.example.org"

NAMES: Names = {
    HELO: [f"A {FOUR}", f"AAAA {SIX}"],
    "near.example.org": ["A 192.0.2.99", "AAAA 2001:db8:10::99"],
    "far.example.org": ["A 198.51.100.1"],
    "mx.example.org": ["MX 10 far.example.org", f"MX 20 {HELO}"],
    "pass.example.org": [f"TXT v=spf1 ip4:{FOUR} ip6:{SIX} -all"],
    "fail.example.org": ["TXT v=spf1 ip4:198.51.100.1 -all"],
    "soft.example.org": ["TXT v=spf1 ~all"],
    "neutral.example.org": ["TXT v=spf1 ?all"],
    "open.example.org": ["TXT v=spf1 ip4:198.51.100.1"],
    "none.example.org": ["TXT something else", "TXT v=spf10 -all", "TXT xv=spf1 -all"],
    "twice.example.org": ["TXT v=spf1 -all", "TXT v=spf1 -all"],
    "broken.example.org": ["TXT v=spf1 ip4:192.0.2.10 nonsense"],
    "fog.example.org": Trouble.SERVFAIL,
    "10.2.0.192.in-addr.arpa": [f"PTR {HELO}", "PTR far.example.org", "PTR gone.example.org"],
    "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [f"PTR {HELO}"],
}


def checked(
    record: str | None,
    address: str = FOUR,
    *,
    more: Names | None = None,
    reverse_path: str = "probe@example.org",
    helo: str = HELO,
) -> Spf:
    """The result for a domain with this record (without its version)."""
    own: Names = {} if record is None else {"example.org": [f"TXT v=spf1 {record}"]}
    return _now(FakeNames({**NAMES, **own, **(more or {})}), address, reverse_path, helo)


def _now(book: FakeNames, address: str, reverse_path: str, helo: str) -> Spf:
    results: list[Spf] = []
    checking = check_host(book, address, reverse_path=reverse_path, helo=helo)
    Deferred.fromCoroutine(checking).addCallback(results.append)
    return results[0]


def result(*arguments: Any, **options: Any) -> str:
    return checked(*arguments, **options).result.value


@pytest.mark.parametrize(
    ("record", "four", "six"),
    [
        ("+all", "pass", "pass"),
        ("-all", "fail", "fail"),
        ("~all", "softfail", "softfail"),
        ("?all", "neutral", "neutral"),
        ("", "neutral", "neutral"),
        ("  ALL  ", "pass", "pass"),
        # 5.6
        ("ip4:192.0.2.10 -all", "pass", "fail"),
        ("ip4:192.0.2.0/28 -all", "pass", "fail"),
        ("ip4:192.0.2.77/24 -all", "pass", "fail"),
        ("ip4:0.0.0.0/0 -all", "pass", "fail"),
        ("ip6:2001:db8:10::25 -all", "fail", "pass"),
        ("IP6:2001:DB8::/32 -all", "fail", "pass"),
        ("-ip4:192.0.2.10 +all", "fail", "pass"),
        # 5.3
        (f"a:{HELO} -all", "pass", "pass"),
        ("a:near.example.org -all", "fail", "fail"),
        ("a:near.example.org/24 -all", "pass", "fail"),
        ("a:near.example.org//64 -all", "fail", "pass"),
        ("a:near.example.org/24//64 -all", "pass", "pass"),
        ("a:near.example.org/0 -all", "pass", "fail"),
        ("a:nowhere.example.org -all", "fail", "fail"),
        ("a:broken...name.example.org -all", "fail", "fail"),
        (f"a:{'a' * 64}.example.org -all", "fail", "fail"),
        # 5.4
        ("mx:mx.example.org -all", "pass", "pass"),
        ("mx:mx.example.org/24//64 -all", "pass", "pass"),
        ("mx -all", "fail", "fail"),
        # 5.5
        ("ptr -all", "pass", "pass"),
        ("ptr:probe1.example.org -all", "pass", "pass"),
        ("ptr:probe1.example.org. -all", "pass", "pass"),
        ("ptr:example.net -all", "fail", "fail"),
        ("ptr:far.example.org -all", "fail", "fail"),
        # 5.2
        ("include:pass.example.org -all", "pass", "pass"),
        ("include:fail.example.org ~all", "softfail", "softfail"),
        ("include:soft.example.org -all", "fail", "fail"),
        ("?include:pass.example.org -all", "neutral", "neutral"),
        ("include:none.example.org -all", "permerror", "permerror"),
        ("include:nowhere.example.org -all", "permerror", "permerror"),
        ("include:broken.example.org -all", "permerror", "permerror"),
        ("include:fog.example.org -all", "temperror", "temperror"),
        # 6.1
        ("redirect=pass.example.org", "pass", "pass"),
        ("redirect=fail.example.org", "fail", "fail"),
        ("redirect=none.example.org", "permerror", "permerror"),
        ("redirect=example.org", "permerror", "permerror"),
        ("redirect=pass.example.org ?all", "neutral", "neutral"),
        ("include:example.org -all", "permerror", "permerror"),
        # 5.7
        ("exists:far.example.org -all", "pass", "pass"),
        ("exists:nowhere.example.org -all", "fail", "fail"),
        ("a:fog.example.org -all", "temperror", "temperror"),
    ],
)
def test_mechanisms(record: str, four: str, six: str) -> None:
    assert (result(record), result(record, SIX)) == (four, six)


@pytest.mark.parametrize(
    "record",
    [
        "nonsense",
        "all.",
        "all:example.org",
        "ip4",
        "ip4:",
        "ip4:192.0.2",
        "ip4:192.0.2.0/33",
        "ip4:192.0.2.0/024",
        "ip4:192.0.2.0/",
        "ip4:192.0.2.0//24",
        "ip4:2001:db8::",
        "ip6:192.0.2.1",
        "ip6:2001:db8::/129",
        "ip6:2001:db8::%eth0",
        "ip4/192.0.2.0",
        "a:",
        "a:localhost",
        "a:localhost.",
        "a:192.0.2.10",
        "a:example.org:8080",
        "a/33",
        "a//129",
        "a/024",
        "a/abc",
        "ax",
        "mx:example.org/",
        "ptr/24",
        "include",
        "include:",
        "exists",
        "exists:foo%.example.org",
        "exists:foo%(i).example.org",
        "exists:%{a}.example.org",
        "exists:%{r}.example.org",
        "exists:%{t}.example.org",
        "exists:%{d0}.example.org",
        "exists:%{i",
        "exists:%{i}.",
        "redirect:pass.example.org",
        "redirect=",
        "redirect=all",
        "-redirect=pass.example.org",
        "exp=",
        "exp=%{r}.example.org",
        "redirect=pass.example.org redirect=pass.example.org",
        "exp=a.example.org exp=a.example.org",
        "moo=%broken",
        "=all",
        "1up=foo",
        "*all",
        "a:žofie.example.org",
    ],
)
def test_what_is_no_term(record: str) -> None:
    """Anywhere in the record, behind the term that would decide too (4.6)."""
    book = FakeNames(NAMES)
    texts = [f"v=spf1 +all {record}"]
    book.texts = lambda name: succeed(texts)  # type: ignore[method-assign]
    spf = _now(book, FOUR, "probe@example.org", HELO)
    assert spf.result is SpfResult.PERMERROR
    assert "the record of example.org" in spf.why


@pytest.mark.parametrize(
    "record", ["moo.cow-far_out=man:dog/cat", "default=pass", "exp=why.example.org", "a=b"]
)
def test_modifiers_that_are_passed_over(record: str) -> None:
    assert result(f"{record} ip4:{FOUR} -all") == "pass"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("pass.example.org", "pass"),
        ("none.example.org", "none"),
        ("nowhere.example.org", "none"),
        ("twice.example.org", "permerror"),
        ("fog.example.org", "temperror"),
        ("open.example.org", "neutral"),
        ("[192.0.2.1]", "none"),
        ("toplevel", "none"),
        (f"{'a' * 64}.example.org", "none"),
        ("a..example.org", "none"),
    ],
)
def test_which_record(domain: str, expected: str) -> None:
    """4.3 to 4.5."""
    assert result(None, reverse_path=f"probe@{domain}") == expected


def test_the_null_reverse_path_is_the_postmaster_of_the_helo_name() -> None:
    """2.4."""
    more: Names = {
        "helo.example.org": ["TXT v=spf1 exists:%{l}.at.%{o} -all"],
        "postmaster.at.helo.example.org": ["A 127.0.0.2"],
    }
    assert result(None, reverse_path="", helo="helo.example.org", more=more) == "pass"
    assert result(None, reverse_path="") == "none"


@pytest.mark.parametrize(
    ("spec", "address", "name"),
    [
        # The examples of 7.4.
        ("%{s}.x", FOUR, "strong-bad@email.example.com.x"),
        ("%{o}", FOUR, "email.example.com"),
        ("%{d}", FOUR, "email.example.com"),
        ("%{d4}", FOUR, "email.example.com"),
        ("%{d3}", FOUR, "email.example.com"),
        ("%{d2}", FOUR, "example.com"),
        ("%{d1}.x", FOUR, "com.x"),
        ("%{dr}", FOUR, "com.example.email"),
        ("%{d2r}", FOUR, "example.email"),
        ("%{l}.x", FOUR, "strong-bad.x"),
        ("%{l-}.x", FOUR, "strong.bad.x"),
        ("%{lr}.x", FOUR, "strong-bad.x"),
        ("%{lr-}.x", FOUR, "bad.strong.x"),
        ("%{l1r-}.x", FOUR, "strong.x"),
        (
            "%{ir}.%{v}._spf.%{d2}",
            "192.0.2.3",
            "3.2.0.192.in-addr._spf.example.com",
        ),
        ("%{lr-}.lp._spf.%{d2}", "192.0.2.3", "bad.strong.lp._spf.example.com"),
        (
            "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
            "192.0.2.3",
            "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
        ),
        ("%{d2}.trusted-domains.example.net", FOUR, "example.com.trusted-domains.example.net"),
        (
            "%{ir}.%{v}._spf.%{d2}",
            "2001:db8::cb01",
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com",
        ),
        # And some more.
        ("%{h}", FOUR, HELO),
        ("%{p}", FOUR, HELO),
        ("%{p}.x", "192.0.2.11", "unknown.x"),
        ("%{S}.x", FOUR, "strong-bad%40email.example.com.x"),
        ("a%%b%_c%-d.example.org", FOUR, "a%b c%20d.example.org"),
        ("%{d1000}", FOUR, "email.example.com"),
        ("%{d0001}.x", FOUR, "com.x"),
        ("%{d1}.x.", FOUR, "com.x"),
        # 7.3: labels go from the left until it fits.
        (".".join(["%{o}"] * 20), FOUR, ".".join(["email.example.com"] * 14)),
    ],
)
def test_macros(spec: str, address: str, name: str) -> None:
    book = FakeNames({**NAMES, "email.example.com": [f"TXT v=spf1 exists:{spec} -all"]})
    _now(book, address, "strong-bad@email.example.com", HELO)
    assert book.asked[-1] == (name, "A")


def test_a_name_of_the_domain_is_the_best_for_p() -> None:
    """7.3: `%{p}` is the domain itself, else a name below it, else any."""
    more: Names = {
        "10.2.0.192.in-addr.arpa": [f"PTR {name}" for name in ("a.net", "z.example.org", "b.net")],
        "a.net": [f"A {FOUR}"],
        "z.example.org": [f"A {FOUR}"],
        "b.net": Trouble.SERVFAIL,
        "z.example.org.ok.example.org": ["A 127.0.0.2"],
    }
    assert result("exists:%{p}.ok.example.org -all", more=more) == "pass"


def test_a_defective_reverse_zone_is_no_error_of_the_domain() -> None:
    """5.5."""
    assert result("ptr -all", more={"10.2.0.192.in-addr.arpa": Trouble.SERVFAIL}) == "fail"


def test_the_limit_of_terms() -> None:
    """4.6.4."""
    assert result(f"{'a:far.example.org ' * MAX_TERMS} -all") == "fail"
    spf = checked(f"{'a:far.example.org ' * (MAX_TERMS + 1)} -all")
    assert spf == Spf(SpfResult.PERMERROR, f"its records ask the DNS more than {MAX_TERMS} times")
    # What decides before the limit is reached does decide.
    assert result(f"a:{HELO} {'a:far.example.org ' * (MAX_TERMS + 1)} -all") == "pass"


def test_the_limit_of_exchangers() -> None:
    """4.6.4."""
    more: Names = {"crowd.example.org": [f"MX 1 mx{n}.example.org" for n in range(11)]}
    spf = checked("mx:crowd.example.org -all", more=more)
    assert spf.result is SpfResult.PERMERROR
    assert "more than 10 MX records" in spf.why


def test_the_limit_of_own_names() -> None:
    """4.6.4: those beyond ten are not looked at."""
    more: Names = {
        "10.2.0.192.in-addr.arpa": [f"PTR a{n:02}.example.net" for n in range(10)]
        + [f"PTR {HELO}"],
    }
    assert result("ptr -all", more=more) == "fail"


def test_the_limit_of_questions_for_nothing() -> None:
    """4.6.4."""
    two = "a:one.example.org exists:two.example.org"
    assert result(f"{two} -all") == "fail"
    spf = checked(f"{two} mx:three.example.org -all")
    assert spf.result is SpfResult.PERMERROR
    assert "more than 2 names without an answer" in spf.why


def test_a_null_mx_has_no_address() -> None:
    more: Names = {"null.example.org": ["MX 0 ."], "gone.example.org": ["MX 1 nowhere.example"]}
    assert result("mx:null.example.org mx:gone.example.org -all", more=more) == "fail"


def test_who_decided() -> None:
    assert (
        checked("include:pass.example.org -all").why == "'include:pass.example.org' of example.org"
    )
    assert checked("-all").why == "'-all' of example.org"
    assert checked("").why == "no term of example.org covers it"
    assert checked(None).why == "example.org has no SPF record"
    assert checked("redirect=fail.example.org").why == "'-all' of fail.example.org"
    assert "SERVFAIL" in checked("include:fog.example.org").why


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=120))
def test_any_record_has_a_result(text: str) -> None:
    assert checked(None, more={}).result is SpfResult.NONE
    book = FakeNames(NAMES)
    book.texts = lambda name: succeed([f"v=spf1 {text}"])  # type: ignore[method-assign]
    assert _now(book, FOUR, "probe@example.org", HELO).result in SpfResult


TERMS = st.sampled_from(
    [
        *("a", "mx", "ptr", "ip4", "ip6", "exists", "include", "all", "redirect", "exp"),
        *("example.org", "192.0.2.0", "2001:db8::", "24", "%{i}", "%{l2r-}"),
        *(":", "=", "/", "//", "-", "~", ".", " "),
    ]
)


@given(st.lists(TERMS, max_size=25).map("".join))
def test_any_terms_have_a_result(text: str) -> None:
    book = FakeNames(NAMES)
    book.texts = lambda name: succeed([f"v=spf1 {text}"])  # type: ignore[method-assign]
    assert _now(book, FOUR, "probe@example.org", HELO).result in SpfResult
    assert len(book.asked) < 200
