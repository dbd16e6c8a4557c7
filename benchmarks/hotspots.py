"""Where ours spends its time: cProfile over one errand, by the functions' own time.

Knows how a contender is profiled in this very process. A profile says where to look; how fast
anything is, it does not.

    python -m benchmarks.hotspots PER_SESSION         (1 or 100)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from cProfile import Profile
from pathlib import Path
from pstats import SortKey, Stats
from tempfile import TemporaryDirectory

from benchmarks.contenders.ours import contend
from benchmarks.errand import Errand, recipients
from benchmarks.run import WARMING_SESSIONS, WORK
from benchmarks.sink import HOST, find_sink

#: Functions that are shown.
SHOWN = 30


def hotspots(per_session: int, number: int) -> Stats:
    """The profile of an errand of `number` recipients, `per_session` in a session."""
    profile = Profile()
    with TemporaryDirectory() as directory, find_sink(Path(directory))() as sink:

        def profiled() -> Iterator[Errand]:
            warming = recipients(WARMING_SESSIONS * per_session)
            yield Errand(HOST, sink.port, warming, per_session)
            profile.enable()
            yield Errand(HOST, sink.port, recipients(number), per_session)
            profile.disable()

        contend(profiled())
    return Stats(profile)


if __name__ == "__main__":
    per_session = int(sys.argv[1])
    hotspots(per_session, WORK[per_session]).sort_stats(SortKey.TIME).print_stats(SHOWN)
