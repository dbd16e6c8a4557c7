"""The cached root: where Debian packages are unpacked; nothing of how their programs run.

`apt-get` resolves each group of packages against an empty status file, so that its whole closure
comes, libc included; `dpkg -x` unpacks it into one directory. No maintainer script runs, nothing
starts, and the system's own package database stays as it is.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

#: The servers, and what sets them up. Debian installs one mail server at a time, so each is
#: resolved in a group of its own; what they need beside each other fits into one root.
PACKAGES = (
    ("nsd", "dnsdist", "postfix", "postgrey", "openssl"),
    ("exim4-daemon-light",),
    ("opensmtpd",),
    ("chasquid",),
    ("sendmail-bin", "sendmail-cf", "m4"),
)

#: Seconds for one run of apt-get: 40 MB from a mirror on a slow day.
APT_TIMEOUT = 600.0


class UnavailableError(Exception):
    """The street cannot be had on this machine; the message says why."""


def root(*groups: Sequence[str]) -> Path:
    """The directory that the packages (`PACKAGES`, where none are named) are unpacked in, built
    first where it is not there yet.

    Raises `UnavailableError` when the packages cannot be had. Nobody writes into the directory.
    """
    groups = groups or PACKAGES
    cache = _cache_directory()
    home = cache / f"{_release()}-{'+'.join(name for group in groups for name in group)}"
    if not home.is_dir():
        # 0700: old set-uid programs lie in there, and none of them is for other users to run.
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.is_dir():
                _build(home, groups)
    return home / "root"


def scratch(root: Path) -> Path:
    """The mount point that goes with `root`; what is mounted there, each street sees alone."""
    return root.with_name("scratch")


def version(root: Path, package: str) -> str:
    """The version of a package that is unpacked in `root`, as Debian counts them."""
    return dict(map(str.split, _versions(root).read_text("utf-8").splitlines()))[package]


def _versions(root: Path) -> Path:
    return root.with_name("versions")


def _cache_directory() -> Path:
    if chosen := os.environ.get("INTEROP_CACHE"):
        return Path(chosen).absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches, "twisted-probe-interop")


def _release() -> str:
    system = platform.freedesktop_os_release()
    name = system.get("VERSION_CODENAME") or system.get("VERSION_ID", "unstable")
    return f"{system['ID']}-{name}-{_run(['dpkg', '--print-architecture']).strip()}"


def _build(home: Path, groups: Sequence[Sequence[str]]) -> None:
    """Build beside, then rename: whoever sees `home` sees all of it."""
    building = home.with_name(f"{home.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # what an earlier, killed run left
    root = building / "root"
    downloads = building / "downloads"
    for directory in (root, scratch(root), downloads / "archives" / "partial"):
        directory.mkdir(parents=True)
    _merge_usr(root)
    versions = []
    for package in _download(downloads, groups):
        _run(["dpkg", "-x", package, root])
        versions.append(
            _run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}\n", package])
        )
    _versions(root).write_text("".join(versions), encoding="utf-8")
    shutil.rmtree(downloads)
    building.rename(home)


def _merge_usr(root: Path) -> None:
    """Make the links that newer releases have from base-files, which nothing here depends on.

    Where packages still hold files in /lib, dpkg puts plain directories in their places.
    """
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


def _download(downloads: Path, groups: Sequence[Sequence[str]]) -> list[Path]:
    """Fetch the closures, updating the package lists only where without that they do not come."""
    try:
        _fetch(downloads, groups)
    except UnavailableError:
        with suppress(UnavailableError):  # the second download has the better words
            _run(["apt-get", "--quiet", "update"])
        _fetch(downloads, groups)
    return sorted((downloads / "archives").glob("*.deb"))


def _fetch(downloads: Path, groups: Sequence[Sequence[str]]) -> None:
    status = downloads / "status"
    status.touch()
    for group in groups:
        _run(
            [
                *("apt-get", "--quiet", "--yes", "--no-install-recommends", "--download-only"),
                *("-o", f"Dir::State::status={status}"),  # nothing is installed: fetch everything
                *("-o", f"Dir::Cache={downloads}"),  # the system's own cache stays as it is
                *("-o", "APT::Sandbox::User=root"),  # _apt may not write below a 0700 directory
                *("install", *group),
            ]
        )


def _run(argv: Sequence[str | Path]) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=APT_TIMEOUT, check=True
        )
    except FileNotFoundError:
        raise UnavailableError(f"{argv[0]} is not installed here") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{argv[0]} took more than {APT_TIMEOUT:.0f} s") from None
    except subprocess.CalledProcessError as failure:
        words = " / ".join(failure.stderr.splitlines()[-3:])
        raise UnavailableError(f"{argv[0]} failed ({failure.returncode}): {words}") from None
    return done.stdout
