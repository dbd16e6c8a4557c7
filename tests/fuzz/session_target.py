"""What a fuzzer's bytes must never do to a session.

Knows how bytes become an exchanger's packets, silences and ends, and what holds of every session
whatever these are; not what a good dialogue is (`tests/transcripts`).

The bytes are legible, so that the kept ones can be read and written by hand::

    3A|220 mx\\r\\n|250-mx\\r\\n250 PIPELI|NING\\r\\n|~3|421 bye\\r\\n|!F

Two characters for the form of the session (`_Form`), then the packets with bars between them.
"~3" is a silence of three times ten seconds, "!F" a FIN, "!R" a reset, "!C" our own cancelling;
"*4x" is x sixteen times in one packet. STARTTLS is wanted wherever it is offered: "!T" is the
handshake behind the 220, "!t" one behind which the next packet comes before we could say a word.
What comes in its place breaks it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests.smtp.hands import encryption
from tests.smtp.report_lines import report_lines
from twisted_probe.smtp.commands import MAX_COMMAND
from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.errors import ProtocolViolation
from twisted_probe.smtp.limits import (
    DEFAULT_TIMEOUTS,
    KEPT_LINE,
    MAX_ERRORS,
    MAX_LINE,
    MAX_OUTSTANDING,
    MAX_RECIPIENTS,
    MAX_REPLY,
    MAX_REPLY_LINES,
    MAX_SESSION,
)
from twisted_probe.testing import Wire, results_of
from twisted_probe.vocabulary.address import Address, parse_address
from twisted_probe.vocabulary.escaping import decoded
from twisted_probe.vocabulary.reply import Stage

#: Octets that one session may hold, with its replies and what it reports.
MAX_HELD = 64 * 1024
#: Octets of one packet, and of all of them: what a reactor reads at once, and a flood.
_MAX_PACKET = 65536
_MAX_FLOOD = MAX_SESSION + _MAX_PACKET
#: Octets of a session that is played once more octet by octet.
_MAX_OCTETS = 4096
#: Longer than any deadline.
_FOR_EVER = 1e6

_REVERSE_PATH = parse_address("probe@example.org")
_CONTROL = parse_address("x7k2m9@example.net")
_PEOPLE = [parse_address(f"u{n}@example.net") for n in range(16)]
_WIDE = [parse_address(f"ü{n}@example.net") for n in range(16)]
#: A group of these is more than may be outstanding.
_LONG = [parse_address(f"u{n}@{'x' * 60}.{'y' * 60}.{'z' * 60}.{'w' * 60}") for n in range(30)]
_SAID = re.compile(
    rb"EHLO probe1\.example\.org|HELO probe1\.example\.org|RSET|QUIT|STARTTLS"
    rb"|MAIL FROM:<probe@example\.org>(?: SMTPUTF8)?"
    rb"|RCPT TO:<(?:u\d+|\xc3\xbc\d+|x7k2m9)@(?:example\.net|[w-z.]+)>"
)


@attrs.frozen
class _Form:
    """What the two characters in front choose."""

    people: int
    flags: int

    @property
    def is_crowd(self) -> bool:
        """Whether they are twice as many with long addresses, and errors do not matter."""
        return bool(self.people & 64)

    @property
    def recipients(self) -> list[Address]:
        number = self.people & 15
        if self.is_crowd:
            return _LONG[: 2 * number]
        wide = self.flags & 2
        return [(_WIDE if wide and n % 3 == 2 else _PEOPLE)[n] for n in range(number)]

    @property
    def control(self) -> Address | None:
        return _CONTROL if self.flags & 1 else None

    @property
    def max_errors(self) -> int:
        if self.is_crowd:
            return MAX_RECIPIENTS
        return 3 if self.flags & 4 else MAX_ERRORS

    @property
    def max_recipients(self) -> int:
        return 4 if self.flags & 8 else MAX_RECIPIENTS

    @property
    def is_required(self) -> bool:
        """Whether nobody is asked without TLS: " " to "/" in the place of a digit."""
        return self.people & 0x70 == 0x20

    @property
    def closes_last(self) -> bool:
        return bool(self.flags & 16)

    @property
    def is_stuck(self) -> bool:
        return bool(self.flags & 32)


@attrs.frozen
class _Mark:
    """What happens that is no packet: an end, or seconds of silence."""

    kind: bytes
    seconds: float = 0.0


_Happening = bytes | _Mark


def _parsed(data: bytes) -> tuple[_Form, list[_Happening]]:
    head, *parts = data.split(b"|")
    people, flags, *_ = *head, 0, 0
    return _Form(people, flags), list(_unfolded(parts))


def _unfolded(parts: list[bytes]) -> Iterator[_Happening]:
    flood = 0
    for part in parts:
        if part in (b"!F", b"!R", b"!C", b"!T", b"!t"):
            yield _Mark(part)
            continue
        if len(part) == 2 and part[:1] == b"~":
            yield _Mark(b"~", 10.0 * (part[1] & 15))
            continue
        packet = part
        if packet[:1] == b"*" and len(packet) > 2:
            unit = packet[2:]
            packet = unit * min(2 ** (packet[1] & 15), _MAX_PACKET // len(unit) or 1)
        flood += len(packet)
        if flood > _MAX_FLOOD:
            return
        if packet:
            yield packet


@attrs.define
class _Told:
    """One session, played to its end."""

    report: SessionReport | None = None  # None: cancelled
    lines: list[str] = attrs.field(factory=list)
    said: list[bytes] = attrs.field(factory=list)
    held: int = 0
    #: For each happening, whether the client did something on it.
    reactions: list[bool] = attrs.field(factory=list)
    is_cut: bool = False
    octets: int = 0


def check_session(data: bytes) -> int:
    """Play `data` against a conversation. AssertionError where something does not hold that
    must; any other exception is a fault as well. Gives the most octets that were held."""
    form, happenings = _parsed(data)
    told = _play(form, happenings)
    if told.octets > MAX_SESSION:
        # Of the packet that was too much nothing is read, so packets matter.
        return told.held
    # The same bytes, in as few packets as our own silence allows: what is told is the same.
    joined = _joined(happenings, told.reactions)
    again = _play(form, joined)
    _check_same(told, again)
    # And octet by octet. Where the peer said more than it was asked, it makes a difference
    # whether that came in the same packet or only after the next command had left (row 32).
    is_in_step = told.report is not None and (
        told.report.failure is None
        or not (
            isinstance(told.report.failure, ProtocolViolation)
            or told.report.failure.code is not None
        )
    )
    if is_in_step and not told.is_cut and told.octets < _MAX_OCTETS:
        by_octets = _play(form, list(_octets(joined)))
        # A reply that comes by itself makes room for the next recipient at once: what was said
        # may be more by those who were asked before a later reply told to stop.
        if by_octets.said == told.said:
            _check_same(told, by_octets)
    return max(told.held, again.held)


def _check_same(one: _Told, other: _Told) -> None:
    assert one.said == other.said, (one.said, other.said)
    assert one.lines == other.lines, (one.lines, other.lines)
    if one.report is not None and other.report is not None:
        assert one.report.answers == other.report.answers


def _joined(happenings: list[_Happening], reactions: list[bool]) -> list[_Happening]:
    joined: list[_Happening] = []
    may_join = False
    for each, reaction in zip(happenings, reactions, strict=False):
        if may_join and isinstance(each, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += each
        else:
            joined.append(each)
        may_join = not reaction
    return joined


def _octets(happenings: list[_Happening]) -> Iterator[_Happening]:
    for each in happenings:
        if isinstance(each, bytes):
            yield from (each[n : n + 1] for n in range(len(each)))
        else:
            yield each


def _play(form: _Form, happenings: list[_Happening]) -> _Told:
    with _no_errors_logged():
        return _Play(form).run(happenings)


class _Play:
    """One session with one exchanger that says what it likes."""

    def __init__(self, form: _Form) -> None:
        self.form = form
        self.told = _Told()
        self.wire = Wire(max_recipients=form.max_recipients, closes_last=form.closes_last)
        self.wire.transport.is_stuck = form.is_stuck
        self.received = bytearray()
        self.encrypted_at: int | None = None  # how much had been received by the handshake
        self.waited = 0.0  # seconds without a word of ours or the end of a line
        #: Who was asked, with how much had been received until then.
        self.asked: dict[bytes, list[int]] = {}
        self.greeted = results_of(self.wire.session.greeted)
        self.running: Deferred[SessionReport] | None = None
        self.results: list[object] = []

    def run(self, happenings: list[_Happening]) -> _Told:
        for each in happenings:
            if not self.wire.is_open or self.wire.is_cut:
                break
            said, ended = len(self.told.said), bool(self.results)
            was_shaking = self.is_shaking
            self._happen(each)
            self._look()
            is_over = bool(self.results) is not ended or not self.wire.is_open or self.wire.is_cut
            is_other = is_over or self.is_shaking is not was_shaking
            self.told.reactions.append(len(self.told.said) > said or is_other)
            self._check_patience(each, has_spoken=len(self.told.said) > said)
        self.told.is_cut = self.wire.is_cut
        self.told.octets = len(self.received)
        self.wire.seconds_pass(_FOR_EVER)
        self._look()
        self._check_end()
        return self.told

    def _happen(self, happening: _Happening) -> None:
        wire = self.wire
        if isinstance(happening, bytes):
            self.received += happening
            if self.is_shaking:
                wire.closes(SSL.Error)
            else:
                wire.feed(happening)
        elif happening.kind in (b"!T", b"!t"):
            if self.is_shaking:
                self.encrypted_at = len(self.received)
                wire.encrypts()
                if happening.kind == b"!T":
                    wire.seconds_pass(0)
        elif happening.kind == b"~":
            wire.seconds_pass(happening.seconds)
        elif happening.kind == b"!R":
            wire.closes(ConnectionLost)
        elif happening.kind == b"!F":
            wire.closes()
        elif self.running is not None:
            self.running.cancel()

    @property
    def is_shaking(self) -> bool:
        """Whether the client waits for the handshake."""
        is_asked = self.wire.transport.handshake is not None
        return self.wire.is_open and is_asked and self.encrypted_at is None

    def _check_patience(self, happening: _Happening, *, has_spoken: bool) -> None:
        """Half a line moves no deadline, nor may it be longer than any line."""
        if isinstance(happening, _Mark):
            self.waited += happening.seconds
        elif b"\n" in happening:
            self.waited = 0.0
        if has_spoken:
            self.waited = 0.0
        line = len(self.received) - self.received.rfind(b"\n") - 1
        if self.waited >= DEFAULT_TIMEOUTS.command or line > MAX_LINE:
            assert self.wire.is_cut or not self.wire.is_open, (self.waited, line)
        if not self.wire.is_open:
            assert not self.wire.timers, self.wire.clock.getDelayedCalls()

    def _look(self) -> None:
        """What was said since, what is held, and whether the conversation can begin."""
        if self.running is None and self.greeted == [self.wire.session]:
            self.running = Deferred.fromCoroutine(
                converse(
                    self.wire.session,
                    self.form.recipients,
                    _REVERSE_PATH,
                    control=self.form.control,
                    max_errors=self.form.max_errors,
                    encryption=encryption(is_required=self.form.is_required),
                )
            )
            self.results = results_of(self.running)
        packet = self.wire.client_said()
        # Nothing in the handshake, and what was offered before it is forgotten.
        assert not (packet and self.is_shaking), packet
        heard = self.received[self.encrypted_at or 0 :].upper()
        # Together only where that is offered, and never more than a window takes.
        assert len(packet) <= 1 or b"PIPELINING" in heard, packet
        assert sum(len(line.encode()) + 2 for line in packet) <= MAX_OUTSTANDING, packet
        for line in packet:
            said = line.encode()
            assert _SAID.fullmatch(said), said
            assert len(said) <= MAX_COMMAND
            self.told.said.append(said)
            if said == b"STARTTLS":
                assert self.encrypted_at is None
                assert b"STARTTLS" in heard
            elif said.startswith(b"MAIL"):
                assert self.encrypted_at is not None or not self.form.is_required
                assert b"SMTPUTF8" in heard or not said.endswith(b"SMTPUTF8")
            if said.startswith(b"RCPT"):
                self.asked.setdefault(said[9:-1], []).append(len(self.received))
        if len(self.received) > self.told.held:
            self.told.held = max(self.told.held, held_octets(self.wire.session))
            # What the limits add up to now: a group's replies, one half read, and a line.
            limit = (self.form.max_errors + 3) * MAX_REPLY + MAX_LINE
            assert self.told.held <= limit, self.told.held

    def _check_end(self) -> None:
        assert not self.wire.is_open
        assert self.wire.timers == 0, self.wire.clock.getDelayedCalls()
        assert len(self.greeted) == 1, self.greeted
        if self.running is None:
            assert not self.told.said, self.told.said
            self.told.lines = [repr(self.greeted)]
            return
        (result,) = self.results
        if isinstance(result, CancelledError):
            return
        assert isinstance(result, SessionReport), result
        self.told.report = result
        self.told.lines = report_lines(result)
        self.told.held = max(self.told.held, held_octets(result))
        self._check_report(result)

    def _check_report(self, report: SessionReport) -> None:
        recipients = self.form.recipients
        settled = [*report.answers, *report.unanswered, *report.without_smtputf8]
        assert len(settled) == len(set(settled)), settled
        assert set(settled) - {_CONTROL} == set(recipients), settled
        assert self.form.control is not None or _CONTROL not in settled
        if not report.manner.starttls:
            # In plaintext the next time: not where somebody was answered, nor where it may not be.
            assert not report.answers
            assert not self.form.is_required
        for recipient, reply in report.answers.items():
            # Nothing is believed that had come before this recipient was asked.
            since = min(self.asked[recipient.forward_path])
            heard = bytes(self.received[since:])
            assert b"%d" % reply.code in heard, (recipient, reply)
            assert all(line in heard for line in reply.lines), (recipient, reply)
            assert len(reply.lines) <= MAX_REPLY_LINES
            assert max(map(len, reply.lines)) <= KEPT_LINE
            assert sum(map(len, reply.lines)) <= MAX_REPLY
        if report.refusal is not None and report.refusal.stage is Stage.MAIL:
            # RFC 2920 section 3.1: what is said to RCPT after a refused MAIL says nothing.
            assert len(self._transactions()) > 1 or not report.answers, report.answers
        if report.failure is not None:
            assert str(report.failure).isprintable()

    def _transactions(self) -> list[bytes]:
        return [line for line in self.told.said if line.startswith(b"MAIL")]


def held_octets(thing: object) -> int:
    """The octets of all strings in the fields of `thing`, and of all that is the prober's behind
    them, whatever the fields are called."""
    seen: set[int] = set()
    octets = 0
    things: list[object] = [thing]
    while things:
        each = things.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, bytes | bytearray | str):
            octets += len(each)
        elif isinstance(each, dict):
            things += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset | deque):
            things += each
        elif type(each).__module__.startswith("twisted_probe."):
            things += [getattr(each, name, None) for name in _names(type(each))]
            things += vars(each).values() if hasattr(each, "__dict__") else ()
    return octets


def _names(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        yield from (name for name in slots if name not in ("__weakref__", "__dict__"))


@implementer(ILogObserver)
class _Errors:
    """The errors that were logged."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            self.words.append(f"{formatEvent(event)} {event.get('log_failure')}")


@contextmanager
def _no_errors_logged() -> Iterator[None]:
    errors = _Errors()
    globalLogPublisher.addObserver(errors)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(errors)
    assert not errors.words, decoded("\n".join(errors.words).encode())
