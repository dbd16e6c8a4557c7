"""What happens between any two steps of a process: mostly its end, which leaves what the disk has
then.

How many ends a test meets is said by MAILPROBE_KILLS (`make crash`), which by MAILPROBE_SEED.
"""

from __future__ import annotations

import os
import random
import sqlite3
import warnings
from collections.abc import Callable
from typing import Any

import pytest

KILLS = int(os.environ.get("MAILPROBE_KILLS", "30"))
SEED = int(os.environ.get("MAILPROBE_SEED", "0")) or random.randrange(1, 10**6)
#: What a step to the disk is: these calls, every statement of SQL, and every so many instructions
#: of SQLite's machine within one.
CALLS = ("open", "rename", "fsync", "unlink")
INSTRUCTIONS = 50


def some_of(total: int) -> list[int]:
    """So many of all the steps, by lot: behind each of them something happens."""
    return sorted(random.Random(SEED).sample(range(total), min(total, KILLS)))


def stepping(
    steps: int, then: Callable[[], object], patch: pytest.MonkeyPatch, *opened: sqlite3.Connection
) -> Callable[[], int]:
    """Call `then` once so many steps were made, in these databases and those that are opened from
    here on, or as system calls; what is returned tells how many were made."""
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count == steps + 1:
            then()

    def watched(database: sqlite3.Connection) -> sqlite3.Connection:
        database.set_trace_callback(step)
        database.set_progress_handler(step, INSTRUCTIONS)
        return database

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **more: Any) -> Any:
            step()
            return call(*arguments, **more)

        return made

    connect = sqlite3.connect
    patch.setattr(sqlite3, "connect", lambda *path, **more: watched(connect(*path, **more)))
    for name in CALLS:
        patch.setattr(os, name, counted(getattr(os, name)))
    for database in opened:
        watched(database)
    return lambda: count


def die_after(
    steps: int, patch: pytest.MonkeyPatch, *opened: sqlite3.Connection
) -> Callable[[], int]:
    """Let the step behind `steps` never be made."""
    return stepping(steps, lambda: os._exit(9), patch, *opened)


def forked(run: Callable[[], object]) -> int:
    """The exit code of a child that does this."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, that are not used
        pid = os.fork()
    if not pid:
        try:
            run()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def steps_of(run: Callable[[], object]) -> int:
    """How many steps a child makes that does this to its end."""
    reading, writing = os.pipe()

    def counting() -> None:
        with pytest.MonkeyPatch.context() as patch:
            made = die_after(10**9, patch)
            run()
            os.write(writing, str(made()).encode())

    assert forked(counting) == 0
    os.close(writing)
    with os.fdopen(reading) as told:
        return int(told.read())


def dies_in(run: Callable[[], object], steps: int) -> None:
    """Let a child begin this, and die after so many steps."""

    def dying() -> None:
        with pytest.MonkeyPatch.context() as patch:
            die_after(steps, patch)
            run()

    assert forked(dying) == 9
