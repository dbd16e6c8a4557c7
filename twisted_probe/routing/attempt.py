"""One attempt: some recipients of one domain, asked once, from one source.

Knows the walk over exchangers and sessions; the dialogue itself is `smtp.conversation`'s, what
the answers amount to `routing.evidence`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from twisted_probe.routing.benches import key_of
from twisted_probe.routing.choice import Need, chosen, site_of
from twisted_probe.routing.evidence import Evidence, Request, Trouble
from twisted_probe.routing.exchangers import NoExchanger, Route, find_route
from twisted_probe.routing.memory import Benched, Known
from twisted_probe.routing.names import NoSocket
from twisted_probe.routing.path import Path
from twisted_probe.routing.pauses import HOLD, Held
from twisted_probe.routing.sessions import STOPPED, Answered, Errand, Sessions
from twisted_probe.routing.sites import pressed
from twisted_probe.routing.sources import BENCH
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Trouble as OurTrouble
from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import LocalExhaustion, SessionError, SourceUnavailable, TlsFailed
from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

_log = Logger()

#: Sessions of one attempt that may end in trouble; Postfix smtp_mx_session_limit.
MAX_TROUBLED_SESSIONS = 2
#: Seconds from the beginning of a session that brought answers until no other begins before they
#: are kept.
AWAITED = 5.0
_ANSWERED = "the others have their answers"
#: Letters and digits of a control's local part: more than anybody has by chance.
CONTROL_LENGTH = 18
_CONTROL_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
#: Why some are never asked, in words.
OPTED_OUT = "it is opted out"
#: Seconds until those are asked again whose session could not begin as it was meant to, which
#: says nothing of them.
_SOON = 1.0
_CATCH_ALL = "not asked: the domain accepts a random recipient"


class _Barred(Held):
    """What is told now forbids to ask some of those who wait for the session."""


class Attempt:
    """One attempt for `requests`, all of `domain`, of the same `retry` and the same `wishes`.

    Where `max_waiting` sessions wait for the site, or as many as the tools say, it is not made.
    One that goes `anyway` is made, and ends, as if this machine had no trouble of its own. Of one
    that ends `in_parts` answers are not kept for long until the others have theirs, and whoever
    finds a source that cannot be bound is held.
    """

    def __init__(
        self,
        tools: Tools,
        sessions: Sessions,
        domain: str,
        retry: Retry | None,
        requests: Sequence[Request],
        wishes: Wishes = NO_WISHES,
        *,
        max_waiting: int | None = None,
        anyway: bool = False,
        in_parts: bool = False,
    ) -> None:
        self._tools = tools
        self._sessions = sessions
        self._domain = domain
        self._retry = retry
        self._requests = requests
        self._wishes = wishes
        self._max_waiting = max_waiting
        self._goes_anyway = anyway
        self._ends_in_parts = in_parts
        self._answered_since: float | None = None
        self._started = tools.now()
        self._evidence = Evidence(
            source=None,
            reverse_path=self._reverse_path(),
            rules=tools.rules,
            is_wary=tools.controls.second_control,
            good=tools.controls.known_good,
            dialogues=[] if tools.evidence else None,
            before=None if retry is None else retry.evidence,
            hits=tools.hits,
        )
        # Those whom nobody has answered for good.
        self._open = {request.address for request in requests}
        self._number = len(self._open)
        self._site: str | None = None
        self._hosts: frozenset[str] = frozenset()
        self._networks = tools.networks  # by which the route was found
        self._chosen: Source | None = None  # as it was told then
        self._errand: Errand | None = None
        self._recalled: Held | None = None
        self._taken_back: Held | None = None

    async def run(self) -> list[Outcome]:
        """Ask, and give an outcome for each request, in order.

        Raises Held, with the outcomes that there are, when those who are left cannot be asked
        now: something is paused that they need, this machine has trouble, their source is not
        what it was, others have their answers and no session begins; or after `recall`. Raises
        Crowded when too many wait for the site.
        """
        try:
            return await self._run()
        except Held as held:
            held.outcomes = [
                None if request.address in self._open else self._outcome(request)
                for request in self._requests
            ]
            raise

    def recall(self) -> None:
        """Begin no more sessions. One that is open goes on to its end; `recheck` ends the
        waiting for one."""
        self._recalled = Held("taken back")

    def recheck(self) -> None:
        """Something was paused or forbidden, or a source changed: wait no longer for a session that
        may not begin any more."""
        errand = self._errand
        if errand is not None and errand.is_waiting and self._taken_back is None:
            self._taken_back = errand.held()
            if self._taken_back is not None:
                errand.done.cancel()

    def _held(self) -> Held | None:
        if self._recalled is not None:
            return self._recalled
        source = self._evidence.source
        address = None if source is None else source.address
        held = self._tools.pauses.held(self._site, address, self._hosts)
        if held is not None or address is None:
            return held
        # A session goes by the name, port and ceiling that its source had when it was chosen.
        if self._tools.sources.named(address) != self._chosen:
            return Held(f"the source {address} is not what it was", _SOON)
        return None

    def _stop_if_held(self) -> None:
        held = self._held()
        if held is not None:
            raise held

    async def _run(self) -> list[Outcome]:
        tools = self._tools
        self._stop_if_held()
        if tools.is_over:
            return self.failed(Reason.CONNECTION_LOST, STOPPED)
        held = None if self._goes_anyway else tools.watchdog.may_not_begin(self._domain)
        if held is not None:
            raise held
        networks = self._networks = tools.networks
        try:
            route = await find_route(
                tools.names,
                self._domain,
                tools.sources.families_for(self._wishes),
                tools.rng.shuffle,
                networks.why_forbidden,
            )
        except NoSocket as ours:
            raise Held(str(ours), HOLD) from None
        except NoExchanger as nobody:
            self._watch_the_dns(nobody)
            return self.failed(nobody.reason, str(nobody), retry=not nobody.is_final)
        tools.watchdog.worked(OurTrouble.DNS)
        site = self._site = site_of(route.exchangers[0], route, tools)
        self._hosts = route.hosts
        self._stop_if_held()
        skipped = self._skipped()
        if skipped is not None:
            return self.failed(Reason.SKIPPED, skipped, retry=False)
        wished = self._wishes.control
        wants_control = tools.control if wished is None else wished
        need = Need(
            route=route,
            reverse_path=self._evidence.reverse_path,
            retry=self._retry,
            wishes=self._wishes,
            recipients=len(self._requests),
            control=wants_control,
            max_waiting=tools.max_waiting if self._max_waiting is None else self._max_waiting,
            anyway=self._goes_anyway,
        )
        source = chosen(need, tools, self._sessions)
        if source is None:
            return self._without_source(site, route)
        self._evidence.source = source
        self._chosen = tools.sources.named(source.address)
        if wants_control:
            self._evidence.known = await self._known(source)
        self._evidence.exchangers = route.hosts
        tools.sources.begin(source, site)
        tools.families.begin(source.family, tools.now())
        try:
            await self._walk(route, source)
            if self._open and not self._goes_anyway:
                held = tools.watchdog.held() or tools.families.held([source.family])
        except Held as stopped:
            held = stopped
        finally:
            talked = bool(self._evidence.answers) and not self._evidence.is_blocked
            tools.sources.end(source, site, went_well=talked)
        if self._evidence.known is not None:
            await tools.memory.remember(self._domain, source.address, self._evidence.known)
        if held is not None:
            raise held
        return self._outcomes()

    def _watch_the_dns(self, nobody: NoExchanger) -> None:
        """Raises Held when it is not this domain's trouble."""
        watchdog = self._tools.watchdog
        if nobody.reason is not Reason.DNS_ERROR:
            watchdog.worked(OurTrouble.DNS)
            return
        watchdog.failed(OurTrouble.DNS, self._domain)
        held = None if self._goes_anyway else watchdog.held()
        if held is not None:
            raise held

    def failed(self, reason: Reason, text: str, *, retry: bool = True) -> list[Outcome]:
        """The same outcome for all who have none yet."""
        trouble = Trouble(reason=reason, retry=retry, text=text)
        for request in self._requests:
            self._evidence.troubles[request.address] = trouble
        return self._outcomes()

    def _outcomes(self) -> list[Outcome]:
        return [self._outcome(request) for request in self._requests]

    def _outcome(self, request: Request) -> Outcome:
        return self._evidence.outcome(
            request,
            now=self._tools.now(),
            started=self._started,
            ladder=self._tools.ladder,
            gone=self._gone(),
        )

    def _gone(self) -> str | None:
        """The source of the attempt before, where that is none any more."""
        before = None if self._retry is None else self._retry.source
        is_there = before is None or self._tools.sources.named(before) is not None
        return None if is_there else before

    # --- Whom, and from where ----------------------------------------------------------------

    def _reverse_path(self) -> str:
        """That of the attempt before, so that greylisting knows us again; else the one wished
        for; else the prober's."""
        if self._retry is not None:
            return self._retry.reverse_path
        wished = self._wishes.reverse_path
        return self._tools.reverse_path if wished is None else wished

    def _without_source(self, site: str, route: Route) -> list[Outcome]:
        now, sources = self._tools.now(), self._tools.sources
        families = {exchanger.family for exchanger in route.exchangers}
        allowed = [each for each in sources.all if self._wishes.allow(each)]
        able = [each for each in allowed if each.family in families]
        if self._ends_in_parts and able and sources.are_unplumbed(able):
            raise Held(f"{', '.join(each.address for each in able)} cannot be sent from", HOLD)
        is_refused = sources.is_paused(site, now, self._wishes) or any(
            sources.is_shut_out(source, exchanger.address, now)
            for exchanger in route.exchangers
            for source in sources.all
            if source.family == exchanger.family and self._wishes.allow(source)
        )
        if is_refused:
            return self.failed(
                Reason.BLOCKLISTED,
                "the site has refused our sources and is left alone for a day",
            )
        return self.failed(
            Reason.SOURCE_UNAVAILABLE, "no source may talk to an exchanger of this domain"
        )

    async def _known(self, source: Source) -> Known:
        """What is known of the domain. Its control is chosen once, and kept before it is sent."""
        rng, before = self._tools.rng, self._retry
        local = "".join(rng.choice(_CONTROL_LETTERS) for _ in range(CONTROL_LENGTH))
        if before is not None and before.control and before.source == source.address:
            local = before.control
        known = await self._tools.memory.recall(self._domain, source.address, local)
        return known.fresh(self._tools.now())

    # --- The walk ----------------------------------------------------------------------------

    async def _walk(self, route: Route, source: Source) -> None:
        """Ask one exchanger after the other about those whom nobody has answered for good."""
        exchangers = [each for each in route.exchangers if each.family == source.family]
        left = list(dict.fromkeys(request.address for request in self._requests))
        troubled = 0
        for exchanger in exchangers:
            elsewhere: list[Address] = []
            site = site_of(exchanger, route, self._tools)
            manner: Manner | None = None
            failed: str | None = None
            while left:
                if self._is_catch_all(exchanger):
                    self._leave_catch_all(left, exchanger)
                    left = []
                    break
                path = Path(site, exchanger, source, self._evidence.reverse_path, manner, failed)
                is_sound = not troubled
                try:
                    answered = await self._ask(path, left, is_sound)
                except _Barred:
                    left = self._bar(left)
                    if self._is_forbidden(exchanger, left):
                        break
                    continue
                report, before = answered.report, answered.manner
                if report.answers and self._answered_since is None:
                    self._answered_since = answered.began
                self._evidence.listen(answered.dialogue)
                noted = self._evidence.note(report, exchanger, self._tools.now())
                # The others are recipients of whoever shared the session.
                elsewhere += [each for each in noted if each in left]
                left = [each for each in report.unanswered if each in self._open]
                self._open = {*elsewhere, *left}
                self._stop_if_ours(report.failure, source)
                manner = report.manner
                gives_up_tls = before.starttls > manner.starttls
                failed = _without_tls(report) if gives_up_tls else failed
                is_troubled = report.refusal is not None or report.failure is not None
                # One that only shows that HELO has to come first is half a session; and one in
                # plaintext stands for the one that gave up TLS.
                is_half = gives_up_tls or before.extended > manner.extended
                troubled += is_troubled and not is_half and _was_connected(report)
                if self._evidence.is_blocked:
                    await self._bench(source, site, exchanger.address)
                    return
                is_over = troubled >= MAX_TROUBLED_SESSIONS
                # A session that brought nothing is repeated only where it can be done otherwise.
                if not report.answers and (manner == before or self._tools.is_over):
                    if is_over or (is_troubled and not _may_go_elsewhere(report)):
                        return
                    break
                if is_over or not left:
                    left = self._evidence.control_alone(exchanger)
                    if is_over and not left:
                        return
            left = elsewhere + left

    async def _ask(self, path: Path, recipients: Sequence[Address], is_sound: bool) -> Answered:
        """One session, or a part of one; as long as nothing is paused that it needs, and, where no
        session had trouble (`is_sound`), answers are not kept waiting for it."""
        self._stop_if_held()
        witnesses = partial(self._evidence.witnesses, exchanger=path.exchanger)
        control = self._control_to_ask(path.exchanger)
        seconds = self._patience() if is_sound and control is None else inf
        if seconds <= 0:
            raise Held(_ANSWERED)
        held = partial(self._held_from, recipients, path.exchanger)
        errand = self._errand = Errand(recipients, control, witnesses, held, self._wishes.origin)
        leaving: IDelayedCall | None = None
        if seconds < inf:
            leaving = self._tools.reactor.callLater(seconds, self._leave_the_queue)
        self._sessions.board(self._tools, path, errand)
        try:
            return await errand.done
        except CancelledError:
            await self._sessions.left(errand)
            taken_back, self._taken_back = self._taken_back, None
            if taken_back is not None:
                raise taken_back from None
            raise
        finally:
            self._errand = None
            if leaving is not None and leaving.active():
                leaving.cancel()

    def _stop_if_ours(self, failure: SessionError | None, source: Source) -> None:
        """Raises Held when the session failed for want of something on this machine, and another
        may have it."""
        if isinstance(failure, LocalExhaustion):
            raise Held(failure.text, _SOON)
        if not self._ends_in_parts or not isinstance(failure, SourceUnavailable):
            return
        if self._tools.sources.are_unplumbed([source]):
            raise Held(failure.text, _SOON)

    def _patience(self) -> float:
        """Seconds that answers may still wait for a session for the others."""
        has_both = 0 < len(self._open) < self._number
        if not self._ends_in_parts or not has_both or self._answered_since is None:
            return inf
        return self._answered_since + AWAITED - self._tools.now()

    def _leave_the_queue(self) -> None:
        """Let those go who have their answers; the others are asked in an attempt of their own."""
        errand = self._errand
        if errand is not None and errand.is_waiting and self._taken_back is None:
            self._taken_back = Held(_ANSWERED)
            errand.done.cancel()

    def _held_from(self, recipients: Sequence[Address], exchanger: Exchanger) -> Held | None:
        """Why no session with this exchanger may begin for these recipients now, or None."""
        held = self._held()
        if held is None and (self._barred(recipients) or self._why_forbidden(exchanger)):
            return _Barred("told anew")
        return held

    def _skipped(self) -> str | None:
        """Why nobody of the domain is ever asked, in words."""
        customs = self._tools.customs
        skipped = next((host for host in sorted(self._hosts) if customs.at(host).skip), None)
        return None if skipped is None else f"{skipped} is never asked ([[site]] skip)"

    def _barred(self, recipients: Sequence[Address]) -> dict[Address, str]:
        """Who of them is never asked, as is told now, and why."""
        skipped = self._skipped()
        if skipped is not None:
            return dict.fromkeys(recipients, skipped)
        return {each: OPTED_OUT for each in recipients if self._tools.opt_out.has(each)}

    def _bar(self, left: Sequence[Address]) -> list[Address]:
        """Settle those who are never asked, and give the others."""
        barred = self._barred(left)
        for each, why in barred.items():
            trouble = Trouble(reason=Reason.SKIPPED, retry=False, text=why)
            self._evidence.troubles[each] = trouble
        self._open.difference_update(barred)
        return [each for each in left if each not in barred]

    def _why_forbidden(self, exchanger: Exchanger) -> str | None:
        """What forbids the exchanger since the route was found; what comes between this look and
        the dialling is seen there."""
        networks = self._tools.networks
        return None if networks is self._networks else networks.why_forbidden(exchanger.address)

    def _is_forbidden(self, exchanger: Exchanger, left: Sequence[Address]) -> bool:
        """Whether the exchanger is; those who have no other trouble are told so."""
        why = self._why_forbidden(exchanger)
        if why is None:
            return False
        trouble = Trouble(
            reason=Reason.FORBIDDEN_EXCHANGER,
            retry=False,
            text=f"never dialled: {exchanger.name} at {exchanger.address} ({why})",
            exchanger=exchanger,
        )
        for each in left:
            self._evidence.troubles.setdefault(each, trouble)
        return True

    def _is_catch_all(self, exchanger: Exchanger) -> bool:
        """Whether nobody need be asked: the domain is known to accept everybody, and the operator
        wants to know no more."""
        control = self._evidence.control_reply(exchanger)
        is_catch_all = control is not None and control.is_positive
        return self._tools.controls.skip_catch_all and is_catch_all

    def _leave_catch_all(self, left: Sequence[Address], exchanger: Exchanger) -> None:
        trouble = Trouble(
            reason=Reason.CATCH_ALL,
            retry=False,
            text=_CATCH_ALL,
            exchanger=exchanger,
            catch_all=True,
        )
        self._evidence.troubles.update(dict.fromkeys(left, trouble))
        self._open.difference_update(left)

    async def _bench(self, source: Source, site: str, address: str) -> None:
        """Keep the source away from a site that has shut it out, and tell the operator."""
        sources, reply, now = self._tools.sources, self._evidence.blocked_by, self._tools.now()
        was_refused, was_paused = (
            sources.is_refused(source, site, now),
            sources.is_paused(site, now),
        )
        if was_refused and sources.is_shut_out(source, address, now):
            return  # another attempt has said so: one of the same session, or just before
        until = sources.bench(source, site, now, address)
        if not was_refused:
            _log.warn(
                "{site} has refused {source}, which leaves it alone for {hours:.0f} h: "
                "{code} {text}",
                site=site,
                source=source.address,
                hours=BENCH / 3600,
                code="" if reply is None else reply.code,
                text="" if reply is None else reply.text,
            )
        if sources.is_paused(site, now) and not was_paused:
            _log.warn("{site} is paused: it is left alone by all sources", site=site)
        for where in (site, pressed(address)):
            await self._tools.memory.bench(Benched(key_of(source), where, until))

    def _control_to_ask(self, exchanger: Exchanger) -> Address | None:
        known = self._evidence.known
        if known is None:
            return None
        is_decided = self._evidence.control_reply(exchanger) is not None
        if is_decided and not self._tools.controls.second_control:
            return None
        text = f"{known.control}@{self._domain}"
        return Address(local=known.control, domain=self._domain, text=text)


def _was_connected(report: SessionReport) -> bool:
    """Whether there was a session at all; an address that does not answer costs nothing."""
    failure = report.failure
    return failure is None or failure.stage is not Stage.CONNECT


def _without_tls(report: SessionReport) -> str:
    """Why the next session is in plaintext."""
    failure = report.failure
    assert failure is not None
    if isinstance(failure, TlsFailed):
        return failure.text
    return f"the session with TLS failed: {failure.text}"


def _may_go_elsewhere(report: SessionReport) -> bool:
    """Whether another exchanger may be asked (cases.md rows 3 to 8, 40 and 52).

    Not after a no to MAIL, which is about us and not the host, and not when the source is none.
    """
    if report.refusal is not None:
        return report.refusal.stage in (Stage.GREETING, Stage.EHLO)
    return not isinstance(report.failure, SourceUnavailable)
