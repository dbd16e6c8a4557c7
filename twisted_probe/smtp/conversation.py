"""The conversation: one session with one exchanger, about many recipients, read top to bottom.

Knows the order of a polite dialogue and when to stop; not what a reply means for a mailbox
(`verdict`), nor which exchanger or source comes next (`routing`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from attrs import define, evolve, field, frozen

from twisted_probe.smtp import commands
from twisted_probe.smtp.belief import (
    Names,
    answered_behind_a_repetition,
    complains_of_pipelining,
    demands_tls,
    refuses_command,
)
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.errors import (
    Ourselves,
    OutOfStep,
    ProtocolViolation,
    ReplyTimeout,
    SessionError,
    SessionLost,
    TlsFailed,
)
from twisted_probe.smtp.limits import MAX_ERRORS, MAX_RECIPIENTS, MAX_RESETS
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.smtp.states import CLOSING, State, Verb
from twisted_probe.smtp.tls import Encryption
from twisted_probe.verdict.transaction import asks_for_fewer_recipients
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.escaping import decoded
from twisted_probe.vocabulary.outcome import TlsReport
from twisted_probe.vocabulary.reply import Reply, Stage

#: RFC 5321 section 4.2.3: bad sequence of commands.
BAD_SEQUENCE = 503
#: RFC 5321 section 4.2.3: the only yes to QUIT.
GOODBYE = 221


@frozen(kw_only=True)
class SessionReport:
    """What one session brought.

    `answers` has the reply to each recipient that was answered in step (`smtp.belief`); only
    these may become verdicts about a mailbox. `unanswered` go back, in order.
    `without_smtputf8` could not be asked because the exchanger does not offer it. `refusal` is
    the reply that ended the session for all: to the connection, EHLO or MAIL, or a 421.
    `failure` is the trouble that ended it. `errors` counts the rejections that the exchanger has
    seen. `manner` is how to talk to it the next time: what was known before, and what this
    session has shown. `tls` is what was found where STARTTLS was offered and wanted.
    `witnesses` has the replies to those who were asked at the very end.
    """

    answers: dict[Address, Reply]
    unanswered: tuple[Address, ...] = ()
    without_smtputf8: tuple[Address, ...] = ()
    refusal: Reply | None = None
    failure: SessionError | None = None
    errors: int = 0
    manner: Manner = UNKNOWN_MANNER
    tls: TlsReport | None = None
    witnesses: dict[Address, Reply] = field(factory=dict)

    @property
    def recipients_per_transaction(self) -> int | None:
        """The ceiling that the exchanger has shown."""
        return self.manner.recipients_per_transaction


#: Recipients of a session that has one of them set aside for a witness: of fewer it would be too
#: great a part.
ROOM_FOR_WITNESS = 10


def room_of(most: int) -> int:
    """Recipients whom a session of `most` RCPT commands (0: no limit, then MAX_RECIPIENTS) can ask
    besides a control and a witness; one at least."""
    most = most or MAX_RECIPIENTS
    return max(1, most - 1 - (most >= ROOM_FOR_WITNESS))


#: Who else is to be asked at a session's end, after these answers.
Witnesses = Callable[[Mapping[Address, Reply]], Sequence[Address]]


@frozen
class Party:
    """Recipients of one domain, its control, and whoever its `witnesses` name: they may share a
    session with others."""

    recipients: Sequence[Address]
    control: Address | None = None
    witnesses: Witnesses | None = None


async def converse(
    session: ProbeProtocol,
    recipients: Sequence[Address],
    reverse_path: Address | None,
    *,
    control: Address | None = None,
    others: Sequence[Party] = (),
    apart: bool = False,
    max_errors: int = MAX_ERRORS,
    manner: Manner = UNKNOWN_MANNER,
    encryption: Encryption | None = None,
    witnesses: Witnesses | None = None,
) -> SessionReport:
    """Ask about `recipients`, then about `control` unless it is one of them, then whoever
    `witnesses` names, be it once more: what was said before depends on it; then about the
    `others` in the same way. All in as few transactions as can be (`apart`: each party in its
    own), and quit.

    `session` was greeted and has said nothing yet; `manner` is what earlier sessions have shown
    of the exchanger, `encryption` what to do about STARTTLS (None: leave it). The conversation
    stops after `max_errors` rejections, or as many as the
    exchanger bears, or as many recipients as the session may have (one of each kept for the
    control), before exchangers begin to punish. It gives a report whatever happens and raises
    only CancelledError, after the connection was aborted.
    """
    if manner.error_limit is not None:
        max_errors = min(max_errors, manner.error_limit)
    parties = [Party(recipients, control, witnesses), *others]
    names = Names(reverse_path)
    talk = _Conversation(session, reverse_path, apart, max_errors, manner, encryption, names)
    try:
        await talk.run(parties)
    except SessionError as error:
        talk.end(error)
    except BaseException:
        # Cancelled, or a bug of ours: nobody is left who would end the session.
        session.abort()
        raise
    talk.part(await session.quit())
    return talk.report([recipient for party in parties for recipient in party.recipients])


@define
class _Conversation:
    session: ProbeProtocol
    reverse_path: Address | None
    is_apart: bool
    max_errors: int
    manner: Manner
    encryption: Encryption | None
    names: Names
    witnessed: dict[Address, Reply] = field(factory=dict)
    answers: dict[Address, Reply] = field(factory=dict)
    without_smtputf8: list[Address] = field(factory=list)
    refusal: Reply | None = None
    failure: SessionError | None = None
    doubt: SessionError | None = None  # what else sends answers back
    # The replies to groups, and to whom they are, where it is somebody.
    history: list[tuple[Address | None, Reply]] = field(factory=list)
    last_code: int | None = None  # of the session; None where it ended without a reply to QUIT
    errors: int = 0
    resets: int = 0
    asked: int = 0  # recipients of the open transaction, and those of them that it has taken
    taken: int = 0
    is_wide: bool = False  # whether the open transaction is one with SMTPUTF8
    is_anothers: bool = False  # whether it is of a party that wants one of its own
    is_grouped: bool = False  # whether commands have left together
    is_broken_off: bool = False  # whether such ones were not all answered
    is_over: bool = False
    spare: int = 0  # recipients of the session that are left for a witness
    introduction: Reply | None = None  # what EHLO or HELO was answered
    tls: TlsReport | None = None

    async def run(self, parties: Sequence[Party]) -> None:
        greeting = self.session.greeting
        assert greeting is not None
        self._heed(greeting)
        if not self.is_over:
            self._look_at_the_name(greeting)
            await self._introduce()
        if not self.is_over and self.encryption is not None:
            await self._encrypt(self.encryption)
        most = self.max_errors
        for party in parties:
            # What a witness may cost beyond the limit is nobody else's to spend.
            self.max_errors = most
            await self._ask_party(party)
            self.is_anothers = self.is_apart

    async def _ask_party(self, party: Party) -> None:
        plain = deque(each for each in party.recipients if not each.needs_smtputf8)
        wide = deque(each for each in party.recipients if each.needs_smtputf8)
        if not self.is_over and "SMTPUTF8" not in self.session.keywords:
            self.without_smtputf8.extend(wide)
            wide.clear()
        control = None if party.control in party.recipients else party.control
        # Where there is room for one only, it is for a recipient.
        kept = 0 if control is None or self._left() < 2 else 1
        has_room = self.session.recipients_left >= ROOM_FOR_WITNESS
        self.spare = int(party.witnesses is not None and has_room)
        await self._ask(plain, kept, is_wide=False)
        await self._ask(wide, kept, is_wide=True)
        await self._prove()
        if control is not None and self._answers_to(party):
            await self._ask(deque([control]), 0, is_wide=self.is_wide)
            await self._prove()
        await self._hear(party)

    async def _hear(self, party: Party) -> None:
        """Ask those on whom it depends what the answers are worth. One that was accepted a moment
        ago costs nothing; one error beyond the limit is the price of being told otherwise."""
        self.spare = 0
        # One that hangs up upon the next rejection would do so upon a witness.
        may_hear = self.manner.goodbye or self.errors < self.max_errors
        said = self._answers_to(party)
        if party.witnesses is None or not said or self.is_over or not may_hear:
            return
        witnesses = party.witnesses(said)
        answers, self.answers = self.answers, self.witnessed
        self.max_errors = max(self.max_errors, self.errors + len(witnesses))
        try:
            await self._ask(deque(witnesses), 0, is_wide=self.is_wide)
        finally:
            self.answers = answers
        await self._prove()

    def _answers_to(self, party: Party) -> dict[Address, Reply]:
        """What the party was told, its control included; nothing before a recipient was."""
        if self.answers.keys().isdisjoint(party.recipients):
            return {}
        whom = {*party.recipients, party.control}
        return {each: reply for each, reply in self.answers.items() if each in whom}

    def _look_at_the_name(self, reply: Reply) -> None:
        """An exchanger says its own name first (RFC 5321 section 4.2); Postfix compares it too
        ("mail loops back to myself")."""
        name = decoded(reply.lines[0]).partition(" ")[0].rstrip(".")
        if reply.is_positive and name.lower() == self.session.helo_name.lower():
            words = f"the exchanger greets with our own name: {reply}"
            raise Ourselves(words, host=self.session.host, stage=reply.stage)

    async def _introduce(self) -> None:
        """Say who we are, and hear who the exchanger is."""
        try:
            reply = await self.session.helo(extended=self.manner.extended)
        except SessionLost as error:
            # It has refused EHLO and hung up, before HELO or upon it; or it hangs up upon EHLO,
            # and HELO is worth a try where no TLS is at stake.
            is_required = self.encryption is not None and self.encryption.is_required
            is_plain = self.session.tls is None and not is_required
            if error.replies or (is_plain and error.code is None):
                self.manner = evolve(self.manner, extended=False)
            raise
        self._look_at_the_name(reply)
        self._heed(reply)
        self.introduction = reply

    async def _encrypt(self, encryption: Encryption) -> None:
        """STARTTLS, where it is offered and has not failed before; or no session at all, where
        it is required."""
        if "STARTTLS" not in self.session.keywords:
            if encryption.is_required:
                raise self._without_tls("the exchanger offers no STARTTLS")
            return
        if not (self.manner.starttls or encryption.is_required):
            words = encryption.failed or "an earlier handshake with the exchanger failed"
            self.tls = TlsReport(problem=words)
            return
        handshake = encryption.client.handshake(encryption.name)
        try:
            reply = await self.session.starttls(handshake)
        except SessionError as error:
            if error.code is None and not isinstance(error, ProtocolViolation):
                self.tls = TlsReport(problem=error.text)
                self._forgo_tls(encryption)
            raise
        if self.session.state is State.DISMISSED:
            self._heed(reply)
            return
        self.tls = self.session.tls or TlsReport(problem=f"STARTTLS was answered {reply}")
        if encryption.is_required and not self.tls.verified:
            raise self._without_tls(self.tls.problem or "")
        if self.session.tls is not None:
            await self._introduce()

    def _forgo_tls(self, encryption: Encryption) -> None:
        if not encryption.is_required:
            self.manner = evolve(self.manner, starttls=False)

    def _without_tls(self, words: str) -> TlsFailed:
        host = self.session.host
        return TlsFailed(f"TLS is required, and {words}", host=host, stage=Stage.STARTTLS)

    def _heed(self, reply: Reply) -> None:
        """A reply that speaks of nobody in particular: a no ends the session for all."""
        if not reply.is_positive:
            self.refusal = reply
            self.is_over = True
            if self.is_grouped and complains_of_pipelining(reply):
                self._forgo_pipelining()
            if self.encryption and not self.encryption.failed and demands_tls(reply):
                # If a handshake has ever failed, another one is worth a try.
                self.manner = evolve(self.manner, starttls=True)

    async def _ask(self, queue: deque[Address], kept: int, *, is_wide: bool) -> None:
        """Ask those in `queue`, as many at once as the errors that are left: not even if all of
        them are rejected the errors, and the recipients, `kept` for later are touched."""
        while queue and not self.is_over and self._left() > kept:
            is_risky = not self.manner.goodbye and self.max_errors - self.errors == 1
            if is_risky and self.history:
                # The exchanger may hang up upon the next rejection, and takes no proof after each
                # recipient either (Postfix smtpd_junk_command_limit, 1 under stress).
                return
            opening = self._opening(is_wide)
            if opening[:1] == [commands.RSET]:
                if self.resets >= MAX_RESETS:
                    return
                if not self.manner.reset:
                    # RFC 5321 section 4.1.4: EHLO ends a transaction as RSET does.
                    await self._introduce_again()
                    continue
                self.resets += 1
            room = self.session.recipients_left - self.spare - kept
            ceiling = self.manner.recipients_per_transaction
            if ceiling is not None:
                room = min(room, ceiling - (0 if opening else self.taken))
            if is_risky:
                room = min(room, 1)
            batch = [queue.popleft() for _ in range(min(room, len(queue)))]
            errors = self.max_errors - self.errors - kept
            queue.extendleft(reversed(await self._exchange(opening, batch, errors)))
            if opening:
                self.is_wide = is_wide

    async def _exchange(
        self, opening: list[Command], batch: list[Address], errors: int
    ) -> list[Address]:
        """One group, and what came of it; gives back those who must be asked yet."""
        group = [*opening, *(commands.rcpt(recipient) for recipient in batch)]
        together = self.manner.pipelining and self.session.pipelining and len(group) > 1
        self.is_grouped = self.is_grouped or together
        self.names.asks(batch)
        failure: SessionError | None = None
        try:
            replies = await self.session.group(
                group, together=together, rejections=errors, is_enough=self._is_enough
            )
        except SessionError as error:
            failure, replies = error, error.replies
        try:
            again = self._note(opening, batch, replies)
        finally:
            is_cut = failure is not None and len(replies) < len(group)
            if together and (is_cut or self.session.state is State.DISMISSED):
                self._miss(batch)
        if failure is not None:
            raise failure
        return again

    def _left(self) -> int:
        return min(self.max_errors - self.errors, self.session.recipients_left - self.spare)

    def _opening(self, is_wide: bool) -> list[Command]:
        """What has to be said before the next RCPT, if anything."""
        mail = commands.mail(self.reverse_path, smtputf8=is_wide)
        if self.session.state is not State.TRANSACTION:
            return [mail]
        ceiling = self.manner.recipients_per_transaction
        is_full = ceiling is not None and self.taken >= ceiling
        is_another = is_full or self.is_anothers or is_wide is not self.is_wide
        return [commands.RSET, mail] if is_another else []

    def _note(
        self, opening: list[Command], batch: list[Address], replies: Sequence[Reply]
    ) -> list[Address]:
        """Enter the replies to one group; give back those who were not asked, or must be asked
        once more.

        After a refused MAIL the replies to RCPT say nothing (RFC 2920 section 3.1), whatever
        they are.
        """
        self.history += zip([*[None] * len(opening), *batch], replies, strict=False)
        self.errors += sum(map(_is_rejection, replies))
        if opening:
            self.asked = self.taken = 0
            self.is_anothers = False
        for command, reply in zip(opening, replies, strict=False):
            if command.verb is Verb.RSET and _is_rejection(reply):
                self.manner = evolve(self.manner, reset=False)
                if not refuses_command(reply):
                    raise self.out_of_step(f"RSET was answered {reply}", Stage.OTHER)
                # Another session will do: the exchanger has refused nobody.
                self.is_over = True
                break
            self._heed(reply)
        again = []
        answers = replies[len(opening) :]
        for recipient, reply in zip(batch, answers, strict=False):
            if self.is_over:
                break
            is_turned_away = asks_for_fewer_recipients(reply)
            if reply.is_positive:
                self.taken += 1
            elif reply.code == CLOSING:
                self._heed(reply)
                continue
            elif self._is_no_answer(reply):
                raise self.out_of_step(f"RCPT after MAIL was answered {reply}", Stage.RCPT)
            elif is_turned_away and (self.asked or not self._is_shut):
                again.append(recipient)
                self._fill()
                continue
            if self.names.contradicts(reply, recipient):
                raise self.out_of_step(f"{recipient.text} was answered {reply}", Stage.RCPT)
            self.asked += not is_turned_away
            self.answers[recipient] = reply
        if not self.is_over and len(self.answers) > 1 and self._is_shut:
            self._heed(next(reversed(self.answers.values())))
        return again + batch[len(answers) :]

    @property
    def _is_shut(self) -> bool:
        """Whether all who were answered were too many: one of them may be so for reasons of his
        own, two show that the exchanger takes nobody."""
        return all(map(asks_for_fewer_recipients, self.answers.values()))

    def _fill(self) -> None:
        """Somebody was too many for the open transaction or, as the first of it, for the
        session."""
        if self.asked:
            # Whether it counts those whom it refused, nobody knows: this one is full.
            self.manner = evolve(self.manner, recipients_per_transaction=self.asked)
            self.taken = self.asked
        else:
            self.is_over = True

    def _is_enough(self, reply: Reply) -> bool:
        """Whether a refusal says that whoever is asked behind it will be refused as well."""
        return self._is_no_answer(reply) or asks_for_fewer_recipients(reply)

    def _is_no_answer(self, reply: Reply) -> bool:
        """Whether the reply to a RCPT can be none to a recipient of an open transaction."""
        return (
            reply.code == BAD_SEQUENCE
            or reply.code_class == 3
            or (self.is_grouped and complains_of_pipelining(reply))
        )

    # --- Doubt -------------------------------------------------------------------------------

    async def _prove(self) -> None:
        """Have the exchanger say its name once more, where its goodbye shows nothing."""
        if not (self.manner.goodbye or self.is_over) and self._is_in_doubt:
            await self._introduce_again()

    async def _introduce_again(self) -> None:
        """EHLO once more: what the exchanger was asked until then is answered, and in order
        (`smtp.belief`)."""
        self.resets += 1
        introduce = commands.ehlo if self.session.extended else commands.helo
        (reply,) = await self.session.group([introduce(self.session.helo_name)])
        self.errors += _is_rejection(reply)
        if self._is_introduction(reply):
            self.history.clear()
        elif reply.code == CLOSING:
            self._heed(reply)
        elif refuses_command(reply):
            # As with RSET: another session will do.
            self.is_over = True
        else:
            raise self.out_of_step(f"EHLO was answered {reply}", Stage.OTHER)

    @property
    def _is_in_doubt(self) -> bool:
        """Whether somebody was answered, since the order was last seen to hold, in words that
        could be meant for another."""
        return any(
            each is not None and not self.names.vouches(reply, each) for each, reply in self.history
        )

    def _is_introduction(self, reply: Reply) -> bool:
        """Whether the reply is the one to EHLO, word for word, and can be no other of the
        session."""
        assert self.introduction is not None
        words = self.introduction.lines
        return (
            reply.is_positive
            and reply.lines == words
            and all(each.lines != words for _, each in self.history)
        )

    def _miss(self, batch: list[Address]) -> None:
        """A group that was sent together was not answered to its end: nobody knows which of its
        commands were lost, nor what a name in a reply is worth."""
        for recipient in batch:
            self.answers.pop(recipient, None)
        self.is_broken_off = True

    def part(self, farewell: Reply | None) -> None:
        """The session has ended, `farewell` was the reply to QUIT."""
        self.last_code = None if farewell is None else farewell.code
        if self.last_code == GOODBYE or not self.history:
            return
        if self.last_code not in (None, CLOSING):
            # Any other code is the answer to an earlier command.
            self.end(self.out_of_step(f"QUIT was answered {farewell}", Stage.OTHER))
        else:
            before = len(self.answers)
            introduction = [] if self.introduction is None else [(None, self.introduction)]
            self._disbelieve(answered_behind_a_repetition([*introduction, *self.history]))
            self.witnessed.clear()
            if len(self.answers) == before:
                return
            if self.failure is None and self.refusal is None:
                words = f"no goodbye: QUIT was answered {farewell or 'with nothing'}"
                self.doubt = SessionLost(words, host=self.session.host, stage=Stage.OTHER)
        self.manner = evolve(self.manner, goodbye=False)

    def _disbelieve(self, recipients: Sequence[Address]) -> None:
        for recipient in recipients:
            reply = self.answers.get(recipient)
            if reply is not None and not self.names.vouches(reply, recipient):
                del self.answers[recipient]

    def _forgo_pipelining(self) -> None:
        self.manner = evolve(self.manner, pipelining=False)

    def out_of_step(self, words: str, stage: Stage) -> OutOfStep:
        return OutOfStep(f"out of step, {words}", host=self.session.host, stage=stage)

    # --- The end -----------------------------------------------------------------------------

    def end(self, failure: SessionError) -> None:
        """The session failed."""
        self.failure = failure
        if isinstance(failure, OutOfStep):
            # Those who were answered before the order was last seen to hold are beyond doubt.
            self._disbelieve([each for each, _ in self.history if each is not None])
            self.witnessed.clear()
        if self.is_grouped and isinstance(failure, ProtocolViolation):
            self._forgo_pipelining()
        is_lost = isinstance(failure, SessionLost) and failure.code is None
        # Nothing at all came under TLS; a reply that is late there would be late without.
        is_stalled = isinstance(failure, ReplyTimeout) and failure.stage is Stage.EHLO
        is_broken = is_lost or is_stalled
        is_answered = self.answers or any(each is not None for each, _ in self.history)
        if self.encryption and self.session.tls and is_broken and not is_answered:
            # As Postfix does: in plaintext once more, but only for those whom nobody answered.
            self._forgo_tls(self.encryption)

    def _error_limit(self) -> int | None:
        """The rejections that a session with this exchanger may have, as this one has shown."""
        codes = [each.code for each in (self.refusal, self.failure) if each is not None]
        if self.errors and CLOSING in (self.last_code, *codes):
            # Where that was known, or it says so behind the last one, QUIT has no other reply.
            return max(1, self.errors - (self.errors >= self.max_errors))
        if isinstance(self.failure, SessionLost) and self._was_rejected_last:
            # The connection went with the last one.
            return max(1, self.errors - 1)
        slowed_after = self.session.pace.slowed_after
        # Behind as many, QUIT would be held back as well.
        return None if slowed_after is None else max(1, slowed_after - 1)

    @property
    def _was_rejected_last(self) -> bool:
        return self.refusal is None and bool(self.history) and _is_rejection(self.history[-1][1])

    def report(self, recipients: Sequence[Address]) -> SessionReport:
        limit = self._error_limit()
        if limit is not None and limit < (self.manner.error_limit or limit + 1):
            self.manner = evolve(self.manner, error_limit=limit)
        elif self.is_broken_off:
            # It would come to the same end once more.
            self._forgo_pipelining()
        if limit == 1 and self.last_code != GOODBYE:
            # There is nothing below it: the next rejection will be the end of the session as well.
            self.manner = evolve(self.manner, goodbye=False)
        wide = frozenset(self.without_smtputf8)
        return SessionReport(
            answers=self.answers,
            unanswered=tuple(
                each for each in recipients if each not in self.answers and each not in wide
            ),
            without_smtputf8=tuple(self.without_smtputf8),
            refusal=self.refusal,
            failure=self.failure or self.doubt,
            errors=self.errors,
            manner=self.manner,
            tls=self.tls,
            witnesses=self.witnessed,
        )


def _is_rejection(reply: Reply) -> bool:
    """Whether the exchanger counts it as an error of ours; a 421 is the end of its counting."""
    return reply.code // 100 != 2 and reply.code != CLOSING
