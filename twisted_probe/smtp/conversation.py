"""The conversation: one session with one exchanger, about many recipients, read top to bottom.

Knows the order of a polite dialogue and when to stop; not what a reply means for a mailbox
(`verdict`), nor which exchanger or source comes next (`routing`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from attrs import define, field, frozen

from twisted_probe.smtp import commands
from twisted_probe.smtp.commands import Command
from twisted_probe.smtp.errors import OutOfStep, SessionError
from twisted_probe.smtp.limits import MAX_ERRORS
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.smtp.states import CLOSING, State, Verb
from twisted_probe.verdict.transaction import asks_for_fewer_recipients
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.outcome import TlsReport
from twisted_probe.vocabulary.reply import Reply, Stage

#: RFC 5321 section 4.2.3: bad sequence of commands.
BAD_SEQUENCE = 503
#: RFC 5321 section 4.2.3: the only yes to QUIT.
GOODBYE = 221


@frozen(kw_only=True)
class SessionReport:
    """What one session brought.

    `answers` has the reply to each recipient that was answered in step; only these may become
    verdicts about a mailbox. `unanswered` go back, in order. `without_smtputf8` could not be
    asked because the exchanger does not offer it. `refusal` is the reply that ended the session
    for all: to the connection, EHLO or MAIL, or a 421. `failure` is the trouble that ended it.
    `errors` counts the rejections that the exchanger has seen, `recipients_per_transaction` is
    the ceiling that it showed.
    """

    answers: dict[Address, Reply]
    unanswered: tuple[Address, ...] = ()
    without_smtputf8: tuple[Address, ...] = ()
    refusal: Reply | None = None
    failure: SessionError | None = None
    errors: int = 0
    recipients_per_transaction: int | None = None
    tls: TlsReport | None = None


async def converse(
    session: ProbeProtocol,
    recipients: Sequence[Address],
    reverse_path: Address | None,
    *,
    control: Address | None = None,
    max_errors: int = MAX_ERRORS,
) -> SessionReport:
    """Ask about `recipients`, then about `control`, in as few transactions as can be, and quit.

    `session` was greeted and has said nothing yet. The conversation stops after `max_errors`
    rejections or as many recipients as the session may have (one of either kept for the
    control), before exchangers begin to punish. It gives a report whatever happens and raises
    only CancelledError, after the connection was aborted.
    """
    talk = _Conversation(session, reverse_path, control, max_errors)
    try:
        await talk.run(recipients)
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
    return talk.report(recipients)


@define
class _Conversation:
    session: ProbeProtocol
    reverse_path: Address | None
    control: Address | None
    max_errors: int
    answers: dict[Address, Reply] = field(factory=dict)
    without_smtputf8: list[Address] = field(factory=list)
    refusal: Reply | None = None
    failure: SessionError | None = None
    errors: int = 0
    ceiling: int | None = None  # recipients that one transaction may have
    asked: int = 0  # recipients that the open transaction has
    is_wide: bool = False  # whether the open transaction is one with SMTPUTF8
    is_over: bool = False

    async def run(self, recipients: Sequence[Address]) -> None:
        greeting = self.session.greeting
        assert greeting is not None
        self._heed(greeting)
        if not self.is_over:
            self._heed(await self.session.helo())
        plain = deque(recipient for recipient in recipients if not recipient.needs_smtputf8)
        wide = deque(recipient for recipient in recipients if recipient.needs_smtputf8)
        if not self.is_over and "SMTPUTF8" not in self.session.keywords:
            self.without_smtputf8.extend(wide)
            wide.clear()
        kept = 0 if self.control is None else 1
        await self._ask(plain, kept, is_wide=False)
        await self._ask(wide, kept, is_wide=True)
        if self.control is not None and self.answers:
            await self._ask(deque([self.control]), 0, is_wide=self.is_wide)

    def _heed(self, reply: Reply) -> None:
        """A reply that speaks of nobody in particular: a no ends the session for all."""
        if not reply.is_positive:
            self.refusal = reply
            self.is_over = True

    async def _ask(self, queue: deque[Address], kept: int, *, is_wide: bool) -> None:
        """Ask those in `queue`, in windows as large as the errors and recipients that are left,
        so that not even a window of nothing but rejections touches those `kept` for later."""
        while queue and not self.is_over and (room := self._left() - kept) > 0:
            opening = self._opening(is_wide)
            if self.ceiling is not None:
                room = min(room, self.ceiling - (0 if opening else self.asked))
            window = [queue.popleft() for _ in range(min(room, len(queue)))]
            group = [*opening, *(commands.rcpt(recipient) for recipient in window)]
            try:
                replies = await self.session.group(group)
            except SessionError as error:
                self._note(opening, window, error.replies)
                raise
            queue.extendleft(reversed(self._note(opening, window, replies)))
            if opening:
                self.is_wide = is_wide

    def _left(self) -> int:
        return min(self.max_errors - self.errors, self.session.recipients_left)

    def _opening(self, is_wide: bool) -> list[Command]:
        """What has to be said before the next RCPT, if anything."""
        mail = commands.mail(self.reverse_path, smtputf8=is_wide)
        if self.session.state is not State.TRANSACTION:
            return [mail]
        is_full = self.ceiling is not None and self.asked >= self.ceiling
        return [commands.RSET, mail] if is_full or is_wide is not self.is_wide else []

    def _note(
        self, opening: list[Command], window: list[Address], replies: Sequence[Reply]
    ) -> list[Address]:
        """Enter the replies to one group; give back those who must be asked once more.

        After a refused MAIL the replies to RCPT say nothing (RFC 2920 section 3.1), whatever
        they are.
        """
        self.errors += sum(not reply.is_positive for reply in replies)
        if opening:
            self.asked = 0
        for command, reply in zip(opening, replies, strict=False):
            if command.verb is Verb.RSET and not reply.is_positive and reply.code != CLOSING:
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
            elif reply.code == BAD_SEQUENCE or reply.code_class == 3:
                raise self.out_of_step(f"RCPT after MAIL was answered {reply}", Stage.RCPT)
            elif self.asked and asks_for_fewer_recipients(reply):
                self.ceiling = self.asked
                again.append(recipient)
            else:
                self.asked += 1
                self.answers[recipient] = reply
        return again

    def out_of_step(self, words: str, stage: Stage) -> OutOfStep:
        return OutOfStep(f"out of step, {words}", host=self.session.host, stage=stage)

    def end(self, failure: SessionError) -> None:
        """The session failed. Out of step, nothing that was answered is believed."""
        self.failure = failure
        if isinstance(failure, OutOfStep):
            self.answers.clear()

    def report(self, recipients: Sequence[Address]) -> SessionReport:
        done = self.answers.keys() | set(self.without_smtputf8)
        return SessionReport(
            answers=self.answers,
            unanswered=tuple(recipient for recipient in recipients if recipient not in done),
            without_smtputf8=tuple(self.without_smtputf8),
            refusal=self.refusal,
            failure=self.failure,
            errors=self.errors,
            recipients_per_transaction=self.ceiling,
        )
