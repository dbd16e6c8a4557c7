"""The prober: addresses in, outcomes out.

Knows how the parts work together: exchangers, a source, a slot, a session, and the verdict on
what it brought. It never waits for a retry: that is `jobs`' and the command line's.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_probe.routing.attempt import OPTED_OUT, Attempt
from twisted_probe.routing.controls import DEFAULT_CONTROLS, Controls
from twisted_probe.routing.customs import Customs, Override
from twisted_probe.routing.evidence import Request
from twisted_probe.routing.landmarks import Landmarks
from twisted_probe.routing.lessons import NO_SOURCE
from twisted_probe.routing.life import Life
from twisted_probe.routing.memory import Memory, MemoryInRam
from twisted_probe.routing.name_servers import system_resolvers
from twisted_probe.routing.names import DnsNames, Names
from twisted_probe.routing.networks import Networks
from twisted_probe.routing.opt_out import NOBODY, OptOut
from twisted_probe.routing.own_addresses import is_own
from twisted_probe.routing.pauses import Crowded, Held, Pauses
from twisted_probe.routing.sessions import Sessions
from twisted_probe.routing.sites import DEFAULT_LIMITS, Limits, Sites
from twisted_probe.routing.sources import Sources
from twisted_probe.routing.stream import MAX_WAITING, WINDOW, Stream
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Trouble, Watchdog
from twisted_probe.smtp.conversation import room_of
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS, Timeouts
from twisted_probe.smtp.tls import DEFAULT_TLS, Tls, TlsClient
from twisted_probe.verdict.ladder import DEFAULT_LADDER, Ladder
from twisted_probe.verdict.rules import Rules, default_rules
from twisted_probe.vocabulary.address import (
    Address,
    AddressError,
    parse_entry,
    parse_reverse_path,
)
from twisted_probe.vocabulary.escaping import escaped
from twisted_probe.vocabulary.exchanger import SMTP_PORT
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.source import Source
from twisted_probe.vocabulary.wishes import NO_WISHES, Wishes

_log = Logger()
_T = TypeVar("_T")

#: Seconds until somebody looks again whether what the operator paused goes on.
LOOK_AGAIN = 10.0

#: Which of those who are held are told so, and do not wait.
_Told = type[Held] | tuple[()]


@frozen
class _Batch:
    """Requests that one attempt can answer: the same domain, retry and wishes."""

    domain: str
    retry: Retry | None
    wishes: Wishes
    places: tuple[int, ...]
    requests: tuple[Request, ...]

    def without_the_answered(self, answers: Sequence[Outcome | None]) -> _Batch:
        """Those who have no outcome yet."""
        left = [number for number, outcome in enumerate(answers) if outcome is None]
        places = tuple(self.places[number] for number in left)
        return evolve(self, places=places, requests=tuple(self.requests[n] for n in left))


class Prober:
    """Asks exchangers about recipients, from the sources given and no other address.

    `sources` and `reverse_path` ("" for the null one) are who we are. `resolvers` are
    (address, port) pairs, the machine's own when none are given; `names` replaces them whole.
    `port` is the exchangers' port, `allow_networks` CIDR texts of networks that may be dialled
    although they are not public. `control` false asks no random recipient, so a domain that
    accepts everybody goes unnoticed. `timeouts`, `limits` and `ladder` are in seconds. `pauses`
    is what is paused, and may change at any time (then call `recheck`). `rules` read the replies
    in the place of the package's own. `tls` says how sessions are encrypted, and `sites` what
    holds at some exchangers otherwise. `controls` says what is asked beside the recipients. With
    `evidence` every outcome has the `hearing` that it rests on. Nobody on the `opt_out` list is
    ever asked. Where `max_waiting` sessions wait for their turn at a site, others who want one
    there are held at once (None: they wait too).

    Raises ValueError for a source, reverse-path, resolver, network or file of authorities that is
    none, and OSError for such a file that cannot be read.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        sources: Iterable[Source],
        reverse_path: str,
        resolvers: Sequence[tuple[str, int]] = (),
        names: Names | None = None,
        port: int = SMTP_PORT,
        allow_networks: Iterable[str] = (),
        control: bool = True,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        limits: Limits = DEFAULT_LIMITS,
        ladder: Ladder = DEFAULT_LADDER,
        memory: Memory | None = None,
        rng: random.Random | None = None,
        pauses: Pauses | None = None,
        rules: Rules | None = None,
        tls: Tls = DEFAULT_TLS,
        sites: Iterable[Override] = (),
        controls: Controls = DEFAULT_CONTROLS,
        evidence: bool = False,
        opt_out: OptOut = NOBODY,
        max_waiting: int | None = None,
    ) -> None:
        pool = Sources(sources)
        parse_reverse_path(reverse_path)
        rng = random.SystemRandom() if rng is None else rng
        self._resolvers: Sequence[tuple[str, int]] | None = None
        if names is None:
            self._resolvers = tuple(resolvers or system_resolvers())
            names = DnsNames(reactor, self._resolvers)
        self._clock = reactor
        self._sessions = Sessions()
        # The attempts of each question, in order.
        self._running: dict[Deferred[list[Outcome]], dict[Attempt, None]] = {}
        # What goes on beside the questions, and ends when the prober is closed.
        self._beside: set[Deferred[Any]] = set()
        self._batches: set[Deferred[Any]] = set()
        self._waiting_for_the_end: list[Deferred[None]] = []
        self._closed = False
        self._tools = Tools(
            reactor=reactor,
            names=names,
            sources=pool,
            sites=Sites(reactor, limits),
            networks=Networks(allow_networks, pool.addresses, is_own),
            memory=MemoryInRam() if memory is None else memory,
            reverse_path=reverse_path,
            port=port,
            control=control,
            timeouts=timeouts,
            ladder=ladder,
            rng=rng,
            watchdog=Watchdog(reactor, self._look, rng),
            pauses=Pauses() if pauses is None else pauses,
            life=Life(reactor),
            limits=limits,
            # Read now: later there may be no file descriptor left to read them with.
            rules=default_rules() if rules is None else rules,
            tls=TlsClient(tls),
            customs=Customs(limits, sites),
            controls=controls,
            evidence=evidence,
            opt_out=opt_out,
            max_waiting=max_waiting,
        )
        self._landmarks = Landmarks(self._tools, self._sessions)

    @property
    def alarm(self) -> str | None:
        """What is wrong with this machine, in words: while it is so, whoever is asked about is
        held, but for a few now and then who try whether it has passed."""
        tools = self._tools
        if tools.sources.are_unplumbed(tools.sources.all):
            return NO_SOURCE
        nowhere = tools.families.held(tools.sources.families)
        return tools.watchdog.alarm or (None if nowhere is None else str(nowhere))

    @property
    def lost_families(self) -> list[str]:
        """The families of the sources that there is no way to, in words: while it is so, whoever
        can be reached over no other is held, but for one now and then."""
        tools = self._tools
        lost = tools.sources.families & tools.families.lost
        return [tools.families.words(family) for family in sorted(lost)]

    @property
    def unplumbed(self) -> list[str]:
        """The sources that this machine could not send from when that was tried last."""
        sources = self._tools.sources
        return [each.address for each in sources.all if sources.are_unplumbed([each])]

    @property
    def sources(self) -> Sources:
        """The sources, and where they were refused."""
        return self._tools.sources

    @property
    def sites(self) -> Sites:
        """The sessions that are open or wait for their turn."""
        return self._tools.sites

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        return self._tools.rules

    @property
    def rule_hits(self) -> Counter[str]:
        """How many outcomes each rule has decided since this prober began. Whoever adds them up
        elsewhere may empty it."""
        return self._tools.hits

    def reconfigure(
        self,
        *,
        sources: Iterable[Source],
        reverse_path: str,
        resolvers: Sequence[tuple[str, int]] = (),
        port: int = SMTP_PORT,
        allow_networks: Iterable[str] = (),
        control: bool = True,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        limits: Limits = DEFAULT_LIMITS,
        ladder: Ladder = DEFAULT_LADDER,
        rules: Rules | None = None,
        tls: Tls = DEFAULT_TLS,
        sites: Iterable[Override] = (),
        controls: Controls = DEFAULT_CONTROLS,
        evidence: bool = False,
        opt_out: OptOut = NOBODY,
    ) -> None:
        """Be told everything anew, as by the constructor; what is left out has its default.

        Sessions go on as they began. All that begin from now on are as told here, also for those
        who were asked about before: nobody is asked any more whom that forbids, and no session
        begins from a source that is not named. Who is in hand keeps the reverse-path and control
        that the attempt began with. What is known of sites and domains stays. Names that were
        given to the constructor stay too.

        Raises ValueError as the constructor does; nothing is changed then.
        """
        pool = tuple(sources)
        addresses = Sources(pool).addresses
        parse_reverse_path(reverse_path)
        networks = Networks(allow_networks, addresses, is_own)
        names, wanted = self._tools.names, self._resolvers
        if wanted is not None:
            wanted = tuple(resolvers or system_resolvers())
            if wanted != self._resolvers:
                names = DnsNames(self._clock, wanted)
        self._resolvers = wanted
        tools = self._tools
        tools.sources.replace(pool)
        tools.names = names
        tools.networks = networks
        tools.reverse_path = reverse_path
        tools.port = port
        tools.control = control
        tools.timeouts = timeouts
        tools.ladder = ladder
        tools.limits = limits
        tools.rules = default_rules() if rules is None else rules
        tools.tls = tools.tls if tls == tools.tls.tls else TlsClient(tls)
        tools.customs = Customs(limits, sites)
        tools.controls = controls
        tools.evidence = evidence
        tools.opt_out = opt_out
        tools.sites.limit(limits)
        self.recheck()

    def probe(
        self,
        address: str | Address,
        retry: Retry | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Deferred[Outcome]:
        """Ask about one address; with an earlier outcome's `retry`, as that attempt did, and with
        `wishes` otherwise than this prober would.

        Fires with an Outcome, also for a text that is no address. Cancelling cuts the session
        and errbacks CancelledError once the connection is gone. Where the reactor is stopped
        meanwhile, what can be told is that the connection was lost. Raises RuntimeError after
        `close`.
        """
        asking = self.probe_many([address], [retry], wishes)
        return asking.addCallback(lambda outcomes: outcomes[0])

    def probe_many(
        self,
        addresses: Sequence[str | Address],
        retries: Sequence[Retry | None] | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Deferred[list[Outcome]]:
        """Ask about many; fires with an Outcome for each, in order. Recipients of one domain
        share sessions. Wishes, cancelling and closing as in `probe`.

        Those who need something that is paused wait until it goes on. Those who are held because
        this machine has trouble wait too, but after three minutes of it they are asked all the
        same, and their outcomes say what came of that. Whoever it has no socket for waits for
        one.
        """
        return self._ask(addresses, retries, wishes, ())

    def ask(
        self,
        addresses: Sequence[str | Address],
        retries: Sequence[Retry | None] | None = None,
        wishes: Wishes = NO_WISHES,
    ) -> Deferred[list[Outcome]]:
        """As `probe_many`, for callers who keep by themselves who cannot be asked now.

        Errbacks Held, with the outcomes that there are, when something is paused that the others
        need, this machine has trouble, their source is not what it was, they would keep those who
        have their answers waiting, or too many wait for the site (Crowded); or after `recall`.
        """
        return self._ask(addresses, retries, wishes, Held)

    def _ask(
        self,
        addresses: Sequence[str | Address],
        retries: Sequence[Retry | None] | None,
        wishes: Wishes,
        told: _Told,
    ) -> Deferred[list[Outcome]]:
        if self._closed:
            raise RuntimeError("the prober is closed")
        outcomes: dict[int, Outcome] = {}
        requests: dict[int, Request] = {}
        for place, address in enumerate(addresses):
            try:
                parsed = parse_entry(address) if isinstance(address, str) else address
            except AddressError as error:
                outcomes[place] = self._invalid(str(address), error)
                continue
            if self._tools.opt_out.has(parsed):
                outcomes[place] = self._unasked(parsed.text, Reason.SKIPPED, OPTED_OUT)
            else:
                requests[place] = Request(parsed, retries[place] if retries else None, wishes)
        size = room_of(self._tools.limits.recipients_per_session)
        attempts: dict[Attempt, None] = {}
        stops: list[Held] = []

        def together(_: object) -> list[Outcome] | Failure:
            if stops:
                every = [outcomes.get(place) for place in range(len(addresses))]
                delay = max(held.delay for held in stops)
                return Failure(type(stops[0])(str(stops[0]), delay, every))
            return [outcomes[place] for place in range(len(addresses))]

        whole: Deferred[list[Outcome]] = gatherResults(
            [
                self._probe_batch(batch, attempts, outcomes, stops, told)
                for batch in _batches(requests, size)
            ],
            consumeErrors=True,
        ).addCallbacks(together, _first_error)
        self._running[whole] = attempts
        return whole.addBoth(self._ended, whole)

    def stream(
        self,
        addresses: Iterable[str | Address],
        wishes: Wishes = NO_WISHES,
        window: int = WINDOW,
    ) -> AsyncIterator[Outcome]:
        """The outcomes of many, one after the other in the order in which they come, `window` of
        them asked at once: for lists that are too long to be held. To be used with `async for`;
        to leave it before its end cuts the sessions. Pauses, trouble and closing as in
        `probe_many`. Raises ValueError for a `window` below 1.

        Those of a site at which many sessions wait are put aside (`routing.stream.AHEAD` of them
        at most) and hold up nobody of another site."""

        def ask(address: str | Address) -> Deferred[Outcome]:
            asking = self._ask([address], None, wishes, Crowded)
            return asking.addCallback(lambda outcomes: outcomes[0])

        return Stream(ask, addresses, self._clock, self._rest, window).outcomes()

    @property
    def is_held(self) -> bool:
        """Whether nobody may be asked now: everything is paused, or every source is."""
        pauses = self._tools.pauses
        return pauses.everything or pauses.is_stopped or self.sources.addresses <= pauses.sources

    async def recall_benches(self) -> None:
        """Know again which sites have refused which sources, what they have borne, and which have
        answered, as far as the memory does; to be awaited before anybody is asked by a prober
        whose memory outlives it."""
        now = self._tools.now()
        for each in await self._tools.memory.benches(now):
            self.sources.recall(each.source, each.site, each.until, now)
        for borne in await self._tools.memory.pressures(now):
            self.sites.recall(borne)
        self._sessions.recall(await self._tools.memory.landmarks())

    def recall(self, wholes: Iterable[Deferred[list[Outcome]]]) -> None:
        """Begin no more sessions for what `ask` has returned; each errbacks Held as soon as none
        is open, if somebody is left unanswered."""
        for whole in wholes:
            for attempt in list(self._running.get(whole, ())):
                attempt.recall()
        self.recheck()

    def recheck(self) -> None:
        """Something was paused or forbidden, or sources changed: those who wait for it wait no
        longer. Sessions that are open go on to their end."""
        for attempts in list(self._running.values()):
            for attempt in list(attempts):
                attempt.recheck()

    def close(self) -> Deferred[None]:
        """Cut every session and ask no more; whoever waits for an outcome hears CancelledError.

        Fires once nothing is left in the reactor; a second call waits for the same.
        """
        self._closed = True
        for whole in list(self._running):
            whole.cancel()
        for one in list(self._beside):
            one.cancel()
        return Deferred.fromCoroutine(self._emptied())

    async def _emptied(self) -> None:
        if self._batches:
            emptied: Deferred[None] = Deferred()
            self._waiting_for_the_end.append(emptied)
            await emptied
        # The ports of questions that were given up are closed in the reactor's next turn, which
        # is surely over when the one after it has begun.
        for _ in range(2):
            await deferLater(self._clock, 0)

    def _batch_ended(self, result: Any, batch: Deferred[Any]) -> Any:
        self._batches.discard(batch)
        if not self._batches:
            waiting, self._waiting_for_the_end = self._waiting_for_the_end, []
            for emptied in waiting:
                emptied.callback(None)
        return result

    def _ended(self, result: Any, whole: Deferred[list[Outcome]]) -> Any:
        self._running.pop(whole, None)
        return result

    def _rest(self, seconds: float) -> Deferred[None]:
        """Fires after so many seconds; to close the prober ends it with CancelledError."""
        return self._besides(deferLater(self._clock, seconds))

    def _look(self, what: Trouble) -> Deferred[bool] | None:
        """Look whether `what` fails where it has worked; to close the prober ends it, too."""
        looking = self._landmarks.look(what)
        if looking is None:
            return None
        self._batches.add(looking)
        looking.addBoth(self._batch_ended, looking)
        return self._besides(looking)

    def _besides(self, one: Deferred[_T]) -> Deferred[_T]:
        self._beside.add(one)

        def over(result: Any) -> Any:
            self._beside.discard(one)
            return result

        return one.addBoth(over)

    def _attempt(self, batch: _Batch, told: _Told) -> Attempt:
        """Whoever is not told to come again goes anyway in the end."""
        tools = self._tools
        has_lasted = tools.watchdog.has_lasted() or tools.families.has_lasted(tools.now())
        return Attempt(
            tools,
            self._sessions,
            batch.domain,
            batch.retry,
            batch.requests,
            batch.wishes,
            max_waiting=MAX_WAITING if told is Crowded else None,
            anyway=told is not Held and has_lasted,
            in_parts=told is Held,
        )

    def _probe_batch(
        self,
        batch: _Batch,
        attempts: dict[Attempt, None],
        outcomes: dict[int, Outcome],
        stops: list[Held],
        told: _Told,
    ) -> Deferred[None]:
        async def run() -> None:
            left = batch
            while True:
                held, answers = await self._answers(left, attempts, told)
                pairs = zip(left.places, answers, strict=True)
                outcomes.update((place, outcome) for place, outcome in pairs if outcome is not None)
                if held is None:
                    return
                if isinstance(held, told):
                    stops.append(held)
                    return
                left = left.without_the_answered(answers)
                await deferLater(self._clock, held.delay or LOOK_AGAIN)

        running = Deferred.fromCoroutine(run())
        self._batches.add(running)
        return running.addBoth(self._batch_ended, running)

    async def _answers(
        self, batch: _Batch, attempts: dict[Attempt, None], told: _Told
    ) -> tuple[Held | None, Sequence[Outcome | None]]:
        """The outcomes of one attempt, and why some have none."""
        attempt = self._attempt(batch, told)
        attempts[attempt] = None
        try:
            return None, await attempt.run()
        except CancelledError:
            raise
        except Held as held:
            # It is a value from here on: with its frames it would be a ring, for the collector.
            return held.with_traceback(None), held.outcomes
        except Exception:
            _log.failure("internal error while asking about {domain}", domain=batch.domain)
            return None, attempt.failed(Reason.INTERNAL_ERROR, "a fault of the prober")
        finally:
            del attempts[attempt]

    def _invalid(self, text: str, error: AddressError) -> Outcome:
        return self._unasked(escaped(text), Reason.INVALID_ADDRESS, str(error))

    def _unasked(self, address: str, reason: Reason, text: str) -> Outcome:
        now = self._clock.seconds()
        return Outcome(address=address, reason=reason, text=text, checked_at=now)


def _first_error(failure: Any) -> Any:
    """Let callers see what happened, not in which list it did."""
    return getattr(failure.value, "subFailure", failure)


def _batches(requests: dict[int, Request], size: int) -> list[_Batch]:
    """Group what one attempt can answer, in order, at most `size` together."""
    groups: dict[tuple[str, Retry | None, Wishes], list[int]] = {}
    for place, request in requests.items():
        key = (request.address.domain, request.retry, request.wishes)
        groups.setdefault(key, []).append(place)
    return [
        _Batch(*key, part, tuple(requests[place] for place in part))
        for key, places in groups.items()
        for start in range(0, len(places), size)
        for part in [tuple(places[start : start + size])]
    ]
