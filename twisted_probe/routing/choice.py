"""From which source an attempt goes, and whether it may go now.

Knows pauses, benches and queues, as they are at this moment; not how long a turn takes, nor what
becomes of it (`routing.attempt`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import evolve, frozen

from twisted_probe.routing.exchangers import Route
from twisted_probe.routing.path import Path
from twisted_probe.routing.pauses import Crowded
from twisted_probe.routing.sessions import Sessions
from twisted_probe.routing.tools import Tools
from twisted_probe.smtp.limits import MAX_RECIPIENTS
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.outcome import Retry
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import Wishes


@frozen(kw_only=True)
class Need:
    """What an attempt needs a source for: whom to ask on which `route`, as the attempt before
    did, as somebody wishes, how many `recipients`, and whether their `control` too. It may wait
    where fewer than `max_waiting` do (None: any number), and go `anyway` over a way that is lost.
    """

    route: Route
    reverse_path: str
    retry: Retry | None
    wishes: Wishes
    recipients: int
    control: bool
    max_waiting: int | None
    anyway: bool

    @property
    def places(self) -> int:
        """RCPT commands."""
        return self.recipients + self.control


def site_of(exchanger: Exchanger, route: Route, tools: Tools) -> str:
    """The site that a session with this exchanger counts for."""
    return tools.customs.site(exchanger.name) or route.site


def chosen(need: Need, tools: Tools, sessions: Sessions) -> Source | None:
    """The source of the attempt before, so that greylisting knows us again; else the next in turn
    that the site has not refused. None where there is none.

    Raises Held when that one is paused, or too many wait for the site, or when that is so of all
    who could go; or when there is no way for them. Where there is none for the one of the attempt
    before, another goes.
    """
    now, sources, retry = tools.now(), tools.sources, need.retry
    site = site_of(need.route.exchangers[0], need.route, tools)
    families = frozenset(exchanger.family for exchanger in need.route.exchangers)
    paused, full = tools.pauses.sources, _full(need, site, tools, sessions)
    every = sources.all
    able = [source for source in every if source.family in families]
    shut_out = frozenset(
        source.address
        for source in able
        if sources.is_shut_out(source, _path(need, source, tools).exchanger.address, now)
    )
    closed = frozenset() if need.anyway else tools.families.closed(now)
    lost = {each.address for each in every if each.family in closed}
    if retry is not None and retry.source is not None:
        before = sources.named(retry.source)
        if (
            before is not None
            and before.family in families - closed
            and need.wishes.allow(before)
            and before.address not in shut_out
            and sources.may_go(before, site, now)
        ):
            _stop_if_it_may_not_go(before, full, need, tools)
            return evolve(before, helo=retry.helo or before.helo)
    not_now = {*paused, *full, *lost}
    # One that has as much to do as it may goes only where nobody else can.
    busy = _busy(able, need, tools, sessions)
    source = sources.choose(site, families, now, not_now | shut_out | busy, need.wishes)
    if source is None and busy:
        source = sources.choose(site, families, now, not_now | shut_out, need.wishes)
    if source is None and not_now:
        resting = sources.choose(site, families, now, shut_out, need.wishes)
        if resting is not None:
            _stop_if_it_may_not_go(resting, full, need, tools)
            held = tools.families.held([resting.family])
            if held is not None:
                raise held
    return source


def _path(need: Need, source: Source, tools: Tools) -> Path:
    """The way to the first exchanger of the source's family."""
    exchanger = next(each for each in need.route.exchangers if each.family == source.family)
    return Path(site_of(exchanger, need.route, tools), exchanger, source, need.reverse_path)


def _busy(able: Sequence[Source], need: Need, tools: Tools, sessions: Sessions) -> frozenset[str]:
    """Those whose ceiling is reached, and that would need one session more."""
    return frozenset(
        source.address
        for source in able
        if source.ceiling is not None
        and tools.sources.load(source) >= source.ceiling
        and not sessions.has_room(_path(need, source, tools), need.places)
    )


def _full(need: Need, site: str, tools: Tools, sessions: Sessions) -> frozenset[str]:
    """The sources that would need one session more where too many wait for their turn."""
    most = need.max_waiting
    if most is None or not tools.sites.is_full(site, most, need.wishes.origin):
        return frozenset()
    families = {exchanger.family for exchanger in need.route.exchangers}
    return frozenset(
        source.address
        for source in tools.sources.all
        if source.family in families
        and not sessions.has_room(_path(need, source, tools), need.places)
    )


def _stop_if_it_may_not_go(source: Source, full: Collection[str], need: Need, tools: Tools) -> None:
    """Raises Held, or Crowded: whoever finds too many who wait comes again when the site has had
    the time for those before, as fast as sessions may ever begin there, and as full as they can
    be."""
    held = tools.pauses.held(source=source.address)
    if held is not None:
        raise held
    if source.address not in full:
        return
    path = _path(need, source, tools)
    bounds = tools.customs.at(path.exchanger.name)
    of_recipients = need.places / (bounds.recipients_per_session or MAX_RECIPIENTS)
    # A control is rejected as a rule.
    of_errors = need.control / bounds.errors_per_session
    seconds = max(of_recipients, of_errors) / bounds.starts_per_second
    delay = tools.appointments.make(path.site, need.wishes.origin, tools.now(), seconds)
    raise Crowded(f"too many sessions wait for {path.site}", delay)
