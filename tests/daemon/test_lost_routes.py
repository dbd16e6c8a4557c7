"""A daemon on a machine without a way out says so, and gives no verdict for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.daemon.asking import asking
from tests.daemon.running import config_for, daemon_of, drop, up
from twisted_probe.routing.watchdog import MAX_RUN
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.town import Town
from twisted_probe.sandbox.zone import Names
from twisted_probe.verdict.ladder import Ladder

#: From a loopback source no kernel knows a way there, and nothing is sent.
ELSEWHERE = "203.0.113.0/24"


async def test_the_status_names_a_family_without_a_route(
    tmp_path: Path, expect_errors: Any
) -> None:
    expect_errors(1)
    spool = tmp_path / "spool"
    hosts = {f"mx.{n}.example": [f"A 203.0.113.{n + 1}"] for n in range(MAX_RUN + 5)}
    names: Names = {host.partition(".")[2]: [f"MX 10 {host}"] for host in hosts}
    house = House("mx.quick.example", "127.0.1.1", tempers.postfix({}))
    async with up(Town([house], {**names, **hosts}, sample="")) as town:
        networks = (*town.networks, ELSEWHERE)
        # Whoever had his attempt before that was clear is not asked again during the test.
        config = config_for(town, spool, allow_networks=networks, ladder=Ladder())
        async with daemon_of(config), asking(spool) as asker:
            drop(spool, "list", [f"ann@{domain}" for domain in names])
            status = await asker.status_when(lambda status: status["limit"]["by"] == "alarm")
            assert "IPv4" in status["alarms"][0]
            # The others were not asked, and count as that.
            job = await asker.job_when(
                "list", lambda job: job["pending"] == len(names) - MAX_RUN + 1
            )
    assert (job["settled"], job["waiting"]) == (0, MAX_RUN - 1)
