"""A street: a real Postfix and a real DNS in a network of their own, up and away again.

Knows namespaces and processes as the machine sees them; what runs inside of them is told by
`servers`, what it is to behave like by `topology`. Inside there is loopback and nothing else:
nothing that runs there can reach, or be reached by, anybody.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from signal import SIGKILL
from types import TracebackType
from typing import Any

from . import anchor, packages, servers, topology
from .parts import names, postfix
from .parts.certificates import Certificates

#: Seconds for the servers to come up; the anchor gives up after 20 s of its own.
START_TIMEOUT = 30.0

#: Seconds for the kernel to take everything away; it takes some hundredths.
STOP_TIMEOUT = 10.0

_TOOLS = ("apt-get", "chroot", "dpkg", "mount", "nsenter", "setpriv", "unshare")
_NEW_NAMESPACES = ("unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child")


def unavailable() -> str | None:
    """Why no street can be had here, or None. Fetches the packages where they are not there yet."""
    if not sys.platform.startswith("linux"):
        return "namespaces are Linux's"
    if os.geteuid() != 0:
        return "namespaces with several users in them need root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"not installed here: {', '.join(missing)}"
    allowed = subprocess.run([*_NEW_NAMESPACES, "true"], capture_output=True, text=True)
    if allowed.returncode:
        return f"no namespaces to be had: {allowed.stderr.strip()}"
    try:
        packages.root()
    except packages.UnavailableError as reason:
        return str(reason)
    return None


def residents(network: int) -> dict[int, str]:
    """All processes in a network, which is an open /proc/PID/ns/net: their PIDs and commands."""
    wanted = os.fstat(network)
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if os.path.samestat((process / "ns/net").stat(), wanted):
                found[int(process.name)] = (process / "comm").read_text().strip()
    return found


class StreetError(Exception):
    """The street did not come up, or something of it stayed; the message has the servers' words."""


class Street:
    """The servers of `topology`, from `start` to `stop`, or as a context manager.

    Killed at any point, the process that holds a street takes it along: the servers end with the
    pipe to the anchor, the programs of `run_in` with the thread that started them.
    """

    #: For `--resolver`.
    resolver = f"{topology.RESOLVER}:53"

    def __init__(self) -> None:
        self._certificates = Certificates()
        self._programs: list[subprocess.Popen[Any]] = []
        self._anchor: subprocess.Popen[str] | None = None
        self._network: int | None = None
        self._root = Path()

    def __enter__(self) -> Street:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Bring the servers up, or leave nothing and raise `StreetError` with their words."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        lower = packages.root()
        scratch = packages.scratch(lower)
        with tempfile.TemporaryFile("w+") as complaints:
            self._anchor = subprocess.Popen(
                [*_NEW_NAMESPACES, sys.executable, anchor.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                start_new_session=True,  # a Ctrl-C is for the tests to handle
            )
            assert self._anchor.stdin is not None
            with suppress(BrokenPipeError):
                self._anchor.stdin.write(
                    json.dumps(servers.plan(lower, scratch, self._certificates)) + "\n"
                )
                self._anchor.stdin.flush()
            answer = self._answer()
            if not answer:
                complaints.seek(0)
                raise StreetError(f"the street did not come up:\n{complaints.read()}")
        process = Path("/proc", answer.strip())
        # Held open, the network keeps its number: no other can be taken for it by mistake.
        self._network = os.open(process / "ns/net", os.O_RDONLY)
        self._root = process / "root" / scratch.relative_to("/") / "root"

    def _answer(self) -> str:
        """The anchor's one line, or nothing where it ended or stayed silent."""
        assert self._anchor is not None
        assert self._anchor.stdout is not None
        with DefaultSelector() as selector:
            selector.register(self._anchor.stdout, EVENT_READ)
            return self._anchor.stdout.readline() if selector.select(START_TIMEOUT) else ""

    def stop(self) -> None:
        """Take everything down; raise `StreetError` when something of it has to be killed.

        Programs of `run_in` that still run are killed without being blamed for it.
        """
        for program in self._programs:
            with program:  # closes its pipes in the end, and waits
                program.kill()
        self._programs.clear()
        self._close_anchor()
        if self._network is None:
            return
        try:
            self._evict()
        finally:
            os.close(self._network)
            self._network = None

    def _close_anchor(self) -> None:
        if self._anchor is None:
            return
        with self._anchor:  # closes both pipes in the end, and waits
            assert self._anchor.stdin is not None
            with suppress(BrokenPipeError):
                self._anchor.stdin.close()
            try:
                self._anchor.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._anchor.kill()
        self._anchor = None

    def _evict(self) -> None:
        if not (left := self.residents()):
            return
        deadline = time.monotonic() + STOP_TIMEOUT
        while (pids := self.residents()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, SIGKILL)
            time.sleep(0.02)
        raise StreetError(f"left over in the street, and killed: {left}")

    def residents(self) -> dict[int, str]:
        """All processes in the street's network, PID as the machine sees it, and command."""
        assert self._network is not None
        return residents(self._network)

    def run_in(self, argv: Sequence[str | Path], **popen: Any) -> subprocess.Popen[Any]:
        """Start a program of this machine inside the street's network, with `Popen`'s keywords.

        All else stays the machine's: files, users, PIDs. `pid` is the program's own, so signals
        and the exit code are as ever. Call it from a thread that lives on (PR_SET_PDEATHSIG).
        """
        assert self._network is not None
        program = subprocess.Popen(
            [
                *("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._network}"),
                *("setpriv", "--pdeathsig", "KILL", "--"),
                *argv,
            ],
            **popen,
        )
        self._programs.append(program)
        return program

    @property
    def authority(self) -> str:
        """Who signs the good certificates, in PEM."""
        return self._certificates.authority

    @property
    def logs(self) -> Sequence[str]:
        """The logs of all servers; see `log`."""
        return [part.log for part in servers.parts(self._certificates)]

    def postfix_log(self) -> str:
        """All that Postfix has logged so far."""
        return self.log(postfix.LOG)

    def dns_log(self) -> str:
        """All that nsd has logged so far."""
        return self.log(names.NSD_LOG)

    def log(self, path: str) -> str:
        """All that stands in a log of the servers so far."""
        return (self._root / path.lstrip("/")).read_text("utf-8", "replace")
