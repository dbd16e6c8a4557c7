"""Sites that have worked, and a look whether they still do.

Knows how to see what works from here; not when that is of interest (`routing.watchdog`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_probe.routing.names import NameTrouble, NoSuchName
from twisted_probe.routing.path import Path
from twisted_probe.routing.pauses import Held
from twisted_probe.routing.sessions import Errand, Sessions
from twisted_probe.routing.tools import Tools
from twisted_probe.routing.watchdog import Trouble

_log = Logger()

#: Sites looked at together: it takes one that works.
TOGETHER = 3
#: Seconds until one that has not shown itself counts as gone: Postfix smtp_connect_timeout.
LOOK = 30.0
#: Hexadecimal digits of a name that nobody has, so that no cache has it either.
_DIGITS = 16


class Landmarks:
    """The looks of one prober at sites where it was answered.

    A look at the network is a session like any other, with its turn and all that may forbid it,
    in which nobody is asked. One at the DNS asks for a name below the exchanger's that there is
    not.
    """

    def __init__(self, tools: Tools, sessions: Sessions) -> None:
        self._tools = tools
        self._sessions = sessions

    def look(self, what: Trouble) -> Deferred[bool] | None:
        """Look whether `what` fails at these too; the watchdog hears what works.

        Fires when that is over, LOOK seconds from now at the latest, with whether any was seen: no
        session comes to its turn where enough are open. Errbacks CancelledError when nothing of
        it is left. None where there is nothing to look at.
        """
        see = self._visit if what is Trouble.CONNECT else self._ask_for_nobody
        paths = self._paths()[:TOGETHER]
        if not paths:
            return None
        seen: list[Path] = []
        looks = [Deferred.fromCoroutine(see(path, seen)) for path in paths]
        for each in looks:
            each.addTimeout(LOOK, self._tools.reactor)
            each.addErrback(_took_too_long)
        return DeferredList(looks, consumeErrors=True).addCallback(_cancelled, seen)

    def _paths(self) -> Sequence[Path]:
        """Those that may be gone now: where nobody waits first, and of those the latest."""
        tools, now = self._tools, self._tools.now()
        landmarks = sorted(
            self._sessions.landmarks, key=lambda each: tools.sites.is_full(each.site, 1, None)
        )
        return [
            Path(each.site, each.exchanger, source, tools.reverse_path)
            for each in landmarks
            if not tools.customs.at(each.exchanger.name).skip
            and tools.pauses.held(each.site, hosts=[each.exchanger.name]) is None
            for source in [
                tools.sources.choose(
                    each.site, frozenset([each.exchanger.family]), now, tools.pauses.sources
                )
            ]
            if source is not None
        ]

    async def _visit(self, path: Path, seen: list[Path]) -> None:
        # The session itself tells the watchdog what it has shown.
        tools, source, host = self._tools, path.source, path.exchanger.name

        def held() -> Held | None:
            if tools.sources.named(source.address) != source:
                return Held(f"the source {source.address} is not what it was")
            return tools.pauses.held(path.site, source.address, [host])

        errand = Errand((), None, lambda _: (), held)
        self._sessions.board(tools, path, errand)
        try:
            await errand.done
        except Held:
            return
        except CancelledError:
            if not errand.is_waiting:
                seen.append(path)
            await self._sessions.left(errand)
            raise
        seen.append(path)

    async def _ask_for_nobody(self, path: Path, seen: list[Path]) -> None:
        seen.append(path)
        label = f"{self._tools.rng.getrandbits(4 * _DIGITS):0{_DIGITS}x}"
        try:
            await self._tools.names.mail_exchangers(f"{label}.{path.exchanger.name}")
        except NameTrouble:
            return
        except NoSuchName:
            pass
        self._tools.watchdog.worked(Trouble.DNS)


def _took_too_long(failure: Failure) -> Failure | None:
    if failure.check(CancelledError):
        return failure
    if not failure.check(TookTooLong):
        _log.failure("a look at a site that has worked failed", failure)
    return None


def _cancelled(results: Sequence[tuple[bool, Any]], seen: Sequence[Path]) -> Any:
    """The failure of one who was, else whether anything was seen."""
    return next((result for went_well, result in results if not went_well), bool(seen))
