"""The daemon's API on a daemon at work: what it tells, and what it refuses."""

from __future__ import annotations

import json
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.daemon.asking import Asker, asked, asking
from tests.daemon.running import (
    Ahead,
    answered,
    config_for,
    daemon_of,
    drop,
    reactor,
    town_of,
    until,
    up,
)
from twisted_probe import __version__
from twisted_probe.cli.client import Refused
from twisted_probe.daemon.control import MAX_BODY
from twisted_probe.daemon.control_socket import FAREWELL
from twisted_probe.daemon.status import Figures
from twisted_probe.jobs.caching import Caching
from twisted_probe.sandbox import street, tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.verdict.ladder import Ladder

#: Nobody waits that long in a test: what would be asked again then stays waiting.
SLOW_LADDER = Ladder(greylist=(3600.0,), temporary=(3600.0,))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def quick() -> House:
    """Answers at once."""
    return House("mx.quick.example", "127.0.1.1", tempers.postfix(residents("ann ben postmaster")))


def grey(delay: float = 60.0) -> House:
    """Greylists."""
    return House("mx.grey.example", "127.0.1.3", tempers.greylisting(residents("ann"), delay))


async def refusal(work: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await work
    return caught.value


# ---------------------------------------------------------------- what it tells


async def test_an_idle_daemon(spool: Path) -> None:
    async with asked(town_of(quick()), spool) as asker:
        status = await asker.status()
    assert status["version"] == __version__
    assert (status["pid"], status["spool"]) == (os.getpid(), str(spool))
    assert status["started_at"].endswith("Z")
    assert status["now"].endswith("Z")
    assert status["limit"] == {"by": "nothing", "words": "nothing to do"}
    assert status["sessions"] == {"open": 0, "most": 500}
    assert status["paused"] is False
    assert (status["in_hand"], status["rate"], status["jobs"]) == (0, 0.0, [])
    assert status["sources"] == [
        {
            "address": source.address,
            "helo": source.helo,
            "paused": False,
            "refused_by": [],
            "unplumbed": False,
        }
        for source in street.SOURCES
    ]
    assert status["sites"] == {"paused": [], "waiting": []}


async def test_the_socket_is_private_and_gone_in_the_end(spool: Path) -> None:
    path = spool / "state" / "control"
    async with asked(town_of(quick()), spool):
        status = path.lstat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
    assert not path.exists()


async def test_one_that_a_dead_daemon_left_is_replaced(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        async with daemon_of(config_for(town, spool)), asking(spool):
            pass
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(spool / "state" / "control"))
        async with daemon_of(config_for(town, spool)), asking(spool) as asker:
            assert (await asker.status())["pid"] == os.getpid()


async def test_what_is_no_socket_is_left_alone(spool: Path, expect_errors: Any) -> None:
    expect_errors(1)
    clock = Ahead()
    async with up(town_of(quick())) as town:
        async with daemon_of(config_for(town, spool)), asking(spool):
            pass
        (spool / "state" / "control").write_text("mine")
        async with daemon_of(config_for(town, spool), clock):
            await until(lambda: clock.stopped, "the end of the daemon")
    assert (spool / "state" / "control").read_text() == "mine"


async def test_a_job_from_beginning_to_end(spool: Path) -> None:
    lines = ["ann@quick.example", "nobody@quick.example", "no address", "ann@grey.example"]
    async with asked(town_of(quick(), grey()), spool, ladder=SLOW_LADDER) as asker:
        drop(spool, "list.txt", lines)
        job = await asker.job_when("list.txt", lambda job: job["waiting"] and job["settled"] == 2)
        status = await asker.status()
        page = await asker.results("list.txt")
    (same,) = status["jobs"]
    assert same == {**job, "rate": same["rate"], "eta": same["eta"]}
    assert (job["name"], job["path"], job["state"]) == ("list.txt", "/v1/jobs/list.txt", "open")
    assert (job["lines"], job["invalid"], job["recipients"], job["settled"]) == (4, 1, 3, 2)
    assert (job["pending"], job["asking"], job["waiting"]) == (0, 0, 1)
    assert job["verdicts"] == {"deliverable": 1, "risky": 0, "undeliverable": 2, "unknown": 0}
    assert job["reasons"] == {"accepted": 1, "no_such_mailbox": 1, "invalid_address": 1}
    assert (job["paused"], job["cancelled"], job["finished_at"]) == (False, False, None)
    assert 3500 < job["eta"] <= 3600
    assert job["rate"] > 0
    assert job["received_at"] < job["next_attempt_at"] < job["deadline"]
    assert status["limit"]["by"] == "retries"
    assert status["limit"]["words"] == f"waiting for retries until {job['next_attempt_at']}"
    assert status["rate"] > 0

    assert [(one["line"], one["reason"]) for one in page["outcomes"]] == [
        (1, "accepted"),
        (2, "no_such_mailbox"),
        (3, "invalid_address"),
    ]
    del page["outcomes"]
    assert page == {
        "job": "list.txt",
        "state": "open",
        "recipients": 3,
        "settled": 2,
        "after": None,
    }


async def test_a_job_that_is_done_can_still_be_read(spool: Path) -> None:
    async with asked(town_of(quick()), spool) as asker:
        drop(spool, "list.txt", ["ann@quick.example", "ben@quick.example", "zoe@quick.example"])
        await answered(spool, "list.txt")
        job = await asker.job_when("list.txt", lambda job: job["state"] == "done")
        assert (job["settled"], job["eta"], job["asking"]) == (3, None, 0)
        assert job["finished_at"] is not None
        first = await asker.results("list.txt", limit=2)
        second = await asker.results("list.txt", after=first["after"], limit=2)
        assert [one["line"] for one in [*first["outcomes"], *second["outcomes"]]] == [1, 2, 3]
        assert (first["after"], second["after"]) == (2, None)
        assert all(one["final"] and one["job"] == "list.txt" for one in first["outcomes"])
        assert (await asker.results("list.txt", since=3))["outcomes"] == []
        assert (await asker.status())["jobs"] == []
        listed = await asker.within(asker.client._ask, "GET", "jobs")
        assert listed == {
            "jobs": [{"name": "list.txt", "path": "/v1/jobs/list.txt", "state": "done"}]
        }


async def test_names_of_any_bytes(spool: Path) -> None:
    name = b"M\xe4rz \n100%?"
    async with asked(town_of(quick()), spool) as asker:
        (spool / "new" / os.fsdecode(name)).write_text("ann@quick.example\n")
        found = await asker.job_when(name, lambda job: job["state"] == "done")
        assert found["name"] == "M\\xe4rz \\x0a100%?"
        assert found["path"] == "/v1/jobs/M%E4rz%20%0A100%25%3F"
        # As it was printed, it is found too.
        assert (await asker.job(found["name"]))["path"] == found["path"]


# ---------------------------------------------------------------- what it refuses


async def test_what_is_not_there(spool: Path) -> None:
    async with asked(town_of(grey()), spool, ladder=SLOW_LADDER) as asker:
        error = await refusal(asker.job("none"))
        assert (error.code, str(error)) == (404, "there is no job none")
        drop(spool, "list.txt", ["ann@grey.example"])
        await asker.job_when("list.txt", bool)
        error = await refusal(asker.switch("jobs", "list\n", "cancel"))
        assert error.code == 404
        assert str(error) == "there is no job list\\x0a; there are: list.txt"
        assert error.answer["jobs"] == ["list.txt"]
        error = await refusal(asker.within(asker.client._ask, "GET", "nothing"))
        assert error.code == 404
        assert "GET /v1/status" in error.answer["paths"]
        assert "POST /v1/sources/NAME/pause" in error.answer["paths"]
        error = await refusal(asker.switch("sources", "192.0.2.99", "pause"))
        assert (error.code, str(error)) == (
            404,
            "no source has the address 192.0.2.99; there are: 127.0.0.21, 127.0.0.22",
        )


@pytest.mark.parametrize(
    ("request_line", "code", "words"),
    [
        ("GET /", 404, "the API is under /v1/"),
        ("GET /v1/", 404, "nothing of this path"),
        ("GET /v1/jobs/x/y", 404, "nothing of this path"),
        ("GET /v2/status", 404, "the API is under /v1/"),
        ("DELETE /v1/status", 405, "DELETE is not for this; GET is"),
        ("HEAD /v1/status", 405, ""),
        ("GET /v1/pause", 405, "GET is not for this; POST is"),
        ("POST /v1/jobs/x", 405, "POST is not for this; GET is"),
        ("GET /v1/status?x=1", 400, "x cannot be asked for here"),
        ("GET /v1/jobs/x/results?after=x", 400, "after has to be one whole number"),
        ("GET /v1/jobs/x/results?limit=1.5", 400, "limit has to be one whole number"),
        ("GET /v1/jobs/x/results?limit=1&limit=2", 400, "limit has to be one whole number"),
        ("GET /v1/jobs/x/results?limit=", 400, "limit has to be one whole number"),
        ("GET /v1/jobs/x/results?limit=-1", 400, "limit has to be from 1 to 1000"),
        ("GET /v1/jobs/x/results?limit=0", 400, "limit has to be from 1 to 1000"),
        ("GET /v1/jobs/x/results?limit=99999999", 400, "limit has to be from 1 to 1000"),
        ("GET /v1/jobs/x/results?after=-1", 400, "after has to be from 0 to"),
        ("GET /v1/jobs/x/results?since=-2", 400, "since has to be from -1 to"),
        ("POST /v1/sites/%0aevil/pause", 400, "a site is named by"),
        ("POST /v1/sites/evil%0a/pause", 400, "a site is named by"),
        ("POST /v1/sites/%ff/pause", 400, "the name of a site is text in UTF-8"),
        ("POST /v1/sites/m%C3%BCller.example/pause", 400, "its xn-- form"),
        ("POST /v1/sites//pause", 400, "a site is named by"),
        ("POST /v1/sources/%1b%5b2J/pause", 404, "no source has the address \\x1b[2J"),
    ],
)
async def test_requests_that_are_none(
    spool: Path, request_line: str, code: int, words: str
) -> None:
    async with asked(town_of(quick()), spool) as asker:
        answer = await asker.raw(
            f"{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % code)
    assert b"application/json" in head
    assert (b"Allow: " in head) is (code == 405)
    if words:
        assert words in json.loads(body)["error"]
    else:
        assert body == b""


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"\0" * 100_000,
        b"GET /v1/status HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET /v1/status HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
    ids=["garbage", "zeros", "header", "length", "chunks"],
)
async def test_what_is_no_http(spool: Path, data: bytes) -> None:
    async with asked(town_of(quick()), spool) as asker:
        answer = b""
        with suppress(ConnectionError):
            answer = await asker.raw(data, lambda connection: connection.shutdown(socket.SHUT_WR))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert not (await asker.status())["paused"]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_has_a_limit(spool: Path, is_chunked: bool) -> None:
    body = b"x" * (MAX_BODY + 1)
    framing = b"Content-Length: %d" % len(body)
    if is_chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        framing = b"Transfer-Encoding: chunked"
    async with asked(town_of(quick()), spool) as asker:
        head = b"POST /v1/pause HTTP/1.1\r\nHost: x\r\n"
        answer = await asker.raw(head + framing + b"\r\n\r\n" + body)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"no request has a body of more than 4096 bytes" in answer
        # It was not done.
        assert not (await asker.status())["paused"]
        short = b"Connection: close\r\nContent-Length: 4\r\n\r\n{}\r\n"
        assert (await asker.raw(head + short)).startswith(b"HTTP/1.1 200 ")
        assert (await asker.status())["paused"]


async def test_a_fault_of_ours_shows_no_traceback(
    spool: Path, monkeypatch: pytest.MonkeyPatch, expect_errors: Any
) -> None:
    expect_errors(1)

    async def broken(self: Figures) -> dict[str, Any]:
        raise ZeroDivisionError("secret")

    async with asked(town_of(quick()), spool) as asker:
        with monkeypatch.context() as patch:
            patch.setattr(Figures, "status", broken)
            error = await refusal(asker.status())
        assert error.code == 500
        assert error.answer == {"error": "a fault of the daemon; its log has the traceback"}
        assert (await asker.status())["jobs"] == []


async def test_clients_that_go_away(spool: Path) -> None:
    def rude(asker: Asker) -> None:
        for data in (b"", b"GET /v1/sta", b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"):
            with asker.connected() as connection:
                connection.sendall(data)

    async with asked(town_of(quick()), spool) as asker:
        for _ in range(5):
            await asker.within(rude, asker)
        assert (await asker.status())["pid"] == os.getpid()


async def test_too_many_at_once_wait(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_probe.daemon.control_socket.MAX_GUESTS", 2)
    async with asked(town_of(quick()), spool) as asker:
        first, second = asker.connected(), asker.connected()
        await deferLater(reactor, 0.05)
        waiting = Deferred.fromCoroutine(asker.status())
        await deferLater(reactor, 0.2)
        assert not waiting.called
        first.close()
        assert (await waiting)["pid"] == os.getpid()
        second.close()


async def test_who_says_half_a_request_makes_room_in_the_end(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted_probe.daemon.control_socket.MAX_GUESTS", 2)
    monkeypatch.setattr("twisted_probe.daemon.control.IDLE_TIMEOUT", 0.2)
    async with asked(town_of(quick()), spool) as asker:
        silent, half = asker.connected(), asker.connected()
        half.sendall(b"GET /v1/sta")
        assert (await asker.status())["pid"] == os.getpid()
        for connection in (silent, half):
            assert await asker.within(connection.recv, 1) == b""
            connection.close()


async def test_two_hundred_at_once(spool: Path) -> None:
    """Each with a connection that stands before the daemon answers any."""

    def ask_all(asker: Asker) -> list[bytes]:
        there = [asker.connected() for _ in range(200)]
        for connection in there:
            connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = [connection.recv(12) for connection in there]
        for connection in there:
            connection.close()
        return answers

    async with asked(town_of(quick()), spool) as asker:
        assert set(await asker.within(ask_all, asker)) == {b"HTTP/1.1 200"}


async def test_a_name_that_was_cut_is_found_by_the_whole(spool: Path) -> None:
    name = "x" * 247 + ".txt"
    async with asked(town_of(grey()), spool, ladder=SLOW_LADDER) as asker:
        drop(spool, name, ["ann@grey.example"])
        found = await asker.job_when(name, bool)
    assert len(found["name"]) < len(name)


async def test_a_list_that_is_not_taken_yet(spool: Path) -> None:
    async with asked(town_of(quick()), spool) as asker:
        # Nobody takes what is being written.
        with (spool / "new" / "list.txt").open("w") as half:
            half.write("ann@quick.example")
            error = await refusal(asker.switch("jobs", "list.txt", "pause"))
            assert (error.code, str(error)) == (
                404,
                "the list list.txt is still in new/, and not taken yet; try again in a moment",
            )
            assert (await asker.status())["new"] == ["list.txt"]
        await asker.job_when("list.txt", bool)
        assert (await asker.status())["new"] == []


async def test_a_few_jobs_are_named_and_no_more(spool: Path) -> None:
    async with asked(town_of(grey()), spool, ladder=SLOW_LADDER) as asker:
        for number in range(7):
            drop(spool, f"{number}{'x' * 100}.txt", ["ann@grey.example"])
        await asker.status_when(lambda found: len(found["jobs"]) == 7)
        error = await refusal(asker.job("none"))
    assert str(error).startswith("there is no job none; there are: ")
    assert str(error).endswith(" and 2 more")
    assert str(error).count(".txt") == 0
    assert len(str(error)) < 300
    assert len(error.answer["jobs"]) == 7


async def test_a_daemon_that_stops_cuts_who_does_not_go(spool: Path) -> None:
    async with up(town_of(quick())) as town, asking(spool, is_up=False) as asker:
        async with daemon_of(config_for(town, spool)), asking(spool):
            drop(spool, "list.txt", [f"no address {number}" for number in range(1000)])
            await answered(spool, "list.txt")
            idle, half, greedy = asker.connected(), asker.connected(), asker.connected()
            half.sendall(b"GET /v1/sta")
            # Asks for more than a socket holds, again and again, and reads none of it.
            for _ in range(10):
                greedy.sendall(b"GET /v1/jobs/list.txt/results HTTP/1.1\r\nHost: x\r\n\r\n")
            await deferLater(reactor, 0.2)
            began = reactor.seconds()
        assert FAREWELL <= reactor.seconds() - began < 10
        for connection in (idle, half, greedy):
            connection.close()


async def test_how_often_each_rule_has_decided_outlives_the_daemon(spool: Path) -> None:
    async with up(town_of(quick())) as town:
        for number in (1, 2):
            config = config_for(town, spool, caching=Caching(enabled=False))
            async with daemon_of(config), asking(spool) as asker:
                drop(spool, f"{number}.txt", ["ann@quick.example", "nobody@quick.example"])
                await answered(spool, f"{number}.txt")
                rules = (await asker.within(asker.client.rules))["rules"]
                hits = {each["name"]: each["hits"] for each in rules}
                assert hits == {"positive": number, "no-such-mailbox": number}
