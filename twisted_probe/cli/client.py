"""Asks the daemon of a spool over its socket.

Knows the way there and what can be in it; not what is asked for. The standard library alone: the
commands that use it have to answer at once.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import quote, urlencode

#: Seconds until an answer must have come; the longest the daemon works on one is much shorter.
TIMEOUT = 60.0
#: Bytes of a socket's path; sun_path of Linux has 108, one for the zero at its end.
MAX_PATH = 107
ROOT = "/v1"


class NoDaemon(Exception):
    """The daemon could not be asked. The message says which one, and why."""


class Refused(Exception):
    """The daemon has answered with an error; `code` is the status code, `answer` all of it."""

    def __init__(self, code: int, answer: dict[str, Any]) -> None:
        super().__init__(str(answer.get("error", f"the daemon answered {code}")))
        self.code = code
        self.answer = answer


class Client:
    """Asks the daemon that works on `spool`.

    Its methods raise NoDaemon when nobody answers, and Refused for an answer that is an error.
    """

    def __init__(self, spool: str, timeout: float = TIMEOUT) -> None:
        self._spool = os.path.abspath(spool)
        self._timeout = timeout

    @property
    def spool(self) -> str:
        """The spool, as an absolute path."""
        return self._spool

    def status(self) -> dict[str, Any]:
        """How the daemon and its jobs are."""
        return self._ask("GET", "status")

    def job(self, name: bytes) -> dict[str, Any]:
        """How one job is."""
        return self._ask("GET", "jobs", name)

    def results(self, name: bytes, **query: int | None) -> dict[str, Any]:
        """A page of what has settled of a job (docs/control.rst)."""
        numbers = {key: value for key, value in query.items() if value is not None}
        return self._ask("GET", "jobs", name, "results", query=numbers)

    def explain(self, what: str) -> dict[str, Any]:
        """Why a recipient's outcome is what it is: an address, or JOB:LINE."""
        return self._ask("GET", "explain", os.fsencode(what))

    def rules(self) -> dict[str, Any]:
        """How often each rule has decided."""
        return self._ask("GET", "rules")

    def switch(self, *parts: str | bytes) -> dict[str, Any]:
        """Pause, resume or cancel what the parts of this path name."""
        return self._ask("POST", *parts)

    def _ask(
        self, method: str, *parts: str | bytes, query: dict[str, int] | None = None
    ) -> dict[str, Any]:
        path = "/".join((ROOT, *(quote(part, safe="") for part in parts)))
        if query:
            path += "?" + urlencode(query)
        connection = _Connection(self._spool, self._timeout)
        try:
            connection.request(method, path, headers={"Connection": "close"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except TimeoutError:
            raise NoDaemon(
                f"the daemon on {self._spool} has not answered within {self._timeout:g} s"
            ) from None
        except OSError as error:
            raise NoDaemon(_why(self._spool, error)) from None
        except (http.client.HTTPException, ValueError):
            raise NoDaemon(
                f"the daemon on {self._spool} went away, or is none: no answer that makes sense"
            ) from None
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise NoDaemon(f"what answers on {self._spool} is no daemon of ours")
        if response.status != http.client.OK:
            raise Refused(response.status, answer)
        return answer


class _Connection(http.client.HTTPConnection):
    """HTTP over the control socket of a spool."""

    def __init__(self, spool: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._state = os.path.join(spool, "state")
        self._timeout = timeout

    def connect(self) -> None:
        path = os.path.join(self._state, "control")
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = -1
        try:
            connected.settimeout(self._timeout)
            if len(os.fsencode(path)) > MAX_PATH:
                directory = os.open(self._state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                path = f"/proc/self/fd/{directory}/control"
            connected.connect(path)
        except BaseException:
            connected.close()
            raise
        finally:
            if directory >= 0:
                os.close(directory)
        self.sock = connected


def _why(spool: str, error: OSError) -> str:
    """Why nobody could be asked, in words."""
    if isinstance(error, PermissionError):
        return f"the daemon on {spool} cannot be asked by you: {error.strerror}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if not os.path.isdir(spool):
            return f"{spool} is no spool: there is no such directory"
        return f"no daemon works on {spool} (it has no control socket)"
    if isinstance(error, ConnectionRefusedError):
        return f"no daemon works on {spool} (nobody answers at its control socket)"
    if isinstance(error, BlockingIOError):
        return f"too many ask the daemon on {spool} at once; try again in a moment"
    if isinstance(error, ConnectionError):
        return f"the daemon on {spool} went away"
    return f"the daemon on {spool} cannot be asked: {error.strerror or error}"
