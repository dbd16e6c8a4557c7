"""The daemon's API: JSON over HTTP, the same for the socket in state/ and whatever comes later.

Knows paths, methods, status codes and words (docs/control.rst); not the figures (`status`), not
what a switch does (`switchboard`), not where anybody listens (`control_socket`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any, NoReturn, cast

from attrs import Factory, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import INTERNAL_SERVER_ERROR, OK, REQUEST_ENTITY_TOO_LARGE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twisted_probe.daemon.forgetter import Forgetter, NotNow
from twisted_probe.daemon.status import ROOT, Figures, path_of
from twisted_probe.daemon.switchboard import NoSuchName, Switchboard, called
from twisted_probe.jobs.explaining import NothingKnown, explained
from twisted_probe.jobs.forgetting import NothingToForget
from twisted_probe.jobs.formats.output import record_of
from twisted_probe.jobs.ledger import ALIVE, Job, Ledger, State
from twisted_probe.jobs.names import printable
from twisted_probe.jobs.options import JobOptions
from twisted_probe.jobs.reading import BEFORE_ALL, MAX_PAGE
from twisted_probe.jobs.spool import Spool
from twisted_probe.jobs.switches import JobIsOver, Kind
from twisted_probe.jobs.writer import Run
from twisted_probe.routing.prober import Prober
from twisted_probe.verdict.account import hits_of
from twisted_probe.vocabulary.escaping import cut, decoded, escaped
from twisted_probe.vocabulary.outcome import iso_time

_log = Logger()

#: Bytes of a request's body that are read. None is needed; who sends more is sent away.
MAX_BODY = 4096
#: Seconds of silence after which a connection is closed.
IDLE_TIMEOUT = 10
#: Jobs named where many could be.
MAX_JOBS = 20
#: Those of them that are named in words, and the characters shown of each.
MAX_TOLD = 5
MAX_NAME = 40

#: More than any list has lines.
MAX_NUMBER = 10**18 - 1
_NUMBER = re.compile(rb"-?[0-9]{1,18}")

Answer = dict[str, Any] | bytes
Query = Mapping[str, int]
Bounds = Mapping[str, tuple[int, int]]
#: Answers a request: with the name in its path ("" where there is none) and the numbers of its
#: query.
Handler = Callable[[bytes, Query], Awaitable[Answer]]


class Refusal(Exception):
    """A request that is answered with an error: its status code, words, and more data."""

    def __init__(self, code: int, words: str, **more: Any) -> None:
        super().__init__(words)
        self.code = code
        self.more = more


@frozen
class Route:
    """One thing that can be asked for. `parts` are the parts of its path behind the root, None
    for a name; `query` the numbers that it may be asked with, each with the least and the most that
    it may be."""

    method: bytes
    parts: tuple[bytes | None, ...]
    handler: Handler
    query: Bounds = Factory(dict)

    def name_in(self, parts: tuple[bytes, ...]) -> bytes | None:
        """The name in a path that is this one, None when it is another."""
        if len(parts) != len(self.parts):
            return None
        name = b""
        for own, given in zip(self.parts, parts, strict=True):
            if own is None:
                name = given
            elif own != given:
                return None
        return name


class Control(Resource):
    """The API as a resource. It answers every request itself, in JSON, whatever the path."""

    isLeaf = True

    def __init__(
        self,
        figures: Figures,
        switchboard: Switchboard,
        spool: Spool,
        ledger: Ledger,
        run: Run,
        options_of: Callable[[Job], JobOptions],
        prober: Prober,
        forgetter: Forgetter,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._figures = figures
        self._switchboard = switchboard
        self._spool = spool
        self._ledger = ledger
        self._run = run
        self._options_of = options_of
        self._prober = prober
        self._forgetter = forgetter
        self._answering: set[Deferred[None]] = set()
        self._routes = self._all_routes()

    def _all_routes(self) -> tuple[Route, ...]:
        def switch(kind: Kind, on: bool) -> Handler:
            return lambda name, _: self._switch(kind, name, on)

        def job(change: Callable[[Job], Awaitable[dict[str, Any]]]) -> Handler:
            return lambda name, _: self._switch_job(name, change)

        pages = {
            "after": (0, MAX_NUMBER),
            "limit": (1, MAX_PAGE),
            "since": (BEFORE_ALL, MAX_NUMBER),
            "until": (0, MAX_NUMBER),
        }
        return (
            Route(b"GET", (b"status",), self._status),
            Route(b"GET", (b"jobs",), self._jobs),
            Route(b"GET", (b"jobs", None), self._job),
            Route(b"GET", (b"jobs", None, b"results"), self._results, pages),
            Route(b"GET", (b"explain", None), self._explain),
            Route(b"GET", (b"rules",), self._rules),
            Route(b"POST", (b"jobs", None, b"cancel"), job(self._cancel)),
            Route(b"POST", (b"jobs", None, b"pause"), job(self._pause_job)),
            Route(b"POST", (b"jobs", None, b"resume"), job(self._resume_job)),
            Route(b"POST", (b"forget", None), self._forget),
            Route(b"POST", (b"pause",), switch(Kind.DAEMON, False)),
            Route(b"POST", (b"resume",), switch(Kind.DAEMON, True)),
            Route(b"POST", (b"sites", None, b"pause"), switch(Kind.SITE, False)),
            Route(b"POST", (b"sites", None, b"resume"), switch(Kind.SITE, True)),
            Route(b"POST", (b"sources", None, b"pause"), switch(Kind.SOURCE, False)),
            Route(b"POST", (b"sources", None, b"resume"), switch(Kind.SOURCE, True)),
        )

    # -- requests and answers

    def render(self, request: Any) -> int:
        """Answer by and by."""
        answering = Deferred.fromCoroutine(self._render(request))
        self._answering.add(answering)
        answering.addBoth(self._answered, answering)
        return NOT_DONE_YET

    def _answered(self, _: object, answering: Deferred[None]) -> None:
        self._answering.discard(answering)

    def idle(self) -> Deferred[Any]:
        """Fires when what is being answered now is answered, which is soon: what takes long is
        ended."""
        self._forgetter.stop()
        return DeferredList(list(self._answering))

    async def _render(self, request: Any) -> None:
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        headers: dict[str, str] = {}
        try:
            code, answer = OK, await self._answer(request, headers)
        except Refusal as refusal:
            code, answer = refusal.code, {"error": str(refusal), **refusal.more}
        except Exception:
            _log.failure("a request to the API failed")
            words = "a fault of the daemon; its log has the traceback"
            code, answer = INTERNAL_SERVER_ERROR, {"error": words}
        if gone:
            return
        body = answer if isinstance(answer, bytes) else as_json(answer)
        request.setResponseCode(code)
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Content-Length", str(len(body)))
        request.setHeader("Cache-Control", "no-store")
        for name, value in headers.items():
            request.setHeader(name, value)
        request.write(body)
        request.finish()

    async def _answer(self, request: Any, headers: dict[str, str]) -> Answer:
        root, *parts = tuple(request.postpath or (b"",))
        if root != ROOT.strip("/").encode():
            raise Refusal(404, f"there is nothing here; the API is under {ROOT}/")
        found = [
            (route, name)
            for route in self._routes
            if (name := route.name_in(tuple(parts))) is not None
        ]
        if not found:
            known = sorted({_path(route) for route in self._routes})
            raise Refusal(404, "there is nothing of this path", paths=known)
        for route, name in found:
            if route.method == request.method:
                return await route.handler(name, _query(request.args or {}, route.query))
        headers["Allow"] = ", ".join(sorted({route.method.decode() for route, _ in found}))
        raise Refusal(405, f"{decoded(request.method, 20)} is not for this; {headers['Allow']} is")

    # -- what can be asked for

    async def _status(self, _: bytes, __: Query) -> Answer:
        return await self._figures.status()

    async def _jobs(self, _: bytes, __: Query) -> Answer:
        def listed() -> list[Job]:
            alive = self._ledger.jobs(*ALIVE)
            over = [one for one in self._ledger.latest(MAX_JOBS) if one not in alive]
            return [*alive, *over]

        return {
            "jobs": [
                {"name": job.title, "path": path_of(job), "state": job.state.value}
                for job in await self._run(listed)
            ]
        }

    async def _job(self, name: bytes, _: Query) -> Answer:
        return await self._figures.job(await self._find(name))

    async def _results(self, name: bytes, query: Query) -> Answer:
        job = await self._find(name)
        options = self._options_of(job)

        def page() -> bytes:
            read = self._ledger.page(
                job.id,
                job.title,
                after=query.get("after", 0),
                limit=query.get("limit", MAX_PAGE),
                since=query.get("since", BEFORE_ALL),
                until=query.get("until"),
            )
            now = self._ledger.job(job.id)
            return as_json(
                {
                    "job": now.title,
                    "state": now.state.value,
                    "recipients": now.recipients,
                    "settled": read.settled,
                    "outcomes": [record_of(outcome, options) for outcome in read.outcomes],
                    "after": read.after,
                }
            )

        answer: bytes = await self._run(page)
        return answer

    async def _explain(self, what: bytes, _: Query) -> Answer:
        text = what.decode("utf-8", "surrogateescape")
        try:
            found = await self._run(explained, self._ledger, text, self._prober.rules)
        except NothingKnown as error:
            raise Refusal(404, cut(escaped(str(error)))) from None
        return cast("Answer", found)

    async def _rules(self, _: bytes, __: Query) -> Answer:
        kept: Counter[str] = await self._run(self._ledger.rule_hits)
        return {"rules": hits_of(self._prober.rules, kept + self._prober.rule_hits)}

    async def _forget(self, what: bytes, _: Query) -> Answer:
        try:
            found = await self._forgetter.forget(what.decode("utf-8", "surrogateescape"))
        except NothingToForget as error:
            raise Refusal(404, cut(escaped(str(error)))) from None
        except NotNow as error:
            raise Refusal(503, f"{error}; say it again") from None
        self._figures.forget()
        return {**found.record()}

    async def _switch(self, kind: Kind, given: bytes, on: bool) -> Answer:
        switchboard = self._switchboard
        try:
            text = given.decode("utf-8")
            name = "" if kind is Kind.DAEMON else switchboard.name_of(kind, text)
        except UnicodeDecodeError:
            raise Refusal(400, f"the name of a {kind.value} is text in UTF-8") from None
        except NoSuchName as error:
            raise Refusal(404 if kind is Kind.SOURCE else 400, escaped(str(error))) from None
        what = called(kind, name)
        if on:
            changed = await switchboard.resume(kind, name)
            words = f"{what} goes on" if changed else f"{what} was not paused"
        else:
            changed = await switchboard.pause(kind, name)
            words = f"{what} is paused" if changed else f"{what} was paused already"
            words += "; sessions in hand end, deadlines still count"
        self._figures.forget()
        return {"changed": changed, "words": words}

    async def _switch_job(
        self, name: bytes, change: Callable[[Job], Awaitable[dict[str, Any]]]
    ) -> Answer:
        job = await self._find(name)
        try:
            answer = await change(job)
        except JobIsOver as over:
            raise Refusal(409, f"the job {job.title}: {over}") from None
        self._figures.forget()
        return {**answer, "job": await self._figures.job(await self._run(self._ledger.job, job.id))}

    async def _cancel(self, job: Job) -> dict[str, Any]:
        changed = await self._switchboard.cancel_job(job)
        if not changed:
            words = f"the job {job.title} was cancelled already; its results are being written"
            return {"changed": False, "words": words}
        left = job.recipients - job.settled
        open_ones = "its open recipients are answered as they stand"
        if job.state is State.OPEN:
            open_ones = f"{left} open recipients are answered as they stand"
            if left == 1:
                open_ones = "1 open recipient is answered as it stands"
        words = f"the job {job.title} is cancelled; {open_ones}, and its results are written"
        return {"changed": True, "words": words}

    async def _pause_job(self, job: Job) -> dict[str, Any]:
        changed = await self._switchboard.pause_job(job)
        is_it = "is paused" if changed else "was paused already"
        deadline = iso_time(job.deadline)
        words = f"the job {job.title} {is_it}; its deadline still counts: {deadline}"
        return {"changed": changed, "words": words}

    async def _resume_job(self, job: Job) -> dict[str, Any]:
        changed = await self._switchboard.resume_job(job)
        words = f"the job {job.title} " + ("goes on" if changed else "was not paused")
        return {"changed": changed, "words": words}

    # -- jobs by name

    async def _find(self, name: bytes) -> Job:
        """The job of this name; raises Refusal, with the jobs that there are."""
        job = await self._run(self._find_now, name)
        if job is None:
            await self._no_job(name)
        assert isinstance(job, Job)
        return job

    def _find_now(self, name: bytes) -> Job | None:
        job = self._ledger.find(name)
        if job is None:
            # As it is printed, where that is not as it is.
            title = name.decode("utf-8", "replace")
            jobs = [*self._ledger.jobs(*ALIVE), *self._ledger.latest(MAX_JOBS)]
            job = next((one for one in jobs if one.title == title), None)
        return job

    async def _no_job(self, name: bytes) -> NoReturn:
        shown = cut(printable(name), 80)
        jobs = [job.title for job in await self._run(self._known)]
        if name in await self._run(self._spool.new):
            words = f"the list {shown} is still in new/, and not taken yet; try again in a moment"
            raise Refusal(404, words, jobs=jobs)
        words = f"there is no job {shown}"
        if jobs:
            words += f"; there are: {', '.join(cut(job, MAX_NAME) for job in jobs[:MAX_TOLD])}"
        if len(jobs) > MAX_TOLD:
            words += f" and {len(jobs) - MAX_TOLD} more" if len(jobs) < MAX_JOBS else " and more"
        raise Refusal(404, words, jobs=jobs)

    def _known(self) -> list[Job]:
        jobs = {job.title: job for job in self._ledger.latest(MAX_JOBS)}
        jobs.update({job.title: job for job in self._ledger.jobs(*ALIVE)})
        return list(jobs.values())[:MAX_JOBS]


def as_json(answer: Mapping[str, Any]) -> bytes:
    """The body of an answer: one line."""
    return json.dumps(answer, separators=(",", ":")).encode("ascii") + b"\n"


def _path(route: Route) -> str:
    parts = (b"NAME" if part is None else part for part in route.parts)
    return f"{route.method.decode()} {ROOT}/{b'/'.join(parts).decode()}"


def _query(arguments: Mapping[bytes, list[bytes]], known: Bounds) -> Query:
    found = {}
    for key, values in arguments.items():
        name = decoded(key, 20)
        if name not in known:
            raise Refusal(400, f"{name} cannot be asked for here")
        if len(values) != 1 or not _NUMBER.fullmatch(values[0]):
            raise Refusal(400, f"{name} has to be one whole number")
        least, most = known[name]
        found[name] = int(values[0])
        if not least <= found[name] <= most:
            raise Refusal(400, f"{name} has to be from {least} to {most}")
    return found


class _BoundedRequest(Request):
    """A request whose body is no longer than MAX_BODY."""

    _received = 0

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        before, self._received = self._received, self._received + len(data)
        if self._received <= MAX_BODY:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]
        elif before <= MAX_BODY:
            channel: Any = self.channel
            words = f"no request has a body of more than {MAX_BODY} bytes"
            body = as_json({"error": words})
            channel.transport.write(
                b"HTTP/1.1 %d Content Too Large\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (REQUEST_ENTITY_TOO_LARGE, len(body), body)
            )
            channel.loseConnection()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        # One that is too long was answered already.
        if self._received <= MAX_BODY:
            super().requestReceived(command, path, version)  # type: ignore[no-untyped-call]


class ControlSite(Site):
    """A web site that is the API and nothing else, without an access log."""

    noisy = False
    displayTracebacks = False

    def __init__(self, control: Control, clock: IReactorTime) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            control, requestFactory=_BoundedRequest, timeout=IDLE_TIMEOUT, reactor=clock
        )

    def log(self, request: Any) -> None:
        """Nothing: what is changed is logged where it is changed."""
