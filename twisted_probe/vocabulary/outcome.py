"""An outcome: what we say about one address, and what an operator should make of it.

Knows the verdicts, the reasons and the one record that every output has; not how an outcome
comes about (`verdict.judge`) nor where it is written (`jobs`).
"""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum
from typing import Any

from attrs import field, frozen

from twisted_probe.vocabulary.flags import FLAG_FIELDS, NO_FLAGS, Flags
from twisted_probe.vocabulary.hearing import Hearing
from twisted_probe.vocabulary.reply import Stage


class Verdict(str, Enum):
    """The four answers. The docstring of each says what to make of it (docs/verdicts.rst)."""

    __doc__: str

    def __new__(cls, value: str, doc: str = "") -> Verdict:
        member = str.__new__(cls, value)
        member._value_ = value
        member.__doc__ = doc
        return member

    DELIVERABLE = (
        "deliverable",
        "An exchanger that serves the domain takes mail for this mailbox, and not for everybody. "
        "Send.",
    )
    RISKY = (
        "risky",
        "The mailbox may well be there, but nothing says that a message arrives. Send where a "
        "bounce does no harm.",
    )
    UNDELIVERABLE = (
        "undeliverable",
        "The address itself, the DNS or the exchangers say for good that no message arrives. Do "
        "not send.",
    )
    UNKNOWN = (
        "unknown",
        "Nobody has spoken of this mailbox: what was said is about us, about the moment or about "
        "the way there. It is no reason to remove the address. Mend what the reason names, and "
        "ask again.",
    )


class Reason(str, Enum):
    """Why a verdict was given. Each one belongs to one verdict; its docstring is advice
    (docs/verdicts.rst)."""

    verdict: Verdict
    __doc__: str

    # The defaults are for type checkers, which take `Reason("greylisted")` for this call.
    def __new__(cls, value: str, verdict: Verdict = Verdict.UNKNOWN, doc: str = "") -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.verdict = verdict
        member.__doc__ = doc
        return member

    ACCEPTED = (
        "accepted",
        Verdict.DELIVERABLE,
        "The exchanger accepts this recipient and refuses a random one of the same domain. "
        "Nothing to do. With control = false no random one is asked, and domains that accept "
        "everybody are not told from others.",
    )
    CATCH_ALL = (
        "catch_all",
        Verdict.RISKY,
        "The domain accepts every recipient, so its answer says nothing of this mailbox. Send "
        "with care and watch for bounces.",
    )
    MAILBOX_FULL = (
        "mailbox_full",
        Verdict.RISKY,
        "The mailbox exists and is over its quota. Ask again in some days; one that stays full "
        "for weeks is abandoned.",
    )
    UNCONFIRMED = (
        "unconfirmed",
        Verdict.RISKY,
        "The recipient was taken without a promise: 252, a backup exchanger, a domain whose random "
        "recipient was never decided, or, where none was asked, a provider that is known to take "
        "everybody and bounce later. Treat it like catch_all.",
    )
    NO_SUCH_MAILBOX = (
        "no_such_mailbox",
        Verdict.UNDELIVERABLE,
        "The exchanger that serves the domain says that there is no such mailbox. Remove the "
        "address.",
    )
    MAILBOX_DISABLED = (
        "mailbox_disabled",
        Verdict.UNDELIVERABLE,
        "The mailbox is or was there and takes no mail: disabled, suspended, moved. Remove the "
        "address; it may come back one day.",
    )
    INVALID_ADDRESS = (
        "invalid_address",
        Verdict.UNDELIVERABLE,
        "The line is no e-mail address by RFC 5321 and 6531, or the exchanger says that its form "
        "is impossible. Correct the line; the text says what is wrong.",
    )
    NO_SUCH_DOMAIN = (
        "no_such_domain",
        Verdict.UNDELIVERABLE,
        "The domain does not exist, or has neither an MX nor an address record. Look for a typing "
        "mistake, else remove the address.",
    )
    NO_MAIL = (
        "no_mail",
        Verdict.UNDELIVERABLE,
        "The domain says that it takes no mail (null MX of RFC 7505, or 556). Remove the address.",
    )
    RELAY_DENIED = (
        "relay_denied",
        Verdict.UNDELIVERABLE,
        "Every exchanger of the domain says for good that it does not serve the domain. The "
        "domain's MX records are wrong or its mail service has ended.",
    )
    GREYLISTED = (
        "greylisted",
        Verdict.UNKNOWN,
        "The exchanger wants the same source to come again later (RFC 6647). The daemon does so "
        "by itself; on the command line use --wait.",
    )
    RATE_LIMITED = (
        "rate_limited",
        Verdict.UNKNOWN,
        "The exchanger says that we are too fast or too many. The daemon asks again later by "
        "itself; where it comes often, lower per_site and starts_per_second in [limits].",
    )
    TEMPORARY = (
        "temporary",
        Verdict.UNKNOWN,
        "The exchanger has trouble of its own, or says 'later'. The daemon asks again by itself; "
        "on the command line use --wait.",
    )
    BLOCKLISTED = (
        "blocklisted",
        Verdict.UNKNOWN,
        "The source address is refused: block list, reputation, reverse DNS. Read the text, mend "
        "the cause, ask for delisting; the mailbox was not judged.",
    )
    SENDER_REFUSED = (
        "sender_refused",
        Verdict.UNKNOWN,
        "Our reverse-path, HELO name or identity (SPF, reverse DNS, authentication) is refused. "
        "Set a reverse-path that receives mail and a HELO name that resolves to the source; "
        "mailprobe doctor looks at all of them.",
    )
    POLICY = (
        "policy",
        Verdict.UNKNOWN,
        "The exchanger refuses by a rule of its own that is neither about the mailbox nor clearly "
        "about us. Keep the address: what the rule is cannot be known from outside.",
    )
    REFUSED = (
        "refused",
        Verdict.UNKNOWN,
        "Nothing took the connection, or the greeting said no. Ask again later; if it stays, the "
        "domain's mail service is down or does not talk to this source.",
    )
    TIMEOUT = (
        "timeout",
        Verdict.UNKNOWN,
        "The exchanger did not answer in time; the stage says where. If many unrelated domains "
        "time out at connect, port 25 is closed on your side.",
    )
    CONNECTION_LOST = (
        "connection_lost",
        Verdict.UNKNOWN,
        "The connection ended before this recipient was answered. Ask again later.",
    )
    NO_ROUTE = (
        "no_route",
        Verdict.UNKNOWN,
        "No route leads from the source to the exchanger. Check the machine's routes, and whether "
        "there is a source of the exchanger's address family (IPv4, IPv6).",
    )
    PROTOCOL_ERROR = (
        "protocol_error",
        Verdict.UNKNOWN,
        "What came back was not SMTP, or not in step with what was asked; nothing of it was "
        "believed. The text shows what it was.",
    )
    TLS_FAILED = (
        "tls_failed",
        Verdict.UNKNOWN,
        "TLS was required and could not be had as required. Lower the requirement for the site "
        "or tell its postmaster.",
    )
    DNS_ERROR = (
        "dns_error",
        Verdict.UNKNOWN,
        "The DNS gave no answer that can be trusted (SERVFAIL, timeout, loop). Ask again later; "
        "if many domains fail so, see what mailprobe doctor says of the resolvers.",
    )
    FORBIDDEN_EXCHANGER = (
        "forbidden_exchanger",
        Verdict.UNKNOWN,
        "The domain's exchangers have only addresses that are never dialled: private, loopback, "
        "reserved, or our own. If the network is yours, name it in allow_networks.",
    )
    SOURCE_UNAVAILABLE = (
        "source_unavailable",
        Verdict.UNKNOWN,
        "No source address could be used: not on this machine any more, or of the other address "
        "family, or not one that the job names. Nothing was sent from any other address. Run "
        "mailprobe doctor, and add a source of the family that is missing.",
    )
    SMTPUTF8_UNSUPPORTED = (
        "smtputf8_unsupported",
        Verdict.UNKNOWN,
        "The address needs SMTPUTF8 (RFC 6531) and no exchanger of the domain offers it, so hardly "
        "anybody can write to it. Ask its owner for an address in ASCII.",
    )
    REJECTS_EVERYONE = (
        "rejects_everyone",
        Verdict.UNKNOWN,
        "The exchanger refuses everybody in the same vague words, the random recipient too, and "
        "accepts nobody else in the same session, at most postmaster, who is often exempt. Keep "
        "the address: it cannot be known from this source, unless a known_good address of the "
        "domain is accepted.",
    )
    SKIPPED = (
        "skipped",
        Verdict.UNKNOWN,
        "Your own configuration says never to ask: the opt_out list has the address or its domain, "
        "or a [[site]] with skip = true has its exchanger. Nothing was sent to anybody.",
    )
    INTERNAL_ERROR = (
        "internal_error",
        Verdict.UNKNOWN,
        "A fault of ours; the log has the traceback. Please report it. The address is asked again.",
    )


@frozen
class TlsReport:
    """What was found of the session's TLS."""

    version: str | None = None
    cipher: str | None = None
    verified: bool = False
    problem: str | None = None


@frozen
class Retry:
    """What the next attempt has to repeat, so that greylisting recognises us (design rule 6).

    `source` and `helo` are None when the attempt before came to nobody whom a source could have
    asked. `attempts` counts what was tried so far, `first_attempt_at` is when (POSIX seconds).
    `evidence` is the ledger's number for the hearing of the attempt before. `gone` is the source
    that an earlier attempt had, and that was none any more when the next one went from another.
    """

    source: str | None
    helo: str | None
    reverse_path: str
    control: str | None
    attempts: int
    first_attempt_at: float
    evidence: int | None = field(default=None, repr=False)
    gone: str | None = None


def _optional_time(moment: float | None) -> str | None:
    return None if moment is None else iso_time(moment)


def iso_time(moment: float) -> str:
    """POSIX seconds as ISO 8601 in UTC, to the millisecond."""
    text = datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@frozen(kw_only=True)
class Outcome:
    """What we say about one address. Times are POSIX seconds; `record` has them as ISO 8601.

    `text` is what was said: the reply's text, or our own words where there is none; behind it, in
    parentheses, stands which source of the attempts before is gone.

    `final` is false while another attempt is worth its while: `next_attempt_at` says when and
    `retry` what it has to repeat. `catch_all` is None while nobody knows.

    `hearing` is what the outcome rests on, where the prober keeps that; `evidence` is its
    number once a ledger has it. Neither stands in a record.
    """

    address: str
    reason: Reason
    final: bool = True
    catch_all: bool | None = None
    stage: Stage | None = None
    code: int | None = None
    enhanced: str | None = None
    text: str | None = None
    exchanger: str | None = None
    exchanger_address: str | None = None
    source: str | None = None
    helo: str | None = None
    tls: TlsReport | None = None
    attempts: int = 0
    first_attempt_at: float | None = None
    checked_at: float
    next_attempt_at: float | None = None
    cached: bool = False
    job: str | None = None
    line: int | None = None
    retry: Retry | None = field(default=None, repr=False)
    evidence: int | None = field(default=None, repr=False)
    hearing: Hearing | None = field(default=None, eq=False, repr=False)

    @property
    def verdict(self) -> Verdict:
        """The answer; every reason belongs to one."""
        return self.reason.verdict

    def record(self, flags: Flags = NO_FLAGS) -> dict[str, Any]:
        """The one shape of every output, null where there is nothing (design section 3).

        `flags` are those of the address; the outcome does not know them.
        """
        tls = self.tls
        return {
            "line": self.line,
            "address": self.address,
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "final": self.final,
            "catch_all": self.catch_all,
            "stage": None if self.stage is None else self.stage.value,
            "code": self.code,
            "enhanced": self.enhanced,
            "text": self.text,
            "exchanger": self.exchanger,
            "exchanger_address": self.exchanger_address,
            "source": self.source,
            "helo": self.helo,
            "tls": None
            if tls is None
            else {
                "version": tls.version,
                "cipher": tls.cipher,
                "verified": tls.verified,
                "problem": tls.problem,
            },
            "attempts": self.attempts,
            "first_attempt_at": _optional_time(self.first_attempt_at),
            "checked_at": iso_time(self.checked_at),
            "next_attempt_at": _optional_time(self.next_attempt_at),
            "cached": self.cached,
            "job": self.job,
            **flags.record(),
        }


_TLS_FIELDS = ("version", "cipher", "verified", "problem")

#: The names of the flat form, in order, without a prefix.
FLAT_FIELDS: tuple[str, ...] = tuple(
    flat
    for name in (
        "line",
        "address",
        "verdict",
        "reason",
        "final",
        "catch_all",
        "stage",
        "code",
        "enhanced",
        "text",
        "exchanger",
        "exchanger_address",
        "source",
        "helo",
        "tls",
        "attempts",
        "first_attempt_at",
        "checked_at",
        "next_attempt_at",
        "cached",
        "job",
        *FLAG_FIELDS,
    )
    for flat in ([f"tls_{part}" for part in _TLS_FIELDS] if name == "tls" else [name])
)


def flat_record(record: dict[str, Any]) -> dict[str, str]:
    """`Outcome.record()` as flat text for CSV: null is empty, booleans are true and false."""
    tls = record["tls"] or dict.fromkeys(_TLS_FIELDS)
    whole = {**record, **{f"tls_{part}": tls[part] for part in _TLS_FIELDS}}
    return {name: _flat(whole[name]) for name in FLAT_FIELDS}


def _flat(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
