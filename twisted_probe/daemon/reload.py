"""SIGHUP: what a running daemon takes over from a configuration that it reads again.

Knows which settings have changed, and which of them have to wait for the next start; not how the
signal is caught (`daemon.hangup`), nor how each part is told (`daemon.service`).
"""

from __future__ import annotations

from typing import Any

from attrs import asdict, evolve, frozen

from twisted_probe.daemon.config import Config, check_sources
from twisted_probe.daemon.settings import BY_NAME, REPEATED, SETTINGS, SITE, SOURCE
from twisted_probe.routing.customs import Override
from twisted_probe.verdict.rules import Rule, default_rules
from twisted_probe.vocabulary.escaping import cut, escaped
from twisted_probe.vocabulary.source import Source

#: Characters shown of a list that has changed.
_MAX_SHOWN = 200
#: Settings that are in force as what is made of them.
_MADE = ("helo", "opt_out", "rules", "timeouts.rfc")


@frozen
class Change:
    """One setting that is not what it was, in words."""

    name: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.name} was {self.before}, is {self.now}"


@frozen
class Reloaded:
    """What comes of a configuration that was read again.

    `config` is what holds from now on, `changes` what is new in it, `later` what was asked for
    and has to wait for the next start.
    """

    config: Config
    changes: tuple[Change, ...]
    later: tuple[Change, ...]


def reloaded(before: Config, wanted: Config) -> Reloaded:
    """Compare; and ask the kernel for sources that are new.

    Raises ConfigError for a source that this machine does not own.
    """
    # A source that is in force may have its fixed port in use.
    known = {(source.address, source.port) for source in before.sources}
    new = [each for each in wanted.sources if (each.address, each.port) not in known]
    check_sources(new, wanted.named(SOURCE))
    later = tuple(
        Change(setting.name, _words(was), _words(now))
        for setting in SETTINGS
        if not setting.is_live
        and (was := getattr(before, setting.key)) != (now := getattr(wanted, setting.key))
    )
    kept = {name: getattr(before, BY_NAME[name].key) for name in (each.name for each in later)}
    config = evolve(wanted, **kept)
    return Reloaded(config, tuple(_changes(before, config)), later)


def _changes(before: Config, now: Config) -> list[Change]:
    was, is_now = _plain(before), _plain(now)
    return [
        Change(name, _words(was[name]), _words(is_now[name]))
        for name in was
        if was[name] != is_now[name]
    ]


def _plain(config: Config) -> dict[str, Any]:
    """Every setting by its name, as it is in force."""
    tables: dict[str, Any] = {
        "": config,
        "timeouts": config.timeouts,
        "limits": config.limits,
        "retry": config.ladder,
        "tls": config.tls,
        "controls": config.controls,
        "cache": config.caching,
    }
    found = {
        setting.name: getattr(tables[setting.table], setting.key)
        for setting in SETTINGS
        if setting.table not in REPEATED and setting.name not in _MADE
    }
    # The operator's own; those of the package come behind them.
    rules = () if config.rules is None else config.rules.rows
    found["rules"] = rules[: max(0, len(rules) - len(default_rules().rows))]
    found["tls.mode"] = config.tls.mode.value
    found[SOURCE] = config.sources
    found[SITE] = config.sites
    return found


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return cut(", ".join(map(_word, value)), _MAX_SHOWN) or "none"
    return _word(value)


def _word(value: Any) -> str:
    if isinstance(value, Source):
        return f"{value.address} ({value.helo})"
    if isinstance(value, Rule):
        return value.name
    if isinstance(value, Override):
        return _override_words(value)
    if isinstance(value, tuple):
        return ":".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else escaped(str(value))


def _override_words(override: Override) -> str:
    told = asdict(override, filter=lambda attribute, value: value is not None)
    name = told.pop("name")
    words = [f"{key} {_word(getattr(value, 'value', value))}" for key, value in told.items()]
    return f"{name} ({', '.join(words)})" if words else name
