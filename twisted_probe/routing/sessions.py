"""One session with one exchanger, for all who want it: from the slot to the end of the connection.

Knows who may share a session, and what is looked at before a connection is dialled; not which
exchanger comes next (`routing.attempt`), what a session teaches (`routing.lessons`), nor what an
answer amounts to (`routing.evidence`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_probe.routing.customs import Bounds
from twisted_probe.routing.lessons import Lesson
from twisted_probe.routing.memory import MAX_LANDMARKS, Landmark, Memory
from twisted_probe.routing.path import Path
from twisted_probe.routing.pauses import Held
from twisted_probe.routing.scribe import Scribe
from twisted_probe.routing.tempo import Tempo
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Trouble
from twisted_probe.smtp.conversation import Party, SessionReport, Witnesses, converse
from twisted_probe.smtp.errors import NoRoute, SessionError, SessionLost, SourceUnavailable
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import MAX_RECIPIENTS, MAX_RESETS
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.smtp.tls import Encryption, TlsMode
from twisted_probe.vocabulary.address import Address, parse_reverse_path
from twisted_probe.vocabulary.hearing import Dialogue
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply

_log = Logger()

#: Seconds between two landmarks that are kept.
KEEP = 60.0
STOPPED = "the reactor has stopped"


class Benched(SourceUnavailable):
    """The site has refused the source, or too many of them, while the session waited its turn."""

    reason = Reason.BLOCKLISTED


class Forbidden(NoRoute):
    """The exchanger's address may not be dialled any more."""


class Suspended(SourceUnavailable):
    """So many sites have refused the source that it stays away from all for a while, or this
    machine could not send from it just now."""


@frozen
class Answered:
    """What a session brought for one party: its report, in what manner it was held, when it
    `began` (seconds of the reactor's clock), and how it was spoken, if that is kept.

    The answers are those of all recipients of the domain: what one of them is worth depends on
    the others. Nobody else's are told in the rest.
    """

    report: SessionReport
    manner: Manner
    began: float
    dialogue: Dialogue | None = None


@define(eq=False)
class Errand:
    """Recipients of one domain, its control if that is to be asked, and whoever `witnesses` names
    at the end, who want a session; without any of them it is to see whether there can be one.

    `held` says why none may begin for them, as long as that is so; `origin` is whose they are
    (`Wishes`). Wait for `done`; to cancel it leaves the session, and `Sessions.left` then fires
    when nothing of it goes on for them.
    """

    recipients: Sequence[Address]
    control: Address | None
    witnesses: Witnesses
    held: Callable[[], Held | None]
    origin: int | None = None
    done: Deferred[Answered] = field(init=False, factory=Deferred)
    _carriage: _Carriage | None = field(init=False, default=None)

    @property
    def is_waiting(self) -> bool:
        """Whether no session has begun for them."""
        return self._carriage is not None and self._carriage.is_boarding

    @property
    def domain(self) -> str:
        """The one of all its recipients, "" where there are none."""
        return self.recipients[0].domain if self.recipients else ""

    @property
    def places(self) -> int:
        """RCPT commands that they need."""
        return len(self.recipients) + (self.control is not None)


def _party_of(errands: Sequence[Errand]) -> Party:
    """Those of one domain as one, with the first who has something to say in all things."""

    def witnesses(answers: Mapping[Address, Reply]) -> Sequence[Address]:
        named = (errand.witnesses(answers) for errand in errands)
        return next((each for each in named if each), ())

    recipients = dict.fromkeys(each for errand in errands for each in errand.recipients)
    controls = (errand.control for errand in errands if errand.control is not None)
    return Party(tuple(recipients), next(controls, None), witnesses)


@define(eq=False)
class _Carriage:
    """One session to be, and those who share it."""

    path: Path
    tools: Tools
    errands: list[Errand] = field(factory=list)
    is_boarding: bool = True
    running: Deferred[None] = field(init=False, factory=Deferred)
    ended: Deferred[None] = field(init=False, factory=Deferred)

    def bounds(self) -> Bounds:
        """What holds at the exchanger now."""
        return self.tools.customs.at(self.path.exchanger.name)

    def has_room(self, places: int) -> bool:
        bounds = self.bounds()
        if bounds.one_domain and len(self.errands) > MAX_RESETS:
            return False
        taken = sum(each.places for each in self.errands)
        most = bounds.recipients_per_session or MAX_RECIPIENTS
        return taken + places <= most

    def board(self, errand: Errand) -> None:
        self.errands.append(errand)
        errand._carriage = self

    def parties(self) -> list[Party]:
        """Whom to ask: each recipient and each control once."""
        domains: dict[str, list[Errand]] = {}
        for errand in self.errands:
            domains.setdefault(errand.domain, []).append(errand)
        return [_party_of(errands) for errands in domains.values()]


class Sessions:
    """The sessions of one prober, and those who wait for one."""

    def __init__(self) -> None:
        self._boarding: dict[Path, _Carriage] = {}
        self._landmarks: dict[str, Landmark] = {}
        self._keep_from = 0.0

    @property
    def landmarks(self) -> Sequence[Landmark]:
        """The exchangers that answered last, one of each site, the latest first."""
        return tuple(reversed(self._landmarks.values()))

    def recall(self, landmarks: Sequence[Landmark]) -> None:
        """Know again those that answered before."""
        for each in reversed(landmarks):
            self._landmarks.setdefault(each.site, each)

    async def _see(self, landmark: Landmark, memory: Memory) -> None:
        """Know it, and keep one now and then."""
        self._landmarks.pop(landmark.site, None)
        self._landmarks[landmark.site] = landmark
        if len(self._landmarks) > MAX_LANDMARKS:
            del self._landmarks[next(iter(self._landmarks))]
        if landmark.at >= self._keep_from:
            self._keep_from = landmark.at + KEEP
            await memory.keep_landmark(landmark)

    def board(self, tools: Tools, path: Path, errand: Errand) -> None:
        """Have a session with the path's exchanger begin as soon as it may, or share one that
        waits for its turn. `errand.done` fires with an Answered, whatever becomes of the session,
        or errbacks Held."""
        carriage = self._boarding.get(path)
        if carriage is None or not carriage.has_room(errand.places):
            carriage = _Carriage(path, tools)
            self._boarding[path] = carriage
            carriage.board(errand)
            carriage.running = Deferred.fromCoroutine(self._run(carriage))
            carriage.running.addBoth(self._ended, carriage)
        else:
            carriage.board(errand)

    def has_room(self, path: Path, places: int) -> bool:
        """Whether so many would find room in a session that waits for its turn."""
        carriage = self._boarding.get(path)
        return carriage is not None and carriage.has_room(places)

    async def left(self, errand: Errand) -> None:
        """`errand.done` was cancelled: end the session if nobody else shares it, and wait until
        nothing of it is left."""
        carriage = errand._carriage
        if carriage is None or errand not in carriage.errands:
            return
        carriage.errands.remove(errand)
        if not carriage.errands:
            carriage.running.cancel()
            await carriage.ended

    def _ended(self, result: object, carriage: _Carriage) -> None:
        self._close_doors(carriage)
        for errand in carriage.errands:
            if not errand.done.called:
                errand.done.errback(result)  # type: ignore[arg-type]
        carriage.ended.callback(None)

    def _close_doors(self, carriage: _Carriage) -> None:
        carriage.is_boarding = False
        if self._boarding.get(carriage.path) is carriage:
            del self._boarding[carriage.path]

    # --- One session -------------------------------------------------------------------------

    async def _run(self, carriage: _Carriage) -> None:
        tools, path = carriage.tools, carriage.path
        async with tools.ports.held(path.source, path.exchanger.address):
            # So that it is at hand when the turn has come, and nothing keeps the session then.
            await tools.memory.learned(path.exchanger.address)
            if not tools.sites.knows(path.site):
                first, now = float(tools.limits.first_sessions), tools.now()
                kept = await tools.memory.tempo(path.site)
                if not tools.sites.knows(path.site):  # or it has shown one meanwhile
                    tools.sites.set_tempo(path.site, (kept or Tempo(first, now)).fresh(now, first))
            slot = await tools.sites.slot(
                path.site,
                path.exchanger.address,
                source=path.source,
                bounds=carriage.bounds,
                rejections=carriage.bounds().errors_per_session,
                origin=carriage.errands[0].origin,
            )
            rejections: int | None = 0
            try:
                self._close_doors(carriage)
                learned = await tools.memory.learned(path.exchanger.address)
                _send_back_the_held(carriage)
                if not carriage.errands:
                    return
                bounds = carriage.bounds()
                known = UNKNOWN_MANNER if learned is None else learned.fresh(tools.now())
                manner = known if path.manner is None else path.manner
                _keep_pressures(tools, path)
                scribe = Scribe(path.exchanger, tools.now()) if tools.evidence else None
                rejections = None
                report = await _session(carriage, bounds, manner, scribe)
                rejections = report.errors
                lesson = Lesson(tools, path, bounds, slot.granted_at, report)
                lesson.watch()
                if report.answers and not tools.is_over:
                    # Hundreds may have ended in this turn, each with a session's worth of them.
                    await tools.turns.next()
                if report.answers:
                    await self._see(Landmark(path.site, path.exchanger, tools.now()), tools.memory)
                await lesson.keep_tempo()
                await lesson.keep_manner(known, manner)
                dialogue = None if scribe is None else scribe.dialogue
                self._tell(carriage, Answered(report, manner, slot.granted_at, dialogue))
            finally:
                # Whoever is next finds benched, or at rest, what this one has shown.
                slot.release(rejections)
                _keep_pressures(tools, path)

    def _tell(self, carriage: _Carriage, answered: Answered) -> None:
        errands, carriage.errands = carriage.errands, []
        report, path = answered.report, carriage.path
        if path.manner is not None:
            path = evolve(path, manner=report.manner)
        for number, errand in enumerate(errands):
            part = _part_of(report, errand)
            is_over = report.refusal is not None or report.failure is not None
            if number and part.unanswered and not part.answers and not is_over:
                # The others have used up what the session could bear.
                self.board(carriage.tools, path, errand)
            else:
                errand.done.callback(evolve(answered, report=part))


def _keep_pressures(tools: Tools, path: Path) -> None:
    """Keep what site and address have borne, which nobody waits for."""

    def not_kept(failure: Failure) -> None:
        why = failure.getErrorMessage()
        _log.warn("what {site} has borne could not be kept: {why}", site=path.site, why=why)

    borne = tools.sites.pressures(path.site, path.exchanger.address)
    if borne:
        tools.memory.keep_pressures(borne).addErrback(not_kept)


def _send_back_the_held(carriage: _Carriage) -> None:
    for errand in list(carriage.errands):
        held = errand.held()
        if held is not None:
            carriage.errands.remove(errand)
            errand.done.errback(held)


async def _session(
    carriage: _Carriage, bounds: Bounds, manner: Manner, scribe: Scribe | None
) -> SessionReport:
    tools, path = carriage.tools, carriage.path
    exchanger, source = path.exchanger, path.source
    parties = carriage.parties()
    # Nothing is dialled for one that cannot be said.
    reverse_path = parse_reverse_path(path.reverse_path)
    factory = ProbeFactory(source, tools.timeouts, bounds.recipients_per_session, transcript=scribe)
    try:
        _look_before_dialling(tools, path)
        session = await factory.connect(tools.reactor, exchanger.address, tools.port)
        tools.watchdog.worked(Trouble.CONNECT)
        tools.families.worked(exchanger.family)
        report = await converse(
            session,
            parties[0].recipients,
            reverse_path,
            control=parties[0].control,
            witnesses=parties[0].witnesses,
            others=parties[1:],
            apart=bounds.one_domain,
            max_errors=bounds.errors_per_session,
            manner=_within(manner, bounds),
            encryption=_encryption(tools, path, bounds),
        )
    except SessionError as error:
        recipients = [each for party in parties for each in party.recipients]
        return SessionReport(answers={}, unanswered=tuple(recipients), failure=error, manner=manner)
    except CancelledError:
        # Whoever cancels hears of it when nothing of the session is left.
        await factory.closed()
        raise
    if report.manner.recipients_per_transaction == bounds.recipients_per_transaction:
        # The exchanger was not asked for more, so it has shown nothing.
        known = manner.recipients_per_transaction
        return evolve(report, manner=evolve(report.manner, recipients_per_transaction=known))
    return report


def _look_before_dialling(tools: Tools, path: Path) -> None:
    """Whether this very address may be dialled, at this moment. Raises SessionError."""
    exchanger, source = path.exchanger, path.source
    if tools.is_over:
        raise SessionLost(STOPPED, host=exchanger.address)
    why = tools.networks.why_forbidden(exchanger.address)
    if why is not None:
        raise Forbidden(f"never dialled: {why}", host=exchanger.address)
    if tools.sources.is_suspended(source, tools.now()):
        words = f"{source.address} stays away from everywhere for now"
        raise Suspended(words, host=exchanger.address)
    if tools.sources.is_benched(source, path.site, tools.now()) or tools.sources.is_shut_out(
        source, exchanger.address, tools.now()
    ):
        raise Benched(f"{source.address} was refused meanwhile", host=exchanger.address)


def _within(manner: Manner, bounds: Bounds) -> Manner:
    """The manner, with no more recipients in a transaction than the site is known to take."""
    most = bounds.recipients_per_transaction
    shown = manner.recipients_per_transaction
    if most is None or (shown is not None and shown <= most):
        return manner
    return evolve(manner, recipients_per_transaction=most)


def _encryption(tools: Tools, path: Path, bounds: Bounds) -> Encryption | None:
    exchanger = path.exchanger
    mode = bounds.tls or tools.tls.tls.mode
    if mode is TlsMode.NEVER:
        return None
    # The name of an address literal is the address in brackets.
    name = exchanger.address if exchanger.name.startswith("[") else exchanger.name
    return Encryption(tools.tls, name, is_required=mode is TlsMode.REQUIRED, failed=path.failed)


def _part_of(report: SessionReport, errand: Errand) -> SessionReport:
    """What of a report is about these recipients."""

    def of_the_domain(replies: Mapping[Address, Reply]) -> dict[Address, Reply]:
        return {each: said for each, said in replies.items() if each.domain == errand.domain}

    whom = frozenset(errand.recipients)
    return evolve(
        report,
        answers=of_the_domain(report.answers),
        witnesses=of_the_domain(report.witnesses),
        unanswered=tuple(each for each in report.unanswered if each in whom),
        without_smtputf8=tuple(each for each in report.without_smtputf8 if each in whom),
    )
