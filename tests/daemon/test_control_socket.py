"""The control socket by itself: whose it is, where it may lie, and how it ends."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import DeferredList

from tests.daemon.asking import asking
from tests.daemon.running import reactor
from twisted_probe.cli.client import Refused
from twisted_probe.daemon.control import Control
from twisted_probe.daemon.control_socket import MAX_PATH, ControlSocket
from twisted_probe.daemon.forgetter import Forgetter
from twisted_probe.jobs.spool import SpoolError


class Nobody(Control):
    """An API of which everything is wrong; it needs no daemon."""

    def __init__(self) -> None:
        nothing: Any = None
        forgetter = Forgetter(nothing, nothing, nothing)
        super().__init__(*[nothing] * 7, *[forgetter])


@asynccontextmanager
async def listening(state: Path) -> AsyncIterator[ControlSocket]:
    control = ControlSocket(reactor, str(state), Nobody())
    control.start()
    try:
        yield control
    finally:
        await control.stop()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


async def test_it_is_private(state: Path) -> None:
    async with listening(state) as control:
        assert control.path == str(state / "control")
        assert stat.S_IMODE(os.stat(control.path).st_mode) == 0o600
    assert os.listdir(state) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another group")
async def test_where_a_group_may_enter_it_is_that_groups(state: Path) -> None:
    os.chown(state, -1, 4242)
    os.chmod(state, 0o710)
    async with listening(state) as control:
        status = os.stat(control.path)
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, 4242)


async def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    spool = tmp_path / ("long" * 20) / ("longer" * 20)
    (spool / "state").mkdir(parents=True, mode=0o710)
    assert len(str(spool)) > MAX_PATH
    async with listening(spool / "state") as control, asking(spool, is_up=False) as asker:
        assert stat.S_ISSOCK(os.stat(control.path).st_mode)
        with pytest.raises(Refused) as caught:
            await asker.switch("nothing")
        assert caught.value.code == 404
    assert os.listdir(spool / "state") == []


async def test_what_is_stale_is_replaced_and_nothing_else(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(state / "control"))
    async with listening(state):
        pass
    (state / "control").symlink_to("/dev/null")
    control = ControlSocket(reactor, str(state), Nobody())
    with pytest.raises(SpoolError, match="something else has this name; remove it"):
        control.start()
    await control.stop()
    assert (state / "control").is_symlink()


async def test_where_nobody_may_listen(tmp_path: Path) -> None:
    control = ControlSocket(reactor, str(tmp_path / "nowhere"), Nobody())
    with pytest.raises(SpoolError, match=r"the control socket .*nowhere/control"):
        control.start()
    await control.stop()


async def test_stopping_twice(state: Path) -> None:
    async with listening(state) as control:
        await DeferredList([control.stop(), control.stop()])
