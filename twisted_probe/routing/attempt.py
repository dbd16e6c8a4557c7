"""One attempt: some recipients of one domain, asked once, from one source.

Knows the walk over exchangers and sessions; the dialogue itself is `smtp.conversation`'s, what
the answers amount to `routing.evidence`'s.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from twisted_probe.routing.controls import DEFAULT_CONTROLS, Controls
from twisted_probe.routing.evidence import Evidence, Request, Trouble
from twisted_probe.routing.exchangers import NoExchanger, find_route
from twisted_probe.routing.life import Life
from twisted_probe.routing.memory import Benched, Known, Learned, Memory
from twisted_probe.routing.names import Names
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.overrides import Overrides
from twisted_probe.routing.pauses import Held, Pauses
from twisted_probe.routing.ports import Ports
from twisted_probe.routing.scribe import Scribe
from twisted_probe.routing.sites import DEFAULT_LIMITS, Limits, Sites, Slot
from twisted_probe.routing.sources import BENCH, Sources
from twisted_probe.smtp.conversation import SessionReport, converse
from twisted_probe.smtp.errors import (
    LocalExhaustion,
    NoRoute,
    SessionError,
    SessionLost,
    SourceUnavailable,
    TlsFailed,
)
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import Timeouts
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.smtp.tls import Encryption, TlsClient, TlsMode
from twisted_probe.verdict.ladder import Ladder
from twisted_probe.verdict.rules import Rules
from twisted_probe.vocabulary.address import Address, parse_reverse_path
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Stage
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

_log = Logger()

#: Sessions of one attempt that may end in trouble; Postfix smtp_mx_session_limit.
MAX_TROUBLED_SESSIONS = 2
#: Letters and digits of a control's local part: more than anybody has by chance.
CONTROL_LENGTH = 18
_CONTROL_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_STOPPED = "the reactor has stopped"
_SKIPPED = "not asked: the domain accepts a random recipient"


@frozen(kw_only=True)
class Tools:
    """What the attempts of one prober share that begin between two of its reconfigurations."""

    reactor: Any
    names: Names
    sources: Sources
    sites: Sites
    networks: Networks
    memory: Memory
    reverse_path: str
    port: int
    control: bool
    timeouts: Timeouts
    ladder: Ladder
    rng: random.Random
    ports: Ports = field(factory=Ports)
    pauses: Pauses = field(factory=Pauses)
    life: Life | None = None
    limits: Limits = DEFAULT_LIMITS
    rules: Rules | None = None
    tls: TlsClient = field(factory=TlsClient)
    overrides: Overrides = field(factory=Overrides)
    evidence: bool = False
    hits: Counter[str] = field(factory=Counter)
    controls: Controls = DEFAULT_CONTROLS

    def now(self) -> float:
        """Seconds of the reactor's clock."""
        return float(self.reactor.seconds())

    @property
    def is_over(self) -> bool:
        """Whether the reactor has stopped: nothing may be asked or dialled any more."""
        return self.life is not None and self.life.is_over


class Attempt:
    """One attempt for `requests`, all of `domain`, of the same `retry` and the same `wishes`."""

    def __init__(
        self,
        tools: Tools,
        domain: str,
        retry: Retry | None,
        requests: Sequence[Request],
        wishes: Wishes = NO_WISHES,
    ) -> None:
        self._tools = tools
        self._domain = domain
        self._retry = retry
        self._requests = requests
        self._wishes = wishes
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
        self._site: str | None = None
        self._waiting: Deferred[Slot] | None = None
        self._recalled: Held | None = None
        self._is_taken_back = False

    async def run(self) -> list[Outcome]:
        """Ask, and give an outcome for each request, in order.

        Raises Held, with the outcomes that there are, when something is paused that those who
        are left need, or after `recall`.
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
        """Begin no more sessions. One that is open goes on to its end; for one that waits its
        turn see `unwanted_slot`."""
        self._recalled = Held("taken back")

    def unwanted_slot(self) -> Deferred[Slot] | None:
        """The slot that is waited for although no session may begin any more; to be withdrawn."""
        if self._waiting is None or self._held() is None:
            return None
        self._is_taken_back = True
        return self._waiting

    def _held(self) -> Held | None:
        if self._recalled is not None:
            return self._recalled
        source = self._evidence.source
        return self._tools.pauses.held(self._site, None if source is None else source.address)

    def _stop_if_held(self) -> None:
        held = self._held()
        if held is not None:
            raise held

    async def _run(self) -> list[Outcome]:
        tools = self._tools
        self._stop_if_held()
        if tools.is_over:
            return self.failed(Reason.CONNECTION_LOST, _STOPPED)
        try:
            route = await find_route(
                tools.names,
                self._domain,
                tools.sources.families_for(self._wishes),
                tools.rng.shuffle,
                tools.networks.why_forbidden,
            )
        except NoExchanger as nobody:
            return self.failed(nobody.reason, str(nobody), retry=not nobody.is_final)
        self._site = route.site
        self._stop_if_held()
        source = self._choose(route.site, route.exchangers)
        if source is None:
            return self._without_source(route.site)
        self._evidence.source = source
        if tools.control if self._wishes.control is None else self._wishes.control:
            self._evidence.known = await self._known(source)
        reachable = [each for each in route.exchangers if each.family == source.family]
        self._evidence.exchangers = route.hosts
        held = None
        try:
            await self._walk(route.site, reachable, source)
        except Held as stopped:
            held = stopped
        if self._evidence.is_blocked:
            await self._bench(source, route.site)
        if self._evidence.known is not None:
            await tools.memory.remember(self._domain, source.address, self._evidence.known)
        if held is not None:
            raise held
        return self._outcomes()

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
        )

    # --- Whom, and from where ----------------------------------------------------------------

    def _reverse_path(self) -> str:
        """That of the attempt before, so that greylisting knows us again; else the one wished
        for; else the prober's."""
        if self._retry is not None:
            return self._retry.reverse_path
        wished = self._wishes.reverse_path
        return self._tools.reverse_path if wished is None else wished

    def _choose(self, site: str, exchangers: Sequence[Exchanger]) -> Source | None:
        """The source of the attempt before, so that greylisting knows us again; else the next
        in turn that the site has not refused.

        Raises Held when that one is paused, or when all are who could go.
        """
        now, sources = self._tools.now(), self._tools.sources
        pauses = self._tools.pauses
        families = frozenset(exchanger.family for exchanger in exchangers)
        retry = self._retry
        if retry is not None and retry.source is not None:
            before = sources.named(retry.source)
            if (
                before is not None
                and before.family in families
                and self._wishes.allow(before)
                and not sources.is_benched(before, site, now)
            ):
                held = pauses.held(source=before.address)
                if held is not None:
                    raise held
                return evolve(before, helo=retry.helo or before.helo)
        source = sources.choose(site, families, now, pauses.sources, self._wishes)
        if source is None and pauses.sources:
            resting = sources.choose(site, families, now, wishes=self._wishes)
            held = None if resting is None else pauses.held(source=resting.address)
            if held is not None:
                raise held
        return source

    def _without_source(self, site: str) -> list[Outcome]:
        if self._tools.sources.is_paused(site, self._tools.now(), self._wishes):
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

    async def _walk(self, site: str, exchangers: list[Exchanger], source: Source) -> None:
        """Ask one exchanger after the other about those whom nobody has answered for good."""
        left = list(dict.fromkeys(request.address for request in self._requests))
        troubled = 0
        for exchanger in exchangers:
            elsewhere: list[Address] = []
            manner = known = await self._manner(exchanger)
            failed = None
            while left:
                if self._is_skipped(exchanger):
                    self._skip(left, exchanger)
                    left = []
                    break
                async with self._tools.ports.held(source, exchanger.address):
                    report = await self._session(site, exchanger, source, left, manner, failed)
                elsewhere += self._evidence.note(report, exchanger, self._tools.now())
                left = list(report.unanswered)
                self._open = {*elsewhere, *left}
                manner, before = report.manner, manner
                lesson = _lesson(known, before, report)
                if lesson != known:
                    known = lesson
                    learned = Learned(lesson, self._tools.now())
                    await self._tools.memory.learn(exchanger.address, learned)
                gives_up_tls = before.starttls > manner.starttls
                failed = _without_tls(report) if gives_up_tls else failed
                is_troubled = report.refusal is not None or report.failure is not None
                # One that only shows that HELO has to come first is half a session; and one in
                # plaintext stands for the one that gave up TLS.
                is_half = gives_up_tls or before.extended > manner.extended
                troubled += is_troubled and not is_half and _was_connected(report)
                if self._evidence.is_blocked or troubled >= MAX_TROUBLED_SESSIONS:
                    return
                # A session that brought nothing is repeated only where it can be done otherwise.
                if not report.answers and (manner == before or self._tools.is_over):
                    if is_troubled and not _may_go_elsewhere(report):
                        return
                    break
            left = elsewhere + left

    async def _session(
        self,
        site: str,
        exchanger: Exchanger,
        source: Source,
        recipients: Sequence[Address],
        manner: Manner,
        failed: str | None,
    ) -> SessionReport:
        """One session, from the slot to the end of the connection."""
        tools = self._tools
        reverse_path = parse_reverse_path(self._evidence.reverse_path)
        slot = await self._slot(site, exchanger)
        scribe = Scribe(exchanger, tools.now()) if tools.evidence else None
        factory = ProbeFactory(
            source, tools.timeouts, tools.limits.recipients_per_session, transcript=scribe
        )
        try:
            if tools.is_over:
                raise SessionLost(_STOPPED, host=exchanger.address)
            # Asked of the very address that is dialled, at the moment when it is.
            why = tools.networks.why_forbidden(exchanger.address)
            if why is not None:
                raise NoRoute(f"never dialled: {why}", host=exchanger.address)
            if tools.sources.named(source.address) is None:
                raise SourceUnavailable(
                    f"{source.address} is not among the sources any more", host=exchanger.address
                )
            if tools.sources.is_benched(source, site, tools.now()):
                raise _Benched(f"{source.address} was refused meanwhile", host=exchanger.address)
            session = await factory.connect(tools.reactor, exchanger.address, tools.port)
            return await converse(
                session,
                recipients,
                reverse_path,
                control=self._control_to_ask(exchanger),
                max_errors=tools.limits.errors_per_session,
                manner=manner,
                encryption=self._encryption(exchanger, failed),
                witnesses=partial(self._evidence.witnesses, exchanger=exchanger),
            )
        except SessionError as error:
            return SessionReport(
                answers={}, unanswered=tuple(recipients), failure=error, manner=manner
            )
        except CancelledError:
            # Whoever cancels hears of it when nothing of the session is left.
            await factory.closed()
            raise
        finally:
            slot.release()
            if scribe is not None:
                self._evidence.listen(scribe.dialogue)

    def _is_skipped(self, exchanger: Exchanger) -> bool:
        """Whether nobody need be asked: the domain is known to accept everybody, and the operator
        wants to know no more."""
        control = self._evidence.control_reply(exchanger)
        is_catch_all = control is not None and control.is_positive
        return self._tools.controls.skip_catch_all and is_catch_all

    def _skip(self, left: Sequence[Address], exchanger: Exchanger) -> None:
        trouble = Trouble(
            reason=Reason.CATCH_ALL,
            retry=False,
            text=_SKIPPED,
            exchanger=exchanger,
            catch_all=True,
        )
        self._evidence.troubles.update(dict.fromkeys(left, trouble))
        self._open.difference_update(left)

    async def _manner(self, exchanger: Exchanger) -> Manner:
        """The manner that earlier sessions have advised."""
        learned = await self._tools.memory.learned(exchanger.address)
        return UNKNOWN_MANNER if learned is None else learned.fresh(self._tools.now())

    def _encryption(self, exchanger: Exchanger, failed: str | None) -> Encryption | None:
        client = self._tools.tls
        override = self._tools.overrides.at(exchanger.name)
        mode = client.tls.mode if override is None else override.tls or client.tls.mode
        if mode is TlsMode.NEVER:
            return None
        # The name of an address literal is the address in brackets.
        name = exchanger.address if exchanger.name.startswith("[") else exchanger.name
        return Encryption(client, name, is_required=mode is TlsMode.REQUIRED, failed=failed)

    async def _slot(self, site: str, exchanger: Exchanger) -> Slot:
        """Wait for the turn of a session, as long as nothing is paused that it needs."""
        self._stop_if_held()
        self._waiting = self._tools.sites.slot(site, exchanger.address)
        try:
            slot = await self._waiting
        except CancelledError:
            if self._is_taken_back:
                self._stop_if_held()
            raise
        finally:
            self._waiting = None
        held = self._held()
        if held is not None:
            slot.release()
            raise held
        return slot

    async def _bench(self, source: Source, site: str) -> None:
        """Keep the source away from a site that has shut it out, and tell the operator."""
        sources, reply = self._tools.sources, self._evidence.blocked_by
        until = sources.bench(source, site, self._tools.now())
        _log.warn(
            "{site} has refused {source}, which leaves it alone for {hours:.0f} h: {code} {text}",
            site=site,
            source=source.address,
            hours=BENCH / 3600,
            code="" if reply is None else reply.code,
            text="" if reply is None else reply.text,
        )
        if sources.is_paused(site, self._tools.now()):
            _log.warn("{site} is paused: it is left alone by all sources", site=site)
        await self._tools.memory.bench(Benched(source.address, site, until))

    def _control_to_ask(self, exchanger: Exchanger) -> Address | None:
        known = self._evidence.known
        if known is None:
            return None
        is_decided = self._evidence.control_reply(exchanger) is not None
        if is_decided and not self._tools.controls.second_control:
            return None
        text = f"{known.control}@{self._domain}"
        return Address(local=known.control, domain=self._domain, text=text)


class _Benched(SourceUnavailable):
    """The site has refused the source, or too many of them, while the session waited its turn."""

    reason = Reason.BLOCKLISTED


def _was_connected(report: SessionReport) -> bool:
    """Whether there was a session at all; an address that does not answer costs nothing."""
    failure = report.failure
    return failure is None or failure.stage is not Stage.CONNECT


def _lesson(known: Manner, before: Manner, report: SessionReport) -> Manner:
    """What is worth keeping of a session's manner, where `known` was kept and `before` was tried.

    That a session was lost under TLS says nothing of the next handshake, nor one that was lost
    upon EHLO of the next one, until HELO has worked.
    """
    manner, failure = report.manner, report.failure
    if not (isinstance(failure, TlsFailed) or manner.starttls > before.starttls):
        manner = evolve(manner, starttls=known.starttls)
    if isinstance(failure, SessionLost) and failure.stage is Stage.EHLO and not failure.replies:
        manner = evolve(manner, extended=known.extended)
    return manner


def _without_tls(report: SessionReport) -> str:
    """Why the next session is in plaintext."""
    failure = report.failure
    assert failure is not None
    if isinstance(failure, TlsFailed):
        return failure.text
    return f"the session with TLS failed: {failure.text}"


def _may_go_elsewhere(report: SessionReport) -> bool:
    """Whether another exchanger may be asked (cases.md rows 3 to 8, 40 and 52).

    Not after a no to MAIL, which is about us and not the host, and not when the trouble is this
    machine's own.
    """
    if report.refusal is not None:
        return report.refusal.stage in (Stage.GREETING, Stage.EHLO)
    return not isinstance(report.failure, (SourceUnavailable, LocalExhaustion))
