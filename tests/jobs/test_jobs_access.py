"""Modes and groups of the spool: as the table says, whatever the umask and whatever was there."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, Logger

from twisted_probe.jobs import access as access_module
from twisted_probe.jobs.access import Access, group_name, group_number, mended, user_name
from twisted_probe.jobs.formats import Format
from twisted_probe.jobs.ledger import Ledger
from twisted_probe.jobs.spool import UNREADABLE, Spool, SpoolError

NOW = 1_800_000_000.0
#: A group that nobody has to be put into.
OURS = os.getegid()
#: One that is on no machine.
STRANGE = 4_123_456
SHARED = Access(OURS)

PRIVATE_MODES = dict.fromkeys(("tmp", "new", "active", "done", "failed", "state"), 0o700)
SHARED_MODES = {
    "tmp": 0o3770,
    "new": 0o3770,
    "active": 0o700,
    "done": 0o2750,
    "failed": 0o2750,
    "state": 0o710,
}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[LogEvent]:
    events: list[LogEvent] = []
    monkeypatch.setattr(Spool, "log", Logger("test", observer=events.append))  # type: ignore[arg-type]
    return events


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids="umask {:04o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(path: Path) -> dict[str, int]:
    return {entry.name: mode_of(entry) for entry in path.iterdir()}


# ---------------------------------------------------------------- what is made


@pytest.mark.usefixtures("umask")
def test_a_private_spool(path: Path, events: list[LogEvent]) -> None:
    Spool(path).close()

    assert mode_of(path) == 0o700
    assert modes(path) == PRIVATE_MODES
    assert events == []


@pytest.mark.usefixtures("umask")
def test_a_shared_spool(path: Path, events: list[LogEvent]) -> None:
    Spool(path, access=SHARED).close()

    assert mode_of(path) == 0o750
    assert modes(path) == SHARED_MODES
    assert {each.stat().st_gid for each in (path, *path.iterdir())} == {OURS}
    assert events == []


@as_root
def test_the_groups_number_is_enough(path: Path) -> None:
    Spool(path, access=Access(STRANGE)).close()

    assert modes(path) == SHARED_MODES
    assert {each.stat().st_gid for each in (path, *path.iterdir())} == {STRANGE}


@pytest.mark.usefixtures("umask")
def test_directories_above_can_be_entered(tmp_path: Path) -> None:
    Spool(tmp_path / "srv" / "mail" / "spool").close()

    assert mode_of(tmp_path / "srv") == mode_of(tmp_path / "srv" / "mail") == 0o755


@pytest.mark.parametrize(("access", "mode"), [(Access(), 0o600), (SHARED, 0o640)])
@pytest.mark.usefixtures("umask")
def test_what_the_service_writes(path: Path, access: Access, mode: int) -> None:
    spool = Spool(path, access=access)
    (path / "new" / "list.pdf").touch(0o666)
    (path / "new" / "list.pdf").chmod(0o666)
    for moment in (0, 10):
        spool.scan(NOW + moment)
    spool.fail(b"list.pdf", "no")
    with spool.result(b"list", b".results.csv") as results:
        results.commit()
    spool.close()

    assert mode_of(path / "failed" / "list.pdf.error.txt") == mode
    assert mode_of(path / "done" / "list.results.csv") == mode
    # What was dropped is its owner's still.
    assert mode_of(path / "failed" / "list.pdf") == 0o666


@as_root
def test_what_is_written_has_the_spools_group(path: Path) -> None:
    spool = Spool(path, access=Access(STRANGE))
    with spool.result(b"list", b".results.csv") as results:
        results.commit()
    spool.close()

    assert (path / "done" / "list.results.csv").stat().st_gid == STRANGE


@pytest.mark.usefixtures("umask")
def test_the_ledger_is_private(path: Path) -> None:
    spool = Spool(path, access=SHARED)
    ledger = Ledger(spool.ledger_path)
    ledger.add_job(b"list", Format.TXT, NOW, NOW)
    names = {each.name: mode_of(each) for each in (path / "state").iterdir()}
    ledger.close()
    spool.close()

    assert set(names) == {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    assert set(names.values()) == {0o600}


# ---------------------------------------------------------------- what was there


def test_what_is_right_is_left_alone(path: Path, events: list[LogEvent]) -> None:
    for _ in range(2):
        Spool(path, access=SHARED).close()

    assert events == []


@pytest.mark.parametrize(
    ("access", "expected"), [(Access(), PRIVATE_MODES), (SHARED, SHARED_MODES)]
)
def test_what_is_ours_is_mended(
    path: Path, events: list[LogEvent], access: Access, expected: dict[str, int]
) -> None:
    Spool(path).close()
    for each in (path, *path.iterdir()):
        each.chmod(0o775)

    Spool(path, access=access).close()

    assert modes(path) == expected
    assert mode_of(path) == access.spool
    assert {event["path"] for event in events} == {str(each) for each in (path, *path.iterdir())}
    assert {event["log_level"].name for event in events} == {"warn"}
    assert events[0]["was"].startswith("0775 of group ")


def test_the_group_is_taken_away_again(path: Path) -> None:
    Spool(path, access=SHARED).close()

    Spool(path).close()

    assert modes(path) == PRIVATE_MODES


@as_root
def test_another_group_is_mended(path: Path, events: list[LogEvent]) -> None:
    Spool(path, access=Access(STRANGE)).close()

    Spool(path, access=Access(STRANGE + 1)).close()

    assert modes(path) == SHARED_MODES
    assert {each.stat().st_gid for each in (path, *path.iterdir())} == {STRANGE + 1}
    assert events[2]["was"] == f"3770 of group {STRANGE}"
    assert events[2]["now"] == f"3770 of group {STRANGE + 1}"


# ---------------------------------------------------------------- what is refused


def test_somebody_elses_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Spool(path).close()
    monkeypatch.setattr(os, "geteuid", lambda: STRANGE)

    with pytest.raises(SpoolError) as caught:
        Spool(path)

    owner = user_name(os.getuid())
    # Root's own SPOOL is left alone; its directories are not.
    where = path / "tmp" if owner == "root" else path
    assert str(caught.value) == (
        f"the spool {where}: it belongs to {owner}; it has to belong to {STRANGE} and to be 0700"
    )


def test_a_group_that_we_are_not_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: STRANGE)

    with pytest.raises(SpoolError) as caught:
        Spool(path, access=Access(STRANGE))

    assert str(caught.value) == (
        f"the spool {path}: its group is to be {STRANGE}, and {STRANGE} is not in it; "
        f"gpasswd --add {STRANGE} {STRANGE}"
    )
    assert not path.exists()


def test_a_file_system_that_has_no_such_modes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Spool(path).close()
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(SpoolError) as caught:
        Spool(path, access=SHARED)

    words = f"it is 0700 of group {group_name(OURS)}, whatever it is changed to"
    assert words in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_change_that_the_kernel_refuses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    path.touch(0o644)
    path.chmod(0o644)
    monkeypatch.setattr(os, "fchmod", refused)
    with path.open() as file, pytest.raises(PermissionError) as caught:
        mended(file.fileno(), 0o600)

    words = f"it is 0644 of group {group_name(path.stat().st_gid)}, which cannot be changed: "
    assert str(caught.value) == words + "Operation not permitted"


@pytest.mark.usefixtures("no_chown")
def test_a_service_that_is_shut_in(path: Path) -> None:
    """systemd's SystemCallFilter=~@privileged: chown(2) fails whatever it would change."""
    Spool(path, access=SHARED).close()

    assert modes(path) == SHARED_MODES


@pytest.fixture
def no_chown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)


def test_setgid_under_systemd(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words for it name neither the directory nor the setting."""
    really = os.fchmod

    def restricted(descriptor: int, mode: int) -> None:
        if mode & stat.S_ISGID:
            raise PermissionError(1, "Operation not permitted")
        really(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", restricted)
    words = r"Operation not permitted \(under systemd it takes RestrictSUIDSGID=no\)"
    with pytest.raises(SpoolError, match=rf"tmp: it cannot be made: {words}"):
        Spool(path, access=SHARED)
    Spool(path / "private").close()
    with pytest.raises(SpoolError, match=rf"which cannot be changed: {words}"):
        Spool(path / "private", access=SHARED)


@as_root
def test_roots_own_spool_is_left_to_root(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in /var/spool: a daemon that was broken into cannot put other directories in place."""
    Spool(path).close()
    for each in path.iterdir():
        os.chown(each, STRANGE, STRANGE)
    path.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: STRANGE)

    Spool(path).close()

    assert mode_of(path) == 0o755
    path.chmod(0o775)
    with pytest.raises(SpoolError, match="it belongs to root"):
        Spool(path)


# ---------------------------------------------------------------- files that we may not read


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Names that cannot be opened; root could open all."""
    names: set[bytes] = set()
    really = os.open

    def denied(name: Any, *rest: Any, **more: Any) -> int:
        if name in names:
            raise PermissionError(13, "Permission denied")
        return really(name, *rest, **more)

    monkeypatch.setattr(os, "open", denied)
    return names


def test_it_waits_for_its_owner(path: Path, events: list[LogEvent], unreadable: set[bytes]) -> None:
    spool = Spool(path, access=SHARED)
    unreadable.add(b"list")
    (path / "new" / "list").write_text("ann@b.example")

    assert [spool.scan(NOW + moment) for moment in range(0, int(UNREADABLE), 60)] == [[]] * 10

    user = user_name(os.geteuid())
    assert [event["why"] for event in events] == [
        f"it is {user}'s, and the service's user {user} may not read it: it needs chmod g+r"
    ]
    unreadable.clear()
    assert spool.scan(NOW + UNREADABLE) == [b"list"]
    spool.close()


def test_in_the_end_its_owner_is_told(path: Path, unreadable: set[bytes]) -> None:
    spool = Spool(path, access=SHARED)
    unreadable.add(b"list")
    (path / "new" / "list").write_text("ann@b.example")

    for moment in (0, 1, UNREADABLE):
        assert spool.scan(NOW + moment) == []

    assert os.listdir(path / "new") == []
    assert (path / "failed" / "list").exists()
    words = (path / "failed" / "list.error.txt").read_text()
    assert words.endswith(" may not read it: it needs chmod g+r; drop it again then\n")
    spool.close()


@as_root
def test_a_file_that_was_moved_here_has_another_group(
    path: Path, events: list[LogEvent], unreadable: set[bytes]
) -> None:
    spool = Spool(path, access=Access(STRANGE))
    unreadable.add(b"list")
    (path / "new" / "list").write_text("ann@b.example")
    os.chown(path / "new" / "list", STRANGE, 0)

    for moment in (0, 1):
        spool.scan(NOW + moment)

    assert events[-1]["why"] == (
        f"it is {STRANGE}'s, and the service's user root may not read it: "
        f"it needs chgrp {STRANGE} and chmod g+r"
    )
    spool.close()


def test_without_a_group_there_is_one_user(
    path: Path, events: list[LogEvent], unreadable: set[bytes]
) -> None:
    spool = Spool(path)
    unreadable.add(b"list")
    (path / "new" / "list").write_text("ann@b.example")

    for moment in (0, 1):
        spool.scan(NOW + moment)

    assert events[-1]["why"].endswith("without a spool group, only that user drops files")
    spool.close()


# ---------------------------------------------------------------- names and numbers


def test_groups_by_name_and_number() -> None:
    some = grp.getgrall()[0]

    assert group_number(some.gr_name) == some.gr_gid
    assert group_number(str(STRANGE)) == STRANGE
    assert group_name(STRANGE) == user_name(STRANGE) == str(STRANGE)


@pytest.mark.parametrize("text", ["", "no such group", "-1", "4294967295", "\uff11\uff12", "1.5"])
def test_no_group(text: str) -> None:
    with pytest.raises(KeyError):
        group_number(text)


def test_membership() -> None:
    assert access_module.is_member(OURS)
    assert access_module.is_member(STRANGE) == (os.geteuid() == 0)
