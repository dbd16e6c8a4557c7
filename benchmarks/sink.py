"""The sink that all contenders talk to: started for one run, asked for its counts at the end.

Knows how one is had (sink.c where a C compiler is, else Postfix's smtp-sink) and how its counts
are read; not who talks to it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from attrs import frozen

HOST = "127.0.0.1"
_SOURCE = Path(__file__).with_name("sink.c")
_COMPILERS = ("cc", "gcc", "clang")
#: Where Debian puts programs that are for administrators.
_ALSO_IN = ("/usr/sbin", "/usr/local/sbin")
#: Seconds for compiling, and for a sink to start or to end.
PATIENCE = 60
#: Connections that may wait to be taken by smtp-sink.
BACKLOG = 1000

#: What a sink has counted, by name: `sessions` and `quits` whichever it is; sink.c counts
#: `transactions`, `recipients`, `forbidden` and `disorder` too, and its `cpu` in seconds.
Counts = Mapping[str, float]


class NoSink(Exception):
    """There is neither a C compiler nor Postfix's smtp-sink: one of the two is needed; the first
    for several addresses."""


@frozen
class Running:
    """A sink that listens on `port` of `HOST`; `counts` asks what it has seen until now."""

    port: int
    counts: Callable[[], Counts]


#: Starts a sink, which has ended when the context is left.
Sink = Callable[[], AbstractContextManager[Running]]


def find_sink(directory: Path, addresses: Sequence[str] = (HOST,)) -> Sink:
    """The fastest sink that there is; what has to be compiled goes into `directory`. At several
    `addresses` it has the same port.

    Raises NoSink.
    """
    search = os.pathsep.join((os.environ.get("PATH", ""), *_ALSO_IN))
    for compiler in _COMPILERS:
        if (path := shutil.which(compiler, path=search)) is not None:
            program = directory / "sink"
            subprocess.run([path, "-O2", "-o", program, _SOURCE], check=True, timeout=PATIENCE)
            return lambda: _own(program, addresses)
    if addresses == (HOST,) and (path := shutil.which("smtp-sink", path=search)) is not None:
        postfix = path
        return lambda: _postfix(postfix)
    raise NoSink(NoSink.__doc__)


@contextmanager
def _own(program: Path, addresses: Sequence[str]) -> Iterator[Running]:
    with subprocess.Popen(
        [program, *addresses], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def counts() -> Counts:
            print("counts", file=questions, flush=True)
            return _pairs(answers.readline())

        # The sink ends with its input, which the Popen closes.
        yield Running(int(_pairs(answers.readline())["port"]), counts)


def _pairs(line: str) -> Counts:
    return {name: float(number) for name, number in re.findall(r"(\w+)=([\d.]+)", line)}


@contextmanager
def _postfix(program: str) -> Iterator[Running]:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    # As root it wants to be told whom to become.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [program, "-c", *user, f"{HOST}:{port}", str(BACKLOG)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        said = process.stdout
        os.set_blocking(said.fileno(), False)

        def written() -> Counts:
            # A line over the last one, each time that a session ends.
            lines = (said.read() or b"").decode("ascii").split("\r")
            return _pairs(lines[-2]) if len(lines) > 1 else {}

        seen: dict[str, float] = {}

        def counts() -> Counts:
            seen.update(written())
            return {"sessions": seen["sess"] - 1, "quits": seen["quit"]}

        try:
            # The first session, which only knocks, is counted like any other.
            _wait(lambda: _knock(port))
            _wait(lambda: bool(seen.update(written()) or seen))
            yield Running(port, counts)
        finally:
            process.terminate()


def _knock(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def _wait(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("smtp-sink does not come up")
        time.sleep(0.01)
