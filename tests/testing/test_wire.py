"""The session without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock

from twisted_probe import ProbeFactory, ProbeProtocol, Source, Timeouts
from twisted_probe.smtp.errors import ReplyTimeout, SessionLost, TooManyRecipients
from twisted_probe.testing import Wire, results_of

ME = Source("198.51.100.10", helo="probe1.example.org")


def greeted(**options: Any) -> Wire:
    wire = Wire(**options)
    wire.server("220 mx.example.net ESMTP")
    return wire


def test_a_dialogue() -> None:
    wire = greeted()
    said = results_of(wire.session.helo())
    wire.client("EHLO probe1.example.org")
    assert said == []
    wire.server("250-mx.example.net", b"250 PIPELINING")
    assert said[0].code == 250
    assert said[0].host == "192.0.2.25"
    assert wire.session.pipelining
    assert wire.client_said() == []


def test_packets_of_any_size() -> None:
    wire = greeted(helo="probe2.example.org")
    said = results_of(wire.session.helo())
    wire.client("EHLO probe2.example.org")
    wire.feed(b"25", b"0 mx", b".example.net\n")
    assert said[0].text == "mx.example.net"


def test_what_was_not_said() -> None:
    wire = greeted()
    results_of(wire.session.helo())
    with pytest.raises(AssertionError, match=r"the client said \['EHLO probe1"):
        wire.client("HELO probe1.example.org")
    wire.transport.write(b"half a line")
    with pytest.raises(AssertionError, match="has no end"):
        wire.client_said()


@pytest.mark.parametrize("line", [b"DATA\r\n", b"NOOP\r\n vrfy ann\r\n"])
def test_what_is_never_to_be_said(line: bytes) -> None:
    with pytest.raises(AssertionError, match="never to be said"):
        Wire().transport.write(line)


def test_time() -> None:
    wire = greeted(timeouts=Timeouts.flat(30))
    said = results_of(wire.session.helo())
    wire.seconds_pass(29)
    assert (said, wire.is_open, wire.timers) == ([], True, 1)
    wire.seconds_pass(1)
    assert isinstance(said[0], ReplyTimeout)
    assert (wire.is_cut, wire.is_open, wire.timers) == (True, False, 0)


def test_the_server_closes() -> None:
    wire = greeted()
    said = results_of(wire.session.helo())
    wire.closes()
    wire.closes()
    assert isinstance(said[0], SessionLost)
    assert not wire.is_cut


def test_leave_is_taken() -> None:
    wire = greeted()
    leaving = results_of(wire.session.quit())
    wire.client("QUIT")
    wire.server("221 Bye")
    assert leaving[0].code == 221
    assert not wire.is_open
    assert not wire.is_cut


def test_a_peer_that_is_stuck() -> None:
    wire = greeted()
    wire.transport.is_stuck = True
    leaving = results_of(wire.session.quit())
    wire.server("221 Bye")
    assert leaving == []
    wire.seconds_pass(2)
    assert leaving[0].code == 221
    assert wire.is_cut


def test_options_and_a_session_of_ones_own() -> None:
    wire = greeted(max_recipients=1)
    wire.session.helo()
    wire.server("250 mx.example.net")
    wire.session.mail("")
    wire.server("250 Ok")
    wire.session.rcpt("ann@example.net")
    wire.server("250 Ok")
    with pytest.raises(TooManyRecipients):
        wire.session.rcpt("ben@example.net")
    own = ProbeProtocol(clock=wire.clock, helo="probe3.example.org")
    assert Wire(own, clock=wire.clock, host="2001:db8::25").session is own
    assert own.host == "2001:db8::25"


# --- Attempts that were made with a memory reactor --------------------------------------------


def test_taking_an_attempt() -> None:
    reactor = MemoryReactorClock()
    connecting = results_of(ProbeFactory(ME).connect(reactor, "192.0.2.25"))
    wire = Wire.taking(reactor)
    assert (wire.source, wire.session.host) == ("198.51.100.10", "192.0.2.25")
    assert connecting == []
    wire.server("220 mx.example.net ESMTP")
    assert connecting == [wire.session]
    results_of(wire.session.helo())
    wire.client("EHLO probe1.example.org")
    wire.closes()
    assert wire.timers == 0


def test_taking_one_of_several() -> None:
    reactor = MemoryReactorClock()
    first = ProbeFactory(ME).connect(reactor, "192.0.2.25")
    second = ProbeFactory(ME, timeout=5).connect(reactor, "192.0.2.26", 2525)
    wires = [Wire.taking(reactor, number) for number in range(2)]
    assert [wire.session.host for wire in wires] == ["192.0.2.25", "192.0.2.26"]
    results = [results_of(first), results_of(second)]
    wires[0].seconds_pass(5)
    assert results[0] == []
    assert isinstance(results[1][0], ReplyTimeout)
    first.cancel()
    assert isinstance(results[0][0], CancelledError)
    reactor.advance(0)
    assert not wires[0].is_open


async def test_results_of_a_coroutine() -> None:
    async def two() -> int:
        return 2

    assert results_of(two()) == [2]
