"""What every test is held to: no logged error, no unhandled failure, no left-over timer, reader,
writer or port; and an end, inside of the reactor, for a Deferred that never fires.

pytest-twisted lets all of these pass.
"""

from __future__ import annotations

import functools
import gc
import inspect
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

reactor: Any = _reactor

#: Seconds until a test's Deferred is cancelled, unless `@pytest.mark.deadline(seconds)` says more.
DEADLINE = 60.0
#: Reactor turns that closing sockets may take.
TURNS = 20


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deadline(seconds): how long the test's Deferred may take")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell begins its background jobs so, and all the programs that tests interrupt would be.
        signal.signal(signal.SIGINT, signal.default_int_handler)


#: Tests between two times that all that lives is set aside from the collector.
FREEZE_EVERY = 20


def pytest_collection_finish() -> None:
    _freeze()


def pytest_runtest_logfinish(nodeid: str, location: tuple[str, int | None, str]) -> None:
    """What pytest keeps of each test piles up as well."""
    _freeze.finished += 1
    if _freeze.finished % FREEZE_EVERY == 0:
        _freeze()


class _Freezer:
    """What was imported, collected and reported is not garbage: with it set aside, the collection
    after each test costs 2 ms instead of some 40."""

    finished = 0

    def __call__(self) -> None:
        gc.collect()
        gc.freeze()


_freeze = _Freezer()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Bound every asynchronous test; hypothesis has a deadline of its own."""
    function = pyfuncitem.obj
    if inspect.iscoroutinefunction(function) and not hasattr(function, "hypothesis"):
        mark = pyfuncitem.get_closest_marker("deadline")
        deadline = DEADLINE if mark is None else float(mark.args[0])

        @functools.wraps(function)
        async def bounded(**kwargs: Any) -> None:
            await Deferred.fromCoroutine(function(**kwargs)).addTimeout(deadline, reactor)

        pyfuncitem.obj = pytest_twisted.ensureDeferred(bounded)


@implementer(ILogObserver)
class ObserverOf:
    """A log observer that hands each event to a function."""

    def __init__(self, observe: Callable[[LogEvent], None]) -> None:
        self._observe = observe

    def __call__(self, event: LogEvent) -> None:
        self._observe(event)


def _left_over() -> list[str]:
    left = [f"delayed call {call}" for call in reactor.getDelayedCalls()]
    left += [f"reader {each!r}" for each in reactor.getReaders() if not _is_reactors_own(each)]
    left += [f"writer {each!r}" for each in reactor.getWriters() if not _is_reactors_own(each)]
    return left


def _is_reactors_own(selectable: object) -> bool:
    return type(selectable).__name__ in ("_UnixWaker", "_SIGCHLDWaker", "_SocketWaker")


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that logs an error or leaves something in the reactor."""
    errors: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            failure = event.get("log_failure")
            errors.append(formatEvent(event) + ("" if failure is None else f"\n{failure}"))

    observer = ObserverOf(observe)
    globalLogPublisher.addObserver(observer)
    with warnings.catch_warnings(record=True) as resource_warnings:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    for _ in range(TURNS):
        if not _left_over():
            break
        pytest_twisted.blockon(deferLater(reactor, 0.005))
    globalLogPublisher.removeObserver(observer)
    left = _left_over()
    for call in reactor.getDelayedCalls():
        call.cancel()
    expected = getattr(request.node, "expected_errors", 0)
    problems = errors[expected:] if expected <= len(errors) else ["an expected error is missing"]
    problems += left
    problems += [str(w.message) for w in resource_warnings if w.category is ResourceWarning]
    if problems:
        pytest.fail("left behind:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture
def expect_errors(request: pytest.FixtureRequest) -> Any:
    """Call with the number of errors that the test means to have logged."""

    def expect(number: int) -> None:
        request.node.expected_errors = number

    return expect
