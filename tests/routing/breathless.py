"""A prober that has hardly a file descriptor: `breathless.py RESOLVER PORT DOMAINS FILES` asks
about two of each of so many domains, with no more open files than that. It prints, as JSON, what
came of it."""

from __future__ import annotations

import json
import resource
import sys
from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from twisted_probe import Prober, Source
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.sites import Limits


async def main(reactor: Any, resolver: str, port: str, domains: str, files: str) -> None:
    turns = 0
    iterate = reactor.doIteration

    def counted(seconds: float | None) -> None:
        nonlocal turns
        turns += 1
        iterate(seconds)

    reactor.doIteration = counted
    await deferLater(reactor, 0)  # the reactor has what it needs
    prober = Prober(
        reactor,
        sources=[Source(f"127.0.0.2{n}", helo=f"probe{n}.example.org") for n in (1, 2, 3)],
        reverse_path="probe@example.org",
        resolvers=[parse_resolver(resolver)],
        port=int(port),
        allow_networks=["127.0.5.0/24"],
        limits=Limits(starts_per_second=50.0, first_sessions=4, recipients_per_session=2),
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), int(files)))
    people = [f"{who}@d{n}.example" for n in range(int(domains)) for who in ("ann", "eve")]
    outcomes = await prober.probe_many(people)
    now = reactor.seconds()
    said = {
        "outcomes": Counter(f"{each.address[:3]} {each.reason.value}" for each in outcomes),
        "attempts": max(each.attempts for each in outcomes),
        "alarm": prober.alarm,
        "benched": prober.sources.benched(now),
        "turns": turns,
    }
    await prober.close()
    print(json.dumps(said))


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
