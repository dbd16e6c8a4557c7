"""twistd on a machine whose clock is set: `jumping.py FILE ARGUMENTS…` is twistd, and FILE says by
how many seconds the clock is wrong."""

from __future__ import annotations

import sys
import time
from pathlib import Path

_file = Path(sys.argv.pop(1))
_right = time.time


def _set() -> float:
    return _right() + float(_file.read_text())


time.time = _set

from twisted.scripts.twistd import run  # noqa: E402 - Twisted keeps the function that it finds

if __name__ == "__main__":
    run()
