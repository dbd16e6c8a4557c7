"""A demonstration on the reactor: it comes to its end, or is ended, and what went wrong is said.

Knows how it is bounded and interrupted; not what is shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import CannotListenError
from twisted.internet.task import react

from twisted_probe.cli import is_about_output
from twisted_probe.daemon.config import ConfigError
from twisted_probe.daemon.lock import SpoolInUse

#: Seconds after which something is wrong.
DEMO_TIMEOUT = 60.0


def shown(show: Callable[[Any], Coroutine[Any, Any, None]]) -> bool:
    """Run `show(reactor)`; whether it came to its end. If not, why was said.

    Raises OSError when the standard output cannot be written, once the reactor has stopped.
    """
    is_shown = False
    unwritten: OSError | None = None

    def run(reactor: Any) -> Deferred[None]:
        showing = Deferred.fromCoroutine(show(reactor))
        showing.addTimeout(DEMO_TIMEOUT, reactor)
        # Ctrl-C: what is shown may have a thread, which would else keep the process.
        reactor.addSystemEventTrigger("before", "shutdown", _end, showing)

        async def watch() -> None:
            nonlocal is_shown, unwritten
            try:
                await showing
                is_shown = True
            except CancelledError:
                complain("interrupted")
            except OSError as error:
                if not is_about_output(error):
                    raise
                unwritten = error
            except TookTooLong:
                complain(f"no results after {DEMO_TIMEOUT:.0f} s")
            except (ConfigError, SpoolInUse, CannotListenError) as error:
                complain(str(error))

        return Deferred.fromCoroutine(watch())

    try:
        react(run)
    except SystemExit as end:
        if end.code not in (0, None):
            raise
    if unwritten is not None:
        raise unwritten
    return is_shown


def _end(showing: Deferred[None]) -> Deferred[None]:
    showing.cancel()
    return showing


def complain(words: str) -> None:
    """Say on standard error what is wrong."""
    print(f"mailprobe demo: {words}", file=sys.stderr)
