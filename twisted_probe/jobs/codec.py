"""Outcomes as JSON text and back, with nothing lost.

Knows every field of an outcome, the retry included; not the record that users read
(`Outcome.record`), which has other times and no retry.
"""

from __future__ import annotations

from typing import Any

from attrs import fields

from twisted_probe.jobs.sealing import DamagedText, sealed, unsealed
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry, TlsReport
from twisted_probe.vocabulary.reply import Stage

#: A hearing is kept by itself (`jobs.hearings`).
_OUTCOME = tuple(field.name for field in fields(Outcome) if field.name != "hearing")
_RETRY = tuple(field.name for field in fields(Retry))
_TLS = tuple(field.name for field in fields(TlsReport))


def encode(outcome: Outcome) -> str:
    """`outcome` as one line of JSON; what is None is left out."""
    plain = _plain(outcome, _OUTCOME)
    if outcome.tls is not None:
        plain["tls"] = _plain(outcome.tls, _TLS)
    if outcome.retry is not None:
        plain["retry"] = _plain(outcome.retry, _RETRY)
    return sealed(plain)


def decode(text: str, **changes: Any) -> Outcome:
    """The outcome that `encode` was given, with these fields changed.

    Raises DamagedText for a text that is none.
    """
    plain = unsealed(text)
    try:
        plain["reason"] = Reason(plain["reason"])
        if "stage" in plain:
            plain["stage"] = Stage(plain["stage"])
        if "tls" in plain:
            plain["tls"] = TlsReport(**plain["tls"])
        if "retry" in plain:
            plain["retry"] = Retry(**{**dict.fromkeys(_RETRY), **plain["retry"]})
        return Outcome(**{**plain, **changes})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedText(f"it is no outcome: {type(error).__name__}") from None


def _plain(value: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: found for name in names if (found := getattr(value, name)) is not None}
