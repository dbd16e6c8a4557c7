"""One session with one exchanger, for all who want it: from the slot to the end of the connection.

Knows who may share a session, what is looked at before a connection is dialled, and what a
session teaches; not which exchanger comes next (`routing.attempt`), nor what an answer amounts
to (`routing.evidence`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from twisted_probe.routing.customs import Bounds
from twisted_probe.routing.memory import Learned
from twisted_probe.routing.pauses import Held
from twisted_probe.routing.signs import complaint_of
from twisted_probe.routing.tempo import Tempo
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Trouble
from twisted_probe.smtp.conversation import Party, SessionReport, converse
from twisted_probe.smtp.errors import (
    ConnectTimeout,
    NoRoute,
    Refused,
    SessionError,
    SessionLost,
    SourceUnavailable,
    TlsFailed,
)
from twisted_probe.smtp.factory import ProbeFactory
from twisted_probe.smtp.limits import MAX_RECIPIENTS, MAX_RESETS
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.smtp.tls import Encryption, TlsMode
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.vocabulary.address import Address, parse_reverse_path
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.finding import Finding
from twisted_probe.vocabulary.outcome import Reason
from twisted_probe.vocabulary.reply import Reply, Stage
from twisted_probe.vocabulary.source import Source

_log = Logger()

STOPPED = "the reactor has stopped"


class Benched(SourceUnavailable):
    """The site has refused the source, or too many of them, while the session waited its turn."""

    reason = Reason.BLOCKLISTED


class Suspended(SourceUnavailable):
    """So many sites have refused the source that it stays away from all for a while, or this
    machine could not send from it just now."""


@frozen
class Path:
    """What those have in common who may share a session: the `site` that it counts for, the
    exchanger, from where and with which reverse-path, and the `manner` that an earlier session
    of theirs has advised (None: that of the memory)."""

    site: str
    exchanger: Exchanger
    source: Source
    reverse_path: str
    manner: Manner | None = None


@frozen
class Answered:
    """What a session brought for one party: its report, and in what manner it was held."""

    report: SessionReport
    manner: Manner


@define(eq=False)
class Errand:
    """Recipients of one domain, and its control if that is to be asked, who want a session.

    `held` says why none may begin for them, as long as that is so. Wait for `done`; to cancel it
    leaves the session, and `Sessions.left` then fires when nothing of it goes on for them.
    """

    recipients: Sequence[Address]
    control: Address | None
    held: Callable[[], Held | None]
    done: Deferred[Answered] = field(init=False, factory=Deferred)
    _carriage: _Carriage | None = field(init=False, default=None)

    @property
    def is_waiting(self) -> bool:
        """Whether no session has begun for them."""
        return self._carriage is not None and self._carriage.is_boarding

    @property
    def places(self) -> int:
        """RCPT commands that they need."""
        return len(self.recipients) + (self.control is not None)


@define(eq=False)
class _Carriage:
    """One session to be, and those who share it."""

    path: Path
    tools: Tools
    bounds: Bounds
    errands: list[Errand] = field(factory=list)
    is_boarding: bool = True
    running: Deferred[None] = field(init=False, factory=Deferred)
    ended: Deferred[None] = field(init=False, factory=Deferred)

    def has_room(self, errand: Errand) -> bool:
        if self.bounds.one_domain and len(self.errands) > MAX_RESETS:
            return False
        taken = sum(each.places for each in self.errands)
        most = self.bounds.recipients_per_session or MAX_RECIPIENTS
        return taken + errand.places <= most

    def board(self, errand: Errand) -> None:
        self.errands.append(errand)
        errand._carriage = self

    def parties(self) -> list[Party]:
        """Whom to ask: each recipient and each control once."""
        domains: dict[str, tuple[dict[Address, None], list[Address]]] = {}
        for errand in self.errands:
            recipients, controls = domains.setdefault(errand.recipients[0].domain, ({}, []))
            recipients |= dict.fromkeys(errand.recipients)
            if errand.control is not None:
                controls.append(errand.control)
        return [
            Party(tuple(recipients), next(iter(controls), None))
            for recipients, controls in domains.values()
        ]


class Sessions:
    """The sessions of one prober, and those who wait for one."""

    def __init__(self) -> None:
        self._boarding: dict[Path, _Carriage] = {}

    def board(self, tools: Tools, path: Path, errand: Errand) -> None:
        """Have a session with the path's exchanger begin as soon as it may, or share one that
        waits for its turn. `errand.done` fires with an Answered, whatever becomes of the session,
        or errbacks Held."""
        carriage = self._boarding.get(path)
        if carriage is None or not carriage.has_room(errand):
            carriage = _Carriage(path, tools, tools.customs.at(path.exchanger.name))
            self._boarding[path] = carriage
            carriage.board(errand)
            carriage.running = Deferred.fromCoroutine(self._run(carriage))
            carriage.running.addBoth(self._ended, carriage)
        else:
            carriage.board(errand)

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
        tools, path, bounds = carriage.tools, carriage.path, carriage.bounds
        async with tools.ports.held(path.source, path.exchanger.address):
            if not tools.sites.knows(path.site):
                first, now = float(tools.limits.first_sessions), tools.now()
                kept = await tools.memory.tempo(path.site)
                tools.sites.set_tempo(path.site, (kept or Tempo(first, now)).fresh(now, first))
            slot = await tools.sites.slot(
                path.site,
                path.exchanger.address,
                source=path.source,
                bounds=bounds,
                rejections=bounds.errors_per_session,
            )
            rejections: int | None = 0
            try:
                self._close_doors(carriage)
                _send_back_the_held(carriage)
                if not carriage.errands:
                    return
                manner = await _manner(tools, path, bounds)
                rejections = None
                report = await _session(carriage, manner)
                rejections = report.errors
                _watch(carriage, report)
            finally:
                slot.release(rejections)
        await _learn(carriage, manner, report, slot.granted_at)
        self._tell(carriage, manner, report)

    def _tell(self, carriage: _Carriage, manner: Manner, report: SessionReport) -> None:
        errands, carriage.errands = carriage.errands, []
        for number, errand in enumerate(errands):
            part = _part_of(report, errand)
            is_over = report.refusal is not None or report.failure is not None
            if number and part.unanswered and not part.answers and not is_over:
                # The others have used up what the session could bear.
                self.board(carriage.tools, carriage.path, errand)
            else:
                errand.done.callback(Answered(part, manner))


def _watch(carriage: _Carriage, report: SessionReport) -> None:
    """Tell those who look for trouble of our own."""
    tools, path, failure = carriage.tools, carriage.path, report.failure
    tools.tripwire.note(path.site, path.source.address, report)
    if failure is None or failure.stage is not Stage.CONNECT:
        tools.watchdog.worked(Trouble.CONNECT)
    elif isinstance(failure, ConnectTimeout | Refused | NoRoute):
        tools.watchdog.failed(Trouble.CONNECT, path.site)
    elif type(failure) is SourceUnavailable and not path.source.port:
        until = tools.sources.suspend(path.source, tools.now())
        _log.warn(
            "{source} cannot be sent from, and is left alone for {seconds:.0f} s: {why}",
            source=path.source.address,
            seconds=until - tools.now(),
            why=failure.text,
        )


def _send_back_the_held(carriage: _Carriage) -> None:
    for errand in list(carriage.errands):
        held = errand.held()
        if held is not None:
            carriage.errands.remove(errand)
            errand.done.errback(held)


async def _manner(tools: Tools, path: Path, bounds: Bounds) -> Manner:
    """In which manner to hold the session."""
    if path.manner is not None:
        return path.manner
    learned = await tools.memory.learned(path.exchanger.address)
    return UNKNOWN_MANNER if learned is None else learned.fresh(tools.now())


async def _session(carriage: _Carriage, manner: Manner) -> SessionReport:
    tools, path, bounds = carriage.tools, carriage.path, carriage.bounds
    exchanger, source = path.exchanger, path.source
    parties = carriage.parties()
    # Nothing is dialled for one that cannot be said.
    reverse_path = parse_reverse_path(path.reverse_path)
    factory = ProbeFactory(source, tools.timeouts, bounds.recipients_per_session)
    try:
        _look_before_dialling(tools, path)
        session = await factory.connect(tools.reactor, exchanger.address, tools.port)
        report = await converse(
            session,
            parties[0].recipients,
            reverse_path,
            control=parties[0].control,
            others=parties[1:],
            apart=bounds.one_domain,
            max_errors=bounds.errors_per_session,
            manner=_within(manner, bounds),
            encryption=_encryption(tools, exchanger, bounds),
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
        raise NoRoute(f"never dialled: {why}", host=exchanger.address)
    if tools.sources.named(source.address) is None:
        words = f"{source.address} is not among the sources any more"
        raise SourceUnavailable(words, host=exchanger.address)
    if tools.sources.is_suspended(source, tools.now()):
        words = f"{source.address} stays away from everywhere for now"
        raise Suspended(words, host=exchanger.address)
    if tools.sources.is_benched(source, path.site, tools.now()):
        raise Benched(f"{source.address} was refused meanwhile", host=exchanger.address)


def _within(manner: Manner, bounds: Bounds) -> Manner:
    """The manner, with no more recipients in a transaction than the site is known to take."""
    most = bounds.recipients_per_transaction
    shown = manner.recipients_per_transaction
    if most is None or (shown is not None and shown <= most):
        return manner
    return evolve(manner, recipients_per_transaction=most)


def _encryption(tools: Tools, exchanger: Exchanger, bounds: Bounds) -> Encryption | None:
    mode = bounds.tls or tools.tls.tls.mode
    if mode is TlsMode.NEVER:
        return None
    # The name of an address literal is the address in brackets.
    name = exchanger.address if exchanger.name.startswith("[") else exchanger.name
    return Encryption(tools.tls, name, is_required=mode is TlsMode.REQUIRED)


def _part_of(report: SessionReport, errand: Errand) -> SessionReport:
    """What of a report is about these recipients."""
    whom = {*errand.recipients, errand.control}
    return evolve(
        report,
        answers={each: reply for each, reply in report.answers.items() if each in whom},
        unanswered=tuple(each for each in report.unanswered if each in whom),
        without_smtputf8=tuple(each for each in report.without_smtputf8 if each in whom),
    )


# --- What it teaches -------------------------------------------------------------------------


async def _learn(carriage: _Carriage, before: Manner, report: SessionReport, began: float) -> None:
    """Keep the manner that the session advises, and how fast its site may be asked."""
    tools, path = carriage.tools, carriage.path
    await _learn_tempo(carriage, report, began)
    if report.manner != before:
        manner = report.manner
        if not isinstance(report.failure, TlsFailed):
            # A session that was lost under TLS says nothing of the next handshake.
            manner = evolve(manner, starttls=before.starttls)
        await tools.memory.learn(path.exchanger.address, Learned(manner, tools.now()))


async def _learn_tempo(carriage: _Carriage, report: SessionReport, began: float) -> None:
    tools, path, most = carriage.tools, carriage.path, float(carriage.bounds.sessions)
    before, now = tools.sites.tempo(path.site), tools.now()

    def read(reply: Reply, recipient: Address | None) -> Finding:
        return classify(
            reply.stage,
            reply,
            Context(
                source=path.source.address,
                helo=path.source.helo,
                reverse_path=path.reverse_path,
                recipient="" if recipient is None else recipient.text,
            ),
            tools.rules,
        )

    complaint = complaint_of(report, read, has_borne=before.has_borne)
    if complaint is None:
        tempo = before.brisker(now, most) if report.answers else before
    elif began < before.complained_at:
        tempo = before  # the same complaint once more, of a session that was open then
    else:
        tempo = before.calmer(now, tools.limits.rest, complaint.hint)
        _log.info(
            "{site} is asked less, and rests for {rest:.0f} s: {why}",
            site=path.site,
            rest=tempo.rests_until - now,
            why=complaint.words,
        )
    tools.sites.set_tempo(path.site, tempo)
    has_changed = (tempo.sessions, tempo.complaints) != (before.sessions, before.complaints)
    if has_changed and tempo.is_worth_keeping(most):
        await tools.memory.keep_tempo(path.site, tempo)
