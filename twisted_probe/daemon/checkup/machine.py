"""The machine: the spool's place, the clock, and the limits that a process has here.

Knows what the daemon needs of it; nothing is asked of the network, and nothing is left behind.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from attrs import frozen

from twisted_probe.daemon.checkup.line import Line, Status
from twisted_probe.flags import lists
from twisted_probe.jobs.spool import DIRECTORIES
from twisted_probe.vocabulary.outcome import iso_time

WRITABLE = "writable"
FILE_SYSTEM = "file system"
DISK = "disk"
INODES = "inodes"
MACHINE = "machine"
CLOCK = "clock"
OPEN_FILES = "open files"
PORTS = "ports"
LISTS = "lists"

#: Bytes and files that the spool's disk should have room for.
MIN_FREE = 64 * 1024 * 1024
MIN_INODES = 1000
#: File descriptors beside those of the sessions: the spool, the ledger, the logs, the control
#: socket, and questions to the DNS, which have a port of their own each.
RESERVE = 200
#: No clock that is right says less: the program was not written yet.
WRITTEN = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()
#: Seconds that the clock may seem to be off after a checkup, for lack of better measurement.
MAX_STEP = 0.5
#: Microseconds of error from which on the kernel calls the clock unsynchronised.
_MAX_ERROR = 16_000_000

_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"),
        *("gpfs", "fuse.sshfs", "fuse.s3fs"),
    )
)
_MEMORY = frozenset(("tmpfs", "ramfs"))
_MOUNTS = Path("/proc/self/mountinfo")
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


# --- The spool -----------------------------------------------------------------------------------


def subject_of(spool: Path | None) -> str:
    """How lines name the spool, if there is one."""
    return "spool" if spool is None else f"spool {spool}"


def spool_lines(spool: Path) -> list[Line]:
    """Whether a daemon can work on this spool, and whether there is room."""
    subject = subject_of(spool)
    place = _nearest(spool)
    writable = writable_line(spool)
    if writable.status is Status.BAD:
        return [writable, *_room(subject, place)]
    return [writable, _file_system(subject, spool, place), *_room(subject, place)]


def no_spool_line() -> Line:
    """What to say where none was named."""
    found, advice = "not looked at", "name the daemon's with --spool DIR"
    return Line(subject_of(None), WRITABLE, Status.NOTE, found, advice)


def _nearest(spool: Path) -> Path:
    """What is there of the path."""
    return next(path for path in (spool, *spool.parents) if os.path.exists(path))


def writable_line(spool: Path) -> Line:
    """Whether whoever asks could be a daemon on this spool."""
    subject, place = subject_of(spool), _nearest(spool)
    user = _user_name(os.geteuid())
    as_the_daemon = "run this as the user that the daemon runs as"
    if place.is_dir() and not _may(place, os.X_OK):
        found = f"{user} cannot look into {place}"
        return Line(subject, WRITABLE, Status.BAD, found, as_the_daemon)
    if place != spool:
        try:
            # What the mode allows is not all: there are file systems where nothing can be made.
            tempfile.TemporaryDirectory(dir=place).cleanup()
        except OSError as error:
            found = f"it is not there, and {user} cannot make it in {place}: {error.strerror}"
            advice = (
                "make it, and give it to the user that the daemon runs as, or name another place"
            )
            return Line(subject, WRITABLE, Status.BAD, found, advice)
        found = "it is not there yet; the daemon makes it when it starts"
        return Line(subject, WRITABLE, Status.NOTE, found)
    for path in (spool, *_inside(spool)):
        try:
            with tempfile.TemporaryFile(dir=path) as file:
                file.write(b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            found = f"{user} cannot write in {path}: {error.strerror}"
            advice = _advice(spool, as_the_daemon)
            return Line(subject, WRITABLE, Status.BAD, found, advice)
    return Line(subject, WRITABLE, Status.OK, f"by {user}")


def _inside(spool: Path) -> Iterator[Path]:
    """Those of the spool's directories that are there; the daemon makes the others."""
    return (path for path in map(spool.joinpath, DIRECTORIES) if path.exists())


def _advice(spool: Path, as_the_daemon: str) -> str:
    if not spool.is_dir():
        return "name a directory with --spool"
    owner = spool.stat().st_uid
    if owner != os.geteuid():
        return f"{as_the_daemon}; the spool is {_user_name(owner)}'s"
    return "mend the permissions or the file system, or name another spool"


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _file_system(subject: str, spool: Path, place: Path) -> Line:
    devices = {path.stat().st_dev for path in (place, *_inside(spool))}
    if len(devices) > 1:
        found = "its directories are on several file systems, and files are moved between them"
        return Line(subject, FILE_SYSTEM, Status.BAD, found, "put all of it on one")
    kind = file_system_of(place.stat().st_dev)
    if kind in _NETWORK:
        found = f"{kind} is not local: locks and the ledger may not survive a failure of it"
        return Line(subject, FILE_SYSTEM, Status.NOTE, found, "put the spool on a local disk")
    if kind in _MEMORY:
        found = f"{kind} is memory: all jobs are gone after a restart of the machine"
        return Line(subject, FILE_SYSTEM, Status.NOTE, found, "put the spool on a disk")
    return Line(subject, FILE_SYSTEM, Status.OK, kind or "one for all directories")


def file_system_of(device: int, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system on `device`, where the kernel tells it."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        # proc(5): ID, parent, device, root, mount point, options, any others, "-", type, …
        before, _, after = line.partition(" - ")
        if number in before.split()[2:3]:
            return after.partition(" ")[0]
    return None


def _room(subject: str, place: Path) -> list[Line]:
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    lines = [Line(subject, DISK, Status.OK, f"{_size(free)} free")]
    if free < MIN_FREE:
        found = f"{_size(free)} free; {_size(MIN_FREE)} are the least that makes sense"
        lines = [Line(subject, DISK, Status.BAD, found, "make room, or name another spool")]
    if not status.f_files:
        lines.append(Line(subject, INODES, Status.OK, "not counted by this file system"))
    elif status.f_favail < MIN_INODES:
        found = f"{status.f_favail} files may still be made"
        lines.append(Line(subject, INODES, Status.BAD, found, "remove files that nobody needs"))
    else:
        lines.append(Line(subject, INODES, Status.OK, f"{status.f_favail} free"))
    return lines


def _size(octets: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if octets < 1024:
            return f"{octets:.0f} {unit}"
        octets /= 1024
    return f"{octets:.1f} TiB"


# --- The clock -----------------------------------------------------------------------------------


@frozen
class KernelClock:
    """What the kernel knows of its clock: how far off it may be at most, in seconds, or None
    where nobody keeps it."""

    max_error: float | None


class _Timex(ctypes.Structure):
    # adjtimex(2); what follows these fields is not looked at.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def kernel_clock() -> KernelClock | None:
    """Ask the kernel; None where it does not say (not Linux, or a sandbox forbids it)."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        return None
    if state < 0:
        return None
    # The flag for "unsynchronised" is set by some daemons for another purpose, the error never.
    synchronised = timex.maxerror < _MAX_ERROR
    return KernelClock(timex.maxerror / 1e6 if synchronised else None)


def clock_line(now: float, stepped: float, kernel: KernelClock | None) -> Line:
    """`now` is what the clock says, `stepped` how many seconds it went beside a clock that is
    never set while the checkup ran."""
    keep = "run chrony or systemd-timesyncd"
    if now < WRITTEN:
        found = f"it says {iso_time(now)}, and this program is younger than that"
        return Line(MACHINE, CLOCK, Status.BAD, found, f"set it, and {keep}")
    if abs(stepped) > MAX_STEP:
        found = f"it was set by {stepped:+.1f} s while we looked"
        return Line(MACHINE, CLOCK, Status.BAD, found, f"see what sets it, and {keep}")
    says = iso_time(now)
    if kernel is None:
        found = f"{says}; whether anything keeps it is not to be told here"
        return Line(MACHINE, CLOCK, Status.NOTE, found, f"{keep}, here or on the host")
    if kernel.max_error is None:
        found = f"{says}; nothing that the kernel knows of keeps it"
        return Line(MACHINE, CLOCK, Status.NOTE, found, f"{keep}, here or on the host")
    off = f"{kernel.max_error * 1000:.0f} ms"
    return Line(MACHINE, CLOCK, Status.OK, f"{says}, synchronised, at most {off} off")


# --- Limits --------------------------------------------------------------------------------------


def open_files_line(sessions: int, limits: tuple[int, int] | None = None) -> Line:
    """Whether the file descriptors suffice for `sessions`; `limits` are soft and hard."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE) if limits is None else limits
    needed = sessions + RESERVE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        allowed = "any number" if soft == resource.RLIM_INFINITY else str(soft)
        return Line(MACHINE, OPEN_FILES, Status.OK, f"{allowed} for {sessions} sessions")
    found = f"{soft} allowed; {sessions} sessions need {needed}"
    unit = f"LimitNOFILE={needed} in the systemd unit"
    if hard == resource.RLIM_INFINITY or hard >= needed:
        advice = f"ulimit -n {needed} before the daemon is started, or {unit}"
    else:
        advice = f"{unit}, or raise the hard limit of {hard}"
    return Line(MACHINE, OPEN_FILES, Status.BAD, found, f"{advice}; or fewer sessions")


def ports_line(sessions: int, path: Path = _PORT_RANGE) -> Line:
    """Whether there are local ports enough."""
    try:
        first, last = map(int, path.read_text("ascii").split())
    except (OSError, ValueError):
        found = "the range of local ports is not to be told here"
        return Line(MACHINE, PORTS, Status.NOTE, found)
    number = last - first + 1
    found = f"{number} local ports, {first} to {last}"
    # A port rests for a minute after its session; the kernel counts them for each exchanger.
    if number < 4 * sessions:
        advice = "sysctl -w net.ipv4.ip_local_port_range='32768 60999', or fewer sessions"
        return Line(MACHINE, PORTS, Status.NOTE, f"{found}: few for {sessions} sessions", advice)
    return Line(MACHINE, PORTS, Status.OK, found)


# --- What is installed ---------------------------------------------------------------------------


def lists_line() -> Line:
    """Whether the lists that two of the flags need are there."""
    missing = lists.missing()
    if not missing:
        return Line(MACHINE, LISTS, Status.OK, "disposable and free domains are known")
    found = f"{' and '.join(missing)} not installed; flags that need them are null"
    return Line(MACHINE, LISTS, Status.NOTE, found, lists.ADVICE)
