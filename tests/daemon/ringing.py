"""twistd that gets a SIGHUP: `ringing.py EVENT WORDS ARGUMENTS…` is twistd, and rings itself once,
when Python tells its auditors of an EVENT (`import`, `open`, `os.fork`) with WORDS in it."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.scripts.twistd import run

_event, _words = sys.argv.pop(1), sys.argv.pop(1)
_left = [signal.SIGHUP]


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == _event and _left and _words in str(arguments):
        os.kill(os.getpid(), _left.pop())


if __name__ == "__main__":
    sys.addaudithook(_listen)
    run()
