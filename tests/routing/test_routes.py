"""Whom to ask: the exchangers that a domain's records amount to. Rows are those of cases.md."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from twisted_probe.routing.exchangers import (
    MAX_ADDRESSES,
    MAX_RECORDS,
    NoExchanger,
    Route,
    find_route,
)
from twisted_probe.routing.names import MailExchanger, NameTrouble
from twisted_probe.routing.networks import Networks
from twisted_probe.sandbox.zone import Names, Trouble
from twisted_probe.vocabulary.outcome import Reason

from .town_square import NETWORKS, Book, unshuffled


class Misaddressed(Book):
    """Names with an MX that no zone file could hold."""

    def __init__(self, *targets: str) -> None:
        super().__init__({"mx.a.example": ["A 192.0.2.1"]})
        self._targets = targets

    def mail_exchangers(self, domain: str) -> Deferred[Sequence[MailExchanger]]:
        return succeed([MailExchanger(10, target) for target in self._targets])


async def route(
    names: Names | Book,
    domain: str = "a.example",
    families: Collection[int] = (4, 6),
    shuffle: Any = unshuffled,
) -> Route:
    book = names if isinstance(names, Book) else Book(names)
    networks = Networks([*NETWORKS, "192.0.3.0/24"])
    return await find_route(book, domain, families, shuffle, networks.why_forbidden)


def addresses(route: Route) -> list[str]:
    return [exchanger.address for exchanger in route.exchangers]


async def nobody(*args: Any, **options: Any) -> tuple[Reason, str]:
    with pytest.raises(NoExchanger) as caught:
        await route(*args, **options)
    return caught.value.reason, str(caught.value)


# --- Whom -------------------------------------------------------------------------------------


async def test_best_first() -> None:
    found = await route(
        {
            "a.example": ["MX 20 mx2.a.example", "MX 10 mx1.a.example", "MX 20 mx3.a.example"],
            "mx1.a.example": ["A 192.0.2.1", "AAAA 2001:db8:25::1"],
            "mx2.a.example": ["A 192.0.2.2"],
            "mx3.a.example": ["AAAA 2001:db8:25::3"],
        }
    )
    assert found.site == "mx1.a.example,mx2.a.example,mx3.a.example"
    assert [(e.name, e.address, e.preference, e.best) for e in found.exchangers] == [
        ("mx1.a.example", "192.0.2.1", 10, True),
        ("mx1.a.example", "2001:db8:25::1", 10, True),
        ("mx2.a.example", "192.0.2.2", 20, False),
        ("mx3.a.example", "2001:db8:25::3", 20, False),
    ]
    assert found.hosts == {"mx1.a.example", "mx2.a.example", "mx3.a.example"}


async def test_equals_are_all_best_and_shuffled_once() -> None:
    """Row 148."""
    names = {
        "a.example": [f"MX 10 mx{number}.a.example" for number in (1, 2, 3)]
        + ["MX 5 mx0.a.example"],
        **{f"mx{number}.a.example": [f"A 192.0.2.{number}"] for number in range(4)},
    }
    orders = set()
    sites = set()
    rng = random.Random(5)
    for _ in range(50):
        found = await route(names, shuffle=rng.shuffle)
        orders.add(tuple(addresses(found)))
        sites.add(found.site)
        assert [exchanger.best for exchanger in found.exchangers] == [True, False, False, False]
    assert len(orders) == 6
    assert {order[0] for order in orders} == {"192.0.2.0"}
    assert len(sites) == 1


async def test_the_same_exchangers_are_one_site() -> None:
    names = Book(
        {
            "a.example": ["MX 10 mx1.host.example", "MX 20 mx2.host.example"],
            "b.example": ["MX 10 mx2.host.example", "MX 10 mx1.host.example"],
            "c.example": ["MX 10 mx1.host.example"],
            "mx1.host.example": ["A 192.0.2.1"],
            "mx2.host.example": ["A 192.0.2.2"],
        }
    )
    a, b, c = [(await route(names, f"{name}.example")).site for name in "abc"]
    assert a == b != c


async def test_no_mx_is_the_domain_itself() -> None:
    """Row 131."""
    found = await route({"a.example": ["A 192.0.2.1", "AAAA 2001:db8:25::1"]})
    assert (found.site, found.hosts) == ("a.example", frozenset(("a.example",)))
    assert [(e.name, e.preference, e.best) for e in found.exchangers] == [
        ("a.example", 0, True),
        ("a.example", 0, True),
    ]


async def test_aliases() -> None:
    """Rows 136 and 138."""
    names = {
        "a.example": ["CNAME b.example"],
        "b.example": ["MX 10 mx.b.example"],
        "mx.b.example": ["CNAME host.b.example"],
        "host.b.example": ["A 192.0.2.1"],
    }
    assert addresses(await route(names)) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[192.0.2.1]", "192.0.2.1"),
        ("[IPv6:2001:db8:25::1]", "2001:db8:25::1"),
        ("[IPv6:::ffff:192.0.2.1]", "::ffff:c000:201"),
    ],
)
async def test_address_literals(domain: str, address: str) -> None:
    """Row 123."""
    book = Book({})
    found = await route(book, domain)
    assert (found.site, found.hosts) == (domain, frozenset((domain,)))
    (exchanger,) = found.exchangers
    assert (exchanger.name, exchanger.best) == (domain, True)
    assert exchanger.address in (address, "::ffff:192.0.2.1")
    assert not book.asked


# --- The best of those that are there ---------------------------------------------------------

MX1_AND_MX2 = ["MX 10 mx1.a.example", "MX 20 mx2.a.example"]


@pytest.mark.parametrize(
    ("mx1", "best", "hosts"),
    [
        # It does not exist, or has no address: the next one is the best.
        ({}, True, 1),
        ({"mx1.a.example": ["TXT nothing"]}, True, 1),
        # It could not be looked up: who knows.
        ({"mx1.a.example": Trouble.SERVFAIL}, False, 2),
    ],
)
async def test_the_best_cannot_be_looked_up(mx1: Any, best: bool, hosts: int) -> None:
    """Row 143: a backup never passes for the best."""
    found = await route({"a.example": MX1_AND_MX2, "mx2.a.example": ["A 192.0.2.2"], **mx1})
    assert [(e.address, e.best) for e in found.exchangers] == [("192.0.2.2", best)]
    assert len(found.hosts) == hosts


async def test_a_best_one_that_we_have_no_family_for_is_still_the_best() -> None:
    names = Book(
        {
            "a.example": MX1_AND_MX2,
            "mx1.a.example": ["AAAA 2001:db8:25::1"],
            "mx2.a.example": ["A 192.0.2.2"],
        }
    )
    found = await route(names, families={4})
    assert [(e.address, e.best) for e in found.exchangers] == [("192.0.2.2", False)]
    assert found.hosts == {"mx1.a.example", "mx2.a.example"}


async def test_trouble_with_one_family_leaves_the_other() -> None:
    class Half(Book):
        def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
            if family == 6:
                return fail(NameTrouble("fog"))
            return super().addresses(name, family)

    names = Half({"a.example": MX1_AND_MX2, "mx1.a.example": ["A 192.0.2.1"], "mx2.a.example": []})
    found = await route(names)
    assert [(e.address, e.best) for e in found.exchangers] == [("192.0.2.1", True)]


async def test_only_what_is_needed_is_asked() -> None:
    names = Book({"a.example": MX1_AND_MX2, "mx1.a.example": ["A 192.0.2.1"]})
    await route(names, families={4})
    assert names.asked == [
        ("a.example", "MX"),
        ("mx1.a.example", "A"),
        ("mx2.a.example", "A"),
    ]


# --- Limits -----------------------------------------------------------------------------------


async def test_at_most_five_addresses() -> None:
    """Row 141."""
    book = Book(
        {
            "a.example": [f"MX {number} mx{number}.a.example" for number in range(200)],
            **{
                f"mx{number}.a.example": [f"A 192.0.2.{number}", f"A 192.0.3.{number}"]
                for number in range(200)
            },
        }
    )
    found = await route(book)
    assert addresses(found) == ["192.0.2.0", "192.0.3.0", "192.0.2.1", "192.0.3.1", "192.0.2.2"]
    assert len(found.exchangers) == MAX_ADDRESSES
    assert len(book.asked) == 1 + 2 * 3
    assert found.hosts == {"mx0.a.example", "mx1.a.example", "mx2.a.example"}


async def test_five_are_enough() -> None:
    hosts = [f"mx{number}.a.example" for number in range(6)]
    book = Book(
        {
            "a.example": [f"MX {number} {host}" for number, host in enumerate(hosts)],
            **{host: [f"A 192.0.2.{number}"] for number, host in enumerate(hosts)},
        }
    )
    assert len((await route(book, families={4})).exchangers) == MAX_ADDRESSES
    assert (hosts[5], "A") not in book.asked


async def test_a_crowd_of_equals_is_the_same_site_every_time() -> None:
    """Else politeness would count nothing of it."""
    names = {
        "a.example": [f"MX 10 mx{number}.a.example" for number in range(200)],
        **{f"mx{number}.a.example": [f"A 192.0.2.{number}"] for number in range(200)},
    }
    rng = random.Random(5)
    routes = [await route(names, shuffle=rng.shuffle) for _ in range(20)]
    assert len({found.site for found in routes}) == 1
    assert len(routes[0].site.split(",")) == MAX_RECORDS
    assert len({tuple(addresses(found)) for found in routes}) > 1


async def test_nobody_looks_for_ever_for_an_address() -> None:
    book = Book({"a.example": [f"MX 10 mx{number}.a.example" for number in range(200)]})
    assert (await nobody(book))[0] is Reason.NO_SUCH_DOMAIN
    assert len(book.asked) == 1 + MAX_RECORDS


async def test_nobody_waits_for_all_the_names_of_a_domain() -> None:
    """One that could not be looked up takes the place of an address."""
    hosts = [f"mx{number:03}.a.example" for number in range(200)]
    book = Book(
        {
            "a.example": [f"MX 10 {host}" for host in hosts],
            **dict.fromkeys(hosts, Trouble.SERVFAIL),
        }
    )
    assert (await nobody(book, families={4}))[0] is Reason.DNS_ERROR
    assert len(book.asked) == 1 + MAX_ADDRESSES


async def test_one_exchanger_by_two_names() -> None:
    """It is asked once, and it speaks for both."""
    found = await route(
        {
            "a.example": ["MX 10 mx1.a.example", "MX 20 mx2.a.example", "MX 30 mx3.a.example"],
            "mx1.a.example": ["A 192.0.2.1"],
            "mx2.a.example": ["A 192.0.2.1"],
            "mx3.a.example": ["A 192.0.2.1", "A 192.0.2.3"],
        }
    )
    assert [(e.name, e.address, e.best) for e in found.exchangers] == [
        ("mx1.a.example", "192.0.2.1", True),
        ("mx3.a.example", "192.0.2.3", False),
    ]
    assert found.hosts == {"mx1.a.example", "mx3.a.example"}


# --- Addresses that nobody may dial -----------------------------------------------------------


async def test_forbidden_addresses_take_no_place() -> None:
    """Row 140: others go on, of the same host and of the next one."""
    inside = [f"A 10.0.0.{number}" for number in range(1, 15)]
    found = await route(
        {
            "a.example": MX1_AND_MX2,
            "mx1.a.example": [*inside, "A 192.0.2.1"],
            "mx2.a.example": ["A 192.0.2.2"],
        }
    )
    assert [(e.address, e.best) for e in found.exchangers] == [
        ("192.0.2.1", True),
        ("192.0.2.2", False),
    ]


async def test_a_backup_is_a_backup_behind_a_forbidden_one_too() -> None:
    """Row 143."""
    names = {
        "a.example": MX1_AND_MX2,
        "mx1.a.example": ["A 10.0.0.1"],
        "mx2.a.example": ["A 192.0.2.2"],
    }
    found = await route(names)
    assert [(e.address, e.best) for e in found.exchangers] == [("192.0.2.2", False)]
    assert found.hosts == {"mx1.a.example", "mx2.a.example"}


async def test_nobody_but_forbidden_ones() -> None:
    names: Names = {
        "a.example": MX1_AND_MX2,
        "mx1.a.example": ["A 10.0.0.1"],
        "mx2.a.example": ["AAAA ::1"],
    }
    assert await nobody(names) == (
        Reason.FORBIDDEN_EXCHANGER,
        "never dialled: mx1.a.example at 10.0.0.1 (private); mx2.a.example at ::1 (loopback)",
    )
    assert await nobody({}, "[127.0.0.1]") == (
        Reason.FORBIDDEN_EXCHANGER,
        "never dialled: [127.0.0.1] (loopback)",
    )
    # Who knows where the other one is.
    reason, _ = await nobody({**names, "mx2.a.example": Trouble.SERVFAIL})
    assert reason is Reason.DNS_ERROR


async def test_a_host_of_many_addresses() -> None:
    """Row 141: not all of them are looked at, and not the same ones first each time."""
    names = {"a.example": [f"A 192.0.2.{number}" for number in range(200)]}
    rng = random.Random(5)
    orders = {tuple(addresses(await route(names, shuffle=rng.shuffle))) for _ in range(20)}
    assert len(orders) > 10
    assert {len(order) for order in orders} == {MAX_ADDRESSES}
    seen = {int(address.rpartition(".")[2]) for order in orders for address in order}
    assert seen <= set(range(MAX_RECORDS))


# --- Nobody -----------------------------------------------------------------------------------


async def test_no_such_domain() -> None:
    """Row 129."""
    assert await nobody({}) == (Reason.NO_SUCH_DOMAIN, "the domain does not exist")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"a.example": ["TXT nothing"]}, "neither MX nor address"),
        ({"a.example": ["MX 10 mx.a.example"]}, "no exchanger of the domain has an address"),
        (
            {"a.example": ["MX 10 mx.a.example"], "mx.a.example": ["TXT nothing"]},
            "no exchanger of the domain has an address",
        ),
    ],
)
async def test_no_records(names: Names, words: str) -> None:
    """Row 130."""
    assert await nobody(names) == (Reason.NO_SUCH_DOMAIN, words)


def test_what_settles_the_matter() -> None:
    """To be forbidden is no verdict on the address, and asking again would change nothing."""
    assert [reason for reason in Reason if NoExchanger(reason, "").is_final] == [
        Reason.NO_SUCH_MAILBOX,
        Reason.MAILBOX_DISABLED,
        Reason.INVALID_ADDRESS,
        Reason.NO_SUCH_DOMAIN,
        Reason.NO_MAIL,
        Reason.RELAY_DENIED,
        Reason.FORBIDDEN_EXCHANGER,
    ]


async def test_null_mx_alone() -> None:
    """Row 133."""
    for records in (["MX 0 ."], ["MX 0 .", "MX 10 ."]):
        assert await nobody({"a.example": [*records, "A 192.0.2.1"]}) == (
            Reason.NO_MAIL,
            "the domain takes no mail (null MX)",
        )


async def test_null_mx_with_others() -> None:
    """Row 134."""
    found = await route({"a.example": ["MX 0 .", "MX 10 b.example"], "b.example": ["A 192.0.2.1"]})
    assert [(e.name, e.best) for e in found.exchangers] == [("b.example", True)]
    assert found.site == "b.example"


@pytest.mark.parametrize(
    "target",
    [
        "192.0.2.1",
        "2001:db8::1",
        "[192.0.2.1]",
        "mx .a.example",
        r"mx\x0d.a.example",
        "böx.example",
    ],
)
async def test_a_target_that_is_no_name(target: str) -> None:
    """Rows 139 and 145: and no implicit MX either."""
    book = Misaddressed(target)
    assert await nobody(book) == (
        Reason.NO_SUCH_DOMAIN,
        "no MX record of the domain names a host",
    )
    assert await nobody(Misaddressed(target, "")) == await nobody(book)
    assert addresses(await route(Misaddressed(target, "mx.a.example"))) == ["192.0.2.1"]
    assert not book.asked


@pytest.mark.parametrize(
    "names",
    [
        {"a.example": Trouble.SERVFAIL},
        {"a.example": ["MX 10 mx.a.example"], "mx.a.example": Trouble.SERVFAIL},
        {"a.example": [*MX1_AND_MX2, "A 192.0.2.1"], "mx2.a.example": Trouble.SERVFAIL},
    ],
)
async def test_trouble_is_never_a_no(names: Names) -> None:
    """Row 132."""
    reason, words = await nobody(names)
    assert reason is Reason.DNS_ERROR
    assert words.endswith("no usable answer")


async def test_trouble_with_the_family_that_we_have_not_is_no_no_either() -> None:
    class Half(Book):
        def addresses(self, name: str, family: int) -> Deferred[Sequence[str]]:
            return fail(NameTrouble("fog")) if family == 6 else super().addresses(name, family)

    assert await nobody(Half({"a.example": ["TXT x"]}), families={4}) == (Reason.DNS_ERROR, "fog")


@pytest.mark.parametrize(
    ("names", "domain", "families"),
    [
        ({"a.example": ["AAAA 2001:db8:25::1"]}, "a.example", {4}),
        ({"a.example": ["MX 1 mx.a.example"], "mx.a.example": ["A 192.0.2.1"]}, "a.example", {6}),
        ({}, "[192.0.2.1]", {6}),
        ({}, "[IPv6:2001:db8:25::1]", {4}),
    ],
)
async def test_no_source_of_the_family(names: Names, domain: str, families: set[int]) -> None:
    """Row 57."""
    reason, words = await nobody(names, domain, families)
    assert reason is Reason.SOURCE_UNAVAILABLE
    assert domain in words
