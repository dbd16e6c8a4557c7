"""The servers of the street, put together into what its first process has to do.

Knows that they share users, files and one root; each of them is a module of `parts`, what they
stand for is `topology`'s, how they are started `anchor`'s.
"""

from __future__ import annotations

from pathlib import Path

from . import topology
from .anchor import File, Plan
from .parts import chasquid, exim, names, opensmtpd, postfix, sendmail
from .parts.certificates import Certificates
from .parts.part import NOBODY, ROOT, Part, directory, file


def parts(certificates: Certificates) -> list[Part]:
    """All servers, in the order of their start: the names come first."""
    return [
        names.nsd(),
        names.dnsdist(),
        postfix.postgrey(),
        postfix.postfix(certificates),
        exim.exim(certificates),
        exim.single(),
        opensmtpd.opensmtpd(certificates),
        chasquid.chasquid(certificates),
        sendmail.sendmail(),
    ]


def plan(lower: Path, scratch: Path, certificates: Certificates) -> Plan:
    """All that the street's first process has to do."""
    everybody = parts(certificates)
    return Plan(
        lower=str(lower),
        scratch=str(scratch),
        hostname=topology.EXCHANGER,
        addresses=sorted(set(topology.HOSTS_SIX.values())),
        directories=[
            directory("/tmp", 0o1777),
            directory("/var/log"),
            directory("/var/mail"),
            *(each for part in everybody for each in part.directories),
        ],
        files=[*_system_files(everybody), *(each for part in everybody for each in part.files)],
        prepare=[command for part in everybody for command in part.prepare],
        servers=[part.command for part in everybody],
        listeners=[listener for part in everybody for listener in part.listeners],
        logs=[part.log for part in everybody],
    )


def _system_files(everybody: list[Part]) -> list[File]:
    users = {"root": ROOT, "nobody": NOBODY}
    for part in everybody:
        users |= part.users
    return [
        file("/etc/passwd", *(f"{name}:x:{uid}:{uid}::/:/bin/sh" for name, uid in users.items())),
        file(
            "/etc/group",
            *(f"{name}:x:{uid}:" for name, uid in users.items() if name != "nobody"),
            f"nogroup:x:{NOBODY}:",
        ),
        file("/etc/nsswitch.conf", "passwd: files", "group: files", "hosts: dns"),
        file("/etc/resolv.conf", f"nameserver {topology.RESOLVER}"),
    ]
