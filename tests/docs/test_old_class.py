"""docs/old_class.rst: one test for each row, which runs the row's own code in the sandbox."""

from __future__ import annotations

import ast
import gc
import inspect
import re
import shlex
import socket
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field
from docutils import nodes
from docutils.core import publish_doctree, publish_string
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, FirstError
from twisted.internet.protocol import Factory

import twisted_probe
from tests.docs.programs import DOCS, one_address
from twisted_probe import (
    NoRoute,
    ProbeFactory,
    ReplyTimeout,
    SessionLost,
    SourceUnavailable,
    Timeouts,
    TooManyRecipients,
)
from twisted_probe.routing import opening
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.answers import Answer, Then
from twisted_probe.sandbox.habits import Blocks, DropsAfter, Greylists
from twisted_probe.sandbox.record import SessionRecord
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.sandbox.town import Town
from twisted_probe.smtp import errors
from twisted_probe.smtp.errors import (
    ForbiddenCommand,
    OutOfOrder,
    OutOfStep,
    ProtocolViolation,
    UnsafeCommand,
)
from twisted_probe.vocabulary.source import Source

reactor: Any = _reactor

PAGE = DOCS / "old_class.rst"
TEXT = PAGE.read_text("utf-8")
#: The code of each row by its name.
CODE = {
    block["names"][0]: block.astext()
    for block in publish_doctree(TEXT).findall(nodes.literal_block)
}

#: What stands for the addresses of the page here.
US, EXCHANGER = "127.0.0.21", "127.0.1.1"
HELO = "probe1.example.org"
SOURCE = Source(US, helo=HELO)

TAKES_ALL = Temper(greeting="220 mx.example.net ready", unknown=None)


@define
class Reader:
    """Somebody who runs the page's code at an exchanger; `printed` is what it printed."""

    town: Town
    printed: list[str] = field(factory=list)

    @property
    def sessions(self) -> list[SessionRecord]:
        """What the exchanger has seen."""
        return self.town.exchangers["mx.example.net"].record.sessions

    async def session(self, **options: Any) -> Any:
        """A session that was greeted."""
        return await ProbeFactory(SOURCE, **options).connect(reactor, EXCHANGER, self.town.port)

    async def runs(self, row: str, *replaced: tuple[str, str], **given: Any) -> dict[str, Any]:
        """Run a row's code, with other words in some places; the names that it leaves."""
        names = self._run("given", [])[1]
        names.update(given, reactor=reactor, port=self.town.port, print=self._print)
        running, names = self._run(row, replaced, names)
        if inspect.iscoroutine(running):
            await Deferred.fromCoroutine(running)
        return names

    def _run(
        self, row: str, replaced: Any, names: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        code = CODE[row]
        for words, others in [("192.0.2.10", US), ("192.0.2.25", EXCHANGER), *replaced]:
            code = code.replace(words, others)
        names = {} if names is None else names
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        return eval(compile(code, f"{PAGE.name}: {row}", "exec", flags), names), names

    def _print(self, *words: object) -> None:
        self.printed.append(" ".join(map(str, words)))


@asynccontextmanager
async def reader(temper: Temper = TAKES_ALL) -> AsyncIterator[Reader]:
    """A reader, and an exchanger to read at."""
    town = Town([House("mx.example.net", EXCHANGER, temper)], names={}, sample="")
    await town.start(reactor)
    try:
        yield Reader(town)
    finally:
        await town.stop()


# --- The page ----------------------------------------------------------------------------------


def test_it_renders_without_a_warning() -> None:
    page = publish_string(
        TEXT,
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )
    assert "raise_for_refusal" in page


def test_every_row_has_code_and_a_test() -> None:
    (table,) = publish_doctree(TEXT).findall(nodes.tbody)
    rows = [
        [block["names"][0] for block in row.findall(nodes.literal_block)]
        for row in table.findall(nodes.row)
    ]
    assert all(len(names) == 1 for names in rows)
    tests = [name for name in globals() if name.startswith("test_row_")]
    assert [f"test_row_{name.replace('-', '_')}" for (name,) in rows] == tests


def test_every_name_on_it_is_there() -> None:
    """Whatever the page calls an error, or a name of the package, is one."""
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    old = {name for name in re.findall(r"``(\w+)``", TEXT) if name.startswith("Telnet")}
    assert len(old) == 8
    named = set(re.findall(r"``([A-Z][a-z]\w+)``", TEXT)) - old
    assert named <= kinds | set(twisted_probe.__all__)


# --- The rows ----------------------------------------------------------------------------------


async def test_row_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    async with reader() as page:
        monkeypatch.setattr(
            opening, "system_resolvers", lambda: [parse_resolver(page.town.resolver)]
        )
        await page.runs("destination", ("192.0.2.0/24", "127.0.0.0/8"))
        assert page.printed == [f"{EXCHANGER} {page.town.port}", EXCHANGER]
        with pytest.raises(NoRoute, match="never dialled"):
            await page.runs("destination")


async def test_row_source() -> None:
    async with reader() as page:
        await page.runs("source")
        assert page.printed == [US]
        with warnings.catch_warnings():
            # Twisted leaves a socket that could not be bound to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            with pytest.raises(SourceUnavailable, match=r"source 192\.0\.2\.10"):
                await page.runs("source", (US, "192.0.2.10"))
            gc.collect()
    assert [session.client for session in page.sessions] == [US]


async def test_row_source_port() -> None:
    async with reader() as page:
        vacant = reactor.listenTCP(0, Factory(), interface=US)
        own = vacant.getHost().port
        await vacant.stopListening()
        port = ("2525", str(own))
        first = (await page.runs("source-port", port))["session"]
        assert page.printed == [str(own)]
        with pytest.raises(SourceUnavailable, match=f"source {US} port {own}: it has a session"):
            await page.runs("source-port", port)
        await first.quit()
        again = (await page.runs("source-port", port))["session"]
        # The kernel is not to choose.
        sock: socket.socket = again.transport.socket
        assert sock.getsockopt(socket.SOL_IP, 24) == 0
        assert (await page.session()).transport.socket.getsockopt(socket.SOL_IP, 24) == 1
    assert [session.port for session in page.sessions[:2]] == [own, own]


async def test_row_timeout() -> None:
    async with reader() as page:
        names = await page.runs("timeout")
        assert names["factory"].timeouts == Timeouts.flat(30)
        default = ProbeFactory(SOURCE).timeouts
        assert (default.connect, default.greeting, default.command) == (30, 60, 60)
        rfc = Timeouts.rfc()
        assert rfc.greeting == rfc.command == 300
    silent = Temper(greeting=Answer())
    async with reader(silent) as page:
        with pytest.raises(ReplyTimeout):
            await page.runs("timeout", ("timeout=30", "timeout=0.5"))


async def test_row_phases() -> None:
    async with reader() as page:
        session = await page.session()
        await page.runs("phases", session=session)
        assert page.printed == ["GREETED", "READY", "TRANSACTION", "TRANSACTION 1"]
        with pytest.raises(OutOfOrder):
            session.mail("probe@example.org")


@pytest.mark.parametrize("code", [220, 554])
async def test_row_connecting(code: int) -> None:
    async with reader(Temper(greeting=f"{code} mx.example.net ready")) as page:
        await page.runs("connecting")
    assert page.printed == [f"{code} mx.example.net ready"]


async def test_row_tell() -> None:
    async with reader(tempers.postfix(residents(""))) as page:
        session = await page.session()
        await page.runs("tell", session=session)
        assert page.printed == ["550 TRANSACTION 1"]
        for line in (b"DATA", b"bdat 4 last", b"VRFY ann"):
            with pytest.raises(ForbiddenCommand):
                session.command(line)
        with pytest.raises(UnsafeCommand):
            session.command(b"NOOP\r\nRSET")
    assert page.sessions[0].verbs == ["HELO", "MAIL", "RCPT"]


async def test_row_listen() -> None:
    twice = Temper(helo=Answer("250 once", raw=(b"250 once\r\n250 and again\r\n",)))
    async with reader(twice) as page:
        await page.runs("listen", session=await page.session())
        assert page.printed == ["once", "and again"]
        session = await page.session()
        with pytest.raises(OutOfStep):
            await session.helo(extended=False)
    # Where both Deferreds end in an error, none is left unhandled.
    async with reader(Temper(helo=Answer("", then=Then.CLOSE))) as page:
        with pytest.raises(FirstError) as caught:
            await page.runs("listen", session=await page.session())
        assert caught.value.subFailure.check(SessionLost)
        del caught
        gc.collect()


async def test_row_reconnecting() -> None:
    async with reader() as page:
        before = await page.session()
        names = await page.runs("reconnecting", session=before)
        assert names["reply"].code == 250
        with pytest.raises(SessionLost, match="has ended with QUIT"):
            await before.rcpt("ann@example.net")
    assert [session.verbs for session in page.sessions] == [["QUIT"], ["EHLO"]]


async def test_row_recipients() -> None:
    async with reader() as page:
        with pytest.raises(TooManyRecipients):
            await page.runs("recipients")
        names = await page.runs("recipients", ("=100", "=0"))
        assert names["session"].recipients_asked == 101
    limited, unlimited = page.sessions
    assert (limited.verbs.count("RCPT"), unlimited.verbs.count("RCPT")) == (100, 101)
    assert limited.commands[-1] == ("RCPT", "TO:<user100@example.net>")


async def test_row_reply() -> None:
    async with reader(Temper(helo="250 2.0.0 mx.example.net\nat \x1b[1myour service")) as page:
        names = await page.runs("reply", session=await page.session())
    assert page.printed == [f"250 {EXCHANGER} mx.example.net at \\x1b[1myour service"]
    reply = names["reply"]
    assert reply.enhanced == "2.0.0"
    assert reply.lines == (b"2.0.0 mx.example.net", b"at \x1b[1myour service")
    assert reply.stage.value == "ehlo"
    assert reply.is_positive


@pytest.mark.parametrize("line", [b"250\r\n", b"250 \r\n"])
async def test_row_empty_reply(line: bytes) -> None:
    async with reader(Temper(helo=Answer("250", raw=(line,)))) as page:
        await page.runs("empty-reply", session=await page.session())
        assert page.printed == ["250 ''"]
    for says, end, timeout in (
        (Answer(), ReplyTimeout, Timeouts(command=0.1)),
        (Answer(then=Then.CLOSE), SessionLost, Timeouts()),
        (Answer(raw=(b"\r\n",)), ProtocolViolation, Timeouts()),
        (Answer(raw=(b"000 nothing\r\n",)), ProtocolViolation, Timeouts()),
    ):
        async with reader(Temper(helo=says)) as page:
            with pytest.raises(end):
                await page.runs("empty-reply", session=await page.session(timeout=timeout))


async def test_row_timeout_error() -> None:
    async with reader(Temper(ehlo=Answer())) as page:
        await page.runs("timeout-error", ("timeout=30", "timeout=0.5"))
    assert page.printed == [f"{EXCHANGER} None no reply in time"]


async def test_row_closed() -> None:
    async with reader(Temper(habits=(DropsAfter(0),))) as page:
        await page.runs("closed", session=await page.session())
        assert page.printed == [f"{EXCHANGER} None the exchanger closed the connection"]
    goodbye = Answer("250 hello", raw=(b"250 hello\r\n421 4.3.2 shutting down\r\n",))
    async with reader(Temper(ehlo=goodbye)) as page:
        await page.runs("closed", session=await page.session())
    words = "the exchanger closes the session: 421 4.3.2 shutting down"
    assert page.printed == [f"{EXCHANGER} 421 {words}"]


async def test_row_no_route() -> None:
    async with reader() as page:
        # From a loopback address nothing leaves the machine.
        await page.runs("no-route", exchanger="192.0.2.25")
        (words,) = page.printed
        assert words.startswith("NoRoute 192.0.2.25 None ")
        await page.runs("no-route", exchanger="127.0.1.2")
        assert page.printed[1].startswith("Refused 127.0.1.2 None ")


async def test_row_blacklisted() -> None:
    listed = Temper(unknown=None, habits=(Blocks(frozenset([US])),))
    async with reader(listed) as page:
        await page.runs("blacklisted", session=await page.session())
    (words,) = page.printed
    assert words.startswith(f"{EXCHANGER} 554 Service unavailable; Client host [{US}] blocked")


async def test_row_greylisted() -> None:
    async with reader(Temper(unknown=None, habits=(Greylists(),))) as page:
        await page.runs("greylisted", session=await page.session())
    (words,) = page.printed
    assert words.startswith(f"{EXCHANGER} 450 <ann@example.net>: Recipient address rejected: Grey")


async def test_row_too_many_recipients() -> None:
    async with reader() as page:
        await page.runs("too-many-recipients")
    assert page.printed == [f"{EXCHANGER} None 1 recipients were asked in this session, the limit"]


async def test_row_error_numbers() -> None:
    async with reader(Temper(ehlo=Answer(then=Then.ABORT))) as page:
        await page.runs("error-numbers", session=await page.session())
        assert page.printed == ["the connection was reset or broke"]  # ECONNRESET
    async with reader() as page:
        session = await page.session()
        session.transport.socket.shutdown(socket.SHUT_WR)
        await page.runs("error-numbers", session=session)
        assert page.printed == ["the connection was reset or broke"]  # EPIPE


async def test_row_transcript() -> None:
    async with reader() as page:
        await page.runs("transcript")
    assert page.printed == [
        "S: 220 mx.example.net ready",
        f"C: HELO {HELO}",
        "S: 250 mx.example.net",
        "C: QUIT",
        "S: 221 2.0.0 Bye",
    ]


async def test_row_word_lists() -> None:
    async with reader() as page:
        await page.runs("word-lists")
    assert sorted(page.printed) == [
        "blocklisted black-list",
        "blocklisted source-refused",
        "blocklisted your-source-barred",
        "greylisted come-again-in",
        "greylisted greylisted",
    ]


async def test_row_example_program() -> None:
    async with reader() as page:
        words = shlex.split(CODE["example-program"].replace("\\\n", "").replace("192.0.2.10", US))
        assert words[0] == "python"
        assert (DOCS.parent / words[1]).samefile(one_address.__file__)
        assert words[2] == "mx.example.net"
        options = [f"--port={page.town.port}", "--allow-network=127.0.0.0/8"]
        arguments = one_address.read_arguments([EXCHANGER, *words[3:], *options])
        assert await one_address.run(reactor, arguments) == one_address.ALIVE
    assert page.sessions[0].verbs == ["EHLO", "MAIL", "RCPT", "QUIT"]
