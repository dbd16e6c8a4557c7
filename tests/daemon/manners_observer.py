"""An observer of an operator's own, for `twistd --logger`."""

from __future__ import annotations

import sys

from twisted.logger import FileLogObserver, ILogObserver, formatEvent


def observer() -> ILogObserver:
    return FileLogObserver(sys.stdout, lambda event: f"theirs: {formatEvent(event)}\n")
