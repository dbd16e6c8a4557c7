"""One run, in a process of its own: one contender, one sink, one number of recipients a session.

Knows what is measured: the CPU seconds (user and system, `getrusage`) of the contender's process
from the moment when it takes its errand to the moment when it comes for the next one. Start-up,
imports and a short errand to warm up are before it.

    python -m benchmarks.run CONTENDER PORT RECIPIENTS PER_SESSION     (prints JSON)
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from attrs import asdict, frozen

from benchmarks.errand import Errand, recipients
from benchmarks.sink import HOST, Counts, Sink

#: The ways to ask, by the names of their modules.
CONTENDERS = ("ours", "blocking", "threads", "aio")
#: Recipients a session → recipients of one run: some tenths of a second at least for the fastest.
WORK = {1: 3_000, 100: 60_000}
#: Sessions of the errand that warms a contender up.
WARMING_SESSIONS = 50
#: Seconds that one run may take.
PATIENCE = 600
#: Seconds for the counts to be right: smtp-sink sees the end of a session after its peer did.
LATE = 5.0


class Miscounted(Exception):
    """What the sink has seen, or the contender was told, is not what was asked."""


@frozen
class Effort:
    """What one errand took, in seconds: the client's CPU, and the wall clock's time."""

    recipients: int
    user: float
    system: float
    wall: float
    #: The sink's CPU, with that for warming up; None where it does not tell.
    sink: float | None = None

    @property
    def per_second(self) -> float:
        """Recipients per CPU second of the client."""
        return self.recipients / (self.user + self.system)


def contend(name: str, port: int, number: int, per_session: int) -> Effort:
    """Let a contender do an errand in this very process. Raises Miscounted."""
    work: Callable[[Iterable[Errand]], None]
    work = import_module(f"benchmarks.contenders.{name}").contend
    warming = Errand(HOST, port, recipients(WARMING_SESSIONS * per_session), per_session)
    errand = Errand(HOST, port, recipients(number), per_session)
    efforts: list[Effort] = []

    def measured() -> Iterator[Errand]:
        yield warming
        before, start = getrusage(RUSAGE_SELF), time.monotonic()
        yield errand
        after, end = getrusage(RUSAGE_SELF), time.monotonic()
        efforts.append(
            Effort(
                recipients=number,
                user=after.ru_utime - before.ru_utime,
                system=after.ru_stime - before.ru_stime,
                wall=end - start,
            )
        )

    work(measured())
    if errand.codes != {250: number}:
        raise Miscounted(f"{name}: {number} were asked, the codes were {dict(errand.codes)}")
    (effort,) = efforts
    return effort


def run(sink: Sink, name: str, number: int, per_session: int) -> Effort:
    """Let a contender do an errand in a process of its own, with a new sink. Raises Miscounted
    where the sink's counts differ from what was asked."""
    with sink() as running:
        words = (name, running.port, number, per_session)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.run", *map(str, words)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
            check=True,
            timeout=PATIENCE,
        )
        counts = _checked(running.counts, name, number, per_session)
    effort = json.loads(done.stdout)
    return Effort(**{**effort, "sink": counts.get("cpu")})


def _checked(counts: Callable[[], Counts], name: str, number: int, per_session: int) -> Counts:
    asked = WARMING_SESSIONS * per_session + number
    sessions = WARMING_SESSIONS + -(-number // per_session)
    expected = {
        "sessions": sessions,
        "quits": sessions,
        "transactions": sessions,
        "recipients": asked,
        "forbidden": 0,
        "disorder": 0,
        "turned_away": 0,
    }
    end = time.monotonic() + LATE
    while True:
        seen = counts()
        wrong = {key: seen[key] for key in expected.keys() & seen if seen[key] != expected[key]}
        if not wrong:
            return seen
        if time.monotonic() > end:
            raise Miscounted(f"{name}: the sink has counted {wrong}, expected were {expected}")
        time.sleep(0.05)


if __name__ == "__main__":
    contender, *numbers = sys.argv[1:]
    print(json.dumps(asdict(contend(contender, *map(int, numbers)))))
