"""What one attempt has brought, and the outcomes that it amounts to.

Knows how answers and troubles become outcomes, in the words of `verdict`; nothing is asked or
waited for here.
"""

from __future__ import annotations

from attrs import define, evolve, field, frozen

from twisted_probe.routing.memory import Known
from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.hints import retry_hint
from twisted_probe.verdict.judge import Circumstances, Judgement, judge
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, TlsReport
from twisted_probe.vocabulary.reply import Reply, Stage
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes


@frozen
class Request:
    """One address to ask about, what its earlier attempt was, and what is wanted of this one."""

    address: Address
    retry: Retry | None = None
    wishes: Wishes = NO_WISHES


@frozen
class Answer:
    """A reply to one recipient, and whose it was."""

    reply: Reply
    exchanger: Exchanger
    tls: TlsReport | None = None


@frozen(kw_only=True)
class Trouble:
    """Why a recipient has no answer: what its outcome says if nothing better comes."""

    reason: Reason
    retry: bool = True
    stage: Stage | None = None
    reply: Reply | None = None
    text: str | None = None
    exchanger: Exchanger | None = None


@define(eq=False)
class Evidence:
    """What is known of one domain's recipients, as one source with one reverse-path saw them.

    `known` is what is remembered of the domain, None where no control is wanted; only the best
    exchangers add to it. `backup_control` is a backup's reply to the control, which speaks of
    nobody but that backup. `exchangers` are the names of those that speak for the domain.
    `blocked_by` is the reply that shut us out. `rules` read the replies; None are the package's
    own. `is_vouched`: somebody whom the best accept vouches for their vague refusals; None where
    only the memory says so.
    """

    source: Source | None
    reverse_path: str
    known: Known | None = None
    backup_control: Reply | None = None
    exchangers: frozenset[str] = frozenset()
    answers: dict[Address, Answer] = field(factory=dict)
    troubles: dict[Address, Trouble] = field(factory=dict)
    denials: dict[Address, set[str]] = field(factory=dict)
    is_blocked: bool = False
    blocked_by: Reply | None = None
    rules: Rules | None = None
    is_vouched: bool | None = None

    @property
    def control(self) -> str | None:
        """The local part of the control."""
        return None if self.known is None else self.known.control

    # --- What a session brought --------------------------------------------------------------

    def note(self, report: SessionReport, exchanger: Exchanger, now: float) -> list[Address]:
        """Keep the answers of one session; give those back whom another exchanger may know."""
        elsewhere = list(report.without_smtputf8)
        for recipient in elsewhere:
            self.troubles[recipient] = Trouble(
                reason=Reason.SMTPUTF8_UNSUPPORTED,
                retry=False,
                stage=Stage.EHLO,
                exchanger=exchanger,
            )
        blocked: Reply | None = None
        if exchanger.best and _accepts_behind_a_refusal(report):
            self.is_vouched = True
        for recipient, reply in report.answers.items():
            finding = self._classify(reply, recipient)
            if finding.label is Label.BLOCKLISTED:
                blocked = reply
            if recipient.local == self.control:
                self._note_control(reply, finding, exchanger, now)
                continue
            self.answers[recipient] = Answer(reply, exchanger, report.tls)
            if finding.label is Label.RELAY_DENIED:
                elsewhere.append(recipient)
                if reply.code_class == 5:
                    self.denials.setdefault(recipient, set()).add(exchanger.name)
            elif reply.is_positive and exchanger.best and self.known is not None:
                self.known = evolve(self.known, accepted_at=now)
        trouble = self._trouble(report, exchanger)
        for recipient in report.unanswered:
            self.troubles[recipient] = trouble
        if report.refusal is not None and trouble.reason is Reason.BLOCKLISTED:
            blocked = report.refusal
        # An exchanger that accepts another recipient in the same session has not shut us out:
        # it is this recipient who wants nothing from us.
        if blocked is not None and not any(each.is_positive for each in report.answers.values()):
            self.is_blocked = True
            self.blocked_by = blocked
        return elsewhere

    def _note_control(
        self, reply: Reply, finding: Finding, exchanger: Exchanger, now: float
    ) -> None:
        shown = judge(finding, reply, Circumstances(control=reply, control_finding=finding))
        # A 4xx on the control says nothing, nor does a no to ourselves: it stays undecided, and
        # is asked again.
        if self.known is None or shown.catch_all is None:
            return
        if exchanger.best:
            self.known = evolve(self.known, control_reply=reply, control_at=now)
        else:
            self.backup_control = reply

    def control_reply(self, exchanger: Exchanger) -> Reply | None:
        """What is known of the control at such an exchanger; None while it has to be asked."""
        if not exchanger.best:
            return self.backup_control
        return None if self.known is None else self.known.control_reply

    def _trouble(self, report: SessionReport, exchanger: Exchanger) -> Trouble:
        """What those whom this session left unanswered can say of it."""
        if report.refusal is not None:
            reply = report.refusal
            judgement = judge(self._classify(reply), reply)
            return Trouble(
                reason=judgement.reason,
                retry=judgement.retry,
                stage=reply.stage,
                reply=reply,
                text=reply.text,
                exchanger=exchanger,
            )
        if report.failure is not None:
            return Trouble(
                reason=report.failure.reason,
                stage=report.failure.stage,
                text=str(report.failure),
                exchanger=exchanger,
            )
        return Trouble(
            reason=Reason.TEMPORARY,
            stage=Stage.RCPT,
            text="the session ended politely before this recipient was asked",
            exchanger=exchanger,
        )

    def _classify(self, reply: Reply, recipient: Address | None = None) -> Finding:
        source = self.source
        return classify(
            reply.stage,
            reply,
            Context(
                source="" if source is None else source.address,
                helo="" if source is None else source.helo,
                reverse_path=self.reverse_path,
                recipient="" if recipient is None else recipient.text,
            ),
            self.rules,
        )

    # --- The outcomes ------------------------------------------------------------------------

    def outcome(self, request: Request, *, now: float, started: float, ladder: Ladder) -> Outcome:
        """What to say about one recipient, and when to ask again if it is not the last word."""
        recipient = request.address
        answer = self.answers.get(recipient)
        trouble = self.troubles.get(recipient)
        if answer is not None:
            judgement = self._judge(recipient, answer)
            said = Trouble(
                reason=judgement.reason,
                retry=judgement.retry,
                stage=Stage.RCPT,
                reply=answer.reply,
                text=answer.reply.text,
                exchanger=answer.exchanger,
            )
            catch_all, tls = judgement.catch_all, answer.tls
        else:
            assert trouble is not None
            said, catch_all, tls = trouble, None, None
        return self._settled(request, said, catch_all, tls, now, started, ladder)

    def _judge(self, recipient: Address, answer: Answer) -> Judgement:
        known = self.known
        control = self.control_reply(answer.exchanger)
        control_at = "" if known is None else f"{known.control}@{recipient.domain}"
        return judge(
            self._classify(answer.reply, recipient),
            answer.reply,
            Circumstances(
                control=control,
                control_finding=None if control is None else self._classify(control),
                control_wanted=known is not None,
                best=answer.exchanger.best,
                # Whoever takes mail for another recipient of the domain does serve it.
                every_exchanger_refused_relay=(
                    (known is None or known.accepted_at is None)
                    and self.denials.get(recipient, set()) >= self.exchangers
                ),
                # Those whom the best has accepted do not vouch for a backup's refusals.
                recipient_accepted_lately=answer.exchanger.best and self._has_voucher,
                recipient=recipient.text,
                control_recipient=control_at,
            ),
        )

    @property
    def _has_voucher(self) -> bool:
        if self.is_vouched is None:
            return self.known is not None and self.known.accepted_at is not None
        return self.is_vouched

    # --- Doubt -------------------------------------------------------------------------------

    def doubted(self) -> tuple[Address, Exchanger] | None:
        """One whom a best exchanger has refused like everybody, and that exchanger."""
        for recipient, answer in self.answers.items():
            if (
                answer.exchanger.best
                and not answer.reply.is_positive
                and self._judge(recipient, answer).reason is Reason.REJECTS_EVERYONE
            ):
                return recipient, answer.exchanger
        return None

    def witness(self, doubted: Address) -> Address | None:
        """Somebody whom the exchanger ought to accept: one whom it has accepted, else the
        postmaster (RFC 5321 section 4.5.1); None where he was refused already."""
        for recipient, answer in self.answers.items():
            if answer.exchanger.best and answer.reply.is_positive:
                return recipient
        domain = doubted.domain
        postmaster = Address("postmaster", domain, f"postmaster@{domain}")
        return None if postmaster in self.answers else postmaster

    def note_witness(self, report: SessionReport, exchanger: Exchanger, now: float) -> None:
        """Keep what a session about one who is doubted and a witness has brought."""
        if _accepts_behind_a_refusal(report):
            self.is_vouched = True
            if self.known is not None:
                self.known = evolve(self.known, accepted_at=now)
        for recipient, reply in report.answers.items():
            before = self.answers.get(recipient)
            # Who is accepted now was refused for no reason of his own; who was accepted stays so.
            if before is not None and not before.reply.is_positive and reply.is_positive:
                self.answers[recipient] = Answer(reply, exchanger, report.tls)

    def _settled(
        self,
        request: Request,
        said: Trouble,
        catch_all: bool | None,
        tls: TlsReport | None,
        now: float,
        started: float,
        ladder: Ladder,
    ) -> Outcome:
        before = request.retry
        attempts = 1 if before is None else before.attempts + 1
        first_at = started if before is None else before.first_attempt_at
        hint = None if said.reply is None else retry_hint(said.reply)
        delay = ladder.delay(said.reason, attempts, hint) if said.retry else None
        source = self.source
        if source is None and before is not None:
            # Nobody was asked: the triplet of the attempt before is still the one that is known.
            again = evolve(before, attempts=attempts)
        else:
            # A source that is not on this machine leaves the next attempt to another one.
            usable = None if said.reason is Reason.SOURCE_UNAVAILABLE else source
            again = Retry(
                source=None if usable is None else usable.address,
                helo=None if usable is None else usable.helo,
                reverse_path=self.reverse_path,
                control=None if usable is None else self.control,
                attempts=attempts,
                first_attempt_at=first_at,
            )
        return Outcome(
            address=request.address.text,
            reason=said.reason,
            final=delay is None,
            catch_all=catch_all,
            stage=said.stage,
            code=None if said.reply is None else said.reply.code,
            enhanced=None if said.reply is None else said.reply.enhanced,
            text=said.text,
            exchanger=None if said.exchanger is None else said.exchanger.name,
            exchanger_address=None if said.exchanger is None else said.exchanger.address,
            source=None if source is None else source.address,
            helo=None if source is None else source.helo,
            tls=tls,
            attempts=attempts,
            first_attempt_at=first_at,
            checked_at=now,
            next_attempt_at=None if delay is None else now + delay,
            retry=None if delay is None else again,
        )


def _accepts_behind_a_refusal(report: SessionReport) -> bool:
    """Whether the exchanger still accepts somebody after it has refused another in the same
    session: who accepts only before has begun to refuse everybody."""
    has_refused = False
    for reply in report.answers.values():
        if reply.is_positive and has_refused:
            return True
        has_refused = has_refused or reply.code_class == 5
    return False
