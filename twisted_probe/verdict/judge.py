"""What becomes of a recipient after one reply.

Knows the verdict's rules (attribute before you judge; a 4xx is never dead; a vague refusal
proves nothing by itself); not how words are read (`verdict.classify`) nor when the next attempt
is made (`verdict.ladder`).
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from twisted_probe.verdict.providers import Doubt, Provider
from twisted_probe.verdict.words import enhanced_code, says_the_same
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.outcome import Reason, Verdict
from twisted_probe.vocabulary.reply import Reply, Stage

#: Rules whose name begins so find that the address has an impossible form (RFC 3463 x.1.3).
INVALID_ADDRESS = "invalid-address"
#: Rules whose name begins so find no more than that a mailbox is not available: a block says
#: "refused" or "rejected", and a mailbox that is said to be unavailable is meant itself.
MAILBOX_UNAVAILABLE = "mailbox-unavailable"


@frozen
class Circumstances:
    """What else is known when a recipient is judged.

    `control` is the reply to the control's RCPT in the same transaction, None when it was not
    asked or not answered, and `control_finding` what it says. `control_wanted` is false when
    the operator switched controls off or this recipient is itself one. `catch_all` is what is
    remembered of (domain, source); it counts only where `control` is None.

    `best`: the reply came from a best exchanger of the domain.
    `every_exchanger_refused_relay`: each exchanger of the domain said so, for good.
    `another_accepted`: another recipient of the domain was accepted (`is_acceptance`) by the same
    exchanger from the same source, behind this refusal and in the same session. What was accepted
    earlier does not count: the source may have been shut out since. `exempt_accepted`: so was one
    who is often exempt from blocks, such as postmaster.
    `provider` is what is known of the one whose exchanger answered (`verdict.providers`).
    `recipient`, `control_recipient`: both addresses, to take them out when replies are compared.
    """

    control: Reply | None = None
    control_finding: Finding | None = None
    control_wanted: bool = True
    catch_all: bool | None = None
    best: bool = True
    every_exchanger_refused_relay: bool = False
    another_accepted: bool = False
    exempt_accepted: bool = False
    provider: Provider | None = None
    recipient: str = ""
    control_recipient: str = ""


@frozen
class Judgement:
    """The reason, with its verdict; what is now known of the domain; whether to ask again.

    With `retry` the reason is that of a waiting recipient; the caller makes it final when the
    ladder ends. `catch_all` is about the exchanger that was asked: remember it for the domain
    only where that was a best one.
    """

    reason: Reason
    catch_all: bool | None
    retry: bool

    @property
    def verdict(self) -> Verdict:
        """The answer; every reason belongs to one."""
        return self.reason.verdict


class _Control(Enum):
    """What the control tells of the domain."""

    UNWANTED = "nobody asked it"
    UNDECIDED = "not answered, 4xx, or a refusal that is not about recipients"
    ACCEPTED = "the domain accepts everybody"
    REFUSED = "the domain refuses a random recipient"


_NOT_ASKED = Circumstances()

# Labels of a 5xx that show a random recipient to be unwelcome. The others (block list, pace,
# our sender, their trouble, a full mailbox) would have met any recipient at that moment.
_REFUSES_RECIPIENTS = frozenset(
    (
        Label.NO_SUCH_MAILBOX,
        Label.MAILBOX_DISABLED,
        Label.NO_SUCH_DOMAIN,
        Label.RELAY_DENIED,
        Label.POLICY,
        Label.UNKNOWN,
    )
)

_ABOUT_MAILBOX = frozenset((Label.NO_SUCH_MAILBOX, Label.MAILBOX_DISABLED))
_ABOUT_RECIPIENT = _ABOUT_MAILBOX | {Label.NO_SUCH_DOMAIN}

# Reasons that do not depend on code or control, and whether another attempt is worth its while;
# None: only after a 4xx, for a 5xx will say the same again.
_BY_LABEL: dict[Label, tuple[Reason, bool | None]] = {
    Label.GREYLISTED: (Reason.GREYLISTED, True),
    Label.RATE_LIMITED: (Reason.RATE_LIMITED, True),
    Label.TEMPORARY: (Reason.TEMPORARY, True),
    Label.BLOCKLISTED: (Reason.BLOCKLISTED, True),
    Label.SENDER_REFUSED: (Reason.SENDER_REFUSED, None),
    Label.POLICY: (Reason.POLICY, None),
    Label.PROTOCOL: (Reason.PROTOCOL_ERROR, True),
}

# A 5xx outside RCPT that no label explains: at MAIL the only thing it can be about is our
# reverse-path, before that it is the host that does not want us.
_UNEXPLAINED: dict[Stage, tuple[Reason, bool]] = {
    Stage.MAIL: (Reason.SENDER_REFUSED, False),
    Stage.STARTTLS: (Reason.TLS_FAILED, False),
}


def judge(finding: Finding, reply: Reply, circumstances: Circumstances = _NOT_ASKED) -> Judgement:
    """The judgement that `reply`, with its `finding`, gives for one recipient. Pure.

    `reply.stage` must be the stage it was said at: only a reply at RCPT speaks of a mailbox,
    and none at another stage ends as undeliverable.
    """
    if reply.stage is not Stage.RCPT:
        return _of_session(finding, reply, circumstances)
    control = _control(circumstances)
    known = _KNOWN.get(control)
    if reply.is_positive:
        return _of_acceptance(reply, control, circumstances)
    if reply.code_class not in (4, 5):
        return Judgement(Reason.PROTOCOL_ERROR, known, retry=True)
    if finding.label in _BY_LABEL:
        return _by_label(finding, reply, known)
    if finding.label is Label.MAILBOX_FULL:
        return Judgement(Reason.MAILBOX_FULL, known, retry=False)
    if reply.code_class == 4 or reply.code == 521:
        # RFC 7504: 521 is about the host, whatever the words behind it.
        return Judgement(Reason.TEMPORARY, known, retry=True)
    if finding.label in _ABOUT_MAILBOX and _is_doubted(Doubt.REFUSAL, circumstances):
        return Judgement(Reason.POLICY, known, retry=False)
    if finding.explicit and finding.label in _ABOUT_RECIPIENT:
        return Judgement(_dead_reason(finding, reply), known, retry=False)
    if finding.explicit and finding.label is Label.RELAY_DENIED:
        return _of_relay(known, circumstances)
    return _of_vague_refusal(finding, reply, control, circumstances)


def is_acceptance(reply: Reply) -> bool:
    """Whether a reply to RCPT takes mail for this mailbox (RFC 5321 section 4.3.2: 250, or 251
    where it is forwarded). A 252 has not looked, and no other 2xx is an answer to RCPT."""
    return reply.code in (250, 251)


def _is_doubted(doubt: Doubt, circumstances: Circumstances) -> bool:
    return circumstances.provider is not None and circumstances.provider.doubts is doubt


_KNOWN = {_Control.ACCEPTED: True, _Control.REFUSED: False}


def _control(circumstances: Circumstances) -> _Control:
    control, finding = circumstances.control, circumstances.control_finding
    if control is None:
        if circumstances.catch_all is not None:
            return _Control.ACCEPTED if circumstances.catch_all else _Control.REFUSED
        return _Control.UNDECIDED if circumstances.control_wanted else _Control.UNWANTED
    if control.is_positive:
        return _Control.ACCEPTED
    if control.code_class == 5 and (finding is None or finding.label in _REFUSES_RECIPIENTS):
        return _Control.REFUSED
    return _Control.UNDECIDED


def _of_acceptance(reply: Reply, control: _Control, circumstances: Circumstances) -> Judgement:
    known = _KNOWN.get(control)
    if reply.code == 252:
        return Judgement(Reason.UNCONFIRMED, known, retry=False)
    if control is _Control.ACCEPTED:
        return Judgement(Reason.CATCH_ALL, known, retry=False)
    if not circumstances.best:
        # A backup takes what it cannot check and stores it (design rule 3).
        return Judgement(Reason.UNCONFIRMED, known, retry=False)
    if control is _Control.UNDECIDED:
        return Judgement(Reason.UNCONFIRMED, known, retry=True)
    if control is _Control.UNWANTED and _is_doubted(Doubt.ACCEPTANCE, circumstances):
        return Judgement(Reason.UNCONFIRMED, known, retry=False)
    return Judgement(Reason.ACCEPTED, known, retry=False)


def _by_label(finding: Finding, reply: Reply, known: bool | None) -> Judgement:
    reason, retry = _BY_LABEL[finding.label]
    return Judgement(reason, known, retry=reply.code_class == 4 if retry is None else retry)


def _dead_reason(finding: Finding, reply: Reply) -> Reason:
    if finding.label is Label.MAILBOX_DISABLED:
        return Reason.MAILBOX_DISABLED
    if finding.label is Label.NO_SUCH_DOMAIN:
        # RFC 7505: 556 and 5.1.10 say that the domain takes no mail; it may well exist.
        takes_no_mail = reply.code == 556 or enhanced_code(reply) == "5.1.10"
        return Reason.NO_MAIL if takes_no_mail else Reason.NO_SUCH_DOMAIN
    if finding.rule.startswith(INVALID_ADDRESS):
        return Reason.INVALID_ADDRESS
    return Reason.NO_SUCH_MAILBOX


def _of_relay(known: bool | None, circumstances: Circumstances) -> Judgement:
    """One exchanger that does not serve the domain is a fault of its set-up, which may pass and
    of which the others know nothing; only all of them together speak for the domain."""
    if circumstances.every_exchanger_refused_relay:
        return Judgement(Reason.RELAY_DENIED, known, retry=False)
    return Judgement(Reason.TEMPORARY, known, retry=True)


def _of_vague_refusal(
    finding: Finding, reply: Reply, control: _Control, circumstances: Circumstances
) -> Judgement:
    """A 5xx that does not say what it is about; the control tells.

    Refused like the random recipient: where the exchanger accepts another one behind it in the
    same session, "not you" means that there is no such mailbox; else it may refuse everybody who
    comes from this source, however many it has accepted before. Who is exempt from blocks shows
    less: only that a refusal which speaks of a mailbox is none of the source. Unlike the random
    recipient, accepted or refused in other words: a rule about this recipient that is not its
    absence. While the control is undecided, or was only remembered and cannot be compared, a
    later attempt may decide.
    """
    known = _KNOWN.get(control)
    other = circumstances.control
    if control is not _Control.REFUSED:
        return Judgement(Reason.POLICY, known, retry=control is _Control.UNDECIDED)
    if other is None:
        return Judgement(Reason.POLICY, known, retry=True)
    if says_the_same(reply, circumstances.recipient, other, circumstances.control_recipient):
        if circumstances.another_accepted or (
            circumstances.exempt_accepted and _speaks_of_mailbox(finding, reply)
        ):
            return Judgement(Reason.NO_SUCH_MAILBOX, known, retry=False)
        return Judgement(Reason.REJECTS_EVERYONE, known, retry=False)
    return Judgement(Reason.POLICY, known, retry=False)


def _speaks_of_mailbox(finding: Finding, reply: Reply) -> bool:
    """Whether a vague refusal's words name a mailbox as no block of the source does: "mailbox
    unavailable", but neither "rejected" nor "recipient rejected". RFC 3463 x.7.x is about
    security or policy."""
    is_policy = (enhanced_code(reply) or "").startswith("5.7.")
    return finding.rule.startswith(MAILBOX_UNAVAILABLE) and not is_policy


def _of_session(finding: Finding, reply: Reply, circumstances: Circumstances) -> Judgement:
    """A reply outside RCPT: about the source, the sender, the site or us, never a mailbox.

    A positive one has no place here, and neither has one that is neither 4xx nor 5xx: somebody
    is out of step. A greeting's policy is a refusal like any other (`refused`).
    """
    known = circumstances.catch_all
    if reply.code_class not in (4, 5):
        return Judgement(Reason.PROTOCOL_ERROR, known, retry=True)
    greeting_policy = reply.stage is Stage.GREETING and finding.label is Label.POLICY
    if finding.label in _BY_LABEL and not greeting_policy:
        return _by_label(finding, reply, known)
    if reply.code_class == 4:
        return Judgement(Reason.TEMPORARY, known, retry=True)
    reason, retry = _UNEXPLAINED.get(reply.stage, (Reason.REFUSED, True))
    return Judgement(reason, known, retry)
