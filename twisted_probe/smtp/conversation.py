"""The conversation: one session with one exchanger, about many recipients, read top to bottom.

Knows the order of a polite dialogue and when to stop; not what a reply means for a mailbox
(`verdict`), nor which exchanger or source comes next (`routing`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from twisted_probe.smtp import commands
from twisted_probe.smtp.belief import complains_of_pipelining, refuses_reset, vouches
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.errors import (
    Ourselves,
    OutOfStep,
    ProtocolViolation,
    SessionError,
    SessionLost,
    TlsFailed,
)
from twisted_probe.smtp.limits import MAX_ERRORS, MAX_RESETS
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
    """

    answers: dict[Address, Reply]
    unanswered: tuple[Address, ...] = ()
    without_smtputf8: tuple[Address, ...] = ()
    refusal: Reply | None = None
    failure: SessionError | None = None
    errors: int = 0
    manner: Manner = UNKNOWN_MANNER
    tls: TlsReport | None = None

    @property
    def recipients_per_transaction(self) -> int | None:
        """The ceiling that the exchanger has shown."""
        return self.manner.recipients_per_transaction


@frozen
class Party:
    """Recipients of one domain and its control, who share a session with others."""

    recipients: Sequence[Address]
    control: Address | None = None


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
) -> SessionReport:
    """Ask about `recipients`, then about `control`, then about the `others` in the same way, in as
    few transactions as can be (`apart`: each party in its own), and quit.

    `session` was greeted and has said nothing yet; `manner` is what earlier sessions have shown
    of the exchanger, `encryption` what to do about STARTTLS (None: leave it). The conversation
    stops after `max_errors` rejections, or as many as the
    exchanger bears, or as many recipients as the session may have (one of each kept for the
    control), before exchangers begin to punish. It gives a report whatever happens and raises
    only CancelledError, after the connection was aborted.
    """
    if manner.error_limit is not None:
        max_errors = min(max_errors, manner.error_limit)
    parties = [Party(recipients, control), *others]
    talk = _Conversation(session, reverse_path, apart, max_errors, manner, encryption)
    try:
        await talk.run(parties)
    except SessionError as error:
        talk.end(error)
    except BaseException:
        # Cancelled, or a bug of ours: nobody is left who would end the session.
        session.abort()
        raise
    farewell = await session.quit()
    if farewell is not None and farewell.code not in (GOODBYE, CLOSING):
        # The reply to QUIT is the barrier: any other code is the answer to an earlier command.
        talk.end(talk.out_of_step(f"QUIT was answered {farewell}", Stage.OTHER))
    return talk.report([recipient for party in parties for recipient in party.recipients])


@define
class _Conversation:
    session: ProbeProtocol
    reverse_path: Address | None
    is_apart: bool
    max_errors: int
    manner: Manner
    encryption: Encryption | None
    answers: dict[Address, Reply] = field(factory=dict)
    without_smtputf8: list[Address] = field(factory=list)
    refusal: Reply | None = None
    failure: SessionError | None = None
    last: Reply | None = None  # of those to groups
    errors: int = 0
    resets: int = 0
    asked: int = 0  # recipients of the open transaction, and those of them that it has taken
    taken: int = 0
    is_wide: bool = False  # whether the open transaction is one with SMTPUTF8
    is_anothers: bool = False  # whether it is of a party that wants one of its own
    is_grouped: bool = False  # whether commands have left together
    is_over: bool = False
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
        for party in parties:
            await self._ask_party(party)
            self.is_anothers = self.is_apart

    async def _ask_party(self, party: Party) -> None:
        plain = deque(each for each in party.recipients if not each.needs_smtputf8)
        wide = deque(each for each in party.recipients if each.needs_smtputf8)
        if not self.is_over and "SMTPUTF8" not in self.session.keywords:
            self.without_smtputf8.extend(wide)
            wide.clear()
        # Where there is room for one only, it is for a recipient.
        kept = 0 if party.control is None or self._left() < 2 else 1
        await self._ask(plain, kept, is_wide=False)
        await self._ask(wide, kept, is_wide=True)
        if party.control is not None and not self.answers.keys().isdisjoint(party.recipients):
            await self._ask(deque([party.control]), 0, is_wide=self.is_wide)

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
            if error.replies:
                # It has refused EHLO and hung up, before HELO or upon it.
                self.manner = evolve(self.manner, extended=False)
            raise
        self._look_at_the_name(reply)
        self._heed(reply)

    async def _encrypt(self, encryption: Encryption) -> None:
        """STARTTLS, where it is offered and has not failed before; or no session at all, where
        it is required."""
        if "STARTTLS" not in self.session.keywords:
            if encryption.is_required:
                raise self._without_tls("the exchanger offers no STARTTLS")
            return
        if not (self.manner.starttls or encryption.is_required):
            self.tls = TlsReport(problem="an earlier handshake with the exchanger failed")
            return
        handshake = encryption.client.handshake(encryption.name)
        try:
            reply = await self.session.starttls(handshake)
        except SessionError as error:
            if error.code is None and not isinstance(error, ProtocolViolation):
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

    async def _ask(self, queue: deque[Address], kept: int, *, is_wide: bool) -> None:
        """Ask those in `queue`, in windows as large as the errors and recipients that are left,
        so that not even a window of nothing but rejections touches those `kept` for later."""
        while queue and not self.is_over and (room := self._left() - kept) > 0:
            opening = self._opening(is_wide)
            if len(opening) > 1:
                if self.resets == MAX_RESETS:
                    return
                self.resets += 1
            ceiling = self.manner.recipients_per_transaction
            if ceiling is not None:
                room = min(room, ceiling - (0 if opening else self.taken))
            window = [queue.popleft() for _ in range(min(room, len(queue)))]
            queue.extendleft(reversed(await self._exchange(opening, window)))
            if opening:
                self.is_wide = is_wide

    async def _exchange(self, opening: list[Command], window: list[Address]) -> list[Address]:
        """One group, and what came of it; gives back those who must be asked once more."""
        group = [*opening, *(commands.rcpt(recipient) for recipient in window)]
        together = self.manner.pipelining and self.session.pipelining and len(group) > 1
        self.is_grouped = self.is_grouped or together
        try:
            replies = await self.session.group(group, together=together)
        except SessionError as error:
            self._note(opening, window, error.replies)
            if together:
                self._look_for_loss(window, error)
            raise
        again = self._note(opening, window, replies)
        if together and self.session.state is State.DISMISSED:
            self._look_for_loss(window)
        return again

    def _left(self) -> int:
        return min(self.max_errors - self.errors, self.session.recipients_left)

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
        self, opening: list[Command], window: list[Address], replies: Sequence[Reply]
    ) -> list[Address]:
        """Enter the replies to one group; give back those who must be asked once more.

        After a refused MAIL the replies to RCPT say nothing (RFC 2920 section 3.1), whatever
        they are.
        """
        if replies:
            self.last = replies[-1]
        self.errors += sum(_is_rejection(reply) for reply in replies)
        if opening:
            self.asked = self.taken = 0
            self.is_anothers = False
        for command, reply in zip(opening, replies, strict=False):
            if command.verb is Verb.RSET and _is_rejection(reply):
                if not refuses_reset(reply):
                    raise self.out_of_step(f"RSET was answered {reply}", Stage.OTHER)
                # Another session will do: the exchanger has refused nobody.
                self.is_over = True
                break
            self._heed(reply)
        again = []
        for recipient, reply in zip(window, replies[len(opening) :], strict=False):
            if self.is_over:
                break
            if reply.code == CLOSING:
                self._heed(reply)
            elif self._is_no_answer(reply):
                raise self.out_of_step(f"RCPT after MAIL was answered {reply}", Stage.RCPT)
            elif self.asked and asks_for_fewer_recipients(reply):
                # Whether it counts those whom it refused, nobody knows: this one is full.
                self.manner = evolve(self.manner, recipients_per_transaction=self.asked)
                self.taken = self.asked
                again.append(recipient)
            else:
                self.asked += 1
                self.taken += reply.is_positive
                self.answers[recipient] = reply
        return again

    def _is_no_answer(self, reply: Reply) -> bool:
        """Whether the reply to a RCPT can be none to a recipient of an open transaction."""
        return (
            reply.code == BAD_SEQUENCE
            or reply.code_class == 3
            or (self.is_grouped and complains_of_pipelining(reply))
        )

    # --- Doubt -------------------------------------------------------------------------------

    def _look_for_loss(self, window: list[Address], failure: SessionError | None = None) -> None:
        """A group that was sent together did not come to its end."""
        is_stalled = self.session.pace.is_stalled
        if is_stalled:
            # The exchanger waits for us: commands were lost, and nobody knows which.
            self._disbelieve(window)
        is_dropped = isinstance(failure, SessionLost) and failure.code is None
        has_reason = self.refusal is not None or self._was_rejected_last
        if is_stalled or (is_dropped and not has_reason):
            self._forgo_pipelining()

    def _disbelieve(self, recipients: Sequence[Address]) -> None:
        for recipient in recipients:
            reply = self.answers.get(recipient)
            if reply is not None and not vouches(reply, recipient, self.reverse_path):
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
            self._disbelieve(tuple(self.answers))
        if self.is_grouped and isinstance(failure, ProtocolViolation):
            self._forgo_pipelining()
        is_lost = isinstance(failure, SessionLost) and failure.code is None
        if self.encryption and self.session.tls and is_lost and not self.answers:
            # As Postfix does: in plaintext once more, but only for those whom nobody answered.
            self._forgo_tls(self.encryption)

    def _error_limit(self) -> int | None:
        """The rejections that a session with this exchanger may have, as this one has shown."""
        codes = [each.code for each in (self.refusal, self.failure) if each is not None]
        if self.errors and CLOSING in codes:
            return self.errors
        if isinstance(self.failure, SessionLost) and self._was_rejected_last:
            # The connection went with the last one.
            return max(1, self.errors - 1)
        slowed_after = self.session.pace.slowed_after
        # Behind as many, QUIT would be held back as well.
        return None if slowed_after is None else max(1, slowed_after - 1)

    @property
    def _was_rejected_last(self) -> bool:
        return self.refusal is None and self.last is not None and _is_rejection(self.last)

    def report(self, recipients: Sequence[Address]) -> SessionReport:
        limit = self._error_limit()
        if limit is not None and limit < (self.manner.error_limit or limit + 1):
            self.manner = evolve(self.manner, error_limit=limit)
        done = self.answers.keys() | set(self.without_smtputf8)
        return SessionReport(
            answers=self.answers,
            unanswered=tuple(recipient for recipient in recipients if recipient not in done),
            without_smtputf8=tuple(self.without_smtputf8),
            refusal=self.refusal,
            failure=self.failure,
            errors=self.errors,
            manner=self.manner,
            tls=self.tls,
        )


def _is_rejection(reply: Reply) -> bool:
    """Whether the exchanger counts it as an error of ours; a 421 is the end of its counting."""
    return not reply.is_positive and reply.code != CLOSING
