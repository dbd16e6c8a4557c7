"""A daemon that is an ordinary user, and the users of its group, who are others.

Numbers are users and groups that are on no machine.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.daemon.processes import Process, processes_with, run, running
from tests.daemon.running import answered, said, town_of, until, up
from twisted_probe.jobs.spool import SETTLE
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town

NOBODY = pwd.getpwnam("nobody")
#: The spool group, one of its users, and somebody else.
GROUP = 4_123_450
ANN = 4_123_451
EVE = 4_123_452

#: Root's Python may lie where nobody else can read it: what is imported late is imported early.
TWISTD = (
    "import encodings.idna, importlib.readers, sys;"
    "from twisted_probe.jobs.schema import steps; steps();"
    "from twisted_probe.verdict.rules import default_rules; default_rules();"
    "from twisted.scripts.twistd import run; run()"
)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become an ordinary user and back"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can enter, and no daemon is left in."""
    with tempfile.TemporaryDirectory(prefix="mailprobe-users-") as path:
        os.chmod(path, 0o755)
        yield Path(path)
        for pid in processes_with(path):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def spool(place: Path) -> Path:
    return place / "spool"


def command(spool: Path, town: Town | None, *twistd: str, group: int | None = GROUP) -> list[str]:
    """A daemon for this town, or for nobody, as the user nobody."""
    words = [sys.executable, "-c", TWISTD, "--pidfile=", "--uid=nobody", *twistd]
    words += ["mailprobe", f"--spool={spool}", "--reverse-path=probe@example.org"]
    if group is not None:
        words.append(f"--spool-group={group}")
    if town is None:
        return [*words, "--source=127.0.0.21=probe1.example.org", "--resolver=127.0.0.1:9"]
    words += [f"--source={source.address}={source.helo}" for source in town.sources]
    words += [f"--allow-network={network}" for network in town.networks]
    return [*words, f"--resolver={town.resolver}", f"--port={town.port}"]


@asynccontextmanager
async def daemon(
    spool: Path, town: Town | None, *twistd: str, group: int | None = GROUP
) -> AsyncIterator[Process]:
    words = command(spool, town, "-n", *twistd, group=group)
    async with running(*words, directory=spool.parent) as process:
        await until(lambda: "mailprobe works on" in process.out or process.is_over, "the start")
        assert not process.is_over, process.out + process.err
        yield process
        process.signal(signal.SIGTERM)
        await process.end()


def as_user(user: int, script: str, spool: Path, groups: tuple[int, ...] = (GROUP,)) -> str:
    """What `sh` says to a script in the spool; errors too. Root may enter it for everybody."""
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=spool,
        user=user,
        group=user,
        extra_groups=groups,
        umask=0o022,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def quick() -> House:
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben")))


def owners(path: Path) -> set[tuple[int, int]]:
    every = [path, *(each for each in path.rglob("*"))]
    return {(each.stat().st_uid, each.stat().st_gid) for each in every}


def state_modes(spool: Path) -> set[str]:
    """The modes of what lies in state/, but for the socket that is there to be spoken to."""
    found = modes(spool / "state")
    found.pop("control", None)
    return set(found.values())


def modes(path: Path) -> dict[str, str]:
    return {each.name: f"{each.stat().st_mode & 0o7777:04o}" for each in path.iterdir()}


# ---------------------------------------------------------------- the group at work


async def test_users_of_the_group_drop_and_read(spool: Path) -> None:
    async with up(town_of(quick())) as town, daemon(spool, town, f"--gid={GROUP}") as process:
        script = "echo ann@quick.example > tmp/list.txt && mv tmp/list.txt new/"
        assert as_user(ANN, script, spool) == ""
        rows = await answered(spool, "list.txt")
        assert [said(row) for row in rows] == [("deliverable", "accepted")]

        # They read what came of it, and alter nothing of it.
        assert "deliverable" in as_user(ANN, "cat done/list.txt.results.csv", spool)
        for script in (
            "rm -f done/list.txt",
            "touch done/mine",
            "echo forged >> done/list.txt.results.csv",
            "mv done/list.txt.results.csv done/other",
            "ls active",
            "ls state",
            "cat state/ledger.sqlite",
            "touch active/mine",
        ):
            assert "ermission denied" in as_user(ANN, script, spool), script
        # Nor what another user is about to drop.
        as_user(ANN, "echo > tmp/anns; chmod 666 tmp/anns", spool)
        ben = ANN + 10
        assert "not permitted" in as_user(ben, "mv tmp/anns tmp/bens; rm -f tmp/anns", spool)

        assert modes(spool / "done") == {
            "list.txt": "0644",
            "list.txt.results.csv": "0640",
            "list.txt.summary.json": "0640",
        }
        assert owners(spool / "state") == {(NOBODY.pw_uid, GROUP)}
        assert state_modes(spool) == {"0600"}
        assert (spool / "done" / "list.txt").stat().st_uid == ANN
        assert "Traceback" not in process.out


async def test_others_are_shut_out(spool: Path) -> None:
    async with daemon(spool, None, f"--gid={GROUP}"):
        for script in ("ls", "touch new/list", "ls done", "cat state/lock"):
            words = as_user(EVE, script, spool, groups=())
            assert "ermission denied" in words, script


async def test_whose_file_it_is_is_known_to_nobody(spool: Path) -> None:
    """Leases are for one's own files; what others drop has to settle (spool.SETTLE)."""
    async with daemon(spool, None, f"--gid={GROUP}"):
        as_user(ANN, "echo nobody > new/anns", spool)
        os.chown(spool / "new" / "anns", ANN, GROUP)
        begun = (spool / "new" / "anns").stat().st_mtime
        (spool / "new" / "own").write_text("nobody\n")
        os.chown(spool / "new" / "own", NOBODY.pw_uid, GROUP)
        await until((spool / "done" / "own").exists, "own in done/")
        assert (spool / "new" / "anns").exists()
        await until((spool / "done" / "anns").exists, "anns in done/")
        taken = (spool / "done" / "anns.results.csv").stat().st_mtime
        assert taken - begun >= SETTLE


async def test_a_file_that_the_daemon_may_not_read(spool: Path) -> None:
    async with daemon(spool, None, f"--gid={GROUP}") as process:
        as_user(ANN, "umask 077; echo nobody > new/secret", spool)
        words = (
            f"secret stays in new/: it is {ANN}'s, and the service's user nobody may not read it: "
            "it needs chmod g+r"
        )
        await until(lambda: words in process.out, "a word on it")
        assert as_user(ANN, "chmod g+r new/secret", spool) == ""
        await until((spool / "done" / "secret").exists, "secret in done/")
        assert process.out.count("stays in new/") == 1


# ---------------------------------------------------------------- the daemon's user


async def test_a_second_daemon_is_refused(spool: Path) -> None:
    async with daemon(spool, None, f"--gid={GROUP}") as process:
        second = await run(*command(spool, None, "-n", f"--gid={GROUP}"), directory=spool.parent)
        assert second.code == 75
        assert second.err == (
            f"twistd mailprobe: {spool}/state/lock: the spool is in use by "
            f"process {process.pid} (a daemon, or mailprobe forget or reclassify)\n"
        )


async def test_a_daemon_that_is_not_in_the_group(spool: Path) -> None:
    ended = await run(*command(spool, None, "-n"), directory=spool.parent)
    assert ended.code == 78
    assert ended.err == (
        f"twistd mailprobe: --spool {spool}: it cannot be used by nobody, whom the daemon is to "
        f"run as; change its owner (the spool {spool}: its group is to be {GROUP}, and nobody is "
        f"not in it; gpasswd --add nobody {GROUP})\n"
    )


async def test_a_group_that_is_not_there(spool: Path) -> None:
    words = [*command(spool, None, "-n", group=None), "--spool-group=no such group"]
    ended = await run(*words, directory=spool.parent)
    assert (ended.code, ended.err) == (
        78,
        "twistd mailprobe: --spool-group 'no such group': there is no such group\n",
    )
    assert modes(spool.parent).keys() == {"0.stdout", "0.stderr"}


@pytest.mark.parametrize("umask", ["0", "077", "0777"])
async def test_in_the_background_whatever_the_umask(spool: Path, umask: str) -> None:
    """What was made before twistd has forked, and after it, belongs to the user."""
    place = spool.parent
    words = command(
        spool, None, f"--gid={GROUP}", f"--umask={umask}", f"--logfile={place}/log/daemon.log"
    )
    (place / "log").mkdir()
    os.chown(place / "log", NOBODY.pw_uid, -1)
    started = await run(*words, directory=place)
    assert (started.code, started.err) == (0, "")
    log = place / "log" / "daemon.log"
    await until(lambda: "mailprobe works on" in log.read_text(), "the start")

    assert modes(spool) == {
        "tmp": "3770",
        "new": "3770",
        "active": "0700",
        "done": "2750",
        "failed": "2750",
        "state": "0710",
    }
    assert modes(place)["spool"] == "0750"
    assert owners(spool) == {(NOBODY.pw_uid, GROUP)}
    assert state_modes(spool) == {"0600"}
    assert (log.stat().st_uid, log.stat().st_mode & 0o7777) == (NOBODY.pw_uid, 0o600)

    # The user, who is not root any more, can open a new one.
    (pid,) = processes_with(str(spool))
    log.rename(place / "log" / "old.log")
    os.kill(pid, signal.SIGUSR1)
    await until(log.exists, "a new log")
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not processes_with(str(spool)), "the end")
    assert "mailprobe has stopped" in log.read_text()
    assert log.stat().st_uid == NOBODY.pw_uid


async def test_a_spool_of_the_users_own(spool: Path) -> None:
    """Without a group everything is closed."""
    async with daemon(spool, None, group=None) as process:
        assert set(modes(spool).values()) == {"0700"}
        assert {uid for uid, _ in owners(spool)} == {NOBODY.pw_uid}
        assert "ermission denied" in as_user(ANN, "ls", spool)
        assert "user=nobody" in process.out
        assert "runs as root" not in process.out
