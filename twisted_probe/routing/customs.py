"""What holds at some sites otherwise than at all others: the provider file's word, and the
operator's before it.

Knows which provider an exchanger's name belongs to, and what holds there; not how it is kept to
(`routing.sites`, `routing.sessions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

from attrs import asdict, frozen

from twisted_probe.routing.limits import DEFAULT_LIMITS, Limits
from twisted_probe.smtp.tls import TlsMode
from twisted_probe.vocabulary.kinds import Flag, Kind, ListOf, Number, Text, Whole
from twisted_probe.vocabulary.toml_text import TomlProblem, parsed, read_table

_T = TypeVar("_T")

#: Recipients of one transaction that every exchanger has to take: RFC 5321 section 4.5.3.1.8.
MAX_PER_TRANSACTION = 100


@frozen(kw_only=True)
class Terms:
    """What is otherwise at one site; what is None holds as everywhere.

    `sessions` at once and `starts_per_second`, over all sources; `errors_per_session`,
    `recipients_per_session` and `recipients_per_transaction`; `one_domain`: the recipients of a
    transaction have to be of one domain.
    """

    sessions: int | None = None
    starts_per_second: float | None = None
    errors_per_session: int | None = None
    recipients_per_session: int | None = None
    recipients_per_transaction: int | None = None
    one_domain: bool | None = None


@frozen(kw_only=True)
class Override(Terms):
    """The operator's word for the exchangers called `name`, or, where it begins with a full
    stop, for all whose names end so. `tls` is whether sessions are encrypted there; with `skip`
    nobody there is asked at all."""

    name: str
    tls: TlsMode | None = None
    skip: bool | None = None


@frozen(kw_only=True)
class Provider(Terms):
    """One who takes the mail of many domains, as one site: the exchangers whose names end with
    one of `suffixes`. `ground` says where its terms are from."""

    name: str
    suffixes: tuple[str, ...]
    ground: str


@frozen(kw_only=True)
class Bounds:
    """What holds at one exchanger, with nothing left open but `recipients_per_transaction`
    (None: as many as it takes) and `tls` (None: as everywhere)."""

    sessions: int = DEFAULT_LIMITS.per_site
    starts_per_second: float = DEFAULT_LIMITS.starts_per_second
    errors_per_session: int = DEFAULT_LIMITS.errors_per_session
    recipients_per_session: int = DEFAULT_LIMITS.recipients_per_session
    recipients_per_transaction: int | None = None
    one_domain: bool = False
    tls: TlsMode | None = None
    skip: bool = False


class Customs:
    """What holds where. `limits` hold everywhere, a provider's terms win over them, and the
    override with the longest name that fits wins over both."""

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        overrides: Iterable[Override] = (),
        providers: Iterable[Provider] | None = None,
    ) -> None:
        self._everywhere = Bounds(
            sessions=limits.per_site,
            starts_per_second=limits.starts_per_second,
            errors_per_session=limits.errors_per_session,
            recipients_per_session=limits.recipients_per_session,
        )
        self._overrides = {override.name: override for override in overrides}
        known = default_providers() if providers is None else providers
        self._providers = {suffix: each for each in known for suffix in each.suffixes}
        # Those of each pair of a provider and an override; the operator's files bound them.
        self._bounds: dict[tuple[str | None, ...], Bounds] = {}

    def provider(self, exchanger: str) -> Provider | None:
        """Whose exchanger it is, by its name in lower case and without the final dot."""
        return _longest(self._providers, exchanger)

    def override(self, exchanger: str) -> Override | None:
        """The operator's word for an exchanger, by its name."""
        return _longest(self._overrides, exchanger)

    def site(self, exchanger: str) -> str | None:
        """The site that this exchanger is of wherever it is met: its provider's."""
        provider = self.provider(exchanger)
        return None if provider is None else provider.name

    def at(self, exchanger: str) -> Bounds:
        """What holds at an exchanger, by its name."""
        whose = self.provider(exchanger), self.override(exchanger)
        pair = tuple(None if terms is None else terms.name for terms in whose)
        if pair not in self._bounds:
            told = asdict(self._everywhere)
            for terms in filter(None, whose):
                said = asdict(terms)
                told |= {name: said[name] for name in told if said.get(name) is not None}
            self._bounds[pair] = Bounds(**told)
        return self._bounds[pair]


def _longest(named: Mapping[str, _T], exchanger: str) -> _T | None:
    """What is there under the longest name that fits."""
    name, rest = exchanger, exchanger
    while name not in named:
        _, dot, rest = rest.partition(".")
        if not dot:
            return None
        name = f".{rest}"
    return named[name]


# --- The provider file -----------------------------------------------------------------------

#: The kinds of a site's terms, in the provider file and in the operator's own.
TERMS: dict[str, Kind] = {
    "sessions": Whole(1, 50, why_most="what Postfix grants one client"),
    "starts_per_second": Number("sessions a second", 0.001, 50),
    "errors_per_session": Whole(
        2,
        20,
        why_least="one is kept for the random recipient",
        why_most="Postfix ends the session with the next one",
    ),
    "recipients_per_session": Whole(2, 1000, why_least="one is kept for the random recipient"),
    "recipients_per_transaction": Whole(1, MAX_PER_TRANSACTION),
    "one_domain": Flag(),
}
_KINDS: dict[str, Kind] = {
    "name": Text(),
    "suffixes": ListOf(Text(), least=1),
    "ground": Text(),
    **TERMS,
}
_NEEDED = ("name", "suffixes", "ground")


@lru_cache(maxsize=1)
def default_providers() -> tuple[Provider, ...]:
    """The providers that come with the package."""
    file = resources.files(__package__).joinpath("providers.toml")
    return load_providers(file.read_bytes(), "providers.toml")


def load_providers(data: bytes, file: str) -> tuple[Provider, ...]:
    """Read providers from a TOML document of the form that providers.toml explains. Raises
    TomlProblem for anything else."""
    document: dict[str, Any] = parsed(data, file)
    rows = []
    for number, table in enumerate(document.get("provider", ()), 1):
        values = read_table(table, _KINDS, file, f"provider[{number}].")
        for key in _NEEDED:
            if key not in values:
                raise TomlProblem(f"{file}: provider[{number}]: it has no {key}")
        rows.append(Provider(**values))
    return tuple(rows)
