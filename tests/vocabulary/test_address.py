"""The grammar of an address: what is read, what goes on the wire, and what never does."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twisted_probe.vocabulary import address as grammar
from twisted_probe.vocabulary.address import (
    MAX_LABEL,
    MAX_LOCAL_PART,
    MAX_PATH,
    MAX_TEXT,
    Address,
    AddressError,
    parse_address,
    parse_entry,
    parse_reverse_path,
)
from twisted_probe.vocabulary.escaping import escaped

# --- examples: what is legal, and its form on the wire ---------------------------------------

PLAIN = [
    "ann@example.org",
    "a@b.example",
    "ann.b.c@mail.example.org",
    "ann+tag@example.org",
    "!#$%&'*+/=?^_`{|}~-@example.org",
    "1@2.example",
    "ann@a--b.example",
    "ann@ab--c.example",  # hyphens that idna refuses, in a name that the DNS has
    "ann@4.3.2.1.in-addr.arpa",
    "ann@example.x1",
    "ann@example.1x",
    # row 123: sent as they are
    "-rf@example.org",
    "--@example.org",
    "user%host@example.org",
    "host!user@example.org",
    # row 127: the local part is byte-exact
    "Ann@example.org",
]

LEGAL = [
    # row 122: quoted local parts, sent quoted only as needed
    ('"a b"@example.org', '"a b"@example.org'),
    (r'"a\"b"@example.org', r'"a\"b"@example.org'),
    (r'"a\\b"@example.org', r'"a\\b"@example.org'),
    (r'"\a\ \b"@example.org', '"a b"@example.org'),
    ('"user"@example.org', "user@example.org"),
    (r'"us\er"@example.org', "user@example.org"),
    ('"a.b"@example.org', "a.b@example.org"),
    ('".a"@example.org', '".a"@example.org'),
    ('"a."@example.org', '"a."@example.org'),
    ('"a..b"@example.org', '"a..b"@example.org'),
    ('""@example.org', '""@example.org'),
    ('" "@example.org', '" "@example.org'),
    ('"a@b"@example.org', '"a@b"@example.org'),
    ('"a<b"@example.org', '"a<b"@example.org'),
    ('"a>b"@example.org', '"a>b"@example.org'),
    ('"<>@,;:[]()"@example.org', '"<>@,;:[]()"@example.org'),
    ('"ü b"@example.org', '"ü b"@example.org'),
    ('"a\u00a0b"@example.org', '"a\u00a0b"@example.org'),
    # row 123: address literals
    ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
    ("ann@[IPv6:2001:db8::1]", "ann@[IPv6:2001:db8::1]"),
    ("ann@[ipv6:2001:DB8:0::0:1]", "ann@[IPv6:2001:db8::1]"),
    ("ann@[IPv6:::]", "ann@[IPv6:::]"),
    ("ann@[IPv6:::ffff:102:304]", "ann@[IPv6:::ffff:1.2.3.4]"),
    ("ann@[IPv6:::FFFF:1.2.3.4]", "ann@[IPv6:::ffff:1.2.3.4]"),
    ('"a b"@[192.0.2.1]', '"a b"@[192.0.2.1]'),
    # row 125: UTF-8 local parts, not normalised
    ("ünïcode@example.org", "ünïcode@example.org"),
    ("u\u0308@example.org", "u\u0308@example.org"),
    ("用户@example.org", "用户@example.org"),
    ("😀@example.org", "😀@example.org"),
    ("\uff41@example.org", "\uff41@example.org"),
    # row 126: domains become A-labels, with the dots and the case of UTS 46
    ("ann@bücher.example", "ann@xn--bcher-kva.example"),
    ("ann@BÜCHER.Example", "ann@xn--bcher-kva.example"),
    ("ann@bu\u0308cher.example", "ann@xn--bcher-kva.example"),
    ("ann@faß.example", "ann@xn--fa-hia.example"),
    ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
    ("ann@example\u3002org", "ann@example.org"),
    ("ann@example\uff0eorg", "ann@example.org"),
    ("ann@example\uff61org", "ann@example.org"),
    ("ann@\uff45xample.org", "ann@example.org"),
    ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
    ("ann@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example", "ann@xn--mgba3gch31f060k.example"),
    ("ünï@bücher.example", "ünï@xn--bcher-kva.example"),
    # row 127: the domain is folded
    ("Ann@Example.ORG", "Ann@example.org"),
]

# --- examples: what is refused, and a word of the message --------------------------------------

ILLEGAL = [
    ("", "it is empty"),
    ("ann", "it has no @"),
    ('"ann"', "it has no @"),
    ("@", "no local part"),
    ("@example.org", "no local part"),
    ("ann@", "the domain is empty"),
    ("ann@@example.org", "'@example'"),
    ("ann@b@example.org", "'b@example'"),
    (".ann@example.org", r"'\.' at position 1"),
    ("ann.@example.org", r"'\.' at position 4"),
    ("a..nn@example.org", r"'\.' at position 2"),
    # row 121: controls, blanks and angle brackets outside quotes
    ("ann\r\n@example.org", r"'\\r' at position 4"),
    ("ann@example.org\r\nRCPT TO:<b@example.org>", "letters, digits"),
    ("ann@example.org\n", "letters, digits"),
    ("ann@example.org\0", "letters, digits"),
    ("ann\0@example.org", r"'\\x00' at position 4"),
    ("ann\x7f@example.org", r"'\\x7f' at position 4"),
    ("ann\x85@example.org", r"'\\x85' at position 4"),
    ("ann\x9b@example.org", r"'\\x9b' at position 4 of the local part"),
    ("an n@example.org", "' ' at position 3"),
    ("an\tn@example.org", r"'\\t' at position 3"),
    ("an\u00a0n@example.org", r"'\\xa0' at position 3"),
    (" ann@example.org", "' ' at position 1"),
    ("ann @example.org", "' ' at position 4"),
    ("ann@ example.org", "letters, digits"),
    ("ann@example.org ", "letters, digits"),
    ("a<b@example.org", "'<' at position 2"),
    ("a>b@example.org", "'>' at position 2"),
    ("ann@exa<mple.org", "'exa<mple'"),
    ("ann@example.org>", "'org>'"),
    ("<ann@example.org>", "'<' at position 1"),
    ("ann@example.org> SIZE=1", "letters, digits"),
    *(
        (f"an{character}n@example.org", "at position 3")
        for character in '()[]:;,\\"\u2028\u2029\u3000'
    ),
    *(
        # Cf, Cf, Cf, Cs, Co, Cn
        (f"an{character}n@example.org", "at position 3 of the local part")
        for character in "\u200b\u202e\ufeff\ud800\ue000\U0010ffff"
    ),
    ("ann\u200d@example.org", "at position 4 of the local part"),
    ("ann@exam\u00adple.org", "at position 9 of the address"),  # UTS 46 would drop it
    ("(x)ann@example.org", r"'\(' at position 1"),
    ("ann@example.org(x)", "letters, digits"),
    ("mailto:ann@example.org", "':' at position 7"),
    ("@relay.example,@b.example:ann@example.org", "no local part"),
    # row 122: quoted-strings
    ('"ann@example.org', "does not end"),
    ('"ann', "does not end"),
    ('"ann\\"@example.org', "does not end"),
    ('"a\\ü"@example.org', "stray backslash"),
    ('"a\rb"@example.org', r"'\\r' at position 2"),
    ('"a\nb"@example.org', r"'\\n' at position 2"),
    ('"a\\\nb"@example.org', "stray backslash"),
    ('"a\tb"@example.org', r"'\\t' at position 2"),
    ('"a\0b"@example.org', r"'\\x00' at position 2"),
    ('"a"b@example.org', "'b' at position 4"),
    ('"a".b@example.org', r"'\.' at position 4"),
    ('a."b"@example.org', r"'\.' at position 2"),
    ('"a"b"@example.org', "'b' at position 4"),
    # row 123: address literals
    *(
        (f"ann@{literal}", "neither")
        for literal in (
            "[",
            "[]",
            "[192.0.2.1",
            "[192.0.2]",
            "[192.0.2.256]",
            "[192.0.2.01]",
            "[192.0.2.1 ]",
            "[192.0.2.1].org",
            "[192.0.2.1]]",
            "[١٩٢.0.2.1]",
            "[2001:db8::1]",
            "[::1]",
            "[IPv6]",
            "[IPv6:]",
            "[IPv6:2001:db8::1",
            "[IPv6:2001:db8::g]",
            "[IPv6:2001:db8::1%eth0]",
            "[IPv6:2001:db8::/32]",
            "[IPv6:192.0.2.1]",
            "[x-tag:anything]",
            "[example.org]",
            "[192.0.2.1\r\n]",
        )
    ),
    # row 124: a label is there, and the domain is a public one
    ("ann@localhost", "no dot"),
    ("ann@example.org.", "ends with a dot"),
    ("ann@example.org\u3002", "ends with a dot"),
    ("ann@.", "ends with a dot"),
    ("ann@.example.org", "1 to 63"),
    ("ann@example..org", "1 to 63"),
    ("ann@-example.org", "inner hyphens"),
    ("ann@example-.org", "inner hyphens"),
    ("ann@example.org-", "inner hyphens"),
    ("ann@exam_ple.org", "'exam_ple'"),
    ("ann@exam/ple.org", "'exam/ple'"),
    ("ann@192.0.2.1", "ends with a number"),
    ("ann@example.123", "ends with a number"),
    ("ann@example.\uff11\uff12", "ends with a number"),
    # row 126: idna says no
    ("ann@xn--.example", "'xn--'"),
    ("ann@xn--a.example", "'xn--a'"),
    ("ann@xn--99999999999.example", "'xn--99999999999'"),
    ("ann@example.xn--a", "'xn--a'"),
    ("ann@☃.example", "'☃'"),
    ("ann@-ü.example", "'-ü'"),
    ("ann@ü_b.example", "'ü_b'"),
    ("ann@\u0308a.example", "the domain label"),
    ("ann@א1a.example", "the domain label"),
    ("ann@\u200dexample.org", "the domain label"),
    ("ann@exam\u202eple.org", "domain"),
    ("ann@exam\ud800ple.org", "domain"),
    ("ann@exam\u3000ple.org", "domain"),
    ("ann@℀.example", "'a/c'"),
]

NASTY = sorted(
    {text for text, _ in ILLEGAL}
    | {text for text, _ in LEGAL}
    | set(PLAIN)
    | {
        "\r\n.\r\n",
        "<>",
        "<",
        ">",
        '"',
        '"\\',
        "\\",
        "<" * MAX_TEXT,
        '"' * MAX_TEXT,
        "@" * MAX_TEXT,
        "a@" * 400,
        "a." * 400,
        "a@" + "-" * 900,
        "a@" + "a." * 400,
        "a@" + "ü" * 900,
        "a@" + "\ufdfa" * 900 + ".example",
        '"' + "\\" * 900 + '"@example.org',
        "a" * 10**6,
    }
)


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_address_goes_as_it_came(text: str) -> None:
    address = parse_address(text)
    assert address.forward_path == text.encode()
    assert address.text == str(address) == text
    assert f"{address.local}@{address.domain}" == text
    assert address.literal is None
    assert not address.needs_smtputf8
    assert grammar._PLAIN.fullmatch(text)


@pytest.mark.parametrize(("text", "wire"), LEGAL)
def test_a_legal_address_has_its_form_on_the_wire(text: str, wire: str) -> None:
    address = parse_address(text)
    assert address.forward_path == wire.encode()
    assert address.text == str(address) == text  # row 122: the result is under the given spelling
    assert address.domain.isascii()
    assert parse_address(wire).key == address.key
    assert parse_entry(text) == parse_entry(f" Ann  <{text}>\t") == address


@pytest.mark.parametrize(("text", "message"), ILLEGAL)
def test_what_is_no_address_is_refused_and_says_why(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=message) as caught:
        parse_address(text)
    assert escaped(str(caught.value)) == str(caught.value)
    if text == text.strip(" "):
        with pytest.raises(AddressError):
            parse_entry(f"Ann <{text}>")


def test_local_means_what_the_quotes_hold() -> None:  # row 122
    assert parse_address(r'"a \"b\" \\"@example.org').local == 'a "b" \\'
    assert parse_address('""@example.org').local == ""


def test_the_key_folds_quotes_and_the_domain_and_nothing_else() -> None:  # rows 122, 127
    key = parse_address("user@example.org").key
    assert key == ("example.org", "user")
    for same in ('"user"@example.org', "user@EXAMPLE.org", r'"\user"@example.org'):
        assert parse_address(same).key == key
    for other in ("User@example.org", "user+tag@example.org", "us.er@example.org"):
        assert parse_address(other).key != key
    assert parse_address("\u00fc@example.org").key != parse_address("u\u0308@example.org").key


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ünï@example.org", True), ('"ü b"@example.org', True), ("ann@bücher.example", False)],
)
def test_smtputf8_is_for_the_local_part_alone(text: str, expected: bool) -> None:  # row 125
    assert parse_address(text).needs_smtputf8 is expected


def test_a_literal_is_a_value() -> None:  # row 123
    assert parse_address("ann@[192.0.2.1]").literal == IPv4Address("192.0.2.1")
    assert parse_address("ann@[IPv6:2001:db8::1]").literal == IPv6Address("2001:db8::1")
    mapped = parse_address("ann@[IPv6:::ffff:1.2.3.4]").literal
    assert isinstance(mapped, IPv6Address)
    assert mapped.ipv4_mapped == IPv4Address("1.2.3.4")


# --- limits, row 124: exactly the bound, and one more --------------------------------------------


def _domain(octets: int) -> str:
    """A legal domain of so many octets."""
    return "d" * (2 - octets % 2) + ".e" * ((octets - 1) // 2)


BOUNDS = [
    ("local part", "{}@example.org", MAX_LOCAL_PART, "local part is longer than 64"),
    ("local part, dotted", "a.{}@example.org", MAX_LOCAL_PART - 2, "local part is longer than 64"),
    ("local part, quoted", '" {}"@example.org', MAX_LOCAL_PART - 3, "local part is longer than 64"),
    ("quotes not needed", '"{}"@example.org', MAX_LOCAL_PART, "local part is longer than 64"),
    ("local part, A-label", "{}@xn--bcher-kva.org", MAX_LOCAL_PART, "local part is longer than 64"),
    ("label", "ann@{}.org", MAX_LABEL, "1 to 63"),
    ("last label", "ann@example.{}", MAX_LABEL, "1 to 63"),
    ("label beside an A-label", "ann@{}.xn--bcher-kva", MAX_LABEL, "1 to 63"),
]


@pytest.mark.parametrize(("name", "form", "most", "message"), BOUNDS)
def test_the_bound_is_legal_and_one_more_is_not(
    name: str, form: str, most: int, message: str
) -> None:
    assert parse_address(form.format("x" * most)).text
    with pytest.raises(AddressError, match=message):
        parse_address(form.format("x" * (most + 1)))


def test_the_local_part_is_counted_in_octets_of_the_wire() -> None:
    assert parse_address("ü" * 32 + "@example.org").local == "ü" * 32
    with pytest.raises(AddressError, match="local part is longer"):
        parse_address("ü" * 32 + "a@example.org")
    # 64 quoted-pairs that need no quoting are 64 octets, 32 quotes are 66.
    assert len(parse_address('"' + r"\a" * 64 + '"@example.org').local) == 64
    assert len(parse_address('"' + r"\"" * 31 + '"@example.org').local) == 31
    with pytest.raises(AddressError, match="local part is longer"):
        parse_address('"' + r"\"" * 32 + '"@example.org')


def test_an_a_label_is_counted_in_octets_of_the_wire() -> None:
    assert len(parse_address("ann@" + "ü" * 50 + ".org").domain) <= MAX_LABEL + 4
    with pytest.raises(AddressError, match="domain label"):
        parse_address("ann@" + "ü" * 63 + ".org")


@pytest.mark.parametrize("local", ["a", "-", "ü", '" "', "x" * MAX_LOCAL_PART])
def test_a_path_is_256_octets_with_its_brackets(local: str) -> None:
    room = MAX_PATH - 2 - len(local.encode()) - 1
    address = parse_address(f"{local}@{_domain(room)}")
    assert len(b"<" + address.forward_path + b">") == MAX_PATH
    with pytest.raises(AddressError, match="it is longer than 254"):
        parse_address(f"{local}@{_domain(room + 1)}")


def test_a_domain_is_255_octets() -> None:
    with pytest.raises(AddressError, match="it is longer than 254"):
        parse_address("a@" + _domain(255))
    with pytest.raises(AddressError, match="the domain is longer than 255"):
        parse_address("a@" + _domain(256))


@pytest.mark.parametrize("read", [parse_address, parse_entry, parse_reverse_path])
def test_a_long_text_is_refused_early(read: Callable[[str], Address | None]) -> None:
    with pytest.raises(AddressError, match="longer than 1000 characters"):
        read("a" * (MAX_TEXT + 1))
    with pytest.raises(AddressError, match="it has no @"):
        read("a" * MAX_TEXT)


# --- entries of lists, row 128 -------------------------------------------------------------------

ENTRIES = [
    ("ann@example.org", "ann@example.org"),
    ("  ann@example.org\t", "ann@example.org"),
    ("\u00a0ann@example.org\u3000", "ann@example.org"),
    ("<ann@example.org>", "ann@example.org"),
    ("< ann@example.org >", "ann@example.org"),
    ("Ann <ann@example.org>", "ann@example.org"),
    ("Ann<ann@example.org>", "ann@example.org"),
    ("Ann B. O'Neil (home) <ann@example.org>", "ann@example.org"),
    ("Ann, B. <ann@example.org>", "ann@example.org"),
    ('"Ann, B." <a@b.example>', "a@b.example"),
    ('"Ann <old@example.net>" <ann@example.org>', "ann@example.org"),
    ('"ann@example.org" <ann@example.org>', "ann@example.org"),
    (r'"Ann \"B\" C" <ann@example.org>', "ann@example.org"),
    ('Ann "B" C <ann@example.org>', "ann@example.org"),
    ("Ünïcode Näme <ünï@bücher.example>", "ünï@bücher.example"),
    ("\u200fאב <ann@example.org>", "ann@example.org"),
    ("Ann\t<ann@example.org>", "ann@example.org"),
    ('"a<b"@example.org', '"a<b"@example.org'),
    ('"a>b"@example.org', '"a>b"@example.org'),
    ('"a@b, c@d"@example.org', '"a@b, c@d"@example.org'),
    ('<"a<b>c@d"@example.org>', '"a<b>c@d"@example.org'),
    ('Ann <"a> b"@example.org>', '"a> b"@example.org'),
    ("Ann <ann@[192.0.2.1]>", "ann@[192.0.2.1]"),
]

NO_ENTRIES = [
    ("", "it is empty"),
    ("   ", "it is empty"),
    ("<>", "it is empty"),
    ("Ann <>", "it is empty"),
    ("Ann", "it has no @"),
    ("Ann <ann>", "it has no @"),
    ("<ann@example.org", "does not end with"),
    ("<ann@example.org> junk", "does not end with"),
    ("Ann <ann@example.org> (home)", "does not end with"),
    ("Team: <ann@example.org>;", "does not end with"),
    ("ann@example.org>", "'org>'"),
    ("ann@example.org junk", "'org junk'"),
    ("ann@example.org (Ann)", r"'org \(ann\)'"),
    ("<<ann@example.org>>", "'<' at position 1"),
    ('Ann "B <ann@example.org>', "' ' at position 4"),
    ("mailto:ann@example.org", "':' at position 7"),
    ("<@relay.example:ann@example.org>", "no local part"),
    ("ann@example.org, bob@example.org", "more than one address"),
    ("ann@example.org,bob@example.org", "more than one address"),
    ("ann@example.org;bob@example.org", "more than one address"),
    ("ann@example.org bob@example.org", "more than one address"),
    ("<ann@example.org>,<bob@example.org>", "more than one address"),
    ("<ann@example.org><bob@example.org>", "more than one address"),
    ("Ann <ann@example.org>, Bob <bob@example.org>", "more than one address"),
    ("ann@example.net <ann@example.org>", "more than one address"),
    ('"a b"@example.org "c@d"@example.org', "more than one address"),
    # row 121, and not even in what is thrown away
    ("ann@example.org\r\n", r"'\\r' at position 16"),
    ("Ann\r\nRCPT TO:<bob@example.org>", r"'\\r' at position 4"),
    ('"An\nn" <ann@example.org>', r"'\\n' at position 4"),
    ("A\0nn <ann@example.org>", r"'\\x00' at position 2"),
    ("\x1b[31mAnn <ann@example.org>", r"'\\x1b' at position 1"),
]


@pytest.mark.parametrize(("entry", "text"), ENTRIES)
def test_an_entry_is_the_address_in_it(entry: str, text: str) -> None:
    assert parse_entry(entry) == parse_address(text)
    assert parse_entry(entry).text == text


@pytest.mark.parametrize(("entry", "message"), NO_ENTRIES)
def test_what_is_no_entry_is_refused_and_says_why(entry: str, message: str) -> None:
    with pytest.raises(AddressError, match=message) as caught:
        parse_entry(entry)
    assert escaped(str(caught.value)) == str(caught.value)


@pytest.mark.parametrize("text", ["", "<>", " ", " <> ", "< >"])
def test_the_null_reverse_path_is_none(text: str) -> None:
    assert parse_reverse_path(text) is None


@pytest.mark.parametrize(
    "text", ["probe@example.org", "<probe@example.org>", " probe@example.org "]
)
def test_a_reverse_path_is_an_address(text: str) -> None:
    assert parse_reverse_path(text) == parse_address("probe@example.org")


@pytest.mark.parametrize("text", ["<", ">", "probe", "<probe@example.org", "P <probe@example.org>"])
def test_what_is_no_reverse_path_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_reverse_path(text)


# --- the second layer: addresses built by hand, row 121 ------------------------------------------


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x202E, 0xD800])
def test_no_control_gets_into_an_address_built_by_hand(code: int) -> None:
    character = chr(code)
    good = Address("ann", "example.org", "ann@example.org")
    for local in (character, f"a{character}b", f"{character}b", f"a{character}"):
        with pytest.raises(AddressError, match="local part"):
            Address(local, "example.org", "")
        with pytest.raises(AddressError, match="local part"):
            attrs.evolve(good, local=local)
        with pytest.raises(AddressError, match="not in its form"):
            Address("ann", f"{local}.org", "")
        with pytest.raises(AddressError, match="of the address"):
            Address("ann", "example.org", local)


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "Example.org",
        "bücher.example",
        "example.org.",
        "example.org\n",
        "example.org> SIZE=1",
        "exa mple.org",
        "a@example.org",
        "[192.0.2.1]>",
        "[IPV6:2001:db8::1]",
        "[IPv6:2001:DB8::1]",
        "[x]",
        "[",
    ],
)
def test_a_domain_built_by_hand_has_its_form_on_the_wire(domain: str) -> None:
    with pytest.raises(AddressError):
        Address("ann", domain, "ann")


def test_an_address_built_by_hand_is_quoted_as_needed() -> None:
    address = Address('a> "b', "[IPv6:2001:db8::1]", "")
    assert address.forward_path == rb'"a> \"b"@[IPv6:2001:db8::1]'
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        address.local = "x"  # type: ignore[misc]


# --- properties ----------------------------------------------------------------------------------

# Letters that matter to the grammar, far more often than chance would have them.
_SPICE = st.sampled_from(
    [
        *'abZ09.-_@@"\\<>[]():;, %!\t\r\n\0\x7f\x85',
        *"üß\u0308\u3002\uff0e\u200d\u00ad\u00a0א٣例😀",
        *("xn--", "xn--bcher-kva", "IPv6:", "::1", "192.0.2.1"),
        *(".org", "@example.org", "..", '"@', " <", ">"),
    ]
)
_ANY = st.text() | st.lists(_SPICE, max_size=30).map("".join)
_LOCALS = st.text(min_size=1, max_size=30) | st.lists(_SPICE, max_size=20).map("".join)
_LDH_LABELS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", fullmatch=True)
_PLAIN_DOMAINS = st.lists(_LDH_LABELS, min_size=1, max_size=5).map(".".join)
_LITERALS = st.ip_addresses(v=4).map("[{}]".format) | st.ip_addresses(v=6).map("[IPv6:{}]".format)
_DOMAINS = (
    st.sampled_from(["example.org", "BÜCHER.example", "例え。テスト"]) | _PLAIN_DOMAINS | _LITERALS
)
# Near the fast path: mostly legal, ASCII, and around its limits.
_NEARLY_PLAIN = st.builds(
    "{}@{}".format,
    st.text("aZ0.+-%!'\"", min_size=1, max_size=70),
    _PLAIN_DOMAINS | st.text("aX0-.n", max_size=70) | st.integers(100, 260).map(_domain),
)


def _quoted(local: str) -> str:
    return '"' + re.sub(r'["\\]', r"\\\g<0>", local) + '"'


_QUOTED = st.builds(lambda local, domain: f"{_quoted(local)}@{domain}", _LOCALS, _DOMAINS)
_BARE = st.builds("{}@{}".format, _LOCALS, _DOMAINS | _ANY)
_TEXTS = _ANY | _BARE | _QUOTED | _NEARLY_PLAIN


def _accepted(text: str, read: Callable[[str], Address] = parse_address) -> Address | None:
    """What `text` reads as. Fails on any other exception, and on a message nobody can print."""
    message = ""
    try:
        return read(text)
    except AddressError as error:
        message = str(error)
    assert message
    assert escaped(message) == message
    assert len(message) < 400
    return None


def _hold_to_the_wire(address: Address) -> None:
    """No octet of the forward-path may end the command or start another."""
    path = address.forward_path
    text = path.decode("utf-8")
    assert len(path) <= MAX_PATH - 2
    for character in text:
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert not re.search(r'[\s<>"\\,;()]', outside)
    assert outside.count("@") == 1
    local, _, domain = text.rpartition("@")
    assert domain == address.domain
    assert domain.isascii()
    assert len(local.encode()) <= MAX_LOCAL_PART
    if address.literal is None:
        labels = domain.split(".")
        assert len(labels) > 1
        assert all(re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", each) for each in labels)
        assert not labels[-1].isdigit()
    else:
        assert ip_address(domain[1:-1].removeprefix("IPv6:")) == address.literal


@given(_TEXTS)
@example('"\u00a0"@example.org')
@example("ann@exam\u00adple.org")
def test_any_text_is_an_address_or_says_why_not(text: str) -> None:
    address = _accepted(text)
    if address is not None:
        assert address.text == text
        assert address.needs_smtputf8 == (not address.local.isascii())
        _hold_to_the_wire(address)
        again = parse_address(address.forward_path.decode())
        assert again.key == address.key
        assert again.forward_path == address.forward_path


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_is_an_address_or_says_why_not(text: str) -> None:
    address = _accepted(text)
    if address is not None:
        _hold_to_the_wire(address)


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=15))
def test_a_local_part_survives_its_quotes(local: str) -> None:
    address = parse_address(f"{_quoted(local)}@example.org")
    assert address.local == local
    _hold_to_the_wire(address)


@given(_NEARLY_PLAIN | _TEXTS)
@example("ann@example.1")
@example("ann@XN--a.example")
@example("a@" + _domain(252))
@example("a@" + _domain(253))
@example("x" * 64 + "@example.org")
@example("x" * 65 + "@example.org")
@example("ann@example.org\n")
def test_the_fast_path_and_the_grammar_agree(text: str) -> None:
    plain = grammar._plain(text)
    if plain is not None:
        assert grammar._mailbox(text) == plain


@given(_NEARLY_PLAIN)
def test_what_is_plain_takes_the_fast_path(text: str) -> None:
    address = _accepted(text)
    if address is not None and not text.startswith('"') and "xn--" not in text.lower():
        assert grammar._plain(text) == address


@given(_TEXTS | st.builds("{} <{}>".format, _ANY, _TEXTS))
def test_any_entry_is_an_address_or_says_why_not(text: str) -> None:
    address = _accepted(text, parse_entry)
    if address is not None:
        assert address.text in text
        assert parse_address(address.text) == address
        _hold_to_the_wire(address)


@given(_TEXTS)
def test_any_address_is_an_entry_of_its_own(text: str) -> None:
    address = _accepted(text)
    if address is not None:
        for entry in (text, f"<{text}>", f"Ann <{text}>", f'"Ann, <x@y>" <{text}> '):
            assert parse_entry(entry) == address
            assert entry.startswith(("A", '"A')) or parse_reverse_path(entry) == address


@given(_LOCALS, _ANY | st.just("example.org"), _ANY)
def test_an_address_built_by_hand_injects_nothing(local: str, domain: str, text: str) -> None:
    address = _accepted(text, lambda text: Address(local, domain, text))
    if address is not None:
        path = address.forward_path.decode()
        assert escaped(path) == path
        assert not re.search(r"[\s<>]", re.sub(r'"(?:[^"\\]|\\.)*"', "", path))
