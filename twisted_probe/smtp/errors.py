"""What can go wrong with a session. The docstring of an error is what the operator reads.

Whose fault? `Misuse` is a bug of the program that drives the wire, and raises at once.
`SessionError` is trouble of the transport or the peer, and comes through Deferreds. `Refusal`
is a reply that says no, raised only for those who ask for it with `raise_for_refusal`.

What is about an exchanger has the same three on it, whichever family it is of: `host` (its
address), `code` (of the reply that is to blame, None where there is none) and `text` (the words
alone, safe to print).
"""

from __future__ import annotations

from copy import copy

from twisted_probe.verdict.classify import Context, classify
from twisted_probe.vocabulary.finding import Finding, Label
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply, Stage


class Misuse(Exception):
    """A command that must not be sent."""


class OutOfOrder(Misuse):
    """The command is not allowed in this state of the session (RFC 5321 section 4.1.4)."""


class ForbiddenCommand(Misuse):
    """DATA, BDAT and VRFY are never sent: a prober sends no mail and does not guess names."""


class UnsafeCommand(Misuse):
    """A command holds CR, LF, NUL or another control character, or is longer than a line."""


class TooManyRecipients(Misuse):
    """The session has asked as many recipients as it may; open another one."""

    code: int | None = None

    def __init__(self, host: str, limit: int) -> None:
        self.text = f"{limit} recipients were asked in this session, the limit"
        super().__init__(f"{host}: {self.text}")
        self.host = host
        self.limit = limit


class SessionError(Exception):
    """A session that ended before its answer came.

    `host` is the exchanger's address, `text` what happened and `stage` where; `code` is None but
    where a reply ended the session unasked (421). `replies` are what the group of commands that
    failed had been answered until then, in step.
    """

    reason = Reason.CONNECTION_LOST

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        stage: Stage = Stage.CONNECT,
        replies: tuple[Reply, ...] = (),
        code: int | None = None,
    ) -> None:
        super().__init__(f"{host}: {message}" if host else message)
        self.host = host
        self.code = code
        self.text = message
        self.stage = stage
        self.replies = replies

    def during(self, stage: Stage, replies: tuple[Reply, ...]) -> SessionError:
        """The same trouble as one group of commands met it: at `stage`, after `replies`."""
        again = copy(self)
        again.stage, again.replies = stage, replies
        return again


class ConnectTimeout(SessionError):
    """The exchanger's host did not answer the connection attempt in time."""

    reason = Reason.TIMEOUT


class ReplyTimeout(SessionError):
    """The exchanger did not finish a reply in time, or the session's time is over."""

    reason = Reason.TIMEOUT


class NoRoute(SessionError):
    """No route leads from the source to the exchanger."""

    reason = Reason.NO_ROUTE


class Refused(SessionError):
    """Nothing listens at the exchanger's port."""

    reason = Reason.REFUSED


class SourceUnavailable(SessionError):
    """The session could not leave from its source: the address is not on this machine, is of
    the other family, or its fixed port is taken: by another program, or by an earlier session
    with the same exchanger. No other source was tried in its place."""

    reason = Reason.SOURCE_UNAVAILABLE


class LocalExhaustion(SessionError):
    """This machine has no file descriptor or port left for another session; not the source's
    fault and not the exchanger's."""

    reason = Reason.INTERNAL_ERROR


class SessionLost(SessionError):
    """The connection was closed or reset before the reply was complete."""

    reason = Reason.CONNECTION_LOST


class TlsFailed(SessionError):
    """No encrypted session could be had: the handshake failed, or what is required is missing."""

    reason = Reason.TLS_FAILED


class ProtocolViolation(SessionError):
    """The peer does not speak SMTP, or answered what was not asked. The connection was cut."""

    reason = Reason.PROTOCOL_ERROR


class OutOfStep(ProtocolViolation):
    """The replies are not those to our commands: more came than were asked for, or one that
    cannot be the answer. Any answer of the session may belong to another recipient; believe
    none, those in `replies` neither (`smtp.belief`)."""


class Ourselves(SessionError):
    """The exchanger greets with our own name: the domain's mail comes back to this machine."""

    reason = Reason.FORBIDDEN_EXCHANGER


class Refusal(Exception):
    """A reply that says no, with the exchanger's `host`, the `code` and the `text`."""

    def __init__(self, reply: Reply, finding: Finding) -> None:
        super().__init__(f"{reply.host}: {reply}")
        self.reply = reply
        self.finding = finding
        self.host = reply.host
        self.code = reply.code
        self.text = reply.text


class Blocklisted(Refusal):
    """The exchanger refuses the source address: block list, reputation, reverse DNS."""


class Greylisted(Refusal):
    """The exchanger wants the same source, HELO name and reverse-path to come again later."""


class RateLimited(Refusal):
    """The exchanger says that we are too fast, or too many."""


class SenderRefused(Refusal):
    """The exchanger refuses the reverse-path, the HELO name or our identity."""


class RecipientRefused(Refusal):
    """The exchanger refuses the recipient: unknown, disabled, full, or its domain not served."""


class OtherRefusal(Refusal):
    """The exchanger says no for a reason of its own: policy, trouble, protocol, or unexplained."""


_REFUSALS: dict[Label, type[Refusal]] = {
    Label.BLOCKLISTED: Blocklisted,
    Label.GREYLISTED: Greylisted,
    Label.RATE_LIMITED: RateLimited,
    Label.SENDER_REFUSED: SenderRefused,
    Label.NO_SUCH_MAILBOX: RecipientRefused,
    Label.MAILBOX_DISABLED: RecipientRefused,
    Label.MAILBOX_FULL: RecipientRefused,
    Label.RELAY_DENIED: RecipientRefused,
    Label.NO_SUCH_DOMAIN: RecipientRefused,
}


def raise_for_refusal(reply: Reply, context: Context | None = None) -> Reply:
    """Give `reply` back when it says yes, else raise the `Refusal` that its words amount to.

    `context` (our source, HELO name, reverse-path, the recipient) helps to tell about whom the
    reply speaks, and the exchanger's name there by which provider it is said (`reply.host` is only
    an address); without it the words alone decide.
    """
    finding = classify(reply.stage, reply, context or Context())
    if finding.label is Label.ACCEPTED:
        return reply
    raise _REFUSALS.get(finding.label, OtherRefusal)(reply, finding)
