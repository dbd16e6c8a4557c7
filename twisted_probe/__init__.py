"""Ask exchangers which mailboxes are alive, from source addresses that you choose.

The names below are for programs that embed the prober. Each is imported when it is first used,
so that `import twisted_probe` costs nothing, imports no Twisted and installs no reactor.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from twisted_probe.flags.lookup import flags_of
    from twisted_probe.routing.engine import Engine
    from twisted_probe.routing.opening import open_session
    from twisted_probe.routing.prober import Prober
    from twisted_probe.smtp.conversation import SessionReport, converse
    from twisted_probe.smtp.errors import (
        Blocklisted,
        ConnectTimeout,
        Greylisted,
        NoRoute,
        OtherRefusal,
        ProtocolViolation,
        RateLimited,
        RecipientRefused,
        Refusal,
        Refused,
        ReplyTimeout,
        SessionError,
        SessionLost,
        SourceUnavailable,
        TooManyRecipients,
        raise_for_refusal,
    )
    from twisted_probe.smtp.factory import ProbeFactory
    from twisted_probe.smtp.limits import Timeouts
    from twisted_probe.smtp.manner import Manner
    from twisted_probe.smtp.protocol import ProbeProtocol
    from twisted_probe.smtp.states import State
    from twisted_probe.verdict.classify import Context
    from twisted_probe.verdict.ladder import Ladder
    from twisted_probe.vocabulary.address import Address, AddressError, parse_address
    from twisted_probe.vocabulary.flags import Flags
    from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, Verdict
    from twisted_probe.vocabulary.reply import Reply, Stage
    from twisted_probe.vocabulary.source import Source
    from twisted_probe.vocabulary.wishes import Wishes

_HOMES = {
    "Address": "vocabulary.address",
    "AddressError": "vocabulary.address",
    "Blocklisted": "smtp.errors",
    "ConnectTimeout": "smtp.errors",
    "Context": "verdict.classify",
    "Engine": "routing.engine",
    "Flags": "vocabulary.flags",
    "Greylisted": "smtp.errors",
    "Ladder": "verdict.ladder",
    "Manner": "smtp.manner",
    "NoRoute": "smtp.errors",
    "OtherRefusal": "smtp.errors",
    "Outcome": "vocabulary.outcome",
    "ProbeFactory": "smtp.factory",
    "ProbeProtocol": "smtp.protocol",
    "Prober": "routing.prober",
    "ProtocolViolation": "smtp.errors",
    "RateLimited": "smtp.errors",
    "Reason": "vocabulary.outcome",
    "RecipientRefused": "smtp.errors",
    "Refusal": "smtp.errors",
    "Refused": "smtp.errors",
    "Reply": "vocabulary.reply",
    "ReplyTimeout": "smtp.errors",
    "Retry": "vocabulary.outcome",
    "SessionError": "smtp.errors",
    "SessionLost": "smtp.errors",
    "SessionReport": "smtp.conversation",
    "Source": "vocabulary.source",
    "SourceUnavailable": "smtp.errors",
    "Stage": "vocabulary.reply",
    "State": "smtp.states",
    "Timeouts": "smtp.limits",
    "TooManyRecipients": "smtp.errors",
    "Verdict": "vocabulary.outcome",
    "Wishes": "vocabulary.wishes",
    "converse": "smtp.conversation",
    "flags_of": "flags.lookup",
    "open_session": "routing.opening",
    "parse_address": "vocabulary.address",
    "raise_for_refusal": "smtp.errors",
}

__all__ = [
    "Address",
    "AddressError",
    "Blocklisted",
    "ConnectTimeout",
    "Context",
    "Engine",
    "Flags",
    "Greylisted",
    "Ladder",
    "Manner",
    "NoRoute",
    "OtherRefusal",
    "Outcome",
    "ProbeFactory",
    "ProbeProtocol",
    "Prober",
    "ProtocolViolation",
    "RateLimited",
    "Reason",
    "RecipientRefused",
    "Refusal",
    "Refused",
    "Reply",
    "ReplyTimeout",
    "Retry",
    "SessionError",
    "SessionLost",
    "SessionReport",
    "Source",
    "SourceUnavailable",
    "Stage",
    "State",
    "Timeouts",
    "TooManyRecipients",
    "Verdict",
    "Wishes",
    "__version__",
    "converse",
    "flags_of",
    "open_session",
    "parse_address",
    "raise_for_refusal",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
