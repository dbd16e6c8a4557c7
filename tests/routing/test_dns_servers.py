"""Which server is asked, and how often: on a clock, with scripted datagrams."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.names import dns

from twisted_probe.routing.names import DnsNames, NameTrouble, NoSocket, NoSuchName
from twisted_probe.routing.resolver import LOOK_AGAIN, LOOKS, REST, TRIES

from .dns_wire import SERVERS, Wire, names_on, record, saying, silent, written

FIRST, SECOND = SERVERS
HERE = record("host.example", dns.Record_A("192.0.2.1"))
ROUND = sum(TRIES)


def here(question: dns.Message) -> Sequence[bytes]:
    """A server that has an address for every name."""
    name = question.queries[0].name.name.decode()
    return [written(question, [record(name, dns.Record_A("192.0.2.1"))])]


def asked_of(names: DnsNames, wire: Wire, name: str = "host.example") -> Any:
    return wire.wait(names.addresses(name, 4))


def test_the_first_one_has_all_the_work() -> None:
    wire = Wire({FIRST: here, SECOND: here})
    names = names_on(wire, SERVERS)
    for number in range(3):
        asked_of(names, wire, f"{number}.example")
    assert wire.order == [FIRST] * 3
    assert wire.seconds() == 0


def test_one_that_is_silent_is_asked_last_for_a_while() -> None:
    wire = Wire({FIRST: silent, SECOND: here})
    names = names_on(wire, SERVERS)
    assert asked_of(names, wire) == ["192.0.2.1"]
    assert wire.seconds() == TRIES[0]
    for number in range(3):
        asked_of(names, wire, f"{number}.example")
    assert wire.order == [FIRST, SECOND, SECOND, SECOND, SECOND]
    wire.servers[FIRST] = here
    wire.advance(REST)
    asked_of(names, wire, "later.example")
    assert wire.order[5:] == [FIRST]


def test_an_answer_ends_the_rest() -> None:
    wire = Wire({FIRST: silent, SECOND: here})
    names = names_on(wire, SERVERS)
    asked_of(names, wire)
    wire.servers.update({FIRST: here, SECOND: silent})
    asked_of(names, wire, "other.example")
    asked_of(names, wire, "third.example")
    assert wire.order == [FIRST, SECOND, SECOND, FIRST, FIRST]


def test_where_nobody_is_nobody_is_waited_for() -> None:
    """The kernel tells of it, as connected sockets hear."""
    wire = Wire({SECOND: here})
    assert asked_of(names_on(wire, SERVERS), wire) == ["192.0.2.1"]
    assert wire.order == [FIRST, SECOND]
    assert wire.seconds() == 0
    wire = Wire({})
    with pytest.raises(NameTrouble, match=r"\(ConnectionRefusedError\)"):
        asked_of(names_on(wire), wire)
    assert wire.order == [FIRST] * len(TRIES)


def test_no_way_to_a_server() -> None:
    wire = Wire({SECOND: OSError(101, "Network is unreachable"), FIRST: here})
    assert asked_of(names_on(wire, (SECOND, FIRST)), wire) == ["192.0.2.1"]
    with pytest.raises(NameTrouble, match=r"\(OSError\)"):
        asked_of(names_on(wire, (SECOND,)), wire)


NO_DESCRIPTOR = OSError(errno.EMFILE, "Too many open files")
OURS = [
    error.CannotListenError("", 0, NO_DESCRIPTOR),
    error.CannotListenError("", 0, OSError(errno.EADDRINUSE, "Address already in use")),
    error.ConnectBindError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOBUFS, "No buffer space available"),
]


@pytest.mark.parametrize("trouble", OURS, ids=repr)
def test_that_no_socket_is_left_is_not_the_servers_trouble(trouble: Exception) -> None:
    wire = Wire({FIRST: trouble, SECOND: here})
    names = names_on(wire, SERVERS)
    found: list[Any] = []
    names.addresses("host.example", 4).addCallback(found.append)
    wire.pump([LOOK_AGAIN] * 3)
    assert not found
    wire.servers[FIRST] = here
    wire.advance(LOOK_AGAIN)
    assert found == [["192.0.2.1"]]
    assert wire.order == [FIRST]
    assert asked_of(names, wire, "later.example") == ["192.0.2.1"]
    assert wire.order == [FIRST, FIRST]


def test_no_socket_for_good() -> None:
    wire = Wire({FIRST: OURS[0], SECOND: here})
    names = names_on(wire, SERVERS)
    with pytest.raises(NoSocket, match="no socket left"):
        asked_of(names, wire)
    assert wire.seconds() == LOOKS * LOOK_AGAIN
    assert wire.order == []
    given_up = names.addresses("other.example", 4)
    given_up.cancel()
    with pytest.raises(CancelledError):
        wire.wait(given_up)
    assert not wire.getDelayedCalls()


def test_an_interface_that_is_not_there_is_the_servers_trouble() -> None:
    gone = error.CannotListenError("::", 0, OSError(errno.EADDRNOTAVAIL, "not there"))
    wire = Wire({FIRST: here, SECOND: gone})
    assert asked_of(names_on(wire, (SECOND, FIRST)), wire) == ["192.0.2.1"]
    assert wire.seconds() == 0


@pytest.mark.parametrize("code", [dns.EFORMAT, dns.ESERVER, dns.ENOTIMP, dns.EREFUSED, 9])
def test_the_next_one_may_know_better(code: int) -> None:
    """Row 132: and that all are in trouble needs no second look."""
    wire = Wire({FIRST: saying(code=code), SECOND: here})
    assert asked_of(names_on(wire, SERVERS), wire) == ["192.0.2.1"]
    assert wire.order == [FIRST, SECOND]
    wire = Wire(dict.fromkeys(SERVERS, saying(code=code)))
    with pytest.raises(NameTrouble):
        asked_of(names_on(wire, SERVERS), wire)
    assert wire.order == [FIRST, SECOND]
    assert wire.seconds() == 0


def test_a_no_is_an_answer() -> None:
    wire = Wire({FIRST: saying(code=dns.ENAME), SECOND: here})
    with pytest.raises(NoSuchName):
        asked_of(names_on(wire, SERVERS), wire)
    assert wire.order == [FIRST]


def test_trouble_of_one_and_silence_of_the_other() -> None:
    wire = Wire({FIRST: silent, SECOND: saying(code=dns.ESERVER)})
    with pytest.raises(NameTrouble, match="SERVFAIL"):
        asked_of(names_on(wire, SERVERS), wire)
    assert wire.seconds() == TRIES[0]


def test_silence_of_all_ends() -> None:
    wire = Wire(dict.fromkeys(SERVERS, silent))
    with pytest.raises(NameTrouble, match="no answer in time"):
        asked_of(names_on(wire, SERVERS), wire)
    assert wire.order == [FIRST, SECOND] * len(TRIES)
    assert wire.seconds() == ROUND * 2


def test_what_is_no_answer_is_not_looked_at() -> None:
    """Rows 132 and 146: a flood of it moves no deadline either."""

    def guessing(question: dns.Message) -> Sequence[bytes]:
        (query,) = question.queries
        right = written(question, [HERE])
        number = (question.id + 1) % 65536
        other = dns.Message(question.id)
        other.queries = [dns.Query(query.name.name, dns.MX)]
        both = dns.Message(question.id)
        both.queries = [query, query]
        return [
            number.to_bytes(2, "big") + right[2:],
            written(other, [HERE]),
            written(both, [HERE]),
            question.toStr(),
            right[:-1],
            right[:2],
            b"",
        ]

    wire = Wire({FIRST: guessing})
    with pytest.raises(NameTrouble, match="no answer in time"):
        asked_of(names_on(wire), wire)
    assert wire.seconds() == ROUND
    wire = Wire({FIRST: lambda question: [*guessing(question), *list(here(question)) * 2]})
    assert asked_of(names_on(wire), wire) == ["192.0.2.1"]


def test_case_is_of_no_account_in_the_question_either() -> None:
    """Row 147: what comes back in another case, as 0x20 has it, is the same question."""

    def shouting(question: dns.Message) -> Sequence[bytes]:
        (query,) = question.queries
        question.queries = [dns.Query(query.name.name.upper(), query.type)]
        return [written(question, [record("HOST.example", dns.Record_A("192.0.2.1"))])]

    wire = Wire({FIRST: shouting})
    assert asked_of(names_on(wire), wire, "Host.Example") == ["192.0.2.1"]
    assert wire.asked[0].name == "host.example"


def test_questions_are_numbered_out_of_what_was_given() -> None:
    wire = Wire({FIRST: silent})
    with pytest.raises(NameTrouble):
        asked_of(names_on(wire), wire)
    rng = random.Random(5)
    assert [asked.id for asked in wire.asked] == [rng.getrandbits(16) for _ in TRIES]


@pytest.mark.parametrize(
    "name",
    [
        *("bücher.example", "a" * 64, f"{'a.' * 126}ab", "a..b", ".", "a.", ".a", "a b", "a\x00b"),
        r"mx\x0d.example",
    ],
)
def test_names_that_cannot_be_asked_about(name: str) -> None:
    """Row 145: else it would be another name that is asked about."""
    wire = Wire({FIRST: here})
    with pytest.raises(NameTrouble, match="it cannot be asked about"):
        asked_of(names_on(wire), wire, name)
    assert not wire.asked


@pytest.mark.parametrize("name", ["", "a" * 63, f"{'a.' * 126}a", "_dmarc.a-b.example", "1", "*.a"])
def test_names_that_can_be_asked_about(name: str) -> None:
    wire = Wire({FIRST: saying(code=dns.ENAME)})
    with pytest.raises(NoSuchName):
        asked_of(names_on(wire), wire, name)
    assert [asked.name for asked in wire.asked] == [name]


def test_cancelling_leaves_nothing() -> None:
    wire = Wire(dict.fromkeys(SERVERS, silent))
    asking = names_on(wire, SERVERS).addresses("host.example", 4)
    wire.advance(TRIES[0] + 0.5)
    assert wire.open == 1
    asking.cancel()
    with pytest.raises(CancelledError):
        wire.wait(asking)
    assert not wire.getDelayedCalls()
    assert wire.order == [FIRST, SECOND]
