"""What a session teaches: the manner of its exchanger, the tempo of its site, and whether there is
trouble of our own.

Knows what is worth keeping, and where; not what it says of a recipient (`routing.evidence`).
"""

from __future__ import annotations

from attrs import evolve, frozen
from twisted.logger import Logger

from twisted_probe.routing.customs import Bounds
from twisted_probe.routing.memory import Learned
from twisted_probe.routing.path import Path
from twisted_probe.routing.signs import complaint_of
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Trouble
from twisted_probe.smtp.conversation import SessionReport
from twisted_probe.smtp.errors import (
    ConnectTimeout,
    LocalExhaustion,
    NoRoute,
    Refused,
    SessionLost,
    SourceUnavailable,
    TlsFailed,
)
from twisted_probe.smtp.manner import Manner
from twisted_probe.verdict.classify import Context, classify
from twisted_probe.vocabulary.address import Address
from twisted_probe.vocabulary.finding import Finding
from twisted_probe.vocabulary.reply import Reply, Stage

_log = Logger()

NO_SOURCE = "none of the sources can be sent from; look at the addresses of this machine"


@frozen
class Lesson:
    """The session on `path` that had its slot when it `began`, and has brought `report`; `bounds`
    hold at its site."""

    tools: Tools
    path: Path
    bounds: Bounds
    began: float
    report: SessionReport

    def watch(self) -> None:
        """Tell those who look for trouble of our own; that there was a connection they know."""
        tools, path, failure = self.tools, self.path, self.report.failure
        if isinstance(failure, LocalExhaustion):
            tools.sites.exhausted()
        elif failure is None or failure.stage is not Stage.CONNECT:
            tools.sources.plumbed(path.source, self.began)
        elif type(failure) is NoRoute:
            tools.families.failed(path.exchanger.family, path.site)
        elif isinstance(failure, ConnectTimeout | Refused):
            tools.sources.plumbed(path.source, self.began)
            tools.watchdog.failed(Trouble.CONNECT, path.site)
        elif type(failure) is SourceUnavailable and not path.source.port:
            self._suspend(failure.text)

    def _suspend(self, why: str) -> None:
        """Leave a source alone that cannot be bound; others of its sessions may have shown it."""
        sources, source, now = self.tools.sources, self.path.source, self.tools.now()
        if sources.is_suspended(source, now):
            return
        was_known = sources.are_unplumbed(sources.all)
        _log.warn(
            "{source} cannot be sent from, and is left alone for {seconds:.0f} s: {why}",
            source=source.address,
            seconds=sources.suspend(source, now) - now,
            why=why,
        )
        if sources.are_unplumbed(sources.all) and not was_known:
            _log.critical(NO_SOURCE)

    async def keep_manner(self, known: Manner, before: Manner) -> None:
        """Keep the manner that the session advises, where `known` was kept and `before` was
        tried.

        That a session was lost under TLS says nothing of the next handshake, nor one that was
        lost upon EHLO of the next one, until HELO has worked.
        """
        manner, failure = self.report.manner, self.report.failure
        if not (isinstance(failure, TlsFailed) or manner.starttls > before.starttls):
            manner = evolve(manner, starttls=known.starttls)
        if isinstance(failure, SessionLost) and failure.stage is Stage.EHLO and not failure.replies:
            manner = evolve(manner, extended=known.extended)
        if manner != known:
            learned = Learned(manner, self.tools.now())
            await self.tools.memory.learn(self.path.exchanger.address, learned)

    async def keep_tempo(self) -> None:
        """Keep how fast the site may be asked, now that the session has ended."""
        tools, path, most = self.tools, self.path, float(self.bounds.sessions)
        before, now = tools.sites.tempo(path.site), tools.now()
        complaint = complaint_of(self.report, self._read, has_borne=before.has_borne)
        if self.began <= before.complained_at:
            # Calm, or the same complaint once more: it was open before the site was asked less.
            tempo = before
        elif complaint is None:
            tempo = before.brisker(now, most) if self.report.answers else before
        else:
            tempo = before.calmer(now, tools.limits.rest, complaint.hint)
            tools.sites.rest(path.exchanger.address, tempo.rests_until)
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

    def _read(self, reply: Reply, recipient: Address | None) -> Finding:
        path = self.path
        return classify(
            reply.stage,
            reply,
            Context(
                source=path.source.address,
                helo=path.source.helo,
                reverse_path=path.reverse_path,
                recipient="" if recipient is None else recipient.text,
                exchanger=path.exchanger.name,
            ),
            self.tools.rules,
        )
