"""The first process of a street: knows mounts, chroots and processes, nothing of mail or names.

It runs as PID 1 in new network, PID, mount and UTS namespaces, reads one line of JSON (a `Plan`)
from its standard input, starts the servers and answers with its PID. When its input ends, because
the street is closed or because whoever opened it was killed, it exits, and the kernel takes every
process, mount and interface of the namespaces along.

It is run by its path, without the modules beside it: standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, NoReturn, TypedDict

#: Seconds until every server must listen and log; it takes less than one.
LISTEN_TIMEOUT = 20.0

#: Room for queues, logs and sockets. Postfix refuses mail where less than 15 MB are free.
STATE_SIZE = "256m"

# <net/if.h>, <linux/sockios.h>, <net/tcp_states.h>
_IFF_UP = 0x1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_TCP_LISTEN = "0A"


class Directory(TypedDict):
    """A directory of the servers' root and whose it is."""

    path: str
    mode: int
    uid: int
    gid: int


class File(TypedDict):
    """A file of the servers' root, and who may read it."""

    path: str
    text: str
    mode: int
    uid: int
    gid: int


class Command(TypedDict):
    """A command, and the file that takes what it says; "" for what the street itself says."""

    argv: Sequence[str]
    output: str


class Plan(TypedDict):
    """What to run, and in what surroundings."""

    lower: str
    """The directory tree that the servers see as their root; it is not written to."""
    scratch: str
    """An empty directory to mount the root at."""
    hostname: str
    directories: Sequence[Directory]
    files: Sequence[File]
    addresses: Sequence[str]
    """IPv6 addresses for the loopback interface; it has all of 127.0.0.0/8 by itself."""
    prepare: Sequence[Command]
    """Commands that must succeed before any server starts."""
    servers: Sequence[Command]
    """They start in this order; the end of one ends the street."""
    listeners: Sequence[tuple[str, int]]
    """The TCP endpoints that say that the servers are up."""
    logs: Sequence[str]
    """Files that the servers write; their words are repeated when the street does not come up."""


def main() -> NoReturn:
    plan: Plan = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_input, daemon=True).start()
    os.environ["LC_ALL"] = "C"  # there are no other locales
    os.umask(0o022)  # the servers' users have to read what is made here
    socket.sethostname(plan["hostname"])
    _raise_loopback()
    _add_addresses(plan["addresses"])
    root = _mount(Path(plan["lower"]), Path(plan["scratch"]))
    try:
        _serve(root, plan)
    finally:
        for name in plan["logs"]:
            with suppress(FileNotFoundError):
                sys.stderr.write(_below(root, name).read_text("utf-8", "replace"))


def _serve(root: Path, plan: Plan) -> NoReturn:
    for directory in plan["directories"]:
        _make(root, directory)
    earlier = time.time() - 60  # Postfix waits until its configuration is some seconds old
    for file in plan["files"]:
        path = _below(root, file["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["text"], encoding="utf-8")
        os.chown(path, file["uid"], file["gid"])
        path.chmod(file["mode"])
        os.utime(path, (earlier, earlier))
    for command in plan["prepare"]:
        with _output(root, command) as output:
            subprocess.run(_inside(root, command), check=True, stdout=output)
    servers: dict[int, str] = {}
    for command in plan["servers"]:
        with _output(root, command) as output:
            server = subprocess.Popen(
                _inside(root, command), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        servers[server.pid] = command["argv"][0]
    _wait_for_servers(root, plan, servers)
    # /proc is still the one of the machine, so this is our PID as the machine sees it.
    print(os.readlink("/proc/self"), flush=True)
    while True:
        _bury(servers)


def _output(root: Path, command: Command) -> BinaryIO:
    if command["output"]:
        return _below(root, command["output"]).open("ab")
    return os.fdopen(os.dup(sys.stderr.fileno()), "wb")


def _exit_with_input() -> NoReturn:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)


def _bury(servers: dict[int, str], options: int = 0) -> None:
    """Reap one child: all orphans are the first process's. A dead server ends the street."""
    pid, status = os.waitpid(-1, options)
    if pid in servers:
        sys.exit(f"{servers[pid]} ended with {os.waitstatus_to_exitcode(status)}")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        name, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", name, flags | _IFF_UP))


def _add_addresses(addresses: Sequence[str]) -> None:
    loopback = socket.if_nametoindex("lo")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        for address in addresses:  # struct in6_ifreq: the address, its prefix, the interface
            request = struct.pack("16sIi", ip_address(address).packed, 128, loopback)
            fcntl.ioctl(any_socket, _SIOCSIFADDR, request)


def _mount(lower: Path, scratch: Path) -> Path:
    """The servers' root: `lower` under a layer in memory that takes every write."""
    _system_mount("-t", "tmpfs", "-o", f"mode=0755,size={STATE_SIZE}", "tmpfs", scratch)
    layers = [scratch / name for name in ("upper", "work", "root")]
    for layer in layers:
        layer.mkdir()
    upper, work, root = layers
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _system_mount("-t", "overlay", "-o", options, "overlay", root)
    devices = root / "dev"
    devices.mkdir(exist_ok=True)
    for name in ("null", "random", "urandom"):  # and no /dev/log: nothing reaches the system's log
        (devices / name).touch()
        _system_mount("--bind", Path("/dev", name), devices / name)
    return root


def _system_mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _make(root: Path, directory: Directory) -> None:
    path = _below(root, directory["path"])
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, directory["uid"], directory["gid"])
    path.chmod(directory["mode"])  # not by mkdir, which heeds the umask


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _inside(root: Path, command: Command) -> list[str]:
    return ["chroot", str(root), *command["argv"]]


def _wait_for_servers(root: Path, plan: Plan, servers: dict[int, str]) -> None:
    """Look at the kernel's table: a connection to try would stand in the servers' logs."""
    endpoints = {(address, port) for address, port in plan["listeners"]}
    deadline = time.monotonic() + LISTEN_TIMEOUT
    while missing := [
        *sorted(endpoints - _listening()),
        *(name for name in plan["logs"] if not _below(root, name).exists()),
    ]:
        if time.monotonic() > deadline:
            sys.exit(f"not there after {LISTEN_TIMEOUT:.0f} s: {missing}")
        _bury(servers, os.WNOHANG)
        time.sleep(0.02)


def _listening() -> set[tuple[str, int]]:
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path("/proc/self/net", table).read_text().splitlines()[1:]:
            _, local, _, state = row.split()[:4]
            address, port = local.split(":")
            if state == _TCP_LISTEN:
                found.add((_address(address), int(port, 16)))
    return found


def _address(digits: str) -> str:
    """The kernel's table has an address as numbers of 32 bits in the machine's own byte order."""
    numbers = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    return str(ip_address(b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)))


if __name__ == "__main__":
    main()
