"""The street itself: it answers as the topology says, and it leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from io import FileIO
from pathlib import Path

import pytest

from . import asker, topology, visitor
from .street import Street, residents

pytestmark = pytest.mark.interop

#: Seconds for anything here; all of it together takes one.
TIMEOUT = 20.0

#: A process of its own that holds a street, with a program in it that tells its PID.
HOLDER = """
import sys
from interop.street import Street
street = Street()
street.start()
street.run_in(["sh", "-c", "echo $$; exec sleep 600"])
sys.stdin.read()
"""


@pytest.mark.parametrize("exchanger", topology.REPLIES)
def test_exchangers_reply_as_the_topology_says(street: Street, exchanger: str) -> None:
    wanted = topology.REPLIES[exchanger]
    for source, helo in topology.SOURCES.items():
        request = {
            "exchanger": topology.HOSTS[exchanger],
            "source": source,
            "helo": helo,
            "reverse_path": topology.REVERSE_PATH,
            "recipients": list(wanted),
        }
        process = street.run_in(
            [sys.executable, visitor.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        answer, _ = process.communicate(json.dumps(request), TIMEOUT)
        assert json.loads(answer) == wanted
        assert f"connect from {helo}[{source}]" in street.postfix_log()


@pytest.mark.parametrize(
    ("domain", "wanted"),
    [
        ("plain.example", {"is_cut": False, "code": 0}),
        ("thirty.example", {"is_cut": True, "code": 0}),
        ("nowhere.example", {"is_cut": False, "code": 3}),
        ("servfail.example", {"is_cut": False, "code": 2}),
        ("refused.example", {"is_cut": False, "code": 5}),
        ("lazy.example", {"is_cut": False, "code": 0}),
        ("dropped.example", None),
    ],
)
def test_names_answer_as_the_topology_says(
    street: Street, domain: str, wanted: dict[str, int | bool] | None
) -> None:
    process = street.run_in(
        [sys.executable, asker.__file__, domain, topology.RESOLVER],
        stdout=subprocess.PIPE,
        text=True,
    )
    answer, _ = process.communicate(timeout=TIMEOUT)
    assert json.loads(answer) == wanted


def test_nobody_listens_at_the_dead_exchanger(street: Street) -> None:
    connect = f"import socket; socket.create_connection(('{topology.HOSTS[topology.DEAD]}', 25))"
    process = street.run_in([sys.executable, "-c", connect], stderr=subprocess.PIPE, text=True)
    _, complaint = process.communicate(timeout=TIMEOUT)
    assert "ConnectionRefusedError" in complaint


def test_there_is_no_way_out(street: Street) -> None:
    connect = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 53))"
    process = street.run_in([sys.executable, "-c", connect], stderr=subprocess.PIPE, text=True)
    _, complaint = process.communicate(timeout=TIMEOUT)
    assert "Network is unreachable" in complaint


def test_programs_inside_get_signals_and_give_exit_codes(street: Street) -> None:
    process = street.run_in(["sleep", "600"])
    process.terminate()
    assert process.wait(TIMEOUT) == -15


@pytest.mark.usefixtures("available")
def test_nothing_stays_when_it_stops() -> None:
    with Street() as street:
        street.run_in(["sleep", "600"])
        network = _network_of(next(iter(street.residents())))
    with network:
        assert not residents(network.fileno())


@pytest.mark.usefixtures("available")
def test_nothing_stays_when_its_holder_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        program = int(holder.stdout.readline())
        with _network_of(program) as network:
            assert program in residents(network.fileno())
            holder.kill()
            deadline = time.monotonic() + TIMEOUT
            while left := residents(network.fileno()):
                assert time.monotonic() < deadline, left
                time.sleep(0.02)


def _network_of(pid: int) -> FileIO:
    """The network that a process is in, which stays as it is while this is open."""
    return FileIO(f"/proc/{pid}/ns/net")
