"""Words are brought into one form before they are matched or compared."""

from __future__ import annotations

import pytest

from twisted_probe.verdict.words import (
    MAX_SHAPE,
    Context,
    enhanced_code,
    masked,
    says_the_same,
    without_local_part,
)
from twisted_probe.vocabulary.reply import Reply

OURS = Context(
    source="192.0.2.1",
    helo="probe1.example.org",
    reverse_path="probe@sender.example",
    recipient="Ann@Blocked.example",
    exchanger="MX1.Greylist.example",
)


def words(text: str, context: Context = OURS) -> str:
    return masked(Reply(550, (text.encode(),)), context)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("5.1.1 <ann@blocked.example>: No\tSuch  User", "<_rcpt>: no such user"),
        ("<ann>: no", "<_rcpt>: no"),
        ("PROBE@sender.example refused", "_from refused"),
        ("domain sender.example refused", "domain _from refused"),
        ("probe1.example.org[192.0.2.1] no", "_helo[_source] no"),
        ("host mx1.blocked.example. said", "host _domain. said"),
        ("unblocked.example", "unblocked.example"),
        ("192.0.2.10 and 2001:db8::a are others", "_ip and _ip are others"),
        ("4.7.1 mx1.greylist.example busy (5.4.1)", "4.7.1 _exchanger busy (5.4.1)"),
        ("mta7-3.am0.yahoo.example says", "_host.am0.yahoo.example says"),
        ("mx7.example says", "mx7.example says"),
        ("[edge7.b.example 2024-05-06T07:08:09.123Z 08DC]", "[_host.b.example _id 08dc]"),
        ("ticket 123456 at 12:30", "ticket _id at 12:30"),
        ("Łódź, straße, Œuvre, Ørsted", "lodz, strasse, oeuvre, orsted"),
        ("IP地址被拒绝", "ip 地 址 被 拒 绝"),
        ("ユーザーガイド", "ユ ー サ ー カ イ ト"),
        ("ask post.master+x@other.example.", "ask _other"),
        ("Boîte pleine, Überlauf", "boite pleine, uberlauf"),
        ("id 38308e7fff4ca-2e1234567abc.345 - gsmtp", "id _id - gsmtp"),
        ("see zen.spamhaus.org", "see zen.spamhaus.org"),
    ],
)
def test_our_values_and_ids_are_masked(text: str, form: str) -> None:
    assert words(text) == form


def test_without_values_only_addresses_are() -> None:
    assert words("<ann@x.example> 192.0.2.1", Context()) == "<_other> _ip"
    assert words("no address", Context(recipient="nothing")) == "no address"


def test_a_domain_that_we_send_from_is_the_recipients_where_it_is_asked_about() -> None:
    context = Context(
        helo="probe.a.example", reverse_path="probe@a.example", recipient="b@a.example"
    )
    text = "probe.a.example: probe@a.example at a.example"
    assert words(text, context) == "_helo: _from at _domain"


def test_a_long_reply_is_known_by_its_beginning_and_its_end() -> None:
    shape = words("begin " + "middle " * 200 + "end")
    assert len(shape) == sum(MAX_SHAPE) + 1
    assert shape.startswith("begin middle")
    assert shape.endswith("middle end")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("[IPv6:2001:DB8::1] no", "[ipv6:_source] no"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001 no", "_source no"),
        ("2001:db8::2 no", "_ip no"),
    ],
)
def test_an_ipv6_source(text: str, form: str) -> None:
    assert words(text, Context(source="2001:db8::1")) == form


@pytest.mark.parametrize("text", ["::FFFF:192.0.2.1 no", "1.2.0.192.in-addr.arpa no"])
def test_other_spellings_of_the_source(text: str) -> None:
    assert words(text) == "_source no"


def test_a_source_that_is_no_address() -> None:
    assert words("source.example no", Context(source="source.example")) == "_source no"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("<probe@sub.example>: no", "<_from>: no"),
        ("<be@sub.example>: no", "<_rcpt>: no"),
        ("<my-be@sub.example>, x.be@sub.example: no", "<_other>, _other: no"),
        ("be@sub.example.org no", "_other no"),
        ("to=be@sub.example. no", "to=_rcpt. no"),
    ],
)
def test_a_recipient_within_a_longer_address(text: str, form: str) -> None:
    context = Context(recipient="be@sub.example", reverse_path="probe@sub.example")
    assert words(text, context) == form


@pytest.mark.parametrize("text", ["<probe> no", "'probe' no", '"probe" no'])
def test_our_own_local_part_in_quotes(text: str) -> None:
    assert words(text) == text.replace("probe", "_from")


def test_the_other_way_to_read_a_local_part() -> None:
    def read(text: str, local: str) -> str:
        return without_local_part(text, f"{local}@x.example")

    assert read("user unknown", "Unknown") == "user _rcpt"
    assert read("no such user: access denied", '"no such user"') == "_rcpt: access denied"
    assert read("users unknowns", "user") == "users unknowns"
    assert without_local_part("user unknown", "") == "user unknown"


def test_a_bare_local_part_stays() -> None:
    assert words("user unknown", Context(recipient="unknown@x.example")) == "user unknown"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("5.1.1 no", "5.1.1"),
        ("no (#5.1.1)", "5.1.1"),
        ("#5.1.0 no", "5.1.0"),
        ("no (5.7.1)", "5.7.1"),
        ("no [5.1.1.1]", None),
        ("no (#4.1.1)", None),
        ("no", None),
    ],
)
def test_the_enhanced_code_may_stand_in_brackets(text: str, code: str | None) -> None:
    assert enhanced_code(Reply(550, (text.encode(),))) == code


def same(text: str, other: str, local: str = "ann", other_local: str = "x7q2k9") -> bool:
    return says_the_same(
        Reply(550, (text.encode(),)),
        f"{local}@a.example" if local else "",
        Reply(550, (other.encode(),)),
        f"{other_local}@a.example" if other_local else "",
    )


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("no", "no"),
        ("<ann@a.example> no", "<x7q2k9@a.example> no"),
        ("ann no", "x7q2k9 no"),
        ("no 4Bk1x9Zq2t", "no 5Ck2y8Zp3w"),
        ("no 1rAbCd-0001xY-2Z", "no 1rAbCe-0002aB-3C"),
        ("no 17000000011", "no 17000000012"),
        ("no (E17)", "no (E17)"),
        ("no, 2026-11-22 22:08:22", "no, 2026-11-22 22:08:25"),
        ("mta7.x.example no", "mta8.x.example no"),
    ],
)
def test_alike_but_for_recipient_and_ids(text: str, other: str) -> None:
    assert same(text, other)


def test_a_bare_local_part_that_looks_like_an_id_is_a_recipient_all_the_same() -> None:
    assert same("no ann", "no k7qzxv2m9w4d8j3fsp", other_local="k7qzxv2m9w4d8j3fsp")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        *(("no", "never"), ("5.7.1 no", "no"), ("5.7.1 no", "5.0.0 no")),
        ("no (#5.1.0)", "no (#5.7.1)"),
        # Another number is another reason.
        *(("no (E17)", "no (E42)"), ("no (#101)", "no (#102)"), ("no R1", "no R2")),
        *(("no [E-7001]", "no [E-1203]"), ("no, code=12", "no, code=15")),
        ("no, see https://help.example.net/e101", "no, see https://help.example.net/e102"),
        *(("no (reason-code-17)", "no (reason-code-42)"), ("no E-7001-22-A1", "no E-7002-22-A1")),
        *(("no #100101", "no #100102"), ("no (4A3F-11)", "no (5B22)"), ("no 4.2", "no 4.3")),
        *(("no (deadbeefca)", "no (fadedacade)"), ("no (E17)", "no")),
    ],
)
def test_not_alike(text: str, other: str) -> None:
    assert not same(text, other)


def test_a_local_part_that_is_a_word_of_the_reply() -> None:
    assert same("user unknown", "user unknown", local="unknown")


def test_without_recipients() -> None:
    assert same("no", "no", local="", other_local="")
    assert not same("no", "never", local="", other_local="")
