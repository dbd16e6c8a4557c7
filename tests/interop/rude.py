"""A client without manners: says what it is told to, when it is told to.

A script for `Street.run_in`: source, exchanger and steps in; nothing out.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress

#: Seconds for the server to have its say.
PAUSE = 0.5

#: Instead of something to say: listen for a while.
LISTEN = "..."


def visit(source: str, exchanger: str, steps: list[str]) -> None:
    """Connect, say and listen, then hang up."""
    with socket.create_connection((exchanger, 25), 10.0, (source, 0)) as connection:
        for step in steps:
            if step == LISTEN:
                time.sleep(PAUSE)
                connection.settimeout(PAUSE)
                with suppress(TimeoutError):
                    connection.recv(65536)
            else:
                connection.sendall(step.encode())
        time.sleep(PAUSE)


if __name__ == "__main__":
    visit(sys.argv[1], sys.argv[2], sys.argv[3:])
