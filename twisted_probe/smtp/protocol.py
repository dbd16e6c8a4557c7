"""One session on the wire: `ProbeProtocol`.

Knows the state machine and the replies that are awaited; not what a reply means (`verdict`), what
is believed of it (`smtp.belief`), nor whom to ask next (`smtp.conversation`).
"""
# LineReceiver has no annotations.

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IReactorTime,
    ITLSTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_probe.smtp import commands
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.deadline import Deadline
from twisted_probe.smtp.errors import (
    OutOfOrder,
    OutOfStep,
    ProtocolViolation,
    ReplyTimeout,
    SessionError,
    SessionLost,
    TlsFailed,
    TooManyRecipients,
)
from twisted_probe.smtp.grammar import GrammarError, ReplyAssembler, ehlo_keywords
from twisted_probe.smtp.keeping import Keeping
from twisted_probe.smtp.limits import (
    DEFAULT_TIMEOUTS,
    MAX_ANSWER,
    MAX_LINE,
    MAX_OUTSTANDING,
    MAX_RECIPIENTS,
    MAX_SESSION,
    Timeouts,
)
from twisted_probe.smtp.pace import Pace
from twisted_probe.smtp.states import (
    CLOSING,
    GROUPABLE,
    INTRODUCTIONS,
    TABLE,
    State,
    Verb,
    after,
    allows,
    is_foreign,
)
from twisted_probe.smtp.tls import Handshake, trouble
from twisted_probe.vocabulary.address import Address, parse_address, parse_reverse_path
from twisted_probe.vocabulary.escaping import decoded
from twisted_probe.vocabulary.outcome import TlsReport
from twisted_probe.vocabulary.reply import Reply, Stage

_log = Logger()

#: Takes the lines of a dialogue, one by one.
Transcript = Callable[[str], object]

#: What the end of a connection is called. Twisted does not tell which error number it was.
_ENDS: dict[type[BaseException] | None, str] = {
    ConnectionDone: "the exchanger closed the connection",
    ConnectionLost: "the connection was reset or broke",
}


@define
class _Group:
    """Commands that were given together, and the replies to those that left."""

    waiting: deque[Command]
    done: Deferred[tuple[Reply, ...]]
    #: Recipients that may be asked without one of them being accepted.
    room: int = sys.maxsize
    is_enough: Callable[[Reply], bool] | None = None
    awaited: deque[Command] = field(factory=deque)
    replies: list[Reply] = field(factory=list)
    outstanding: int = 0  # octets sent and not answered
    together: bool = True  # whether commands may leave before those before are answered
    ahead: State | None = None  # where it leads if all that is awaited gets accepted


@define
class _Shaking:
    """A handshake, and who waits for its end."""

    handshake: Handshake
    reply: Reply
    done: Deferred[Reply]
    turn: IDelayedCall | None = None


@implementer(IHandshakeListener)
class ProbeProtocol(LineReceiver):
    """The HELO/MAIL/RCPT state machine of one session.

    `clock` measures the deadlines, `helo` is the name we say, `max_recipients` the number of
    RCPT commands allowed (0: no limit). `transcript` is called with each line of the dialogue as
    it is said, "S: 220 …" and "C: EHLO …", safe to print. `closes_last` leaves it to the
    exchanger to close the connection after QUIT: whoever closes first cannot have the same pair
    of ports again for a minute (TIME_WAIT).

    Every method that sends gives a Deferred; it fires with the reply, whatever the reply says,
    and errbacks with a `SessionError` on trouble of the transport or the peer, also on one that
    has ended the session before. Misuse (`OutOfOrder`, `TooManyRecipients`, `UnsafeCommand`,
    `ForbiddenCommand`) raises at once and sends nothing. Cancelling a Deferred aborts the
    connection. `greeted` fires with this protocol once the greeting was read. `pace` has watched
    how long the replies took.

    One group of commands is awaited at a time. The next command leaves only after all that the
    peer sent was parsed, so that a reply nobody asked for cannot pass for the next one: it ends
    the session, unless it was listened for (`listen`) before it came.
    """

    # LineReceiver would wait for ever for the CRLF of an exchanger that ends lines with LF.
    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    def __init__(
        self,
        *,
        clock: IReactorTime,
        helo: str,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        max_recipients: int = MAX_RECIPIENTS,
        transcript: Transcript | None = None,
        closes_last: bool = False,
    ) -> None:
        self.state = State.CONNECTED
        self.host = ""
        self.greeting: Reply | None = None
        self.extended = False  # whether EHLO was accepted
        self.keywords: dict[str, str] = {}
        self.tls: TlsReport | None = None
        self.recipients_asked = 0
        self.helo_name = helo
        self.pace = Pace()
        self.greeted: Deferred[ProbeProtocol] = Deferred(self._cancelled)
        self._clock = clock
        self._timeouts = timeouts
        self._max_recipients = max_recipients
        self._transcript = transcript
        self._closes_last = closes_last
        self._assembler = ReplyAssembler()
        self._keeping = Keeping()
        self._introduction: int | None = None  # the hash of what EHLO or HELO was answered
        self._group: _Group | None = None
        self._listening: _Group | None = None  # one without commands: a reply that comes unasked
        self._shaking: _Shaking | None = None
        self._failure: SessionError | None = None
        self._last: Reply | None = None  # the reply that was read last
        self._octets = 0
        self._buffer = b""  # LineReceiver's: a line that has not ended
        self._now = 0.0  # when the last packet came
        self._deadline = Deadline(clock, self._time_is_over)
        self._gone: Deferred[None] = Deferred(self._cancelled)
        self._is_gone = False
        self._waiting_for_the_end: list[Deferred[None]] = []

    # --- What a program says ---------------------------------------------------------------

    @property
    def pipelining(self) -> bool:
        """Whether the exchanger takes commands in groups (RFC 2920)."""
        return "PIPELINING" in self.keywords

    @property
    def recipients_left(self) -> int:
        """How many RCPT commands may still be said; `sys.maxsize` without a limit."""
        if not self._max_recipients:
            return sys.maxsize
        return self._max_recipients - self.recipients_asked

    def helo(self, *, extended: bool = True) -> Deferred[Reply]:
        """Say who we are: EHLO, and HELO on the same connection where EHLO is refused by
        anything but a 421. With `extended` false HELO only. Fires with the last reply; when the
        session ends behind a refused EHLO, the error's `replies` have the refusal."""
        if not extended:
            return self._single(commands.helo(self.helo_name))
        return self._single(commands.ehlo(self.helo_name)).addCallback(self._fall_back)

    def _fall_back(self, reply: Reply) -> Reply | Deferred[Reply]:
        if reply.is_positive or self.state is State.DISMISSED:
            return reply

        def with_refusal(failure: Failure) -> Failure:
            error = failure.value
            if not isinstance(error, SessionError):
                return failure
            return Failure(error.during(Stage.EHLO, (reply,)))

        return self._single(commands.helo(self.helo_name)).addErrback(with_refusal)

    def starttls(self, handshake: Handshake) -> Deferred[Reply]:
        """Say STARTTLS and, behind a 220, make the handshake (RFC 3207).

        Fires with the reply; where it was the 220, `tls` is what was found of the certificate,
        nothing is known of the exchanger any more, and it is time to say who we are again.
        Errbacks with TlsFailed when there was a yes and no handshake came of it. Raises
        OutOfOrder before EHLO, within a transaction, and in a session that has TLS.
        """
        if self.tls is not None:
            raise OutOfOrder("the session is encrypted already")
        return self._single(commands.STARTTLS).addCallback(self._shake_hands, handshake)

    def _shake_hands(self, reply: Reply, handshake: Handshake) -> Reply | Deferred[Reply]:
        if not reply.is_positive:
            return reply
        shaken: Deferred[Reply] = Deferred(self._cancelled)
        self._shaking = _Shaking(handshake, reply, shaken)
        self.keywords, self._introduction = {}, None
        self._deadline.reply_due = self._clock.seconds() + self._timeouts.command
        self._deadline.watch()
        self._tcp.startTLS(handshake)
        return shaken

    def handshakeCompleted(self) -> None:
        """See `IHandshakeListener`. What the exchanger has sent right behind its handshake comes
        before the reactor's next turn, and nothing has been asked by then."""
        shaking = self._shaking
        if shaking is not None and self._failure is None:
            self.tls = shaking.handshake.report()
            shaking.turn = self._clock.callLater(0, self._encrypted)

    def _encrypted(self) -> None:
        shaking, self._shaking = self._shaking, None
        assert shaking is not None
        self._deadline.reply_due = None
        shaking.done.callback(shaking.reply)

    def mail(
        self, reverse_path: str | Address | None, *, smtputf8: bool = False
    ) -> Deferred[Reply]:
        """Open a transaction with a reverse-path; "" or None is the null one. A text that is no
        address raises AddressError."""
        if isinstance(reverse_path, str):
            reverse_path = parse_reverse_path(reverse_path)
        return self._single(commands.mail(reverse_path, smtputf8=smtputf8))

    def rcpt(self, recipient: str | Address) -> Deferred[Reply]:
        """Ask about one recipient. A text that is no address raises AddressError; one recipient
        more than `max_recipients` raises TooManyRecipients."""
        if isinstance(recipient, str):
            recipient = parse_address(recipient)
        return self._single(commands.rcpt(recipient))

    def rset(self) -> Deferred[Reply]:
        """End the transaction, keep the session."""
        return self._single(commands.RSET)

    def command(self, line: bytes) -> Deferred[Reply]:
        """Send one raw command, without CRLF. It goes through the same table: a raw `MAIL` opens
        a transaction, a raw `DATA` raises ForbiddenCommand."""
        return self._single(Command(line))

    def _single(self, command: Command) -> Deferred[Reply]:
        return self.group([command]).addCallback(_only)

    def listen(self) -> Deferred[Reply]:
        """Wait for one reply more than was asked for, and send nothing.

        For exchangers that are known to say more than they should, such as a second reply to a
        command. Called while replies are awaited, it stands for the one behind them; nothing can
        be sent until it came. The time is that of a command, from the last reply awaited on.
        Raises OutOfOrder before the greeting, after a no to it, and while one is listened for.
        """
        if self._failure is not None:
            return fail(self._failure.during(Stage.OTHER, ()))
        if self._listening is not None:
            raise OutOfOrder("a reply is listened for already")
        _ahead(self.state, Verb.LISTEN)
        heard: Deferred[tuple[Reply, ...]] = Deferred(self._cancelled)
        self._listening = _Group(deque(), heard)
        if self._group is None:
            self._deadline.reply_due = self._clock.seconds() + self._timeouts.command
            self._deadline.watch()
        return heard.addCallback(_only)

    def group(
        self,
        group: Sequence[Command],
        *,
        together: bool = True,
        rejections: int = sys.maxsize,
        is_enough: Callable[[Reply], bool] | None = None,
    ) -> Deferred[tuple[Reply, ...]]:
        """Send commands in order: together where the exchanger offers PIPELINING and RFC 2920
        allows it, else (and with `together` false) each after the reply to the one before.

        At no moment more than `rejections` recipients of the group have been refused or wait for
        their reply: each one that is accepted makes room for the next. No more are asked behind a
        refusal of which `is_enough` is true.

        Fires with the replies, one for each command that was sent: those that a refused MAIL or
        a 421 has made senseless are not sent, nor those for which there was no room. Errbacks
        with a SessionError whose `replies` are those read in step until then.
        """
        if not group:
            raise OutOfOrder("a group without a command")
        if self._failure is not None:
            return fail(self._failure.during(group[0].stage, ()))
        self._check(group)
        done: Deferred[tuple[Reply, ...]] = Deferred(self._cancelled)
        self._group = _Group(deque(group), done, rejections, is_enough, together=together)
        self.pace.asks(self._clock.seconds())
        self._send()
        return done

    def quit(self) -> Deferred[Reply | None]:
        """Take leave: QUIT, then close, or let the exchanger close (`closes_last`); after
        `timeouts.quit` seconds abort.

        Fires once the connection has ended, with the reply or None when none came; never
        errbacks. A session that has ended already, or is still awaiting replies, is aborted.
        """
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> Reply | None:
        reply: Reply | None = None
        if self._is_busy or not allows(self.state, Verb.QUIT):
            self.abort()
        else:
            leaving = self.group([commands.QUIT])
            self._deadline.session_due = self._clock.seconds() + self._timeouts.quit
            self._deadline.watch()
            try:
                (reply,) = await leaving
            except SessionError as error:
                reply = error.replies[0] if error.replies else None
            self._close()
        await self._gone
        return reply

    def abort(self) -> None:
        """Cut the connection now. Whatever is awaited errbacks with SessionLost."""
        self._fail(SessionLost("the session was aborted by this side", host=self.host))
        self._deliver_failure()

    def closed(self) -> Deferred[None]:
        """Fires once the connection has ended, by whichever side, and nothing of it is left in
        the reactor; never errbacks. Cancelling ends the waiting only."""
        ended: Deferred[None] = Deferred(self._waiting_for_the_end.remove)
        self._waiting_for_the_end.append(ended)
        if self._is_gone:
            self._tell_of_the_end()
        return ended

    # --- The table ---------------------------------------------------------------------------

    @property
    def _is_busy(self) -> bool:
        return bool(self._group or self._listening or self._shaking)

    @property
    def _is_in_handshake(self) -> bool:
        return self._shaking is not None and self.tls is None

    @property
    def _hearing(self) -> _Group | None:
        """What the next reply belongs to that no command asks for, if one is listened for."""
        group, listening = self._group, self._listening
        if listening is None or listening.replies:
            return None
        return None if group is not None and (group.awaited or group.waiting) else listening

    def _check(self, group: Sequence[Command]) -> None:
        if self._is_busy:
            raise OutOfOrder("the replies to the commands before are still awaited")
        state, recipients = self.state, 0
        for command in group:
            verb = command.verb
            state = _ahead(state, verb)
            recipients += verb is Verb.RCPT
        if recipients > self.recipients_left:
            raise TooManyRecipients(self.host, self._max_recipients)

    def _send(self) -> None:
        group = self._group
        assert group is not None
        waiting, awaited = group.waiting, group.awaited
        if not waiting:
            return
        state = self._state_ahead(group)
        together = group.together and self.pipelining
        packet = []
        while waiting:
            command = waiting[0]
            line, verb = command.line, command.verb
            ahead = TABLE.get((state, verb))
            outstanding = group.outstanding + len(line) + 2
            may_follow = not awaited or (
                together and awaited[-1].verb in GROUPABLE and outstanding <= MAX_OUTSTANDING
            )
            if ahead is None or not may_follow:
                break
            if verb is Verb.RCPT:
                if not group.room:
                    break
                group.room -= 1
                self.recipients_asked += 1
                self._deadline.session_due += self._timeouts.recipient
            awaited.append(waiting.popleft())
            packet.append(line)
            if self._transcript is not None:
                self._write_down("C", line)
            group.outstanding, state = outstanding, ahead
        group.ahead = state
        if packet:
            self._deadline.reply_due = self._clock.seconds() + self._timeouts.command
            self._deadline.watch()
            self._tcp.write(b"\r\n".join((*packet, b"")))

    def _state_ahead(self, group: _Group) -> State:
        """Where all that is awaited leads, if it gets accepted."""
        if group.ahead is not None:
            return group.ahead
        state = self.state
        for command in group.awaited:
            state = after(state, command.verb, 250)
        return state

    # --- What the peer says ------------------------------------------------------------------

    @property
    def _tcp(self) -> ITLSTransport:
        transport: ITLSTransport = self.transport  # type: ignore[assignment]
        return transport

    def connectionMade(self) -> None:
        """The connection stands: the clocks of the greeting and of the session start."""
        self.host = str(getattr(self._tcp.getPeer(), "host", ""))
        now = self._clock.seconds()
        self._deadline.session_due = now + self._timeouts.session
        self._deadline.reply_due = now + self._timeouts.greeting
        self._deadline.watch()

    def dataReceived(self, data: bytes) -> None:
        """Parse all that came; only then act on it."""
        if self._failure is not None:
            return
        self._octets += len(data)
        allowed = MAX_SESSION + MAX_ANSWER * self.recipients_asked
        if self._octets > allowed:
            self._violated(f"more than {allowed} octets in a session")
        else:
            self._now = self._clock.seconds()
            self._split(data)
        self._act()

    def _split(self, data: bytes) -> None:
        """Find all lines at once: LineReceiver's own loop copies what is left of a packet for each
        line of it, so a packet of tiny lines would cost its square."""
        *lines, self._buffer = (self._buffer + data).split(self.delimiter)
        for line in lines:
            if self._failure is not None:
                return
            if len(line) > MAX_LINE:
                self.lineLengthExceeded(line)
            else:
                self.lineReceived(line)
        if len(self._buffer) > MAX_LINE:
            self.lineLengthExceeded(self._buffer)

    def lineReceived(self, line: bytes) -> None:
        """One line, as `_split` found it."""
        if line.endswith(b"\r"):
            line = line[:-1]
        if self._transcript is not None:
            self._write_down("S", line)
        try:
            complete = self._assembler.line(line)
        except GrammarError as error:
            self._violated(str(error))
        else:
            if complete is not None:
                self._replied(*complete)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line that is longer than any reply."""
        if self._transcript is not None:
            self._write_down("S", line)
        self._violated(f"a line of more than {MAX_LINE} octets")

    def _write_down(self, who: str, line: bytes) -> None:
        assert self._transcript is not None
        try:
            self._transcript(f"{who}: {decoded(line)}")
        except Exception:
            _log.failure("the transcript of a session with {host} failed", host=self.host)
            self._transcript = None

    def _replied(self, code: int, lines: tuple[bytes, ...]) -> None:
        group = self._group
        if self.greeting is None:
            self.greeting = self._reply(code, lines, Stage.GREETING)
            self.state = after(self.state, Verb.GREETING, code)
        elif group is not None and group.awaited:
            self._answered(group, code, lines)
        elif (hearing := self._hearing) is not None:
            hearing.replies.append(self._reply(code, lines, Stage.OTHER))
            self.state = after(self.state, Verb.LISTEN, code)
        elif code == CLOSING:
            # RFC 5321 section 3.8: the exchanger may say so at any time.
            words = f"the exchanger closes the session: {Reply(code, lines)}"
            self._fail(SessionLost(words, host=self.host, code=code))
        else:
            self._out_of_step(f"a reply that nobody asked for: {Reply(code, lines)}")

    def _answered(self, group: _Group, code: int, lines: tuple[bytes, ...]) -> None:
        command = group.awaited[0]
        verb = command.verb
        is_introduction = verb in INTRODUCTIONS
        # A second reply to EHLO would be a yes to MAIL like any other.
        is_echo = len(lines) > 1 and not is_introduction and hash(lines) == self._introduction
        if is_echo or is_foreign(verb, code):
            self._out_of_step(f"{verb.value} was answered {Reply(code, lines)}")
            return
        group.awaited.popleft()
        group.outstanding -= len(command.line) + 2
        reply = self._reply(code, lines, command.stage)
        group.replies.append(reply)
        is_accepted = code // 100 == 2
        if not is_accepted:
            group.ahead = None
        if verb is Verb.RCPT:
            if is_accepted:
                group.room += 1
            elif group.is_enough is not None and group.is_enough(reply):
                group.waiting.clear()
        elif is_introduction:
            self.extended = verb is Verb.EHLO and is_accepted
            self.keywords = ehlo_keywords(lines) if self.extended else {}
            self._introduction = hash(lines)
        self.state = after(self.state, verb, code)
        self._deadline.reply_due = self._now + self._timeouts.command
        self.pace.heard(self._now, verb, code)

    def _reply(self, code: int, lines: tuple[bytes, ...], stage: Stage) -> Reply:
        """A reply is a value, and most say what the one before has said: they are that one."""
        lines, last = self._keeping.cut(lines), self._last
        if last is None or last.lines != lines or last.code != code or last.stage is not stage:
            last = self._last = Reply(code, lines, host=self.host, stage=stage)
        return last

    def _act(self) -> None:
        """All that came is parsed: tell who waits, or send what is next."""
        if self._failure is not None:
            self._deliver_failure()
            return
        if self.greeting is None:
            return
        group = self._group
        if group is not None and group.awaited:
            self._send()
            return
        if self._hearing is not None:
            if group is None:
                return  # a part of the reply that is listened for
        elif self.clearLineBuffer() or not self._assembler.is_between_replies:  # type: ignore[no-untyped-call]
            self._out_of_step("more came than the replies that were asked for")
            self._deliver_failure()
            return
        if self._listening is None or self._listening.replies:
            self._deadline.reply_due = None
        if group is not None:
            self._send()
            if group.awaited:
                return
            self._group = None
            group.done.callback(tuple(group.replies))
        elif not self.greeted.called:
            self.greeted.callback(self)
        listening = self._listening  # it may have ended with the group before it
        if listening is not None and listening.replies:
            self._listening = None
            listening.done.callback(tuple(listening.replies))

    # --- The end -----------------------------------------------------------------------------

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has ended, by whichever side."""
        words = _ENDS.get(reason.type) or trouble(reason)
        if self.state is State.CLOSED:
            words = "the session has ended with QUIT; open another one"
        if self._is_in_handshake:
            self._fail(TlsFailed(f"the handshake failed: {words}", host=self.host))
        self._fail(SessionLost(words, host=self.host))
        self._deliver_failure()
        if not self._gone.called:
            self._gone.callback(None)
        self._is_gone = True
        self._tell_of_the_end()

    def _tell_of_the_end(self) -> None:
        waiting, self._waiting_for_the_end = self._waiting_for_the_end, []
        for ended in waiting:
            ended.callback(None)

    def _violated(self, words: str) -> None:
        self._fail(ProtocolViolation(words, host=self.host))

    def _out_of_step(self, words: str) -> None:
        self._fail(OutOfStep(words, host=self.host))

    def _fail(self, error: SessionError) -> None:
        """Nothing that comes from here on is looked at; the first trouble is the one told."""
        if self._failure is None:
            self._failure = error
            self.clearLineBuffer()  # type: ignore[no-untyped-call]
            self._deadline.stop()
            self.state = State.CLOSED
            if not self._gone.called and self.transport is not None:
                self._tcp.abortConnection()

    def _deliver_failure(self) -> None:
        failure, groups = self._failure, (self._group, self._listening)
        assert failure is not None
        shaking, self._shaking = self._shaking, None
        self._group = self._listening = None
        if not self.greeted.called:
            self.greeted.errback(failure.during(Stage.GREETING, ()))
        if shaking is not None:
            if shaking.turn is not None:
                shaking.turn.cancel()
            shaking.done.errback(failure.during(Stage.STARTTLS, ()))
        for group in groups:
            if group is not None:
                pending = group.awaited or group.waiting
                stage = pending[0].stage if pending else Stage.OTHER
                group.done.errback(failure.during(stage, tuple(group.replies)))

    def _close(self) -> None:
        if self._failure is None and not self._closes_last:
            # The peer may never close its side (nor, under TLS, send close_notify): the timer
            # that `quit` has set aborts then.
            self._tcp.loseConnection()

    def _cancelled(self, deferred: Deferred[object]) -> None:
        # Whoever cancels hears CancelledError from the Deferred itself, not what it leads to.
        if self._group is not None and self._group.done is deferred:
            self._group = None
        if self._listening is not None and self._listening.done is deferred:
            self._listening = None
        if self._shaking is not None and self._shaking.done is deferred:
            self._shaking = None
        self._fail(SessionLost("the session was cancelled by this side", host=self.host))
        if deferred is not self.greeted:
            self._deliver_failure()

    def _time_is_over(self) -> None:
        is_all = self._deadline.is_of_the_session
        words = "the session's time is over" if is_all else "no reply in time"
        if self._is_in_handshake and not is_all:
            self._fail(TlsFailed("the handshake did not end in time", host=self.host))
        self._fail(ReplyTimeout(words, host=self.host))
        self._deliver_failure()


def _ahead(state: State, verb: Verb) -> State:
    """Where `verb` leads when it is accepted. Raises OutOfOrder where it must not be said."""
    ahead = TABLE.get((state, verb))
    if ahead is None:
        raise OutOfOrder(f"{verb.value} is not allowed when {state.value}")
    return ahead


def _only(replies: tuple[Reply, ...]) -> Reply:
    return replies[0]
