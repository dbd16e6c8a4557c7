"""What one attempt has brought, and the outcomes that it amounts to.

Knows how answers and troubles become outcomes, in the words of `verdict`; nothing is asked or
waited for here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from twisted_probe.routing.memory import Known
from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.verdict.basis import judged, judgement_of
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.verdict.hints import retry_hint
from twisted_probe.verdict.judge import Circumstances, is_acceptance, judge
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.hearing import Basis, Dialogue, Hearing
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, TlsReport
from twisted_probe.vocabulary.reply import Reply, Stage
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

#: The mailbox that every domain has (RFC 5321 section 4.5.1).
POSTMASTER = "postmaster"
#: Those whom many exchangers take mail for from everywhere, so that whoever is shut out can
#: complain (RFC 2142 section 2; Exim's default configuration, Postfix's guides).
EXEMPT = frozenset((POSTMASTER, "abuse"))

#: What is said of mailboxes that are not there.
_DEAD = (Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED)

_FLIPPED = "the exchanger refused at the end of the session whom it had accepted before"
_SOFTENED = "the exchanger accepts a random recipient that it refused before"


#: Nobody was asked at the end of the session.
NO_WITNESS = ("", None)


@frozen
class Request:
    """One address to ask about, what its earlier attempt was, and what is wanted of this one."""

    address: Address
    retry: Retry | None = None
    wishes: Wishes = NO_WISHES


@frozen
class Answer:
    """A reply to one recipient, what it says, and whose it was. `is_vouched`: another recipient
    was accepted behind it in the same session; `is_vouched_by_exempt`: one of EXEMPT was.
    `witness` was asked at the end of the session, with the reply to it. `dialogue` is the place
    of the session among those of the attempt."""

    reply: Reply
    finding: Finding
    exchanger: Exchanger
    tls: TlsReport | None = None
    is_vouched: bool = False
    is_vouched_by_exempt: bool = False
    witness: tuple[str, Reply | None] = NO_WITNESS
    dialogue: int | None = None


@frozen(kw_only=True)
class Trouble:
    """Why a recipient has no answer: what its outcome says if nothing better comes."""

    reason: Reason
    retry: bool = True
    stage: Stage | None = None
    reply: Reply | None = None
    text: str | None = None
    exchanger: Exchanger | None = None
    tls: TlsReport | None = None
    catch_all: bool | None = None
    basis: Basis | None = None


@define(eq=False)
class Evidence:
    """What is known of one domain's recipients, as one source with one reverse-path saw them.

    `known` is what is remembered of the domain, None where no control is wanted; only the best
    exchangers add to it. `backup_control` is a backup's reply to the control, which speaks of
    nobody but that backup. `exchangers` are the names of those that speak for the domain;
    `is_served` is true once one of the best has taken mail for one of its recipients. `blocked_by`
    is the reply that shut us out. `rules` read the replies; None are the package's own. With
    `is_wary` every session ends with a look whether the exchanger is still what it was at the
    beginning. `good` are recipients of the domain that are known to be there. `dialogues` and
    `bases` are what a hearing is made of, `dialogues` None where nobody wants one. `hits` counts
    how many outcomes each rule has decided.
    """

    source: Source | None
    reverse_path: str
    known: Known | None = None
    backup_control: Reply | None = None
    exchangers: frozenset[str] = frozenset()
    answers: dict[Address, Answer] = field(factory=dict)
    troubles: dict[Address, Trouble] = field(factory=dict)
    denials: dict[Address, set[str]] = field(factory=dict)
    is_served: bool = False
    is_blocked: bool = False
    blocked_by: Reply | None = None
    rules: Rules | None = None
    is_wary: bool = False
    good: Sequence[Address] = ()
    dialogues: list[Dialogue] | None = None
    bases: dict[tuple[str, str], Basis] = field(factory=dict)
    before: int | None = None
    hits: Counter[str] = field(factory=Counter)
    _is_control_over: bool = False  # answered, or asked in a session of its own
    _read: tuple[Reply, Finding] | None = None
    _hearing: Hearing | None = None

    @property
    def control(self) -> str | None:
        """The local part of the control."""
        return None if self.known is None else self.known.control

    # --- What a session brought --------------------------------------------------------------

    def listen(self, dialogue: Dialogue | None) -> None:
        """Keep a session as it was spoken, if that is wanted; what it amounts to is noted
        afterwards."""
        if self.dialogues is not None and dialogue is not None:
            self.dialogues.append(dialogue)

    def note(self, report: SessionReport, exchanger: Exchanger, now: float) -> list[Address]:
        """Keep the answers of one session; give those back whom another exchanger may know."""
        elsewhere = list(report.without_smtputf8)
        for recipient in elsewhere:
            self.troubles[recipient] = Trouble(
                reason=Reason.SMTPUTF8_UNSUPPORTED,
                retry=False,
                stage=Stage.EHLO,
                exchanger=exchanger,
                tls=report.tls,
            )
        blocked: Reply | None = None
        change = self._change_of_mind(report, exchanger)
        vouched, by_exempt = self._vouched(report, exchanger)
        witness: tuple[str, Reply | None] = next(
            ((each.text, said) for each, said in report.witnesses.items()), NO_WITNESS
        )
        dialogue = len(self.dialogues) - 1 if self.dialogues else None
        for recipient, reply in report.answers.items():
            finding = self._classify(reply, exchanger, recipient)
            if finding.label is Label.BLOCKLISTED:
                blocked = reply
            if recipient.local == self.control:
                self._is_control_over = True
                if change is not _FLIPPED:
                    self._note_control(reply, finding, exchanger, now)
                continue
            answer = Answer(
                reply,
                finding,
                exchanger,
                report.tls,
                recipient in vouched,
                recipient in by_exempt,
                witness,
                dialogue,
            )
            if change is not None and _is_doubtful(reply, finding):
                self.troubles[recipient] = self._held_back(recipient, answer, change, report)
                continue
            self.answers[recipient] = answer
            if finding.label is Label.RELAY_DENIED:
                elsewhere.append(recipient)
                if reply.code_class == 5:
                    self.denials.setdefault(recipient, set()).add(exchanger.name)
            elif reply.is_positive:
                self._note_acceptance(exchanger, now)
        if any(reply.is_positive for reply in report.witnesses.values()):
            self._note_acceptance(exchanger, now)
        trouble = self._trouble(report, exchanger, dialogue)
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

    def control_alone(self, exchanger: Exchanger) -> list[Address]:
        """The control, where it should get a session of its own: answers depend on it, and each
        session has ended before it. Once an attempt."""
        known = self.known
        is_due = exchanger.best and not self._is_control_over
        if known is None or not is_due or self.control_reply(exchanger) is not None:
            return []
        if not any(map(_hangs_on_control, self.answers.values())):
            return []
        self._is_control_over = True
        domain = next(iter(self.answers)).domain
        return [Address(known.control, domain, f"{known.control}@{domain}")]

    def _note_acceptance(self, exchanger: Exchanger, now: float) -> None:
        if exchanger.best:
            self.is_served = True
            if self.known is not None:
                self.known = evolve(self.known, accepted_at=now)

    # --- What a session is worth ---------------------------------------------------------------

    def witnesses(self, answers: Mapping[Address, Reply], exchanger: Exchanger) -> list[Address]:
        """Who is to be asked at the end of a session that brought these answers.

        Where vague refusals depend on it, when `is_wary`, or where somebody is known to be there,
        the last one who was accepted before a refusal: an exchanger may have begun to refuse
        everybody. Where nobody was accepted,
        somebody who is known to be there; at last, where such can explain any, one of EXEMPT who
        was accepted, or postmaster (RFC 5321 section 4.5.1). A 252 promises nothing: it explains
        no vague refusal, but can be changed as well as any yes.
        """
        doubtful, vague, is_explained_by_exempt = self._doubtful(answers, exchanger)
        if not doubtful:
            return []
        order = list(answers)

        def again(accepted: list[Address]) -> list[Address]:
            """The last of them, unless that one came behind all refusals."""
            return accepted[-1:] if order.index(doubtful[-1]) > order.index(accepted[-1]) else []

        counts = _is_witness if vague else _is_positive
        accepted = [each for each in order if self._is_real(each) and counts(each, answers[each])]
        if accepted:
            return again(accepted)
        earlier = [
            each
            for each, answer in self.answers.items()
            if self._was_accepted(each) and counts(each, answer.reply)
        ]
        if earlier or not exchanger.best:
            return earlier[-1:]
        if self._misjudges(answers, exchanger):
            return []
        domain = order[0].domain
        good = [each for each in self._good_of(domain) if each not in answers]
        if good or not (vague and is_explained_by_exempt):
            return good[:1]
        exempt = [each for each in order if _is_exempt(each) and is_acceptance(answers[each])]
        if exempt:
            return again(exempt)
        postmaster = Address(POSTMASTER, domain, f"{POSTMASTER}@{domain}")
        return [] if postmaster in answers else [postmaster]

    def _misjudges(self, answers: Mapping[Address, Reply], exchanger: Exchanger) -> bool:
        """Whether somebody who is known to be there was refused in words that do not say why:
        then such words mean nobody's absence."""
        return any(
            each in answers and self._is_vague_no(answers[each], exchanger) for each in self.good
        )

    def _doubtful(
        self, answers: Mapping[Address, Reply], exchanger: Exchanger
    ) -> tuple[list[Address], bool, bool]:
        """Those whose refusals may be those of an exchanger that refuses everybody; whether some
        are so vague that only somebody who is accepted can explain them; and whether one of
        EXEMPT could do that as well."""
        refused = [each for each, reply in answers.items() if reply.code_class == 5]
        control = self.control_reply(exchanger)
        asked = next((reply for each, reply in answers.items() if not self._is_real(each)), None)
        if asked is not None and not self._is_plainer(control, asked, exchanger):
            control = asked
        vague: list[Address] = []
        is_explained_by_exempt = False
        if control is not None and self._is_vague_no(control, exchanger):
            for each in refused:
                if not self._is_real(each):
                    continue
                basis = self._basis_of(each, answers[each], exchanger, control=control)
                if judgement_of(basis, self.rules).reason is not Reason.REJECTS_EVERYONE:
                    continue
                vague.append(each)
                explained = judgement_of(evolve(basis, exempt_accepted=True), self.rules)
                is_explained_by_exempt |= explained.reason is Reason.NO_SUCH_MAILBOX
        is_wary = self.is_wary or any(self._good_of(each.domain) for each in refused[:1])
        return (refused if is_wary else vague), bool(vague), is_explained_by_exempt

    def _good_of(self, domain: str) -> list[Address]:
        return [each for each in self.good if each.domain == domain]

    def _is_vague_no(self, control: Reply, exchanger: Exchanger) -> bool:
        return control.code_class == 5 and not self._classify(control, exchanger).explicit

    def _is_plainer(self, before: Reply | None, reply: Reply, exchanger: Exchanger) -> bool:
        """Whether the control was refused before in words that say why, and now in words that do
        not: the exchanger may have begun to refuse everybody, and the first are to be compared
        with."""
        is_plain = (
            before is not None
            and before.code_class == 5
            and not self._is_vague_no(before, exchanger)
        )
        return is_plain and self._is_vague_no(reply, exchanger)

    def _is_real(self, recipient: Address) -> bool:
        return recipient.local != self.control

    def _was_accepted(self, recipient: Address) -> bool:
        """Whether one of the best has accepted this recipient in an earlier session."""
        answer = self.answers[recipient]
        return answer.exchanger.best and answer.reply.is_positive

    def _vouched(
        self, report: SessionReport, exchanger: Exchanger
    ) -> tuple[set[Address], set[Address]]:
        """Those behind whom another recipient was accepted in the same session, and those behind
        whom one of EXEMPT was. An acceptance before the refusal, be it of a moment ago, says
        nothing of it: the exchanger may have begun to refuse everybody who comes from this
        source. Where it refuses somebody who is known to be there, nobody vouches."""
        vouched: set[Address] = set()
        by_exempt: set[Address] = set()
        if self.known is None or not exchanger.best or self._misjudges(report.answers, exchanger):
            return vouched, by_exempt
        accepted: list[Address] = []
        exempt: list[Address] = []
        for recipient, reply in reversed((*report.answers.items(), *report.witnesses.items())):
            if any(each != recipient for each in accepted):
                vouched.add(recipient)
            if any(each != recipient for each in exempt):
                by_exempt.add(recipient)
            if self._is_real(recipient) and is_acceptance(reply):
                kind = exempt if _is_exempt(recipient) else accepted
                kind.append(recipient)
        return vouched, by_exempt

    def _change_of_mind(self, report: SessionReport, exchanger: Exchanger) -> str | None:
        """Words for an exchanger that judged otherwise at the end of the session, or since the
        control was asked: then its answers have to be had once more."""
        for recipient, reply in report.witnesses.items():
            said = report.answers.get(recipient)
            was_accepted = recipient in self.answers and self._was_accepted(recipient)
            if reply.code_class == 5 and (was_accepted or (said is not None and said.is_positive)):
                return _FLIPPED
        for recipient in self.good:
            said = report.answers.get(recipient) or report.witnesses.get(recipient)
            if said is not None and self._is_called_dead(recipient, said, exchanger):
                return f"the exchanger refused {recipient.text}, who is known to be there"
        known = self.known
        if known is None or known.control_reply is None or not exchanger.best:
            return None
        for recipient, reply in report.answers.items():
            is_softer = reply.is_positive and not known.control_reply.is_positive
            if is_softer and not self._is_real(recipient):
                return _SOFTENED
        return None

    def _is_called_dead(self, recipient: Address, reply: Reply, exchanger: Exchanger) -> bool:
        finding = self._classify(reply, exchanger, recipient)
        return reply.code_class == 5 and finding.explicit and finding.label in _DEAD

    def _note_control(
        self, reply: Reply, finding: Finding, exchanger: Exchanger, now: float
    ) -> None:
        shown = judge(finding, reply, Circumstances(control=reply, control_finding=finding))
        # A 4xx on the control says nothing, nor does a no to ourselves: it stays undecided, and
        # is asked again.
        if self.known is None or shown.catch_all is None:
            return
        if not exchanger.best:
            self.backup_control = reply
        elif not self._is_plainer(self.known.control_reply, reply, exchanger):
            self.known = evolve(self.known, control_reply=reply, control_at=now)

    def control_reply(self, exchanger: Exchanger) -> Reply | None:
        """What is known of the control at such an exchanger; None while it has to be asked."""
        if not exchanger.best:
            return self.backup_control
        return None if self.known is None else self.known.control_reply

    def _trouble(
        self, report: SessionReport, exchanger: Exchanger, dialogue: int | None = None
    ) -> Trouble:
        """What those whom this session left unanswered can say of it."""
        if report.refusal is not None:
            reply = report.refusal
            finding = self._classify(reply, exchanger)
            basis = self._basis_of(None, reply, exchanger, dialogue=dialogue, rule=finding.rule)
            judgement = judged(basis, finding, None)
            return Trouble(
                reason=judgement.reason,
                retry=judgement.retry,
                stage=reply.stage,
                reply=reply,
                text=reply.text,
                exchanger=exchanger,
                tls=report.tls,
                basis=basis,
            )
        if report.failure is not None:
            return Trouble(
                reason=report.failure.reason,
                stage=report.failure.stage,
                text=str(report.failure),
                exchanger=exchanger,
                tls=report.tls,
            )
        return Trouble(
            reason=Reason.TEMPORARY,
            stage=Stage.RCPT,
            text="the session ended politely before this recipient was asked",
            exchanger=exchanger,
            tls=report.tls,
        )

    def _classify(
        self, reply: Reply, exchanger: Exchanger, recipient: Address | None = None
    ) -> Finding:
        source = self.source
        return classify(
            reply.stage,
            reply,
            Context(
                source="" if source is None else source.address,
                helo="" if source is None else source.helo,
                reverse_path=self.reverse_path,
                recipient="" if recipient is None else recipient.text,
                exchanger=exchanger.name,
            ),
            self.rules,
        )

    # --- The outcomes ------------------------------------------------------------------------

    def outcome(
        self,
        request: Request,
        *,
        now: float,
        started: float,
        ladder: Ladder,
        gone: str | None = None,
    ) -> Outcome:
        """What to say about one recipient, and when to ask again if it is not the last word.
        `gone` is the source of the attempt before, where that is none any more."""
        recipient = request.address
        answer = self.answers.get(recipient)
        trouble = self.troubles.get(recipient)
        if answer is not None:
            basis = self._basis(recipient, answer)
            judgement = judged(basis, answer.finding, self._control_finding(answer.exchanger))
            said = Trouble(
                reason=judgement.reason,
                retry=judgement.retry,
                stage=Stage.RCPT,
                reply=answer.reply,
                text=answer.reply.text,
                exchanger=answer.exchanger,
                tls=answer.tls,
                catch_all=judgement.catch_all,
                basis=basis,
            )
        else:
            assert trouble is not None
            said = trouble
        return self._settled(request, said, now, started, ladder, gone)

    def _control_finding(self, exchanger: Exchanger) -> Finding | None:
        """What the control's reply says, which is the same for all recipients."""
        control = self.control_reply(exchanger)
        if control is None:
            return None
        if self._read is None or self._read[0] is not control:
            self._read = control, self._classify(control, exchanger)
        return self._read[1]

    def _basis(self, recipient: Address, answer: Answer) -> Basis:
        known = self.known
        return self._basis_of(
            recipient,
            answer.reply,
            answer.exchanger,
            control=self.control_reply(answer.exchanger),
            witness=answer.witness[0],
            witness_reply=answer.witness[1],
            rule=answer.finding.rule,
            dialogue=answer.dialogue,
            # Whoever takes mail for another recipient of the domain does serve it, also if that
            # was some days ago: an old acceptance saves, and never kills.
            every_exchanger_refused_relay=(
                not (self.is_served or (known is not None and known.accepted_at is not None))
                and self.denials.get(recipient, set()) >= self.exchangers
            ),
            # Those whom the best has accepted do not vouch for a backup's refusals.
            another_accepted=known is not None and answer.is_vouched,
            exempt_accepted=known is not None and answer.is_vouched_by_exempt,
        )

    def _held_back(
        self, recipient: Address, answer: Answer, why: str, report: SessionReport
    ) -> Trouble:
        """What a recipient can say whose answer is not believed."""
        asked = (reply for each, reply in report.answers.items() if not self._is_real(each))
        basis = evolve(self._basis(recipient, answer), held_back=why)
        return Trouble(
            reason=Reason.POLICY,
            stage=Stage.RCPT,
            reply=answer.reply,
            text=why,
            exchanger=answer.exchanger,
            tls=answer.tls,
            basis=evolve(basis, control=next(asked, basis.control)),
        )

    def _basis_of(
        self, recipient: Address | None, reply: Reply, exchanger: Exchanger, **more: Any
    ) -> Basis:
        source, known = self.source, self.known
        control = ""
        if known is not None and recipient is not None:
            control = f"{known.control}@{recipient.domain}"
        return Basis(
            reply=reply,
            recipient="" if recipient is None else recipient.text,
            source="" if source is None else source.address,
            helo="" if source is None else source.helo,
            reverse_path=self.reverse_path,
            exchanger=exchanger.name,
            best=exchanger.best,
            control_recipient=control,
            control_wanted=known is not None,
            **more,
        )

    def _heard(self, recipient: Address, basis: Basis | None, attempt: int) -> Hearing | None:
        """What there is to keep, the same for all recipients of the attempt."""
        if basis is not None and not basis.held_back:
            self.hits[basis.rule] += 1
        if self.dialogues is None:
            return None
        if basis is not None:
            self.bases[recipient.key] = basis
        if self._hearing is None and (self.dialogues or self.bases):
            self._hearing = Hearing(
                dialogues=self.dialogues, bases=self.bases, before=self.before, attempt=attempt
            )
        return self._hearing

    def _settled(
        self,
        request: Request,
        said: Trouble,
        now: float,
        started: float,
        ladder: Ladder,
        gone: str | None,
    ) -> Outcome:
        before = request.retry
        attempts = 1 if before is None else before.attempts + 1
        first_at = started if before is None else before.first_attempt_at
        hint = None if said.reply is None else retry_hint(said.reply)
        delay = ladder.delay(said.reason, attempts, hint) if said.retry else None
        source = self.source
        if gone is None or (source is not None and source.address == gone):
            gone = None if before is None else before.gone
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
                evidence=None if before is None else before.evidence,
                gone=gone,
            )
        return Outcome(
            address=request.address.text,
            reason=said.reason,
            final=delay is None,
            catch_all=said.catch_all,
            stage=said.stage,
            code=None if said.reply is None else said.reply.code,
            enhanced=None if said.reply is None else said.reply.enhanced,
            text=said.text if gone is None else _with_gone(said.text, gone),
            exchanger=None if said.exchanger is None else said.exchanger.name,
            exchanger_address=None if said.exchanger is None else said.exchanger.address,
            source=None if source is None else source.address,
            helo=None if source is None else source.helo,
            tls=said.tls,
            attempts=attempts,
            first_attempt_at=first_at,
            checked_at=now,
            next_attempt_at=None if delay is None else now + delay,
            retry=None if delay is None else again,
            evidence=None if before is None else before.evidence,
            hearing=self._heard(request.address, said.basis, attempts),
        )


def _with_gone(text: str | None, gone: str) -> str:
    words = f"(the source of the attempts before, {gone}, is gone)"
    return f"{text} {words}" if text else words


def _hangs_on_control(answer: Answer) -> bool:
    is_vague_no = answer.reply.code_class == 5 and not answer.finding.explicit
    return answer.exchanger.best and (is_acceptance(answer.reply) or is_vague_no)


def _is_positive(recipient: Address, reply: Reply) -> bool:
    return reply.is_positive


def _is_witness(recipient: Address, reply: Reply) -> bool:
    return is_acceptance(reply) and not _is_exempt(recipient)


def _is_exempt(recipient: Address) -> bool:
    return recipient.local.lower() in EXEMPT


def _is_doubtful(reply: Reply, finding: Finding) -> bool:
    """Whether an answer is worth nothing once the exchanger has changed its mind. What it says of
    the moment, or of ourselves, it says for good or asks for another attempt anyhow."""
    return reply.code_class in (2, 5) and finding.label is not Label.BLOCKLISTED
