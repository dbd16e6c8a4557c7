"""Providers whose answer at RCPT proves less than it says.

Knows how `providers.toml` is laid and finds an exchanger's provider by the end of its name; not
what becomes of the recipient (`verdict.judge`), nor how a provider words its replies
(`rules.toml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from importlib import resources

from attrs import frozen

from twisted_probe.verdict.tables import read_rows, suffixes_of


class Doubt(str, Enum):
    """Which of a provider's answers proves nothing by itself."""

    #: A yes: everybody may be taken, and bounced later. It counts beside a refused control.
    ACCEPTANCE = "acceptance"
    #: A no: who filters our sender is told that the mailbox is not there. It never counts.
    REFUSAL = "refusal"


@frozen
class Provider:
    """One row: `said` is for the operator, `ground` where it is known from."""

    name: str
    doubts: Doubt
    said: str
    ground: str


_KEYS = frozenset(("name", "exchangers", "doubts", "said", "ground"))


def load_providers(text: str) -> Mapping[str, Provider]:
    """Providers by the suffixes of their exchangers, of the form that providers.toml explains.

    Raises RuleError, naming the provider and the key, for anything that is not of that form.
    """
    found: dict[str, Provider] = {}
    rows, _ = read_rows(text, "provider")
    for row in rows:
        name = row.name(_KEYS)
        doubts = row.choice("doubts", Doubt, row.text("doubts"))
        provider = Provider(name, doubts, row.text("said"), row.text("ground"))
        suffixes = row.suffixes("exchangers")
        if not suffixes:
            raise row.error("exchangers", "it must be there: a provider is known by nothing else")
        for suffix in suffixes:
            if suffix in found:
                raise row.error("exchangers", f"{suffix} is {found[suffix].name!r} already")
            found[suffix] = provider
    return found


@lru_cache(maxsize=1)
def _default_providers() -> Mapping[str, Provider]:
    text = resources.files(__package__).joinpath("providers.toml").read_text("utf-8")
    return load_providers(text)


@lru_cache(maxsize=4096)
def provider_of(exchanger: str) -> Provider | None:
    """The provider that an exchanger's name tells, the longest suffix first; None: none known."""
    providers = _default_providers()
    named = (providers[suffix] for suffix in suffixes_of(exchanger) if suffix in providers)
    return next(named, None)
