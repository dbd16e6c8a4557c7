"""A machine that has hardly a local port, in a namespace: ours, and not the source's."""

from __future__ import annotations

import json

from .own_machine import run_in_own_machine

#: Four local ports, for the questions to the DNS and for each source's sessions with an exchanger.
COMMANDS = 'echo "40000 40003" > /proc/sys/net/ipv4/ip_local_port_range'

PROGRAM = """
import json
from collections import Counter
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import formatEvent, globalLogPublisher
from twisted_probe import Prober, Source
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.habits import Tarpits
from twisted_probe.sandbox.street import House
from twisted_probe.sandbox.temper import residents
from twisted_probe.sandbox.town import Town

DOMAINS = [f"d{n}.example" for n in range(6)]


async def main(reactor):
    words = []
    globalLogPublisher.addObserver(lambda event: words.append(formatEvent(event)))
    slow = tempers.postfix(residents("ann"), Tarpits(0.1))
    town = Town(
        [House("mx.example", "127.0.5.1", slow)],
        {domain: ["MX 10 mx.example"] for domain in DOMAINS},
        sample="",
    )
    await town.start(reactor)
    source = Source("127.0.0.21", helo="probe1.example.org")
    prober = Prober(
        reactor,
        sources=[source],
        reverse_path="probe@example.org",
        resolvers=[parse_resolver(town.resolver)],
        port=town.port,
        allow_networks=["127.0.5.0/24"],
        limits=Limits(
            per_site=8, first_sessions=8, starts_per_second=100.0, recipients_per_session=2
        ),
    )
    people = [f"{who}@{domain}" for domain in DOMAINS for who in ("ann", "eve", "joe")]
    outcomes = await prober.probe_many(people)
    record = town.exchangers["mx.example"].record
    said = {
        "reasons": Counter(each.reason.value for each in outcomes),
        "attempts": max(each.attempts for each in outcomes),
        "benched": prober.sources.benched(reactor.seconds()),
        "alarm": prober.alarm,
        "most": record.most_open,
        "warned": sum("no socket is left for one session more" in each for each in words),
    }
    await prober.close()
    await town.stop()
    print(json.dumps(said))


react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


def test_all_are_answered_and_the_source_is_not_suspended() -> None:
    (line,) = run_in_own_machine(COMMANDS, PROGRAM)
    said = json.loads(line)
    assert said["reasons"] == {"accepted": 6, "no_such_mailbox": 12}
    assert said["attempts"] == 1
    assert (said["benched"], said["alarm"]) == ([], None)
    # It came to that: more sessions were wanted than there were ports.
    assert said["most"] <= 4
    assert said["warned"] == 1
